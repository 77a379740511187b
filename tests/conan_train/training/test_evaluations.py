"""Scores while training: those of `conan-train evaluate`, the best weights published, an early end, and kills in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conan_data.artifact import open_artifact
from conan_data.command import main
from conan_data.manifest import read_manifest
from conan_data.mining.encoder import load_encoder
from conan_train.cli import COMMANDS
from conan_train.evaluation.config import EvaluateConfig
from conan_train.evaluation.evaluate import evaluate
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.train import finetune
from conan_train.optim.config import OptimConfig
from conan_train.pretrain.config import PretrainConfig
from conan_train.pretrain.train import pretrain
from conan_train.report.model_sections import training_section
from conan_train.training.evaluations import Evaluations, Score
from conan_train.trainlog import NAME, read_events, read_log
from tests.conan_train.finetune.test_finetune import config_for, write_model, write_set
from tests.conan_train.training.test_extend import listed
from tests.conan_train.training.test_loop import Notebook, make

ROOT = Path(__file__).parents[3]
Inputs = tuple[Path, Path]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp("inputs")
    data = write_set(root / "set")
    # A few queries that the model does not see, of documents that it does.
    rows = (data / "qrels" / "train.tsv").read_text().splitlines()
    (data / "qrels" / "dev.tsv").write_text("\n".join([rows[0], *rows[1::2]]) + "\n")
    return data, write_model(root / "model")


def config(out: Path, inputs: Inputs, **values: Any) -> FinetuneConfig:
    """An evaluation every four steps of fourteen, whose mask is open from step 6 on."""
    return config_for(out, inputs, **{
        "steps": 14, "threads": 1, "log_every": 3, "checkpoint_every": 5, "keep_checkpoints": 1, "soft_mask_steps": 6, "dev": str(inputs[0]),
        "evaluate_every": 4, "bucket_tokens": 1024, "optim": OptimConfig(lr=5e-3, warmup_steps=2), **values,
    })  # fmt: skip


@pytest.fixture(scope="module")
def run(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finetune(config(tmp_path_factory.mktemp("runs") / "run", inputs))


def evaluations(out: Path) -> list[dict[str, Any]]:
    return [line for line in read_log(out / NAME) if line["event"] == "evaluation"]


def test_the_scores_are_those_of_evaluate(run: Path, inputs: Inputs, tmp_path: Path) -> None:
    found = evaluations(run)
    assert [line["step"] for line in found] == [4, 8, 12, 14]
    out = evaluate(
        EvaluateConfig(
            model=f"{run}@14", data=str(inputs[0]), split="dev", out=tmp_path / "scores", bootstrap=0
        )
    )
    scores = json.loads((out / "scores.json").read_text())
    expected = scores["mixed"]["scores"]["ndcg@10"]["value"]
    assert found[-1]["ndcg@10"] == {"mixed": pytest.approx(expected, rel=1e-5)}, "no pair has 20 queries"
    assert found[-1]["score"] == pytest.approx(expected, rel=1e-5)
    assert all(
        0 < line["share"] < 1 and line["seconds"] > 0
        for line in read_events(run / NAME)
        if line["event"] == "evaluation"
    )


def test_the_best_weights_are_published_and_stay_as_a_checkpoint(run: Path, inputs: Inputs) -> None:
    account = read_manifest(run)["extra"]["evaluations"]
    scores = {line["step"]: line["score"] for line in evaluations(run)}
    best = max((step for step in scores if step >= 6), key=lambda step: (scores[step], -step))
    assert account["best"]["step"] == account["published_step"] == best
    assert (
        account["last"]["step"] == 14 and account["stopped_early"] is False and account["metric"] == "ndcg@10"
    )
    assert {path.name for path in (run / "checkpoints").iterdir()} == {
        f"step-{step:08d}" for step in (best, 14)
    }
    assert load_encoder(run).fingerprint == load_encoder(f"{run}@{best}").fingerprint


def test_evaluations_change_nothing_of_the_run(run: Path, inputs: Inputs, tmp_path: Path) -> None:
    plain = finetune(config(tmp_path / "plain", inputs, dev="", evaluate_every=0))
    last = finetune(config(tmp_path / "last", inputs, publish="last"))
    assert (plain / "model" / "model.safetensors").read_bytes() == (
        last / "model" / "model.safetensors"
    ).read_bytes()
    assert [line for line in read_log(run / NAME) if line["event"] != "evaluation"] == read_log(plain / NAME)
    assert read_manifest(last)["extra"]["evaluations"]["published_step"] == 14


def test_it_ends_early_and_can_be_extended(inputs: Inputs, tmp_path: Path) -> None:
    values: dict[str, Any] = {"steps": 60, "early_stop": 2, "evaluate_every": 4, "log_every": 50}
    out = finetune(config(tmp_path / "run", inputs, **values))
    extra = read_manifest(out)["extra"]
    last = extra["steps"]
    assert (
        last < 60 and extra["evaluations"]["stopped_early"] and extra["evaluations"]["last"]["step"] == last
    )
    found = [line["step"] for line in evaluations(out)]
    assert found[-1] == last and found[-3] == extra["evaluations"]["best"]["step"]
    # The line of the steps since the last one is there, although it was not due.
    assert [line["step"] for line in read_log(out / NAME) if line["event"] == "step"] == [last]
    more = finetune(config(out, inputs, extend=True, **{**values, "steps": 70}))
    extra = read_manifest(more)["extra"]
    assert extra["steps"] > last + 4, "patience counts anew"
    assert [entry["step"] for entry in read_manifest(more)["extended_from"]] == [last]
    assert [line["step"] for line in evaluations(more)][: len(found)] == found


KILLED = """
import sys
from pathlib import Path
from conan_train.embedding.dev import DevSet
from conan_train.training.loop import Loop
from conan_train.finetune.train import finetune
from tests.killed_call import die_at_call
from tests.conan_train.training.test_evaluations import config
out, data, model, point, moment = sys.argv[1:]
owner = DevSet if hasattr(DevSet, point) else Loop
die_at_call(owner, point, int(moment))
finetune(config(Path(out), (Path(data), Path(model))))
"""


@pytest.mark.parametrize(
    "point",
    ["score:2", "_take:11", pytest.param("publish_weights:1", marks=pytest.mark.slow), pytest.param("score:4", marks=pytest.mark.slow),
     pytest.param("_log_evaluation:2", marks=pytest.mark.slow)],
)  # fmt: skip
def test_a_killed_run_has_the_same_bytes(point: str, run: Path, inputs: Inputs, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, str(out), *map(str, inputs), *point.split(":")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    finetune(config(out, inputs))
    assert listed(out) == listed(run)


SLOW = """
import sys, time
from pathlib import Path
from conan_data.artifact import open_artifact
from conan_data.command import main
from conan_train.cli import COMMANDS
from conan_train.embedding.dev import DevSet
score = DevSet.score
def slow(self, step):
    Path(sys.argv[1]).touch()
    time.sleep(60 if step == 8 else 0)
    return score(self, step)
