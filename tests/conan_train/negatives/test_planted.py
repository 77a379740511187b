"""Bugs that no curve would show, planted, and what catches each."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

from conan_data.errors import UserError
from conan_data.mining.arrays import RetrievalArrays
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.hash_encoder import HashEncoder
from conan_train.negatives.agreement import checksum, require_agreement
from conan_train.negatives.config import RuleConfig
from conan_train.negatives.generation import Generation
from conan_train.negatives.mined import Mined
from conan_train.negatives.miner import check_fresh


def generation(score: float = 0.6) -> Generation:
    row_QP = np.array([[3, 4, 5], [1, 2, 0]], np.int32)
    return Generation(name="gen-1", step=7, row_QP=row_QP, score_QP=np.full((2, 3), score, np.float32))


def test_ranks_that_read_other_negatives_stop() -> None:
    own, other = generation(), generation()
    other.row_QP[1, 2] = 6
    for theirs, agrees in ((generation(), True), (other, False), (replace(own, step=8), False)):
        both = torch.tensor([checksum(own), checksum(theirs)])
        ranks = SimpleNamespace(num_processes=2, device="cpu", gather=lambda told, both=both: both)
        if agrees:
            require_agreement(own, ranks)
        else:
            with pytest.raises(UserError, match="read different negatives"):
                require_agreement(own, ranks)


def test_vectors_of_other_weights_are_not_searched() -> None:
    texts = [f"text number {number}" for number in range(20)]
    corpus = pa.table({"title": [""] * 20, "text": texts})
    encoder = HashEncoder()
    vectors_ND = encoder.encode(texts, kind="document")
    check_fresh(encoder, corpus, Embeddings.from_array(vectors_ND), step=3)
    with pytest.raises(AssertionError, match="stale cache"):
        check_fresh(encoder, corpus, Embeddings.from_array(np.roll(vectors_ND, 1, axis=0)), step=3)


def test_a_new_generation_renews_the_score_that_the_rule_compares_with() -> None:
    """Scores of 0.5 have fallen from 0.65, and have not from 0.55."""
    task = SimpleNamespace(name="t", num_negatives=1)
    mined = Mined(task, weight=1.0, store=Path("none"), rule=RuleConfig(), row_QP=np.zeros((2, 0), np.int32))
    queries, scores = np.array([0, 1]), torch.full((2, 1), 0.5)
    mined.use(generation(0.65))
    assert mined.advance(0, queries, scores) == 2
    mined.use(generation(0.55))
    assert mined.advance(1, queries, scores) == 0


def test_given_negatives_stand_for_the_start_whatever_step_of_another_run_mined_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trainer that follows a service would wait for a generation of a later step than that, and call them young."""
    monkeypatch.setattr("conan_train.negatives.mined.load_generation", lambda *_: generation())
    arrays = RetrievalArrays(
        positive_offsets=np.zeros(3, np.int64),
        positive_rows=np.zeros(0, np.int32),
        groups=np.full(9, -1, np.int32),
        texts=np.arange(9, dtype=np.int32),
        query_languages=np.zeros(2, np.int32),
        languages=("en",),
    )
    task = SimpleNamespace(name="t", num_negatives=1, pairs=SimpleNamespace(data=None, arrays=arrays))
    mined = Mined(
        task, weight=1.0, store=Path("none"), rule=RuleConfig(), row_QP=np.zeros((2, 0), np.int32), given="g"
    )
    assert mined.generation.name == "gen-1" and mined.generation.staleness(5) == 5
