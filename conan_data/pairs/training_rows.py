"""Interpret rows of training data: a query, texts that answer it, and texts that do not.

There is one such interpretation, here, for all commands that read training files, so that what one command takes for
a negative no other takes for a positive. Its rules:

- A text is a string, or an object with `text` and perhaps `title` (joined by a space). A positive or negative column
  holds one text or a list of them; null and empty ones are not there.
- With a label (`label`, `labels`, `is_duplicate`) and no column of negatives, a text with label 1 or true is a
  positive and one with label 0 or false a negative. Between 0 and 1 a label says neither, and its row is refused. A
  label outside 0..1 is on another scale (three classes, 0..5), and the file is refused.
- In a file with labels a row without one is refused.
- `scores` belong to the positives and then the negatives, or to the texts that the labels belong to. Scores without
  labels and without negatives do not say which texts are positives (sentence-transformers writes them in place of
  labels), so the row is refused. So is a pair with a `score` alone, unless it is a weak pair: its document column is
  `document` or one that is asked for, or `min_score` says from where on it is a positive.
- A row may name negatives alone; its query's positives are in other rows.

A row that cannot be used is a `Broken` with its reason. Columns that are not used are counted.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from conan_data.errors import UserError
from conan_data.pairs.columns import (
    NEGATIVE_SCORES,
    POSITIVE_SCORES,
    SCORES,
    Layout,
    PairFields,
    Plan,
    check_columns,
    find_layout,
    make_plan,
    present,
)
from conan_data.progress import progress
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row, broken, read_rows
from conan_data.readers.account import Account, FileAccount
from conan_data.readers.fields import lookup
from conan_data.retrieval import UNKNOWN_LANGUAGE

_MAX_PLANS = 1000
_LIST_AS_TEXT = re.compile(r"\[\s*(['\"]).*\1\s*\]", re.DOTALL)
"""How `str` and numpy write a list of texts; it cannot be told apart for certain into its texts."""
_NUMBERS_AS_TEXT = re.compile(r"\[[-+.\w\s,]*\]")
"""How they write a list of numbers."""


_Scored = tuple[str, float]
"""A text and its score."""


class Text(NamedTuple):
    """A text of a row; `group` is "" where it has none, `score` NaN where it is not known."""

    text: str
    lang: str
    group: str = ""
    score: float = math.nan


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A query with texts that answer it and texts that do not; one of either at least."""

    query: str
    lang: str
    source: str
    positives: list[Text]
    negatives: list[Text]
    file: str = ""
    place: int = 0
    """Line, row or record of the file, from 1."""


HINTS = {
    "score-without-label": "a score does not say which texts are positives: give a label of 1 or 0, or set min_score",
    "scores-without-labels": "scores do not say which texts are positives: give labels of 1 and 0",
    "list-written-as-text": "CSV holds no lists: write JSON lines or Parquet",
    "label-between-0-and-1": "a label is 1 or 0",
    "not-an-object": "a row is an object with named fields, such as query and positive",
}
"""What can be done about rows that are refused for some reasons."""


def hints(reasons: Iterable[str]) -> str:
    """Return what can be done about these reasons, as the end of a message; "" where nothing is known."""
    known = [HINTS[reason] for reason in reasons if reason in HINTS]
    return f" ({'; '.join(known)})" if known else ""


@dataclass(frozen=True, kw_only=True)
class Uses:
    """What a command makes of a row beyond the query and its positives; what it does not use is counted."""

    negatives: bool = True
    scores: bool = False


def read_training_rows(
    path: str | Path,
    account: Account,
    *,
    source: str = "",
    language: str = UNKNOWN_LANGUAGE,
    fields: PairFields | None = None,
    min_score: float | None = None,
    uses: Uses | None = None,
) -> Iterator[TrainingRow | Broken]:
    """Yield the rows of one file; `source` and `language` are those of rows that name none.

    With `min_score` a positive pair with a lower `score`, or without one, is refused. Raises `UserError` for a label
    outside 0..1, and for a file without a usable row whose columns have other names than those that are read.
    """
    fields = fields or PairFields()
    layout = find_layout(path, fields)
    file = account.of(public_name(path))
    interpreter = _Interpreter(layout, fields, source, language, min_score, uses or Uses())
    has_given = False
    rows = read_rows(path, has_header=layout.has_header)
    for row in progress(rows, f"reading {Path(path).name}", unit="row"):
        file.read += 1
        found = row if isinstance(row, Broken) else interpreter.interpret(row)
        if isinstance(found, Broken):
            file.refuse(found, (present(row.values) or row.values) if isinstance(row, Row) else ())
        else:
            has_given = True
        yield found
    if file.columns and not has_given:
        check_columns(path, file.columns, fields)
    interpreter.count_unused(file)


