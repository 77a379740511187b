"""The training loop that all stages share.

A step is a function of the config, its number and the state in the checkpoint, and of nothing else: data,
learning rate, alpha and the seed of whatever is random follow from the number. So a run that was killed and
resumed ends with the same weights, bit by bit on a CPU with the same number of threads. The order within a step:
prepare (a refresh of negatives, if one is due); loss and gradients; the check of both on all processes; the
update; commit (the rule moves the cursors); the log; the checkpoint. A run that is asked to end (SIGTERM, Ctrl-C) ends
after the step in which any process has heard of it, with a checkpoint of that step.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from conan_data import interruption
from conan_data.checkpoint_names import FOLDER, named
from conan_data.progress import duration, progress
from conan_train.checkpoint.state import Process, latest_checkpoint, load_checkpoint, save_checkpoint
from conan_train.model.peak import peak_flops
from conan_train.optim.groups import set_lr
from conan_train.optim.optimizer import make_optimizer
from conan_train.optim.schedule import lr_at
from conan_train.training.config import TrainingConfig
from conan_train.training.evaluations import Evaluations, Evaluator
from conan_train.training.notices import Notices
from conan_train.training.objective import Objective, ObjectiveState
from conan_train.training.parallel import clip_gradients, highest
from conan_train.training.refusal import not_finite, refuse
from conan_train.training.trackers import start_trackers
from conan_train.training.window import Window
from conan_train.trainlog import NAME, TrainLog

log = logging.getLogger(__name__)


class Loop:
    """Takes `num_steps` steps of `objective` over the parameters of `model` (bare, on its device); below
    `directory` are `checkpoints/` and the log. `settings` gives a folder with the files that make the weights after so
    many steps a model, for a checkpoint; `extended_at` is the step at which a shorter run was last extended to this one;
    `evaluator` scores the weights on the way.
    """

    def __init__(
        self,
        config: TrainingConfig,
        objective: Objective,
        *,
        model: torch.nn.Module,
        accelerator: Accelerator,
        num_steps: int,
        directory: Path,
        settings: Callable[[int], Path] | None = None,
        extended_at: int = 0,
        evaluator: Evaluator | None = None,
    ) -> None:
        # Refuses a schedule that does not fit before anything is written.
        lr_at(0, config.optim, num_steps=num_steps)
        self.config, self.objective, self.model = config, objective, model
        self.accelerator, self.num_steps, self.directory = accelerator, num_steps, directory
        self.settings, self.extended_at = settings, extended_at
        self.bare_optimizer = make_optimizer(model, config.optim)
        self.optimizer = accelerator.prepare_optimizer(self.bare_optimizer)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.log = TrainLog(directory / NAME)
        self.peak = peak_flops(accelerator.device) if config.precision == "bf16" else None
        self.window, self.notices = Window(), Notices()
        self.evaluations = (
            Evaluations(evaluator, config.evaluate_every, config.early_stop, counted_from=extended_at)
            if evaluator is not None
            else None
        )
        self.step = 0
        self._signum = 0

    def resume(self) -> bool:
        """Takes up the newest whole checkpoint, and cuts the log back to it; says whether there was one."""
        found = latest_checkpoint(self.directory / FOLDER)
        if found is not None:
            loaded = load_checkpoint(found, model=self.model, optimizer=self.bare_optimizer)
            self.step, self.window = loaded.step, Window(**loaded.extra["window"])
            self.notices.restore(loaded.extra["notices"])
            if self.evaluations is not None:
                self.evaluations.restore(loaded.extra["evaluations"])
            self.objective.restore(ObjectiveState(loaded.extra["objective"], loaded.arrays))
            self._tell_where_it_goes_on()
        if self.accelerator.is_main_process:
            self.log.cut(loaded.extra["log"] if found is not None else None)
        return found is not None

    def _tell_where_it_goes_on(self) -> None:
        assert self.step <= self.num_steps, "a run of more steps than its config has"
        if self.step != self.extended_at or not self.extended_at:
            log.info("continuing after step %d", self.step)
            return
        log.info(
            "extended from step %d to %d: the learning rate goes on at %.3g, as in a run planned for %d steps, without a second "
            "warm-up; the order of the data, the soft mask and refreshes of negatives go on by the number of the step",
            *(self.step, self.num_steps),
            lr_at(min(self.step, self.num_steps - 1), self.config.optim, num_steps=self.num_steps),
            self.num_steps,
        )

    def train(self, description: str) -> None:
        """Takes the steps that are left. Raises `UserError` before an update whose loss or gradient is not
        finite.
        """
        start_trackers(self.accelerator, self.config, self.directory)
        self.model.train()
        with interruption.deferred():
            # First that of the checkpoint from which the run goes on, which was saved before it.
            is_over = self._evaluate()
            steps = range(self.step, self.step if is_over else self.num_steps)
            for step in progress(steps, description, done=self.step, unit="step"):
                self._prepare(step)
                start = time.monotonic()
                self._take(step, start)
                self.step = step + 1
                if self.step % self.config.log_every == 0 or self.step == self.num_steps:
                    self._log_steps()
                if self._is_saved(self.step):
                    self.save()
                if self._signum and self.step < self.num_steps:
                    self._stop()
                if self._evaluate():
                    break
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def publish_weights(self) -> int:
        """Put the weights that are to be published into the model, and return their step."""
        if self.evaluations is None:
            return self.step
        step = self.evaluations.published_step(publish=self.config.publish, last=self.step)
        if step != self.step:
            load_checkpoint(self.directory / FOLDER / named(step), model=self.model)
            log.info("the weights of step %d are published, those of the best score", step)
        return step

    def account(self) -> dict[str, Any]:
        """Return what a manifest says of the steps that were taken, and of evaluations."""
        if self.evaluations is None:
            return {"steps": self.step}
        found = self.evaluations.account(
            publish=self.config.publish, last=self.step, num_steps=self.num_steps
        )
        return {"steps": self.step, "evaluations": found}

    def _is_saved(self, step: int) -> bool:
        return step % self.config.checkpoint_every == 0 or step == self.num_steps or self._is_evaluated(step)

    def _is_evaluated(self, step: int) -> bool:
        """Whether the weights after `step` steps are still to be evaluated."""
        return self.evaluations is not None and self.evaluations.is_due(step, is_last=step == self.num_steps)

    def _evaluate(self) -> bool:
        """Evaluate where it is due; return whether the run ends before its last step."""
        if self.evaluations is None:
            return False
        if self._is_evaluated(self.step):
            start = time.monotonic()
            try:
                with interruption.at_once():
                    score = self.evaluations.evaluator.score(self.step)
            except interruption.Interrupted as error:
                raise interruption.Interrupted(
                    error.signum,
                    f" in the evaluation after step {self.step} of {self.num_steps}, which is saved",
                ) from None
            self._log_evaluation(self.evaluations.add(self.step, score, seconds=time.monotonic() - start))
        if self.step == self.num_steps or not self.evaluations.is_over():
            return False
        if self.window.num_steps:
            self._log_steps(is_last=True)
        log.info(
            "ended after step %d of %d: no score of the last %d evaluations is better than that of step %s (early_stop)",
            *(self.step, self.num_steps, self.config.early_stop, self.evaluations.best_step),
        )
        return True

    def _prepare(self, step: int) -> None:
        try:
            self.objective.prepare(step)
        except interruption.Interrupted:
            # In the middle of mining, before anything has changed: the steps that were taken are at hand. Several
            # processes cannot save here, for they are not at the same point.
            if self.accelerator.num_processes == 1 and not self._is_saved(step):
                self.save()
            raise

    def _stop(self) -> None:
        """All processes were asked to end, and are at the same step."""
        if not self._is_saved(self.step):
            self.save()
        raise interruption.Interrupted(
            self._signum, f" after step {self.step} of {self.num_steps}, which is saved"
        )

    def save(self) -> None:
        """Writes a checkpoint of the steps that were taken."""
        state = self.objective.state()
        save_checkpoint(
            self.directory / FOLDER,
            step=self.step,
            model=self.model,
            optimizer=self.bare_optimizer,
            extra={
                "objective": state.extra,
                "window": dataclasses.asdict(self.window),
                "notices": self.notices.state(),
                "evaluations": self.evaluations.state() if self.evaluations is not None else None,
                "log": self.log.mark() if self.accelerator.is_main_process else None,
            },
            arrays=state.arrays,
            keep=self.config.keep_checkpoints,
            protected=self.evaluations.best_step if self.evaluations is not None else None,
            settings=self.settings(self.step) if self.settings and self.accelerator.is_main_process else None,
            process=Process(
                self.accelerator.process_index,
                self.accelerator.num_processes,
                self.accelerator.wait_for_everyone,
            ),
        )

    def _take(self, step: int, start: float) -> None:
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        torch.manual_seed((self.config.seed * self.num_steps + step) * world + rank)
        set_lr(self.bare_optimizer, lr_at(step, self.config.optim, num_steps=self.num_steps))
        outcome = self.objective.backward(step)
        if self.accelerator.mixed_precision == "fp16":
            self.accelerator.unscale_gradients(self.optimizer)
        norm = float(clip_gradients(self.parameters, self.config.optim.grad_clip or math.inf))
        cause = not_finite(outcome.loss, norm, may_overflow=self.accelerator.mixed_precision == "fp16")
        # One exchange for both, so that asking whether to stop costs nothing.
        is_refused, self._signum = highest(
            (int(cause is not None), interruption.requested()), self.accelerator
        )
        if is_refused:
            raise refuse(
                self.directory,
                cause or "loss or gradient of another process is not finite",
                step=step,
                ids=self.objective.batch_ids(step),
                accelerator=self.accelerator,
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        more = self.objective.commit(step, outcome)
        outcome = dataclasses.replace(outcome, means={**outcome.means, "grad_norm": (norm, 1)})
        seconds = time.monotonic() - start
        self.window.add(outcome, more, seconds=seconds)
        if self.evaluations is not None:
            self.evaluations.seconds_trained += seconds

    def _log_steps(self, *, is_last: bool = False) -> None:
        """Writes the means of the window and begins a new one."""
        event: dict[str, Any] = {
            "event": "step",
            "step": self.step,
            "lr": lr_at(self.step - 1, self.config.optim, num_steps=self.num_steps),
            **self.objective.figures(self.step - 1),
            **self.window.figures(self.objective.unit),
        }
        if self.peak and self.objective.flops_per_unit:
            rate = event[f"{self.objective.unit}_per_second"] * self.objective.flops_per_unit
            event["mfu"] = rate / (self.peak * self.accelerator.num_processes)
        self.window = Window()
        if not self.accelerator.is_main_process:
            return
        if found := self.objective.warnings(event):
            event["warnings"] = [str(notice) for notice in found]
        self.log.append(event)
        self.accelerator.log(dict(flat(event)), step=self.step)
        log.info("step %d of %d: %s", self.step, self.num_steps, _line(event, self.objective.unit))
        is_last = is_last or self.step == self.num_steps
        for line in self.notices.update(self.step, found, is_last=is_last):
            log.warning("step %d: %s", self.step, line)

    def _log_evaluation(self, event: dict[str, Any]) -> None:
        if not self.accelerator.is_main_process:
            return
        self.log.append(event)
        numbers = {name: value for name, value in event.items() if name not in ("event", "step", "metric")}
        self.accelerator.log(dict(flat({"evaluation": dict(flat(numbers))})), step=self.step)
        best = event["best_step"]
        log.info(
            "step %d: held-out %s %.4f (%s), in %s, %.0f%% of the time so far",
            *(self.step, event["metric"], event["score"]),
            "no best yet" if best is None else "the best" if best == self.step else f"best is step {best}",
            *(duration(event["seconds"]), 100 * event["share"]),
        )


def flat(event: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The numbers of a log event, those of groups under `field/group`."""
    pairs = []
    for name, value in event.items():
        if isinstance(value, Mapping):
            pairs += [(f"{name}/{group}", number) for group, number in value.items()]
        elif isinstance(value, int | float):
            pairs.append((name, value))
    return pairs


_SHOWN = ("loss", "positive_score", "negative_score", "accuracy", "lr", "mfu")
"""What a person reads while a run goes on; the rest is in the log, the trackers and the report."""


def _line(event: Mapping[str, Any], unit: str) -> str:
    """A log event in a line for a person."""
    return ", ".join(
        f"{name.replace('_', ' ')} {event[name]:.4g}"
        for name in (*_SHOWN, f"{unit}_per_second")
        if event.get(name) is not None and not math.isnan(event[name])
    )
