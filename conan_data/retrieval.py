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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from conan_data import artifact, hub, tables
from conan_data.errors import UserError
from conan_data.manifest import Rows, read_manifest
from conan_data.readers import Broken
from conan_data.retrieval_files import find_files, folder_and_config
from conan_data.sources import resolve

log = logging.getLogger(__name__)

KIND = "retrieval"
FILES = "files"
"""`layout` in the manifest of an artifact that holds a set in the layout in which somebody else wrote it."""
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
            is_of_files = read_manifest(Path(name))["extra"].get("layout") == FILES
            if not is_of_files and not (Path(name) / "corpus.jsonl").is_file():
                return _read_artifact(Path(name), split)
            artifact.open_artifact(name)
    # Polars is not needed, nor always there, where vectors are searched while a model is trained.
    from conan_data.retrieval_reader import Reader

    reader = Reader(name, split, find_files(name, split), _group_finder(group_regex), keep_absent)
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
