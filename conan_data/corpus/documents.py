"""A row of a user's file as a document, and the one way a document is dropped.

Steps that leave documents out lose count of them sooner or later. Here no step leaves any out: one that drops
a document marks it with stage, reason and detail, later steps pass it on untouched, and the last one writes
it down. So every row that was read is either kept or dropped for a reason, by construction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datatrove.data import Document

from conan_data.corpus.rules.normalisation import normalise
from conan_data.language.labels import read_scripted_label
from conan_data.readers import Broken, Row, broken

DETAILS = ("title", "url", "source")
"""Fields that are carried along, from the row itself or from its `metadata`."""

SCORES = ("toxicity", "adult", "advertisement", "fluency")
"""What classifiers say of a document, where they are configured."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Why a document is not kept; `raw` is what a broken row looked like."""

    stage: str
    reason: str
    detail: str = ""
    raw: str = ""


def to_document(item: Row | Broken, group_field: str) -> Document:
    """The document of a row, its text normalised; one that is dropped already where the row cannot be used.

    An id that is missing is `<file name>:<place>`. Metadata: file, place, declared, title, url, source, group
    (None: the document's own id).
    """
    problem = item if isinstance(item, Broken) else _problem(item)
    metadata: dict[str, Any] = {"file": item.file, "place": item.place}
    own_id = f"{item.file.rsplit('/', 1)[-1]}:{item.place}"
    if problem is not None:
        metadata["dropped"] = Dropped("read", f"broken-{problem.reason}", "", problem.raw)
        return Document(text="", id=own_id, metadata=metadata)
    assert isinstance(item, Row)
    values = item.values
    metadata["declared"] = read_scripted_label(_first(values, "lang"))
    for name in DETAILS:
        metadata[name] = _as_text(_first(values, name))
    metadata["group"] = _as_text(lookup(values, group_field)) if group_field else None
    return Document(
        text=normalise(values["text"]), id=_as_text(values.get("id")) or own_id, metadata=metadata
    )


def remaining(documents: Iterator[Document]) -> Iterator[tuple[Document, bool]]:
    """Each document, and whether it is still in."""
    return ((document, "dropped" not in document.metadata) for document in documents)


def lookup(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, which may also be the name of one column; None where there is none."""
    if path in values:
        return values[path]
    head, _, rest = path.partition(".")
    inner = values.get(head)
    return lookup(inner, rest) if rest and isinstance(inner, Mapping) else None


def _problem(row: Row) -> Broken | None:
    """Why a row that could be read cannot be used."""
    text = row.values.get("text")
    if text is None:
        return broken(row, "no-text")
    if not isinstance(text, str):
        return broken(row, "text-is-no-string")
    identifier = row.values.get("id")
    if identifier is not None and (isinstance(identifier, bool) or not isinstance(identifier, str | int)):
        return broken(row, "id-is-no-string")
    try:
        text.encode()
    except UnicodeEncodeError:
        return broken(row, "invalid-unicode")
    return None if normalise(text) else broken(row, "empty-text")


def _first(values: Mapping[str, Any], name: str) -> Any:
    found = values.get(name)
    return lookup(values, f"metadata.{name}") if found is None else found


def _as_text(value: Any) -> str | None:
    """Strings and numbers as text; None for whatever else, and for what is empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).encode(errors="replace").decode() or None
