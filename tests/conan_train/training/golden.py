"""Twenty steps of every stage that trains, as stored curves: what a change to the loop must not move by accident.

They hold for one version of torch on a CPU. To renew them on purpose, and say why in the commit:
python -m tests.conan_train.training.golden
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from conan_data.mining.config import SelectionConfig
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.optim.config import OptimConfig
from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.train import pretrain
from conan_train.sft.config import SftConfig
from conan_train.sft.train import sft
from conan_train.tasks.config import ClassificationConfig, StsConfig
from conan_train.trainlog import NAME, read_log
from conan_train.weak.config import WeakConfig
from conan_train.weak.train import weak
from tests.conan_train.finetune.test_finetune import write_model, write_set

FILE = Path(__file__).with_name("golden.json")
STEPS = 20
COMMON: dict[str, Any] = {
    "steps": STEPS, "device": "cpu", "threads": 1, "log_every": 1, "checkpoint_every": STEPS,
    "optim": OptimConfig(lr=3e-3, warmup_steps=3),
}  # fmt: skip
VECTORS: dict[str, Any] = {
    "batch_size": 6, "max_length": 24, "bucket_tokens": 128, "soft_mask_steps": 12, "temperature": 0.05,
}  # fmt: skip


def write_inputs(root: Path) -> None:
    """The retrieval set of the finetune tests, labels, scored pairs, weak pairs, documents and instructions."""
    write_set(root / "set")
    write_model(root / "model")
    write_model(root / "chat")
    tokenizer = AutoTokenizer.from_pretrained(root / "chat")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.save_pretrained(root / "chat")
    model = AutoModelForCausalLM.from_pretrained(root / "chat")
    torch.manual_seed(1)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(root / "chat")
    words = ("red", "green", "blue", "grey")
    files = {
        "labels": [{"text": f"{word} {place}", "label": word} for word in words for place in "abcde"],
        "sts": [
            {"text1": "a small boat", "text2": "a boat" + " on water" * place, "score": float(place % 5)}
            for place in range(9)
        ],
        "pairs": [
            {"query": f"{one} {other}", "document": f"{other} and {one}", "lang": ("en", "de")[place % 2]}
            for one in words
            for place, other in enumerate(words)
        ],
        "answers": [
            {"instruction": "again", "input": f"{one} {other}", "output": f"{one} {other}"}
            for one in words
            for other in (*words, "white", "black")
        ],
        "documents": [
            {"text": f"{words[place % 4]} and {words[place % 3]} " * (1 + place % 5), "lang": "en"}
            for place in range(60)
        ],
    }
    for name, rows in files.items():
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_pretrain(root: Path) -> Path:
    config = PretrainConfig(
        out=root / "pretrain", model=str(root / "model"), corpus=(str(root / "documents.jsonl"),), held_out=0.1,
        batch_tokens=128, micro_batch_tokens=64, sequence_length=32, z_loss=1e-4, **COMMON,
    )  # fmt: skip
    return pretrain(config)


def run_weak(root: Path) -> Path:
    config = WeakConfig(
        out=root / "weak", model=str(root / "model"), data=(str(root / "pairs.jsonl"),), homogeneous=("language",),
        dims=(8,), **COMMON, **VECTORS,
    )  # fmt: skip
    return weak(config)


def run_finetune(root: Path) -> Path:
    config = FinetuneConfig(
        out=root / "finetune", model=str(root / "model"), data=(str(root / "set"),), num_negatives=2, mine_every=7,
        select=SelectionConfig(pool_size=6, depth=12, margin=1.0), dims=(8, 16), learn_temperature=True, grad_cache=True,
        classification=ClassificationConfig(data=(str(root / "labels.jsonl"),), batch_size=4, num_negatives=2),
        sts=StsConfig(data=(str(root / "sts.jsonl"),), batch_size=4), **COMMON, **VECTORS,
    )  # fmt: skip
    return finetune(config)


def run_sft(root: Path) -> Path:
    config = SftConfig(
        out=root / "sft", model=str(root / "chat"), data=(str(root / "answers.jsonl"),), held_out=0.05, batch_tokens=256, micro_batch_tokens=128,
        sequence_length=64, **COMMON,
    )  # fmt: skip
    return sft(config)


STAGES: dict[str, Callable[[Path], Path]] = {
    "pretrain": run_pretrain,
    "sft": run_sft,
    "weak": run_weak,
    "finetune": run_finetune,
}


def curve(out: Path) -> list[dict[str, Any]]:
    """The lines of a log, in which nothing depends on the clock."""
    return read_log(out / NAME)


def curves() -> dict[str, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_inputs(root)
        return {name: curve(run(root)) for name, run in STAGES.items()}


def renew() -> None:
    found = {"torch": torch.__version__.split("+")[0], "stages": curves()}
    FILE.write_text(json.dumps(found, indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n")
    print(f"{FILE}: renewed with torch {found['torch']}")


if __name__ == "__main__":
    renew()
