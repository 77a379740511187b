"""Mining for a trainer that does not wait: the newest weights in, generations out, for as long as the run lasts.

A service owes nobody anything. It may be late, be killed, find its weights deleted under its hands or the disk full:
it says so and goes on with the next weights, and one that is started again goes on with the vectors that it has. What
it publishes is whole or not there. Any number of services may serve a run; a claim keeps them from doing the same, and
one that finds a refresh under way takes part in its encoding (see `sharing`).
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from conan_data.errors import UserError
from conan_data.mining.encoder import Encoder
from conan_data.pairs.pair_set import PairSet
from conan_train.negatives.account import mining_facts
from conan_train.negatives.claim import Claims
from conan_train.negatives.cursors import EMPTY
from conan_train.negatives.generation import (
    Generation,
    load_generation,
    publish_generation,
    require_no_answers,
)
from conan_train.negatives.inbox import Inbox, generations_in
from conan_train.negatives.miner import Miner
from conan_train.negatives.sharing import SharedShards
from conan_train.negatives.snapshot import Snapshot, newest_snapshot, snapshot_of

log = logging.getLogger(__name__)

_LONGEST = 60.0
"""Seconds between two attempts while something is in the way, such as a full disk."""


class Served(Protocol):
    """One set that is mined."""

    @property
    def name(self) -> str: ...
    @property
    def pairs(self) -> PairSet: ...
    @property
    def store(self) -> str: ...
    @property
    def num_negatives(self) -> int: ...


@dataclass(kw_only=True)
class Service:
    """Of the run of `inbox`."""

    inbox: Inbox
    is_current: Callable[[], bool]
    """Whether the run is still the one that this was made for; another one may begin in its place."""
    sets: Sequence[Served]
    encoder_of: Callable[[Snapshot], Encoder]
    """The model with a snapshot's weights and alpha; raises `UserError` where it cannot be read, or is gone."""
    miner_of: Callable[[Served], Miner]
    window_of: Callable[[Served, int], np.ndarray]
    claims: Claims
    shared_of: Callable[[Served, int], SharedShards] | None = None
    """Vectors of the refresh at a step, where all services encode them together."""
    _helped: set[tuple[str, int]] = field(default_factory=set)
    _miners: dict[str, Miner] = field(default_factory=dict)

    def run(self, *, once: bool, poll: float) -> bool:
        """Until the run is finished or no longer current, or with `once` until something was mined; says whether
        that is the reason.
        """
        pause = poll
        while self.is_current() and not self.inbox.is_finished():
            try:
                if self.mine_newest() and once:
                    return True
                pause = poll
            except (UserError, OSError) as error:
                pause = max(poll, min(2 * pause, _LONGEST))
                log.warning("nothing was mined; the newest weights are tried in %.0f s: %s", pause, error)
            time.sleep(pause)
        return False

    def mine_newest(self) -> bool:
        """Mines all that nobody has mined with the newest weights, or is mining; says whether there was any."""
        snapshot = newest_snapshot(self.inbox.weights)
        if snapshot is None:
            return False
        did = False
        for served in self.sets:
            if self._newest_step(served) >= snapshot.step:
                continue
            # Where all encode together, a refresh with older weights comes first: two at once would both be late.
            name = served.name if self.shared_of else f"{served.name}-{snapshot.step:08d}"
            with self.claims.taken(name) as is_ours:
                # Looked at again, for it may have been mined by whoever had the claim.
                if is_ours and self._newest_step(served) < snapshot.step:
                    self._mine(served, snapshot)
                    did = True
            if not is_ours:
                self._help(served)
        return did

    def _help(self, served: Served) -> None:
        """Once for a refresh, for what is left then is search; not where its weights are gone by now."""
        step = self.inbox.shared_step(served.name)
        if self.shared_of is None or step is None or (served.name, step) in self._helped:
            return
        if (snapshot := snapshot_of(self.inbox.weights, step)) is not None:
            self.shared_of(served, step).fill(self.encoder_of(snapshot), served.pairs.data)
            self._helped.add((served.name, step))

    def _mine(self, served: Served, snapshot: Snapshot) -> None:
        start = time.monotonic()
        encoder = self.encoder_of(snapshot)
        miner = self._miners.setdefault(served.name, self.miner_of(served))
        mining = miner.mine(
            encoder,
            step=snapshot.step,
            window=self.window_of(served, snapshot.step),
            previous=self._previous(served),
        )
        seconds = time.monotonic() - start
        generation = publish_generation(
            self.inbox.generations(served.store),
            mining.pools,
            served.pairs.data,
            step=snapshot.step,
            checkpoint=encoder.fingerprint,
            command="conan-train mine-service",
            extra={
                "candidates": mining.pools.counts,
                "refresh": mining_facts(mining, num_negatives=served.num_negatives),
            },
            seconds=seconds,
        )
        require_no_answers(generation, served.pairs.arrays)
        log.info("mined %s in %.1f s", generation.name, seconds)

    def _published(self, served: Served) -> list[tuple[int, Path]]:
        """Those that the trainer has not taken up yet, and those that it has; the newest last."""
        return generations_in(self.inbox.run / served.store, self.inbox.generations(served.store))

    def _newest_step(self, served: Served) -> int:
        return max((step for step, _ in self._published(served)), default=-1)

    def _previous(self, served: Served) -> Generation:
        for _, path in reversed(self._published(served)):
            try:
                return load_generation(path, served.pairs.data)
            except (UserError, OSError) as error:  # damaged, or being taken up right now
                log.warning("passed over: %s", error)
        row_QP = np.full((served.pairs.num_queries, 0), EMPTY, np.int32)
        return Generation(name="", step=-1, row_QP=row_QP, score_QP=np.zeros(row_QP.shape, np.float32))
