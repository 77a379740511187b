"""Batches of tasks against a plain reading of the same tables."""

import json
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_data.mining.arrays import RetrievalArrays
from conan_data.pairs.labelled import read_labelled
from conan_data.pairs.pair_set import PairSet, read_retrieval_sets
from conan_data.pairs.scored import read_scored
from conan_data.pairs.weak import read_pairs
from conan_train.model.tokenization import encode_texts
from conan_train.step.exclusion import excluded_documents
from conan_train.tasks.random_negatives import random_negatives
from conan_train.tasks.retrieval import RetrievalTask, joint_groups
from conan_train.tasks.sts import StsTask


@pytest.fixture
def pairs(tmp_path: Path) -> PairSet:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(400):
        lang = ("en", "de", "ja")[number % 3]
        rows.append(
            {
                "query": f"query {rng.integers(120)} {lang}",
                "document": f"document {rng.integers(90)} of many, {'long ' * int(rng.integers(9))}",
                "lang_query": lang,
                "lang_document": ("en", "de")[int(rng.integers(2))],
                "source": f"s{number % 2}",
                "group": "" if number % 4 else f"g{rng.integers(8)}",
            }
        )
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_pairs([str(path)])


def open_task(pairs: PairSet, tokenizer: PreTrainedTokenizerFast, cache: Path, **options) -> RetrievalTask:
    settings = {
        "max_length": 12,
        "query_prompt": "query: ",
        "document_prompt": "",
        "batch_size": 16,
        "num_negatives": 7,
        "seed": 3,
        **options,
    }
    return RetrievalTask.open("weak", pairs, tokenizer=tokenizer, cache=cache, **settings)


def test_a_batch_is_what_the_tables_say(
    pairs: PairSet, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    task = open_task(pairs, tokenizer, tmp_path / "cache", same_language=0.5)
    pool = random_negatives(pairs.arrays, 7, seed=0)
    queries, corpus = pairs.data.queries.to_pylist(), pairs.data.corpus.to_pylist()
    row_of = {row["_id"]: place for place, row in enumerate(corpus)}
    answers = {key: [row_of[document] for document in found] for key, found in pairs.data.positives().items()}
    for step in range(5):
        query_B = task.queries_at(step)
        negative_BN = pool[query_B].copy()
        negative_BN[::3, 4:] = -1
        batch = task.batch(step, query_B, negative_BN)
        assert [row.tolist() for row in batch.query_tokens] == encode_texts(
            tokenizer, [queries[row]["text"] for row in query_B], 12, prompt="query: "
        )
        assert [row.tolist() for row in batch.document_tokens] == encode_texts(
            tokenizer, [corpus[row]["text"] for row in batch.document_rows], 12
        )
        groups = {}
        for document, code in zip(batch.document_rows, batch.document_groups):
            name = corpus[document]["group"]
            assert (code == -1) == (name == "") and groups.setdefault(name, code) == code
        for place, query in enumerate(query_B):
            known = answers[queries[query]["_id"]]
            assert batch.document_rows[batch.positives[place]] in known
            assert sorted(batch.known_rows[place]) == sorted(known)
            assert sorted(batch.known_groups[place]) == sorted(
                pairs.arrays.groups[row] for row in known if corpus[row]["group"]
            )
            rows = [-1 if at < 0 else batch.document_rows[at] for at in batch.negatives[place]]
            assert rows == negative_BN[place].tolist()
        wanted = {*batch.document_rows[batch.positives], *negative_BN[negative_BN >= 0]}
        assert set(batch.document_rows) == wanted
        assert task.query_ids(query_B) == [queries[row]["_id"] for row in query_B]


def test_documents_of_one_text_or_group_are_joined() -> None:
    rng = np.random.default_rng(0)
    for num_groups in (1, 12, 40):
        groups, texts = rng.integers(-1, num_groups, 60), rng.integers(0, 50, 60)
        arrays = RetrievalArrays(
            positive_offsets=np.array([0, 1]),
            positive_rows=np.array([0], np.int32),
            groups=groups.astype(np.int32),
            texts=texts.astype(np.int32),
            query_languages=np.array([0], np.int32),
            languages=("en",),
        )
        linked = (texts[:, None] == texts) | ((groups[:, None] == groups) & (groups >= 0))
        for _ in range(60):
            linked = linked @ linked
        found = joint_groups(arrays)
        assert ((found == -1) == ((linked.sum(1) == 1) & (groups < 0))).all()
        same = (found[:, None] == found) & (found >= 0)
        assert (same | np.eye(60, dtype=bool) == linked).all()


@pytest.mark.parametrize("chain", [True, False])
def test_a_text_is_never_its_own_negative(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, chain: bool
) -> None:
    """In a chain the document of one pair is the query of the next; else every other text is written twice."""
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"anchor": f"t{n}", "positive": f"T{n} " if n % 2 and not chain else f"t{n + 1}"} for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = read_pairs([str(path)])
    task = open_task(pairs, tokenizer, tmp_path / "cache", batch_size=40)
    query_B = task.queries_at(0)
    batch = task.batch(0, query_B)
    excluded_BU = excluded_documents(
        batch.document_rows,
        batch.document_groups,
        known_rows=batch.known_rows,
        known_groups=batch.known_groups,
    )
    queries = [pairs.data.queries.column("text")[int(row)].as_py() for row in query_B]
    documents = [pairs.data.corpus.column("text")[int(row)].as_py() for row in batch.document_rows]
    for place, query in enumerate(queries):
        excluded = {text.lower() for text, out in zip(documents, excluded_BU[place]) if out}
        number = int(query[1:])
        following = f"t{number + 1}"
        if chain:
            assert excluded == ({query, following} if number else {following})
        else:
            assert excluded == ({query} if number % 2 else {following})


