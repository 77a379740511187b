"""What is removed from each kind of training set, what is only reported, and that the cleaned set is read as before."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data import artifact, tables
from conan_data.decontamination.config import DecontaminateConfig
from conan_data.decontamination.decontaminate import decontaminate
from conan_data.errors import UserError
from conan_data.pairs.labelled import read_labels
from conan_data.pairs.rows import is_retrieval_set, read_pair_rows
from conan_data.pairs.scored import read_scored
from conan_data.readers import Row, read_rows
from conan_data.readers.account import Account
from conan_data.retrieval import read_retrieval
from conan_data.sources import expand

PASSAGE = (
    "The lighthouse at the northern cape was built of grey granite by two brothers in the autumn of 1811."
)
OTHER = "Bread of rye keeps for a week in a wooden box, and for a month where the cellar is cold and dry."
EVALUATION = {
    "queries": {
        "e1": "when did the brothers build the lighthouse of the northern cape",
        "e2": "what is it",
        "e3": "wie lange hält sich Roggenbrot im kalten Keller",
    },
    "corpus": {
        "d1": PASSAGE,
        "d2": OTHER,
        "d3": "Ferries cross the sound twice a day unless the ice is too thick.",
    },
    "qrels": [("e1", "d1"), ("e2", "d2"), ("e3", "d2")],
}
TRAINING = {
    "queries": {
        "t1": "When did the brothers BUILD the lighthouse of the  northern cape",
        "t2": "how thick may the ice be before the ferries stop",
        "t3": "What is it?",
        "t4": "what is it",
        "t5": "how long does bread of rye keep in a cellar",
        "t6": "who was the keeper of the garden in those years",
    },
    "corpus": {
        "p1": "Nobody knows who drew the first map of these islands, nor when that was.",
        "p2": PASSAGE,
        "p3": OTHER,
        "p4": "Ferries cross the sound twice a day unless the ice is too thick.",
        "p5": "when did the brothers build the lighthouse of the northern cape?",
        "p6": "Garden keepers were paid in wool, and often late, until the estate was sold.",
    },
    "qrels": [("t1", "p1"), ("t2", "p4"), ("t3", "p1"), ("t4", "p3"), ("t5", "p3"), ("t6", "p6"), ("t6", "p5")],
}  # fmt: skip


def write_set(root: Path, data: dict[str, Any], split: str, **translations: tuple[str, str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for part in ("corpus", "queries"):
        with gzip.open(root / f"{part}.{split}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps({"_id": key, "text": text}) + "\n" for key, text in data[part].items())
    rows = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in data["qrels"])]
    (root / f"qrels.{split}.tsv").write_text("\n".join(rows) + "\n")
    if translations:
        lines = [
            json.dumps({"query_id": query, "lang": lang, "text": text}) + "\n"
            for query, (lang, text) in translations.items()
        ]
        (root / f"translations.{split}.jsonl").write_text("".join(lines))
    return root


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    return write_set(tmp_path / "evaluation", EVALUATION, "test")


@pytest.fixture
def training(tmp_path: Path) -> Path:
    return write_set(
        tmp_path / "training",
        TRAINING,
        "train",
        t5=("de", "Wie lange hält sich Roggenbrot im kalten Keller?"),
    )


def run(tmp_path: Path, **values: Any) -> Path:
    return decontaminate(DecontaminateConfig(out=tmp_path / "out", **values))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def reasons(path: Path) -> dict[str, str]:
    return {row["id"]: row["reason"] for row in lines(path)}


def test_leaked_queries_judgements_and_translations_go_and_shared_passages_stay(
    training: Path, evaluation: Path, tmp_path: Path
) -> None:
    out = run(tmp_path, set=str(training), against=(str(evaluation),))
    removed = {
        row["id"]: (row["reason"], row["part"], row["evaluation_id"])
        for row in lines(out / "removed.jsonl")
        if "evaluation_id" in row
    }
    assert removed == {
        "t1": ("query", "query", "e1"),
        "t4": ("judgement", "query", "e2"),
        "t5:de": ("query", "translation", "e3"),
        "p5": ("query", "positive", "e1"),
    }
    assert [row["id"] for row in lines(out / "removed.jsonl") if "evaluation_id" not in row] == ["t5"]
    assert reasons(out / "reported.jsonl") == {
        "t3": "low-entropy",
        "p2": "shared-answer",
        "p3": "shared-answer",
        "p4": "shared-passage",
    }
    data = read_retrieval(out, "train")
    assert data.queries.column("_id").to_pylist() == ["t2", "t3", "t6"]
    assert data.corpus.column("_id").to_pylist() == ["p1", "p2", "p3", "p4", "p6"]
    assert data.positives() == {"t2": ["p4"], "t3": ["p1"], "t6": ["p6"]}
    assert not data.translations.num_rows and not data.unused
    assert is_retrieval_set(out)
    manifest = artifact.open_artifact(out, kind="retrieval").manifest
    assert manifest["rows"] == {
        "read": 6, "kept": 3, "dropped": {"judgement": 1, "query": 1, "translation-of-leak": 1},
    }  # fmt: skip
    numbers = manifest["extra"]["contamination"]
    assert numbers["evaluations"][0]["found"] == {
        "query": 2, "judgement": 1, "shared-answer": 2, "shared-passage": 1, "low-entropy": 1,
    }  # fmt: skip
    page = (out / "CONTAMINATION.md").read_text()
    assert (
        "| queries | 6 | 3 | judgement 1, query 1, translation-of-leak 1 |" in page and "lighthouse" in page
    )


def test_a_query_that_loses_its_only_positive_goes_too(
    training: Path, evaluation: Path, tmp_path: Path
) -> None:
    out = run(tmp_path, set=str(training), against=(str(evaluation),), remove=("query", "shared-passage"))
    data = read_retrieval(out, "train")
    assert data.queries.column("_id").to_pylist() == ["t3", "t4", "t5", "t6"]
    dropped = artifact.open_artifact(out).manifest["rows"]["dropped"]
    assert dropped == {"query": 1, "no-positive-left": 1}
    assert reasons(out / "removed.jsonl") == {
        "t1": "query", "t5:de": "query", "p4": "shared-passage", "p5": "query", "t2": "no-positive-left",
    }  # fmt: skip


def test_report_only_changes_no_row(training: Path, evaluation: Path, tmp_path: Path) -> None:
    out = run(tmp_path, set=str(training), against=(str(evaluation),), report_only=True)
    assert (out / "removed.jsonl").read_text() == ""
    assert reasons(out / "reported.jsonl")["t1"] == "query"
    for file in training.iterdir():
        assert (out / file.name).read_bytes() == file.read_bytes()
    assert "| reported |" in (out / "CONTAMINATION.md").read_text()


def test_only_the_parts_that_are_asked_for(training: Path, evaluation: Path, tmp_path: Path) -> None:
    out = run(tmp_path, set=str(training), against=(str(evaluation),), parts=("positive",))
    assert reasons(out / "removed.jsonl") == {"p5": "query"}


def test_our_artifact_keeps_its_layout_and_all_versions_of_a_leaked_source_go(
    training: Path, evaluation: Path, tmp_path: Path
) -> None:
    def rows(table: pa.Table) -> list[dict[str, Any]]:
        return table.to_pylist()

    data = read_retrieval(training, "train")
    queries = [
        {**row, "_id": f"{row['_id']}@{lang}", "lang": lang, "source_id": row["_id"], "text": row["text"] if lang == "en" else f"{row['_id']} auf andere Art gefragt und lang genug"}
        for row in rows(data.queries.select(["_id", "text", "lang", "source_id"]))
        for lang in ("en", "de")
    ]  # fmt: skip
    qrels = [
        {**row, "query-id": f"{row['query-id']}@{lang}"} for row in rows(data.qrels) for lang in ("en", "de")
    ]
    root = tmp_path / "xlr"
    tables.write(data.corpus, tables.CORPUS, root / "corpus" / "train.parquet")
    tables.write(
        pa.Table.from_pylist(queries, schema=tables.XLR_QUERIES),
        tables.XLR_QUERIES,
        root / "queries" / "train.parquet",
    )
    tables.write(
        pa.Table.from_pylist(qrels, schema=tables.QRELS), tables.QRELS, root / "qrels" / "train.parquet"
    )
    out = run(tmp_path, set=str(root), against=(str(evaluation),))
    kept = read_retrieval(out, "train").queries.column("_id").to_pylist()
    assert [key for key in kept if key.startswith(("t1@", "t4@"))] == []
    assert "t2@en" in kept and "t2@de" in kept and "t5@de" in kept
    assert {row["id"]: row["reason"] for row in lines(out / "removed.jsonl")}[
        "t1@de"
    ] == "translation-of-leak"


def negatives(path: Path, pools: dict[str, list[str]]) -> None:
    rows = [
        {
            "query_id": query,
            "pool": [
                {"corpus_id": name, "score": 0.5, "rank": n, "reason": "kept"} for n, name in enumerate(pool)
            ],
            "positive_score": 0.9,
            "checkpoint": "x",
            "step": 0,
        }
        for query, pool in pools.items()
    ]
    tables.write(pa.Table.from_pylist(rows, schema=tables.NEGATIVES), tables.NEGATIVES, path)


def test_mined_negatives_lose_leaked_queries_and_documents(
    training: Path, evaluation: Path, tmp_path: Path
) -> None:
    from conan_data.training_files.config import ImportNegativesConfig
    from conan_data.training_files.imports import import_negatives

    rows = [
        {"query": TRAINING["queries"][query], "pos": [TRAINING["corpus"][positive]], "neg": [TRAINING["corpus"][name] for name in pool]}
        for query, positive, pool in (
            ("t1", "p1", ["p4"]), ("t2", "p4", ["p5", "p6"]), ("t6", "p6", ["p5"]), ("t5", "p3", ["p2"]),
        )
    ]  # fmt: skip
    (tmp_path / "triples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mined = import_negatives(
        ImportNegativesConfig(input=(str(tmp_path / "triples.jsonl"),), out=tmp_path / "mined")
    )
    out = run(tmp_path, set=str(mined), against=(str(evaluation),))
    assert artifact.open_artifact(out).manifest["kind"] == "negatives"
    found = [(row["part"], row["reason"]) for row in lines(out / "removed.jsonl")]
    assert found == [("query", "query"), ("negative", "query")]
    pools = tables.read(out / "negatives.parquet", tables.NEGATIVES).column("pool").to_pylist()
    assert [len(pool) for pool in pools] == [1, 1]
    data = read_retrieval(out, "train")
    assert data.queries.num_rows == 3 and data.corpus.num_rows == 5
    manifest = artifact.open_artifact(out).manifest
    assert manifest["extra"]["contamination"]["parts"]["negatives"] == {
        "read": 4, "kept": 2, "dropped": {"no-negative-left": 1, "query": 1},
    }  # fmt: skip
    assert manifest["extra"]["contamination"]["pool_entries_removed"] == 2


def test_files_of_every_kind_keep_their_format(evaluation: Path, tmp_path: Path) -> None:
    leak, clean = EVALUATION["queries"]["e1"], "how thick may the ice be before the ferries stop"
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "pairs.csv").write_text(
        f'query,document\n"{leak}","two\nlines, quoted"\n"{clean}","three\n\nlines"\n"{leak} ?",last\n'
    )
    pq.write_table(
        pa.table({"anchor": [clean, leak], "positive": ["a passage", "another"], "extra": [1, 2]}),
        folder / "triples.parquet",
    )
    with gzip.open(folder / "labelled.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text, "label": "x"}) + "\n" for text in (leak, clean, "{"))
        file.write("{broken\n")
    (folder / "array.json").write_text(
        json.dumps([{"query": leak, "answer": "a"}, {"query": clean, "answer": "b"}])
    )
    out = run(tmp_path, set=str(folder), against=(str(evaluation),))
    array = run(tmp_path / "array", set=str(folder / "array.json"), against=(str(evaluation),))
    assert [path.name for path in expand([str(out)])] == ["labelled.jsonl.gz", "pairs.csv", "triples.parquet"]
    texts = {
        path.name: [row.values for row in read_rows(path) if isinstance(row, Row)]
        for path in [*expand([str(out)]), array / "data" / "array.json"]
    }
    assert texts == {
        "labelled.jsonl.gz": [{"text": clean, "label": "x"}, {"text": "{", "label": "x"}],
        "pairs.csv": [{"query": clean, "document": "three\n\nlines"}],
        "triples.parquet": [{"anchor": clean, "positive": "a passage", "extra": 1}],
        "array.json": [{"query": clean, "answer": "b"}],
    }
    assert (out / "data" / "pairs.csv").read_text().startswith("query,document\n")
    assert artifact.open_artifact(out).manifest["rows"] == {
        "read": 9, "kept": 4, "dropped": {"invalid-json": 1, "query": 4},
    }  # fmt: skip
    pairs = list(read_pair_rows(str(out / "data" / "triples.parquet"), Account(), source="x"))
    assert len(pairs) == 1


def test_a_scored_pair_is_a_leak_and_one_shared_sentence_is_not(tmp_path: Path) -> None:
    one, two, three = (
        "A woman is slicing a large red onion on the table.",
        "An onion is being cut by somebody in the kitchen.",
        "Two dogs run after a yellow ball along the beach.",
    )
    with gzip.open(tmp_path / "dev.csv.gz", "wt") as file:
        file.write(f"{one},{two},4.2\n")
    (tmp_path / "train.csv").write_text(f"{two},{one},4.0\n{one},{three},0.2\n{three},{three},5.0\n")
    out = run(tmp_path, set=str(tmp_path / "train.csv"), against=(str(tmp_path / "dev.csv.gz"),))
    assert [row["reason"] for row in lines(out / "removed.jsonl")] == ["judgement", "judgement"]
    assert [row["reason"] for row in lines(out / "reported.jsonl")] == ["shared-sentence"]
    assert len(read_scored([str(out)]).scores) == 2


def test_labelled_texts_are_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "text,category\nwhere is my new card please,card\nhello there my friend of old,greeting\n"
    )
    (tmp_path / "test.csv").write_text('text,category\n"Where is my new card, please?",card\n')
    out = run(tmp_path, set=str(tmp_path / "train.csv"), against=(str(tmp_path / "test.csv"),))
    assert read_labels([str(out)]).labels == ["greeting"]


def test_a_corpus_loses_the_documents_that_hold_a_query(evaluation: Path, tmp_path: Path) -> None:
    long_query = " ".join(f"word{number}" for number in range(20))
    data = {**EVALUATION, "queries": {"e1": long_query}, "qrels": [("e1", "d1")]}
    write_set(tmp_path / "long", data, "test")
    (tmp_path / "corpus.jsonl").write_text(
        json.dumps({"id": "1", "text": f"Before it stands this. {long_query} And this after it."})
        + "\n"
        + json.dumps({"id": "2", "text": OTHER})
        + "\n"
    )
    out = run(tmp_path, set=str(tmp_path / "corpus.jsonl"), against=(str(tmp_path / "long"),))
    assert [row.values["id"] for row in read_rows(out / "data" / "corpus.jsonl") if isinstance(row, Row)] == [
        "2"
    ]


def test_two_runs_write_the_same_bytes(training: Path, evaluation: Path, tmp_path: Path) -> None:
    outs = [
        decontaminate(DecontaminateConfig(set=str(training), against=(str(evaluation),), out=tmp_path / name))
        for name in ("one", "two")
    ]
    files = [{path.name: path.read_bytes() for path in out.iterdir()} for out in outs]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"against": ("nowhere/set",)}, "nowhere/set"),
        ({"against": ("evaluation",), "against_split": "prod"}, "has no judgements for split 'prod'"),
        ({"against": ("evaluation",), "split": "prod"}, "has no judgements for split 'prod'"),
        ({"against": ("training",)}, "--against-split"),
        ({"against": ("training",), "against_split": "train"}, "nothing is left"),
        ({"against": ("evaluation",), "set": "numbers.jsonl"}, "no column holds texts"),
        ({"against": ("empty.jsonl",)}, "holds no text"),
        ({"against": ("NoTaskOfThisName",)}, "no task of mteb"),
        ({"against": ("evaluation",), "set": "page.html"}, "build-corpus"),
    ],
)
def test_wrong_input_is_one_line(
    values: dict[str, Any],
    words: str,
    training: Path,
    evaluation: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "page.html").write_text("<p>text</p>")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(UserError, match=words) as error:
        run(tmp_path, **{"set": "training", **values})
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_a_corpus_of_ours_stays_one(tmp_path: Path) -> None:
    from conan_data.corpus.build import build_corpus
    from conan_data.corpus.config import BuildCorpusConfig

    corpus = build_corpus(BuildCorpusConfig(input=("sample",), languages=("en",), out=tmp_path / "corpus"))
    (file,) = expand([str(corpus)])
    documents = pq.read_table(file).column("text").to_pylist()
    data = {**EVALUATION, "queries": {"e1": documents[3]}, "qrels": [("e1", "d1")]}
    write_set(tmp_path / "evaluation", data, "test")
    out = run(tmp_path, set=str(corpus), against=(str(tmp_path / "evaluation"),))
    (file,) = expand([str(out)])
    assert artifact.open_artifact(out, kind="corpus").rows.dropped == {"query": 1}
    assert pq.read_table(file).column("text").to_pylist() == documents[:3] + documents[4:]


def test_a_built_set_is_read_as_a_built_one(
    evaluation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named from its folder, as users do."""
    from conan_data.xlr.build import build_xlr
    from conan_data.xlr.config import BuildXlrConfig

    built = build_xlr(BuildXlrConfig(data="sample", mix={"en": 1, "de": 1}, out=tmp_path / "xlr"))
    monkeypatch.chdir(tmp_path)
    out = run(Path(), set=built.name, against=(evaluation.name,))
    before, after = (read_retrieval(path, "train") for path in (built, out))
    assert after.queries == before.queries and after.qrels == before.qrels and not after.unused
    card = (out / "README.md").read_text()
    assert "- de\n- en\n" in card and "not checked for texts of evaluation sets" not in card
    sources = card.partition("## Sources")[2].partition("\n## ")[0]
    assert f"| {built.name} |" in sources and f"| {evaluation.name} |" not in sources
