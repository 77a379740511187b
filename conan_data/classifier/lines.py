"""The one form in which a classifier sees a text, in training and in use.

fastText cuts a line at white space, so a text is made one line; a Chinese, Japanese or Thai sentence would be
one word that never comes again, so each character of a script without spaces becomes a word of its own. A
word that begins like one of fastText's labels would be read as a label, and is taken out.
"""

import numpy as np

from conan_data.corpus.characters import UNSPACED, kinds

LABEL_PREFIX = "__label__"
_SPACE = ord(" ")


def to_line(text: str, *, lowercase: bool, max_chars: int) -> str:
    """The first `max_chars` characters of `text` as one line of words, without its end; "" where nothing is
    left.
    """
    text = text[:max_chars]
    if lowercase:
        text = text.lower()
    if not text.isascii():
        text = _split_unspaced(text)
    if LABEL_PREFIX in text:
        text = text.replace(LABEL_PREFIX, " ")
    return " ".join(text.replace("\0", " ").split())


def _split_unspaced(text: str) -> str:
    """`text` with a space between each letter of a script without spaces and whatever stands beside it."""
    codes = np.frombuffer(text.encode("utf-32-le", errors="replace"), dtype=np.uint32)
    alone = kinds()[codes] == UNSPACED
    if not alone.any():
        return text
    gap_before = np.concatenate(([0], alone[1:] | alone[:-1]))
    places = np.arange(len(codes)) + np.cumsum(gap_before)
    spaced = np.full(places[-1] + 1, _SPACE, dtype=np.uint32)
    spaced[places] = codes
    return spaced.tobytes().decode("utf-32-le")
