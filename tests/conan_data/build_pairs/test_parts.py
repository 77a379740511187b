"""The parts of building pairs against plain definitions of what they do."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conan_data.build_pairs.clean import clean_lines, clean_texts
from conan_data.build_pairs.config import BuildPairsConfig, PairRules
from conan_data.build_pairs.sections import sections
from conan_data.build_pairs.settle import REASONS, settle
from conan_data.build_pairs.untranslated import copied_share
from conan_data.text.normalisation import normalise

TEXTS = st.text(
    st.sampled_from(list("ab \n\t\r\x0b\x0c\x1c\x85\xa0\xad\u200b\u2028\ufeffe\u0301é 中。")) | st.characters(codec="utf-8"), max_size=30
)  # fmt: skip


@given(st.lists(TEXTS | st.none(), max_size=8))
def test_columns_are_cleaned_as_texts_are(texts: list[str | None]) -> None:
    column = pl.Series("x", texts, pl.String)
    assert clean_texts(column).to_list() == [None if text is None else normalise(text) for text in texts]
    lines = [None if text is None else " ".join(normalise(text).split()) for text in texts]
    assert clean_lines(column).to_list() == lines


@pytest.mark.parametrize("seed", range(5))
def test_settling_is_what_a_loop_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = 600
    keys = {
        "query_key": rng.integers(1, 200, size).astype(np.uint64),
        "document_key": rng.integers(1, 250, size).astype(np.uint64),
        "host_key": rng.integers(0, 6, size).astype(np.uint64),
    }
    keys["pair"] = (keys["query_key"] * 1009 + keys["document_key"]) * np.uint64(0x9E3779B97F4A7C15)
    for values in keys.values():
        values[-20:] = values[:20]
    keys["query_key"][20:60], keys["document_key"][60:90] = 500, 600
    sources = rng.integers(0, 2, size).astype(np.uint16)
    config = BuildPairsConfig(
        input=("x",), out=Path("out"), max_per_host=30, max_repeats=2, boilerplate=12, sources={"b": PairRules(max_pairs=25)}
    )  # fmt: skip
    found = [REASONS[code] for code in settle(keys, sources, ["a", "b"], config)]
    rows = [{name: int(values[row]) for name, values in keys.items()} for row in range(size)]
    reasons = [""] * size
    seen: Counter = Counter()
    for row, values in enumerate(rows):
        seen[values["pair"]] += 1
        if seen[values["pair"]] > 1:
            reasons[row] = "duplicate-pair"
    for side in ("query", "document"):
        counts = Counter(values[f"{side}_key"] for row, values in enumerate(rows) if not reasons[row])
        for row, values in enumerate(rows):
            if not reasons[row] and counts[values[f"{side}_key"]] > 12:
                reasons[row] = f"boilerplate-{side}"
    for side in ("query", "document"):
        seen = Counter()
        for row, values in enumerate(rows):
            if not reasons[row]:
                seen[values[f"{side}_key"]] += 1
                if seen[values[f"{side}_key"]] > 2:
                    reasons[row] = f"repeated-{side}"
    by_host = defaultdict(list)
    for row, values in enumerate(rows):
        if not reasons[row] and values["host_key"]:
            by_host[values["host_key"]].append((values["pair"], row))
    for own in by_host.values():
        for _, row in sorted(own)[30:]:
            reasons[row] = "over-host-limit"
    left = sorted(
        (values["pair"], row) for row, values in enumerate(rows) if not reasons[row] and sources[row] == 1
    )
    for _, row in left[25:]:
        reasons[row] = "over-source-limit"
    assert found == reasons and set(REASONS) <= set(reasons) | {""}, Counter(reasons)


def test_sections_end_at_the_next_heading_and_code_is_none() -> None:
    text = "intro\n# One #\nfirst\n~~~\n# code\n```\n## code\n~~~\nmore\n## Empty\n\n### Three\t\nthird\n#no heading\n####### seven"
    assert sections(text) == [
        ("One", "first\n~~~\n# code\n```\n## code\n~~~\nmore"),
        ("Three", "third\n#no heading\n####### seven"),
    ]
    assert sections("```\n# never closed\ntext") == []


def test_copied_lines_count_by_their_share_of_the_prose() -> None:
    line = "a whole line of prose that is the same"
    assert copied_share(f"{line}\nfoo(bar) = [1, 2, 3]", f"x\n{line}\ny") == 1
    assert copied_share(f"{line}\n另外还有一行中文在这里", line) == len(line) / (len(line) + 33)
    assert copied_share("", line) == 0
