"""The texts of a row of a training or evaluation file, whatever it is a file of.

Commands differ in what they make of a row (a label may say that a pair is none, a score that it is weak), and a file may
be read by several of them. Here every text of a row counts, under the part that the name of its column says: two texts
that are alike in kind (`sentence1, sentence2, score`) are sentences, and a text alone is a query where a label stands
beside it and a document where none does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from conan_data.errors import UserError
from conan_data.pairs.columns import NEGATIVE, POSITIVE, QUERY, PairFields, find_layout, present
from conan_data.pairs.scored import USUAL
from conan_data.public_names import public_name
from conan_data.readers import Broken, Row, broken, is_web, read_rows
from conan_data.readers.streams import unpacked_name

Key = tuple[str, ...]
PAIRED: Final = {name for names in USUAL for name in names[:2]}
_LABELS = ("label_text", "label", "category", "intent", "class")
_TEXT = ("text", "contents", "content", "passage", "body")
_LANGUAGE = {"query": "lang_query", "positive": "lang_document", "negative": "lang_document"}
_LOOKED_AT = 100


class Text(NamedTuple):
    """A text and where it stands: its part of the set, its id there, and its file, place (from 1) and language."""

    part: str
    key: Key
    text: str
    lang: str
    file: Path
    place: int


@dataclass(frozen=True)
class Columns:
    """The columns of a file by the part that their texts are of, and how it is read."""

    parts: Mapping[str, str]
    has_header: bool = True


def find_columns(path: Path) -> Columns:
    """Return the columns of a file with texts. Raises `UserError` where its first rows have none, and for web pages."""
    if is_web(path):
        raise UserError(
            f"{public_name(path)}: web pages have no rows to remove; run build-corpus on them first"
        )
    if names := _scored_without_header(path):
        return Columns(names, has_header=False)
    layout = find_layout(path, PairFields())
    if not layout.has_header:
        parts = {"query": "query", "positive": "positive", "negative": "negative"}
        return Columns({place: parts[name] for place, name in layout.names.items()}, has_header=False)
    seen: dict[str, None] = {}
    for row in islice(read_rows(path), _LOOKED_AT):
        if isinstance(row, Row):
            seen |= dict.fromkeys(present(row.values))
    parts = _parts_of(seen)
    if seen and not parts:
        raise UserError(
            f"{public_name(path)}: no column holds texts; the fields are {', '.join(seen)[:200]}, and those of texts"
            f" are called {', '.join((*QUERY[:3], *POSITIVE[:3], 'text'))} or sentence1 and sentence2"
        )
    return Columns(parts)


def row_texts(path: Path, number: int, columns: Columns) -> Iterator[list[Text] | Broken]:
    """Yield the texts of each row of file `number`; `Broken` for a row that cannot be read, or has no text."""
    for row in read_rows(path, has_header=columns.has_header):
        if isinstance(row, Broken):
            yield row
        else:
            yield list(_texts_of(row, path, number, columns.parts)) or broken(row, "no-text")


def _texts_of(row: Row, path: Path, number: int, parts: Mapping[str, str]) -> Iterator[Text]:
    values = row.values
    metadata = values.get("metadata")
    lang = values.get("lang") or (metadata.get("lang") if isinstance(metadata, Mapping) else None)
    num = 0
    for column, value in values.items():
        part = parts.get(column) or ("negative" if NEGATIVE.fullmatch(column) else "")
        if part:
            own = values.get(_LANGUAGE.get(part, ""), lang)
            for text in _flat(value):
                key = (str(number), str(row.place), str(num))
                yield Text(part, key, text, own if isinstance(own, str) else "", path, row.place)
                num += 1


def _flat(value: Any) -> Iterator[str]:
    """Yield the texts of a value: a text, an object with `text`, or a list of these."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, Mapping):
        yield from _flat(value.get("text") or value.get("title"))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)


def _parts_of(names: Mapping[str, None]) -> dict[str, str]:
    """Return the part of each column with texts, by the names of all columns."""
    if any({first, second} <= names.keys() and first != "query" for first, second, _ in USUAL):
        return dict.fromkeys((name for name in names if name in PAIRED), "sentence")
    parts = {
        **{name: "query" for name in QUERY if name in names},
        **{name: "positive" for name in POSITIVE if name in names},
        **{name: "negative" for name in names if NEGATIVE.fullmatch(name)},
    }
    if parts and not set(parts.values()) <= {"positive"}:
        return parts
    text = next((name for name in _TEXT if name in names), None)
    if text is None:
        return parts
    return {text: "query" if any(name in names for name in _LABELS) else "document"}


def _scored_without_header(path: Path) -> dict[str, str]:
    """Return the columns of CSV or TSV of two texts and a number without a header; empty for any other file."""
    if not unpacked_name(str(path)).lower().endswith((".csv", ".tsv")):
        return {}
    row = next((row for row in read_rows(path, has_header=False) if isinstance(row, Row)), None)
    values = list(row.values.values()) if row else []
    if len(values) != 3:
        return {}
    try:
        float(values[2])
    except ValueError:
        return {}
    return {"0": "sentence", "1": "sentence"}