DevSet.score = slow
sys.exit(main("conan-train", "", COMMANDS, sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_midst_of_an_evaluation_loses_no_step(
    signum: int, inputs: Inputs, tmp_path: Path
) -> None:
    data, model = map(str, inputs)
    flags = [
        *(
            "finetune",
            "--data",
            data,
            "--model",
            model,
            "--out",
            str(tmp_path / "run"),
            "--steps",
            "12",
            "--batch-size",
            "4",
        ),
        *(
            "--num-negatives",
            "0",
            "--max-length",
            "16",
            "--threads",
            "1",
            "--device",
            "cpu",
            "--checkpoint-every",
            "1000",
        ),
        *("--dev", data, "--evaluate-every", "8"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path / "begun"), *flags], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    until = time.monotonic() + 120
    while not (tmp_path / "begun").exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, errors[-2000:]
    assert (
        "in the evaluation after step 8 of 12, which is saved; run the same command again to go on" in errors
    )
    assert main("conan-train", "", COMMANDS, flags) == 0
    assert [line["step"] for line in evaluations(tmp_path / "run")] == [8, 12]


LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
TWO = """
import sys
from pathlib import Path
from conan_train.finetune.train import finetune
from tests.conan_train.training.test_evaluations import config
out, data, model, parallel = sys.argv[1:]
finetune(config(Path(out), (Path(data), Path(model)), parallel=parallel, early_stop=1, steps=24))
"""


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_agree_on_scores_the_best_and_the_end(
    parallel: str, inputs: Inputs, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(TWO)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*LAUNCH, str(tmp_path / "script.py"), str(tmp_path / "two"), *map(str, inputs), parallel],
        check=False, capture_output=True, text=True, env=env, timeout=300, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one = finetune(config(tmp_path / "one", inputs, early_stop=1, steps=24))
    for mine, theirs in zip(evaluations(one), evaluations(tmp_path / "two"), strict=True):
        assert theirs["score"] == pytest.approx(mine["score"], abs=0.02) and theirs["step"] == mine["step"]
    account = read_manifest(tmp_path / "two")["extra"]["evaluations"]
    best = account["published_step"]
    assert (
        load_encoder(tmp_path / "two").fingerprint == load_encoder(f"{tmp_path / 'two'}@{best}").fingerprint
    )


def test_a_language_model_by_its_held_out_documents(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": f"{'ab' * number} and more of this"}) + "\n" for number in range(40))
    )
    out = pretrain(PretrainConfig(
        model=str(inputs[1]), out=tmp_path / "lm", corpus=(str(tmp_path / "texts.jsonl"),), batch_tokens=64, micro_batch_tokens=64,
        sequence_length=32, device="cpu", threads=1, steps=40, evaluate_every=5, early_stop=1, optim=OptimConfig(lr=0.3),
    ))  # fmt: skip
    extra, found = read_manifest(out)["extra"], evaluations(out)
    account = extra["evaluations"]
    assert account["metric"] == "bits_per_byte" and extra["steps"] == found[-1]["step"] < 40
    assert account["best"]["score"] == pytest.approx(min(line["score"] for line in found), rel=1e-5)
    after = json.loads((out / "held_out.json").read_text())["after"]
    [[language, score]] = found[-2]["bits_per_byte"].items()
    assert account["published_step"] == found[-2]["step"] and after[language][
        "bits_per_byte"
    ] == pytest.approx(score, rel=1e-5)
    assert extra["trained_tokens"] == 64 * extra["steps"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dev", "SET"], "--evaluate-every: must be at least 1 with dev (such as 100), got 0"),
        (["--evaluate-every", "4"], "--dev: name the set that evaluate_every is for, got ''"),
        (["--early-stop", "4"], "--evaluate-every: must be at least 1 with early_stop, got 0"),
        (["--dev", "nowhere", "--evaluate-every", "4"], "--dev: nowhere: no such file or directory"),
        (["--dev", "SET", "--dev-split", "prod", "--evaluate-every", "4"], "prod"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_the_first_step(
    flags: list[str], words: str, inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, model = map(str, inputs)
    flags = [data if flag == "SET" else flag for flag in flags]
    own = [
        "finetune",
        "--data",
        data,
        "--model",
        model,
        "--out",
        str(tmp_path / "run"),
        "--steps",
        "8",
        "--num-negatives",
        "0",
    ]
    assert main("conan-train", "", COMMANDS, [*own, *flags]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_the_report_shows_scores_the_best_and_what_is_published(run: Path) -> None:
    section = training_section(open_artifact(run), name="run", number=0)
    assert section is not None
    assert sum("held-out" in figure["caption"] for figure in section["figures"]) == 1
    best = read_manifest(run)["extra"]["evaluations"]["best"]
    facts = dict(section["facts"])
    assert facts["best ndcg@10"] == f"{best['score']:.4f} at step {best['step']}"
    assert facts["published"] == f"step {best['step']}" and "ended early after step" not in facts


def test_trackers_get_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook()
    monkeypatch.setattr("conan_train.training.trackers.filter_trackers", lambda names, folder: [notebook])
    loop = make(tmp_path / "run", track=("tensorboard",), evaluate_every=2)
    loop.evaluations = Evaluations(Fixed(), every=2, patience=0)
    loop.train("run")
    found = {
        step: values["evaluation/score"] for step, values in notebook.lines if "evaluation/score" in values
    }
    assert found == {2: 0.0, 4: 0.0, 6: 0.0}
    assert all(isinstance(value, int | float) for _, values in notebook.lines for value in values.values())


class Fixed:
    metric, is_higher_better = "loss", False

    def score(self, step: int) -> Score:
        return Score(0.0)

    def counts(self, step: int) -> bool:
        return step >= 2


def test_the_best_is_the_first_of_equal_scores_that_count_and_patience_is_in_evaluations() -> None:
    found = Evaluations(Fixed(), every=1, patience=2)
    assert found.best_step is None and not found.is_over()
    for step, value, best, is_over in [(1, 0.1, None, False), (2, 0.5, 2, False), (3, 0.5, 2, False), (4, 0.4, 4, False), (5, 0.4, 4, False), (6, 0.6, 4, True)]:  # fmt: skip
        found.add(step, Score(value), seconds=1.0)
        assert (found.best_step, found.is_over()) == (best, is_over), step
    again = Evaluations(Fixed(), every=1, patience=2, counted_from=5)
    again.restore(json.loads(json.dumps(found.state())))
    assert again.scores == found.scores and not again.is_over()
    assert not again.is_due(6, is_last=True) and again.is_due(7, is_last=False)
