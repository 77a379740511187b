import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.retrieval import read_retrieval
from conan_data.xlr.build import build_xlr
from conan_data.xlr.config import BuildXlrConfig, ChecksConfig
from conan_data.xlr.translators_config import EndpointConfig, TableConfig
from tests.conan_data.chat.test_answers import num_answers

KEY = "sk-planted-secret-4711"
TLDR = Path(__file__).parents[3] / ".." / "shared" / "data" / "retrieval" / "tldr"


def config(tmp_path, retrieval_set, **fields):
    values = {
        "out": tmp_path / "out",
        "data": str(retrieval_set),
        "mix": {"de": 1, "fr": 1},
        "languages_per_query": 2,
        "group_regex": "^(.*)@",
    }
    return BuildXlrConfig(**{**values, **fields})


def endpoint_config(tmp_path, retrieval_set, endpoint, *, settings=None, translators=("endpoint",), **fields):
    values = {
        "base_url": endpoint.url,
        "model": "m",
        "api_key_env": "PLANTED_KEY",
        "prompt": "{language}|{text}",
        "backoff": 0.01,
        "concurrency": 2,
    }
    return config(
        tmp_path,
        retrieval_set,
        translator=translators,
        endpoint=EndpointConfig(**{**values, **(settings or {})}),
        checks=ChecksConfig(skip=("language", "ending")),
        **fields,
    )


def rows(path):
    return pq.read_table(path).to_pylist()


def jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def tree(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "times.jsonl"
    }


def test_table_of_human_translations(tmp_path, retrieval_set):
    out = build_xlr(config(tmp_path, retrieval_set))
    opened = artifact.open_artifact(out, kind="retrieval")
    source = read_retrieval(retrieval_set, "train", group_regex="^(.*)@")
    assert pq.read_table(out / "corpus" / "train.parquet").equals(source.corpus)

    queries = rows(out / "queries" / "train.parquet")
    assert [row["_id"] for row in queries] == [
        f"{name}@{lang}" for name in ("move", "sort", "disk", "fetch", "kill") for lang in ("de", "fr")
    ]
    assert {(row["source_id"], row["lang"]): row["text"] for row in queries} == {
        (row["query_id"], row["lang"]): row["text"] for row in source.translations.to_pylist()
    }
    assert {(row["translator"], row["checks"]) for row in queries} == {("human", "all")}
    assert all(row["lid"] == row["lang"] for row in queries)

    qrels = {
        (row["query-id"], row["corpus-id"]): row["score"] for row in rows(out / "qrels" / "train.parquet")
    }
    expected = {(row["_id"], f"{row['source_id']}@{lang}"): 1 for row in queries for lang in ("en", "de")}
    assert qrels == expected | {("move@de", "other@en"): 0, ("move@fr", "other@en"): 0}

    # 2 unusable query rows, 5 queries in 2 languages, 1 query in none.
    assert opened.manifest["rows"] == {
        "read": 13,
        "kept": 10,
        "dropped": {"invalid-json": 1, "no-positive": 1, "no-translation": 1},
    }
    extra = opened.manifest["extra"]
    assert extra["queries_by_language"] == {"de": 5, "fr": 5}
    assert extra["mix_asked"] == extra["mix_reached"] == {"de": 0.5, "fr": 0.5}
    assert extra["corpus_by_language"] == {"de": 6, "en": 7}
    assert extra["broken_rows"] == {
        "queries": {"invalid-json": 1, "no-positive": 1},
        "qrels": {"judgement-of-unknown-query": 1},
    }
    assert [(row["query_id"], row["reason"]) for row in jsonl(out / "dropped.jsonl")] == [
        ("lonely", "no-translation")
    ]
    assert sorted(row["reason"] for row in jsonl(out / "quarantine.jsonl")) == [
        "invalid-json",
        "judgement-of-unknown-query",
        "no-positive",
    ]


