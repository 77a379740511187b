from conan_data.retrieval import read_retrieval
from conan_train.evaluation.evaluation_set import evaluation_set, judged_in, language_pools, mixed_pool


def pools_of(beir, *, min_queries=1, translations=True):
    data = evaluation_set(read_retrieval(beir, "dev"), translations=translations)
    large, small = language_pools(data, min_queries=min_queries)
    return data, {(pool.query_language, pool.document_language): pool for pool in large}, small


def test_pairs_hold_all_documents_of_a_language_and_queries_with_a_positive(beir):
    data, pools, _ = pools_of(beir)
    assert pools.keys() == {
        ("en", "en"),
        ("de", "en"),
        ("zh", "en"),
        ("en", "de"),
        ("de", "de"),
        ("zh", "de"),
    }
    found = pools["en", "de"]
    assert [data.documents.ids[row] for row in found.documents] == ["cat@de", "dog@de", "fish@de"]
    assert [data.queries.ids[row] for row in found.queries] == ["cat", "dog"]
    assert found.num_without_positive == 1
    assert [data.queries.ids[row] for row in pools["de", "en"].queries] == ["cat@de", "dog@de", "ship@de"]


def test_judgements_are_those_of_the_pool(beir):
    data, pools, _ = pools_of(beir)
    judged = judged_in(pools["en", "de"], data)
    assert [{data.documents.ids[row]: score for row, score in scores.items()} for scores in judged] == [
        {"cat@de": 1},
        {"dog@de": 1},
    ]
    everything = judged_in(mixed_pool(data), data)
    assert {
        data.documents.ids[row]: score for row, score in everything[data.queries.ids.index("cat@de")].items()
    } == {
        "cat@en": 2,
        "cat@de": 1,
    }


def test_small_pairs_are_set_aside(beir):
    _, pools, small = pools_of(beir, min_queries=2)
    assert ("zh", "en") not in pools
    assert [(pool.query_language, pool.document_language, len(pool.queries)) for pool in small] == [
        ("zh", "de", 1),
        ("zh", "en", 1),
    ]


def test_rows_are_accounted_for(beir):
    data, _, _ = pools_of(beir)
    assert (data.num_read, data.dropped, len(data.queries.ids)) == (8, {"no-positive": 1}, 7)
    own, _, _ = pools_of(beir, translations=False)
    assert (own.num_read, len(own.queries.ids)) == (4, 3)
    assert set(own.queries.languages) == {"en"}


def test_documents_of_a_positives_group_are_positives(beir):
    """Only the English version is judged; with groups the German one is as right, for the translated query
    too.
    """
    judged = beir / "qrels.dev.tsv"
    judged.write_text("query-id\tcorpus-id\tscore\ncat\tcat@en\t2\n", encoding="utf-8")
    for group_regex, expected in (("", {"cat@en": 2}), ("^(.*)@", {"cat@en": 2, "cat@de": 2})):
        data = evaluation_set(read_retrieval(beir, "dev", group_regex=group_regex), translations=True)
        for query in ("cat", "cat@de"):
            scores = data.judged[data.queries.ids.index(query)]
            assert {data.documents.ids[row]: score for row, score in scores.items()} == expected
