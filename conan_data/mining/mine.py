"""`conan-data mine`: hard negatives for every query of a retrieval set, published as an artifact.

The artifact says which vectors it comes from (the encoder's fingerprint is the `checkpoint` of each row) and
what the filters did, in numbers that show at a glance whether a threshold fits: the scores of positives and
negatives by language, and how full the pools are. The vectors are kept below the partial directory until
everything is published, so that an interrupted run does not encode again.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from conan_data import artifact, tables
from conan_data.cards.card import default_card
from conan_data.config import parse_memory
from conan_data.distributed import Ranks, building, ranks
from conan_data.judging.judge import judge_inputs, open_judge, verdicts_of
from conan_data.mining.arrays import RetrievalArrays, document_texts, retrieval_arrays
from conan_data.mining.config import MineConfig
from conan_data.mining.encoder import Encoder, Kind, load_encoder
from conan_data.mining.pools import encode_share, mine_pools, search_for_rank_0
from conan_data.mining.search.hits import Searcher
from conan_data.mining.search.open import open_searcher
from conan_data.mining.search.shared import SharedSearcher
from conan_data.mining.selection import REASONS, Pools
from conan_data.models.locate import model_input
from conan_data.retrieval import RetrievalSplit, read_retrieval
from conan_data.sources import resolve

log = logging.getLogger(__name__)

KIND = "negatives"
NEGATIVES_FILE = "negatives.parquet"
_EMBEDDINGS = "embeddings"
_JUDGEMENTS = "judgements.jsonl"
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_QUERIES_A_ROW_GROUP = 8192
_SCORES_LOOKED_AT = 2**22
"""Scores of negatives of one language that quantiles are of; there may be a billion."""


def mine(config: MineConfig) -> Path:
    """Mines and publishes; returns the artifact's directory. Only queries with a pool are in it.

    Under torchrun all ranks share the encoding and the search, and rank 0 publishes; the result is the same.
    """
    with (
        ranks() as own,
        building(
            config,
            own,
            kind=KIND,
            command="conan-data mine",
            inputs=lambda: [
                resolve(config.data, "retrieval"),
                model_input(config.model),
                *judge_inputs(config.judge),
            ],
        ) as build,
    ):
        if not build.done:
            _mine(config, own, build)
        return build.out


def _mine(config: MineConfig, own: Ranks, build: artifact.Build) -> None:
    """Encode and search on all ranks; rank 0 selects and publishes."""
    data = read_retrieval(config.data, config.split, group_regex=config.group_regex)
    arrays = retrieval_arrays(data)
    device = own.device(config.device)
    encoder = _open_encoder(config, device)
    searcher = _open_searcher(config, own)
    judge = open_judge(config.judge, build.work / _JUDGEMENTS, device=device) if own.is_leader else None
    # Asked before hours of encoding: this raises where the memory cannot do.
    searcher.batch_size(
        dimension=encoder.dimension, k=config.select.depth + int(arrays.num_answers().max(initial=0))
    )
    directory = build.dir / _EMBEDDINGS
    if own.world_size > 1:
        encode_share(encoder, **_to_encode(config, data, directory), ranks=own)
    if not own.is_leader:
        search_for_rank_0(
            arrays,
            config.select,
            fingerprint=encoder.fingerprint,
            directory=directory,
            searcher=searcher,
            ranks=own,
        )
        return
    pools = mine_pools(
        encoder,
        arrays,
        config.select,
        **_to_encode(config, data, directory),
        searcher=searcher,
        verdicts=verdicts_of(judge, data, positive_over=config.judge.positive_over) if judge else None,
        ranks=own,
    )
    if failed := pools.counts["judge-failed"]:
        log.warning("%d candidates were dropped because %s gave no verdict", failed, config.judge.kind)
    write_negatives(build.dir / NEGATIVES_FILE, pools, data, checkpoint=encoder.fingerprint, step=0)
    if not config.keep_embeddings:
        shutil.rmtree(directory)
    build.publish(
        rows=_rows(pools),
        extra={**report(pools, arrays, data), "search": searcher.report},
        card=default_card,
    )


def _to_encode(config: MineConfig, data: RetrievalSplit, directory: Path) -> dict[str, Any]:
    """The texts and where their vectors go, as `encode_share` and `mine_pools` take them; texts of documents
    can be read once.
    """
    return {
        "query_texts": data.queries.column("text"),
        "query_ids": data.queries.column("_id"),
        "document_texts": document_texts(data.corpus),
        "document_ids": data.corpus.column("_id"),
        "directory": directory,
        "shard_size": config.shard_size,
        "storage": config.storage,
        "cache": Path(config.cache) if config.cache else None,
    }


def _open_searcher(config: MineConfig, own: Ranks) -> Searcher:
    memory = parse_memory(config.memory)
    searcher = open_searcher(config.search, memory=memory, device=own.device(config.device))
    return searcher if own.world_size == 1 else SharedSearcher(searcher, own, memory=memory)


def write_negatives(path: Path, pools: Pools, data: RetrievalSplit, *, checkpoint: str, step: int) -> None:
    """Writes `tables.NEGATIVES`, one row for each query that has a pool, in the order of the queries, a few
    thousand queries at a time.
    """
    document_ids = data.corpus.column("_id").combine_chunks()
    query_ids = data.queries.column("_id").combine_chunks()
    filled = np.flatnonzero(pools.sizes)
    with pq.ParquetWriter(path, tables.NEGATIVES, compression="zstd") as writer:
        for start in range(0, len(filled), _QUERIES_A_ROW_GROUP):
            rows = filled[start : start + _QUERIES_A_ROW_GROUP]
            table = pa.table(
                {
                    "query_id": query_ids.take(pa.array(rows)),
                    "pool": _pool_column(pools, rows, document_ids),
                    "positive_score": pools.positive_scores[rows],
                    "checkpoint": pa.repeat(checkpoint, len(rows)),
                    "step": pa.array(np.full(len(rows), step, np.int64)),
                }
            )
            writer.write_table(tables.check(table, tables.NEGATIVES, path))


def report(pools: Pools, arrays: RetrievalArrays, data: RetrievalSplit) -> dict[str, Any]:
    """What the filters did, for the manifest: candidates by reason, pool sizes, and the spread of scores by
    query language.
    """
    sizes, counts = np.unique(pools.sizes, return_counts=True)
    by_language = {}
    for code, language in enumerate(arrays.languages):
        own = arrays.query_languages == code
        by_language[language] = {
            "queries": int(own.sum()),
            "positive_scores": _quantiles(pools.positive_scores[own]),
            "negative_scores": _quantiles(_sample(pools.scores, own)),
        }
    return {
        "candidates": pools.counts,
        "pool_sizes": {str(size): int(count) for size, count in zip(sizes, counts, strict=True)},
        "short_pools": pools.num_short,
        "quantiles": list(_QUANTILES),
        "scores": by_language,
        "set": data.account(),
    }


def _rows(pools: Pools) -> artifact.Rows:
    filled = pools.sizes > 0
    unanswered = np.isnan(pools.positive_scores)
    dropped = {"no-positive": int(unanswered.sum()), "no-negative-left": int((~filled & ~unanswered).sum())}
    if not filled.any():
        reason, number = max(pools.counts.items(), key=lambda entry: entry[1])
        log.warning(
            "no query has a negative left: of %s candidates %s went as %s; a model that scores all texts alike (an untrained"
            " one) has no use here, others need other limits (--select)",
            f"{sum(pools.counts.values()):,}",
            f"{number:,}",
            reason,
        )
    elif pools.num_short:
        log.warning("%d of %d queries have fewer negatives than pool_size", pools.num_short, len(filled))
    return artifact.Rows(
        read=len(filled),
        kept=int(filled.sum()),
        dropped={reason: count for reason, count in dropped.items() if count},
    )


def _pool_column(pools: Pools, rows: np.ndarray, document_ids: pa.Array) -> pa.Array:
    taken = pools.rows[rows] >= 0
    offsets = np.concatenate(([0], np.cumsum(taken.sum(axis=1)))).astype(np.int32)
    pool = tables.NEGATIVES.field("pool").type
    items = pa.StructArray.from_arrays(
        [
            document_ids.take(pa.array(pools.rows[rows][taken])),
            pa.array(pools.scores[rows][taken]),
            pa.array(pools.ranks[rows][taken]),
            _reasons(pools, rows)[taken.ravel()],
        ],
        fields=list(pool.value_type),
    )
    return pa.ListArray.from_arrays(pa.array(offsets), items, type=pool)


def _reasons(pools: Pools, rows: np.ndarray) -> np.ndarray:
    """Why each place of the pools at `rows` is filled, one pool after the other."""
    if pools.reasons is None:
        return np.full(pools.rows[rows].size, REASONS[0])
    return np.array([*REASONS, *[""] * (256 - len(REASONS))])[pools.reasons[rows].ravel()]


def _sample(scores_QP: np.ndarray, own_Q: np.ndarray) -> np.ndarray:
    """The scores of the queries of `own_Q` (bool), or of evenly spread ones: all of a million would be copied
    into a gigabyte for numbers of four places.
    """
    rows = np.flatnonzero(own_Q)
    return scores_QP[rows[:: max(1, -(-rows.size * scores_QP.shape[1] // _SCORES_LOOKED_AT))]]


def _quantiles(scores: np.ndarray) -> list[float] | None:
    """Rounded to four places; None when there is no score."""
    present = scores[~np.isnan(scores)]
    return [round(float(value), 4) for value in np.quantile(present, _QUANTILES)] if len(present) else None


def _open_encoder(config: MineConfig, device: str) -> Encoder:
    prompts: dict[Kind, str] = {}
    if config.query_prompt is not None:
        prompts["query"] = config.query_prompt
    if config.document_prompt is not None:
        prompts["document"] = config.document_prompt
    return load_encoder(
        config.model,
        max_length=config.max_length,
        batch_tokens=config.batch_tokens,
        device=device,
        prompts=prompts,
    )
