"""Blocks of rows that are read at once mean the same as rows that are read one by one."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data import retrieval_frames
from conan_data.retrieval import read_retrieval

ODD = (None, "", "  ", 7, 7.0, 1.5, True, [], ["a"], {}, "2020-01-01")
BROKEN = (
    "",
    "  ",
    "[]",
    "{",
    "null",
    '{"_id": "a", "_id": "b", "text": "t"}',
    '{"_id": "n", "text": NaN}',
    '{"_id": "\\ud800"}',
)


def write(folder, seed, chances=(0, 0, 0.02, 0.2)):
    """A small set with odd values and broken lines, as many as one of `chances` says."""
    draw = random.Random(seed)
    chance = draw.choice(chances)

    def value(right):
        return draw.choice(ODD) if draw.random() < chance else right

    def row(kind, i):
        found = {draw.choice(["_id", "_id", "id"]) if chance else "_id": value(f"{kind}{draw.randrange(20)}")}
        found |= {"text": value(f"text {i}"), "title": value(draw.choice(["", "T"])), "lang": value("de")}
        found["metadata"] = draw.choice([{}, {"lang": "fr"}, {"url": "u", "group": "g"}, None])
        found["extra"] = draw.choice([[None, ""], ["", "v"], [[], ["v"]], [None, 1.5]][seed % 4])
        return found

    def lines(rows):
        for each in rows:
            text = json.dumps(each)
            yield draw.choice((*BROKEN, text + text, text + " x")) if draw.random() < chance / 4 else text

    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        "".join(f"{line}\n" for line in lines(row("d", i) for i in range(20)))
    )
    (folder / "queries.jsonl").write_text(
        "".join(f"{line}\n" for line in lines(row("q", i) for i in range(20)))
    )
    rows = [
        {"query_id": value(f"q{draw.randrange(20)}"), "lang": value("de"), "text": value("Text")}
        for _ in range(20)
    ]
    (folder / "translations.jsonl").write_text("".join(f"{line}\n" for line in lines(rows)))
    scores = ["1", "1", "1", "0", "2"] + (["x", "1.0", "", "1.5"] if chance else [])
    judged = [f"q{draw.randrange(20)}\td{draw.randrange(20)}\t{draw.choice(scores)}" for _ in range(60)]
    if draw.random() < chance:
        judged += ['"q1"\td1\t1', "q1\td1", ""]
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judged))


def read(folder):
    try:
        split = read_retrieval(folder, "train", group_regex="^(.)")
    except Exception as error:
        return type(error).__name__, str(error)
    parts = (split.corpus, split.queries, split.qrels, split.translations)
    return [part.to_pylist() for part in parts], split.account(), [row.to_json() for row in split.broken]


def test_blocks_and_rows_are_read_alike(tmp_path, monkeypatch):
    fast_blocks = []
    parse = retrieval_frames._parse
    found = {}
    for seed in range(150):
        write(tmp_path / str(seed), seed)
        found[seed] = read(tmp_path / str(seed))
        fast_blocks.append(
            parse((tmp_path / str(seed) / "corpus.jsonl").read_bytes().split(b"\n")[:-1]) is not None
        )
    monkeypatch.setattr(retrieval_frames, "_parse", lambda texts: None)
    monkeypatch.setattr(retrieval_frames, "_split", lambda *_: None)
    for seed, expected in found.items():
        slow = read(tmp_path / str(seed))
        # Raw texts of refused rows are cut from what was read, so absent values may differ.
        assert slow[:2] == expected[:2], seed
    assert 30 < sum(fast_blocks) < 150


def test_parquet_is_read_like_lines(tmp_path):
    write(tmp_path / "lines", 0, chances=[0])
    folder = tmp_path / "parquet"
    (folder / "qrels").mkdir(parents=True)
    for name in ("corpus", "queries", "translations"):
        rows = [json.loads(line) for line in (tmp_path / "lines" / f"{name}.jsonl").read_text().splitlines()]
        rows = [
            {key: value for key, value in row.items() if key not in ("extra", "metadata")} for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
        (tmp_path / "lines" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "qrels" / "train.tsv").write_bytes((tmp_path / "lines" / "qrels" / "train.tsv").read_bytes())
    assert read(folder)[0] == read(tmp_path / "lines")[0]


@pytest.mark.parametrize("ids", [["7", "8"], [7, 8], [7.0, 8.0]])
def test_ids_that_are_numbers(tmp_path, ids):
    (tmp_path / "qrels").mkdir()
    for name in ("corpus", "queries"):
        rows = [{"_id": identifier, "text": f"{name} {identifier}"} for identifier in ids]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n7\t8\t1\n")
    split = read_retrieval(tmp_path, "train")
    assert split.corpus.column("_id").to_pylist() == ["7", "8"]
    assert split.queries.column("_id").to_pylist() == ["7"]
