import json
from pathlib import Path

import pytest

from conan_data import tables
from conan_data.errors import UserError
from conan_data.manifest import Rows
from conan_data.pairs.pair_set import read_retrieval_sets
from conan_data.pairs.weak import read_pairs
from conan_data.retrieval import read_retrieval, write_split

SHARED = Path(__file__).parents[3] / "shared" / "data" / "retrieval"

CORPUS = [
    {"_id": "p@en", "title": "Ice", "text": "Water freezes.", "metadata": {"lang": "en"}},
    {"_id": "p@de", "title": "", "text": "Wasser gefriert.", "metadata": {"lang": "de"}},
    {"_id": "q@en", "text": "Bread rises.", "lang": "en", "group": "bread"},
    {"_id": "q@en", "text": "A second one of that id."},
    {"_id": "r", "text": "  "},
    {"_id": "s", "text": 7},
]
QUERIES = [
    {"_id": "1", "text": "when does water freeze", "metadata": {"lang": "en"}},
    {"_id": "2", "text": "bread?"},
    {"_id": "3", "text": "no answer"},
]
QRELS = "query-id\tcorpus-id\tscore\n1\tp@en\t1\n1\tq@en\t0\n2\tq@en\t2\n2\tnowhere\t1\n9\tp@en\t1\n2\tp@en\tmany\n3\tp@en\t0\n"


def write(folder: Path, *, own_files: bool = False) -> Path:
    folder.mkdir()
    mark = ".dev" if own_files else ""
    for name, rows in (("corpus", CORPUS), ("queries", QUERIES)):
        (folder / f"{name}{mark}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / ("qrels.dev.tsv" if own_files else "qrels/dev.tsv")
    path.parent.mkdir(exist_ok=True)
    path.write_text(QRELS)
    translations = [
        {"query_id": "1", "lang": "de", "text": "wann gefriert Wasser", "origin": "human"},
        {"query_id": "9", "lang": "de", "text": "x"},
    ]
    (folder / "translations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in translations))
    return folder


@pytest.mark.parametrize("own_files", [False, True])
def test_both_layouts_give_clean_tables_and_account_for_the_rest(tmp_path: Path, own_files: bool) -> None:
    data = read_retrieval(write(tmp_path / "set", own_files=own_files), "dev", group_regex="^(.*)@")
    assert (
        data.corpus.schema == tables.CORPUS
        and data.queries.schema == tables.QUERIES
        and data.qrels.schema == tables.QRELS
    )
    assert data.corpus.select(["_id", "lang", "group"]).to_pylist() == [
        {"_id": "p@en", "lang": "en", "group": "p"},
        {"_id": "p@de", "lang": "de", "group": "p"},
        {"_id": "q@en", "lang": "en", "group": "bread"},
    ]
    assert data.positives() == {"1": ["p@en"], "2": ["q@en"]}
    assert [row["lang"] for row in data.queries.to_pylist()] == ["en", "und"]
    assert data.translations.column("text").to_pylist() == ["wann gefriert Wasser"]
    reasons = sorted(row.reason for row in data.broken)
    expected = [
        "duplicate-id",
        "judgement-of-unknown-document",
        "judgement-of-unknown-query",
        "no-positive",
        "no-text",
        "no-text",
        "score-not-a-number",
    ]
    assert reasons == expected
    assert data.num_query_rows == 3


def test_written_splits_have_the_layout_of_mteb(tmp_path: Path) -> None:
    data = read_retrieval(write(tmp_path / "set"), "dev")
    write_split(tmp_path / "out", "dev", data)
    assert sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.parquet")
    ) == [
        "corpus/dev.parquet",
        "qrels/dev.parquet",
        "queries/dev.parquet",
    ]
    assert tables.read(tmp_path / "out" / "queries" / "dev.parquet", tables.QUERIES).equals(data.queries)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "corpus.jsonl").unlink(),
            r"has no corpus; it holds qrels/dev\.tsv, queries\.jsonl, translations\.jsonl; needed: corpus",
        ),
        (
            lambda folder: (folder / "qrels" / "dev.tsv").rename(folder / "qrels" / "test.tsv"),
            r"no judgements for split 'dev'; it has test",
        ),
        (
            lambda folder: (folder / "queries.jsonl").write_text('{"_id": "1", "words": "x"}\n'),
            r"queries\.jsonl: no row has the field 'text'; the fields are _id, words; needed: text \(text, query",
        ),
        (lambda folder: (folder / "corpus.jsonl").write_text(""), r"no usable document"),
        (
            lambda folder: (folder / "qrels" / "dev.tsv").write_text(
                "query-id\tcorpus-id\tscore\n1\tp@en\t0\n"
            ),
            r"no usable query with a positive",
        ),
    ],
)
def test_a_set_that_cannot_be_used_is_refused_by_name(tmp_path: Path, damage: object, message: str) -> None:
    folder = write(tmp_path / "set")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        read_retrieval(folder, "dev")


