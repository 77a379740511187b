"""Whether Chinese is written in simplified or traditional characters.

Most characters are the same in both. Those that only the mainland's standard GB 2312 holds are simplified,
those that only Taiwan's Big5 holds are traditional; whichever are more numerous in a text name its script.
"""

from functools import cache

import numpy as np


def chinese_script(text: str) -> str:
    """`zh-Hans` or `zh-Hant`; "" where the characters of both are as many, or there are none."""
    simplified, traditional = count_by_script(text)
    return "zh-Hans" if simplified > traditional else "zh-Hant" if simplified < traditional else ""


def count_by_script(text: str) -> tuple[int, int]:
    """Return the numbers of characters that are simplified only, and traditional only."""
    codes = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype=np.uint16)
    sides = _sides()[codes]
    return int(np.count_nonzero(sides > 0)), int(np.count_nonzero(sides < 0))


@cache
def _sides() -> np.ndarray:
    """int8 [0x10000]: 1 for characters of GB 2312 alone, -1 for those of Big5 alone, 0 for all others."""
    table = np.zeros(0x10000, dtype=np.int8)
    for code in range(0x4E00, 0xA000):
        table[code] = _is_in(code, "gb2312") - _is_in(code, "big5")
    return table


def _is_in(code: int, encoding: str) -> bool:
    return bool(chr(code).encode(encoding, "ignore"))
