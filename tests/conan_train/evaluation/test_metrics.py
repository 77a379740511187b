import math
import random

import numpy as np
import pytest

from conan_train.evaluation.metrics import METRICS, per_query


def reference(ranking, judged):
    """The definitions, in float64."""
    gains = [judged.get(document, 0) for document in ranking]
    ideal = sorted(judged.values(), reverse=True)
    dcg, best = (
        sum(gain / math.log2(rank + 2) for rank, gain in enumerate(values[:10])) for values in (gains, ideal)
    )
    hits = [rank for rank, gain in enumerate(gains) if gain > 0]
    recall20, recall100 = (sum(rank < k for rank in hits) / len(judged) for k in (20, 100))
    mrr = 1 / (hits[0] + 1) if hits and hits[0] < 10 else 0.0
    return [dcg / best, recall20, recall100, mrr]


@pytest.mark.parametrize("seed", range(3))
def test_against_the_definitions(seed):
    random.seed(seed)
    rankings, judged = [], []
    for _ in range(60):
        documents = random.sample(range(300), random.choice([0, 3, 9, 10, 11, 50, 100]))
        rankings.append(documents)
        judged.append(
            {
                random.choice(documents or [1])
                if random.random() < 0.8
                else random.randrange(300): random.randint(1, 3)
                for _ in range(random.randint(1, 30))
            }
        )
    found = per_query(rankings, judged)
    expected = np.array([reference(ranking, scores) for ranking, scores in zip(rankings, judged)])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (expected.std(axis=0) > 0.05).all()


def test_order_decides_not_names():
    """Documents are in an order that no sorting of their names gives."""
    ranking = [10, 9, 100, 1]
    found = dict(zip(METRICS, per_query([ranking], [{100: 1}])[0]))
    assert found["mrr@10"] == pytest.approx(1 / 3)


def test_deeper_than_the_depth_does_not_count():
    ranking = list(range(101))
    assert per_query([ranking], [{100: 1}])[0].tolist() == [0, 0, 0, 0]
    assert per_query([ranking], [{99: 1}])[0].tolist() == [0, 0, 1, 0]
