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
from pathlib import Path
from typing import Any

from conan_data import sources
from conan_data.classifier.config import TrainClassifierConfig
from conan_data.classifier.fasttext_lines import SUFFIXES as FASTTEXT_SUFFIXES
from conan_data.classifier.fasttext_lines import fasttext_rows, is_fasttext
from conan_data.classifier.lines import LABEL_PREFIX, to_line
from conan_data.errors import UserError
from conan_data.language.labels import read_label
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row, broken, read_rows
from conan_data.readers.account import Account
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
    account: Account = field(default_factory=Account)

    @property
    def kept(self) -> int:
        return sum(map(len, self.parts.values()))


def read_examples(config: TrainClassifierConfig) -> Examples:
    """Return all rows of the inputs. A row with several labels is of the class that is looked for where one of them is
    among `positive_labels`.

    Raises `UserError` where no row has a text or a label, where there is one class only, and where a part has
    too few texts of a class.
    """
    found = Examples()
    seen: set[bytes] = set()
    used = (config.text_field, config.lang_field)
    for path, positive in _files(config):
        file = found.account.of(public_name(path))
        columns = used if positive is not None else (*used, config.label_field)
        for item in _rows(path, config):
            found.read += 1
            file.read += 1
            example = _example(item, positive, config, found.labels)
            if isinstance(example, Broken):
                found.dropped[example.reason] += 1
                file.refuse(example, item.values if isinstance(item, Row) else ())
                continue
            assert isinstance(item, Row)
            file.leave_out_others(item.values, columns)
            digest = hashlib.blake2b(example.line.encode(), digest_size=16).digest()
            if digest in seen:
                found.dropped["duplicate"] += 1
                continue
            seen.add(digest)
            part = part_of(example.line, held_out=config.held_out, seed=config.seed)
            found.parts[part].append(example)
    _check(found, config)
    found.account.say()
    return found


def _example(
    item: Row | Broken, positive: bool | None, config: TrainClassifierConfig, seen_labels: Counter[str]
) -> Example | Broken:
    """Returns a row as an example of the class `positive`, or, where that is None, of the class that its labels say."""
    if isinstance(item, Broken):
        return Broken(item.file, item.place, f"broken-{item.reason}", item.raw)
    text = lookup(item.values, config.text_field)
    if not isinstance(text, str):
        return broken(item, "no-text")
    if positive is None:
        labels = _labels(lookup(item.values, config.label_field))
        if labels is None:
            return broken(item, "label-is-no-name")
        if not labels:
            return broken(item, "no-label")
        seen_labels.update(labels)
        positive = not labels.isdisjoint(_positive_labels(config))
    line = to_line(
        normalise(text.encode(errors="replace").decode()),
        lowercase=config.lowercase,
        max_chars=config.max_chars,
    )
    if not line:
        return broken(item, "empty-text")
    lang = read_label(lookup(item.values, config.lang_field)) if config.lang_field else ""
    return Example(line, positive, lang)


def part_of(line: str, *, held_out: float, seed: int) -> str:
    """The part of a text: `held_out` of all go in equal shares to those that are not trained on."""
    key = _SIGNS.sub("", line.casefold()) or line
    digest = hashlib.blake2b(key.encode(), digest_size=8, salt=seed.to_bytes(16, "little")).digest()
    place = int.from_bytes(digest, "little") / 2**64
    if place >= held_out:
        return TRAIN
    return TUNE if 2 * place < held_out else REPORT


def classifier_files(paths: tuple[str, ...]) -> list[Path]:
    """Return the files behind paths, those in fastText's own form, too."""
    return sources.expand(paths, also=FASTTEXT_SUFFIXES)


def _files(config: TrainClassifierConfig) -> Iterator[tuple[Path, bool | None]]:
    """Yields each file and the class of its rows, None where their labels decide."""
    for paths, positive in ((config.input, None), (config.positive, True), (config.negative, False)):
        for path in classifier_files(paths):
            yield path, positive


def _rows(path: Path, config: TrainClassifierConfig) -> Iterator[Row | Broken]:
    if is_fasttext(path):
        return fasttext_rows(path, text_field=config.text_field, label_field=config.label_field)
    return read_rows(path)


def _positive_labels(config: TrainClassifierConfig) -> list[str]:
    """Returns the labels that are looked for, without the prefix of fastText."""
    return [label.removeprefix(LABEL_PREFIX) for label in config.positive_labels]


def _labels(value: Any) -> set[str] | None:
    """Returns labels as texts, such as `1`, `true`, `spam`, of one label or a list of them; None for what is neither."""
    found = set()
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool):
            found.add(str(item).lower())
        elif isinstance(item, str | int | float) and item == item:
            found.add(str(item).strip().removeprefix(LABEL_PREFIX))
        elif item is not None and item == item:
            return None
    return found - {""}


def _check(found: Examples, config: TrainClassifierConfig) -> None:
    where = ", ".join((*config.input, *config.positive, *config.negative))
    if found.read == 0:
        raise UserError(f"{where}: the files hold no rows")
    columns = dict.fromkeys(name for file in found.account.files.values() for name in file.columns)
    fields = f"; the fields are {', '.join(columns)}" if columns else ""
    if found.dropped["no-text"] == found.read:
        raise UserError(f"text_field: no row of {where} has a text in {config.text_field!r}{fields}")
    if config.input and not found.labels:
        raise UserError(f"label_field: no row of {where} has a label in {config.label_field!r}{fields}")
    wanted = _positive_labels(config)
    missing = [label for label in wanted if label not in found.labels]
    if missing:
        known = ", ".join(label for label, _ in found.labels.most_common(SHOWN_LABELS))
        raise UserError(
            f"positive_labels: no row has the label {missing[0]!r} (the {len(found.labels)} labels: {known}"
            f"{', ...' if len(found.labels) > SHOWN_LABELS else ''})"
        )
    if config.input and all(label in wanted for label in found.labels):
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
