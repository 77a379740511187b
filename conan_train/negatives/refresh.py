"""Mining in the middle of training: the model as it is now, alpha included, encodes the set and chooses new
pools.

This is the inline mode: training waits, and a resumed run is the same run. The main process mines with the vectors
of all (see `shared_encoder`) and publishes; all processes receive the generation's name, load it from the store and
compare what they read, so none can train on another one. How much is encoded is the miner's matter (see `miner`).
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedTokenizerFast

from conan_data import interruption
from conan_data.distributed import Ranks
from conan_train.model.embedder import Embedder
from conan_train.model.encoder import CheckpointEncoder
from conan_train.negatives.account import account, mining_facts
from conan_train.negatives.agreement import require_agreement
from conan_train.negatives.generation import load_generation, publish_generation, require_no_answers
from conan_train.negatives.mined import Mined
from conan_train.negatives.miner import Miner, Mining
from conan_train.negatives.shared_encoder import SharedEncoder
from conan_train.training.twin import whole_embedder
from conan_train.trainlog import TrainLog

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Refresher:
    """Mines anew before every `every`-th step, and before the first one where there is nothing to begin with."""

    embedder: Embedder
    tokenizer: PreTrainedTokenizerFast
    accelerator: Accelerator
    ranks: Ranks
    every: int
    miner_of: Callable[[Mined], Miner]
    batch_tokens: int
    log: TrainLog
    num_refreshes: int = 0
    seconds: float = 0.0
    _miners: dict[str, Miner] = field(default_factory=dict)

    def run_if_due(
        self, step: int, mined: Mined, *, seconds_trained: float, window: Callable[[], np.ndarray]
    ) -> None:
        """Before step `step`; `seconds_trained` is what the steps so far took, `window` gives the rows of the
        queries of the next `every` steps.
        """
        if mined.task.num_negatives and step % self.every == 0 and (step > 0 or not mined.given):
            self._run(step, mined, seconds_trained=seconds_trained, window=window())

    def figures(self, step: int, mined: Mined, *, seconds_trained: float) -> Mapping[str, float]:
        """For a line of the log: steps since the weights that chose the negatives."""
        return {"staleness": mined.generation.staleness(step)}

    def state(self) -> dict[str, Any]:
        return {"num_refreshes": self.num_refreshes, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.num_refreshes, self.seconds = state["num_refreshes"], state["seconds"]

    def start(self, step: int) -> None:
        """Nothing has to be ready."""

    def close(self) -> None:
        """Nothing runs between two steps."""

    def _run(self, step: int, mined: Mined, *, seconds_trained: float, window: np.ndarray) -> None:
        start, old = time.monotonic(), mined.generation
        encoder = SharedEncoder(
            CheckpointEncoder(
                whole_embedder(self.embedder, self.accelerator.device),
                self.tokenizer,
                batch_tokens=self.batch_tokens,
            ),
            self.ranks,
            self.accelerator,
        )
        # Mining takes too long to wait for its end, and changes nothing of the run before that.
        with interruption.at_once():
            name, facts = encoder.lead(lambda: self._mine(step, mined, encoder, window))
        new = load_generation(mined.store / name, mined.task.pairs.data)
        require_agreement(new, self.accelerator)
        mined.use(new)
        seconds = time.monotonic() - start
        self.seconds += seconds
        self.num_refreshes += 1
        event = account(
            mined,
            old,
            step=step,
            mode="inline",
            facts={**facts, "seconds": seconds},
            share=self.seconds / (self.seconds + seconds_trained),
            trigger="start" if step == 0 else f"every {self.every} steps",
        )
        if self.accelerator.is_main_process:
            self.log.append(event)

    def _mine(
        self, step: int, mined: Mined, encoder: SharedEncoder, window: np.ndarray
    ) -> tuple[str, dict[str, Any]]:
        """Name of the generation, and what the mining took."""
        miner = self._miners.setdefault(mined.name, self.miner_of(mined))
        mining: Mining = miner.mine(encoder, step=step, window=window, previous=mined.generation)
        generation = publish_generation(
            mined.store,
            mining.pools,
            mined.task.pairs.data,
            step=step,
            checkpoint=encoder.fingerprint,
            command="conan-train finetune",
            extra={"candidates": mining.pools.counts},
        )
        require_no_answers(generation, mined.task.pairs.arrays)
        return generation.name, mining_facts(mining, num_negatives=mined.task.num_negatives)
