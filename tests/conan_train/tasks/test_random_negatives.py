import numpy as np
import pytest

from conan_data.mining.arrays import RetrievalArrays
from conan_train.tasks.random_negatives import random_negatives


def arrays(num_queries: int, num_documents: int, num_groups: int) -> RetrievalArrays:
    rng = np.random.default_rng(0)
    lists = [np.unique(rng.integers(num_documents, size=rng.integers(1, 4))) for _ in range(num_queries)]
    groups = rng.integers(-1, num_groups, size=num_documents) if num_groups else np.full(num_documents, -1)
    return RetrievalArrays(
        positive_offsets=np.concatenate([[0], np.cumsum([len(rows) for rows in lists])]),
        positive_rows=np.concatenate(lists).astype(np.int32),
        groups=groups.astype(np.int32),
        texts=np.arange(num_documents, dtype=np.int32),
        query_languages=np.zeros(num_queries, np.int32),
        languages=("en",),
    )


@pytest.mark.parametrize(("num_documents", "num_groups"), [(6, 3), (40, 5), (2000, 300), (2000, 0)])
def test_never_an_answer_and_as_many_as_there_are(num_documents: int, num_groups: int) -> None:
    data = arrays(200, num_documents, num_groups)
    found = random_negatives(data, 7, seed=1)
    assert found.shape == (200, 7) and found.dtype == np.int32
    for query, rows in enumerate(found):
        own = data.positive_rows[data.positive_offsets[query] : data.positive_offsets[query + 1]]
        groups = set(data.groups[own]) - {-1}
        allowed = {row for row in range(num_documents) if row not in own and data.groups[row] not in groups}
        given = rows[rows >= 0].tolist()
        assert set(given) <= allowed and len(set(given)) == len(given)
        assert len(given) == min(7, len(allowed)), "short only where there are no more"
        assert (rows[len(given) :] == -1).all()


def test_another_seed_draws_others_and_the_same_seed_the_same() -> None:
    data = arrays(50, 2000, 0)
    first = random_negatives(data, 7, seed=1)
    assert (first == random_negatives(data, 7, seed=1)).all()
    assert (first != random_negatives(data, 7, seed=2)).mean() > 0.9
    assert len(np.unique(first)) > 250
    assert random_negatives(data, 0, seed=1).shape == (50, 0)
