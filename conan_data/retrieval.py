"""Retrieval sets: corpus, queries and relevance judgements of one split, read from the layouts in use and
written in the mteb layout.

What is read: a retrieval artifact of ours, and the layouts of `retrieval_files`, in a folder or on the Hub.
`translations[.SPLIT].jsonl` beside them holds the same queries in other languages.

Kept here, so that no stage has to think of it again: ids are unique, every judgement names a known query and
document, every query has a positive, and every document has a language and a group. Rows that break this are
not lost: they come back in `broken`, with the reason.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from conan_data import artifact, hub, tables
from conan_data.errors import UserError
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row, broken, read_rows
from conan_data.retrieval_files import RetrievalFiles, find_files
from conan_data.sources import resolve

KIND = "retrieval"
UNKNOWN_LANGUAGE = "und"
"""Language of a row that names none (ISO 639-2 "undetermined")."""


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

    def positives(self) -> dict[str, list[str]]:
        """Document ids judged relevant (score above 0), by query id, in the order of the judgements."""
        found: dict[str, list[str]] = {}
        for query, document, score in zip(
            *(self.qrels.column(name).to_pylist() for name in tables.QRELS.names), strict=True
        ):
            if score > 0:
                found.setdefault(query, []).append(document)
        return found


def read_retrieval(path: str | Path, split: str, *, group_regex: str = "") -> RetrievalSplit:
    """The split `split` of the set at `path` (or of `sample`).

    `group_regex`: its first bracketed part, searched in a document's id, is the group of documents that carry
    none (`^(.*)@` makes `page@de` and `page@fr` one group); without it a document is alone in its group.
    Raises `UserError` for a missing set, split or column, or when nothing usable is left.
    """
    name = resolve(path, "retrieval")
    if not hub.is_name(name):
        if not Path(name).is_dir():
            raise UserError(f"{path}: no such retrieval set (a directory with corpus, queries and qrels)")
        if artifact.is_artifact(name):
            if not (Path(name) / "corpus.jsonl").is_file():
                return _read_artifact(Path(name), split)
            artifact.open_artifact(name)
    return _Reader(name, split, find_files(name, split), _group_finder(group_regex)).read()


def write_split(directory: Path, split: str, data: RetrievalSplit) -> None:
    """Writes `corpus/`, `queries/` and `qrels/SPLIT.parquet` below `directory`."""
    schema = tables.XLR_QUERIES if "translator" in data.queries.column_names else tables.QUERIES
    tables.write(data.corpus, tables.CORPUS, directory / "corpus" / f"{split}.parquet")
    tables.write(data.queries, schema, directory / "queries" / f"{split}.parquet")
    tables.write(data.qrels, tables.QRELS, directory / "qrels" / f"{split}.parquet")


def dataset_configs() -> dict[str, Any]:
    """The `configs` of a data card, by which `datasets.load_dataset(dir, "corpus")` and mteb find the files."""
    parts = {"corpus": "corpus", "queries": "queries", "default": "qrels"}
    return {"configs": [{"config_name": name, "data_dir": folder} for name, folder in parts.items()]}


def _read_artifact(root: Path, split: str) -> RetrievalSplit:
    # Negatives that were imported lie beside the set that they are of.
    has_set = (root / "corpus").is_dir()
    opened = artifact.open_artifact(root, kind=None if has_set else KIND)
    splits = sorted(file.stem for file in opened.files(".parquet") if file.parent.name == "qrels")
    if split not in splits:
        raise UserError(f"{root}: has no split {split!r}; it has {', '.join(splits)}")
    queries = tables.read(root / "queries" / f"{split}.parquet", tables.XLR_QUERIES)
    return RetrievalSplit(
        corpus=tables.read(root / "corpus" / f"{split}.parquet", tables.CORPUS),
        queries=queries,
        qrels=tables.read(root / "qrels" / f"{split}.parquet", tables.QRELS),
        translations=tables.TRANSLATIONS.empty_table(),
        num_query_rows=queries.num_rows,
    )


def _group_finder(group_regex: str) -> Callable[[str], str]:
    if not group_regex:
        return lambda identifier: identifier
    try:
        pattern = re.compile(group_regex)
    except re.error as error:
        raise UserError(f"group_regex: {group_regex!r} is not a regular expression ({error})") from error
    if pattern.groups < 1:
        raise UserError(f"group_regex: {group_regex!r} has no bracketed part to take the group from")
    return lambda identifier: match.group(1) if (match := pattern.search(identifier)) else identifier


@dataclass
class _Reader:
    name: str
    split: str
    files: RetrievalFiles
    group_of: Callable[[str], str]
    broken: list[Broken] = field(default_factory=list)

    def read(self) -> RetrievalSplit:
        corpus = list(
            self._unique(self.files.corpus, ("_id", "text"), lambda row: self._document(row.values))
        )
        queries = {
            row["_id"]: row
            for row in self._unique(self.files.queries, ("_id", "text"), lambda row: _query(row.values))
        }
        qrels = list(self._qrels(queries.keys(), {row["_id"] for row in corpus}))
        with_positive = {row["query-id"] for row in qrels if row["score"] > 0}
        judged = {row["query-id"] for row in qrels}
        # A classic BEIR folder keeps the queries of all splits in one file: those that this split does not
        # judge are not its own.
        own = (
            queries
            if self.files.has_own_queries
            else {key: row for key, row in queries.items() if key in judged}
        )
        kept = [row for key, row in own.items() if key in with_positive]
        places = [public_name(file) for file in self.files.queries]
        lost = [
            Broken(places[0], number, "no-positive", row["text"][:200])
            for number, (key, row) in enumerate(own.items(), 1)
            if key not in with_positive
        ]
        num_query_rows = len(own) + sum(row.file in places for row in self.broken)
        self.broken += lost
        if not corpus or not kept:
            raise UserError(
                f"{self.name}: no usable {'document' if not corpus else 'query with a positive'} in split {self.split!r}{self._why()}"
            )
        kept_ids = {row["_id"] for row in kept}
        return RetrievalSplit(
            corpus=pa.Table.from_pylist(corpus, schema=tables.CORPUS),
            queries=pa.Table.from_pylist(kept, schema=tables.QUERIES),
            qrels=pa.Table.from_pylist(
                [row for row in qrels if row["query-id"] in kept_ids], schema=tables.QRELS
            ),
            translations=pa.Table.from_pylist(list(self._translations(kept_ids)), schema=tables.TRANSLATIONS),
            broken=self.broken,
            num_query_rows=num_query_rows,
        )

    def _why(self) -> str:
        reasons = sorted({row.reason for row in self.broken})
        return f" (rows were refused: {', '.join(reasons)})" if reasons else ""

    def _unique(
        self, files: list[Path], required: tuple[str, ...], convert: Callable[[Row], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        for row in self._usable(files, required):
            identifier = str(row.values[required[0]])
            if identifier in seen:
                self.broken.append(broken(row, "duplicate-id"))
                continue
            seen.add(identifier)
            yield convert(row)

    def _usable(self, files: list[Path], required: tuple[str, ...]) -> Iterator[Row]:
        """The rows that have a non-empty text in every required field; raises `UserError` when a field is in
        no row at all.
        """
        fields_seen: set[str] = set()
        num_rows = 0
        for row in (row for file in files for row in read_rows(file)):
            if isinstance(row, Broken):
                self.broken.append(row)
                continue
            num_rows += 1
            _rename(row.values)
            fields_seen.update(row.values)
            lacking = next(
                (
                    name
                    for name in required
                    if not isinstance(row.values.get(name), str) or not row.values[name].strip()
                ),
                None,
            )
            if lacking is not None:
                self.broken.append(broken(row, f"no-{lacking.lstrip('_')}"))
                continue
            yield row
        absent = next((name for name in required if num_rows and name not in fields_seen), None)
        if absent is not None:
            raise UserError(
                f"{public_name(files[0])}: no row has the field {absent!r}; the fields are {', '.join(sorted(fields_seen))}"
            )

    def _document(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "_id": values["_id"],
            "title": values.get("title") or "",
            "text": values["text"],
            "lang": _field(values, "lang") or UNKNOWN_LANGUAGE,
            "group": _field(values, "group") or self.group_of(values["_id"]),
        }

    def _qrels(self, queries: Iterable[str], documents: set[str]) -> Iterator[dict[str, Any]]:
        known = set(queries)
        for row in self._usable(self.files.qrels, ("query-id", "corpus-id", "score")):
            query, document, score = (row.values[name] for name in ("query-id", "corpus-id", "score"))
            try:
                judged = int(score)
            except ValueError:
                self.broken.append(broken(row, "score-not-a-number"))
                continue
            if query not in known or document not in documents:
                self.broken.append(
                    broken(
                        row,
                        "judgement-of-unknown-query"
                        if query not in known
                        else "judgement-of-unknown-document",
                    )
                )
                continue
            yield {"query-id": query, "corpus-id": document, "score": judged}

    def _translations(self, query_ids: set[str]) -> Iterator[dict[str, Any]]:
        if not self.files.translations:
            return
        for row in self._usable(self.files.translations, ("query_id", "lang", "text")):
            if row.values["query_id"] in query_ids:
                yield {name: row.values.get(name) for name in tables.TRANSLATIONS.names}


def _rename(values: dict[str, Any]) -> None:
    """Ids as they are called and written in other layouts: `id`, and as numbers."""
    if "_id" not in values and "id" in values:
        values["_id"] = values.pop("id")
    for name in ("_id", *tables.QRELS.names):
        value = values.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            values[name] = str(int(value)) if value == value // 1 else str(value)


def _query(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "_id": values["_id"],
        "text": values["text"],
        "lang": _field(values, "lang") or UNKNOWN_LANGUAGE,
        "source_id": _field(values, "source_id") or values["_id"],
    }


def _field(values: Mapping[str, Any], name: str) -> str | None:
    """`name` at the top of a row or in its `metadata`."""
    metadata = values.get("metadata")
    found = values.get(name) or (metadata.get(name) if isinstance(metadata, Mapping) else None)
    return str(found) if found else None
