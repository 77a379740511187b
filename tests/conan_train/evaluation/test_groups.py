import numpy as np
import pytest

from conan_train.evaluation.evaluation_set import Pool
from conan_train.evaluation.groups import GROUPS, Scored, summarise_pools


def scored(query, document, *values):
    pool = Pool(query, document, np.arange(len(values)), np.arange(3), 0)
    return Scored(
        pool,
        np.repeat(np.array(values, dtype=float)[:, None], 4, axis=1),
        [str(row) for row in range(len(values))],
    )


def test_means_over_pairs_and_over_queries():
    found = summarise_pools(
        [scored("en", "en", 1.0), scored("de", "de", 0.0, 0.0, 0.5), scored("de", "en", 0.2)],
        num_samples=0,
        seed=1,
    )
    same = found["same-language"]
    assert (same["num_pairs"], same["num_queries"]) == (2, 4)
    assert same["macro"]["ndcg@10"] == pytest.approx((1 + 0.5 / 3) / 2)
    assert same["by_query"]["ndcg@10"] == {"value": pytest.approx(1.5 / 4), "low": None, "high": None}
    assert found.keys() == {"same-language", "cross-language", "en->en", "xx->xx", "xx->en"}


@pytest.mark.parametrize(
    ("query", "document", "expected"),
    [
        ("en", "en", {"same-language", "en->en"}),
        ("de", "de", {"same-language", "xx->xx"}),
        ("de", "en", {"cross-language", "xx->en"}),
        ("en", "de", {"cross-language", "en->xx"}),
        ("de", "zh", {"cross-language", "xx->yy"}),
    ],
)
def test_every_pair_is_in_two_groups(query, document, expected):
    assert {name for name, belongs in GROUPS.items() if belongs(query, document)} == expected
