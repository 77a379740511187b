"""The four metrics of a ranking, by trec_eval, and what they mean.

trec_eval sorts a run by its scores and breaks ties by the document's name, which rewards a lucky id. So it is
not given scores at all but the negated ranks of an order that is already total (score descending, id
ascending): two runs with equal scores get equal metrics. Judgements must be those of the pool that was
searched; a positive that cannot be found would count as missed.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pytrec_eval

METRICS = ("ndcg@10", "recall@20", "recall@100", "mrr@10")
DEPTH = 100
"""Longest ranking that a metric reads."""
DEFINITIONS = {
    "ndcg@10": "normalised discounted cumulative gain of the first 10; gain = the judged score, discount log2(rank + 1)",
    "recall@20": "share of a query's positives in the pool that are among the first 20, averaged over queries",
    "recall@100": "share of a query's positives in the pool that are among the first 100, averaged over queries",
    "mrr@10": "1 / rank of the first positive, 0 where it is not among the first 10",
}
_TREC = {
    "ndcg@10": "ndcg_cut_10",
    "recall@20": "recall_20",
    "recall@100": "recall_100",
    "mrr@10": "recip_rank",
}
_CUT = 10
"""trec_eval has no reciprocal rank with a cut: it is given the first 10 only."""


def per_query(rankings: Sequence[Sequence[int]], judged: Sequence[Mapping[int, int]]) -> np.ndarray:
    """float64 [Q, len(METRICS)] in [0, 1].

    `rankings[q]` are documents, best first, without repeats (empty: nothing was found); `judged[q]` are the
    scores of the pool's relevant documents (at least one, each above 0).
    """
    assert all(judged), "a query without a positive has no metrics"
    qrels = {
        str(query): {str(document): int(score) for document, score in scores.items()}
        for query, scores in enumerate(judged)
    }
    runs = {str(query): _run(ranking[:DEPTH]) for query, ranking in enumerate(rankings) if len(ranking)}
    heads = {str(query): _run(ranking[:_CUT]) for query, ranking in enumerate(rankings) if len(ranking)}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.20,100"}).evaluate(runs)
    found_in_heads = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(heads)
    values_QM = np.zeros((len(rankings), len(METRICS)))
    for query in runs:
        scores = {**found[query], **found_in_heads[query]}
        values_QM[int(query)] = [scores[_TREC[name]] for name in METRICS]
    return values_QM


def _run(ranking: Sequence[int]) -> dict[str, float]:
    return {str(document): float(-rank) for rank, document in enumerate(ranking)}
