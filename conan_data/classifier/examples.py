"""Labelled rows as examples, each in one of three parts: trained on, used to set thresholds, reported.

The part of a text hangs on the hash of its letters and digits alone, so two texts that differ in case, white
space or signs are always in the same part, and a row that is added moves no other one. A text that comes again
is used once, or copies in the reported part would make its intervals too narrow.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conan_data import sources
from conan_data.classifier.config import TrainClassifierConfig
from conan_data.classifier.lines import to_line
from conan_data.errors import UserError
from conan_data.language.labels import read_label
from conan_data.readers import Row, read_rows
from conan_data.readers.fields import lookup
from conan_data.text.normalisation import normalise

PARTS = TRAIN, TUNE, REPORT = "train", "tune", "report"
MIN_EXAMPLES = {TRAIN: 20, TUNE: 5, REPORT: 5}
"""Fewest texts of either class in each part."""
SHOWN_LABELS = 12
_SIGNS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Example:
    """A text as one line (see `lines`), whether it is of the class that is looked for, and its language ("" if
    unknown).
    """

    line: str
    positive: bool
    lang: str


@dataclass
class Examples:
    """The examples by part, and what became of the rows."""

    parts: dict[str, list[Example]] = field(default_factory=lambda: {part: [] for part in PARTS})
    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> int:
        return sum(map(len, self.parts.values()))


def read_examples(config: TrainClassifierConfig) -> Examples:
    """All rows of the inputs.

    Raises `UserError` where no row has a text or a label, where there is one class only, and where a part has
    too few texts of a class.
    """
    found = Examples()
    seen: set[bytes] = set()
    for item, positive in _rows(config):
        found.read += 1
        if not isinstance(item, Row):
            found.dropped[f"broken-{item.reason}"] += 1
            continue
        text = lookup(item.values, config.text_field)
        if not isinstance(text, str):
            found.dropped["no-text"] += 1
            continue
        if positive is None:
            label = _label(lookup(item.values, config.label_field))
            if label is None:
                found.dropped["no-label"] += 1
                continue
            found.labels[label] += 1
            positive = label in config.positive_labels
        line = to_line(
            normalise(text.encode(errors="replace").decode()),
            lowercase=config.lowercase,
            max_chars=config.max_chars,
        )
        if not line:
            found.dropped["empty-text"] += 1
            continue
        digest = hashlib.blake2b(line.encode(), digest_size=16).digest()
        if digest in seen:
            found.dropped["duplicate"] += 1
            continue
        seen.add(digest)
        lang = read_label(lookup(item.values, config.lang_field)) if config.lang_field else ""
        part = part_of(line, held_out=config.held_out, seed=config.seed)
        found.parts[part].append(Example(line, positive, lang))
    _check(found, config)
    return found


def part_of(line: str, *, held_out: float, seed: int) -> str:
    """The part of a text: `held_out` of all go in equal shares to those that are not trained on."""
    key = _SIGNS.sub("", line.casefold()) or line
    digest = hashlib.blake2b(key.encode(), digest_size=8, salt=seed.to_bytes(16, "little")).digest()
    place = int.from_bytes(digest, "little") / 2**64
    if place >= held_out:
        return TRAIN
    return TUNE if 2 * place < held_out else REPORT


def _rows(config: TrainClassifierConfig) -> Iterator[tuple[Any, bool | None]]:
    """Each row and its class, None where its label decides."""
    for paths, positive in ((config.input, None), (config.positive, True), (config.negative, False)):
        for path in sources.expand(paths):
            for item in read_rows(path):
                yield item, positive


def _label(value: Any) -> str | None:
    """A label as text: `1`, `true`, `spam`; None for none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    return None


def _check(found: Examples, config: TrainClassifierConfig) -> None:
    where = ", ".join((*config.input, *config.positive, *config.negative))
    if found.read == 0:
        raise UserError(f"{where}: the files hold no rows")
    if found.dropped["no-text"] == found.read:
        raise UserError(f"text_field: no row of {where} has a text in {config.text_field!r}")
    if config.input and not found.labels:
        raise UserError(f"label_field: no row of {where} has a label in {config.label_field!r}")
    missing = [label for label in config.positive_labels if label not in found.labels]
    if missing:
        known = ", ".join(label for label, _ in found.labels.most_common(SHOWN_LABELS))
        raise UserError(
            f"positive_labels: no row has the label {missing[0]!r} (the {len(found.labels)} labels: {known}"
            f"{', ...' if len(found.labels) > SHOWN_LABELS else ''})"
        )
    if config.input and all(label in config.positive_labels for label in found.labels):
        raise UserError(f"positive_labels: names every label of {where}; a classifier needs a second class")
    if config.lang_field and not any(example.lang for part in found.parts.values() for example in part):
        raise UserError(f"lang_field: no row of {where} has a language in {config.lang_field!r}")
    for part in PARTS:
        counts = Counter(example.positive for example in found.parts[part])
        for positive, name in ((True, "positive"), (False, "negative")):
            if counts[positive] < MIN_EXAMPLES[part]:
                raise UserError(
                    f"{where}: {counts[positive]} {name} texts in the part {part!r}, at least {MIN_EXAMPLES[part]} are needed; "
                    f"give more rows or another held_out"
                )
