"""Find out which column of a training file is the query, a positive, a negative, a label or a score.

The names are those that public tools write: sentence-transformers (`anchor, positive, negative_1`, `sentence1,
sentence2, label`, `scores`), FlagEmbedding (`query, pos, neg, pos_scores, neg_scores`), Tevatron (`positive_passages,
negative_passages`), DPR (`positive_ctxs, hard_negative_ctxs`), Quora (`question1, question2, is_duplicate`), our own
weak pairs (`query, document, score`), and the triples of MS MARCO, which have no header.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from conan_data.errors import UserError
from conan_data.public_names import public_name
from conan_data.readers import Row, read_rows
from conan_data.readers.streams import unpacked_name

log = logging.getLogger(__name__)

QUERY = ("query", "anchor", "question", "query_text", "sentence1", "text1", "question1")
POSITIVE = (
    "document", "positive", "pos", "positives", "positive_passages", "positive_ctxs", "passage", "answer",
    "sentence2", "text2", "question2",
)  # fmt: skip
NEGATIVE = re.compile(r"(hard_)?neg(ative)?s?(_passages|_ctxs)?(_\d+)?")
LABEL = ("label", "labels", "is_duplicate")
POSITIVE_SCORES, NEGATIVE_SCORES, SCORES = "pos_scores", "neg_scores", "scores"
_LANGUAGES = ("lang", "lang_query", "lang_document")
_OURS = ("kind", "host", "lang_query", "lang_document", "source", "group")
"""Columns of the pairs that `build-pairs` writes; where all are there, training uses all that say something to it."""
_LOOKED_AT = 100
"""Rows at the start of a file from which it is concluded what the file holds."""
_SHORTEST_TEXT, _SHORTEST_SENTENCE = 40, 3
"""Characters, or words, from which a field is a text and not the name of a column."""


@dataclass(frozen=True, kw_only=True)
class PairFields:
    """Where a row has its parts, as dotted paths; "" is by the usual names.

    For CSV and TSV `query` and `document` may be places from 0 (`0`, `1`), which say that there is no header.
    """

    query: str = ""
    document: str = ""
    score: str = "score"
    source: str = "source"
    group: str = "group"

    @property
    def are_places(self) -> bool:
        return self.query.isdecimal() and self.document.isdecimal()


@dataclass(frozen=True)
class Layout:
    """What holds for all rows of a file."""

    has_header: bool
    names: Mapping[str, str]
    """Names of the columns of a file without a header, by their places."""
    is_labelled: bool
    """Whether a label says of each row if its text answers the query; a row without one says nothing then."""


@dataclass(frozen=True)
class Plan:
    """Which column is what, in rows that have values in the same columns; None where there is none."""

    query: str | None
    positive: str | None
    negatives: tuple[str, ...]
    label: str | None
    """Not read where columns name negatives: it is the margin of a triplet then."""
    scores: frozenset[str]
    """Those of `pos_scores`, `neg_scores` and `scores` that are there."""
    columns: tuple[str, ...]
    """All that have a value."""
    other: tuple[str, ...]
    """Those among them that have none of these parts, nor one that `PairFields` names."""


def make_plan(columns: tuple[str, ...], fields: PairFields) -> Plan:
    """Return the parts of a row that has values in `columns`."""
    query = fields.query or next((name for name in QUERY if name in columns), None)
    positive = fields.document or next((name for name in POSITIVE if name in columns), None)
    asked = {query, positive}
    negatives = tuple(name for name in columns if NEGATIVE.fullmatch(name) and name not in asked)
    label = (
        None if negatives else next((name for name in LABEL if name in columns and name not in asked), None)
    )
    scores = frozenset((POSITIVE_SCORES, NEGATIVE_SCORES, SCORES)).intersection(columns) - asked
    known = {*asked, *negatives, label, *scores, *_LANGUAGES, fields.score, fields.source, fields.group}
    if all(name in columns or name == "host" for name in _OURS):
        known |= set(_OURS)
    heads = {name.split(".")[0] for name in known if name}
    return Plan(
        query,
        positive,
        negatives,
        label,
        scores,
        columns,
        tuple(name for name in columns if name not in known and name not in heads),
    )


def find_layout(path: str | Path, fields: PairFields) -> Layout:
    """Return what the first rows of a file say of all."""
    if _is_csv(path):
        if fields.are_places:
            return Layout(has_header=False, names={}, is_labelled=False)
        if not fields.query and not fields.document and (names := _names_without_header(path)):
            log.info(
                "%s: has no header; its columns are read as %s", public_name(path), ", ".join(names.values())
            )
            return Layout(has_header=False, names=names, is_labelled=False)
    is_labelled = False
    for row in islice(read_rows(path), _LOOKED_AT):
        if isinstance(row, Row) and make_plan(present(row.values), fields).label:
            is_labelled = True
    return Layout(has_header=True, names={}, is_labelled=is_labelled)


def present(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of a row that have a value."""
    return tuple(name for name, value in values.items() if value is not None and value != "" and value != [])


def check_columns(path: str | Path, seen: Iterable[str], fields: PairFields) -> None:
    """Raise `UserError` for a file without a usable row if the reason is that its columns have other names."""
    seen = list(seen)
    for part, option, asked, usual in (
        ("query", "query_field", fields.query, QUERY),
        ("document", "document_field", fields.document, POSITIVE),
    ):
        names = (asked, asked.split(".")[0]) if asked else usual
        if not any(name in seen for name in names):
            hint = _ids_hint(seen) if part == "document" else ""
            places = ", or by their places, 0 and 1, where there is no header" if _is_csv(path) else ""
            raise UserError(
                f"{public_name(path)}: no row has a {part} ({asked or ', '.join(usual)}); the fields are"
                f" {', '.join(seen)}: {hint}rename one, or name it with {option}{places}"
            )


def _ids_hint(seen: Iterable[str]) -> str:
    ids = [name for name in seen if name.endswith(("document_ids", "docids", "_pids"))]
    return f"{ids[0]} holds ids, and the texts are needed; " if ids else ""


def _is_csv(path: str | Path) -> bool:
    return unpacked_name(str(path)).lower().endswith((".csv", ".tsv"))


def _names_without_header(path: str | Path) -> dict[str, str]:
    """Return the names of the columns of a file of pairs or triples without a header; empty where it has one.

    A file without one has two or three columns, none called by a usual name, and its first row holds texts where the
    documents are: several words, or many characters.
    """
    first = next((row for row in read_rows(path, has_header=False) if isinstance(row, Row)), None)
    values = [str(value) for value in first.values.values()] if first else []
    if not 2 <= len(values) <= 3 or any(value in QUERY or value in POSITIVE for value in values):
        return {}
    if not all(len(text) >= _SHORTEST_TEXT or len(text.split()) >= _SHORTEST_SENTENCE for text in values[1:]):
        return {}
    return {str(place): name for place, name in enumerate(("query", "positive", "negative")[: len(values)])}
