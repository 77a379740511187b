"""A row of a user's file as a document, and the one way a document is dropped.

Steps that leave documents out lose count of them sooner or later. Here no step leaves any out: one that drops
a document marks it with stage, reason and detail, later steps pass it on untouched, and the last one writes
it down. So every row that was read is either kept or dropped for a reason, by construction.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from datatrove.data import Document

from conan_data.language.labels import read_scripted_label
from conan_data.readers import Broken, Row, broken
from conan_data.readers.fields import Fields, lookup
from conan_data.text.normalisation import normalise

DETAILS = ("title", "url", "source")
"""Fields that are carried along, from the row itself or from its `metadata`."""
_CARRIED = (*DETAILS, "lang")
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a document is not kept; `raw` is what a broken row looked like."""

    stage: str
    reason: str
    detail: str = ""
    raw: str = ""


def to_document(
    item: Row | Broken, fields: Fields, path: str | None = None, *, is_page: bool = False
) -> Document:
    """The document of a row, its text normalised; one that is dropped already where the row cannot be used.

    `path` is that of the file below the input (None: the file's name). A row without an id is called `<path>:<place>`,
    and `<path>` where the file is one page (`is_page`). Metadata: file, place, declared, title, url, source, group
    (None: the document's own id), and of web pages parts.
    """
    if path is None:
        path = item.file.rsplit("/", 1)[-1]
    place_id = path if is_page else f"{path}:{item.place}"
    if isinstance(item, Broken):
        return _dropped(item, place_id)
    values = item.values
    text, identifier = values.get(fields.text), values.get(fields.id)
    if text is None:
        text = lookup(values, fields.text)
    if identifier is None:
        identifier = lookup(values, fields.id)
    if reason := _problem(text, identifier):
        return _dropped(broken(item, reason), place_id)
    text = normalise(text)
    if not text:
        return _dropped(broken(item, "empty-text"), place_id)
    nested = values.get("metadata")
    if not isinstance(nested, Mapping):
        nested = _EMPTY
    metadata: dict[str, Any] = {"file": item.file, "place": item.place}
    for name in _CARRIED:
        found = values.get(name)
        if found is None:
            found = nested.get(name)
        metadata[name] = None if found is None else _as_text(found)
    declared = metadata.pop("lang")
    metadata["declared"] = _label(declared) if declared else ""
    if item.parts:
        metadata["parts"] = item.parts
    name = _as_text(identifier) or place_id
    metadata["group"] = _group(values, name, path, fields)
    return Document(text, name, [], metadata)


def remaining(documents: Iterator[Document]) -> Iterator[tuple[Document, bool]]:
    """Each document, and whether it is still in."""
    return ((document, "dropped" not in document.metadata) for document in documents)


def batches(
    documents: Iterator[Document], num_documents: int, num_characters: int
) -> Iterator[list[Document]]:
    """The documents in their order, in lists that end with `num_documents`, or as soon as their texts have
    `num_characters` together.
    """
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if len(batch) == num_documents or size >= num_characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _problem(text: Any, identifier: Any) -> str:
    """Why a row that could be read cannot be used, "" where it can."""
    if not isinstance(text, str):
        if isinstance(text, bytes):
            return "invalid-utf8"
        return "no-text" if text is None else "text-is-no-string"
    if identifier is not None and (isinstance(identifier, bool) or not isinstance(identifier, str | int)):
        return "id-is-no-string"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "invalid-unicode"
    return ""


def _dropped(item: Broken, place_id: str) -> Document:
    drop = Dropped("read", f"broken-{item.reason}", "", item.raw)
    return Document(text="", id=place_id, metadata={"file": item.file, "place": item.place, "dropped": drop})


def _group(values: Mapping[str, Any], name: str, path: str, fields: Fields) -> str | None:
    """The group that a row names, or that is found in its id or path."""
    if fields.group:
        return _as_text(lookup(values, fields.group))
    for pattern, searched in ((fields.group_regex, name), (fields.group_path_regex, path)):
        if pattern and (match := re.search(pattern, searched)):
            return match.group(1) or None
    return None


@lru_cache(maxsize=4096)
def _label(declared: str) -> str:
    return read_scripted_label(declared)


def _as_text(value: Any) -> str | None:
    """Strings and numbers as text; None for whatever else, and for what is empty."""
    if isinstance(value, str):
        return (value if value.isascii() else value.encode(errors="replace").decode()) or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value)
