import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data import tables
from conan_data.errors import UserError
from conan_data.mining.arrays import retrieval_arrays
from conan_data.pairs.pair_set import PairSet, from_retrieval, join, read_retrieval_sets, source_names
from conan_data.pairs.rows import PairFields, is_retrieval_set
from conan_data.pairs.weak import read_pairs
from conan_data.retrieval import read_retrieval

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


def answers(pairs: PairSet) -> dict[str, set[str]]:
    queries, documents = (
        getattr(pairs.data, name).column("text").to_pylist() for name in ("queries", "corpus")
    )
    offsets, rows = pairs.arrays.positive_offsets, pairs.arrays.positive_rows
    return {
        text: {documents[row] for row in rows[offsets[place] : offsets[place + 1]]}
        for place, text in enumerate(queries)
    }


def test_texts_that_are_equal_are_one(tmp_path: Path) -> None:
    path = write(
        tmp_path / "web.jsonl",
        [
            {"query": "q1", "document": "d1", "lang_query": "en", "lang_document": "de", "score": 0.9},
            {"query": "q2", "document": " d1 ", "source": "faq"},
            {"query": "q1", "document": "d2", "source": "faq", "group": "g"},
            {"query": "q1", "document": "d1"},
            {"query": "q3", "document": "d3", "group": "g"},
        ],
    )
    pairs = read_pairs([path])
    assert answers(pairs) == {"q1": {"d1", "d2"}, "q2": {"d1"}, "q3": {"d3"}}
    assert pairs.data.corpus.column("text").to_pylist() == ["d1", "d2", "d3"]
    assert pairs.arrays.groups.tolist() == [-1, 0, 0]
    assert [pairs.sources[place] for place in pairs.query_sources] == ["web", "faq", "web"]
    assert [pairs.arrays.languages[place] for place in pairs.arrays.query_languages] == ["en", "und", "und"]
    assert pairs.document_languages.tolist() == [-1, 1, 1], "no query is in German"
    rows = pairs.rows()
    assert (rows.read, rows.kept, rows.dropped) == (5, 4, {"duplicate-pair": 1})


def test_arrays_are_those_of_the_judgements(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"anchor": f"q{rng.integers(50)}", "positive": f"d{rng.integers(40)}", "group": f"{rng.integers(9)}"}
        for _ in range(300)
    ]
    pairs = read_pairs([write(tmp_path / "a.jsonl", rows)])
    expected = defaultdict(set)
    for row in rows:
        expected[row["anchor"]].add(row["positive"])
    assert answers(pairs) == expected
    # What the reader of judgements makes of the same tables.
    plain = pairs.data.qrels.cast(tables.QRELS)
    other = retrieval_arrays(type(pairs.data)(pairs.data.corpus, pairs.data.queries, plain, pa.table({})))
    for name in ("positive_offsets", "positive_rows", "groups", "texts", "query_languages"):
        assert (getattr(pairs.arrays, name) == getattr(other, name)).all(), name
    for table, schema in ((pairs.data.corpus, tables.CORPUS), (pairs.data.queries, tables.QUERIES)):
        tables.check(table, schema, "pairs")


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "parquet", "folder"])
def test_every_format(tmp_path: Path, kind: str) -> None:
    rows = [{"query": f"q{n}", "document": f"d, {n}"} for n in range(3)]
    path = tmp_path / f"pairs.{kind}"
    if kind == "jsonl":
        write(path, rows)
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    elif kind == "csv":
        path.write_text("query,document\n" + "".join(f'{row["query"]},"{row["document"]}"\n' for row in rows))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        import datasets

        datasets.Dataset.from_list(rows).save_to_disk(path)
    assert answers(read_pairs([str(path)])) == {row["query"]: {row["document"]} for row in rows}


def test_lists_of_positives_and_negatives(tmp_path: Path) -> None:
    flag = write(
        tmp_path / "flag.jsonl",
        [
            {"query": "q1", "pos": ["a", "b"], "neg": ["c", "a"]},
            {"query": "q2", "pos": ["c"], "neg": ["x", "y", "z"]},
        ],
    )
    st = write(tmp_path / "st.jsonl", [{"anchor": "q1", "positive": "z", "negative": "w"}])
    pairs = read_pairs([flag, st])
    assert answers(pairs) == {"q1": {"a", "b", "z"}, "q2": {"c"}}
    texts = pairs.data.corpus.column("text").to_pylist()
    given = [[texts[row] for row in rows if row >= 0] for rows in pairs.given_negative_row_QP]
    assert [set(rows) for rows in given] == [{"c", "w"}, {"x", "y", "z"}], "a is an answer of q1"


def test_broken_rows_are_counted_by_their_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows: list[Any] = [
        {"query": "q", "document": "d", "score": 0.5},
        {"query": "", "document": "d", "score": 1},
        {"query": "q", "document": None, "score": 1},
        {"query": "q", "document": ["", 3], "score": 1},
        {"query": "q", "document": "e", "score": 0.49},
        {"query": "q", "document": "e"},
        {"query": "q", "document": "e", "score": "high"},
        {"query": "q", "document": "e", "score": float("nan")},
        {"query": "q", "document": "f", "score": "0.7"},
        [],
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    pairs = read_pairs([str(path)], min_score=0.5)
    assert answers(pairs) == {"q": {"d", "f"}}
    assert pairs.dropped == {
        "no-query": 1,
        "no-document": 1,
        "document-is-no-text": 1,
        "score-below-minimum": 1,
        "no-score": 1,
        "score-not-a-number": 1,
        "not-an-object": 1,
        "invalid-json": 2,
    }
    assert pairs.num_read == 11 and pairs.rows().kept == 2
    assert len(pairs.data.broken) == 9 and pairs.data.broken[0].place == 2


def test_other_names_of_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"title": "q", "body": {"text": "d"}, "quality": 2}])
    fields = PairFields(query="title", document="body.text", score="quality")
    assert answers(read_pairs([path], fields=fields, min_score=1)) == {"q": {"d"}}
    with pytest.raises(
        UserError,
        match=r"no row has a query \(query, anchor, question.*\); the fields are title, body, quality",
    ):
        read_pairs([path])
    with pytest.raises(UserError, match=r"no row has a document \(text\)"):
        read_pairs([path], fields=PairFields(query="title", document="text"))


