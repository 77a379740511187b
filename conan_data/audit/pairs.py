"""Negatives as flat arrays, one entry a (query, negative) pair, with the set that gives them texts.

Legend: M pairs, Q queries of the set.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from conan_data import artifact, tables
from conan_data.audit.config import AuditConfig
from conan_data.errors import UserError
from conan_data.manifest import Manifest
from conan_data.mining.arrays import RetrievalArrays, retrieval_arrays
from conan_data.mining.mine import KIND, NEGATIVES_FILE
from conan_data.retrieval import RetrievalSplit, read_retrieval
from conan_data.sources import expand, resolve
from conan_data.training_files.examples import rows_of
from conan_data.training_files.read import read_training_files


@dataclass(frozen=True)
class Pairs:
    """The pairs of all pools, pool after pool."""

    data: RetrievalSplit
    arrays: RetrievalArrays
    queries_M: np.ndarray
    """int64: rows of the set's queries."""
    documents_M: np.ndarray
    """int64: rows of its corpus."""
    scores_M: np.ndarray
    """float32; NaN where unknown."""
    places_M: np.ndarray
    """int64: places in the pool, from 0."""
    ranks_M: np.ndarray
    """int32: ranks among all candidates."""
    reasons_M: list[str]
    positive_scores_Q: np.ndarray
    """float32; NaN for a query without a pool or a score."""
    manifest: Manifest | None
    """Of the negatives; None for a training file."""

    def __len__(self) -> int:
        return len(self.queries_M)

    @property
    def ratios(self) -> np.ndarray:
        """float64: what margin would just let the pair through; score / positive score where that is positive,
        NaN where a score is unknown.
        """
        positive_M = self.positive_scores_Q[self.queries_M].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - (positive_M - self.scores_M) / np.abs(positive_M)

    @property
    def languages(self) -> np.ndarray:
        """int32: places in `arrays.languages`, of the query."""
        return self.arrays.query_languages[self.queries_M]

    @property
    def sizes(self) -> np.ndarray:
        """int64: negatives of each query of the set."""
        return np.bincount(self.queries_M, minlength=self.arrays.num_queries)


def read_pairs(config: AuditConfig) -> Pairs:
    """The pairs of an artifact or of training files. Raises `UserError` for what is neither, for negatives of
    another set, and where there is no pair.
    """
    manifest: Manifest | None = None
    path = Path(config.negatives)
    if artifact.is_artifact(path) and (path / NEGATIVES_FILE).is_file():
        manifest = artifact.open_artifact(path, kind=KIND).manifest
        table = tables.read(path / NEGATIVES_FILE, tables.NEGATIVES)
        mined = manifest["config"]
        source = config.data or (
            config.negatives if (path / "corpus").is_dir() else mined_set(path, manifest)
        )
        regex = config.group_regex or mined.get("group_regex", "")
        data = read_retrieval(source, config.split, group_regex=regex)
    else:
        found = read_training_files(expand((config.negatives,)))
        data, table = found.split(), found.pools()
    where = Path(config.negatives)
    query_rows = rows_of(table.column("query_id"), data.queries.column("_id"), where, "query_id")
    pool = table.column("pool").combine_chunks()
    items = pool.flatten()
    if not len(items):
        raise UserError(f"negatives: {config.negatives} holds no negative")
    sizes = pc.list_value_length(pool).to_numpy(zero_copy_only=False).astype(np.int64)
    positive_scores_Q = np.full(data.queries.num_rows, np.nan, np.float32)
    positive_scores_Q[query_rows] = table.column("positive_score").to_numpy()
    return Pairs(
        data=data,
        arrays=retrieval_arrays(data),
        queries_M=np.repeat(query_rows, sizes),
        documents_M=rows_of(items.field("corpus_id"), data.corpus.column("_id"), where, "pool.corpus_id"),
        scores_M=items.field("score").to_numpy(zero_copy_only=False),
        places_M=np.arange(len(items)) - np.repeat(np.cumsum(sizes) - sizes, sizes),
        ranks_M=items.field("rank").to_numpy(zero_copy_only=False),
        reasons_M=items.field("reason").to_pylist(),
        positive_scores_Q=positive_scores_Q,
        manifest=manifest,
    )


def mined_set(negatives: Path, manifest: Manifest) -> str:
    """The set that negatives were mined for, as it is named in their manifest: where it lies beside them, or below the
    current folder, and still holds what it held. Raises `UserError` where it does not.
    """
    name, known = manifest["config"].get("data", ""), manifest["inputs"][:1]
    for found in (name, str(negatives.parent / name)) if name else ():
        try:
            entry = artifact.describe_input(resolve(found, "retrieval"))
        except UserError:
            continue
        if [_content(entry)] == [_content(old) for old in known]:
            return found
    raise UserError(
        f"data: name the set that {negatives} was mined for"
        + (f", {name!r}: it does not lie beside the negatives as it was then" if name else "")
    )


def _content(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "path"}
