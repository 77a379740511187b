import json
from pathlib import Path

import pytest

from conan_data import tables
from conan_data.errors import UserError
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


@pytest.mark.parametrize(
    ("regex", "message"), [("(", "not a regular expression"), ("a", "no bracketed part")]
)
def test_a_wrong_group_regex(tmp_path: Path, regex: str, message: str) -> None:
    with pytest.raises(UserError, match=f"group_regex: .*{message}"):
        read_retrieval(write(tmp_path / "set"), "dev", group_regex=regex)


@pytest.mark.skipif(not SHARED.exists(), reason="real data is not there")
def test_a_real_set_has_no_broken_row() -> None:
    data = read_retrieval(SHARED / "tldr", "dev", group_regex="^(.*)@")
    assert (
        data.broken == []
        and data.queries.num_rows == 306
        and len(set(data.corpus.column("group").to_pylist())) < data.corpus.num_rows
    )