def test_nothing_is_left(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"query": "q", "document": "d", "score": 0.1}])
    with pytest.raises(UserError, match=r"no usable pair \(score-below-minimum: 1\)"):
        read_pairs([path], min_score=0.5)


def retrieval_set(folder: Path, name: str = "d", groups: bool = True) -> str:
    folder.mkdir()
    metadata = {"lang": "de", **({"group": "g"} if groups else {})}
    write(
        folder / "corpus.jsonl",
        [
            {"_id": f"{name}{n}", "title": f"t{n}", "text": f"{name}{n}", "metadata": metadata}
            for n in range(3)
        ],
    )
    write(folder / "queries.jsonl", [{"_id": f"q{n}", "text": f"q{n}"} for n in range(2)])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text(
        f"query-id\tcorpus-id\tscore\nq0\t{name}0\t1\nq0\t{name}1\t1\nq1\t{name}2\t1\nq1\t{name}0\t0\n"
    )
    return str(folder)


def test_a_retrieval_set_gives_each_query_with_each_positive(tmp_path: Path) -> None:
    folder = retrieval_set(tmp_path / "set")
    more = write(tmp_path / "more.jsonl", [{"query": "q0", "document": "t2 d2"}])
    assert is_retrieval_set(folder) and is_retrieval_set("sample") and not is_retrieval_set(more)
    pairs = read_pairs([folder, more])
    assert answers(pairs) == {"q0": {"t0 d0", "t1 d1", "t2 d2"}, "q1": {"t2 d2"}}
    assert len(set(pairs.arrays.groups)) == 1 and pairs.arrays.groups[0] == 0
    assert pairs.sources == ("set", "more")
    alone = read_pairs([retrieval_set(tmp_path / "alone", groups=False)])
    assert (alone.arrays.groups == -1).all(), "a document alone in its group has none"


def test_sets_are_joined_with_their_own_documents(tmp_path: Path) -> None:
    paths = [retrieval_set(tmp_path / "a"), retrieval_set(tmp_path / "b", "e")]
    joined = read_retrieval_sets(paths, "train")
    assert joined.arrays.num_documents == 6 and joined.num_queries == 4
    assert joined.data.queries.column("_id").to_pylist() == ["0/q0", "0/q1", "1/q0", "1/q1"]
    assert joined.sources == ("a", "b") and joined.query_sources.tolist() == [0, 0, 1, 1]
    own = retrieval_arrays(joined.data)
    for name in ("positive_offsets", "positive_rows", "groups", "texts", "query_languages"):
        assert (getattr(joined.arrays, name) == getattr(own, name)).all(), name
    assert joined.arrays.groups.tolist() == [0, 0, 0, 1, 1, 1], "the groups of two sets are not the same"
    single = read_retrieval_sets(paths[:1], "train")
    assert single.data.queries.column("_id").to_pylist() == ["q0", "q1"]


def test_a_set_and_pairs_are_joined(tmp_path: Path) -> None:
    folder = retrieval_set(tmp_path / "a")
    weak = read_pairs(
        [write(tmp_path / "w.jsonl", [{"query": "x", "pos": ["y"], "neg": ["z"], "lang": "de"}])]
    )
    joined = join([from_retrieval(read_retrieval(folder, "train"), "a"), weak])
    own = retrieval_arrays(joined.data)
    for name in ("positive_offsets", "positive_rows", "groups", "texts"):
        assert (getattr(joined.arrays, name) == getattr(own, name)).all(), name
    assert joined.given_negative_row_QP.tolist() == [[-1], [-1], [4]]
    assert joined.data.corpus.column("text")[4].as_py() == "z"
    languages = [joined.arrays.languages[place] for place in joined.arrays.query_languages]
    assert languages == ["und", "und", "de"] and joined.document_languages.tolist() == [1] * 5


def test_names_of_sources() -> None:
    assert source_names(["a/x.jsonl.gz", "b/y.csv"]) == ("x", "y")
    assert source_names(["a/x.jsonl", "b/x.jsonl", "b/y.csv"]) == ("a/x.jsonl", "b/x.jsonl", "y")


@pytest.mark.skipif(not (SHARED / "retrieval").is_dir(), reason="needs ../shared/data")
def test_real_sets() -> None:
    split = read_retrieval(SHARED / "retrieval" / "arcd", "train")
    pairs = read_pairs([str(SHARED / "retrieval" / "arcd")])
    texts = dict(zip(*(split.queries.column(name).to_pylist() for name in ("_id", "text"))))
    documents = {
        row["_id"]: f"{row['title'] or ''} {row['text']}".strip() for row in split.corpus.to_pylist()
    }
    expected = defaultdict(set)
    for query, found in split.positives().items():
        expected[texts[query].strip()] |= {documents[key] for key in found}
    assert answers(pairs) == expected
