"""Training on from a finished or a stopped run: the same bytes whatever kills it, and the finished model is never lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conan_data.command import main
from conan_data.errors import OccupiedError, UserError
from conan_data.manifest import read_manifest
from conan_data.mining.encoder import load_encoder
from conan_train.cli import COMMANDS
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.optim.config import OptimConfig
from conan_train.optim.schedule import lr_at
from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.train import pretrain
from conan_train.trainlog import NAME, read_log
from tests.conan_train.finetune.test_finetune import config_for, write_model, write_set

ROOT = Path(__file__).parents[3]
Inputs = tuple[Path, Path]
STEPS = 10


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp("inputs")
    return write_set(root / "set"), write_model(root / "model")


def config(out: Path, inputs: Inputs, **values: Any) -> FinetuneConfig:
    return config_for(out, inputs, **{"steps": STEPS, "threads": 1, "log_every": 2, **values})


@pytest.fixture(scope="module")
def finished(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(config(tmp_path_factory.mktemp("finished") / "run", inputs))


@pytest.fixture(scope="module")
def extended(finished: Path, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("extended") / "run"
    shutil.copytree(finished, out)
    return finetune(config(out, inputs, steps=24, extend=True))


def listed(folder: Path) -> dict[str, bytes]:
    names = ["manifest.json", *(entry["path"] for entry in read_manifest(folder)["files"])]
    return {name: (folder / name).read_bytes() for name in names}


def test_it_goes_on_with_schedule_data_and_negatives_by_the_number_of_the_step(
    finished: Path, extended: Path
) -> None:
    manifest, before = read_manifest(extended), read_manifest(finished)
    assert manifest["extended_from"] == [
        {"step": STEPS, "steps": STEPS, "early_stop": 0, "job_hash": before["job_hash"]},
    ]
    assert manifest["config"]["steps"] == manifest["extra"]["steps"] == 24
    log, old = read_log(extended / NAME), read_log(finished / NAME)
    assert log[: len(old)] == old
    steps = [line for line in log if line["event"] == "step"]
    assert [line["step"] for line in steps] == list(range(2, 25, 2))
    optim = OptimConfig(lr=3e-3, warmup_steps=2)
    for line in steps:
        planned = STEPS if line["step"] <= STEPS else 24
        assert line["lr"] == float(f"{lr_at(line['step'] - 1, optim, num_steps=planned):.6g}")
    assert [line["step"] for line in log if line["event"] == "refresh"] == [0, 6, 12, 18]
    assert {path.name for path in (extended / "checkpoints").iterdir()} == {"step-00000020", "step-00000024"}


def test_asked_for_again_it_is_done_with_or_without_the_flag(
    extended: Path, inputs: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    before = listed(extended)
    caplog.set_level("INFO")
    for extend in (True, False):
        finetune(config(extended, inputs, steps=24, extend=extend))
        assert caplog.messages[-1] == f"{extended}: done already (conan-train finetune)"
    assert listed(extended) == before


KILLED = """
import sys
from pathlib import Path
from conan_data import artifact, extension
from conan_train.training.loop import Loop
from conan_train.finetune.train import finetune
from tests.killed_call import die_at_call
from tests.conan_train.training.test_extend import config
out, data, model, point, moment, extend = sys.argv[1:]
owner = {"take_over": extension, "_link": extension, "publish": artifact.Build}.get(point, Loop)
die_at_call(owner, point, int(moment))
finetune(config(Path(out), (Path(data), Path(model)), steps=24, extend=extend == "True"))
"""


@pytest.mark.parametrize(
    "point",
    ["_link:3", "_take:4", pytest.param("take_over:1", marks=pytest.mark.slow), pytest.param("save:2", marks=pytest.mark.slow),
     pytest.param("publish:1", marks=pytest.mark.slow)],
)  # fmt: skip
def test_a_killed_extension_has_the_same_bytes_and_leaves_the_finished_model(
    point: str, finished: Path, extended: Path, inputs: Inputs, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    name, moment = point.split(":")
    command = [sys.executable, "-c", KILLED, str(out), *map(str, inputs), name]
    done = subprocess.run([*command, moment, "True"], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert listed(out) == listed(finished)
    # What was begun goes on without the flag, too.
    finetune(config(out, inputs, steps=24))
    assert listed(out) == listed(extended)


def test_a_stopped_run_goes_on_to_more_steps(inputs: Inputs, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, str(out), *map(str, inputs)]
    done = subprocess.run([*command, "_take", "18", "False"], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    with pytest.raises(
        OccupiedError, match=r"steps 24 -> 30\); pass --extend to train on from it, or finish it"
    ):
        finetune(config(out, inputs, steps=30))
    finetune(config(out, inputs, steps=30, extend=True))
    manifest = read_manifest(out)
    assert [(entry["step"], entry["steps"]) for entry in manifest["extended_from"]] == [(15, 24)]
    assert read_log(out / NAME)[-1]["step"] == 30
    # And once more: each time is named.
    finetune(config(out, inputs, steps=32, extend=True))
    assert [entry["step"] for entry in read_manifest(out)["extended_from"]] == [15, 30]


LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
TWO = """
import sys
from pathlib import Path
from conan_train.finetune.train import finetune
from tests.conan_train.training.test_extend import config
out, data, model, parallel, steps = sys.argv[1:]
finetune(config(Path(out), (Path(data), Path(model)), parallel=parallel, steps=int(steps), extend=int(steps) > 10))
"""


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_go_on_as_one_does(
    parallel: str, extended: Path, inputs: Inputs, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(TWO)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    for steps in ("10", "24"):
        command = [
            *LAUNCH,
            str(tmp_path / "script.py"),
            str(tmp_path / "two"),
            *map(str, inputs),
            parallel,
            steps,
        ]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=env, timeout=300, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert [entry["step"] for entry in read_manifest(tmp_path / "two")["extended_from"]] == [10]
    mine, theirs = (
        [e for e in read_log(out / NAME) if e["event"] == "step"] for out in (extended, tmp_path / "two")
    )
    assert [line["lr"] for line in mine] == [line["lr"] for line in theirs]
    for first, second in zip(mine, theirs, strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=0.05, abs=0.02)
    # The parts of two processes are joined, and are the published model.
    assert load_encoder(tmp_path / "two").fingerprint == load_encoder(f"{tmp_path / 'two'}@24").fingerprint


def test_negatives_of_a_worker_go_on(inputs: Inputs, tmp_path: Path) -> None:
    """Minings that training does not wait for are no part of what is the same twice."""
    values: dict[str, Any] = {"mine_mode": "process", "mine_every": 4, "mine_look_every": 1}
    finetune(config(tmp_path / "run", inputs, **values))
    finetune(config(tmp_path / "run", inputs, **values, steps=16, extend=True))
    assert read_log(tmp_path / "run" / NAME)[-1]["step"] == 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_language_model_and_its_epochs(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": f"{'ab' * number} and more of this"}) + "\n" for number in range(40))
    )

    def run(**values: Any) -> Path:
        return pretrain(PretrainConfig(
            model=str(inputs[1]), out=tmp_path / "lm", corpus=(str(tmp_path / "texts.jsonl"),), batch_tokens=64,
            micro_batch_tokens=64, sequence_length=32, checkpoint_every=2, device="cpu", threads=1, log_every=1, **values,
        ))  # fmt: skip

    first = json.loads((run(epochs=0.1) / "held_out.json").read_text())
    steps = read_manifest(tmp_path / "lm")["extra"]["steps"]
    second = json.loads((run(epochs=0.3, extend=True) / "held_out.json").read_text())
    assert first["before"] == second["before"] and first["after"] != second["after"]
    assert read_manifest(tmp_path / "lm")["extra"]["steps"] > steps
    with pytest.raises(
        UserError, match=r"cannot be extended: it has to train longer than before \(epochs 0.3 -> 0.2\)"
    ):
        run(epochs=0.2, extend=True)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--steps", "12", "--temperature", "0.1"],
            "only steps, epochs and early_stop may change (temperature 0.05 -> 0.1)",
        ),
        (["--steps", "9"], "it has to train longer than before (steps 10 -> 9)"),
        (["--steps", "12", "--overwrite"], "give one of both"),
    ],
)
def test_what_cannot_be_extended_is_said_in_one_line(
    flags: list[str], words: str, finished: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listed(finished)
    assert main("conan-train", "", COMMANDS, [*tokens(finished, inputs), *flags, "--extend"]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert listed(finished) == before and not finished.with_name("run.partial").exists()


def test_a_run_without_checkpoints_and_none_at_all(
    finished: Path, inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    for out, words in (("run", "has no whole checkpoint to go on from"), ("other", "there is no run yet")):
        assert (
            main("conan-train", "", COMMANDS, [*tokens(tmp_path / out, inputs), "--steps", "24", "--extend"])
            == 2
        )
        assert words in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def tokens(out: Path, inputs: Inputs) -> list[str]:
    data, model = map(str, inputs)
    return [
        *(
            "finetune",
            "--data",
            data,
            "--model",
            model,
            "--out",
            str(out),
            "--batch-size",
            "8",
            "--num-negatives",
            "3",
        ),
        *("--mine-every", "6", "--soft-mask-steps", "10", "--select.pool-size", "8", "--select.depth", "12"),
        *(
            "--select.margin",
            "1.0",
            "--max-length",
            "32",
            "--bucket-tokens",
            "256",
            "--device",
            "cpu",
            "--optim.lr",
            "3e-3",
        ),
        *("--optim.warmup-steps", "2", "--log-every", "2", "--threads", "1", "--checkpoint-every", "5"),
    ]


RECIPE = """
root: "${{here}}/runs"
finetune: {{data: ["{data}"], model: "{model}", steps: {steps}, batch_size: 8, num_negatives: 0, max_length: 32, threads: 1,
  device: cpu}}
after: {{command: evaluate, model: "${{root}}/finetune", data: "{data}", split: train, min_queries: 1, bootstrap: 0}}
"""


def test_a_recipe_whose_steps_were_changed(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data, model = inputs

    def run(steps: int, *flags: str) -> int:
        Path("r.yaml").write_text(RECIPE.format(data=data, model=model, steps=steps))
        return main("conan-train", "", COMMANDS, ["run", "r.yaml", *flags])

    assert run(4) == 0
    assert run(6) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "steps 4 -> 6); pass --extend to train on from it, or choose another --out" in line
    assert line.endswith(": conan-train run r.yaml --overwrite after --extend finetune")
    assert run(6, "--dry-run", "--overwrite", "after", "--extend", "finetune") == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[2:]] == [
        ["finetune", "extend"],
        ["after", "run"],
    ]
    assert run(6, "--overwrite", "after", "--extend", "finetune") == 0
    assert [entry["step"] for entry in read_manifest(Path("runs/finetune"))["extended_from"]] == [4]
    capsys.readouterr()
    assert run(6) == 0, "done, without flags"
    assert run(6, "--extend", "after") == 2
    assert "after is no training" in capsys.readouterr().err
