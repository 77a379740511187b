"""The loop around an objective of one parameter: seeds, schedules, refusal, trackers, clipping."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.tracking import GeneralTracker, on_main_process

from conan_data.errors import UserError
from conan_train.checkpoint.state import latest_checkpoint
from conan_train.device import make_accelerator
from conan_train.optim.config import OptimConfig
from conan_train.training.config import TrainingConfig
from conan_train.training.loop import Loop
from conan_train.training.notices import Notice
from conan_train.training.objective import ObjectiveState, Outcome
from conan_train.training.parallel import clip_gradients
from conan_train.training.refusal import FILE, not_finite
from conan_train.training.trackers import require_trackers
from conan_train.trainlog import NAME, read_log


class Draws:
    """An objective whose gradient is drawn; `bad` is the step whose gradient, or loss, is not finite."""

    unit = "draws"
    flops_per_unit = None

    def __init__(self, model: torch.nn.Linear, *, bad: int = -1, part: str = "loss") -> None:
        self.model, self.bad, self.part, self.drawn = model, bad, part, {}
        self.warned = {4}

    def prepare(self, step: int) -> None:
        torch.rand(step % 3)  # what a step draws must not depend on what was drawn before it

    def backward(self, step: int) -> Outcome:
        self.drawn[step] = torch.rand(3).tolist()
        is_bad = step == self.bad
        self.model.weight.grad = torch.tensor([self.drawn[step]])
        if is_bad and self.part == "gradient":
            self.model.weight.grad[0, 1] = math.nan
        return Outcome(loss=math.inf if is_bad and self.part == "loss" else 1.0 / (step + 1), size=2)

    def commit(self, step: int, outcome: Outcome) -> Mapping[str, int]:
        return {"moved": step}

    def figures(self, step: int) -> Mapping[str, float]:
        return {"alpha": step / 10}

    def warnings(self, event: Mapping[str, Any]) -> list[Notice]:
        found = Notice(name="n", words="a warning", advice="do this", normal_until=4, over="all is well")
        return [found] if event["step"] in self.warned else []

    def batch_ids(self, step: int) -> list[str]:
        return [f"row {step}-{number}" for number in range(5)]

    def state(self) -> ObjectiveState:
        return ObjectiveState()

    def restore(self, state: ObjectiveState) -> None: ...


def make(folder: Path, *, bad: int = -1, part: str = "loss", num_steps: int = 6, **values: Any) -> Loop:
    config = TrainingConfig(**{
        "out": folder, "steps": num_steps, "device": "cpu", "log_every": 2, "checkpoint_every": 2, "optim": OptimConfig(lr=0.1, warmup_steps=2),
    } | values)  # fmt: skip
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False)
    objective = Draws(model, bad=bad, part=part)
    accelerator = make_accelerator("cpu", "no")
    return Loop(
        config, objective, model=model, accelerator=accelerator, num_steps=num_steps, directory=folder
    )


def test_what_a_step_draws_follows_from_seed_and_step(tmp_path: Path) -> None:
    one, other = make(tmp_path / "a"), make(tmp_path / "b", seed=1)
    one.train("a")
    other.train("b")
    assert len({tuple(drawn) for loop in (one, other) for drawn in loop.objective.drawn.values()}) == 12
    again = make(tmp_path / "a")
    assert again.resume() and again.step == 6
    # A run that is resumed in the middle draws the same for the steps that are left.
    for step in (6,):
        (tmp_path / "a" / "checkpoints" / f"step-{step:08d}" / "meta.json").unlink()
    half = make(tmp_path / "a")
    half.resume()
    half.train("a")
    assert half.objective.drawn == {step: one.objective.drawn[step] for step in (4, 5)}
    assert torch.equal(half.model.weight, one.model.weight)


def test_the_log_has_lr_figures_counts_and_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path / "run").train("run")
    lines = read_log(tmp_path / "run" / NAME)
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert [line["lr"] for line in lines] == [0.1, 0.055, 0.01]
    assert [line["alpha"] for line in lines] == [0.1, 0.3, 0.5] and [line["moved"] for line in lines] == [
        1,
        5,
        9,
    ]
    assert [line.get("warnings") for line in lines] == [
        None,
        [text := "a warning; normal up to step 4; if it stays, do this"],
        None,
    ]
    assert f"step 4: {text} (said once; a line follows when it is over)" in caplog.text
    assert "step 6: all is well" in caplog.text


def test_a_warning_is_said_when_it_begins_when_it_is_late_and_when_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of eight lines with a warning and one gap, over a run that is resumed in the middle of them."""
    warned = {2, 4, 6, 10, 12, 14}
    run = make(tmp_path / "run", num_steps=24, keep_checkpoints=20)
    run.objective.warned = warned
    run.train("run")
    whole = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert whole == [
        "step 2: a warning; normal up to step 4; if it stays, do this (said once; a line follows when it is over)",
        "step 6: still there after step 4: a warning; do this",
        "step 20: all is well",
    ]
    caplog.clear()
    for step in range(10, 25, 2):
        (tmp_path / "run" / "checkpoints" / f"step-{step:08d}" / "meta.json").unlink()
    again = make(tmp_path / "run", num_steps=24, keep_checkpoints=20)
    again.objective.warned = warned
    again.resume()
    again.train("run")
    again_said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [line for line in again_said if line.startswith("step")] == whole[2:]


