"""Read one split of a retrieval set from its files, by columns, so that every row is kept or counted with a reason."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa

from conan_data import tables
from conan_data.errors import UserError
from conan_data.manifest import Rows
from conan_data.public_names import public_name
from conan_data.readers import Broken
from conan_data.retrieval import UNKNOWN_LANGUAGE, RetrievalSplit
from conan_data.retrieval_files import RetrievalFiles
from conan_data.retrieval_frames import PartFrame, refused_rows
from conan_data.retrieval_rows import CORPUS, QRELS, QUERIES, TRANSLATIONS, Part

REPLACED = "judgement-replaced-by-a-later-one"


@dataclass
class Reader:
    """Reads the files of one split, and accounts for every row."""

    name: str
    split: str
    files: RetrievalFiles
    group_of: Callable[[str], str]
    keep_absent: bool
    broken: list[Broken] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    """Reasons, by part."""

    def read(self) -> RetrievalSplit:
        """Return the split. Raises `UserError` for a column that no row has, and where nothing usable is left."""
        corpus = self._unique(CORPUS, self.files.corpus)
        asked = self._unique(QUERIES, self.files.queries)
        qrels, judged = self._qrels(asked["_id"], corpus["_id"])
        # A classic BEIR folder keeps the queries of all splits in one file: those that this split does not
        # judge are not its own. A judgement that was refused names a query of its own all the same.
        own = asked if self.files.has_own_queries else asked.filter(pl.col("_id").is_in(judged.implode()))
        with_positive = qrels.filter(pl.col("score") > 0)["query-id"].unique()
        has_positive = pl.col("_id").is_in(with_positive.implode())
        for row in own.filter(~has_positive).iter_rows(named=True):
            file = public_name(self.files.queries[row["file"]])
            self._refuse("queries", Broken(file, row["place"], "no-positive", row["text"][:200]))
        kept = own.filter(has_positive)
        if corpus.is_empty() or kept.is_empty():
            what = "document" if corpus.is_empty() else "query with a positive"
            raise UserError(f"{self.name}: no usable {what} in split {self.split!r}{self._why()}")
        kept_qrels = qrels.filter(pl.col("query-id").is_in(with_positive.implode()))
        if lost := qrels.height - kept_qrels.height:
            self.refused.setdefault("qrels", Counter())["query-without-positive"] += lost
        found = {
            "corpus": tables.check(self._documents(corpus).to_arrow(), tables.CORPUS, self.name),
            "queries": tables.check(_queries(kept).to_arrow(), tables.QUERIES, self.name),
            "qrels": tables.check(kept_qrels.to_arrow(), tables.QRELS, self.name),
            "translations": self._translations(own["_id"], with_positive),
        }
        parts = {name: self._rows(name, table.num_rows) for name, table in found.items()}
        return RetrievalSplit(
            **found,
            broken=self.broken,
            num_query_rows=parts["queries"].read,
            parts=parts,
            unused=(*self.unused, *self.files.unused),
        )

    def _rows(self, part: str, num_kept: int) -> Rows:
        dropped = self.refused.get(part, Counter())
        return Rows(read=num_kept + dropped.total(), kept=num_kept, dropped=dict(dropped))

    def _refuse(self, part: str, row: Broken) -> None:
        self.broken.append(row)
        self.refused.setdefault(part, Counter())[row.reason] += 1

    def _why(self) -> str:
        reasons = sorted({reason for part in self.refused.values() for reason in part})
        return f" (rows were refused: {', '.join(reasons)})" if reasons else ""

    def _usable(
        self,
        part: Part,
        files: list[Path],
        required: tuple[str, ...],
        judge: Callable[[pl.DataFrame], pl.DataFrame],
    ) -> pl.DataFrame:
        """The rows to which `judge` gives no `reason` ("" or why a row is refused; null for one that is nobody's).

        Raises `UserError` when a required column is in none of the rows that could be read.
        """
        rows = PartFrame(part, files)
        frame = judge(rows.read())
        refused = [
            *rows.broken,
            *refused_rows(part, frame.filter(pl.col("reason").fill_null("") != ""), files),
        ]
        for _, row in sorted(refused, key=lambda item: (item[0], item[1].place)):
            self._refuse(part.name, row)
        absent = [name for name in required if rows.fields and name not in rows.seen]
        if absent:
            raise UserError(
                f"{public_name(files[0])}: no row has the field {absent[0]!r}; the fields are {', '.join(sorted(rows.fields))};"
                f" needed: {part.needs(absent)}"
            )
        self.unused += [f"{part.name}.{name}" for name in sorted(rows.unused)]
        return frame.filter(pl.col("reason") == "").drop("reason")

    def _unique(self, part: Part, files: list[Path]) -> pl.DataFrame:
        """The rows with an id of their own and something to read."""

        def judge(frame: pl.DataFrame) -> pl.DataFrame:
            texts = [name for name in ("title", "text") if name in part.columns]
            frame = frame.with_columns(
                reason=pl.when(pl.col("_id") == "")
                .then(pl.lit("no-id"))
                .when(pl.col("refused") != "")
                .then("refused")
                .when(pl.all_horizontal(_is_blank(name) for name in texts))
                .then(pl.lit("no-text"))
                .otherwise(pl.lit(""))
            )
            again = (pl.col("reason") == "") & ~pl.struct("_id", "reason").is_first_distinct()
            return frame.with_columns(reason=pl.when(again).then(pl.lit("duplicate-id")).otherwise("reason"))

        return self._usable(part, files, ("_id", "text"), judge)

    def _documents(self, corpus: pl.DataFrame) -> pl.DataFrame:
        groups = pl.Series([self.group_of(name) for name in corpus["_id"]], dtype=pl.String)
        return corpus.select(
            "_id",
            pl.col("title").fill_null(""),
            pl.when(_is_blank("text")).then(pl.lit("")).otherwise("text").alias("text"),
            _or("lang", pl.lit(UNKNOWN_LANGUAGE)),
            _or("group", groups),
        )

    def _qrels(self, queries: pl.Series, documents: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
        """The judgements of known queries, the last one of a pair in the place of the first, and all queries that are
        named.
        """
        named: list[pl.Series] = []

        def judge(frame: pl.DataFrame) -> pl.DataFrame:
            named.append(frame["query-id"].unique())
            is_unknown = pl.lit(self.keep_absent) | pl.col("corpus-id").is_in(documents.implode())
            frame = frame.with_columns(
                reason=pl.when(pl.col("query-id") == "")
                .then(pl.lit("no-query-id"))
                .when(pl.col("corpus-id") == "")
                .then(pl.lit("no-corpus-id"))
                .when(~pl.col("query-id").is_in(queries.implode()))
                .then(pl.lit("judgement-of-unknown-query"))
                .when(pl.col("refused") != "")
                .then("refused")
                .when(~is_unknown)
                .then(pl.lit("judgement-of-unknown-document"))
                .otherwise(pl.lit(""))
            )
            before = pl.col("score").shift(1).over(["query-id", "corpus-id", "reason"])
            frame = frame.with_columns(before=before)
            reason = (
                pl.when((pl.col("reason") != "") | pl.col("before").is_null())
                .then("reason")
                .when(pl.col("before") == pl.col("score"))
                .then(pl.lit("duplicate-judgement"))
                .otherwise(pl.lit(REPLACED))
            )
            frame = frame.with_columns(reason=reason).drop("before")
            if not (frame["reason"] == REPLACED).any():
                return frame
            pair = ["query-id", "corpus-id"]
            later = frame.filter(pl.col("reason") == REPLACED).group_by(pair).agg(last=pl.col("score").last())
            first = pl.when(pl.col("reason") == "").then(pl.col("last").fill_null(pl.col("score")))
            return (
                frame.join(later, on=pair, how="left", maintain_order="left")
                .with_columns(score=first.otherwise("score"))
                .drop("last")
            )

        frame = self._usable(QRELS, self.files.qrels, tuple(QRELS.columns), judge)
        return frame.select(tables.QRELS.names), named[0]

    def _translations(self, own: pl.Series, with_positive: pl.Series) -> pa.Table:
        """Those of the queries that are kept; of a file that serves all splits, other queries are not this split's."""

        def judge(frame: pl.DataFrame) -> pl.DataFrame:
            query = pl.col("query_id")
            others = pl.lit("translation-of-unknown-query" if self.files.has_own_translations else None)
            return frame.with_columns(
                reason=pl.when(_is_blank("lang"))
                .then(pl.lit("no-lang"))
                .when(_is_blank("text"))
                .then(pl.lit("no-text"))
                .when(query == "")
                .then(pl.lit("no-query-id"))
                .when(query.is_in(with_positive.implode()))
                .then(pl.lit(""))
                .when(query.is_in(own.implode()))
                .then(pl.lit("query-without-positive"))
                .otherwise(others)
            )

        frame = self._usable(TRANSLATIONS, self.files.translations, ("query_id", "lang", "text"), judge)
        return tables.check(
            frame.select(tables.TRANSLATIONS.names).to_arrow(), tables.TRANSLATIONS, "translations"
        )


def _queries(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("_id", "text", _or("lang", pl.lit(UNKNOWN_LANGUAGE)), _or("source_id", pl.col("_id")))


def _or(name: str, other: pl.Expr | pl.Series) -> pl.Expr:
    """A column, with another value where it holds nothing."""
    return pl.when(pl.col(name).fill_null("") != "").then(pl.col(name)).otherwise(other).alias(name)


def _is_blank(name: str) -> pl.Expr:
    return pl.col(name).fill_null("").str.strip_chars() == ""