class _Refused(Exception):  # noqa: N818 (not an error: a row that is counted)
    """Ends the interpretation of a row; its message is the reason."""


@dataclass
class _Interpreter:
    layout: Layout
    fields: PairFields
    source: str
    language: str
    min_score: float | None
    uses: Uses
    plans: dict[tuple[str, ...], Plan] = field(default_factory=dict)
    num_rows: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Rows that were used, by their columns."""
    unused: Counter[str] = field(default_factory=Counter)
    """Rows, by parts of objects and by columns whose value in a row is of another type."""

    def interpret(self, row: Row) -> TrainingRow | Broken:
        if self.layout.names:
            row.values = {self.layout.names.get(name, name): value for name, value in row.values.items()}
        try:
            return self._interpret(row)
        except _Refused as reason:
            return broken(row, str(reason))

    def count_unused(self, file: FileAccount) -> None:
        """Adds the unused columns of all rows so far to a file's account."""
        for columns, num_rows in self.num_rows.items():
            file.leave_out(self._unused_columns(self._plan(columns)), num_rows)
        for column, num_rows in self.unused.items():
            file.leave_out([column], num_rows)

    def _interpret(self, row: Row) -> TrainingRow:
        values = row.values
        plan = self._plan(present(values))
        query = lookup(values, plan.query) if plan.query else None
        if query is not None and not isinstance(query, str):
            raise _Refused("query-is-no-text")
        if not query or not query.strip():
            raise _Refused("no-query")
        nested: set[str] = set()
        listed = (
            _texts(lookup(values, plan.positive), plan.positive, nested, "document") if plan.positive else []
        )
        named = [text for name in plan.negatives for text in _texts(values[name], name, nested, "negative")]
        if plan.label is None and not plan.scores:
            if self.layout.is_labelled and not plan.negatives:
                raise _Refused("no-label")
            positives = [(text, math.nan) for text in listed if text]
            negatives = [(text, math.nan) for text in named if text]
        else:
            positives, negatives = self._sort(row, plan, listed, named)
        if not positives and not negatives:
            raise _Refused("no-document")
        score = lookup(values, self.fields.score)
        if positives:
            self._check_score(score, plan, has_negatives=bool(negatives))
        self._count(plan, nested)
        lang = self._text(values, "lang") or self.language
        own, group = self._text(values, "lang_document") or lang, self._text(values, self.fields.group)
        pair_score = _number(score) if self.uses.scores else None
        known = math.nan if pair_score is None else pair_score
        return TrainingRow(
            query.strip(),
            self._text(values, "lang_query") or lang,
            self._text(values, self.fields.source) or self.source,
            [Text(text, own, group, known if math.isnan(given) else given) for text, given in positives],
            [Text(text, own, "", given) for text, given in negatives],
            row.file,
            row.place,
        )

    def _sort(
        self, row: Row, plan: Plan, listed: list[str], named: list[str]
    ) -> tuple[list[_Scored], list[_Scored]]:
        """Returns positives and negatives with their scores, of the texts beside the query and the named negatives."""
        lists = {name: _numbers(row.values[name]) for name in plan.scores}
        is_positive = self._labels(row, plan, len(listed))
        if plan.label is None and not plan.negatives and SCORES in lists:
            raise _Refused("scores-without-labels")
        listed_scores, named_scores = _align(lists, len(listed), len(named))
        texts = list(zip(listed, listed_scores, is_positive, strict=True))
        positives = [(text, score) for text, score, yes in texts if yes and text]
        negatives = [(text, score) for text, score, yes in texts if not yes and text]
        negatives += [(text, score) for text, score in zip(named, named_scores, strict=True) if text]
        return positives, negatives

    def _plan(self, columns: tuple[str, ...]) -> Plan:
        found = self.plans.get(columns)
        if found is None:
            found = make_plan(columns, self.fields)
            if len(self.plans) < _MAX_PLANS:
                self.plans[columns] = found
        return found

    def _labels(self, row: Row, plan: Plan, size: int) -> list[bool]:
        """Returns whether each of the `size` texts beside the query answers it."""
        if plan.label is None:
            if self.layout.is_labelled and not plan.negatives:
                raise _Refused("no-label")
            return [True] * size
        given = row.values[plan.label]
        labels = _listed(given)
        if labels is None:
            labels = [given] * size
        if len(labels) != size:
            raise _Refused("labels-do-not-match")
        return [_is_positive(label, row, plan.label) for label in labels]

    def _check_score(self, score: Any, plan: Plan, *, has_negatives: bool) -> None:
        has_score = score is not None and score != ""
        if self.min_score is None:
            says_more = plan.label or has_negatives or self.fields.document or plan.positive == "document"
            if has_score and not says_more:
                raise _Refused("score-without-label")
            return
        if not has_score:
            raise _Refused("no-score")
        number = _number(score)
        if number is None:
            raise _Refused("score-not-a-number")
        if number < self.min_score:
            raise _Refused("score-below-minimum")

    def _count(self, plan: Plan, nested: set[str]) -> None:
        if plan.columns in self.num_rows or len(self.num_rows) < _MAX_PLANS:
            self.num_rows[plan.columns] += 1
        else:
            self.unused.update(self._unused_columns(plan))
        for name in nested:
            self.unused[name] += 1

    def _unused_columns(self, plan: Plan) -> list[str]:
        unused = list(plan.other)
        if not self.uses.negatives:
            unused += plan.negatives
        if not self.uses.scores:
            unused += sorted(plan.scores)
            if self.min_score is None and self.fields.score in plan.columns:
                unused.append(self.fields.score)
        return unused

    def _text(self, values: Mapping[str, Any], name: str) -> str:
        """Returns the text of a column that may hold anything; what is no text is counted as not used."""
        value = values.get(name)
        if value is None:
            value = lookup(values, name) if "." in name else None
        if isinstance(value, str):
            return value.strip()
        if value is not None:
            self.unused[name] += 1
        return ""


