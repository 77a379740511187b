"""Several sets built together: ids, weights, equal passages, and what stays as it is when a set is added."""

import json

import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.cli import COMMANDS
from conan_data.command import main
from conan_data.errors import UserError
from conan_data.retrieval import read_retrieval
from conan_data.xlr import outcome
from conan_data.xlr.build import build_xlr
from conan_data.xlr.config import BuildXlrConfig, SetConfig
from conan_data.xlr.sets import read_sets

MIX = {"de": 1, "fr": 1, "es": 1}


def write_set(folder, *, number=40, topic="files", shared=()):
    """A set of `number` queries `q0`, ...; document `d0`, ... each; `shared` are texts of its last documents."""
    folder.mkdir()
    texts = [f"A passage about {topic} number {i}." for i in range(number - len(shared))] + list(shared)
    write = {
        "corpus.jsonl": [{"_id": f"d{i}", "text": text, "lang": "en"} for i, text in enumerate(texts)],
        "queries.jsonl": [
            {"_id": f"q{i}", "text": f"What do you know about {topic} number {i}?", "lang": "en"}
            for i in range(number)
        ],
        "translations.jsonl": [
            {"query_id": f"q{i}", "lang": language, "text": text.format(topic=topic, i=i)}
            for i in range(number)
            for language, text in {
                "de": "Was weißt du über {topic} und die Nummer {i}?",
                "fr": "Que savez-vous sur {topic} et le numéro {i} ?",
                "es": "¿Qué sabe usted sobre {topic} y el número {i}?",
            }.items()
        ],
    }
    for name, rows in write.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels").mkdir()
    lines = "".join(f"q{i}\td{i}\t1\n" for i in range(number))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return str(folder)


@pytest.fixture
def files(tmp_path):
    return write_set(tmp_path / "files", shared=["The same passage.", "Another same passage."])


@pytest.fixture
def disks(tmp_path):
    return write_set(tmp_path / "disks", topic="disks", shared=["The same passage.", "Another same passage."])


def config(tmp_path, out, **fields):
    values = {"out": tmp_path / out, "mix": MIX, "checks": {"skip": ["language"]}}
    return BuildXlrConfig(**{**values, **fields})


def queries(out, split="train"):
    return pq.read_table(out / "queries" / f"{split}.parquet").to_pylist()


def test_sets_together(tmp_path, files, disks):
    sets = {
        "files": {"data": files, "license": "mit"},
        "disks": {"data": disks, "license": "cc-by-4.0", "weight": 0.5},
    }
    out = build_xlr(config(tmp_path, "out", sets=sets))
    rows = queries(out)
    names = {row["_id"].partition("@")[0] for row in rows}
    assert {f"files/q{i}" for i in range(40)} < names
    taken = [name for name in names if name.startswith("disks/")]
    assert 8 < len(taken) < 32

    manifest = artifact.open_artifact(out).manifest
    assert {entry["path"] for entry in manifest["inputs"]} == {"files", "disks"}
    described = manifest["extra"]["sources"]
    assert described["disks"] == {
        "data": "disks", "split": "train", "license": "cc-by-4.0", "weight": 0.5, "queries": 40,
        "queries_taken": len(taken), "documents": 40, "judgements": 40,
    }  # fmt: skip
    assert described["files"]["license"] == "mit"
    assert manifest["rows"] == {
        "read": 80,
        "kept": 40 + len(taken),
        "dropped": {"not-sampled": 40 - len(taken)},
    }
    assert not any(str(tmp_path) in json.dumps(value) for value in manifest.values())

    corpus = pq.read_table(out / "corpus" / "train.parquet").to_pylist()
    assert len(corpus) == 78, "two passages stand in both sets"
    assert manifest["extra"]["broken_rows"]["corpus"] == {"equal-passage": 2}
    judged = {
        row["query-id"]: row["corpus-id"]
        for row in pq.read_table(out / "qrels" / "train.parquet").to_pylist()
    }
    assert {judged[row["_id"]] for row in rows if row["source_id"] == "files/q38"} == {"disks/d38"}
    assert set(judged.values()) <= {row["_id"] for row in corpus}
    assert manifest["extra"]["directions"] == {
        language: {"en": sum(row["lang"] == language for row in rows)} for language in ("de", "es", "fr")
    }


def test_adding_a_set_changes_no_other(tmp_path, files, disks):
    small = {"data": files, "weight": 0.7}
    alone = queries(build_xlr(config(tmp_path, "alone", sets={"files": small})))
    both = queries(build_xlr(config(tmp_path, "both", sets={"disks": {"data": disks}, "files": small})))
    assert [row for row in both if row["source_id"].startswith("files/")] == alone
    assert 0 < len(alone) < 40


