import math
from collections import Counter

import numpy as np
import pytest

from conan_train.evaluation.bm25 import K1, B, BM25Ranker, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat's I/O, v2!", ["the", "cat", "v2"]),
        ("吠叫的狗", ["吠叫", "叫的", "的狗"]),
        ("狗", ["狗"]),
        ("用ls看文件", ["用", "ls", "看文", "文件"]),
        ("कैसे देखें", ["कैसे", "देखें"]),
        ("ไฟล์", ["ไฟ", "ฟล", "ล์"]),
        ("", []),
    ],
)
def test_tokens(text, expected):
    assert tokens(text) == expected


def reference(query, corpus):
    """Lucene's BM25 in float64."""
    average = sum(map(len, corpus)) / len(corpus)
    scores = []
    for document in corpus:
        counts, score = Counter(document), 0.0
        for token in query:
            holders = sum(token in other for other in corpus)
            idf = math.log(1 + (len(corpus) - holders + 0.5) / (holders + 0.5))
            score += idf * counts[token] / (counts[token] + K1 * (1 - B + B * len(document) / average))
        scores.append(score)
    return np.array(scores)


def test_order_against_the_formula():
    rng = np.random.default_rng(0)
    words = [f"w{place}" for place in range(30)]
    documents = [" ".join(rng.choice(words, size=rng.integers(1, 25))) for _ in range(60)]
    queries = [" ".join(rng.choice(words, size=3)) for _ in range(20)]
    pool = np.arange(5, 55)
    found = BM25Ranker(queries, documents).rank(np.arange(20), pool, depth=10)
    for query, ranking in zip(queries, found):
        scores = reference(query.split(), [documents[row].split() for row in pool])
        best = pool[np.argsort(-scores.round(5), kind="stable")[:10]]
        assert ranking.tolist() == [row for row in best.tolist() if scores[row - 5] > 0]


def test_documents_without_a_shared_token_are_not_found():
    ranker = BM25Ranker(["cat", "", "zebra"], ["dog", "cat cat", "a cat"])
    found = ranker.rank(np.arange(3), np.arange(3), depth=5)
    assert [set(ranking.tolist()) for ranking in found] == [{1, 2}, set(), set()]


def test_equal_scores_in_the_order_of_the_documents():
    ranker = BM25Ranker(["cat"], ["cat"] * 4 + ["dog"])
    assert ranker.rank(np.arange(1), np.arange(5), depth=3)[0].tolist() == [0, 1, 2]


def test_pool_without_any_token():
    assert [
        ranking.tolist()
        for ranking in BM25Ranker(["cat"], ["?", "!"]).rank(np.arange(1), np.arange(2), depth=3)
    ] == [[]]
