"""The sets of `dynamics` share nothing between their splits, and its intervals are taken by seed."""

import gzip
import json

import pytest

from conan_data.retrieval import read_retrieval
from tests.benchmarks.dynamics_report import compare, mean_series, t_interval
from tests.benchmarks.held_out import write_fewer_pages, write_held_out


def write_source(folder, split, documents, qrels):
    folder.mkdir(exist_ok=True)
    rows = {"corpus": documents, "queries": sorted({query for query, _ in qrels})}
    for name, ids in rows.items():
        with gzip.open(folder / f"{name}.{split}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(
                json.dumps({"_id": identifier, "text": f"text {identifier}"}) + "\n" for identifier in ids
            )
    lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in qrels)]
    (folder / f"qrels.{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def ids(folder, split):
    read = read_retrieval(folder, split)
    return set(read.corpus.column("_id").to_pylist()), set(read.queries.column("_id").to_pylist())


def test_passages_and_their_queries_are_in_one_split_only(tmp_path):
    documents = [f"p{number}" for number in range(60)]
    qrels = [(f"{document}-q{number}", document) for document in documents for number in range(3)]
    write_source(tmp_path / "source", "train", documents, qrels)
    write_held_out(
        tmp_path / "source",
        tmp_path / "set",
        num_passages=20,
        num_queries=30,
        num_dev=10,
        num_others=5,
        num_start=25,
    )
    found = {split: ids(tmp_path / "set", split) for split in ("train", "dev", "start")}
    assert [(len(corpus), len(queries)) for corpus, queries in found.values()] == [
        (20, 30),
        (15, 30),
        (25, 75),
    ]
    for side in (0, 1):
        parts = [sides[side] for sides in found.values()]
        assert len(set().union(*parts)) == sum(map(len, parts))
    for corpus, queries in found.values():
        assert {query.split("-")[0] for query in queries} <= corpus


def test_a_page_keeps_all_its_languages(tmp_path):
    documents = [f"p{number}@{lang}" for number in range(9) for lang in ("en", "de")]
    qrels = [(f"p{number}#d", f"p{number}@{lang}") for number in range(9) for lang in ("en", "de")]
    write_source(tmp_path / "source", "train", documents, qrels)
    write_source(tmp_path / "source", "dev", ["d@en"], [("d#d", "d@en")])
    write_fewer_pages(tmp_path / "source", tmp_path / "set", num_pages=4, num_start=3)
    train, start = (ids(tmp_path / "set", split)[0] for split in ("train", "start"))
    assert len(train) == 8 and len(start) == 6 and not train & start
    assert {f"{name.split('@')[0]}@de" for name in train} <= train and ids(tmp_path / "set", "dev")[0] == {
        "d@en"
    }


def test_differences_are_by_seed():
    # Seeds differ by far more than arms: only the paired interval sees the difference.
    common = {"steps": 1, "changed": [], "replaced": 0, "seconds": 1.0, "mining_share": 0.0}
    runs = [
        {"arm": arm, "seed": seed, "ndcg": 0.1 * seed + gain + 0.001 * (seed % 2), **common}
        for seed in range(5)
        for arm, gain in (("static", 0.0), ("rule", 0.01))
    ]
    static, rule = compare(runs[::-1])[::-1]
    assert static["difference"] is None and rule["difference"]["mean"] == pytest.approx(0.01)
    assert rule["difference"]["low"] > 0.009 and rule["ndcg"]["low"] < static["ndcg"]["mean"]
    more = {**common, "mining_share": 0.1}
    timed = [
        {"arm": arm, "seed": seed, "ndcg": 0.1 * seed + gain, **more}
        for seed in range(3)
        for arm, gain in (("refresh", 0.03), ("static, equal time", 0.01))
    ]
    refresh = next(arm for arm in compare(runs + timed) if arm["arm"] == "refresh")
    assert refresh["difference_at_equal_time"]["mean"] == pytest.approx(0.02)
    # Mean 2, deviation 1, three values: 2 +- 4.303 / sqrt(3).
    assert t_interval([1.0, 2.0, 3.0])["low"] == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)


def test_what_one_run_lacks_is_left_out_of_a_mean():
    common = {"steps": 2, "replaced": 0, "seconds": 1.0, "mining_share": 0.5}
    runs = [
        {"arm": "refresh", "seed": seed, "ndcg": 0.5, "changed": [None, share], **common}
        for seed, share in enumerate((0.2, 0.4))
    ]
    assert compare(runs)[0]["changed"] == pytest.approx(0.3)
    lines = [[(1, 0.5), (2, 0.7)], [(1, 0.3), (2, None)]]
    logged = [
        {"lines": [{"event": "step", "step": step, "negative_score": value} for step, value in points]}
        for points in lines
    ]
    curve = mean_series(logged, "negative_score")
    assert curve.steps.tolist() == [1, 2] and curve.values.tolist() == pytest.approx([0.4, 0.7])
