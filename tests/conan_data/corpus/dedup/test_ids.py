from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conan_data.corpus.dedup.ids import id_records, renamed, suffix

Rows = list[tuple[str, int]]
"""Ids, and the tags of the texts."""


def tag(text: int) -> str:
    return f"~{text:012x}"


def plain(rows: Rows) -> list[str]:
    """The rule in words."""
    texts = defaultdict(set)
    for name, text in rows:
        texts[name].add(text)
    claimed = {name + tag(text): text for name, text in rows}
    return [
        name + tag(text) if len(texts[name]) > 1 or claimed.get(name, text) != text else name
        for name, text in rows
    ]


def ours(rows: Rows, chunk: int) -> list[str]:
    records = id_records(
        pa.array([name for name, _ in rows], pa.string()),
        np.arange(len(rows)),
        np.array([text for _, text in rows], dtype=np.uint64),
    )
    cuts = range(0, max(1, len(rows)), chunk)
    pairs = renamed(
        lambda: [records[(records["number"] >= cut) & (records["number"] < cut + chunk)] for cut in cuts]
    )
    targets = dict(pairs.tolist())
    return [
        name + suffix(targets[place]) if place in targets else name for place, (name, _) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([("a", 1), ("b", 2)], ["a", "b"]),
        ([("a", 0), ("b", 2), ("a", 3)], ["a" + tag(0), "b", "a" + tag(3)]),
        ([("a", 1), ("a", 1)], ["a", "a"]),
        ([("a" + tag(1), 1), ("a", 1), ("a", 2)], ["a" + tag(1), "a" + tag(1), "a" + tag(2)]),
        ([("a" + tag(1), 5), ("a", 1), ("a", 2)], ["a" + tag(1) + tag(5), "a" + tag(1), "a" + tag(2)]),
        ([("a" + tag(1), 5), ("a", 2)], ["a" + tag(1), "a"]),
        ([("a~2", 1), ("a~", 2), ("", 3), ("~2", 4)], ["a~2", "a~", "", "~2"]),
    ],
)
def test_ids_of_several_texts_carry_a_tag(rows: Rows, names: list[str]) -> None:
    assert ours(rows, 100) == plain(rows) == names


NAMES = ["a", "b", "a" + tag(0), "a" + tag(1), "a" + tag(1) + tag(0), tag(1), "", "a" + tag(1) + tag(2)]
ROWS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 2)))


@given(ROWS, st.integers(1, 5))
def test_chunks_give_what_the_plain_rule_gives(rows: Rows, chunk: int) -> None:
    found = ours(rows, chunk)
    assert found == plain(rows)
    texts: dict[str, int] = {}
    assert all(texts.setdefault(name, text) == text for name, (_, text) in zip(found, rows, strict=True))


SOUND = st.lists(
    st.tuples(st.sampled_from(["a", "b", ""]), st.integers(0, 2), st.booleans()).map(
        lambda row: (row[0] + tag(row[1]) * row[2], row[1])
    )
)
"""Rows of which no id ends in the tag of another text."""


@given(SOUND, SOUND, st.randoms())
def test_more_rows_give_no_id_to_another_text(rows: Rows, more: Rows, random: object) -> None:
    before = dict(zip(ours(rows, 100), (text for _, text in rows), strict=True))
    both = rows + more
    random.shuffle(both)  # type: ignore[attr-defined]
    after = dict(zip(ours(both, 100), (text for _, text in both), strict=True))
    assert all(after.get(name, text) == text for name, text in before.items())
