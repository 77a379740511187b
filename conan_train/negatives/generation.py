"""Generations of negatives: what was mined with one set of weights, published once and never changed.

A run that swapped pools half-way through a write, or wrote over those that a checkpoint points to, could not
be resumed. So every mining becomes a folder `gen-<step>-<hash>/` of its own, an artifact like all others,
whose name says when it was mined and what is in it; trainer and checkpoints refer to that name. Mining the
same again gives the same name.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conan_data import artifact, tables
from conan_data.config import StageConfig
from conan_data.errors import UserError
from conan_data.manifest import TIMES, read_manifest
from conan_data.mining.arrays import RetrievalArrays, never_negative
from conan_data.mining.mine import KIND, NEGATIVES_FILE, write_negatives
from conan_data.mining.selection import Pools
from conan_data.retrieval import RetrievalSplit
from conan_train.negatives.cursors import EMPTY

# Q queries of the set, P places of the longest pool, C queries at a time

log = logging.getLogger(__name__)

_QUERIES_A_CHECK = 1 << 14


@dataclass(frozen=True)
class Generation:
    """Pools over the rows of a retrieval set: `row_QP` int32 corpus rows (`EMPTY` after the last), `score_QP`
    float32 cosines when mined.
    """

    name: str
    step: int
    row_QP: np.ndarray
    score_QP: np.ndarray

    @property
    def mean_score(self) -> float:
        """Mean cosine of the negatives with their queries; NaN if there is none."""
        present = self.score_QP[self.row_QP != EMPTY]
        return float(present.mean()) if present.size else float("nan")

    def staleness(self, step: int) -> int:
        """Steps taken since the weights that mined it, before step `step`; since the start where nothing was mined."""
        return step - max(self.step, 0)


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(StageConfig):
    """What identifies a generation."""

    step: int
    checkpoint: str


def publish_generation(
    store: Path,
    pools: Pools,
    data: RetrievalSplit,
    *,
    step: int,
    checkpoint: str,
    command: str,
    extra: Mapping[str, Any],
    seconds: float | None = None,
) -> Generation:
    """Writes `pools` to a new generation below `store`; `checkpoint` is the fingerprint of the weights that
    scored them, `seconds` is what the mining took, for `mining_record`.
    """
    digest = hashlib.sha256(pools.rows.tobytes() + pools.scores.tobytes()).hexdigest()[:8]
    config = GenerationConfig(out=store / f"gen-{step:08d}-{digest}", step=step, checkpoint=checkpoint)
    with artifact.building(config, kind=KIND, command=command, inputs=[], nested=True) as build:
        if not build.done:
            write_negatives(build.dir / NEGATIVES_FILE, pools, data, checkpoint=checkpoint, step=step)
            num_empty = int((pools.sizes == 0).sum())
            dropped = {"no-negative-left": num_empty} if num_empty else {}
            if seconds is not None:
                (build.dir / TIMES).write_text(json.dumps({"seconds": seconds}) + "\n", encoding="utf-8")
            build.publish(
                rows=artifact.Rows(read=len(pools.sizes), kept=len(pools.sizes) - num_empty, dropped=dropped),
                extra=extra,
            )
    return load_generation(config.out, data)


def mining_record(path: Path) -> dict[str, Any]:
    """Return what the service that mined the generation at `path` says of it, and the seconds that it took."""
    record = dict(read_manifest(path)["extra"].get("refresh", {}))
    try:
        return {**record, "seconds": float(json.loads((path / TIMES).read_text(encoding="utf-8"))["seconds"])}
    except (OSError, ValueError, KeyError, TypeError):  # no manifest vouches for times: they may be missing
        return record


def load_generation(path: Path, data: RetrievalSplit) -> Generation:
    """The negatives artifact at `path` over the rows of `data`. Raises `UserError` when it names queries or
    documents that `data` does not have.
    """
    opened = artifact.open_artifact(path, kind=KIND)
    table = tables.read(opened.dir / NEGATIVES_FILE, tables.NEGATIVES)
    query_row = _rows_of(table.column("query_id"), data.queries.column("_id"), opened.dir, "query_id")
    pool = table.column("pool").combine_chunks()
    items = pool.flatten()
    document_row = _rows_of(items.field("corpus_id"), data.corpus.column("_id"), opened.dir, "pool.corpus_id")
    size = pc.list_value_length(pool).to_numpy(zero_copy_only=False).astype(np.int64)
    place = np.arange(len(document_row)) - np.repeat(np.cumsum(size) - size, size)
    row_QP = np.full((data.queries.num_rows, int(size.max(initial=0))), EMPTY, np.int32)
    score_QP = np.full(row_QP.shape, np.nan, np.float32)
    row_QP[np.repeat(query_row, size), place] = document_row
    score_QP[np.repeat(query_row, size), place] = items.field("score").to_numpy(zero_copy_only=False)
    step = int(table.column("step")[0].as_py()) if table.num_rows else 0
    return Generation(name=path.name, step=step, row_QP=row_QP, score_QP=score_QP)


def require_no_answers(generation: Generation, arrays: RetrievalArrays) -> None:
    """Raises `UserError` where a pool holds what is never a negative of its query (see `never_negative`).

    No miner gives such a pool. But a run that learns to push answers away looks healthy for a long time, so
    what came from another process, or from another version, is looked at before it is trained on.
    """
    wrong_QP = _wrong(generation, arrays)
    if wrong_QP.any():
        query, place = np.argwhere(wrong_QP)[0]
        raise UserError(
            f"{generation.name}: the pool of query row {query} holds an answer, or the query itself (document row "
            f"{generation.row_QP[query, place]}); it was mined for other data, or by a faulty miner"
        )


def without_answers(generation: Generation, arrays: RetrievalArrays) -> Generation:
    """Return `generation` without what is never a negative of its query, and log how many those were.

    Negatives that were mined elsewhere, or by an older version, are a user's choice: what is wrong with them costs
    itself alone.
    """
    wrong_QP = _wrong(generation, arrays)
    if not wrong_QP.any():
        return generation
    log.warning(
        "%s: %d negatives of %d queries are answers or the query itself and are left out",
        *(generation.name, wrong_QP.sum(), wrong_QP.any(axis=1).sum()),
    )
    order_QP = np.argsort(wrong_QP, axis=1, kind="stable")
    row_QP = np.where(wrong_QP, EMPTY, generation.row_QP)
    score_QP = np.where(wrong_QP, np.float32(np.nan), generation.score_QP)
    return replace(
        generation,
        row_QP=np.take_along_axis(row_QP, order_QP, axis=1),
        score_QP=np.take_along_axis(score_QP, order_QP, axis=1),
    )


def _wrong(generation: Generation, arrays: RetrievalArrays) -> np.ndarray:
    """bool [Q, P]: which negatives are none."""
    wrong_QP = np.zeros(generation.row_QP.shape, bool)
    for start in range(0, len(wrong_QP), _QUERIES_A_CHECK):
        row_CP = generation.row_QP[start : start + _QUERIES_A_CHECK]
        query_C = np.arange(start, start + len(row_CP))
        wrong_QP[start : start + len(row_CP)] = (row_CP != EMPTY) & never_negative(
            arrays, query_C, np.maximum(row_CP, 0)
        )
    return wrong_QP


def changed_share(old: Generation, new: Generation, *, num_negatives: int) -> float:
    """Share of the first `num_negatives` of every pool of `new` that are not among those of `old`; NaN if
    `new` is empty.
    """
    first_new, first_old = new.row_QP[:, :num_negatives], old.row_QP[:, :num_negatives]
    present = first_new != EMPTY
    was_there = (first_new[:, :, None] == first_old[:, None, :]).any(-1)
    return float((present & ~was_there).sum() / present.sum()) if present.any() else float("nan")


def _rows_of(ids: pa.Array | pa.ChunkedArray, known: pa.ChunkedArray, where: Path, field: str) -> np.ndarray:
    """The row of each id in `known`, int64."""
    rows = pc.index_in(ids, value_set=known)
    if rows.null_count:
        unknown = ids[pc.index(pc.is_null(rows), True).as_py()].as_py()
        raise UserError(
            f"{where}: {field} {unknown!r} is not in the retrieval set; mine this set's own negatives"
        )
    return rows.to_numpy(zero_copy_only=False).astype(np.int64)
