"""A training or evaluation set as a stream of texts, and the pairs of them that it judges relevant.

Whatever the layout, a text has a part and a key, and nothing but hashes and matches of it are held. A retrieval set gives
its queries, their translations and its documents; files give the texts of their rows (see `rows`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from conan_data import artifact, hub
from conan_data.decontamination.rows import Columns, Key, Text, find_columns, row_texts
from conan_data.errors import UserError
from conan_data.pairs.rows import is_retrieval_set
from conan_data.readers import Broken, Row
from conan_data.retrieval_files import RetrievalFiles, find_files, folder_and_config
from conan_data.retrieval_rows import CORPUS, QRELS, QUERIES, TRANSLATIONS, Part, PartRows, grade, identifier
from conan_data.sources import expand_named, resolve

_SPLITS = ("test", "dev", "validation")


class TextSet(Protocol):
    """What is compared, on either side."""

    def texts(self) -> Iterator[Text | Broken]:
        """Yield every text; `Broken` for a row that has none or cannot be read."""
        ...

    def judgements(self, keys: Mapping[Key, str]) -> Iterator[tuple[Key, Key]]:
        """Yield the (query, document) pairs that the set judges relevant, or pairs of sentences that it scores, of the
        texts `keys`, which are given with their parts.
        """
        ...

    def may_be_judged(self, key: Key) -> bool:
        """Return whether a judgement may name a text; a corpus has millions that none names."""
        ...


@dataclass
class RowSet:
    """Files of rows; `names` are their paths below what the user named. The rest is filled in as they are read."""

    names: Mapping[Path, str]
    columns: dict[Path, Columns] = field(default_factory=dict)
    num_rows: int = 0
    """Rows with texts."""

    def texts(self) -> Iterator[Text | Broken]:
        """See `TextSet`."""
        for number, path in enumerate(self.names):
            if path not in self.columns:
                self.columns[path] = find_columns(path)
            for row in row_texts(path, number, self.columns[path]):
                if isinstance(row, Broken):
                    yield row
                else:
                    self.num_rows += 1
                    yield from row

    def judgements(self, keys: Mapping[Key, str]) -> Iterator[tuple[Key, Key]]:
        """See `TextSet`: the texts of one row belong together."""
        rows: dict[Key, list[tuple[Key, str]]] = {}
        for key, part in keys.items():
            rows.setdefault(key[:2], []).append((key, part))
        for texts in rows.values():
            for first, part in texts:
                for second, other in texts:
                    if (part, other) == ("query", "positive") or (
                        part == other == "sentence" and first < second
                    ):
                        yield first, second

    def may_be_judged(self, key: Key) -> bool:
        """See `TextSet`."""
        return True


@dataclass(frozen=True)
class RetrievalTexts:
    """One split of a retrieval set."""

    files: RetrievalFiles
    only: frozenset[str] | None = None
    """Queries that count; None for all that the split judges."""

    def texts(self) -> Iterator[Text | Broken]:
        """See `TextSet`."""
        for part, name, files in (
            (QUERIES, "query", self.files.queries),
            (TRANSLATIONS, "translation", self.files.translations),
            (CORPUS, "document", self.files.corpus),
        ):
            for path, row in part_rows(part, files):
                if isinstance(row, Broken):
                    yield row
                    continue
                values = row.values
                own = identifier(values.get("query_id" if name == "translation" else "_id"))
                text = values.get("text") or values.get("title")
                if not own or not isinstance(text, str) or not text.strip():
                    continue
                if name == "document" or self.is_own(own):
                    lang = values.get("lang")
                    key = (name, own, str(lang)) if name == "translation" else (name, own)
                    yield Text(name, key, text, lang if isinstance(lang, str) else "", path, row.place)

    def judgements(self, keys: Mapping[Key, str]) -> Iterator[tuple[Key, Key]]:
        """See `TextSet`."""
        for query, document in self.positives():
            pair = ("query", query), ("document", document)
            if pair[0] in keys and pair[1] in keys:
                yield pair

    def may_be_judged(self, key: Key) -> bool:
        """See `TextSet`."""
        return key[0] != "document" or key[1] in self._relevant

    def positives(self) -> Iterator[tuple[str, str]]:
        """Yield the ids of every query and document that are judged relevant to each other."""
        for _, row in part_rows(QRELS, self.files.qrels):
            if isinstance(row, Row):
                score = grade(row.values.get("score"))
                if isinstance(score, int) and score > 0:
                    yield identifier(row.values.get("query-id")), identifier(row.values.get("corpus-id"))

    def is_own(self, query: str) -> bool:
        """Return whether a query belongs to the split: one file may hold the queries of all splits."""
        if self.only is not None and query not in self.only:
            return False
        return self.files.has_own_queries or query in self._judged

    @cached_property
    def _relevant(self) -> frozenset[str]:
        return frozenset(document for _, document in self.positives())

    @cached_property
    def _judged(self) -> frozenset[str]:
        return frozenset(
            identifier(row.values.get("query-id"))
            for _, row in part_rows(QRELS, self.files.qrels)
            if isinstance(row, Row)
        )


@dataclass(frozen=True)
class ListedTexts:
    """Texts that a library has loaded, with the pairs of their keys that are judged."""

    listed: Sequence[Text]
    pairs: Sequence[tuple[Key, Key]]

    def texts(self) -> Iterator[Text | Broken]:
        """See `TextSet`."""
        return iter(self.listed)

    def judgements(self, keys: Mapping[Key, str]) -> Iterator[tuple[Key, Key]]:
        """See `TextSet`."""
        return (pair for pair in self.pairs if pair[0] in keys and pair[1] in keys)

    def may_be_judged(self, key: Key) -> bool:
        """See `TextSet`."""
        return True


def part_rows(part: Part, files: Sequence[Path]) -> Iterator[tuple[Path, Row | Broken]]:
    """Yield the rows of a part of a retrieval set with their files."""
    for path in files:
        for row in PartRows(part).of_file(path):
            yield path, row


def open_rows(path: str) -> RowSet:
    """Return the files behind `path`. Raises `UserError` where there are none."""
    return RowSet(expand_named([path]))


def open_retrieval(path: str, splits: Collection[str], *, field: str) -> RetrievalTexts:
    """Return the first of `splits` that a retrieval set has. Raises `UserError` where it has none of them."""
    name = resolve(path, "retrieval")
    if not hub.is_name(name) and artifact.is_artifact(folder_and_config(name)[0]):
        artifact.open_artifact(folder_and_config(name)[0])
    errors: list[UserError] = []
    for split in splits:
        try:
            return RetrievalTexts(find_files(name, split))
        except UserError as error:
            errors.append(error)
    raise UserError(f"{errors[0]}; choose one with {field}")


def open_evaluation(path: str, split: str) -> TextSet:
    """Return an evaluation set that is a folder, a file or a name on the Hub. Raises `UserError` where it is not there."""
    if is_retrieval_set(path):
        return open_retrieval(path, (split,) if split else _SPLITS, field="--against-split")
    return open_rows(path)