def _texts(value: Any, column: str, nested: set[str], part: str) -> list[str]:
    """Returns the texts of a column, "" for those that are not there; adds unused parts of objects to `nested`."""
    if isinstance(value, list | tuple):
        return [_one_text(item, column, nested, part) for item in value]
    return [_one_text(value, column, nested, part)]


def _one_text(item: Any, column: str, nested: set[str], part: str) -> str:
    if item is None:
        return ""
    if not isinstance(item, str) and isinstance(item, Mapping):
        nested.update(f"{column}.{name}" for name in item if name not in ("text", "title"))
        parts = [item.get(name) for name in ("title", "text")]
        if all(part is None or isinstance(part, str) for part in parts):
            return " ".join(part.strip() for part in parts if part and part.strip())
    if not isinstance(item, str):
        raise _Refused(f"{part}-is-no-text")
    text = item.strip()
    if text.startswith("[") and _LIST_AS_TEXT.fullmatch(text):
        raise _Refused("list-written-as-text")
    return text


def _listed(value: Any) -> list[Any] | None:
    """Returns the values of a list of numbers, which CSV holds as text; None for what is no list."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str) and _NUMBERS_AS_TEXT.fullmatch(value.strip()):
        return value.strip()[1:-1].replace(",", " ").split()
    return None


def _numbers(value: Any) -> list[float]:
    """Returns the scores of a list, NaN for null."""
    found = [math.nan if item is None else _number(item, or_nan=True) for item in _listed(value) or [value]]
    if any(number is None for number in found):
        raise _Refused("scores-do-not-match")
    return [number for number in found if number is not None]


def _align(
    lists: Mapping[str, list[float]], num_listed: int, num_named: int
) -> tuple[list[float], list[float]]:
    """Returns a score for each text beside the query and for each named negative, NaN where there is none."""
    scores = lists.get(SCORES) or [math.nan] * (num_listed + num_named)
    listed = lists.get(POSITIVE_SCORES) or scores[:num_listed]
    named = lists.get(NEGATIVE_SCORES) or scores[num_listed:]
    if len(scores) != num_listed + num_named or len(listed) != num_listed or len(named) != num_named:
        raise _Refused("scores-do-not-match")
    return listed, named


def _is_positive(label: Any, row: Row, column: str) -> bool:
    number = label_number(label)
    if number is None:
        raise _Refused("no-label" if label is None or label == "" else "label-not-a-number")
    if not 0 <= number <= 1:
        raise UserError(
            f"{row.file}: row {row.place} has {column} {label!r}; 1 is a text that answers the query and 0 one that does"
            " not, and other scales or classes are not read: make two columns, positive and negative, of them"
        )
    if 0 < number < 1:
        raise _Refused("label-between-0-and-1")
    return number == 1


def label_number(value: Any) -> float | None:
    """Return a label as a number, 1 and 0 for true and false; None for what is none."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return float(value.strip().lower() == "true")
    return _number(value)


def _number(value: Any, *, or_nan: bool = False) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) or (or_nan and math.isnan(number)) else None
