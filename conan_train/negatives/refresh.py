"""Mining in the middle of training: the model as it is now, alpha included, encodes the set and chooses new
pools.

This is the full refresh: every query and document is encoded with the current weights, and the exact nearest
documents are filtered by the same code as in `conan-data mine`. It runs inline, between two steps, and its
result is a generation (see `generation`). The main process mines and publishes; all processes receive the
generation's name and load it from the store, so none can train on another one.
"""

import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from transformers import PreTrainedTokenizerFast

from conan_data.mining.arrays import document_texts
from conan_data.mining.config import SelectionConfig
from conan_data.mining.pools import mine_pools
from conan_data.mining.search.exact import ExactSearcher
from conan_train.model.embedder import Embedder
from conan_train.model.encoder import CheckpointEncoder
from conan_train.negatives.generation import Generation, changed_share, load_generation, publish_generation
from conan_train.negatives.mined import Mined
from conan_train.training.parallel import whole_embedder
from conan_train.trainlog import TrainLog

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Refresher:
    """Mines anew before every `every`-th step, and before the first one where there is nothing to begin with."""

    embedder: Embedder
    tokenizer: PreTrainedTokenizerFast
    accelerator: Accelerator
    every: int
    selection: SelectionConfig
    memory: int
    batch_tokens: int
    scratch: Path
    log: TrainLog
    num_refreshes: int = 0
    seconds: float = 0.0
    changed: dict[str, float] = field(default_factory=dict)

    def run_if_due(self, step: int, mined: Mined, *, seconds_trained: float) -> None:
        """Before step `step`; `seconds_trained` is what the steps so far took."""
        if mined.task.num_negatives and step % self.every == 0 and (step > 0 or not mined.given):
            self._run(step, mined, seconds_trained=seconds_trained)

    def state(self) -> dict[str, Any]:
        return {"num_refreshes": self.num_refreshes, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.num_refreshes, self.seconds = state["num_refreshes"], state["seconds"]

    def _run(self, step: int, mined: Mined, *, seconds_trained: float) -> None:
        start, old = time.monotonic(), mined.generation
        told: list[str | None] = [None]
        embedder = whole_embedder(self.embedder, self.accelerator)
        if self.accelerator.is_main_process:
            told = [self._mine(step, mined, embedder).name]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(told)
        assert told[0] is not None
        mined.use(load_generation(mined.store / told[0], mined.task.pairs.data))
        seconds = time.monotonic() - start
        self.seconds += seconds
        self.num_refreshes += 1
        new = mined.generation
        changed = changed_share(old, new, num_negatives=mined.task.num_negatives) if old.name else 1.0
        event = {
            "event": "refresh",
            "step": step,
            "generation": new.name,
            "documents": mined.task.pairs.arrays.num_documents,
            "seconds": seconds,
            "share": self.seconds / (self.seconds + seconds_trained),
            "changed": changed,
            "mean_score": new.mean_score,
            "trigger": "start" if step == 0 else f"every {self.every} steps",
        }
        if mined.name != "retrieval":
            event["task"] = mined.name
        if self.accelerator.is_main_process:
            self.log.append(event)
        log.info(
            "step %d: mined %s in %.1f s: %.0f%% of the negatives are new, mean score %.3f",
            *(step, new.name, seconds, 100 * changed, new.mean_score),
        )

    def _mine(self, step: int, mined: Mined, embedder: Embedder) -> Generation:
        encoder = CheckpointEncoder(embedder, self.tokenizer, batch_tokens=self.batch_tokens)
        data, arrays = mined.task.pairs.data, mined.task.pairs.arrays
        pools = mine_pools(
            encoder,
            arrays,
            self.selection,
            query_texts=data.queries.column("text"),
            query_ids=data.queries.column("_id"),
            document_texts=document_texts(data.corpus),
            document_ids=data.corpus.column("_id"),
            directory=self.scratch,
            searcher=ExactSearcher(memory=self.memory, device=str(self.embedder.device)),
        )
        generation = publish_generation(
            mined.store,
            pools,
            data,
            step=step,
            checkpoint=encoder.fingerprint,
            command="conan-train finetune",
            extra={"candidates": pools.counts},
        )
        shutil.rmtree(self.scratch)
        return generation
