"""Documents of a corpus, with their languages, for whatever trains on plain text.

Tokenizer and language model must read the same corpus in the same way, or the fertility of the one says
nothing about the other. A row that cannot be used is counted by its reason, never skipped in silence. Which
documents are held out follows from a hash of their content alone: not of their file, their place or the
number of workers.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conan_data import artifact, readers, sources
from conan_data.errors import UserError
from conan_data.readers.account import Account

UNKNOWN = "und"
"""Language of a document that names none."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text that can be trained on."""

    text: str
    lang: str
    place: float
    """A hash in [0, 1), evenly spread, the same for documents that say the same thing."""
    source: str = ""
    """Where it comes from, as the row says."""


@dataclass
class Tally:
    """What was read, and what could not be used."""

    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    account: Account = field(default_factory=Account)
    """Refused rows and unused columns of files of pairs and of instructions."""

    @property
    def kept(self) -> int:
        return self.read - self.dropped.total()


def inputs(paths: Sequence[str]) -> list[Path]:
    """What the manifest names as inputs: artifacts as they are, and the files behind everything else."""
    artifacts = [Path(path) for path in paths if artifact.is_artifact(path)]
    others = [path for path in paths if not artifact.is_artifact(path)]
    return artifacts + (sources.expand(others) if others else [])


def documents(paths: Sequence[str], tally: Tally) -> Iterator[Document]:
    """The documents of corpus artifacts, files, folders, globs or `sample`, in the order of their files;
    `tally` counts along.

    A row needs a `text`; its language is `lang` or `metadata.lang`. Raises `UserError` for an input that
    holds nothing readable.
    """
    for file in sources.expand(list(paths)):
        yield from read_documents(file, tally)


def read_documents(
    file: Path,
    tally: Tally,
    share: readers.Share = readers.WHOLE,
    *,
    source: str = "",
) -> Iterator[Document]:
    """The documents of one file, or of a share of it; `source` is that of rows that name none."""
    for row in readers.read_rows(file, share):
        tally.read += 1
        if isinstance(row, readers.Broken):
            tally.dropped[row.reason] += 1
            continue
        text = row.values.get("text")
        if problem := text_problem(text):
            tally.dropped[problem] += 1
            continue
        assert isinstance(text, str)
        group = row.values.get("group")
        yield Document(
            text,
            language(row),
            hash_place(group if isinstance(group, str) and group else text),
            named_in(row, "source") or source,
        )


def require_some(tally: Tally, paths: Sequence[str]) -> None:
    """Raises `UserError` when not one document could be used."""
    if not tally.kept:
        reasons = (
            ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common(3)) or "no rows"
        )
        raise UserError(
            f"corpus: no usable document in {', '.join(map(str, paths))} ({reasons}); documents need a field 'text'"
        )


def language(row: readers.Row) -> str:
    """The language that a row names in `lang` or `metadata.lang`."""
    return named_in(row, "lang") or UNKNOWN


def named_in(row: readers.Row, field: str) -> str:
    """The text that a row has in `field` or `metadata.field`; empty where it has none."""
    metadata = row.values.get("metadata")
    named = row.values.get(field) or (metadata.get(field) if isinstance(metadata, Mapping) else None)
    return named if isinstance(named, str) else ""


def hash_place(name: str) -> float:
    """`name` hashed to [0, 1), in steps of 2^-53 so that every value is a float exactly."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def text_problem(text: object) -> str | None:
    """Why a text cannot be used; None for one that can."""
    if text is None:
        return "no-text"
    if not isinstance(text, str):
        return "text-is-no-string"
    if not text.strip():
        return "empty-text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "invalid-utf8"
    return None
