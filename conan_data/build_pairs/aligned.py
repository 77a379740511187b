"""Read translations that people aligned: `.po` catalogues, TMX memories, and the line-aligned files of Moses.

Each entry is a `Segment`; one that cannot be used is `Broken` with its reason (of a catalogue: untranslated, fuzzy).
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl

from conan_data.build_pairs.kinds import COLUMNS
from conan_data.build_pairs.tmx import read_tmx
from conan_data.errors import UserError
from conan_data.language.labels import read_scripted_label
from conan_data.readers import MAX_LINE_BYTES, WHOLE, Broken
from conan_data.readers.lines import lines
from conan_data.readers.rows import cut
from conan_data.readers.streams import PACKED, unpacked_name

ENDINGS = tuple(kind + packed for kind in (".po", ".tmx") for packed in ("", *PACKED))
_BATCH = 1 << 14


class Segment(NamedTuple):
    """A text and its translation."""

    source: str
    source_language: str
    target: str
    target_language: str


def is_aligned(path: str | Path) -> bool:
    """Return whether a file is a catalogue or a translation memory, by its ending."""
    return unpacked_name(str(path)).lower().endswith((".po", ".tmx"))


def read_aligned(path: str, name: str, *, source_language: str) -> Iterator[Segment | Broken]:
    """Yield the entries of a `.po` or `.tmx` file; `source_language` is that of the `msgid` of catalogues.

    Raises `UserError` for a catalogue that does not say its language.
    """
    if unpacked_name(path).lower().endswith(".po"):
        yield from _read_po(path, name, source_language)
        return
    for unit in read_tmx(path, name):
        if isinstance(unit, Broken):
            yield unit
            continue
        language, text = unit[0]
        yield from (Segment(text, _label(language), other, _label(lang)) for lang, other in unit[1:])


def read_moses(first: str, second: str) -> Iterator[Segment | Broken]:
    """Yield the lines of two files together; the files' last endings name their languages.

    Raises `UserError` for endings that are no language, and for files of unequal length.
    """
    languages = [_label(_moses_language(path)) for path in (first, second)]
    if languages[0] == languages[1]:
        raise UserError(f"moses: {first} and {second} are both in {languages[0]!r} by their endings")
    readers = [_numbered_lines(path) for path in (first, second)]
    place = 0
    while True:
        items = [next(reader, None) for reader in readers]
        if None in items:
            if items != [None, None]:
                longer, shorter = (first, second) if items[1] is None else (second, first)
                raise UserError(
                    f"moses: {shorter} has {place:,} lines and {longer} has more; aligned files have as many lines as each other"
                )
            return
        place += 1
        refused = next((item for item in items if isinstance(item, Broken)), None)
        if refused is not None:
            yield refused
            continue
        one, two = (str(item) for item in items)
        yield Segment(one, languages[0], two, languages[1])


def as_candidates(segments: Iterator[Segment | Broken], source: str) -> Iterator[pl.DataFrame | Broken]:
    """Yield frames of candidates of kind `translation`, and what is broken."""
    number = 0
    while batch := list(islice(segments, _BATCH)):
        yield from (item for item in batch if isinstance(item, Broken))
        usable = [item for item in batch if isinstance(item, Segment)]
        if not usable:
            continue
        columns = dict(
            zip(("query", "lang_query", "document", "lang_document"), zip(*usable, strict=True), strict=True)
        )
        numbers = [f"{source}/{place}" for place in range(number, number + len(usable))]
        number += len(usable)
        yield pl.DataFrame(
            {**columns, "kind": "translation", "source": source, "group": numbers, "host": ""},
            schema_overrides=dict.fromkeys(COLUMNS, pl.String),
        ).select(COLUMNS)


def _read_po(path: str, name: str, source_language: str) -> Iterator[Segment | Broken]:
    from babel.messages.pofile import PoFileError, read_po

    content: list[bytes] = []
    for run in lines(path, name, WHOLE, max_bytes=MAX_LINE_BYTES):
        if isinstance(run, Broken):
            yield run
        else:
            content += run[1]
    try:
        # What the file itself says of its language goes before its path.
        locale = _language_in_path(path) or None
        catalogue = read_po(content, locale, ignore_obsolete=True, abort_invalid=True)
    except (PoFileError, ValueError, LookupError, TypeError) as error:
        yield Broken(name, 1, "invalid-po", cut(str(error)))
        return
    language = _label(catalogue.locale_identifier or "")
    if not language:
        raise UserError(f"{name}: says no language; give it the header 'Language: de', or call it de.po")
    for message in catalogue:
        if not message.id:
            continue
        ids, texts = _forms(message.id), _forms(message.string)
        # The first form is of one thing, the last one of many; a language with a single form has that of many.
        pairs = (
            list(zip(ids[-1:], texts))
            if len(texts) == 1
            else [(ids[0], texts[0]), (ids[-1], texts[-1])][: len(ids)]
        )
        for one, two in pairs:
            if message.fuzzy or not two:
                reason = "fuzzy-translation" if message.fuzzy else "no-translation"
                yield Broken(name, message.lineno or 1, reason, cut(one))
            else:
                yield Segment(one, source_language, two, language)


def _forms(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str) or text is None else tuple(text)


def _language_in_path(path: str) -> str:
    """The language that a catalogue's name or folders say: `de.po`, `shop.de.po`, `de/LC_MESSAGES/shop.po`; "" for none."""
    from babel.core import Locale, UnknownLocaleError

    stem = Path(unpacked_name(path)).stem
    for name in (stem.split(".")[-1], *reversed(Path(path).parts[:-1])):
        try:
            Locale.parse(name.replace("-", "_").split("@")[0])
        except (ValueError, UnknownLocaleError):
            continue
        return name.replace("-", "_").split("@")[0]
    return ""


def _moses_language(path: str) -> str:
    ending = Path(unpacked_name(path)).suffix.removeprefix(".")
    if not 2 <= len(ending) <= 8:
        raise UserError(
            f"moses: {path}: its last ending is no language; call it as in news.de, or news.de.gz"
        )
    return ending


def _numbered_lines(path: str) -> Iterator[str | Broken]:
    name = Path(path).name
    for run in lines(path, name, WHOLE, max_bytes=MAX_LINE_BYTES):
        if isinstance(run, Broken):
            if run.is_gap:
                raise UserError(
                    f"moses: {path}: bytes of it cannot be read ({run.reason}), so its lines have no partners"
                )
            yield run
            continue
        place, found = run
        for number, line in enumerate(found, start=place):
            try:
                yield line.decode()
            except UnicodeDecodeError:
                yield Broken(name, number, "invalid-utf8", cut(line))


def _label(language: str) -> str:
    return read_scripted_label(language)
