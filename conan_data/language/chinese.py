"""Whether Chinese is written in simplified or traditional characters.

Most characters are the same in both. Those that only the mainland's standard GB 2312 holds are simplified,
those that only Taiwan's Big5 holds are traditional; whichever are more numerous in a text name its script.
"""

from functools import cache

import numpy as np


def chinese_script(text: str) -> str:
    """`zh-Hans` or `zh-Hant`; "" where the characters of both are as many, or there are none."""
    codes = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype=np.uint16)
    balance = int(_sides()[codes].sum(dtype=np.int64))
    return "zh-Hans" if balance > 0 else "zh-Hant" if balance < 0 else ""


@cache
def _sides() -> np.ndarray:
    """int8 [0x10000]: 1 for characters of GB 2312 alone, -1 for those of Big5 alone, 0 for all others."""
    table = np.zeros(0x10000, dtype=np.int8)
    for code in range(0x4E00, 0xA000):
        table[code] = _is_in(code, "gb2312") - _is_in(code, "big5")
    return table


def _is_in(code: int, encoding: str) -> bool:
    return bool(chr(code).encode(encoding, "ignore"))