@pytest.mark.parametrize(("part", "cause"), [("loss", "loss is inf"), ("gradient", "gradient norm is nan")])
def test_a_step_that_is_not_finite_is_refused(part: str, cause: str, tmp_path: Path) -> None:
    loop = make(tmp_path / "run", bad=3, part=part)
    with pytest.raises(
        UserError, match=rf"^{cause} at step 4 \(row 3-0, row 3-1, row 3-2, ...\); its batch is in"
    ):
        loop.train("run")
    told = json.loads((tmp_path / "run" / FILE).read_text())
    assert told == {"step": 3, "cause": cause, "ids": [f"row 3-{number}" for number in range(5)]}
    newest = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest is not None and newest.name == "step-00000002"
    other = make(tmp_path / "run")
    other.resume()
    assert torch.isfinite(other.model.weight).all()


def test_fp16_skips_a_gradient_that_overflows_by_itself() -> None:
    assert not_finite(1.0, math.inf, may_overflow=True) is None
    assert not_finite(1.0, math.inf, may_overflow=False) == "gradient norm is inf"
    assert not_finite(math.nan, 1.0, may_overflow=True) == "loss is nan"


def test_a_warm_up_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"optim.warmup_steps: must be less than the 5 steps of the run, got 5"
    ):
        TrainingConfig(out=tmp_path, steps=5, optim=OptimConfig(warmup_steps=5))
    with pytest.raises(UserError, match=r"optim.warmup_steps"):
        # Steps that follow from epochs are known here only.
        make(tmp_path / "run", num_steps=2, steps=0)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_tracker_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = TrainingConfig(out=tmp_path, track=("tensorboard",))
    with pytest.raises(UserError, match=r"^track: tensorboard is not installed; pip install tensorboard, or"):
        require_trackers(config)


class Notebook(GeneralTracker):
    name = "notebook"
    requires_logging_directory = False
    tracker = None

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {}
        self.lines: list[tuple[int, dict[str, Any]]] = []
        self.is_finished = False

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.config = values

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None, **named: Any) -> None:
        assert step is not None
        self.lines.append((step, values))

    @on_main_process
    def finish(self) -> None:
        self.is_finished = True


def test_a_tracker_gets_the_figures_as_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook()
    monkeypatch.setattr("conan_train.training.trackers.filter_trackers", lambda names, folder: [notebook])
    loop = make(tmp_path / "run", track=("tensorboard",))
    loop.train("run")
    assert notebook.config["optim.lr"] == 0.1 and notebook.is_finished
    lines = read_log(tmp_path / "run" / NAME)
    assert [step for step, _ in notebook.lines] == [2, 4, 6]
    for (_, values), line in zip(notebook.lines, lines, strict=True):
        assert all(isinstance(value, int | float) for value in values.values())
        assert values["loss"] == pytest.approx(line["loss"], rel=1e-5)
        assert values["alpha"] == line["alpha"]


def test_gradients_are_clipped_by_the_norm_of_all() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in (2, 3, 1)]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0, 0.0])
    assert float(clip_gradients(parameters, 1.0)) == 5.0
    assert parameters[0].grad.tolist() == pytest.approx([0.6, 0.0])
    assert parameters[1].grad.tolist() == pytest.approx([0.0, 0.8, 0.0])
    assert float(clip_gradients(parameters, math.inf)) == pytest.approx(1.0)
    assert parameters[1].grad.tolist() == pytest.approx([0.0, 0.8, 0.0])


def test_a_precision_that_the_device_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match="precision: fp16 does not work on cpu; use bf16, or no"):
        make_accelerator("cpu", "fp16")
    assert make_accelerator("cpu", "bf16").native_amp
    assert make_accelerator("cpu", "no").mixed_precision == "no"