def test_documents_carry_the_labels_of_the_mix(tmp_path, retrieval_set):
    """Left as they were, a page in `de_AT` would be in another language than a query in `de`."""
    path = retrieval_set / "corpus.train.jsonl"
    path.write_text(path.read_text().replace('"lang": "de"', '"lang": "de_AT"'))
    out = build_xlr(config(tmp_path, retrieval_set))
    assert artifact.open_artifact(out).manifest["extra"]["corpus_by_language"] == {"de": 6, "en": 7}


def test_planted_bad_translations_are_all_counted(tmp_path, retrieval_set):
    planted = {
        ("move", "de"): ("Rename all files and move the directories.", "source-language"),
        ("sort", "de"): ("Trier les lignes de tous les fichiers de texte.", "other-language"),
        ("disk", "fr"): ("Show the free space of all mounted file systems.", "same-as-source"),
        ("fetch", "fr"): ("a", "too-short"),
        ("kill", "fr"): ("Terminer un processus. " * 20, "too-long"),
        ("lonely", "de"): ("   ", "empty"),
    }
    table = tmp_path / "planted.jsonl"
    good = [
        row
        for row in jsonl(retrieval_set / "translations.train.jsonl")
        if (row["query_id"], row["lang"]) not in planted
    ]
    bad = [{"query_id": query, "lang": lang, "text": text} for (query, lang), (text, _) in planted.items()]
    table.write_text("".join(json.dumps(row) + "\n" for row in [*bad, *good]) + "[]\n")
    out = build_xlr(config(tmp_path, retrieval_set, table=TableConfig(path=str(table))))
    assert {
        (row["query_id"], row["lang"]): (row["text"], row["reason"]) for row in jsonl(out / "dropped.jsonl")
    } == planted
    manifest = artifact.open_artifact(out).manifest
    assert manifest["rows"]["dropped"] == {"invalid-json": 1, "no-positive": 1} | {
        reason: 1 for _, reason in planted.values()
    }
    assert manifest["extra"]["dropped_by_language"]["fr"] == {
        "same-as-source": 1,
        "too-long": 1,
        "too-short": 1,
    }
    assert manifest["extra"]["broken_rows"]["translations"] == {"not-an-object": 1}
    assert len(manifest["inputs"]) == 2


def test_own_language_is_kept_as_it_is(tmp_path, retrieval_set):
    out = build_xlr(
        config(
            tmp_path, retrieval_set, mix={"en": 1, "de": 1, "sw": 5}, languages_per_query=3, out_split="xlr"
        )
    )
    queries = rows(out / "queries" / "xlr.parquet")
    own = [row for row in queries if row["lang"] == "en"]
    assert [row["source_id"] for row in own] == ["move", "sort", "disk", "fetch", "kill", "lonely"]
    assert {(row["translator"], row["lid"], row["checks"]) for row in own} == {("", "", "source")}
    assert Counter(row["lang"] for row in queries) == {"en": 6, "de": 5}


def test_query_without_a_language_may_stay(tmp_path, retrieval_set):
    out = build_xlr(config(tmp_path, retrieval_set, unmatched="source"))
    assert [row["_id"] for row in rows(out / "queries" / "train.parquet") if row["lang"] == "en"] == [
        "lonely@en"
    ]
    assert "no-translation" not in artifact.open_artifact(out).manifest["rows"]["dropped"]


def test_added_query_changes_no_other(tmp_path, retrieval_set):
    before = build_xlr(
        config(tmp_path, retrieval_set, languages_per_query=1, mix={"de": 1, "fr": 1, "en": 1})
    )
    queries = (retrieval_set / "queries.train.jsonl").read_text()
    (retrieval_set / "queries.train.jsonl").write_text(
        '{"_id": "first", "text": "A new query.", "metadata": {"lang": "en"}}\n' + queries
    )
    with open(retrieval_set / "qrels.train.tsv", "a") as file:
        file.write("first\tother@en\t1\n")
    after = build_xlr(
        config(
            tmp_path,
            retrieval_set,
            languages_per_query=1,
            mix={"de": 1, "fr": 1, "en": 1},
            out=tmp_path / "after",
        )
    )
    ids = [{row["_id"] for row in rows(out / "queries" / "train.parquet")} for out in (before, after)]
    assert ids[0] < ids[1] and len({identifier.split("@")[1] for identifier in ids[0]}) > 1


