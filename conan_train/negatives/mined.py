"""A contrastive task whose negatives follow the model: pools that a generation fixes, and cursors into them.

Two clocks move them. Every step the rule looks at the scores that the loss has computed anyway, and moves a
cursor on where a negative has become easy. And now and then a refresh brings a new generation (see `refresh`).
A checkpoint holds the name of the generation and the cursors, which is all that a resumed run needs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conan_train.negatives.config import RuleConfig
from conan_train.negatives.cursors import Cursors
from conan_train.negatives.generation import Generation, load_generation, without_answers
from conan_train.tasks.retrieval import RetrievalTask

# Q queries, B queries of a step, N negatives a query, P places of a pool


class Mined:
    """`task` with its pools; those that are mined in training are published below `store`."""

    def __init__(
        self,
        task: RetrievalTask,
        *,
        weight: float,
        store: Path,
        rule: RuleConfig,
        row_QP: np.ndarray,
        given: str = "",
    ) -> None:
        """`row_QP` are the corpus rows to begin with; `given` is a negatives artifact to begin with instead."""
        self.task, self.weight, self.store, self.rule, self.given = task, weight, store, rule, given
        self.use(
            Generation(name="", step=-1, row_QP=row_QP, score_QP=np.full(row_QP.shape, np.nan, np.float32))
        )
        if given:
            # Its step is another run's, if any: here it stands for the start.
            generation = load_generation(Path(given), task.pairs.data)
            self.use(replace(without_answers(generation, task.pairs.arrays), step=0))

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def has_rule(self) -> bool:
        """Whether scores move the cursors."""
        return self.rule.enabled and self.task.num_negatives > 0

    def sources_without_negatives(self) -> list[str]:
        """Return the sources none of whose queries has a negative, where queries of another source have some."""
        pairs = self.task.pairs
        has_some_Q = self.cursors.size_Q > 0
        with_some = set(pairs.query_sources[has_some_Q].tolist())
        asked = set(pairs.query_sources.tolist())
        return [pairs.sources[place] for place in sorted(asked - with_some)] if with_some else []

    def use(self, generation: Generation) -> None:
        """Begins at the top of the pools of `generation`."""
        self.generation = generation
        self.cursors = Cursors.start(
            generation.row_QP, generation.score_QP, num_negatives=self.task.num_negatives
        )

    def advance(self, step: int, query_B: np.ndarray, scores_BN: torch.Tensor) -> int:
        """After step `step`: applies the rule with its cosines; returns how many negatives were replaced."""
        if not self.has_rule or scores_BN.shape[1] == 0 or not self.rule.is_due(step):
            return 0
        return self.cursors.advance(query_B, scores_BN.float().cpu().numpy(), self.rule)

    def state(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """JSON, and arrays under names of their own."""
        arrays = {
            f"{self.name}/slot_QN": torch.from_numpy(self.cursors.slot_QN),
            f"{self.name}/next_Q": torch.from_numpy(self.cursors.next_Q),
        }
        return {"generation": self.generation.name}, arrays

    def restore(self, extra: dict[str, Any], arrays: dict[str, torch.Tensor]) -> None:
        name = extra["generation"]
        if name and name != self.generation.name:
            self.use(load_generation(self.store / name, self.task.pairs.data))
        self.cursors.slot_QN = arrays[f"{self.name}/slot_QN"].numpy()
        self.cursors.next_Q = arrays[f"{self.name}/next_Q"].numpy()
