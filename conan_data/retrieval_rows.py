"""Read the rows of one part of a retrieval set, whatever its file calls the columns.

Ids are `_id` here, `docid` there, and numbers in a third place; TREC's judgements and MS MARCO's tables have no header
at all. Here every row gets the names of `conan_data.tables`. Columns that no name stands for are remembered, so that
the reader can say what it does not use.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conan_data.errors import UserError
from conan_data.public_names import public_name
from conan_data.readers import MAX_LINE_BYTES, WHOLE, Broken, Row, broken, read_rows
from conan_data.readers.csv_rows import csv_rows
from conan_data.readers.streams import unpacked_name

_JSON_AND_TABLES = (".jsonl", ".ndjson", ".json", ".parquet")
_INT32 = 2**31


@dataclass(frozen=True)
class Part:
    """A part of a retrieval set: its columns, each with the names that it may have in a file (the first one that is
    there is taken), and the columns of a file without a header by their number.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    ids: tuple[str, ...]
    """Columns that hold an id; a file has a header if its first row names one of them."""
    without_header: Mapping[int, tuple[str, ...]]
    """Names of the columns by their number; "" is a column without a meaning."""

    def needs(self, names: Iterable[str]) -> str:
        """The columns `names` with the names that they may have, for a message."""
        return "; ".join(f"{name} ({', '.join(self.columns[name])})" for name in names)


_QUERY_ID = ("query-id", "query_id", "qid", "queryid", "topic_id", "topic-id")
_DOCUMENT_ID = ("docid", "doc_id", "doc-id", "document_id", "pid", "passage_id", "corpus-id", "corpus_id")
_LANGUAGE = ("lang", "language")
CORPUS = Part(
    "corpus",
    {
        "_id": ("_id", "id", *_DOCUMENT_ID),
        "title": ("title",),
        "text": ("text", "contents", "content", "passage", "body", "segment"),
        "lang": _LANGUAGE,
        "group": ("group",),
    },
    ids=("_id",),
    without_header={2: ("_id", "text")},
)
QUERIES = Part(
    "queries",
    {
        "_id": ("_id", "id", *_QUERY_ID),
        "text": ("text", "query", "question"),
        "lang": _LANGUAGE,
        "source_id": ("source_id",),
    },
    ids=("_id",),
    without_header={2: ("_id", "text")},
)
QRELS = Part(
    "qrels",
    {
        "query-id": (*_QUERY_ID, "topic", "query"),
        "corpus-id": ("corpus-id", "corpus_id", *_DOCUMENT_ID, "did"),
        "score": ("score", "relevance", "rel", "label", "grade", "judgment", "judgement"),
    },
    ids=("query-id", "corpus-id"),
    without_header={
        3: ("query-id", "corpus-id", "score"),
        4: ("query-id", "", "corpus-id", "score"),
    },
)
TRANSLATIONS = Part(
    "translations",
    {
        "query_id": ("query_id", "query-id", "qid"),
        "lang": _LANGUAGE,
        "text": ("text", "query"),
        "origin": ("origin",),
    },
    ids=("query_id",),
    without_header={},
)


