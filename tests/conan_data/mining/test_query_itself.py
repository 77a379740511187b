"""A document that is the query itself is never its negative: same id (or that of the source), same text, same group.

In ArguAna and in sets of duplicate questions every query stands in the corpus, unlabelled, and scores highest.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.mining import mine as stage
from conan_data.mining.arrays import never_negative, retrieval_arrays
from conan_data.mining.config import MineConfig, SelectionConfig
from conan_data.mining.hash_encoder import HashEncoder
from conan_data.pairs.pair_set import read_retrieval_sets
from conan_data.retrieval import read_retrieval
from conan_train.tasks.random_negatives import random_negatives

DOCUMENTS = {
    "q1": ("", "how do cats sleep"),  # the first query itself
    "copy": ("", "How do  CATS sleep"),  # its text again
    "titled": ("Cats", "how do cats sleep"),  # its text below a title
    "twin@de": ("", "wie schlafen Katzen"),  # of the group of `twin@en`, the second query's source
    "twin@en": ("", "how long do cats sleep"),
    "right1": ("", "cats sleep curled up"),
    "right2": ("", "cats sleep long hours"),
    "other": ("", "dogs sleep on the floor"),
    "third": ("", "bread rises"),
}
QUERIES = {
    "q1": ("how do cats sleep", "q1"),
    "twin@en@fr": ("combien dorment les chats", "twin@en"),
}
JUDGED = {"q1": "right1", "twin@en@fr": "right2"}
ITSELF = {"q1": {"q1", "copy", "titled"}, "twin@en@fr": {"twin@en", "twin@de"}}


def write(root: Path, documents: dict = DOCUMENTS, queries: dict = QUERIES, judged: dict = JUDGED) -> str:
    (root / "qrels").mkdir(parents=True)
    rows = [
        {"_id": key, "title": title, "text": text, "group": "twin" if key.startswith("twin@") else key}
        for key, (title, text) in documents.items()
    ]
    (root / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"_id": key, "text": text, "source_id": source} for key, (text, source) in queries.items()]
    (root / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{query}\t{document}\t1" for query, document in judged.items()]
    (root / "qrels" / "train.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n")
    return str(root)


def never(query: str) -> set[str]:
    return ITSELF[query] | {JUDGED[query]}


def test_what_is_never_a_negative_of_a_query(tmp_path: Path) -> None:
    arrays = retrieval_arrays(read_retrieval(write(tmp_path / "set"), "train"))
    rows = np.tile(np.arange(len(DOCUMENTS)), (2, 1))
    found = never_negative(arrays, np.arange(2), rows)
    names = np.array(list(DOCUMENTS))
    assert [set(names[row]) for row in found] == [never(query) for query in QUERIES]
    again = never_negative(arrays, np.array([1, 0]), rows)
    assert (again == found[::-1]).all()


@pytest.mark.parametrize("margin", [None, 0.95])
def test_no_margin_lets_the_query_itself_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, margin: float | None
) -> None:
    monkeypatch.setattr(stage, "load_encoder", lambda *_, **__: HashEncoder())
    (tmp_path / "model").mkdir()
    out = stage.mine(
        MineConfig(
            out=tmp_path / "out",
            data=write(tmp_path / "set"),
            model=str(tmp_path / "model"),
            select=SelectionConfig(pool_size=9, depth=9, margin=margin),
            device="cpu",
        )
    )
    pools = {
        row["query_id"]: [item["corpus_id"] for item in row["pool"]]
        for row in pq.read_table(out / "negatives.parquet").to_pylist()
    }
    for query, pool in pools.items():
        assert not set(pool) & never(query)
    counts = artifact.open_artifact(out).manifest["extra"]["candidates"]
    assert counts["query-itself"] == 5
    if margin is None:
        # Of one group, and of equal texts, the better one is taken.
        assert len(pools["q1"]) == 4 and set(pools["q1"]) > {"right2", "other", "third"}
        assert len(pools["twin@en@fr"]) == 5
        assert set(pools["twin@en@fr"]) > {"right1", "titled", "other", "third"}
        assert counts["kept:rank"] == 9 and counts["known-positive"] == 2


def test_the_query_itself_has_no_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `skip` and `depth` the two best others are passed over and one is taken, as if it were not there."""
    monkeypatch.setattr(stage, "load_encoder", lambda *_, **__: HashEncoder())
    (tmp_path / "model").mkdir()
    found = []
    for name, documents in (
        ("with", DOCUMENTS),
        ("without", {key: DOCUMENTS[key] for key in DOCUMENTS if key not in ITSELF["q1"]}),
    ):
        out = stage.mine(
            MineConfig(
                out=tmp_path / f"{name}-out",
                data=write(tmp_path / name, documents),
                model=str(tmp_path / "model"),
                select=SelectionConfig(pool_size=9, skip=2, depth=3, margin=None),
                device="cpu",
            )
        )
        pool = pq.read_table(out / "negatives.parquet").to_pylist()[0]["pool"]
        found.append([(item["corpus_id"], item["rank"]) for item in pool])
    assert len(found[0]) == 1 and found[0] == found[1]


def test_random_negatives_hold_no_query_itself(tmp_path: Path) -> None:
    arrays = retrieval_arrays(read_retrieval(write(tmp_path / "set"), "train"))
    drawn = random_negatives(arrays, 8, seed=0)
    names = [*DOCUMENTS, "none"]
    for row, query in zip(drawn, QUERIES):
        assert {names[place] for place in row} - {"none"} == DOCUMENTS.keys() - never(query)


def test_a_query_of_one_set_is_no_negative_out_of_another(tmp_path: Path) -> None:
    other = {"x": ("", "wer backt Brot"), "y": ("", "how do cats sleep"), "z": ("", "ships sail")}
    sets = [
        write(tmp_path / "one"),
        write(tmp_path / "two", other, {"b": ("bread?", "b")}, {"b": "x"}),
    ]
    pairs = read_retrieval_sets(sets, "train")
    names = [*DOCUMENTS, *other]
    rows = np.tile(np.arange(len(names)), (3, 1))
    found = never_negative(pairs.arrays, np.arange(3), rows)
    assert [{names[place] for place in np.flatnonzero(row)} for row in found] == [
        never("q1") | {"y"},
        never("twin@en@fr"),
        {"x"},
    ]


def test_sets_whose_ids_clash_keep_their_own_documents_apart(tmp_path: Path) -> None:
    sets = [
        write(tmp_path / "one"),
        write(tmp_path / "two", queries={"q1": ("other words", "q1")}, judged={"q1": "right1"}),
    ]
    pairs = read_retrieval_sets(sets, "train")
    size = len(DOCUMENTS)
    found = never_negative(pairs.arrays, np.arange(3), np.tile(np.arange(2 * size), (3, 1)))
    # By its id the last query is the first document of its own set alone, and what has the text of that one.
    names = [(place // size, list(DOCUMENTS)[place % size]) for place in range(2 * size)]
    assert {names[place] for place in np.flatnonzero(found[2])} == {
        (1, "q1"), (1, "copy"), (1, "right1"), (0, "q1"), (0, "copy"),
    }  # fmt: skip
