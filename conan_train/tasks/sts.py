"""Scored pairs of texts: from row numbers to the batch of a step.

The order of two scores means something within one set of pairs only, so a batch holds pairs of one file, and
the files take turns in proportion to their sizes; or, where that is not wanted, each file's scores are brought
to 0..1 first.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from conan_data.pairs.scored import ScoredPairs
from conan_train.step.sts import StsBatch
from conan_train.tasks.plan import QueryPlan
from conan_train.tasks.token_cache import TokenRows, open_tokens

# P pairs of a step


@dataclass(frozen=True, kw_only=True)
class StsTask:
    """Files of scored pairs as one task of a training run."""

    name: str
    pairs: ScoredPairs
    plan: QueryPlan
    tokens: TokenRows
    gold: np.ndarray
    """float32: the score of each pair, 0..1."""

    @classmethod
    def open(
        cls,
        name: str,
        pairs: ScoredPairs,
        *,
        tokenizer: PreTrainedTokenizerFast,
        cache: Path,
        max_length: int,
        prompt: str,
        batch_size: int,
        seed: int,
        homogeneous: bool = True,
    ) -> "StsTask":
        """With the tokens from, or made into, the folder `cache`. Raises `UserError` where no file fills a
        homogeneous batch.
        """
        return cls(
            name=name,
            pairs=pairs,
            plan=QueryPlan(
                num_queries=pairs.num_pairs,
                batch_size=batch_size,
                seed=seed,
                cells=pairs.pair_sources if homogeneous else None,
                field="sts.batch_size",
            ),
            tokens=open_tokens(
                cache, pairs.texts, ("text",), tokenizer, prompt=prompt, max_length=max_length
            ),
            gold=pairs.unit_scores(),
        )

    def batch(self, step: int) -> StsBatch:
        """The pairs of the task's own step `step`."""
        pair_P = self.plan.queries_at(step)
        return StsBatch(
            left_tokens=self.tokens(self.pairs.first[pair_P]),
            right_tokens=self.tokens(self.pairs.second[pair_P]),
            gold=self.gold[pair_P],
        )

    def never_seen(self) -> dict[str, int]:
        """Pairs of every file that fills no batch, by its name."""
        return {self.pairs.sources[cell]: count for cell, count in self.plan.never_seen().items()}

    def pair_ids(self, step: int) -> list[str]:
        """Names of the pairs of a step: file and row of those that were read."""
        pair_P = self.plan.queries_at(step)
        return [f"{self.pairs.sources[self.pairs.pair_sources[pair]]}:{pair}" for pair in pair_P.tolist()]
