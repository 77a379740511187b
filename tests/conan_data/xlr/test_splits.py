"""No translation of a test query is in train, nor the same text under another id."""

import json

import polars as pl
import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.retrieval import read_retrieval
from conan_data.xlr.build import build_xlr
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.splits import draw_splits
from tests.conan_data.xlr.test_sets import MIX, write_set

SHARES = {"train": 8, "dev": 1, "test": 1}


def frame(rows):
    return pl.DataFrame(rows, schema=["_id", "text", "source_id"], orient="row")


def split_of(rows, seed=0):
    rows = [(name, text, source or name) for name, text, source in rows]
    return dict(
        zip([row[0] for row in rows], draw_splits(frame(rows), SHARES, seed=seed).to_list(), strict=True)
    )


def test_shares_are_kept():
    found = list(split_of([(f"q{i}", f"query {i}", "") for i in range(20_000)]).values())
    for name, share in {"train": 0.8, "dev": 0.1, "test": 0.1}.items():
        assert found.count(name) / len(found) == pytest.approx(share, abs=0.011)


def test_equal_texts_and_versions_fall_together():
    rows = []
    for i in range(500):
        rows += [
            (f"a{i}", f"List files: {i}", ""),
            (f"b{i}", f"list  FILES {i}.", ""),
            (f"a{i}@de", f"Dateien auflisten {i}", f"a{i}"),
            (f"x{i}@de", f"Unbekannt {i}", f"gone{i}"),
            (f"x{i}@fr", f"Inconnu {i}", f"gone{i}"),
        ]
    found = split_of(rows)
    assert len(set(found.values())) == 3
    for i in range(500):
        assert found[f"a{i}"] == found[f"b{i}"] == found[f"a{i}@de"]
        assert found[f"x{i}@de"] == found[f"x{i}@fr"]


def test_other_queries_move_none():
    rows = [(f"q{i}", f"query {i}", "") for i in range(300)]
    more = [(f"p{i}", f"another query {i}", "") for i in range(300)]
    before, after = split_of(rows), split_of([*more, *reversed(rows)])
    assert all(after[name] == split for name, split in before.items())
    assert split_of(rows, seed=1) != before


def test_splits_of_a_built_set(tmp_path):
    data = write_set(tmp_path / "files", number=200)
    path = tmp_path / "files" / "translations.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    # 100 pairs of queries have one translation.
    for row in rows:
        if row["lang"] == "de":
            number = int(row["query_id"][1:]) // 2
            row["text"] = f"Was ist mit den beiden Dateien der Nummer {number}?"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = BuildXlrConfig(
        out=tmp_path / "out", data=data, mix={**MIX, "en": 1}, languages_per_query="all", splits=SHARES,
        checks={"skip": ["language", "numbers", "duplicates"]},
    )  # fmt: skip
    out = build_xlr(config)
    found = {name: pq.read_table(out / "queries" / f"{name}.parquet").to_pylist() for name in SHARES}
    texts = {name: {row["text"] for row in rows} for name, rows in found.items()}
    sources = {name: {row["source_id"] for row in rows} for name, rows in found.items()}
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not texts[one] & texts[other]
        assert not sources[one] & sources[other]
    manifest = artifact.open_artifact(out).manifest
    lost = manifest["rows"]["dropped"]["text-in-other-split"]
    assert lost > 0 and manifest["rows"]["kept"] == sum(map(len, found.values())) == 800 - lost
    dropped = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    assert {row["text"] for row in dropped} <= texts["dev"] | texts["test"]
    assert manifest["extra"]["queries_by_split"]["test"]["en"] == len(sources["test"])
    for name in SHARES:
        split = read_retrieval(out, name)
        assert split.corpus.num_rows == 200
        assert set(split.qrels.column("query-id").to_pylist()) == set(split.queries.column("_id").to_pylist())