def test_rerun_is_done_and_another_config_is_refused(tmp_path, retrieval_set, caplog):
    first = config(tmp_path, retrieval_set)
    build_xlr(first)
    stamp = (first.out / artifact.MANIFEST).stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        build_xlr(first)
    assert "done already" in caplog.text
    assert (first.out / artifact.MANIFEST).stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match="seed 0 -> 1"):
        build_xlr(replace(first, seed=1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mix": {"jp": 1, "de": 1}}, "'jp' is not a language code; the nearest is 'ja'"),
        ({"mix": {"sw": 1, "zu": 1}}, r"no query is left \(no-translation 6\)"),
        ({"data": "absent"}, "absent"),
        ({"split": "dev"}, "dev"),
        ({"table": TableConfig(path="absent.jsonl")}, "absent.jsonl"),
    ],
)
def test_wrong_input_is_named_and_leaves_nothing(tmp_path, retrieval_set, fields, message):
    with pytest.raises(UserError, match=message):
        build_xlr(config(tmp_path, retrieval_set, **fields))
    assert not list(tmp_path.glob("out*"))


def test_set_without_translations(tmp_path, retrieval_set):
    (retrieval_set / "translations.train.jsonl").unlink()
    with pytest.raises(UserError, match=r"split 'train': has no translations; give table\.path"):
        build_xlr(config(tmp_path, retrieval_set))


def test_loads_with_datasets_and_mteb(tmp_path, retrieval_set, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    out = build_xlr(config(tmp_path, retrieval_set, out_split="test"))
    loaded = {
        name: datasets.load_dataset(str(out), name, split="test") for name in ("corpus", "queries", "default")
    }
    assert {name: len(table) for name, table in loaded.items()} == {
        "corpus": 13,
        "queries": 10,
        "default": 22,
    }
    assert loaded["queries"].column_names == pq.read_schema(out / "queries" / "test.parquet").names

    from mteb.abstasks.retrieval_dataset_loaders import RetrievalDatasetLoader

    assert not any(column.null_count for column in pq.read_table(out / "queries" / "test.parquet").columns)
    data = RetrievalDatasetLoader(str(out), revision=None, split="test").load()
    assert data["relevant_docs"]["sort@fr"] == {"sort@en": 1, "sort@de": 1}
    assert set(data["queries"]["id"]) == set(data["relevant_docs"])
    assert len(data["corpus"]) == 13


def test_result_can_be_read_and_built_on(tmp_path, retrieval_set, endpoint):
    out = build_xlr(config(tmp_path, retrieval_set))
    again = build_xlr(
        endpoint_config(tmp_path, out, endpoint, out=tmp_path / "again", mix={"it": 1, "de": 1})
    )
    queries = rows(again / "queries" / "train.parquet")
    assert {row["_id"]: row["source_id"] for row in queries}["sort@fr@it"] == "sort"
    assert {row["_id"] for row in queries if row["checks"] == "source"} == {
        f"{name}@de@de" for name in ("move", "sort", "disk", "fetch", "kill")
    }


def test_endpoint(tmp_path, retrieval_set, endpoint, caplog):
    with caplog.at_level(logging.DEBUG):
        out = build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, mix={"de": 1, "en": 1}))
    queries = rows(out / "queries" / "train.parquet")
    assert {row["text"] for row in queries if row["_id"] == "sort@de"} == {
        "Sort the lines of text files."[::-1] + " in German"
    }
    assert {row["translator"] for row in queries} == {"m", ""}
    assert endpoint.counts() == Counter(
        {("German", row["text"]): 1 for row in queries if row["lang"] == "en"}
    )
    assert set(tree(out)) == {
        "README.md",
        "corpus/train.parquet",
        "dropped.jsonl",
        "manifest.json",
        "qrels/train.parquet",
        "queries/train.parquet",
        "quarantine.jsonl",
        "report.html",
    }
    assert KEY not in caplog.text
    assert not any(KEY.encode() in content for content in tree(out).values())


