"""A checkpoint named as a model (`RUN@STEP`): the same vectors as the finished model, and errors that list the steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conan_data import checkpoint_names
from conan_data.cli import COMMANDS as DATA_COMMANDS
from conan_data.command import main
from conan_data.errors import UserError
from conan_data.manifest import read_manifest
from conan_data.mining.encoder import load_encoder
from conan_data.models.locate import find_model
from conan_train.cli import COMMANDS
from conan_train.export.config import ExportConfig
from conan_train.export.export import export
from conan_train.finetune.train import finetune
from conan_train.model.config import LoraConfig
from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.train import pretrain
from tests.conan_train.finetune.test_finetune import config_for, write_model, write_set

TEXTS = ["what is tide", "honey is about honey", "a"]
Inputs = tuple[Path, Path]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp("inputs")
    return write_set(root / "set"), write_model(root / "model")


def short(out: Path, inputs: Inputs, **values: Any) -> Path:
    """Twelve steps, whose last checkpoints are those of 8 and 12 steps."""
    own = {"steps": 12, "mine_every": 0, "num_negatives": 0, "checkpoint_every": 4, "soft_mask_steps": 10}
    return finetune(config_for(out, inputs, **{**own, **values}))


@pytest.fixture(scope="module")
def run(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return short(tmp_path_factory.mktemp("runs") / "run", inputs)


def test_the_last_checkpoint_is_the_finished_model(run: Path) -> None:
    finished, last = load_encoder(run), load_encoder(f"{run}@12")
    assert np.array_equal(finished.encode(TEXTS, kind="query"), last.encode(TEXTS, kind="query"))
    assert finished.fingerprint == last.fingerprint
    published, made = run / "model", find_model(f"{run}@12").folder
    names = {path.name for path in published.iterdir()}
    assert names == {path.name for path in made.iterdir()}
    for name in names - {"model.safetensors"}:
        assert (published / name).read_bytes() == (made / name).read_bytes(), name


def test_an_earlier_one_has_its_own_weights_and_alpha(run: Path) -> None:
    earlier = find_model(f"{run}@8")
    assert json.loads((earlier.folder / "conan.json").read_text())["alpha"] == 0.8
    assert earlier.kind == "embedder" and earlier.name == f"{run}@8"
    assert load_encoder(earlier).fingerprint != load_encoder(run).fingerprint


def test_adapters_are_merged(inputs: Inputs, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    out = short(tmp_path / "run", inputs, lora=LoraConfig(rank=2, alpha=8))
    assert load_encoder(out).fingerprint == load_encoder(f"{out}@12").fingerprint
    assert load_encoder(out).fingerprint != load_encoder(f"{out}@8").fingerprint


def test_a_language_model_goes_on_from_a_checkpoint(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "red and green and blue and grey"}\n' * 1 + "".join(
        json.dumps({"text": f"{'ab' * number} and more of this"}) + "\n" for number in range(40)
    ))  # fmt: skip
    common: dict[str, Any] = {
        "corpus": (str(tmp_path / "texts.jsonl"),), "steps": 4, "batch_tokens": 64, "micro_batch_tokens": 64, "sequence_length": 32,
        "checkpoint_every": 2, "device": "cpu", "threads": 1,
    }  # fmt: skip
    first = pretrain(PretrainConfig(model=str(inputs[1]), out=tmp_path / "lm", **common))
    second = pretrain(PretrainConfig(model=f"{first}@2", out=tmp_path / "more", **common))
    [entry, _] = read_manifest(second)["inputs"]
    assert entry["path"] == "lm@2" and {file["path"] for file in entry["files"]} >= {
        "config.json",
        "model.safetensors",
    }
    before = json.loads((second / "held_out.json").read_text())["before"]
    assert before != json.loads((first / "held_out.json").read_text())["before"]
    # As an embedding model's base, too.
    assert short(tmp_path / "embedder", (inputs[0], Path(f"{first}@2"))).is_dir()
    with pytest.raises(UserError, match=r"lm@2: its model has neither .*; train one from it first$"):
        load_encoder(f"{first}@2")


def test_it_is_exported_and_the_card_names_the_step(run: Path, tmp_path: Path) -> None:
    out = export(ExportConfig(model=f"{run}@12", out=tmp_path / "exported"))
    assert "checkpoint of step 12" in (out / "README.md").read_text()
    assert read_manifest(out)["config"]["model"] == "run@12"
    with pytest.raises(UserError, match="is at alpha 0.8"):
        export(ExportConfig(model=f"{run}@8", out=tmp_path / "early"))


COMMANDS_OF = {
    "evaluate": ("conan-train", COMMANDS, ["--data", "SET", "--split", "train", "--bootstrap", "0", "--min-queries", "1"]),
    "encode": ("conan-train", COMMANDS, ["--data", "SET"]),
    "mine": ("conan-data", DATA_COMMANDS, ["--data", "SET", "--select.pool-size", "4", "--select.depth", "12", "--select.margin", "1.0"]),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS_OF)
def test_every_command_takes_it_by_a_relative_and_an_absolute_name(
    command: str, run: Path, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, commands, flags = COMMANDS_OF[command]
    flags = [str(inputs[0]) if flag == "SET" else flag for flag in flags]
    monkeypatch.chdir(run.parents[1])
    out = tmp_path / "out"
    assert (
        main(
            program, "", commands, [command, "--model", f"{run.parent.name}/run@8", "--out", str(out), *flags]
        )
        == 0
    )
    before = (out / "manifest.json").read_bytes()
    assert main(program, "", commands, [command, "--model", f"{run}@8", "--out", str(out), *flags]) == 0
    assert (out / "manifest.json").read_bytes() == before


def test_what_a_name_with_an_at_means(run: Path, tmp_path: Path) -> None:
    assert checkpoint_names.parse(f"{run}@8") == (run, 8)
    for text in (
        "owner/name@main",
        "owner/name@12",
        f"{tmp_path}/nothing@3",
        f"{run}@main",
        f"{run}/model@8",
        "@8",
    ):
        assert checkpoint_names.parse(text) is None, text
    folder = run.with_name("run@8")
    folder.mkdir()
    assert checkpoint_names.parse(folder) is None, "a folder that is called so comes first"
    folder.rmdir()


def test_the_steps_that_exist_are_listed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = ["export", "--model", f"{run}@7", "--out", str(tmp_path / "out")]
    assert main("conan-train", "", COMMANDS, tokens) == 2
    error = capsys.readouterr().err.strip()
    assert error.endswith(
        f"--model: {run}@7: the run has no checkpoint of step 7, it has those of 8, 12 (keep_checkpoints says how many stay)"
    )
    assert not (tmp_path / "out").exists()


def test_a_damaged_one_is_named(inputs: Inputs, tmp_path: Path) -> None:
    out = short(tmp_path / "run", inputs)
    weights = out / "checkpoints" / "step-00000008" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(UserError, match=r"^model: .*step-00000008: model.safetensors is damaged"):
        find_model(f"{out}@8")


def test_a_training_is_not_replaced_while_its_checkpoint_is_read(
    run: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = [
        "finetune",
        "--model",
        f"{run}@8",
        "--data",
        str(inputs[0]),
        "--out",
        str(run),
        "--overwrite",
        "--steps",
        "1",
    ]
    assert main("conan-train", "", COMMANDS, tokens) == 2
    assert f"is the same as model ({run})" in capsys.readouterr().err


def test_an_unfinished_run_has_checkpoints_too(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conan_train.training.loop import Loop

    take = Loop._take

    def stop(self: Loop, step: int, start: float) -> None:
        if step == 9:
            raise KeyboardInterrupt
        take(self, step, start)

    monkeypatch.setattr(Loop, "_take", stop)
    with pytest.raises(KeyboardInterrupt):
        short(tmp_path / "run", inputs)
    monkeypatch.undo()
    half = load_encoder(f"{tmp_path}/run@8").fingerprint
    out = short(tmp_path / "run", inputs)
    assert load_encoder(f"{out}@8").fingerprint == half, "resumed bitwise"
