"""Retrieval on a dev set while an embedding model trains, by the code and the protocol of `conan-train evaluate`.

The model as it is, alpha included, encodes the set on all processes, to shards on disk that are mapped into memory; the
first process ranks. It changes nothing of the run, and draws nothing.
"""

import shutil
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from conan_data.distributed import Ranks
from conan_data.retrieval import read_retrieval
from conan_train.embedding.base import Base, alpha
from conan_train.embedding.config import EmbeddingConfig
from conan_train.evaluation.config import EvaluateConfig
from conan_train.evaluation.evaluation_set import (
    EvaluationSet,
    Pool,
    evaluation_set,
    language_pools,
    mixed_pool,
)
from conan_train.evaluation.metrics import METRICS
from conan_train.evaluation.ranking import EncoderRanker
from conan_train.evaluation.retrieval import score_pools
from conan_train.model.encoder import CheckpointEncoder
from conan_train.negatives.shared_encoder import SharedEncoder
from conan_train.training.evaluations import Score
from conan_train.training.twin import whole_embedder


class DevSet:
    """The dev set of a run, read once, by the first process; vectors lie below `folder` while they are needed.

    The score is the mean of nDCG@10 over the pairs of languages with enough queries, without one that of the pool of
    all documents. Raises `UserError` for a set or split that cannot be used.
    """

    metric = "ndcg@10"
    is_higher_better = True

    def __init__(
        self, config: EmbeddingConfig, base: Base, *, folder: Path, accelerator: Accelerator, ranks: Ranks
    ) -> None:
        self.config, self.base, self.folder = config, base, folder
        self.accelerator, self.ranks = accelerator, ranks
        self._read: tuple[EvaluationSet, list[Pool]] | None = None
        ranks.lead(self._open)

    def score(self, step: int) -> Score:
        """Return the score of the weights after `step` steps, and that of each pool."""
        embedder = self.base.trained.embedder
        embedder.mask.alpha = alpha(step, self.config)
        encoder = SharedEncoder(
            CheckpointEncoder(
                whole_embedder(embedder, self.accelerator.device),
                self.base.tokenizer,
                batch_tokens=self.config.bucket_tokens,
            ),
            self.ranks,
            self.accelerator,
        )
        found: dict[str, float] = encoder.lead(lambda: self._pools(encoder))
        return Score(float(np.mean(list(found.values()))), {self.metric: found})

    def counts(self, step: int) -> bool:
        """Return whether the soft mask is open; a model from before has no plain form."""
        return alpha(step, self.config) == 1.0

    def _open(self) -> None:
        data = evaluation_set(
            read_retrieval(
                self.config.dev, self.config.dev_split, group_regex=self.config.group_regex, keep_absent=True
            ),
            translations=True,
        )
        pools, _ = language_pools(data, min_queries=EvaluateConfig.min_queries)
        self._read = data, pools or [mixed_pool(data)]

    def _pools(self, encoder: SharedEncoder) -> dict[str, float]:
        """In the first process: the metric by pool, named by the languages of queries and documents."""
        assert self._read is not None
        data, pools = self._read
        ranker = EncoderRanker.encode(encoder, data, self.folder, device=str(self.accelerator.device))
        scored = score_pools(pools, data, ranker)
        shutil.rmtree(self.folder)
        column = METRICS.index(self.metric)
        return {_name(one.pool): float(one.values[:, column].mean()) for one in scored}


def _name(pool: Pool) -> str:
    return f"{pool.query_language}->{pool.document_language}" if pool.is_pair else "mixed"
