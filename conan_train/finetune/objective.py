"""The contrastive step as the training loop wants it, with the negatives following the model.

What a step sees is a function of the config, the step number, the weights, the generation of negatives and the
cursors. The last two are in every checkpoint, so a run that was killed and resumed, also across a refresh of its
negatives, meets the same ones.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from conan_data.config import parse_memory
from conan_data.mining.arrays import RetrievalArrays
from conan_data.retrieval import RetrievalSplit
from conan_train.finetune.batch import Batcher
from conan_train.finetune.config import FinetuneConfig
from conan_train.finetune.plan import queries_at
from conan_train.finetune.refresh import mine_generation
from conan_train.model.embedder import unwrapped
from conan_train.model.encoder import CheckpointEncoder
from conan_train.model.softmask import alpha_at
from conan_train.negatives.cursors import Cursors
from conan_train.negatives.generation import Generation, changed_share, load_generation
from conan_train.step.contrastive import StepResult, contrastive_step
from conan_train.training.objective import ObjectiveState, Outcome
from conan_train.trainlog import NAME, TrainLog

log = logging.getLogger(__name__)

# Q queries, B queries of a step, N negatives a query


class RetrievalObjective:
    """InfoNCE over one retrieval set; generations are published below `directory`/negatives."""

    unit = "queries"

    def __init__(
        self,
        config: FinetuneConfig,
        *,
        model: torch.nn.Module,
        batcher: Batcher,
        accelerator: Accelerator,
        directory: Path,
    ) -> None:
        self.config, self.model, self.batcher = config, model, batcher
        self.accelerator, self.directory = accelerator, directory
        self.embedder = unwrapped(model)
        self.seconds = {"train": 0.0, "refresh": 0.0}
        self.num_refreshes = 0
        self._use(
            Generation(
                name="",
                step=-1,
                row_QP=np.zeros((self.num_queries, 0), np.int32),
                score_QP=np.zeros((self.num_queries, 0), np.float32),
            )
        )
        if config.negatives:
            self._use(load_generation(Path(config.negatives), self.data))

    @property
    def data(self) -> RetrievalSplit:
        return self.batcher.data

    @property
    def arrays(self) -> RetrievalArrays:
        return self.batcher.arrays

    @property
    def num_queries(self) -> int:
        return self.data.queries.num_rows

    def prepare(self, step: int) -> None:
        """Sets alpha, and mines anew if a refresh is due: before every `mine_every`-th step, and before the
        first one unless it has negatives to begin with.
        """
        self.embedder.mask.alpha = alpha_at(step, self.config.soft_mask_steps)
        every = self.config.mine_every
        if every > 0 and step % every == 0 and (step > 0 or not self.generation.name):
            self._refresh(step)

    def backward(self, step: int) -> Outcome:
        start = time.monotonic()
        query_B = self._queries(step)
        negative_row_BN, _ = self.cursors.negatives(query_B)
        batch = self.batcher.batch(step, query_B, negative_row_BN)
        with self.accelerator.autocast():
            result = contrastive_step(
                self.model, batch, temperature=self.config.temperature, budget=self.config.bucket_tokens
            )
        self.accelerator.backward(result.loss)
        present = result.negative_scores[~result.negative_scores.isnan()]
        num_queries = len(query_B)
        outcome = Outcome(
            loss=float(result.loss.detach()),
            size=num_queries,
            means={
                "positive_score": (float(result.positive_scores.sum()), num_queries),
                "negative_score": (float(present.sum()), len(present)),
                "accuracy": (result.accuracy * num_queries, num_queries),
            },
            byproduct=result,
        )
        self.seconds["train"] += time.monotonic() - start
        return outcome

    def commit(self, step: int, outcome: Outcome) -> Mapping[str, int]:
        """The rule moves the cursors by the scores of the loss."""
        if not self.config.rule.enabled:
            return {"replaced": 0}
        result: StepResult = outcome.byproduct
        scores_BN = result.negative_scores.float().cpu().numpy()
        return {"replaced": self.cursors.advance(self._queries(step), scores_BN, self.config.rule)}

    def figures(self, step: int) -> Mapping[str, float]:
        return {"alpha": alpha_at(step, self.config.soft_mask_steps)}

    def batch_ids(self, step: int) -> list[str]:
        return self.data.queries.column("_id").take(self._queries(step)).to_pylist()

    def state(self) -> ObjectiveState:
        return ObjectiveState(
            extra={
                "generation": self.generation.name,
                "seconds": self.seconds,
                "num_refreshes": self.num_refreshes,
            },
            arrays={
                "slot_QN": torch.from_numpy(self.cursors.slot_QN),
                "next_Q": torch.from_numpy(self.cursors.next_Q),
            },
        )

    def restore(self, state: ObjectiveState) -> None:
        self.seconds, self.num_refreshes = state.extra["seconds"], state.extra["num_refreshes"]
        name = state.extra["generation"]
        if name:
            own = self.directory / "negatives" / name
            self._use(load_generation(own if own.exists() else Path(self.config.negatives), self.data))
        self.cursors.slot_QN, self.cursors.next_Q = (
            state.arrays[key].numpy() for key in ("slot_QN", "next_Q")
        )

    def _queries(self, step: int) -> np.ndarray:
        config = self.config
        return queries_at(step, num_queries=self.num_queries, batch_size=config.batch_size, seed=config.seed)

    def _refresh(self, step: int) -> None:
        start = time.monotonic()
        old = self.generation
        self._use(
            mine_generation(
                CheckpointEncoder(
                    self.embedder, self.batcher.tokenizer, batch_tokens=self.config.bucket_tokens
                ),
                self.data,
                self.arrays,
                step=step,
                selection=self.config.select,
                memory=parse_memory(self.config.memory),
                store=self.directory / "negatives",
                scratch=self.directory / "work" / "refresh",
            )
        )
        seconds = time.monotonic() - start
        self.seconds["refresh"] += seconds
        self.num_refreshes += 1
        event = {
            "event": "refresh",
            "step": step,
            "generation": self.generation.name,
            "documents": self.data.corpus.num_rows,
            "seconds": seconds,
            "share": self.seconds["refresh"] / sum(self.seconds.values()),
            "changed": changed_share(old, self.generation, num_negatives=self.config.num_negatives)
            if old.name
            else 1.0,
            "mean_score": self.generation.mean_score,
            "trigger": "start" if step == 0 else f"every {self.config.mine_every} steps",
        }
        TrainLog(self.directory / NAME).append(event)
        log.info(
            "step %d: mined %s in %.1f s: %.0f%% of the negatives are new, mean score %.3f",
            *(step, self.generation.name, seconds, 100 * event["changed"], event["mean_score"]),
        )

    def _use(self, generation: Generation) -> None:
        self.generation = generation
        self.cursors = Cursors.start(
            generation.row_QP, generation.score_QP, num_negatives=self.config.num_negatives
        )
