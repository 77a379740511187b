"""Unique ids, out of core: where documents with different texts have one id, each of them gets `<id>~<tag>`, with a tag of
its text.

What a document is called must not depend on the other files of the input, or a new one would give its ids to other
texts. So none of several keeps the id, however they are ordered, and the tag comes from the text alone. Documents of
one text keep a common id: all but one of them are dropped as duplicates.

A row may bring an id that looks like one of ours (those of an earlier corpus do). It keeps it, unless a row with
another text has that tag and the id before it. To find such rows, an id that ends in `~<tag>` is also filed under
what stands before.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conan_data.corpus.dedup.groups import hash_pairs
from conan_data.corpus.dedup.shingles import hasher
from conan_data.corpus.workspace import PAIR

ID = np.dtype([("hash", "u8"), ("check", "u8"), ("number", "i8"), ("text", "u8"), ("tail", "i8")])
"""A document with the hashed id and the tag of its text (`tail` -1), or one whose id is that one with the tag `tail`
behind it.
"""
KEY = np.dtype([("hash", "u8"), ("check", "u8")])
DIGITS = 12
_ENDS_IN_TAG = rf"~[0-9a-f]{{{DIGITS}}}$"
_MARK = 1 << 4 * DIGITS
"""Tells the tag 0 from none."""


def text_tags(exact_hashes: pa.Array) -> np.ndarray:
    """uint64 [N], of `DIGITS` hexadecimal digits, of the hashes of N texts (16 bytes each)."""
    return hash_pairs(exact_hashes)[:, 0] >> np.uint64(64 - 4 * DIGITS)


def suffix(target: int) -> str:
    """What is put behind an id, from the `target` of a pair that `renamed` returned."""
    return f"~{target - _MARK:0{DIGITS}x}"


def id_records(ids: pa.StringArray, numbers: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """`ID` of the ids, and of what they could be in the way of, in the order of `numbers` (all [N]); `texts` are the tags
    of the texts.
    """
    named = np.flatnonzero(pc.match_substring_regex(ids, _ENDS_IN_TAG).to_numpy(zero_copy_only=False))
    names = [ids[place].as_py() for place in named.tolist()]
    records = np.concatenate([_records(ids, numbers, texts), np.empty(0, dtype=ID)])
    if not names:
        return records
    others = _records(
        pa.array([name[: -DIGITS - 1] for name in names], pa.string()), numbers[named], texts[named]
    )
    others["tail"] = [int(name[-DIGITS:], 16) for name in names]
    records = np.concatenate([records, others])
    return records[np.argsort(records["number"], kind="stable")]


def _records(ids: pa.StringArray, numbers: np.ndarray, texts: np.ndarray) -> np.ndarray:
    records = np.empty(len(ids), dtype=ID)
    if len(ids):
        _, offsets, data = ids.buffers()
        places = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
        hashes = hasher().byte_hashes(np.frombuffer(data or b"", np.uint8), places)
        records["hash"], records["check"] = hashes[:, 0], hashes[:, 1]
    records["number"], records["text"], records["tail"] = numbers, texts, -1
    return records


def renamed(chunks: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
    """`PAIR` of each document that gets another id, with what `suffix` makes its suffix of.

    `chunks()` gives the records of some ids, any number of times.
    """
    shared, claims = _shared(chunks())
    claimed: set[tuple[int, int, int]] = set()
    found = [np.zeros(0, dtype=PAIR)]
    for chunk in chunks():
        holders = chunk[chunk["tail"] < 0]
        found.append(_pairs(holders[np.isin(_keys(holders), shared)]))
        if claims:
            claimed |= claims & set(holders[["hash", "check", "text"]].tolist())
    for chunk in chunks() if claimed else ():
        others = chunk[(chunk["tail"] >= 0) & (chunk["tail"].astype(np.uint64) != chunk["text"])]
        inside = [claim in claimed for claim in others[["hash", "check", "tail"]].tolist()]
        found.append(_pairs(others[np.array(inside, dtype=bool)]))
    return np.concatenate(found)


def _shared(chunks: Iterable[np.ndarray]) -> tuple[np.ndarray, set[tuple[int, int, int]]]:
    """The ids (`KEY`) of several texts, and the ids and tags (hash, check, tail) that rows of other texts carry."""
    keys = np.zeros(0, dtype=KEY)
    lows = highs = np.zeros(0, dtype=np.uint64)
    claims: set[tuple[int, int, int]] = set()
    for chunk in chunks:
        holders = chunk[chunk["tail"] < 0]
        others = chunk[(chunk["tail"] >= 0) & (chunk["tail"].astype(np.uint64) != chunk["text"])]
        claims |= set(others[["hash", "check", "tail"]].tolist())
        both = np.concatenate([keys, _keys(holders)])
        lows, highs = (np.concatenate([values, holders["text"]]) for values in (lows, highs))
        order = np.argsort(both, order=KEY.names)
        both, lows, highs = both[order], lows[order], highs[order]
        if len(both):
            starts = np.flatnonzero(np.append(True, both[1:] != both[:-1]))
            keys = both[starts]
            lows, highs = np.minimum.reduceat(lows, starts), np.maximum.reduceat(highs, starts)
    return keys[lows < highs], claims


def _keys(records: np.ndarray) -> np.ndarray:
    keys = np.empty(len(records), dtype=KEY)
    keys["hash"], keys["check"] = records["hash"], records["check"]
    return keys


def _pairs(records: np.ndarray) -> np.ndarray:
    pairs = np.empty(len(records), dtype=PAIR)
    pairs["number"], pairs["target"] = records["number"], records["text"] + np.uint64(_MARK)
    return pairs
