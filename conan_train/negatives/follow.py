"""Negatives that others mine: the trainer gives weights, looks for generations, and never waits.

Between two steps the first process looks into the inbox (see `inbox`), at most every second. A whole new generation
is moved into the run, read and checked in a thread. At the steps that are a multiple of `look_every` all processes
are told its name; each reads it in a thread of its own, and once all have it they change together, between two steps.
So the trainer's own time goes into a copy of the weights now and then, and a glance at a folder: `stall` in the log
is the share of training time that this took.

Whatever goes wrong on the other side, a service that is dead or slow, a generation that is damaged or wrong, a full
disk, costs a warning: the old negatives stay in use, and how old they are is in every line of the log.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from conan_data.distributed import Ranks
from conan_data.errors import UserError
from conan_train.negatives.account import account
from conan_train.negatives.agreement import require_agreement
from conan_train.negatives.generation import (
    Generation,
    load_generation,
    mining_record,
    require_no_answers,
)
from conan_train.negatives.inbox import Inbox, generations_in
from conan_train.negatives.mined import Mined
from conan_train.negatives.snapshot import SnapshotWriter, drop_snapshots_after
from conan_train.negatives.worker import Worker
from conan_train.training.parallel import any_process
from conan_train.trainlog import TrainLog

log = logging.getLogger(__name__)

_GLANCE = 1.0
"""Seconds between two looks into the inbox, at least."""


@dataclass
class _Reading:
    """A generation while a thread reads it; `result` is None where it cannot be used."""

    name: str
    thread: threading.Thread | None = None
    result: Generation | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.thread is not None and not self.thread.is_alive()


@dataclass(kw_only=True)
class Follower:
    """`every` steps lie between two snapshots, `look_every` between two steps at which processes may change."""

    inbox: Inbox
    writer: SnapshotWriter
    accelerator: Accelerator
    ranks: Ranks
    every: int
    look_every: int
    stale_after: int
    mode: str
    log: TrainLog
    worker: Worker | None = None
    num_refreshes: int = 0
    seconds: float = 0.0
    """Of training time, for mining."""
    _readings: dict[str, _Reading] = field(default_factory=dict)
    _useless: set[str] = field(default_factory=set)
    _warned_of: set[str] = field(default_factory=set)
    _glanced: dict[str, float] = field(default_factory=dict)
    _warned: int = 0
    _written: int = -1

    def run_if_due(
        self, step: int, mined: Mined, *, seconds_trained: float, window: Callable[[], np.ndarray]
    ) -> None:
        """Before step `step`: gives weights, and takes up what is new, where one is due."""
        if not mined.task.num_negatives:
            return
        start = time.monotonic()
        if step % self.every == 0 and step != self._written:
            self._written = step
            self.writer.write(step)
        if self.accelerator.is_main_process:
            self._glance(step, mined)
        new = self._agreed(mined) if step % self.look_every == 0 else None
        if new is not None:
            self._take_up(step, mined, new, seconds_trained=seconds_trained, start=start)
        self.seconds += time.monotonic() - start
        self._warn_if_stale(step, mined)

    def figures(self, step: int, mined: Mined, *, seconds_trained: float) -> Mapping[str, float]:
        """For a line of the log: the age of the negatives in steps, and the share of time that following took."""
        return {
            "staleness": mined.generation.staleness(step),
            "stall": self.seconds / max(self.seconds + seconds_trained, 1e-9),
        }

    def state(self) -> dict[str, Any]:
        return {"num_refreshes": self.num_refreshes, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.num_refreshes, self.seconds = state["num_refreshes"], state["seconds"]

    def close(self) -> None:
        """Ends the worker and the threads."""
        if self.worker is not None:
            self.worker.stop()
        self.writer.close()
        for reading in self._readings.values():
            if reading.thread is not None:
                reading.thread.join()

    def start(self, step: int) -> None:
        """When the run begins, or goes on after `step` steps."""
        if self.accelerator.is_main_process:
            drop_snapshots_after(self.inbox.weights, step)
            if self.worker is not None:
                self.worker.start()

    def _glance(self, step: int, mined: Mined) -> None:
        """In the main process: begins to read the newest generation that is not in use."""
        now = time.monotonic()
        if now - self._glanced.get(mined.name, -_GLANCE) < _GLANCE:
            return
        self._glanced[mined.name] = now
        if self.worker is not None:
            self.worker.keep_alive()
        reading = self._readings.get(mined.name)
        if reading is not None and not reading.is_done:
            return
        # In the run lies what one that was killed had moved, and had not yet used when it last saved.
        found = [
            path
            for own, path in generations_in(mined.store, self.inbox.generations(mined.store.name))
            if mined.generation.step < own <= step and path.name not in self._useless
        ]
        if not found:
            return
        newest = found[-1]
        if reading is None or reading.name != newest.name or reading.result is None:
            self._read(newest.name, mined, moved_from=newest)

    def _agreed(self, mined: Mined) -> _Reading | None:
        """What all processes have read and are to change to now; all have to call it."""
        own = self._readings.get(mined.name)
        told = self.ranks.share(
            own.name if own is not None and own.is_done and own.result is not None else ""
        )
        if not told:
            return None
        if self.ranks.world_size == 1:
            return own
        if not self.accelerator.is_main_process and (
            own is None or own.name != told or (own.is_done and own.result is None)
        ):
            own = self._read(told, mined)
        assert own is not None
        is_late = not own.is_done or own.result is None
        return None if any_process(is_late, self.accelerator) else own

    def _read(self, name: str, mined: Mined, moved_from: Path | None = None) -> _Reading:
        """In a thread; the main process checks what it reads, and moves it into the run first."""
        reading = _Reading(name)

        def read() -> None:
            try:
                if moved_from is not None:
                    _move(moved_from, mined.store / name)
                generation = load_generation(mined.store / name, mined.task.pairs.data)
                reading.facts = mining_record(mined.store / name)
                if moved_from is not None:
                    require_no_answers(generation, mined.task.pairs.arrays)
                reading.result = generation
            except (UserError, OSError, ValueError) as error:
                if moved_from is None:  # it may be seen here a moment later
                    return
                if name not in self._warned_of:
                    self._warned_of.add(name)
                    stays = mined.generation.name or "nothing"
                    log.warning("%s: not used, %s stays (%s)", name, stays, error)
                if (mined.store / name).exists():  # else it could not be moved, and is tried again
                    self._useless.add(name)
                    shutil.rmtree(mined.store / name, ignore_errors=True)

        reading.thread = threading.Thread(target=read, name="generation", daemon=True)
        self._readings[mined.name] = reading
        reading.thread.start()
        return reading

    def _take_up(
        self, step: int, mined: Mined, reading: _Reading, *, seconds_trained: float, start: float
    ) -> None:
        assert reading.result is not None
        old = mined.generation
        require_agreement(reading.result, self.accelerator)
        mined.use(reading.result)
        del self._readings[mined.name]
        self.num_refreshes += 1
        self._warned = 0
        spent = self.seconds + time.monotonic() - start
        event = account(
            mined,
            old,
            step=step,
            mode=self.mode,
            facts=reading.facts,
            share=spent / max(spent + seconds_trained, 1e-9),
            trigger=f"{self.mode}, weights of step {reading.result.step}",
        )
        if self.accelerator.is_main_process:
            self.log.append(event)

    def _warn_if_stale(self, step: int, mined: Mined) -> None:
        """Once for every `stale_after` steps."""
        times = mined.generation.staleness(step) // self.stale_after
        if times > self._warned and self.accelerator.is_main_process:
            self._warned = times
            log.warning(
                "step %d: the negatives are %d steps old (%s); is a mining service running?",
                *(step, mined.generation.staleness(step), mined.generation.name or "none were mined yet"),
            )


def _move(source: Path, target: Path) -> None:
    """Into the run; one that a killed run has moved already stays as it is."""
    if source == target:
        return
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        shutil.rmtree(source, ignore_errors=True)
    else:
        os.rename(source, target)
