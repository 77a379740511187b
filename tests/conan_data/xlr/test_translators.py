"""Several translators, second tries, a cache that runs share, and what it costs."""

import json
import logging
import threading
from pathlib import Path

import pytest

from conan_data import artifact
from conan_data.chat.answers import FILE
from conan_data.errors import UserError
from conan_data.xlr.build import build_xlr
from conan_data.xlr.translators_config import TableConfig
from tests.conan_data.chat.test_answers import num_answers
from tests.conan_data.xlr.test_build import config, endpoint_config, jsonl, rows, tree

STRICT = "{language}|again {reason}: {text}"


def usage(endpoint) -> None:
    """The model counts the letters of what it reads and writes."""
    endpoint.usage = lambda text, said: {"prompt_tokens": len(text), "completion_tokens": len(said)}


def test_what_the_table_lacks_or_the_checks_refuse_goes_to_the_next(tmp_path, retrieval_set, endpoint):
    table = [row for row in jsonl(retrieval_set / "translations.train.jsonl") if row["query_id"] != "sort"]
    for row in table:
        if (row["query_id"], row["lang"]) == ("disk", "fr"):
            row["text"] = "x" * 400
    path = tmp_path / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    job = endpoint_config(
        tmp_path, retrieval_set, endpoint, settings={"retry": False}, table=TableConfig(path=str(path)),
        translators=("table", "endpoint"),
    )  # fmt: skip
    out = build_xlr(job)
    by_version = {row["_id"]: row["translator"] for row in rows(out / "queries" / "train.parquet")}
    asked = {"sort@de", "sort@fr", "disk@fr", "lonely@de", "lonely@fr"}
    assert {name for name, translator in by_version.items() if translator == "m"} == asked
    assert len(endpoint.asked) == len(asked) and len(by_version) == 12
    extra = artifact.open_artifact(out).manifest["extra"]
    assert extra["kept_by_translator"] == {"human": 7, "m": 5}
    assert extra["translators"] == {
        "endpoint": {"requests": 5, "tokens_in": 0, "tokens_out": 0, "requests_without_usage": 5}
    }


def test_a_refused_translation_is_asked_for_once_more_and_then_dropped(tmp_path, retrieval_set, endpoint):
    def translate(language: str, text: str) -> str:
        is_second = text.startswith("again")
        if "Sort" in text:
            return "x" * 900
        return text[::-1] if is_second or "Download" not in text else text

    endpoint.translate = translate
    settings = {"retry_prompt": STRICT}
    out = build_xlr(
        endpoint_config(
            tmp_path, retrieval_set, endpoint, settings=settings, mix={"de": 1}, languages_per_query=1
        )
    )
    source = next(row["source"] for row in jsonl(out / "dropped.jsonl"))
    assert [(row["query_id"], row["reason"]) for row in jsonl(out / "dropped.jsonl")] == [
        ("sort", "too-long")
    ]
    seconds = [text for _, text in endpoint.asked if text.startswith("again")]
    assert f"again too long: {source}" in seconds and len(seconds) == 2
    assert any(text.startswith("again same as source: Download") for text in seconds)
    kept = {row["_id"]: row["text"] for row in rows(out / "queries" / "train.parquet")}
    assert kept["fetch@de"].endswith("ecruos sa emas niaga")


def test_runs_share_a_cache_also_at_once(tmp_path, retrieval_set, endpoint):
    usage(endpoint)
    alone = build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, out=tmp_path / "alone"))
    endpoint.asked.clear()
    cache = str(tmp_path / "cache")
    jobs = [
        endpoint_config(tmp_path, retrieval_set, endpoint, out=tmp_path / name, cache=cache)
        for name in ("a", "b", "c")
    ]
    threads = [threading.Thread(target=build_xlr, args=(job,)) for job in jobs[:2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    num_asked = len(endpoint.asked)
    assert 12 <= num_asked <= 24
    build_xlr(jobs[2])
    assert len(endpoint.asked) == num_asked and num_answers(tmp_path / "cache" / FILE) == 12
    trees = [tree(job.out) for job in jobs]
    assert trees[0] == trees[1] == trees[2]
    spent = json.loads((tmp_path / "c" / "times.jsonl").read_text())["endpoint"]
    assert (spent["sent"], spent["tokens_in"]) == (0, 0)
    used = [artifact.open_artifact(out).manifest["extra"]["translators"] for out in (alone, tmp_path / "c")]
    assert (
        used[0] == used[1]
        and used[0]["endpoint"]["requests"] == 12
        and used[0]["endpoint"]["tokens_in"] > 100
    )


def test_a_cache_that_is_none_is_refused_by_name(tmp_path, retrieval_set, endpoint):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / FILE).write_text("shopping list")
    with pytest.raises(UserError, match=r"cache/answers\.sqlite: is damaged or no store of answers"):
        build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, cache=str(tmp_path / "cache")))
    assert (tmp_path / "cache" / FILE).read_text() == "shopping list" and not list(tmp_path.glob("out*"))


def test_an_estimate_comes_first_and_a_limit_holds(tmp_path, retrieval_set, endpoint, caplog):
    usage(endpoint)
    prices = {"price_in": 1e6, "price_out": 0.0, "max_cost": 0.0, "concurrency": 1}
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(UserError, match=r"endpoint\.max_cost: is 0, and the run needs 12 requests"),
    ):
        build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, settings=prices))
    assert "m: 12 requests, about" in caplog.text and not endpoint.asked and not list(tmp_path.glob("out*"))
    # The server counts four times the tokens of the guess, so the limit is reached on the way.
    limited = {**prices, "max_cost": 200.0}
    with pytest.raises(UserError, match=r"more than endpoint\.max_cost \(200\); it is kept"):
        build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, settings=limited))
    num_asked = len(endpoint.asked)
    assert 0 < num_asked < 12
    out = build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, settings={**prices, "max_cost": 1e9}))
    assert len(endpoint.asked) == 12
    spent = json.loads((out / "times.jsonl").read_text())["endpoint"]
    assert spent["sent"] == 12 - num_asked and spent["cost"] > 0


def test_a_server_that_is_not_there_is_named_before_the_start(tmp_path, retrieval_set, endpoint):
    settings = {"base_url": "http://127.0.0.1:9/v1", "max_retries": 1}
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/v1 does not answer"):
        build_xlr(endpoint_config(tmp_path, retrieval_set, endpoint, settings=settings))
    assert not list(tmp_path.glob("out*"))


def test_a_translator_needs_its_model(tmp_path: Path, retrieval_set):
    for kind, field in (("seq2seq", "model"), ("chat", "model"), ("endpoint", "base_url")):
        with pytest.raises(UserError, match=rf"{kind}\.{field}: is needed for translator {kind}"):
            config(tmp_path, retrieval_set, translator=("table", kind))