@dataclass
class PartRows:
    """Reads rows of the files of a part, renamed; `fields` and `unused` are those of the rows that were read."""

    part: Part
    fields: set[str] = field(default_factory=set)
    """Columns that were seen, by their names in the files."""
    unused: set[str] = field(default_factory=set)
    """Columns that hold something and have no meaning here; `metadata.url` is a field of the column `metadata`."""

    def __post_init__(self) -> None:
        self._plans: dict[tuple[str, ...], tuple[list[tuple[str, str]], list[str]]] = {}

    def of_file(self, file: Path) -> Iterator[Row | Broken]:
        """Yield the rows of one file, renamed."""
        is_table = unpacked_name(str(file)).lower().endswith(_JSON_AND_TABLES)
        return self.renamed(read_rows(file) if is_table else _delimited(file, self.part))

    def renamed(self, rows: Iterable[Row | Broken]) -> Iterator[Row | Broken]:
        """Yield rows with the names of the part's columns."""
        for row in rows:
            if isinstance(row, Row):
                row.values = self._renamed(row.values)
            yield row

    def _renamed(self, values: dict[str, Any]) -> dict[str, Any]:
        names = tuple(values)
        if names not in self._plans:
            self._plans[names] = self._plan(names)
            self.fields.update(names)
        taken, others = self._plans[names]
        found = {name: values[own] for name, own in taken}
        for name in others:
            if values[name] not in (None, "", [], {}):
                self._note(name, values[name])
        metadata = values.get("metadata")
        if isinstance(metadata, Mapping):
            for name, own_names in self.part.columns.items():
                if found.get(name) in (None, ""):
                    found[name] = next((metadata[own] for own in own_names if metadata.get(own)), None)
        return found

    def _plan(self, names: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[str]]:
        taken = [
            (name, next(own for own in own_names if own in names))
            for name, own_names in self.part.columns.items()
            if any(own in names for own in own_names)
        ]
        used = {own for _, own in taken}
        return taken, [name for name in names if name and name not in used]

    def _note(self, name: str, value: Any) -> None:
        if name != "metadata" or not isinstance(value, Mapping):
            self.unused.add(name)
            return
        known = {own for own_names in self.part.columns.values() for own in own_names}
        self.unused.update(
            f"metadata.{key}" for key, item in value.items() if key not in known and item not in (None, "")
        )


def identifier(value: Any) -> str:
    """Return an id as text, 7.0 like 7; "" for what is no id."""
    if isinstance(value, str):
        return value if value.strip() else ""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) else str(value)


def grade(value: Any) -> int | str:
    """Return a judgement as a whole number, as trec_eval has it (1.0 is 1), or the reason why it is none.

    A grade between two whole numbers is refused: trec_eval cuts it off, so that 0.5 would not be relevant there and
    relevant here.
    """
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return "no-score"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return "score-not-a-number"
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return "score-not-a-number"
    if not math.isfinite(number) or (isinstance(value, str) and "_" in value):
        return "score-not-a-number"
    if number != int(number):
        return "score-not-a-whole-number"
    return int(number) if abs(number) < _INT32 else "score-out-of-range"


def _delimited(file: Path, part: Part) -> Iterator[Row | Broken]:
    """The rows of a text file of columns: separated by tabs (commas in CSV) or, as in TREC's files, by any white
    space; with a header or without one.
    """
    name = public_name(file)
    delimiter = "," if unpacked_name(str(file)).lower().endswith(".csv") else "\t"
    rows = csv_rows(
        str(file), name, WHOLE, delimiter=delimiter, max_line_bytes=MAX_LINE_BYTES, has_header=False
    )
    names: tuple[str, ...] = ()
    by_space = False
    for row in rows:
        if isinstance(row, Broken):
            yield row
            continue
        values = [str(value) for value in row.values.values()]
        if not names:
            by_space = len(values) == 1
        if by_space:
            values = values[0].split()
        if not names:
            names, is_header = header_of(values, part, name)
            if is_header:
                continue
        if len(values) != len(names):
            yield broken(row, "wrong-number-of-fields")
            continue
        yield Row(dict(zip(names, values, strict=True)), row.file, row.place)


def header_of(first: list[str], part: Part, name: str) -> tuple[tuple[str, ...], bool]:
    """Return the names of the columns, by the first row, and whether that is a header. Raises `UserError` for a row that
    has another number of columns than rows without a header have.
    """
    header = [value.strip() for value in first]
    known = {own for column in part.ids for own in part.columns[column]}
    if known & set(header):
        return tuple(header), True
    if len(first) in part.without_header:
        return part.without_header[len(first)], False
    forms = " or ".join(
        f"{number} ({', '.join(column or 'anything' for column in columns)})"
        for number, columns in part.without_header.items()
    )
    raise UserError(
        f"{name}: its first row has {len(first)} columns ({', '.join(value[:20] for value in header[:8])}) and is no header;"
        f" needed: a header with {part.needs(part.ids)}" + (f", or columns: {forms}" if forms else "")
    )
