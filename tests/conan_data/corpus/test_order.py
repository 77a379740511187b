import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from conan_data.corpus.order import merged


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 9))
def test_merging_is_sorting(owners: list[int], window: int) -> None:
    """Key k belongs to list `owners[k]`."""
    lists = [np.flatnonzero(np.array(owners) == owner) for owner in range(5)]
    positions = np.concatenate(
        [
            np.zeros(0, dtype=np.int64),
            *merged(lambda i, start, stop: lists[i][start:stop], [len(found) for found in lists], window),
        ]
    )
    assert np.concatenate(lists)[positions].tolist() == list(range(len(owners)))
