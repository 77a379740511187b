"""The queries and passages of one set, or of several together.

Ids of several sets may be the same (`q1`), so each gets the name of its set in front: `tldr/q1`. A name holds no `/`,
so no two ids become one, and an id does not change when a set is added or removed; nor does whatever is drawn by it:
the share of queries that is taken, the languages, the split.

A passage that stands in several sets is one document: that of the first set that has it, whose group takes in the
documents of the other one's group. Otherwise a right answer could be mined as a negative under its second id.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from conan_data import tables
from conan_data.errors import UserError
from conan_data.manifest import Rows
from conan_data.retrieval import RetrievalSplit, read_retrieval
from conan_data.sources import resolve
from conan_data.xlr.config import SetConfig
from conan_data.xlr.mix import uniform

_PREFIXED = {
    "corpus": ("_id", "group"),
    "queries": ("_id", "source_id"),
    "qrels": ("query-id", "corpus-id"),
    "translations": ("query_id",),
}
"""Columns that hold ids, by table."""
NOT_SAMPLED = "not-sampled"


@dataclass(frozen=True)
class Sources:
    """The sets as one split, and what the manifest says of each."""

    split: RetrievalSplit
    described: dict[str, dict[str, Any]]


def resolve_sets(sets: Mapping[str, SetConfig]) -> dict[str, SetConfig]:
    """Return the sets with their data at the place, and on the Hub at the commit, where it is read."""
    return {name: replace(each, data=resolve(each.data, "retrieval")) for name, each in sets.items()}


def read_sets(sets: Mapping[str, SetConfig], *, seed: int) -> Sources:
    """Return the sets as one split; `sets` are resolved, and in the order of their names.

    Raises `UserError` for a set that cannot be read, and where no query is taken.
    """
    splits, described = [], {}
    for name, each in sorted(sets.items()):
        read = read_retrieval(each.data, each.split, group_regex=each.group_regex)
        taken = _sample(_prefixed(read, name) if name else read, each.weight, seed)
        splits.append(taken)
        described[name or "data"] = {
            "data": each.data,
            "split": each.split,
            **({"license": each.license} if each.license else {}),
            "weight": each.weight,
            "queries": read.queries.num_rows,
            "queries_taken": taken.queries.num_rows,
            "documents": read.corpus.num_rows,
            "judgements": read.qrels.num_rows,
        }
    split = splits[0] if len(splits) == 1 else _together(splits, sorted(sets))
    if not split.queries.num_rows:
        raise UserError(f"sets: no query is taken of {', '.join(sorted(sets))}; give larger weights")
    return Sources(split, described)


def _prefixed(split: RetrievalSplit, name: str) -> RetrievalSplit:
    prefix = pl.lit(f"{name}/")
    found = {}
    for part, columns in _PREFIXED.items():
        table = getattr(split, part)
        named = _frame(table).with_columns(pl.concat_str(prefix, column).alias(column) for column in columns)
        found[part] = tables.check(named.to_arrow(), table.schema, name)
    return replace(split, **found, unused=tuple(f"{name}: {column}" for column in split.unused))


def _sample(split: RetrievalSplit, weight: float, seed: int) -> RetrievalSplit:
    """The queries whose number, by their id, is below `weight`, with their judgements and translations."""
    if weight == 1:
        return split
    ids = split.queries.column("_id").to_pylist()
    taken = pa.array([uniform(seed, name, "weight") < weight for name in ids], pa.bool_())
    queries = split.queries.filter(taken)
    kept = queries.column("_id")
    rows = split.parts["queries"]
    num_left_out = split.queries.num_rows - queries.num_rows
    dropped = Counter(rows.dropped) + Counter({NOT_SAMPLED: num_left_out})
    return replace(
        split,
        queries=queries,
        qrels=_of(split.qrels, "query-id", kept),
        translations=_of(split.translations, "query_id", kept),
        parts={**split.parts, "queries": Rows(rows.read, rows.kept - num_left_out, dict(dropped))},
    )


def _of(table: pa.Table, column: str, ids: pa.ChunkedArray) -> pa.Table:
    return table.filter(pc.is_in(table.column(column), ids))


def _together(splits: Sequence[RetrievalSplit], names: Sequence[str]) -> RetrievalSplit:
    """The sets as one; equal passages are one document."""
    corpus = pl.concat([_frame(split.corpus) for split in splits])
    first = corpus.unique(["title", "text"], keep="first", maintain_order=True)
    same = corpus.join(
        first.select("title", "text", kept="_id", kept_group="group"), on=["title", "text"], nulls_equal=True
    )
    groups = _joined_groups(same.filter(pl.col("group") != pl.col("kept_group")))
    repeated = dict(same.filter(pl.col("_id") != pl.col("kept")).select("_id", "kept").iter_rows())
    qrels = (
        pl.concat([_frame(split.qrels) for split in splits])
        .with_columns(pl.col("corpus-id").replace(repeated))
        .group_by("query-id", "corpus-id", maintain_order=True)
        .agg(pl.col("score").max())
    )
    parts = {
        name: _sum([split.parts[name] for split in splits if name in split.parts])
        for name in ("corpus", "queries", "qrels", "translations")
    }
    if repeated:
        rows = parts["corpus"]
        parts["corpus"] = Rows(
            rows.read,
            rows.kept - len(repeated),
            {**rows.dropped, "equal-passage": len(repeated)},
        )
    return RetrievalSplit(
        corpus=tables.check(
            first.with_columns(pl.col("group").replace(groups)).to_arrow(), tables.CORPUS, "corpus"
        ),
        queries=_queries(splits),
        qrels=tables.check(qrels.to_arrow(), tables.QRELS, "qrels"),
        translations=pa.concat_tables([split.translations for split in splits]),
        broken=[row for split in splits for row in split.broken],
        num_query_rows=sum(split.num_query_rows for split in splits),
        parts=parts,
        unused=tuple(name for split in splits for name in split.unused),
    )


def _queries(splits: Sequence[RetrievalSplit]) -> pa.Table:
    return pa.concat_tables([split.queries.select(tables.QUERIES.names) for split in splits])


def _joined_groups(pairs: pl.DataFrame) -> dict[str, str]:
    """The new name of each group, where documents of two groups are equal: that of the first set's group."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parent.get(name, name)) != name:
            parent[name] = parent.get(above, above)
            name = above
        return name

    for group, kept in pairs.select("group", "kept_group").iter_rows():
        if (a := root(group)) != (b := root(kept)):
            parent[a] = b
    return {name: root(name) for name in list(parent)}


def _sum(rows: Sequence[Rows]) -> Rows:
    dropped = sum((Counter(each.dropped) for each in rows), Counter[str]())
    return Rows(sum(each.read for each in rows), sum(each.kept for each in rows), dict(dropped))


def _frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table))
