import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.groups import HASHED, REFERENCE, duplicates, preferences


def batch(texts: list[str], fluency: list[float | None]) -> pa.RecordBatch:
    return pa.record_batch(
        {"text": pa.array(texts, pa.large_string()), "fluency": pa.array(fluency, pa.float32())}
    )


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 2), st.sampled_from("abc"))),
    st.integers(1, 7),
)
def test_the_best_of_equal_hashes_stays(documents: list[tuple[int, int, int, str]], chunk: int) -> None:
    records = np.array(
        [
            (hash_, check, number, preference)
            for number, (hash_, check, preference, _) in enumerate(documents)
        ],
        dtype=HASHED,
    )
    found = duplicates(
        lambda: [records[start : start + chunk] for start in range(0, len(records), chunk)],
        lambda numbers: [documents[number][3] for number in numbers.tolist()],
    )
    best: dict[tuple[int, int], int] = {}
    for number in sorted(range(len(documents)), key=lambda n: (-documents[n][2], documents[n][3], n)):
        best.setdefault(documents[number][:2], number)
    expected = {number: best[row[:2]] for number, row in enumerate(documents) if best[row[:2]] != number}
    assert dict(found.tolist()) == expected


def test_references_stay_whatever_their_ids() -> None:
    records = np.array([(1, 1, 0, 99), (1, 1, 7, REFERENCE), (1, 1, 8, REFERENCE)], dtype=HASHED)
    assert dict(duplicates(lambda: [records], None).tolist()) == {0: 7, 8: 7}


def test_preferences_follow_the_rule() -> None:
    rows = batch(["ab", "abc", "日本語文", "x"], [0.5, -1.0, None, 0.5])
    order = {
        keep: np.argsort(
            ~preferences(rows, np.array([2, 3, 4, 1]), DedupConfig(keep=keep)), kind="stable"
        ).tolist()
        for keep in ("longest", "first", "best")
    }
    assert order == {"longest": [2, 1, 0, 3], "first": [0, 1, 2, 3], "best": [0, 3, 1, 2]}
