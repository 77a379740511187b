"""The sample crawl, with its list of what was planted in it: the corpus must come out as the list says."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from conan_data.artifact import open_artifact
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.sources import SAMPLE_DIR

TRUTH = json.loads((SAMPLE_DIR / "crawl-truth.json").read_text(encoding="utf-8"))
LANGUAGES = ("en", "zh", "es", "de", "ar", "ja")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_corpus(
        BuildCorpusConfig(
            out=tmp_path_factory.mktemp("sample") / "out",
            input=("sample",),
            languages=LANGUAGES,
            group_field="metadata.group",
        )
    )


@pytest.fixture(scope="module")
def kept(out: Path) -> dict[str, dict[str, Any]]:
    return {
        row["id"]: row for path in out.glob("data/*/*.parquet") for row in pq.read_table(path).to_pylist()
    }


def test_nothing_says_where_the_package_lies(out: Path) -> None:
    manifest = open_artifact(out).manifest
    assert [entry["path"] for entry in manifest["inputs"]][:2] == [
        "sample:crawl/news.csv",
        "sample:crawl/web-000.jsonl",
    ]
    assert "sample:crawl/web-000.jsonl" in pq.read_table(out / "dropped.parquet")["file"].to_pylist()
    place = str(SAMPLE_DIR.parent).encode()
    assert [path for path in out.rglob("*") if path.is_file() and place in path.read_bytes()] == []


def planted(kind: str) -> list[str]:
    return [entry["id"] for entry in TRUTH["planted"] if entry["kind"] == kind]


def test_one_version_of_each_passage_stays_in_its_language(kept: dict[str, dict[str, Any]]) -> None:
    versions = {name: [name] for name in TRUTH["passages"]}
    for entry in TRUTH["planted"]:
        if entry["kind"] in ("near-duplicate", "exact-duplicate"):
            versions[entry["of"]].append(entry["id"])
    borrowed = {(row["file"], row["place"]) for row in TRUTH["broken"] if row["kind"] == "duplicate-id"}
    found: dict[str, dict[str, Any]] = {
        name.partition("~")[0]: row
        for name, row in kept.items()
        if (Path(row["file"]).name, row["place"]) not in borrowed
    }
    for original, names in versions.items():
        survivors = [found[name] for name in names if name in found]
        topic, lang = TRUTH["passages"][original].split("@")
        assert [(row["lang"], row["group"]) for row in survivors] == [(lang, topic)], original


@pytest.mark.parametrize("kind", ["boilerplate", "too-short", "other-language", "symbols"])
def test_planted_rubbish_goes(kept: dict[str, dict[str, Any]], kind: str) -> None:
    assert len(planted(kind)) == TRUTH["counts"][kind]
    assert [name for name in planted(kind) if name in kept] == []


def test_faulty_rows_are_in_quarantine(out: Path) -> None:
    found = {
        (Path(row["file"]).name, row["place"])
        for row in map(json.loads, (out / "quarantine.jsonl").read_text(encoding="utf-8").splitlines())
    }
    assert found == {(row["file"], row["place"]) for row in TRUTH["broken"] if row["kind"] != "duplicate-id"}


def test_files_of_the_package_are_named_by_their_place_in_it(out: Path) -> None:
    files = set(pq.read_table(out / "dropped.parquet").column("file").to_pylist())
    assert {name.split("/")[0] for name in files} == {"sample:crawl"}


def test_rows_and_labels_are_counted(out: Path) -> None:
    opened = open_artifact(out, kind="corpus")
    extra = opened.manifest["extra"]
    assert opened.rows.read == TRUTH["rows"]
    # Both of two texts that share an id carry a tag.
    assert extra["renamed_ids"] == 2 * sum(row["kind"] == "duplicate-id" for row in TRUTH["broken"])
    assert extra["labels"]["wrong"] >= TRUTH["counts"]["wrong-label"]
