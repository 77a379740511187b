"""Pairs of a query and a text that answers it, as training on plain text needs them.

A language model that has read many of them expects a text about what was asked, which is what an embedder is
trained for later. The pairs of one passage share its hash, so that none of them is trained on while another
is held out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conan_data import artifact, hub, readers, sources
from conan_data.errors import UserError
from conan_data.plain_text import UNKNOWN, Document, Tally, hash_place, named_in, text_problem
from conan_data.public_names import SAMPLE
from conan_data.retrieval import read_retrieval


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a text that answers it."""

    query: str
    document: str
    lang: str
    """Language of the document."""
    place: float
    """A hash in [0, 1) of the document's group."""
    source: str

    def as_document(self) -> Document:
        """Both as one text."""
        return Document(f"{self.query}\n{self.document}", self.lang, self.place, self.source)


def inputs(paths: Sequence[str]) -> list[Path]:
    """What a manifest names as inputs."""
    whole = [Path(sources.resolve(path, "retrieval")) for path in paths if is_retrieval_set(path)]
    files = [path for path in paths if not is_retrieval_set(path)]
    return whole + (sources.expand(files) if files else [])


def is_retrieval_set(path: str) -> bool:
    """Whether `path` is a retrieval set and not files of pairs."""
    folder = Path(path)
    return (
        hub.is_name(path)
        or (path == SAMPLE and not folder.exists())
        or artifact.is_artifact(folder)
        or (folder.is_dir() and any(entry.name.startswith("corpus") for entry in folder.iterdir()))
    )


def read_pairs(path: str, tally: Tally, *, split: str, source: str) -> Iterator[Pair]:
    """The pairs of a retrieval set (every query with each of its positives), or of one file of rows with
    `query` and `document`; `source` is that of pairs that name none.

    Rows that cannot be used are counted by their reason. Raises `UserError` for a set that is not there.
    """
    if is_retrieval_set(path):
        yield from _of_retrieval_set(path, tally, split=split, source=source)
        return
    for row in readers.read_rows(path):
        tally.read += 1
        if isinstance(row, readers.Broken):
            tally.dropped[row.reason] += 1
            continue
        query, document = row.values.get("query"), row.values.get("document")
        if problem := text_problem(query) or text_problem(document):
            tally.dropped[problem] += 1
            continue
        lang = named_in(row, "lang_document") or named_in(row, "lang") or UNKNOWN
        place = hash_place(named_in(row, "group") or str(document))
        yield Pair(str(query), str(document), lang, place, named_in(row, "source") or source)


def _of_retrieval_set(path: str, tally: Tally, *, split: str, source: str) -> Iterator[Pair]:
    found = read_retrieval(path, split)
    documents = {row["_id"]: row for row in found.corpus.to_pylist()}
    positives = found.positives()
    for row in found.broken:
        tally.read += 1
        tally.dropped[row.reason] += 1
    for query in found.queries.to_pylist():
        for name in positives[query["_id"]]:
            document = documents[name]
            text = f"{document['title']}\n{document['text']}" if document["title"] else document["text"]
            tally.read += 1
            yield Pair(query["text"], text, document["lang"], hash_place(document["group"]), source)


def require_pairs(tally: Tally, paths: Sequence[str]) -> None:
    """Raises `UserError` when not one pair could be used."""
    if not tally.kept:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common(3))
        raise UserError(
            f"pairs: no usable pair in {', '.join(paths)} ({reasons or 'no rows'}); rows need the fields 'query' and 'document'"
        )
