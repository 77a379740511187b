"""`conan-train weak`: from a language model and pairs to an embedding model."""

from pathlib import Path

import numpy as np

from conan_data.pairs.pair_set import PairSet
from conan_data.pairs.rows import PairFields, pair_inputs
from conan_data.pairs.weak import read_pairs
from conan_train.embedding.objective import Tasks
from conan_train.embedding.train import Read, Run, train_embedder
from conan_train.negatives.config import RuleConfig
from conan_train.negatives.mined import Mined
from conan_train.weak.config import WeakConfig


def weak(config: WeakConfig) -> Path:
    """Trains, or goes on with an interrupted run, and publishes an artifact of kind `embedder`; returns its
    directory.
    """

    def read(run: Run) -> Read:
        pairs = run.pairs("pairs", lambda: _read_pairs(config))
        task = run.contrastive(
            "pairs",
            pairs,
            batch_size=config.batch_size,
            num_negatives=0,
            same_language=config.same_language,
            homogeneous=config.homogeneous,
        )
        mined = Mined(
            task,
            weight=1.0,
            store=run.directory / "negatives",
            rule=RuleConfig(enabled=False),
            row_QP=np.zeros((pairs.num_queries, 0), np.int32),
        )
        return Read(Tasks([mined]), [pairs.rows()])

    return train_embedder(
        config,
        command="conan-train weak",
        inputs=lambda: pair_inputs(config.data),
        description="weak training",
        read=read,
    )


def _read_pairs(config: WeakConfig) -> PairSet:
    return read_pairs(
        config.data,
        split=config.split,
        fields=PairFields(query=config.query_field, document=config.document_field),
        min_score=config.min_score,
        group_regex=config.group_regex,
    )
