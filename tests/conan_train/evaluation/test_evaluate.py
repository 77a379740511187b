import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.retrieval import read_retrieval
from conan_train.evaluation.config import EvaluateConfig
from conan_train.evaluation.evaluate import evaluate
from conan_train.evaluation.evaluation_set import evaluation_set, language_pools, mixed_pool
from conan_train.evaluation.ranking import EncoderRanker
from conan_train.evaluation.retrieval import score_pools
from conan_train.results import Scores


def run(beir, out, **options):
    path = evaluate(
        EvaluateConfig(
            **{"model": "bm25", "data": str(beir), "min_queries": 1, "bootstrap": 50, "out": out, **options}
        )
    )
    return artifact.open_artifact(path, kind="evaluation"), json.loads(
        (path / "scores.json").read_text(encoding="utf-8")
    )


def test_bm25_end_to_end(beir, tmp_path):
    opened, scores = run(beir, tmp_path / "out")
    assert opened.manifest["rows"] == {"read": 8, "kept": 7, "dropped": {"no-positive": 1}}
    pairs = {(pair["query_language"], pair["document_language"]): pair for pair in scores["pairs"]}
    # The English queries share words with one English document each, the German ones with none.
    assert pairs["en", "en"]["scores"]["mrr@10"]["value"] == 1.0
    assert pairs["de", "en"]["scores"]["recall@100"]["value"] == 0.0
    assert pairs["de", "de"]["scores"]["ndcg@10"]["value"] == 1.0
    assert pairs["en", "de"] | {"scores": None} == {
        "query_language": "en", "document_language": "de", "num_queries": 2, "num_documents": 3, "num_without_positive": 1, "scores": None,
    }  # fmt: skip
    assert scores["mixed"]["num_queries"] == 7
    assert scores["protocol"]["name"] == "language-pairs-2"
    printed = Scores.open(opened.dir).text
    assert "same-language" in printed and "all languages in one pool" in printed
    per_query = pq.read_table(opened.dir / "queries.parquet").to_pylist()
    own = [
        row["ndcg@10"]
        for row in per_query
        if (row["query_language"], row["document_language"]) == ("en", "en")
    ]
    assert np.mean(own) == pytest.approx(pairs["en", "en"]["scores"]["ndcg@10"]["value"])


def test_same_bytes_again(beir, tmp_path):
    first, _ = run(beir, tmp_path / "one")
    second, _ = run(beir, tmp_path / "two")
    assert first.manifest_hash == second.manifest_hash


def test_the_hash_of_the_data_is_of_its_content(beir, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(beir, copy)
    hashes = [run(folder, tmp_path / name)[1]["data_hash"] for folder, name in ((beir, "one"), (copy, "two"))]
    with open(copy / "qrels.dev.tsv", "a", encoding="utf-8") as file:
        file.write("dog\tfish@de\t1\n")
    assert hashes[0] == hashes[1] != run(copy, tmp_path / "three")[1]["data_hash"]


class Planted:
    """An encoder whose vectors are looked up; two documents have the same one."""

    fingerprint = "planted"
    dimension = 3

    def __init__(self, table):
        self.table = table

    def encode(self, texts, *, kind):
        vectors = np.array([self.table[text] for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_encoder_ranks_by_cosine_and_breaks_ties_by_id(beir, tmp_path):
    data = evaluation_set(read_retrieval(beir, "dev"), translations=True)
    rng = np.random.default_rng(0)
    table = {text: rng.normal(size=3) for text in [*data.queries.texts, *data.documents.texts]}
    twins = [data.documents.ids.index(name) for name in ("dog@en", "cat@en")]
    table[data.documents.texts[twins[0]]] = table[data.documents.texts[twins[1]]]
    ranker = EncoderRanker.encode(Planted(table), data, tmp_path, device="cpu")
    unit = {
        text: (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float64)
        for text, vector in table.items()
    }
    for pool in [*language_pools(data, min_queries=1)[0], mixed_pool(data)]:
        for query, ranking in zip(pool.queries, ranker.rank(pool.queries, pool.documents, depth=100)):
            scores = [
                unit[data.documents.texts[row]] @ unit[data.queries.texts[query]] for row in pool.documents
            ]
            # Stable sort over ids in order: equal scores keep the smaller id first.
            assert ranking.tolist() == [
                pool.documents[place] for place in np.argsort(-np.array(scores, np.float32), kind="stable")
            ]


def test_pools_are_scored_as_if_alone(beir, tmp_path):
    data = evaluation_set(read_retrieval(beir, "dev"), translations=True)
    rng = np.random.default_rng(1)
    ranker = EncoderRanker.encode(
        Planted({text: rng.normal(size=3) for text in [*data.queries.texts, *data.documents.texts]}),
        data,
        tmp_path,
        device="cpu",
    )
    pools = [*language_pools(data, min_queries=1)[0], mixed_pool(data)]
    together = score_pools(pools, data, ranker)
    assert [item.pool for item in together] == pools
    for pool, item in zip(pools, together):
        (alone,) = score_pools([pool], data, ranker)
        np.testing.assert_array_equal(alone.values, item.values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "no judgements for split 'test'; it has dev"),
        ({"data": "absent"}, "absent: no such file or directory"),
        ({"model": "./absent"}, "absent: no such directory"),
        ({"min_queries": 100, "pools": "pairs"}, "the largest has 3"),
        ({"pools": "some"}, "pools: must be one of all, pairs, mixed"),
        ({"max_length": 8}, "max_length: bm25 has none"),
    ],
)
def test_wrong_input_is_one_line(beir, tmp_path, options, message):
    with pytest.raises(UserError, match=message) as caught:
        run(beir, tmp_path / "out", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def test_an_artifact_without_a_model_is_refused(beir, tmp_path):
    opened, _ = run(beir, tmp_path / "out")
    with pytest.raises(UserError, match="holds a evaluation, not a model"):
        run(beir, tmp_path / "next", model=str(opened.dir))


def test_few_queries_are_left_out_and_listed(beir, tmp_path):
    opened, scores = run(beir, tmp_path / "out", min_queries=2, pools="pairs")
    assert {(pair["query_language"], pair["document_language"]) for pair in scores["skipped_pairs"]} == {
        ("zh", "de"),
        ("zh", "en"),
    }
    assert opened.manifest["rows"] == {
        "read": 8,
        "kept": 6,
        "dropped": {"no-pool-with-enough-queries": 1, "no-positive": 1},
    }
    assert scores["mixed"] is None