def test_endpoint_that_breaks_off_keeps_its_answers(tmp_path, retrieval_set, endpoint, new_fault):
    whole = build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, out=tmp_path / "whole"))
    endpoint.asked.clear()
    endpoint.fault = lambda text, attempt: new_fault(status=503) if text.startswith("Download") else None
    with pytest.raises(UserError, match="status 503"):
        build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, settings={"max_retries": 1}))
    answered = set(endpoint.asked) - {asked for asked in endpoint.asked if asked[1].startswith("Download")}
    assert answered
    endpoint.asked.clear()
    endpoint.fault = lambda text, attempt: None
    # Another address, more patience: still the same job.
    out = build_xlr(
        endpoint_config(
            tmp_path,
            retrieval_set,
            endpoint,
            settings={"base_url": endpoint.url.replace("127.0.0.1", "localhost"), "timeout": 7.0},
        )
    )
    assert not answered & set(endpoint.asked)
    assert tree(out) == tree(whole)


def test_missing_key_leaves_nothing(tmp_path, retrieval_set, endpoint, monkeypatch):
    monkeypatch.delenv("PLANTED_KEY")
    with pytest.raises(UserError, match="PLANTED_KEY is not set"):
        build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint))
    assert not list(tmp_path.glob("out*"))


def test_killed_run_goes_on_where_it_stopped(tmp_path, retrieval_set, endpoint):
    whole = build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, out=tmp_path / "whole"))
    num_questions = len(endpoint.asked)
    assert num_questions == 12
    endpoint.asked.clear()
    endpoint.hold_after = 5

    job = endpoint_config(tmp_path, retrieval_set, endpoint)
    code = f"""
from pathlib import PosixPath
from conan_data.xlr.build import build_xlr
from conan_data.xlr.config import *
from conan_data.xlr.translators_config import *
build_xlr({job!r})
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    answers = tmp_path / "out.partial" / "answers.sqlite"
    deadline = time.monotonic() + 60
    while num_answers(answers) < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    endpoint.hold_after = None
    endpoint.released.set()
    assert not (tmp_path / "out").exists()
    with endpoint.lock:
        endpoint.asked.clear()

    assert tree(build_xlr(job)) == tree(whole)
    assert len(endpoint.asked) == num_questions - 5
    assert max(endpoint.counts().values()) == 1
    assert not (tmp_path / "out.partial").exists()


def test_sample(tmp_path):
    out = build_xlr(BuildXlrConfig(out=tmp_path / "out", data="sample", mix={"en": 1, "de": 1, "es": 1}))
    assert artifact.open_artifact(out).manifest["rows"]["kept"] > 0


def test_real_set(tmp_path):
    if not TLDR.is_dir():
        pytest.skip(f"{TLDR} is not there")
    mix = {"en": 25, "zh": 12, "zh_TW": 2, "es": 8, "pt": 6, "de": 5, "no": 1, "ko": 10}
    out = build_xlr(
        BuildXlrConfig(out=tmp_path / "out", data=str(TLDR), split="dev", mix=mix, group_regex="^(.*)@")
    )
    manifest = artifact.open_artifact(out).manifest
    assert manifest["rows"]["read"] == 306
    assert manifest["rows"]["kept"] > 300
    assert set(manifest["extra"]["queries_by_language"]) <= set(mix)
    assert manifest["extra"]["queries_by_language"]["pt"] > 0
    judged = Counter(row["query-id"] for row in rows(out / "qrels" / "dev.parquet"))
    assert set(judged) == {row["_id"] for row in rows(out / "queries" / "dev.parquet")}
