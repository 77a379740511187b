"""Read files in fastText's own form: one text a line, with its labels as words that begin with `__label__`.

    __label__spam __label__ad Buy now

A line may have any number of labels, in any place, as fastText reads them; without one it is a text alone.
"""

from collections.abc import Iterator
from pathlib import Path

from conan_data.classifier.lines import LABEL_PREFIX
from conan_data.public_names import public_name
from conan_data.readers import MAX_LINE_BYTES, WHOLE, Broken, Row
from conan_data.readers.lines import lines
from conan_data.readers.rows import cut
from conan_data.readers.streams import PACKED, unpacked_name

_PLAIN = (".txt", ".train", ".valid", ".test")
SUFFIXES = (*_PLAIN, *(kind + ending for kind in _PLAIN for ending in PACKED))
"""Endings of such files."""


def is_fasttext(path: str | Path) -> bool:
    """Return whether a file is read as lines of fastText, by its ending."""
    return unpacked_name(str(path)).lower().endswith(_PLAIN)


def fasttext_rows(path: str | Path, *, text_field: str, label_field: str) -> Iterator[Row | Broken]:
    """Yield the lines of a file as rows of a text and a list of labels; blank lines are none."""
    name = public_name(path)
    for batch in lines(str(path), name, WHOLE, max_bytes=MAX_LINE_BYTES):
        if isinstance(batch, Broken):
            yield batch
            continue
        first, texts = batch
        for place, line in enumerate(texts, start=first):
            try:
                words = line.decode().split()
            except UnicodeDecodeError:
                yield Broken(name, place, "invalid-utf8", cut(line))
                continue
            if words:
                labels = [word.removeprefix(LABEL_PREFIX) for word in words if word.startswith(LABEL_PREFIX)]
                text = " ".join(word for word in words if not word.startswith(LABEL_PREFIX))
                yield Row({text_field: text, label_field: labels}, name, place)
