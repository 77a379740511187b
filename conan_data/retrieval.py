"""Retrieval sets: corpus, queries and relevance judgements of one split, read from the layouts in use and
written in the mteb layout.

What is read: a retrieval artifact of ours, and the layouts of `retrieval_files`, in a folder or on the Hub.
`translations[.SPLIT].jsonl` beside them holds the same queries in other languages.

Kept here, so that no stage has to think of it again: ids are unique, a document has a title or a text, every
judgement names a known query and document, every query has a positive, and every document has a language and a
group. Nothing that breaks this is lost in silence: each row is kept, or counted under a reason (`parts`, `broken`),
and a column without a meaning is named (`unused`). One line of the log says both.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from conan_data import artifact, hub, tables
from conan_data.errors import UserError
from conan_data.manifest import Rows
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row, broken
from conan_data.retrieval_files import RetrievalFiles, find_files, folder_and_config
from conan_data.retrieval_rows import (
    CORPUS,
    QRELS,
    QUERIES,
    TRANSLATIONS,
    Part,
    PartRows,
    grade,
    identifier,
)
from conan_data.sources import resolve

log = logging.getLogger(__name__)

KIND = "retrieval"
UNKNOWN_LANGUAGE = "und"
"""Language of a row that names none (ISO 639-2 "undetermined")."""
_WORDS = {"corpus": "documents", "queries": "queries", "qrels": "judgements", "translations": "translations"}


@dataclass(frozen=True)
class RetrievalSplit:
    """One split, in the schemas `CORPUS`, `QUERIES` or `XLR_QUERIES`, `QRELS`, `TRANSLATIONS` of
    `conan_data.tables`.
    """

    corpus: pa.Table
    queries: pa.Table
    qrels: pa.Table
    translations: pa.Table
    broken: list[Broken] = field(default_factory=list)
    """Rows that were refused, of all files."""
    num_query_rows: int = 0
    """Query rows of this split that were read, refused ones included."""
    parts: dict[str, Rows] = field(default_factory=dict)
    """What became of the rows of `corpus`, `queries`, `qrels` and `translations`; empty for a set that was not read
    from files.
    """
    unused: tuple[str, ...] = ()
    """Columns (`corpus.url`) and files that hold something and are not used."""

    def positives(self) -> dict[str, list[str]]:
        """Return the document ids judged relevant (score above 0), by query id, in the order of the judgements."""
        found: dict[str, list[str]] = {}
        for query, document, score in zip(
            *(self.qrels.column(name).to_pylist() for name in tables.QRELS.names), strict=True
        ):
            if score > 0:
                found.setdefault(query, []).append(document)
        return found

    def account(self) -> dict[str, Any]:
        """Return what became of all rows and columns, for a manifest."""
        found: dict[str, Any] = {
            name: {"read": rows.read, "kept": rows.kept, "dropped": dict(sorted(rows.dropped.items()))}
            for name, rows in self.parts.items()
            if rows.read
        }
        return {**found, **({"unused": list(self.unused)} if self.unused else {})}


def read_retrieval(
    path: str | Path, split: str, *, group_regex: str = "", keep_absent: bool = False
) -> RetrievalSplit:
    """Read the split `split` of the set at `path` (or of `sample`), and log what of it is not used.

    `group_regex`: its first bracketed part, searched in a document's id, is the group of documents that carry
    none (`^(.*)@` makes `page@de` and `page@fr` one group); without it a document is alone in its group.
    `keep_absent` keeps judgements of documents that the corpus lacks, as a measure needs them: a positive that
    cannot be found is missed. Raises `UserError` for a missing set, split or column, or when nothing usable is left.
    """
    name = resolve(path, "retrieval")
    if not hub.is_name(name):
        if not folder_and_config(name)[0].is_dir():
            raise UserError(f"{path}: no such retrieval set (a directory with corpus, queries and qrels)")
        if artifact.is_artifact(name):
            if not (Path(name) / "corpus.jsonl").is_file():
                return _read_artifact(Path(name), split)
            artifact.open_artifact(name)
    reader = _Reader(name, split, find_files(name, split), _group_finder(group_regex), keep_absent)
    data = reader.read()
    if line := _not_used(data):
        log.warning("%s, split %s: not used: %s", path, split, line)
    if without := pc.sum(pc.equal(data.queries.column("lang"), UNKNOWN_LANGUAGE)).as_py():
        log.warning(
            "%s, split %s: %s of %s queries say no language and count as one (%s); give each a lang, or scores and "
            "batches by language hold all of them together",
            *(path, split, f"{without:,}", f"{data.queries.num_rows:,}", UNKNOWN_LANGUAGE),
        )
    return data


def write_split(directory: Path, split: str, data: RetrievalSplit) -> None:
    """Write `corpus/`, `queries/` and `qrels/SPLIT.parquet` below `directory`."""
    schema = tables.XLR_QUERIES if "translator" in data.queries.column_names else tables.QUERIES
    tables.write(data.corpus, tables.CORPUS, directory / "corpus" / f"{split}.parquet")
    tables.write(data.queries, schema, directory / "queries" / f"{split}.parquet")
    tables.write(data.qrels, tables.QRELS, directory / "qrels" / f"{split}.parquet")


def _read_artifact(root: Path, split: str) -> RetrievalSplit:
    # Negatives that were imported lie beside the set that they are of.
    has_set = (root / "corpus").is_dir()
    opened = artifact.open_artifact(root, kind=None if has_set else KIND)
    splits = sorted(file.stem for file in opened.files(".parquet") if file.parent.name == "qrels")
    if split not in splits:
        raise UserError(f"{root}: has no split {split!r}; it has {', '.join(splits)}")
    queries = tables.read(root / "queries" / f"{split}.parquet", tables.XLR_QUERIES)
    corpus = tables.read(root / "corpus" / f"{split}.parquet", tables.CORPUS)
    qrels = tables.read(root / "qrels" / f"{split}.parquet", tables.QRELS)
    return RetrievalSplit(
        corpus=corpus,
        queries=queries,
        qrels=qrels,
        translations=tables.TRANSLATIONS.empty_table(),
        num_query_rows=queries.num_rows,
        parts={
            name: Rows(read=table.num_rows, kept=table.num_rows)
            for name, table in (("corpus", corpus), ("queries", queries), ("qrels", qrels))
        },
    )


def _group_finder(group_regex: str) -> Callable[[str], str]:
    if not group_regex:
        return lambda identifier: identifier
    find = re.compile(group_regex).search
    return lambda identifier: match.group(1) if (match := find(identifier)) else identifier


def _not_used(data: RetrievalSplit) -> str:
    parts = [
        f"{sum(rows.dropped.values()):,} of {rows.read:,} {_WORDS[name]}"
        f" ({', '.join(f'{reason} {count:,}' for reason, count in sorted(rows.dropped.items()))})"
        for name, rows in data.parts.items()
        if rows.dropped
    ]
    # Metadata are notes by nature; the manifest names those that have no meaning here.
    return ", ".join([*parts, *(name for name in data.unused if ".metadata." not in name)])


@dataclass
class _Reader:
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
        corpus = [row for _, row in self._unique(CORPUS, self.files.corpus, self._document)]
        asked = {row["_id"]: (place, row) for place, row in self._unique(QUERIES, self.files.queries, _query)}
        judged: set[str] = set()
        documents = {row["_id"] for row in corpus}
        qrels = self._qrels(asked.keys(), documents, judged)
        # A classic BEIR folder keeps the queries of all splits in one file: those that this split does not
        # judge are not its own. A judgement that was refused names a query of its own all the same.
        own = asked if self.files.has_own_queries else {key: asked[key] for key in asked if key in judged}
        with_positive = {query for (query, _), score in qrels.items() if score > 0}
        for key, (place, row) in own.items():
            if key not in with_positive:
                self._refuse("queries", Broken(*place, "no-positive", row["text"][:200]))
        kept = [row for key, (_, row) in own.items() if key in with_positive]
        if not corpus or not kept:
            raise UserError(
                f"{self.name}: no usable {'document' if not corpus else 'query with a positive'} in split {self.split!r}{self._why()}"
            )
        kept_qrels = self._qrels_of(qrels, with_positive)
        translations = self._translations(own, with_positive)
        tables_of = {"corpus": corpus, "queries": kept, "qrels": kept_qrels, "translations": translations}
        parts = {name: self._rows(name, len(rows)) for name, rows in tables_of.items()}
        return RetrievalSplit(
            corpus=pa.Table.from_pylist(corpus, schema=tables.CORPUS),
            queries=pa.Table.from_pylist(kept, schema=tables.QUERIES),
            qrels=pa.Table.from_pylist(kept_qrels, schema=tables.QRELS),
            translations=pa.Table.from_pylist(translations, schema=tables.TRANSLATIONS),
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

    def _usable(self, part: Part, files: list[Path], required: tuple[str, ...]) -> Iterator[Row]:
        """The rows that could be read; raises `UserError` when a required column is in none of them."""
        rows = PartRows(part, files)
        seen: set[str] = set()
        for row in rows:
            if isinstance(row, Broken):
                self._refuse(part.name, row)
                continue
            seen.update(row.values)
            yield row
        absent = [name for name in required if rows.fields and name not in seen]
        if absent:
            raise UserError(
                f"{public_name(files[0])}: no row has the field {absent[0]!r}; the fields are {', '.join(sorted(rows.fields))};"
                f" needed: {part.needs(absent)}"
            )
        self.unused += [f"{part.name}.{name}" for name in sorted(rows.unused)]

    def _unique(
        self, part: Part, files: list[Path], convert: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
        """The rows with an id of their own and something to read, each with its place."""
        seen: set[str] = set()
        for row in self._usable(part, files, ("_id", "text")):
            values = row.values
            values["_id"] = identifier(values.get("_id"))
            if not values["_id"]:
                self._refuse(part.name, broken(row, "no-id"))
            elif not _has_text(values):
                self._refuse(part.name, broken(row, "no-text"))
            elif values["_id"] in seen:
                self._refuse(part.name, broken(row, "duplicate-id"))
            else:
                seen.add(values["_id"])
                yield (row.file, row.place), convert(values)

    def _document(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "_id": values["_id"],
            "title": values.get("title") or "",
            "text": values.get("text") or "",
            "lang": str(values.get("lang") or UNKNOWN_LANGUAGE),
            "group": str(values.get("group") or self.group_of(values["_id"])),
        }

    def _qrels(
        self, queries: Collection[str], documents: set[str], judged: set[str]
    ) -> dict[tuple[str, str], int]:
        """The judgements of known queries, the last one of a pair; all queries that are named go to `judged`."""
        found: dict[tuple[str, str], int] = {}
        for row in self._usable(QRELS, self.files.qrels, tuple(QRELS.columns)):
            query, document = (identifier(row.values.get(name)) for name in QRELS.ids)
            judged.add(query)
            score = grade(row.values.get("score"))
            reason = ""
            if not query or not document:
                reason = "no-query-id" if not query else "no-corpus-id"
            elif query not in queries:
                reason = "judgement-of-unknown-query"
            elif isinstance(score, str):
                reason = score
            elif document not in documents and not self.keep_absent:
                reason = "judgement-of-unknown-document"
            elif (query, document) in found:
                same = found[query, document] == score
                reason = "duplicate-judgement" if same else "judgement-replaced-by-a-later-one"
            if reason:
                self._refuse("qrels", broken(row, reason))
            if isinstance(score, int) and reason in ("", "judgement-replaced-by-a-later-one"):
                found[query, document] = score
        return found

    def _qrels_of(
        self, qrels: Mapping[tuple[str, str], int], with_positive: set[str]
    ) -> list[dict[str, Any]]:
        """The judgements of the queries that are kept; the others are counted."""
        lost = sum(query not in with_positive for query, _ in qrels)
        if lost:
            self.refused.setdefault("qrels", Counter())["query-without-positive"] += lost
        return [
            {"query-id": query, "corpus-id": document, "score": score}
            for (query, document), score in qrels.items()
            if query in with_positive
        ]

    def _translations(self, own: Mapping[str, Any], with_positive: set[str]) -> list[dict[str, Any]]:
        """Those of the queries that are kept; of a file that serves all splits, other queries are not this split's."""
        found = []
        for row in self._usable(TRANSLATIONS, self.files.translations, ("query_id", "lang", "text")):
            query = identifier(row.values.get("query_id"))
            lacking = next((name for name in ("lang", "text") if not _is_text(row.values.get(name))), None)
            if not query or lacking:
                self._refuse("translations", broken(row, f"no-{lacking or 'query-id'}"))
            elif query not in with_positive:
                if query in own or self.files.has_own_translations:
                    reason = "query-without-positive" if query in own else "translation-of-unknown-query"
                    self._refuse("translations", broken(row, reason))
            else:
                found.append(
                    {**{name: row.values.get(name) for name in tables.TRANSLATIONS.names}, "query_id": query}
                )
        return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _has_text(values: dict[str, Any]) -> bool:
    """Whether a row has something to read: a text, or a title alone. What is neither text nor nothing is refused."""
    if any(not isinstance(values.get(name), str | None) for name in ("title", "text")):
        return False
    if _is_text(values.get("text")):
        return True
    values["text"] = ""
    return _is_text(values.get("title"))


def _query(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "_id": values["_id"],
        "text": values["text"],
        "lang": str(values.get("lang") or UNKNOWN_LANGUAGE),
        "source_id": str(values.get("source_id") or values["_id"]),
    }
