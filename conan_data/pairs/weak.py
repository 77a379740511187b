"""Weak pairs: query and document by the million, as users have them, read into a `PairSet`.

Rows are those of our weak pairs (`query, document, task, lang_query, lang_document, source, score`), of
sentence-transformers (`anchor, positive, negative`) and of FlagEmbedding (`query, pos: [...], neg: [...]`), in any
kind of file; a retrieval set gives each of its queries with each of its positives. A row that gives no pair is
counted by its reason.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from conan_data import artifact, hub
from conan_data.errors import UserError
from conan_data.pairs.pair_set import NUM_EXAMPLES, PairSet, from_pairs, require_pairs, source_names
from conan_data.pairs.texts import TextTable
from conan_data.progress import progress
from conan_data.public_names import SAMPLE
from conan_data.readers import Broken, broken, read_rows
from conan_data.readers.fields import lookup
from conan_data.retrieval import UNKNOWN_LANGUAGE, read_retrieval
from conan_data.sources import expand, resolve

_QUERY = ("query", "anchor", "question")
_DOCUMENT = ("document", "positive", "pos", "passage", "answer")
_NEGATIVE = frozenset({"neg", "negative", *(f"negative_{number}" for number in range(1, 17))})


@dataclass(frozen=True, kw_only=True)
class PairFields:
    """Where a row has its parts, as dotted paths; "" is by the usual names."""

    query: str = ""
    document: str = ""
    score: str = "score"
    source: str = "source"
    group: str = "group"


def read_pairs(
    inputs: Sequence[str],
    *,
    split: str = "train",
    fields: PairFields | None = None,
    min_score: float | None = None,
    group_regex: str = "",
) -> PairSet:
    """The pairs of all inputs, where a query or document of equal text is one.

    `split` and `group_regex` are for retrieval sets. With `min_score` a weak pair below it, or without a score,
    is dropped. Raises `UserError` where an input is not there, no row has a field that is asked for, or no pair
    is left.
    """
    collector = _Collector(fields or PairFields(), min_score)
    for path, source in zip(inputs, source_names(inputs), strict=True):
        if is_retrieval_set(path):
            collector.add_retrieval(path, split, source, group_regex)
        else:
            files = expand([path])
            for file, name in zip(files, source_names(files), strict=True):
                collector.add_file(file, name if len(files) > 1 else source)
    return collector.finish(inputs)


def pair_inputs(inputs: Sequence[str]) -> list[str | Path]:
    """What a manifest names for these: retrieval sets as they are, and the files behind everything else."""
    named: list[str | Path] = []
    for path in inputs:
        named += [resolve(path, "retrieval")] if is_retrieval_set(path) else expand([path])
    return named


def is_retrieval_set(path: str | Path) -> bool:
    """Whether an input is a retrieval set rather than files of pairs: `sample`, an artifact of ours, or a folder
    or a name on the Hub that has a corpus.
    """
    if str(path) == SAMPLE and not Path(SAMPLE).exists():
        return True
    if hub.is_name(path):
        name = hub.HUB.pin(hub.parse(str(path)))
        with hub.HUB.tree(name) as root:
            return _has_corpus(root) or any(
                config.split("-")[-1] == "corpus" for config in hub.config_names(root)
            )
    root = Path(path)
    if artifact.is_artifact(root):
        return (root / "qrels").is_dir()
    return root.is_dir() and _has_corpus(root)


def _has_corpus(root: Path) -> bool:
    return any(root.glob("corpus*")) and any(root.glob("queries*"))


@dataclass
class _Collector:
    fields: PairFields
    min_score: float | None
    queries: TextTable = field(default_factory=TextTable)
    documents: TextTable = field(default_factory=TextTable)
    num_read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[Broken] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # One number a query, and for each of its documents the query's number and the document's, as they come.
        self._query_sources = _Numbers(1)
        self._pairs = _Numbers(2)
        self._negatives = _Numbers(2)
        self._num_queries = 0
        self._num_documents = 0

    def add_file(self, path: Path, source: str) -> None:
        seen: dict[str, None] = {}
        before = self._num_queries
        for row in progress(read_rows(path), f"reading {path.name}", unit="row"):
            self.num_read += 1
            if isinstance(row, Broken):
                self._drop(row)
                continue
            reason = self._add_row(row.values, source)
            if reason:
                if len(seen) < 100:
                    seen |= dict.fromkeys(row.values)
                self._drop(broken(row, reason))
        if self._num_queries == before and seen:
            self._check_fields(path, seen)

    def _check_fields(self, path: Path, seen: Mapping[str, None]) -> None:
        """Of a file that gave nothing: raises `UserError` when that is because its columns have other names."""
        for part, asked, usual in (
            ("query", self.fields.query, _QUERY),
            ("document", self.fields.document, _DOCUMENT),
        ):
            names = (asked.split(".")[0],) if asked else usual
            if not any(name in seen for name in (asked, *names)):
                raise UserError(
                    f"{path}: no row has a {part} ({asked or ', '.join(usual)}); the fields are"
                    f" {', '.join(seen)}: name it with {part}_field"
                )

    def add_retrieval(self, path: str, split: str, source: str, group_regex: str) -> None:
        data = read_retrieval(path, split, group_regex=group_regex)
        self.num_read += data.num_query_rows
        if lost := data.num_query_rows - data.queries.num_rows:
            self.dropped["refused-by-reader"] += lost
        self.examples += data.broken[: NUM_EXAMPLES - len(self.examples)]
        positives = data.positives()
        names = ("_id", "title", "text", "lang", "group")
        documents = {row[0]: row[1:] for row in zip(*(data.corpus.column(n).to_pylist() for n in names))}
        queries = zip(*(data.queries.column(name).to_pylist() for name in ("_id", "text", "lang")))
        for identifier, text, lang in queries:
            query = self._query(text, lang, source)
            for key in positives[identifier]:
                title, body, document_lang, group = documents[key]
                document = self._document(
                    f"{title or ''} {body}".strip(),
                    document_lang,
                    f"{source}/{group}" if group != key else "",
                )
                self._pairs.add(query, document)

    def finish(self, inputs: Sequence[str]) -> PairSet:
        query_E, document_E = self._pairs.columns()
        require_pairs(len(query_E), [str(path) for path in inputs], self.dropped)
        queries, row_of_query = self.queries.finish()
        documents, row_of_document = self.documents.finish()
        sources = np.zeros(queries.num_rows, np.int32)
        # Backwards, so that the first of equal queries decides.
        sources[row_of_query[::-1]] = self._query_sources.columns()[0][::-1]
        pair_query_E, pair_document_E = row_of_query[query_E], row_of_document[document_E]
        self._drop_repeated(query_E, pair_query_E.astype(np.int64) * documents.num_rows + pair_document_E)
        negative_query, negative_document = self._negatives.columns()
        return from_pairs(
            queries,
            documents,
            pair_query_E,
            pair_document_E,
            query_sources=sources,
            sources=tuple(self.sources),
            negatives=(row_of_query[negative_query], row_of_document[negative_document]),
            broken=self.examples,
            num_read=self.num_read,
            dropped=self.dropped,
        )

    def _drop_repeated(self, query_E: np.ndarray, pair_E: np.ndarray) -> None:
        """Counts the rows all of whose pairs were there already."""
        _, first = np.unique(pair_E, return_index=True)
        repeated = self._num_queries - len(np.unique(query_E[first]))
        if repeated:
            self.dropped["duplicate-pair"] += repeated

    def _add_row(self, values: Mapping[str, Any], source: str) -> str:
        """Adds the pairs of a row; returns why there are none, or ""."""
        query = _text(_first(values, self.fields.query, _QUERY))
        if not query:
            return "no-query"
        documents = [
            text for part in _many(_first(values, self.fields.document, _DOCUMENT)) if (text := _text(part))
        ]
        if not documents:
            return "no-document"
        if self.min_score is not None:
            score = lookup(values, self.fields.score)
            reason = _score_reason(score, self.min_score)
            if reason:
                return reason
        lang = _text(values.get("lang")) or UNKNOWN_LANGUAGE
        own = self._query(
            query,
            _text(values.get("lang_query")) or lang,
            _text(lookup(values, self.fields.source)) or source,
        )
        document_lang = _text(values.get("lang_document")) or lang
        group = _text(lookup(values, self.fields.group))
        for text in documents:
            self._pairs.add(own, self._document(text, document_lang, group))
        for name in [name for name in values if name in _NEGATIVE]:
            for part in _many(values[name]):
                if text := _text(part):
                    self._negatives.add(own, self._document(text, document_lang))
        return ""

    def _query(self, text: str, lang: str, source: str) -> int:
        self.queries.add(text, lang)
        self._query_sources.add(self.sources.setdefault(source, len(self.sources)))
        self._num_queries += 1
        return self._num_queries - 1

    def _document(self, text: str, lang: str, group: str = "") -> int:
        self.documents.add(text, lang, group)
        self._num_documents += 1
        return self._num_documents - 1

    def _drop(self, row: Broken) -> None:
        self.dropped[row.reason] += 1
        if len(self.examples) < NUM_EXAMPLES:
            self.examples.append(row)


class _Numbers:
    """Tuples of numbers below 2**32, four bytes each."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._values = array("I")

    def add(self, *values: int) -> None:
        self._values.extend(values)

    def columns(self) -> np.ndarray:
        """int64 [width, n]"""
        return np.frombuffer(self._values, np.uint32).reshape(-1, self._width).T.astype(np.int64)


def _first(values: Mapping[str, Any], asked: str, usual: Sequence[str]) -> Any:
    if asked:
        return lookup(values, asked)
    return next((values[name] for name in usual if values.get(name) is not None), None)


def _many(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        yield from value
    else:
        yield value


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _score_reason(score: Any, least: float) -> str:
    if score is None or score == "":
        return "no-score"
    try:
        return "score-below-minimum" if not float(score) >= least else ""
    except (TypeError, ValueError):
        return "score-not-a-number"