@pytest.mark.skipif(not SHARED.exists(), reason="real data is not there")
def test_a_real_set_has_no_broken_row() -> None:
    data = read_retrieval(SHARED / "tldr", "dev", group_regex="^(.*)@")
    assert (
        data.broken == []
        and data.queries.num_rows == 306
        and len(set(data.corpus.column("group").to_pylist())) < data.corpus.num_rows
    )


def test_every_row_and_column_is_kept_counted_or_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "set"
    (root / "qrels").mkdir(parents=True)
    documents = [
        {"_id": "a", "title": "Title alone", "text": ""},
        {"_id": "b", "title": "Also alone"},
        {"_id": "c", "title": None, "text": None},
        {"_id": "d", "text": "body", "url": "http://d", "metadata": {"lang": "en", "year": 7}},
        {"text": "without an id"},
    ]
    (root / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    queries = [{"_id": "1", "text": "one", "answer": "x"}, {"_id": "2", "text": ""}]
    (root / "queries.train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    lines = ["1\ta\t1", "1\ta\t1", "1\tb\t0", "1\tb\t2", "1\tc\t1", "2\ta\t1", "1\td\t-1"]
    (root / "qrels" / "train.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n")
    rows = [{"query_id": "1", "lang": "de", "text": "eins"}, {"query_id": "2", "lang": "de", "text": "zwei"}]
    (root / "translations.train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = read_retrieval(root, "train")
    assert [(row["_id"], row["title"], row["text"]) for row in data.corpus.to_pylist()] == [
        ("a", "Title alone", ""),
        ("b", "Also alone", ""),
        ("d", "", "body"),
    ]
    assert [tuple(row.values()) for row in data.qrels.to_pylist()] == [
        ("1", "a", 1),
        ("1", "b", 2),
        ("1", "d", -1),
    ]
    unknown = {"judgement-of-unknown-document": 1, "judgement-of-unknown-query": 1}
    assert data.account() == {
        "corpus": {"read": 5, "kept": 3, "dropped": {"no-id": 1, "no-text": 1}},
        "queries": {"read": 2, "kept": 1, "dropped": {"no-text": 1}},
        "qrels": {
            "read": 7,
            "kept": 3,
            "dropped": {"duplicate-judgement": 1, **unknown, "judgement-replaced-by-a-later-one": 1},
        },
        "translations": {"read": 2, "kept": 1, "dropped": {"translation-of-unknown-query": 1}},
        "unused": ["corpus.metadata.year", "corpus.url", "queries.answer"],
    }
    (line,) = [line for line in caplog.messages if "not used" in line]
    assert "2 of 5 documents (no-id 1, no-text 1)" in line and line.endswith("corpus.url, queries.answer")
    kept = read_retrieval(root, "train", keep_absent=True)
    assert ("1", "c", 1) in [tuple(row.values()) for row in kept.qrels.to_pylist()]


def test_refused_rows_of_a_set_are_counted_by_their_reason_as_weak_pairs_too(tmp_path: Path) -> None:
    path = str(write(tmp_path / "set"))
    pairs = read_pairs([path], split="dev")
    assert pairs.rows().read == pairs.rows().kept + sum(pairs.dropped.values())
    assert pairs.dropped["no-positive"] == 1 and pairs.dropped["score-not-a-number"] == 1
    sets = read_retrieval_sets([path], "dev")
    assert sets.rows() == Rows(read=3, kept=2, dropped={"no-positive": 1})
    assert sets.sets["set"]["qrels"]["dropped"]["judgement-of-unknown-document"] == 1


def test_queries_that_say_no_language_are_counted_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_retrieval(write(tmp_path / "set"), "dev")
    said = [line for line in caplog.messages if "say no language" in line]
    assert len(said) == 1 and "split dev: 1 of 2 queries say no language and count as one (und)" in said[0]
    caplog.clear()
    full = write(tmp_path / "full")
    rows = [{**row, "lang": "en"} for row in QUERIES]
    (full / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    read_retrieval(full, "dev")
    assert "say no language" not in caplog.text
