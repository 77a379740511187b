"""Retrieval of a model by language pair, and the protocol of its numbers; a row a query and pool beside.

Two numbers of the same name are only comparable under the same pools, judgements, metrics and tie rule, so
all of these are written beside the numbers. The rows a query carries allow paired comparisons of two models
later, which are far sharper than comparing two intervals.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.mining.encoder import Encoder
from conan_data.progress import progress
from conan_data.retrieval import read_retrieval
from conan_train.evaluation.bm25 import TOKENIZATION, BM25Ranker
from conan_train.evaluation.config import EvaluateConfig
from conan_train.evaluation.evaluation_set import (
    EvaluationSet,
    Pool,
    evaluation_set,
    judged_in,
    language_pools,
    mixed_pool,
)
from conan_train.evaluation.groups import Scored, pool_record, summarise_pools
from conan_train.evaluation.language_bias import score_language_bias
from conan_train.evaluation.metrics import DEFINITIONS, DEPTH, METRICS, per_query
from conan_train.evaluation.ranking import EncoderRanker, Ranker
from conan_train.evaluation.vectors import check_dims

log = logging.getLogger(__name__)

PROTOCOL = {
    "name": "language-pairs-2",
    "pools": "a pool a pair of languages: queries of one, all documents of the other; `mixed`: all queries, all documents",
    "queries": "a query counts in a pool where it has a positive; others are counted as `num_without_positive`",
    "positives": "documents judged above 0, and the documents of their groups, which say the same thing",
    "absent": (
        "a positive that the corpus lacks is missed (as in trec_eval): it counts in `mixed`, and in a pair of languages "
        "where all documents are in one language"
    ),
    "same_id": (
        "a document with the query's own id (of a translation: the id of its source too) that is not judged above 0 is "
        "left out of the query's ranking, as in BEIR (ignore_identical_ids)"
    ),
    "grades": "whole numbers, as in trec_eval (1.0 is 1); other judgements are refused and counted",
    "metrics": DEFINITIONS,
    "ties": "score descending, then document id ascending",
    "intervals": "95%, percentile bootstrap over source queries (a query and its translations are drawn together)",
    "bm25": f"Lucene's formula, an index a pool; tokens: {TOKENIZATION}",
}


@dataclass(frozen=True)
class Retrieval:
    """What is reported, the rows behind it, and what became of the queries."""

    record: dict[str, Any]
    per_query: pa.Table
    rows: artifact.Rows


def score_retrieval(
    encoder: Encoder | None, data_path: str | Path, config: EvaluateConfig, work: Path
) -> Retrieval:
    """Scores all pools, by BM25 without an encoder. Vectors that are cut are scored in the same pools, from the
    same encoding; the rows a query are those of the whole vectors.
    """
    data = evaluation_set(
        read_retrieval(data_path, config.split, group_regex=config.group_regex, keep_absent=True),
        translations=config.translations,
    )
    if data.num_absent:
        log.warning(
            "%s: judgements of documents that the corpus lacks, which count as missed: %d",
            config.data,
            data.num_absent,
        )
    pools, skipped = _pools(data, config)
    ranker: Ranker
    cuts: dict[str, Any] = {}
    bias = None
    if encoder is None:
        ranker = BM25Ranker(data.queries.texts, data.documents.texts)
    else:
        ranker = EncoderRanker.encode(encoder, data, work, device=config.device)
        for dims in check_dims(config.dims, ranker.dimension):
            cuts[str(dims)] = _scores(score_pools(pools, data, ranker.cut(dims)), config)
        bias = score_language_bias(ranker, data)
    scored = score_pools(pools, data, ranker)
    record = {
        "protocol": PROTOCOL,
        "data": config.data,
        "split": config.split,
        "set": data.account,
        "absent_positives": data.num_absent,
        "same_id": {
            "queries": sum(map(bool, data.own)),
            "documents": len({row for rows in data.own for row in rows}),
        },
        **_scores(scored, config),
        "skipped_pairs": [
            {
                "query_language": pool.query_language,
                "document_language": pool.document_language,
                "num_queries": len(pool.queries),
            }
            for pool in skipped
        ],
        **({"cuts": cuts} if cuts else {}),
        **({"language_bias": bias} if bias else {}),
    }
    return Retrieval(record, _per_query_table(scored, data), _rows(data, scored))


def score_pools(pools: Sequence[Pool], data: EvaluationSet, ranker: Ranker) -> list[Scored]:
    """The metrics of every pool; pools of the same documents are ranked in one go.

    What is left out of a query's ranking is asked for beyond the depth, so that it costs no place.
    """
    scored = []
    depth = DEPTH + max((len(rows) for rows in data.own), default=0)
    groups: dict[str, list[Pool]] = {}
    for pool in pools:
        groups.setdefault(pool.document_language, []).append(pool)
    for members in progress(list(groups.values()), "ranking", unit="pool"):
        queries = np.unique(np.concatenate([pool.queries for pool in members]))
        rankings = dict(
            zip(queries.tolist(), ranker.rank(queries, members[0].documents, depth=depth), strict=True)
        )
        for pool in members:
            values_QM = per_query(
                [
                    [row for row in rankings[query].tolist() if row not in data.own[query]]
                    for query in pool.queries.tolist()
                ],
                judged_in(pool, data),
            )
            scored.append(
                Scored(pool, values_QM, [data.queries.sources[query] for query in pool.queries.tolist()])
            )
    return scored


def _pools(data: EvaluationSet, config: EvaluateConfig) -> tuple[list[Pool], list[Pool]]:
    """The pools that are scored, and the pairs with too few queries."""
    pools: list[Pool] = []
    skipped: list[Pool] = []
    if config.pools != "mixed":
        pools, skipped = language_pools(data, min_queries=config.min_queries)
        if skipped:
            log.info(
                "%d pairs of languages have fewer than %d queries (min_queries) and are left out",
                len(skipped),
                config.min_queries,
            )
    if config.pools != "pairs":
        pools.append(mixed_pool(data))
    if not pools:
        largest = max((len(pool.queries) for pool in skipped), default=0)
        raise UserError(
            f"min_queries: no pair of languages has {config.min_queries} queries, the largest has {largest}; lower it, or use --pools mixed"
        )
    return pools, skipped


def _scores(scored: Sequence[Scored], config: EvaluateConfig) -> dict[str, Any]:
    pairs = [item for item in scored if item.pool.is_pair]
    mixed = [item for item in scored if not item.pool.is_pair]
    samples = {"num_samples": config.bootstrap, "seed": config.seed}
    return {
        "pairs": [pool_record(item, **samples) for item in pairs],
        "mixed": pool_record(mixed[0], **samples) if mixed else None,
        "summary": summarise_pools(pairs, **samples),
    }


def _per_query_table(scored: Sequence[Scored], data: EvaluationSet) -> pa.Table:
    pool_of = np.repeat(np.arange(len(scored)), [len(item.pool.queries) for item in scored])
    values_QM = np.concatenate([item.values for item in scored])
    return pa.table(
        {
            "query_id": [data.queries.ids[query] for item in scored for query in item.pool.queries.tolist()],
            "source_id": [source for item in scored for source in item.sources],
            "query_language": [
                data.queries.languages[query] for item in scored for query in item.pool.queries.tolist()
            ],
            "document_language": [scored[place].pool.document_language for place in pool_of.tolist()],
            **{name: values_QM[:, column] for column, name in enumerate(METRICS)},
        }
    )


def _rows(data: EvaluationSet, scored: Sequence[Scored]) -> artifact.Rows:
    """Queries: kept are those that were scored in at least one pool."""
    used = len(np.unique(np.concatenate([item.pool.queries for item in scored])))
    dropped = dict(data.dropped)
    if unused := len(data.queries.ids) - used:
        dropped["no-pool-with-enough-queries"] = unused
    return artifact.Rows(read=data.num_read, kept=used, dropped=dropped)