def test_ids_do_not_collide(tmp_path, files):
    sets = {"a": SetConfig(data=files), "b": SetConfig(data=files)}
    split = read_sets(sets, seed=0).split
    assert len(set(split.queries.column("_id").to_pylist())) == 80
    assert split.corpus.num_rows == 40, "all passages are the same"
    assert {name.partition("/")[0] for name in split.qrels.column("corpus-id").to_pylist()} == {"a"}


def test_groups_of_equal_passages_are_joined(tmp_path):
    first = write_set(tmp_path / "first", number=3, shared=["The same passage."])
    second = write_set(tmp_path / "second", number=4, topic="disks", shared=["The same passage."])
    corpus = tmp_path / "second" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace('"lang"', '"group": "one", "lang"'))
    split = read_sets({"a": SetConfig(data=first), "b": SetConfig(data=second)}, seed=0).split
    groups = {row["_id"]: row["group"] for row in split.corpus.to_pylist()}
    assert {name: group for name, group in groups.items() if group == "a/d2"} == dict.fromkeys(
        ("a/d2", "b/d0", "b/d1", "b/d2"), "a/d2"
    )


def test_a_weight_is_a_share_of_queries(tmp_path):
    large = write_set(tmp_path / "large", number=4000)
    split = read_sets({"a": SetConfig(data=large, weight=0.25)}, seed=1).split
    assert split.queries.num_rows == pytest.approx(1000, abs=110)  # 4 standard deviations
    smaller = read_sets({"a": SetConfig(data=large, weight=0.1)}, seed=1).split
    assert set(smaller.queries.column("_id").to_pylist()) < set(split.queries.column("_id").to_pylist())


def test_one_set_alone_keeps_its_ids(tmp_path, files):
    split = read_sets({"": SetConfig(data=files)}, seed=0).split
    assert split.queries.equals(read_retrieval(files, "train").queries)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "data: or sets must be given"),
        ({"data": "sample", "sets": {"a": {"data": "sample"}}}, "data: or sets must be given, and not both"),
        ({"sets": {"a/b": {"data": "sample"}}}, "sets: the name may become a part of a file name"),
        ({"sets": {"a": {"data": "sample", "weight": 0}}}, r"sets\.a\.weight: must be above 0 and at most 1"),
        (
            {"sets": {"a": {"date": "sample"}}},
            r"sets\.a\.date: is no field of this \(did you mean 'data'\?\)",
        ),
        (
            {"sets": {"a": {"data": "sample"}}, "group_regex": "(.)"},
            "group_regex: belongs to each of the sets",
        ),
        ({"data": "sample", "splits": {"a b": 1}}, "splits: the name must be"),
        ({"data": "sample", "splits": {"a": 1}, "out_split": "b"}, "out_split: has no place beside splits"),
        ({"data": "sample", "languages_per_query": "some"}, "languages_per_query: must be a whole number"),
    ],
)
def test_wrong_fields_are_named(tmp_path, fields, message):
    with pytest.raises(UserError, match=message):
        config(tmp_path, "out", **fields)


def test_a_set_that_is_missing_is_named(tmp_path, files):
    sets = {"files": {"data": files}, "gone": {"data": str(tmp_path / "gone")}}
    with pytest.raises(UserError, match="gone"):
        build_xlr(config(tmp_path, "out", sets=sets))
    assert not list(tmp_path.glob("out*"))


def test_sets_as_flags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [
        "--sets.a.data",
        "sample",
        "--sets.a.weight",
        "0.5",
        "--sets.b.data",
        "sample",
        "--sets.b.group-regex",
        "(.)",
        "--mix.en",
        "1",
    ]
    assert (
        main(
            "conan-data", "", COMMANDS, ["build-xlr", *flags, "--languages-per-query", "all", "--out", "out"]
        )
        == 0
    )
    assert artifact.open_artifact("out").manifest["config"]["sets"]["a"]["weight"] == 0.5
    assert artifact.open_artifact("out").manifest["extra"]["sources"]["b"]["queries_taken"] == 132


def test_processes_that_check_change_nothing(tmp_path, files, disks, monkeypatch):
    sets = {"files": {"data": files}, "disks": {"data": disks}}
    alone = build_xlr(config(tmp_path, "alone", sets=sets))
    monkeypatch.setattr(outcome, "SHARD", 25)
    out = build_xlr(config(tmp_path, "out", sets=sets, workers=2))
    for path in (path for path in alone.rglob("*") if path.is_file()):
        assert (out / path.relative_to(alone)).read_bytes() == path.read_bytes(), path.name
