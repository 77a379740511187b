"""Every two values that the config allows beside each other take a step together: a pairwise cover of all options."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conan_data import artifact
from conan_data.mining.config import SelectionConfig
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.model.config import LoraConfig
from conan_train.optim.config import OptimConfig
from conan_train.tasks.config import ClassificationConfig, StsConfig
from conan_train.trainlog import NAME, read_log
from tests.conan_train.embedding.test_processes import data, model
from tests.conan_train.finetune.test_finetune import weights, write_set

__all__ = ["data", "model"]

OPTIONS: dict[str, list[Any]] = {
    "mix": ["every-step", "in-turns"],
    "dims": [(), (8, 16)],
    "learn_temperature": [False, True],
    "score_margin": [None, 0.1, -0.05],
    "grad_cache": [False, True],
    "gradient_checkpointing": [False, True],
    "lora": [LoraConfig(), LoraConfig(rank=2, dropout=0.1)],
    "soft_mask_schedule": ["", "linear", "quadratic-slow", "quadratic-fast", "cosine", "constant"],
    "homogeneous": [(), ("source",), ("language",), ("source", "language")],
    "classification": ["", "label", "same-label"],
    "sts": ["", "homogeneous", "joined"],
    "negatives": ["none", "given", "mined", "drawn"],
    "optim": ["adamw", "muon"],
    "precision": ["no", "bf16"],
}


def cover(options: dict[str, list[Any]]) -> list[dict[str, int]]:
    """Rows such that every two values of two options are together in one: greedily, the same every time."""
    sizes = {name: len(values) for name, values in options.items()}
    left = {
        (one, i, other, j)
        for one, other in itertools.combinations(sizes, 2)
        for i in range(sizes[one])
        for j in range(sizes[other])
    }
    rows = []
    while left:
        one, i, other, j = min(left)
        row = {one: i, other: j}
        for name in sizes:
            if name not in row:
                met = [_num_met(row | {name: value}, left) for value in range(sizes[name])]
                row[name] = met.index(max(met))
        left = {pair for pair in left if not _is_met(row, pair)}
        rows.append(row)
    return rows


def _is_met(row: dict[str, int], pair: tuple[str, int, str, int]) -> bool:
    return row.get(pair[0]) == pair[1] and row.get(pair[2]) == pair[3]


def _num_met(row: dict[str, int], pairs: set[tuple[str, int, str, int]]) -> int:
    return sum(_is_met(row, pair) for pair in pairs)


ROWS = cover(OPTIONS)


def test_the_cover_is_one() -> None:
    met = {(a, row[a], b, row[b]) for row in ROWS for a, b in itertools.combinations(OPTIONS, 2)}
    assert len(met) == sum(len(OPTIONS[a]) * len(OPTIONS[b]) for a, b in itertools.combinations(OPTIONS, 2))
    assert len(ROWS) < 40


def config_of(row: dict[str, int], out: Path, *, data: Path, model: Path, given: Path) -> FinetuneConfig:
    values = {name: OPTIONS[name][place] for name, place in row.items()}
    schedule, negatives = values.pop("soft_mask_schedule"), values.pop("negatives")
    positives, sts = values.pop("classification"), values.pop("sts")
    mined = negatives in ("mined", "drawn")
    select = SelectionConfig(
        pool_size=4, depth=12, margin=1.0, choose="uniform" if negatives == "drawn" else "top"
    )
    return FinetuneConfig(**{
        **values, "out": out, "data": (str(data / "set"), str(data / "second")), "model": str(model), "steps": 3, "batch_size": 4,
        "num_negatives": 2 if negatives != "none" else 0, "mine_every": 2 if mined else 0, "select": select,
        "negatives": str(given) if negatives == "given" else "", "soft_mask_steps": 3 if schedule else 0, "soft_mask_schedule": schedule or "linear",
        "max_length": 24, "bucket_tokens": 96, "device": "cpu", "log_every": 1, "checkpoint_every": 2,
        "optim": OptimConfig(lr=1e-3, kind=values["optim"]),
        "classification": ClassificationConfig(data=(str(data / "labels.jsonl"),) if positives else (), positives=positives or "label", batch_size=3, num_negatives=2),
        "sts": StsConfig(data=(str(data / "sts.jsonl"),) if sts else (), batch_size=4, homogeneous=sts == "homogeneous"),
    })  # fmt: skip


@pytest.fixture(scope="module")
def given(data: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write_set(data / "second")
    row = dict.fromkeys(OPTIONS, 0) | {"negatives": OPTIONS["negatives"].index("mined")}
    out = tmp_path_factory.mktemp("given") / "run"
    finetune(config_of(row, out, data=data, model=model, given=out))
    return sorted((out / "negatives").iterdir())[0]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(str(row[name]) for name in OPTIONS))
def test_a_combination_trains(
    row: dict[str, int], data: Path, model: Path, given: Path, tmp_path: Path
) -> None:
    out = finetune(config_of(row, tmp_path / "out", data=data, model=model, given=given))
    artifact.open_artifact(out, kind="embedder")
    lines = [line for line in read_log(out / NAME) if line["event"] == "step"]
    assert len(lines) == 3
    for line in lines:
        # Scored pairs that are equal once they are cut to max_length have equal cosines, and nothing to learn.
        is_flat = line.get("sts_loss") == line["loss"] and line["grad_norm"] == 0
        assert math.isfinite(line["loss"]) and (0 < line["grad_norm"] < math.inf or is_flat), line
    before = weights_of_base(model)
    changed = {name for name, tensor in weights(out).items() if not torch.equal(tensor, before[name])}
    assert changed, "nothing was trained"
    if OPTIONS["lora"][row["lora"]].rank == 0:
        assert any("embed_tokens" in name for name in changed)
    else:
        assert all("_proj" in name for name in changed), "LoRA changed what it does not adapt"
    assert not list(out.rglob("work"))


def weights_of_base(model: Path) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("model."): tensor for name, tensor in load_file(model / "model.safetensors").items()
    }
