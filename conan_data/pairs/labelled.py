"""Labelled texts (`text, label`) as a `PairSet`, in one of two ways.

`label`: a text's document is the text of its label, so a batch asks which of the labels it is. `same-label`: the
documents are the texts themselves and a text's positives are others of its label, never itself; the label is
the group, and so no text of the label can be a negative, be it a known positive or not. There a text is linked
to `MAX_POSITIVES` others at most: all pairs of a label of 10,000 texts would be 10^8.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.pairs.columns import present
from conan_data.pairs.pair_set import NUM_EXAMPLES, PairSet, from_pairs, require_pairs, source_names
from conan_data.pairs.texts import TextTable
from conan_data.progress import progress
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row, broken, read_rows
from conan_data.readers.account import Account, FileAccount
from conan_data.readers.fields import lookup
from conan_data.retrieval import UNKNOWN_LANGUAGE
from conan_data.sources import expand

# T rows, D distinct texts, E pairs

MAX_POSITIVES = 32
_LOOKED_AT = 100
"""Rows from whose columns it is decided which is the label."""
_LABEL_NAMES = ("label_text", "label", "category", "intent", "class")


def read_labelled(
    inputs: Sequence[str],
    *,
    positives: Literal["label", "same-label"],
    text_field: str = "text",
    label_field: str = "",
) -> PairSet:
    """Return the texts of all files; `label_field` "" is the first usual name that the first rows of a file have
    (`label_text`, `label`, `category`, `intent`, `class`).

    With `same-label` the labels of one file are other labels than those of the next, a text with two labels is
    dropped, and so is one that is alone in its label. Raises `UserError` for an input that is not there,
    columns that no row has, labels that are only numbers where they should be documents, or when nothing is
    left.
    """
    reader = _Reader(text_field, label_field, is_label_text=positives == "label")
    for path in expand(list(inputs)):
        reader.add_file(path, source_names([path])[0])
    require_pairs(len(reader.labels), list(inputs), reader.dropped, "labelled text")
    pairs = reader.with_labels() if positives == "label" else reader.with_each_other()
    reader.account.say()
    require_pairs(len(pairs.arrays.positive_rows), list(inputs), pairs.dropped, "labelled text")
    return pairs


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """Texts and their labels as they stand in the files, repeated ones too."""

    texts: list[str]
    labels: list[str]
    num_read: int
    dropped: Counter[str]
    account: Account

    def rows(self) -> artifact.Rows:
        return artifact.Rows(read=self.num_read, kept=len(self.texts), dropped=dict(self.dropped))


def read_labels(inputs: Sequence[str], *, text_field: str = "text", label_field: str = "") -> LabelledTexts:
    """The rows of all files, in order; a label of one file is the same label in the next. Raises as
    `read_labelled`.
    """
    reader = _Reader(text_field, label_field, is_label_text=False)
    for path in expand(list(inputs)):
        reader.add_file(path, "")
    require_pairs(len(reader.labels), list(inputs), reader.dropped, "labelled text")
    reader.account.say()
    table, row_T = reader.texts.finish()
    names = [label for _, label in reader.names]
    return LabelledTexts(
        texts=table.column("text").take(pa.array(row_T)).to_pylist(),
        labels=[names[place] for place in reader.labels],
        num_read=reader.num_read,
        dropped=reader.dropped,
        account=reader.account,
    )


def prettified(label: str) -> str:
    """A label as a text: `card_arrival` is "card arrival"."""
    return " ".join(label.replace("_", " ").split())


class _Reader:
    def __init__(self, text_field: str, label_field: str, *, is_label_text: bool) -> None:
        self.text_field, self.label_field, self.is_label_text = text_field, label_field, is_label_text
        self.texts = TextTable()
        self.labels: list[int] = []
        self.names: dict[tuple[str, str], int] = {}
        self.sources: dict[str, int] = {}
        self.text_sources: list[int] = []
        self.languages: set[str] = set()
        self.num_read = 0
        self.dropped: Counter[str] = Counter()
        self.examples: list[Broken] = []
        self.account = Account()

    def add_file(self, path: Path, source: str) -> None:
        seen: dict[str, None] = {}
        num_before, is_numbers = len(self.labels), True
        file = self.account.of(public_name(path))
        label_field = self.label_field or _label_column(path)
        used = (self.text_field, label_field, "lang")
        for row in progress(read_rows(path), f"reading {path.name}", unit="row"):
            self.num_read += 1
            file.read += 1
            if isinstance(row, Broken):
                self._drop(row, file)
                continue
            seen |= dict.fromkeys(row.values)
            text, given = lookup(row.values, self.text_field), lookup(row.values, label_field)
            label = _label(given)
            if text is not None and not isinstance(text, str):
                self._drop(broken(row, "text-is-no-string"), file)
            elif text is None or not text.strip():
                self._drop(broken(row, "no-text"), file)
            elif not label:
                reason = "no-label" if given is None or _label(given) == "" else "label-is-no-name"
                self._drop(broken(row, reason), file)
            else:
                file.leave_out_others(row.values, used)
                is_numbers = is_numbers and label.lstrip("-").isdecimal()
                lang = row.values.get("lang")
                self._add(text.strip(), label, lang if isinstance(lang, str) else UNKNOWN_LANGUAGE, source)
        if len(self.labels) == num_before and seen:
            raise UserError(
                f"{path}: no row has both a text ({self.text_field}) and a label"
                f" ({self.label_field or ', '.join(_LABEL_NAMES)}); the fields are {', '.join(seen)}"
            )
        if self.is_label_text and is_numbers and len(self.labels) > num_before:
            raise UserError(
                f"{path}: its labels are only numbers, which say nothing as documents;"
                " name a column of texts with label_field, or use positives same-label"
            )

    def with_labels(self) -> PairSet:
        table, row_T = self.texts.finish()
        documents = TextTable()
        names = list(self.names)
        for _, label in names:
            documents.add(prettified(label), UNKNOWN_LANGUAGE)
        corpus, document_of = documents.finish()
        return self._set(table, corpus, row_T, document_of[np.asarray(self.labels)], row_T)

    def with_each_other(self) -> PairSet:
        table, row_T = self.texts.finish()
        label_T = np.asarray(self.labels, np.int64)
        label_D = np.full(table.num_rows, -1, np.int64)
        label_D[row_T] = label_T
        has_two_D = np.zeros(table.num_rows, bool)
        has_two_D[row_T[label_D[row_T] != label_T]] = True
        size_D = np.bincount(label_D[~has_two_D], minlength=len(self.names))[label_D]
        self._count_lost("several-labels", has_two_D[row_T])
        self._count_lost("alone-in-its-label", (size_D == 1)[row_T] & ~has_two_D[row_T])
        kept_D = np.flatnonzero(~has_two_D & (size_D > 1))
        query_E, document_E = others_of_label(label_D[kept_D])
        groups = pa.array([f"{source}/{label}" for source, label in self.names])
        corpus = table.take(pa.array(kept_D))
        corpus = corpus.set_column(3, "group", groups.take(pa.array(label_D[kept_D])))
        self._count_repeated(row_T[np.isin(row_T, kept_D)])
        return self._set(corpus, corpus, query_E, document_E, row_T, kept_D)

    def _set(
        self,
        queries: pa.Table,
        corpus: pa.Table,
        query_E: np.ndarray,
        document_E: np.ndarray,
        row_T: np.ndarray,
        kept_D: np.ndarray | None = None,
    ) -> PairSet:
        sources = np.zeros(int(row_T.max(initial=-1)) + 1, np.int32)
        sources[row_T[::-1]] = np.asarray(self.text_sources, np.int32)[::-1]
        if kept_D is None:
            self._count_repeated(query_E.astype(np.int64) * corpus.num_rows + document_E)
        return from_pairs(
            queries,
            corpus,
            query_E,
            document_E,
            query_sources=sources if kept_D is None else sources[kept_D],
            sources=tuple(self.sources),
            broken=self.examples,
            num_read=self.num_read,
            dropped=self.dropped,
            account=self.account,
        )

    def _add(self, text: str, label: str, lang: str, source: str) -> None:
        self.texts.add(text, lang)
        self.labels.append(self.names.setdefault((source, label), len(self.names)))
        self.text_sources.append(self.sources.setdefault(source, len(self.sources)))

    def _drop(self, row: Broken, file: FileAccount) -> None:
        file.refuse(row)
        self.dropped[row.reason] += 1
        if len(self.examples) < NUM_EXAMPLES:
            self.examples.append(row)

    def _count_lost(self, reason: str, lost_T: np.ndarray) -> None:
        if lost_T.any():
            self.dropped[reason] += int(lost_T.sum())

    def _count_repeated(self, values: np.ndarray) -> None:
        if repeated := len(values) - len(np.unique(values)):
            self.dropped["duplicate-text"] += repeated


def others_of_label(label_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (text, other text of its label), int64 [E] each: of a label of n texts each with the next
    min(n - 1, `MAX_POSITIVES`) in a ring, so that each is a positive as often as it has one.
    """
    order = np.argsort(label_D, kind="stable")
    size_D = np.bincount(label_D)[label_D[order]]
    is_start = np.diff(label_D[order], prepend=-1) != 0
    start_D = np.flatnonzero(is_start)[np.cumsum(is_start) - 1] if len(order) else order
    number_D = np.minimum(size_D - 1, MAX_POSITIVES)
    owner = np.repeat(np.arange(len(order)), number_D)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(number_D) - number_D, number_D) + 1
    other = start_D[owner] + (owner - start_D[owner] + offset) % size_D[owner]
    return order[owner], order[other]


def _label_column(path: Path) -> str:
    """Return the first usual name of a label that one of the first rows has; "label" where none has one."""
    seen = {
        name
        for row in islice(read_rows(path), _LOOKED_AT)
        if isinstance(row, Row)
        for name in present(row.values)
    }
    return next((name for name in _LABEL_NAMES if name in seen), "label")


def _label(value: Any) -> str | None:
    """Return the name of a label, "" for an empty one; None for what is none."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).strip() if isinstance(value, str | int) else None