def test_a_batch_without_negatives(
    pairs: PairSet, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    task = open_task(pairs, tokenizer, tmp_path / "cache")
    batch = task.batch(0, task.queries_at(0))
    assert batch.negatives.shape == (16, 0)
    assert len(batch.document_rows) == len(np.unique(batch.positives))


def test_the_positive_is_in_the_querys_language_when_asked(
    pairs: PairSet, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    task = open_task(pairs, tokenizer, tmp_path / "cache", same_language=1.0)
    num_own = 0
    for step in range(6):
        query_B = task.queries_at(step)
        batch = task.batch(step, query_B)
        languages = pairs.data.corpus.column("lang").to_pylist()
        for place, query in enumerate(query_B):
            own = pairs.data.queries.column("lang")[int(query)].as_py()
            if any(languages[row] == own for row in batch.known_rows[place]):
                assert languages[batch.document_rows[batch.positives[place]]] == own
                num_own += 1
    assert num_own > 20


@pytest.mark.parametrize("kinds", [("source",), ("language",), ("source", "language")])
def test_homogeneous_batches(
    pairs: PairSet, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    task = open_task(pairs, tokenizer, tmp_path / "cache", homogeneous=kinds, batch_size=8)
    codes = {"source": pairs.query_sources, "language": pairs.arrays.query_languages}
    seen = set()
    for step in range(task.plan.num_batches):
        cells = {tuple(codes[kind][row] for kind in kinds) for row in task.queries_at(step)}
        assert len(cells) == 1
        seen |= cells
    assert len(seen) > 1
    with pytest.raises(UserError, match="batch_size"):
        open_task(pairs, tokenizer, tmp_path / "cache", homogeneous=kinds, batch_size=300)


@pytest.mark.parametrize("positives", ["label", "same-label"])
def test_no_text_of_a_label_is_its_negative(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, positives: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "".join(f"text {row},label_{row % 3}\n" for row in range(300)))
    pairs = read_labelled([str(path)], positives=positives)
    task = open_task(pairs, tokenizer, tmp_path / "cache")
    pool = random_negatives(pairs.arrays, 7, seed=0)
    label_of_document = (
        [int(text.split()[1]) for text in pairs.data.corpus.column("text").to_pylist()]
        if positives == "label"
        else [int(text.split()[1]) % 3 for text in pairs.data.corpus.column("text").to_pylist()]
    )
    for step in range(8):
        query_B = task.queries_at(step)
        batch = task.batch(step, query_B, pool[query_B])
        excluded_BU = excluded_documents(
            batch.document_rows,
            batch.document_groups,
            known_rows=batch.known_rows,
            known_groups=batch.known_groups,
        )
        same_BU = (query_B % 3)[:, None] == np.array(label_of_document)[batch.document_rows]
        assert (excluded_BU == same_BU).all() and same_BU.any() and not same_BU.all()
        own = batch.document_rows[batch.positives]
        assert all(label_of_document[row] == query % 3 for row, query in zip(own, query_B))
        if positives == "same-label":
            assert (own != query_B).all(), "a text is not its own positive"


def test_scored_pairs(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    expected = {}
    for name, scale in (("a", 5.0), ("b", 1.0)):
        rows = [(f"{name} {n}", f"other {rng.integers(20)}", scale * n / 39) for n in range(40)]
        (tmp_path / f"{name}.csv").write_text("".join(f"{x},{y},{score}\n" for x, y, score in rows))
        expected |= {(x, y): score / scale for x, y, score in rows}
    pairs = read_scored([str(tmp_path / "*.csv")])
    tokens_of = {
        (
            tuple(encode_texts(tokenizer, [x], 9, prompt="p: ")[0]),
            tuple(encode_texts(tokenizer, [y], 9, prompt="p: ")[0]),
        ): score
        for (x, y), score in expected.items()
    }
    for homogeneous in (True, False):
        task = StsTask.open(
            "sts",
            pairs,
            tokenizer=tokenizer,
            cache=tmp_path / "cache",
            max_length=9,
            prompt="p: ",
            batch_size=8,
            seed=0,
            homogeneous=homogeneous,
        )
        files = []
        for step in range(10):
            batch = task.batch(step)
            assert len(batch.gold) == 8
            for left, right, gold in zip(batch.left_tokens, batch.right_tokens, batch.gold):
                assert tokens_of[tuple(left.tolist()), tuple(right.tolist())] == pytest.approx(gold, abs=1e-6)
            files.append({name.split(":")[0] for name in task.pair_ids(step)})
        assert all(len(found) == 1 for found in files) == homogeneous
        assert {"a", "b"} == set().union(*files)


def test_the_query_itself_is_no_negative_in_the_batch(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """A set of duplicate questions: each query is a document under its own id, and an answer of another query."""
    root = tmp_path / "set"
    (root / "qrels").mkdir(parents=True)
    names = [f"q{number}" for number in range(8)]
    documents = [{"_id": name, "title": f"About {name}", "text": "question"} for name in names]
    queries = [{"_id": name, "text": f"words of {name}"} for name in names]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"q{number}\tq{(number + 1) % 8}\t1" for number in range(8)]
    (root / "qrels" / "train.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n")
    task = open_task(read_retrieval_sets([str(root)], "train"), tokenizer, tmp_path / "cache", batch_size=8)
    query_B = task.queries_at(0)
    batch = task.batch(0, query_B)
    excluded_BU = excluded_documents(
        batch.document_rows,
        batch.document_groups,
        known_rows=batch.known_rows,
        known_groups=batch.known_groups,
    )
    for place, query in enumerate(query_B.tolist()):
        assert set(batch.document_rows[excluded_BU[place]]) == {query, (query + 1) % 8}
