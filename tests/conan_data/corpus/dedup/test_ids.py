from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conan_data.corpus.dedup.ids import id_records, renamed


def plain(ids: list[str]) -> list[str]:
    """The rule in words: each further holder of an id gets the next number that is not taken."""
    taken, seen, unique = set(ids), Counter[str](), []
    for name in ids:
        seen[name] += 1
        chosen = name
        while seen[name] > 1 and chosen in taken:
            chosen = f"{name}~{seen[name]}"
            seen[name] += chosen in taken
        taken.add(chosen)
        unique.append(chosen)
    return unique


def ours(ids: list[str], chunk: int) -> list[str]:
    records = id_records(pa.array(ids, pa.string()), np.arange(len(ids)))
    cuts = range(0, max(1, len(ids)), chunk)
    pairs = renamed(
        lambda: [records[(records["number"] >= cut) & (records["number"] < cut + chunk)] for cut in cuts]
    )
    suffixes = dict(pairs.tolist())
    return [f"{name}~{suffixes[place]}" if place in suffixes else name for place, name in enumerate(ids)]


@pytest.mark.parametrize(
    ("ids", "unique"),
    [
        (["a", "b", "a", "a", "b"], ["a", "b", "a~2", "a~3", "b~2"]),
        (["a", "a", "a~2", "a"], ["a", "a~3", "a~2", "a~4"]),
        (["a~2", "a~2", "a", "a"], ["a~2", "a~2~2", "a", "a~3"]),
        (["a~02", "a~1", "a~x", "~2", "a", "a"], ["a~02", "a~1", "a~x", "~2", "a", "a~2"]),
    ],
)
def test_ids_are_made_unique(ids: list[str], unique: list[str]) -> None:
    assert ours(ids, 100) == plain(ids) == unique


@given(
    st.lists(st.sampled_from(["a", "b", "a~2", "a~3", "a~2~2", "a~4", "b~02", "~2", ""])), st.integers(1, 5)
)
def test_chunks_give_what_the_plain_rule_gives(ids: list[str], chunk: int) -> None:
    found = ours(ids, chunk)
    assert found == plain(ids)
    assert len(set(found)) == len(ids)
