"""Checks of all translations of a set, and the judged ones."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conan_data.mining.encoder import unit_rows
from conan_data.xlr.checks import Checker, nearest
from conan_data.xlr.config import ChecksConfig, NearestConfig

JUDGED = Path(__file__).with_name("judged.jsonl")
"""200 translations of public queries (tldr-pages, CC-BY 4.0; CLINC150, CC-BY 3.0; Banking77, CC-BY 4.0) by Apertium (GPL;
its output is free) and SmolLM2-135M-Instruct (Apache-2.0), each read and judged by who wrote the checks: good where a reader of the
language learns what was asked, and code and names are as they were; garbage otherwise.
"""
E5 = os.environ.get("CONAN_E5", "")


def test_one_translation_for_several_queries(frame):
    rows = frame(
        [
            ("1", "Das ist gut.", "de", "Install the package on this machine.", "en"),
            ("2", "das  ist gut.", "de", "Show who is logged in.", "en"),
            ("3", "Das ist gut.", "fr", "Show who is logged in.", "en"),
            ("4", "Zeigt das Datum an.", "de", "Display the current date.", "en"),
            ("5", "Zeigt das Datum an.", "de", "Show the current date.", "en"),
        ]
    )
    found = Checker(ChecksConfig()).check_together(rows, rows["source"])
    assert found.to_list() == ["same-translation", "same-translation", "", "", ""]
    lenient = Checker(ChecksConfig(by_language={"de": {"max_same": 2}}))
    assert set(lenient.check_together(rows, rows["source"])) == {""}


def test_unreliable_translators():
    rows = [("de", "good", "")] * 30 + [("de", "good", "cut-off")] * 10
    rows += [("fr", "good", "")] * 9 + [("fr", "good", "cut-off")] * 11
    rows += [("de", "few", "")] * 1 + [("de", "few", "cut-off")] * 18
    answers = pl.DataFrame(rows, schema=["language", "translator", "reason"], orient="row")
    found = answers.with_columns(reason=Checker(ChecksConfig()).check_translators(answers))
    counts = dict(found.group_by("language", "translator").agg((pl.col("reason") == "").sum()).map_rows(
        lambda row: (f"{row[0]} {row[1]}", row[2])
    ).iter_rows())  # fmt: skip
    assert counts == {"de good": 30, "fr good": 0, "de few": 1}
    assert set(found["reason"]) == {"", "cut-off", "unreliable-translator"}
    all_stay = Checker(ChecksConfig(min_passed=0)).check_translators(answers)
    assert all_stay.to_list() == answers["reason"].to_list()


class TableEncoder:
    """Encodes texts by a table of vectors."""

    fingerprint, dimension = "table", 16

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, *, kind):
        assert kind == "query"
        return unit_rows(np.stack([self.vectors[text] for text in texts]))


def test_nearest_source_is_a_rank_among_all_sources(frame, monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    sources = [f"source {place}" for place in range(50)]
    vectors = {text: rng.normal(size=16) for text in sources}
    vectors |= {f"text {place}": vectors[f"source {place}"] + 0.01 for place in range(50)}
    monkeypatch.setattr(nearest, "load_encoder", lambda *_, **__: TableEncoder(vectors))
    rows = [(str(place), f"text {place}", "de", f"source {place}", "en") for place in range(40)]
    # Translations of other queries, whose own ones lie far away.
    cosine = [
        float(unit_rows(vectors["text 7"][None])[0] @ unit_rows(vectors[text][None])[0]) for text in sources
    ]
    order = [sources[place] for place in np.argsort(cosine)[::-1]]
    assert order[0] == "source 7"
    rows += [("near", "text 7", "de", order[2], "en"), ("far", "text 7", "de", order[3], "en")]
    config = NearestConfig(model="x", k=3)
    repeated = pl.Series([*sources, *sources[:10]])
    found = nearest.find_far(frame(rows), repeated, config, tmp_path / "vectors")
    assert found.tolist() == [False] * 41 + [True]
    assert not (tmp_path / "vectors").exists()
    checker = Checker(ChecksConfig(nearest=config, skip=("duplicates",)))
    assert checker.check_together(frame(rows), repeated).to_list() == [""] * 41 + ["far-from-source"]


def judged():
    rows = [json.loads(line) for line in JUDGED.read_text(encoding="utf-8").splitlines()]
    return pl.DataFrame(rows).with_columns(source_language=pl.lit("en"))


def test_judged_translations():
    """The checks of texts keep what is good, and what they keep of a reliable translator is good as a rule."""
    rows = judged()
    assert len(rows) == 200 and set(rows["label"]) == {"good", "garbage"}
    reasons = Checker(ChecksConfig()).check_each(rows)["reason"]
    rows = rows.with_columns(is_kept=reasons == "", is_good=pl.col("label") == "good")
    apertium = rows.filter(pl.col("translator") == "apertium")
    assert apertium.filter("is_good")["is_kept"].mean() == 1
    assert apertium.filter("is_kept")["is_good"].mean() >= 0.78
    # Little of what a hopeless model gets past them is good: that is what `check_translators` is for.
    smollm2 = rows.filter(pl.col("translator") == "smollm2")
    assert smollm2.filter("is_good")["is_kept"].all() and not smollm2["is_kept"].all()


@pytest.mark.slow
def test_judged_translations_by_the_nearest_source():
    """A real encoder refuses half of the rest of the garbage of a chat model, and nearly nothing that is good."""
    if not E5:
        pytest.skip("CONAN_E5 names no folder of multilingual-e5-small")
    rows = judged()
    config = ChecksConfig(nearest=NearestConfig(model=E5), skip=("duplicates",))
    kept = Checker(config).check_each(rows)["reason"] == ""
    rows = rows.filter(kept)
    near = Checker(config).check_together(rows, judged()["source"]) == ""
    is_good, is_smollm2 = rows["label"] == "good", rows["translator"] == "smollm2"
    assert near.filter(is_good).mean() >= 0.97
    assert near.filter(is_smollm2 & ~is_good).mean() <= 0.7
