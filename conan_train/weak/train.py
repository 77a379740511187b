"""`conan-train weak`: from a language model and pairs to an embedding model."""

import logging
from pathlib import Path

import numpy as np

from conan_data.pairs.pair_set import NO_NEGATIVE, PairSet
from conan_data.pairs.rows import PairFields, pair_inputs
from conan_data.pairs.weak import read_pairs
from conan_train.embedding.objective import Tasks
from conan_train.embedding.train import Read, Run, train_embedder
from conan_train.negatives.config import RuleConfig
from conan_train.negatives.mined import Mined
from conan_train.weak.config import WeakConfig

log = logging.getLogger(__name__)


def weak(config: WeakConfig) -> Path:
    """Trains, or goes on with an interrupted run, and publishes an artifact of kind `embedder`; returns its
    directory.
    """

    def read(run: Run) -> Read:
        pairs = run.pairs("pairs", lambda: _read_pairs(config))
        negative_row_QN = pairs.given_negative_row_QP[:, : config.num_negatives]
        if run.accelerator.is_main_process:
            _tell(pairs.given_negative_row_QP, config.num_negatives)
        task = run.contrastive(
            "pairs",
            pairs,
            batch_size=config.batch_size,
            num_negatives=negative_row_QN.shape[1],
            same_language=config.same_language,
            homogeneous=config.homogeneous,
        )
        mined = Mined(
            task,
            weight=1.0,
            store=run.directory / "negatives",
            rule=RuleConfig(enabled=False),
            row_QP=negative_row_QN,
        )
        return Read(Tasks([mined]), [pairs.rows()], [pairs.account])

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


def _tell(given_row_QP: np.ndarray, num_negatives: int) -> None:
    """Of the negatives that the data name, how many are trained on."""
    num_given = int((given_row_QP != NO_NEGATIVE).sum())
    if num_given:
        num_used = int((given_row_QP[:, :num_negatives] != NO_NEGATIVE).sum())
        num_queries = int((given_row_QP[:, :1] != NO_NEGATIVE).sum())
        log.info(
            "%s of the %s negatives that the data name for %s of %s queries are trained on (num_negatives %d)",
            *(f"{number:,}" for number in (num_used, num_given, num_queries, len(given_row_QP))),
            num_negatives,
        )
