"""Sets as public tools write them: each layout gives the same documents, queries and judgements."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.pairs.rows import is_retrieval_set
from conan_data.retrieval import read_retrieval

DOCUMENTS = [("7", "Ice", 'Water "freezes" at 0.'), ("8", "", "Bread rises.")]
QUERIES = [("1", "when does water freeze"), ("2", "bread")]
JUDGED = [("1", "7", 2), ("2", "8", 1)]


def lines(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")


def jsonl(path: Path, rows: list[dict]) -> None:
    lines(path, [json.dumps(row) for row in rows])


def parquet(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def documents(key: str = "_id", *, number: bool = False) -> list[dict]:
    return [
        {key: int(name) if number else name, "title": title, "text": text} for name, title, text in DOCUMENTS
    ]


def queries(key: str = "_id", text: str = "text", *, number: bool = False) -> list[dict]:
    return [{key: int(name) if number else name, text: words} for name, words in QUERIES]


def judged(*, number: bool = False) -> list[dict]:
    return [
        {
            "query-id": int(query) if number else query,
            "corpus-id": int(document) if number else document,
            "score": score,
        }
        for query, document, score in JUDGED
    ]


def qrels(path: Path, form: str, *, header: str = "") -> None:
    lines(path, [*([header] if header else []), *(form.format(q=q, d=d, s=s) for q, d, s in JUDGED)])


def card(root: Path, configs: dict[str, dict[str, str]]) -> None:
    text = "---\nconfigs:\n"
    for name, splits in configs.items():
        text += f"- config_name: {name}\n  data_files:\n"
        text += "".join(f"  - split: {split}\n    path: {path}\n" for split, path in splits.items())
    (root / "README.md").write_text(text + "---\n")


def beir(root: Path) -> None:
    jsonl(root / "corpus.jsonl", documents())
    jsonl(root / "queries.jsonl", queries())


def beir_classic(root: Path) -> str:
    beir(root)
    qrels(root / "qrels" / "test.tsv", "{q}\t{d}\t{s}", header="query-id\tcorpus-id\tscore")
    return ""


def trec_tabs(root: Path) -> str:
    beir(root)
    qrels(root / "qrels" / "test.tsv", "{q}\t0\t{d}\t{s}")
    return ""


def trec_spaces(root: Path) -> str:
    beir(root)
    qrels(root / "qrels.test.txt", "{q} Q0 {d}  {s}")
    return ""


def trec_without_ending(root: Path) -> str:
    beir(root)
    qrels(root / "qrels.test", "{q} 0 {d} {s}")
    return ""


def trec_deep_learning(root: Path) -> str:
    beir(root)
    qrels(root / "2019qrels-test.txt", "{q} 0 {d} {s}")
    return ""


def headerless_triples(root: Path) -> str:
    beir(root)
    qrels(root / "qrels" / "test.tsv", "{q}\t{d}\t{s}")
    return ""


def other_header(root: Path) -> str:
    beir(root)
    qrels(root / "qrels.test.csv", "{q},{d},{s}.0", header="qid,docid,relevance")
    return ""


def judgements_as_json(root: Path) -> str:
    beir(root)
    jsonl(root / "qrels" / "test.jsonl", judged(number=True))
    return ""


def ms_marco(root: Path) -> str:
    lines(root / "collection.tsv", [f"{name}\t{title} {text}" for name, title, text in DOCUMENTS])
    lines(root / "queries.test.tsv", [f"{name}\t{text}" for name, text in QUERIES])
    qrels(root / "qrels.test.tsv", "{q}\t0\t{d}\t{s}")
    return ""


def ms_marco_small(root: Path) -> str:
    lines(root / "collection.tsv", [f"{name}\t{title} {text}" for name, title, text in DOCUMENTS])
    lines(root / "queries.dev.tsv", ["9\tof another file"])
    lines(root / "queries.dev.test.tsv", [f"{name}\t{text}" for name, text in QUERIES])
    lines(root / "qrels.dev.tsv", ["9\t0\t7\t1"])
    qrels(root / "qrels.dev.test.tsv", "{q}\t0\t{d}\t{s}")
    return ""


def miracl(root: Path) -> str:
    own, corpus = root / "miracl-v1.0-sw", root / "miracl-corpus-v1.0-sw"
    for place, row in enumerate(documents("docid")):
        jsonl(corpus / f"docs-{place}.jsonl", [row])
    lines(own / "topics" / "topics.miracl-v1.0-sw-test.tsv", [f"{name}\t{text}" for name, text in QUERIES])
    lines(own / "topics" / "topics.miracl-v1.0-sw-dev.tsv", ["9\tof another split"])
    qrels(own / "qrels" / "qrels.miracl-v1.0-sw-test.tsv", "{q}\tQ0\t{d}\t{s}")
    lines(own / "qrels" / "qrels.miracl-v1.0-sw-dev.tsv", ["9\tQ0\t7\t1"])
    return ""


def pyserini(root: Path) -> str:
    rows = [{"id": row["_id"], "contents": f"{row['title']}\n{row['text']}"} for row in documents()]
    jsonl(root / "corpus.jsonl", rows)
    lines(root / "topics.test.tsv", [f"{name}\t{text}" for name, text in QUERIES])
    qrels(root / "qrels.test.txt", "{q} 0 {d} {s}")
    return ""


def shards_of_parquet(root: Path) -> str:
    for place, row in enumerate(documents("id", number=True)):
        parquet(root / "corpus" / f"test-{place:05d}-of-00002.parquet", [row])
    parquet(root / "queries" / "test-00000-of-00001.parquet", queries("id", number=True))
    parquet(root / "qrels" / "test-00000-of-00001.parquet", judged(number=True))
    return ""


def shards_of_lines(root: Path) -> str:
    for place, row in enumerate(documents("doc_id")):
        jsonl(root / "corpus" / f"part-{place}.jsonl", [row])
    jsonl(root / "queries" / "0000.jsonl", queries("query_id", "query"))
    qrels(root / "qrels" / "test.tsv", "{q}\t0\t{d}\t{s}")
    return ""


def mteb_card(root: Path) -> str:
    parquet(root / "data" / "c.parquet", documents("id"))
    parquet(root / "data" / "q.parquet", queries("id"))
    parquet(root / "data" / "r.parquet", judged())
    card(
        root,
        {
            "corpus": {"corpus": "data/c.parquet"},
            "queries": {"queries": "data/q.parquet"},
            "default": {"test": "data/r.parquet"},
        },
    )
    return ""


def mteb_with_files_beside_the_card(root: Path) -> str:
    beir_classic(root)
    jsonl(root / "qrels" / "test.jsonl", judged())
    card(
        root,
        {
            "corpus": {"corpus": "corpus.jsonl"},
            "queries": {"queries": "queries.jsonl"},
            "default": {"test": "qrels/test.jsonl"},
        },
    )
    return ""


def mteb_languages(root: Path, *, form: str, with_card: bool) -> str:
    configs = {}
    for config in ("de", "fr"):
        rows = {"corpus": documents("id"), "queries": queries("id"), "qrels": judged()}
        if config == "fr":
            rows["corpus"] = [{"id": "7", "text": "other"}, {"id": "8", "text": "set"}]
        for part, own in rows.items():
            name = form.format(config=config, part=part)
            parquet(root / name / "test-00000-of-00001.parquet", own)
            configs[name] = {"test": f"{name}/test-*"}
    if with_card:
        card(root, configs)
    return "/de"


def mteb_prefix_card(root: Path) -> str:
    return mteb_languages(root, form="{config}-{part}", with_card=True)


def mteb_suffix_card(root: Path) -> str:
    return mteb_languages(root, form="{part}-{config}", with_card=True)


def mteb_prefix_folders(root: Path) -> str:
    return mteb_languages(root, form="{config}-{part}", with_card=False)


def one_language_of_mteb(root: Path) -> str:
    mteb_languages(root, form="{config}-{part}", with_card=False)
    for part in ("corpus", "queries", "qrels"):
        (root / f"fr-{part}" / "test-00000-of-00001.parquet").unlink()
    return ""


def split_in_file_names(root: Path) -> str:
    jsonl(root / "corpus.test.jsonl", documents())
    jsonl(root / "queries.test.jsonl", queries())
    qrels(root / "qrels.test.tsv", "{q}\t{d}\t{s}", header="query-id\tcorpus-id\tscore")
    return ""


LAYOUTS: list[Callable[[Path], str]] = [
    beir_classic, split_in_file_names, trec_tabs, trec_spaces, trec_without_ending, trec_deep_learning,
    headerless_triples, other_header, judgements_as_json, ms_marco, ms_marco_small, miracl, pyserini,
    shards_of_parquet, shards_of_lines, mteb_card, mteb_with_files_beside_the_card, mteb_prefix_card,
    mteb_suffix_card, mteb_prefix_folders, one_language_of_mteb,
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_public_layout_is_read(tmp_path: Path, layout: Callable[[Path], str]) -> None:
    root = tmp_path / "set"
    root.mkdir()
    path = f"{root}{layout(root)}"
    data = read_retrieval(path, "test")
    texts = {row["_id"]: " ".join(f"{row['title']} {row['text']}".split()) for row in data.corpus.to_pylist()}
    assert texts == {name: f"{title} {text}".strip() for name, title, text in DOCUMENTS}
    assert [(row["_id"], row["text"]) for row in data.queries.to_pylist()] == QUERIES
    assert [tuple(row.values()) for row in data.qrels.to_pylist()] == JUDGED
    assert data.broken == [] and is_retrieval_set(path)
    assert {name: (rows.read, rows.kept) for name, rows in data.parts.items()} == {
        "corpus": (2, 2),
        "queries": (2, 2),
        "qrels": (2, 2),
        "translations": (0, 0),
    }
    assert artifact.describe_input(path)["files"]


def test_of_several_sets_in_a_folder_one_has_to_be_named(tmp_path: Path) -> None:
    for with_card in (True, False):
        root = tmp_path / str(with_card)
        mteb_languages(root, form="{config}-{part}", with_card=with_card)
        with pytest.raises(UserError, match=r"holds several sets \(de, fr\); name one, such as .*/de"):
            read_retrieval(root, "test")
        with pytest.raises(UserError, match="no such retrieval set"):
            read_retrieval(f"{root}/it", "test")
        assert read_retrieval(f"{root}/fr", "test").corpus.column("text").to_pylist() == ["other", "set"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "qrels" / "test.tsv").unlink(), r"has no qrels; it holds corpus\.jsonl, queries\.jsonl; needed"),
        (lambda root: qrels(root / "qrels" / "test.tsv", "{q}\t{s}"), r"test\.tsv: its first row has 2 columns \(1, 2\) and is no header; needed: a header with query-id .*columns: 3"),
        (lambda root: lines(root / "qrels" / "test.tsv", ["query-id\tcorpus-id", "1\t7"]), r"no row has the field 'score'; the fields are corpus-id, query-id; needed: score \(score, relevance"),
        (lambda root: (root / "queries.jsonl").rename(root / "queries.dev.jsonl"), r"has no queries for split 'test'; it has dev"),
        (lambda root: (root / "corpus.jsonl").write_text('{"name": "7", "text": "x"}\n'), r"no row has the field '_id'; the fields are name, text; needed: _id \(_id, id, docid"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_what_is_needed(
    tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    root = tmp_path / "set"
    root.mkdir()
    beir_classic(root)
    change(root)
    with pytest.raises(UserError, match=message):
        read_retrieval(root, "test")
