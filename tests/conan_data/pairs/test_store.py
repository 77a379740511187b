import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conan_data.pairs.pair_set import PairSet, read_retrieval_sets
from conan_data.pairs.store import load_pairs, shared_pairs
from conan_data.pairs.weak import read_pairs
from conan_data.retrieval import write_split


def weak(tmp_path: Path, num_rows: int = 30, neg: bool = True) -> PairSet:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "query": f"q{n % 20}",
            "pos": [f"d{n}"],
            "lang": ("en", "de")[n % 2],
            **({"neg": [f"d{n + 1}"]} if neg else {}),
        }
        for n in range(num_rows)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    return read_pairs([str(path)])


@pytest.mark.parametrize("kind", ["weak", "without-negatives", "retrieval"])
def test_what_is_read_again_is_what_was_written(tmp_path: Path, kind: str) -> None:
    made = (
        read_retrieval_sets(["sample"], "train")
        if kind == "retrieval"
        else weak(tmp_path, neg=kind == "weak")
    )
    found = shared_pairs(tmp_path / "store", lambda: made)
    for name in ("corpus", "queries", "qrels"):
        assert getattr(found.data, name).equals(getattr(made.data, name)), name
    for field in dataclasses.fields(made.arrays):
        assert np.array_equal(getattr(found.arrays, field.name), getattr(made.arrays, field.name)), field.name
    for name in ("query_sources", "document_languages", "given_negative_row_QP"):
        assert np.array_equal(getattr(found, name), getattr(made, name)), name
    assert (found.sources, found.rows(), found.data.broken) == (made.sources, made.rows(), made.data.broken)
    assert found.data.num_query_rows == made.data.num_query_rows
    assert found.data.positives() == made.data.positives()
    write_split(tmp_path / "out", "train", found.data)


def test_texts_stay_on_disk_and_the_second_does_not_make_them(tmp_path: Path) -> None:
    shared_pairs(tmp_path / "store", lambda: weak(tmp_path, 20_000))
    before = pa.total_allocated_bytes()
    found = shared_pairs(tmp_path / "store", lambda: pytest.fail("made twice"))
    assert pa.total_allocated_bytes() - before < 10_000 < found.data.corpus.nbytes
    assert load_pairs(tmp_path / "store").num_queries == found.num_queries


def test_a_store_that_was_not_finished_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "store.partial").mkdir()
    (tmp_path / "store.partial" / "junk").write_text("x")
    found = shared_pairs(tmp_path / "store", lambda: weak(tmp_path))
    assert found.num_queries == 20 and not (tmp_path / "store" / "junk").exists()
