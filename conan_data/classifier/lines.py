"""The one form in which a classifier sees a text, in training and in use.

fastText cuts a line at white space, so a text is made one line; a Chinese, Japanese or Thai sentence would be
one word that never comes again, so each character of a script without spaces becomes a word of its own. A
word that begins like one of fastText's labels would be read as a label, and is taken out.
"""

import re

import numpy as np

from conan_data.text.characters import UNSPACED, UNSPACED_RANGES, kinds

LABEL_PREFIX = "__label__"
_SPACE = ord(" ")
_UNSPACED = re.compile(f"[{''.join(f'{chr(start)}-{chr(end)}' for start, end in UNSPACED_RANGES)}]")


def to_line(text: str, *, lowercase: bool, max_chars: int) -> str:
    """The first `max_chars` characters of `text` as one line of words, without its end; "" where nothing is
    left.
    """
    text = text[:max_chars]
    if lowercase:
        text = text.lower()
    if LABEL_PREFIX in text:
        text = text.replace(LABEL_PREFIX, " ")
    line = " ".join(text.replace("\0", " ").split())
    return line if line.isascii() or not _UNSPACED.search(line) else _split_unspaced(line)


def _split_unspaced(line: str) -> str:
    """`line` with a space between each letter of a script without spaces and whatever stands beside it."""
    codes = np.frombuffer(line.encode("utf-32-le", errors="replace"), dtype=np.uint32)
    alone, space = kinds()[codes] == UNSPACED, codes == _SPACE
    gap_before = (alone[1:] | alone[:-1]) & ~(space[1:] | space[:-1])
    places = np.arange(len(codes))
    places[1:] += np.cumsum(gap_before)
    spaced = np.full(places[-1] + 1, _SPACE, dtype=np.uint32)
    spaced[places] = codes
    return spaced.tobytes().decode("utf-32-le")
