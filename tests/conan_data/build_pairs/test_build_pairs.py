"""Pairs out of documents and translations: what each kind gives, what is dropped and why, and that nothing is lost."""

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from conan_data.artifact import open_artifact
from conan_data.build_pairs import documents as documents_module
from conan_data.build_pairs.build import build_pairs
from conan_data.build_pairs.config import BuildPairsConfig, PairRules
from conan_data.errors import UserError
from conan_data.fields import build
from conan_data.pairs.weak import read_pairs

LONG = "The harbour lies at the mouth of the river. Ships have called there for a long time."
ENGLISH = (
    "The committee decided to postpone the meeting until the end of the month, because nobody was there."
)
GERMAN = (
    "Der Ausschuss hat beschlossen, die Sitzung auf das Ende des Monats zu verschieben, weil niemand da war."
)
POLISH = "Komisja postanowiła odłożyć posiedzenie do końca miesiąca, ponieważ nikogo nie było na sali obrad."


def write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def built(tmp_path: Path, *inputs: str, name: str = "out", **options: object) -> pl.DataFrame:
    """The pairs of an artifact whose row counts and facts agree with them."""
    out = build_pairs(BuildPairsConfig(input=inputs, out=tmp_path / name, **options))  # type: ignore[arg-type]
    manifest = open_artifact(out, kind="pairs").manifest
    pairs = pl.read_parquet(out / "data" / "*.parquet")
    rows, extra = manifest["rows"], manifest["extra"]
    assert rows["read"] == rows["kept"] + sum(rows["dropped"].values()) and rows["kept"] == pairs.height
    assert extra["pairs_by_kind"] == dict(sorted(Counter(pairs["kind"]).items()))
    by_reason: Counter[str] = Counter()
    for found in extra["dropped_by_kind"].values():
        by_reason.update(found)
    for reason, count in by_reason.items():
        assert rows["dropped"][reason] == count
    return pairs


def dropped(tmp_path: Path, name: str = "out") -> dict[str, int]:
    return open_artifact(tmp_path / name).manifest["rows"]["dropped"]


def test_each_kind_takes_its_parts(tmp_path: Path) -> None:
    code = "# Options\n\nWhat can be set is named here.\n\n```\n# no heading\nls --all\n```\n\n## How is it run?\n\nIt is run from a shell, by its name alone."
    rows = [
        {"id": "a", "title": "The harbour", "text": f"# THE Harbour\n\n{LONG}", "url": "https://Sea.example:80/x"},
        {"id": "b", "title": "ls", "text": code},
        {"id": "c", "question": "Where is it?", "answers": ["At the mouth of the river.", "Beside the old bridge, they say."]},
        {"id": "d", "summary": "A place for ships", "article": f"{LONG} It grew."},
        {"id": "e", "anchor": "the largest harbour", "passage": "The harbour of the town is the largest one."},
    ]  # fmt: skip
    pairs = built(tmp_path, write(tmp_path / "notes.jsonl", rows), language="en")
    found = {(row["kind"], row["query"]): row["document"] for row in pairs.iter_rows(named=True)}
    assert found["title-body", "The harbour"] == LONG
    rest = pairs.filter(pl.col("query") == "The harbour lies at the mouth of the river.")[
        "document"
    ].to_list()
    assert rest == [
        "Ships have called there for a long time.",
        "Ships have called there for a long time. It grew.",
    ]
    assert (
        found["heading-section", "ls: Options"].startswith("What can be set")
        and "# no heading" in found["heading-section", "ls: Options"]
    )
    assert found["question-answer", "ls: How is it run?"] == "It is run from a shell, by its name alone."
    answers = pairs.filter(pl.col("query") == "Where is it?")
    assert answers["document"].to_list() == rows[2]["answers"] and set(answers["kind"]) == {"question-answer"}
    assert found["summary-text", "A place for ships"] == f"{LONG} It grew."
    assert found["citation", "the largest harbour"] == "The harbour of the town is the largest one."
    first = pairs.row(0, named=True)
    assert first["source"] == "notes" and first["group"] == "notes/a" and first["host"] == "sea.example"
    assert set(pairs["lang_query"]) == set(pairs["lang_document"]) == {"en"}


def test_sections_of_a_web_page_are_found_by_its_headings(tmp_path: Path) -> None:
    """With a setting of extraction beside it, which must not bring plain headings back."""
    body = "".join(
        f"<h{2 + i % 2}>What is part {i} for?</h{2 + i % 2}><p>{LONG} It is part {i}.</p>" for i in range(6)
    )
    page = tmp_path / "page.en.html"
    page.write_text(
        f"<html lang='en'><body><main><h1>The harbour</h1><p>{LONG}</p>{body}</main></body></html>"
    )
    rules = {"kinds": ["heading-section"]}
    config = build(BuildPairsConfig, {"input": [str(page)], "out": str(tmp_path / "out"), "rules": rules, "extract": {"time_limit": 20}})  # fmt: skip
    pairs = pl.read_parquet(build_pairs(config) / "data" / "*.parquet")
    assert dict(zip(pairs["query"], pairs["document"], strict=True)) == {
        "The harbour": LONG,
        **{f"What is part {i} for?": f"{LONG} It is part {i}." for i in range(6)},
    }


def test_passages_of_a_group_are_paired_across_languages_and_files(tmp_path: Path) -> None:
    """Not within a language, not across sources, and no more than asked for."""
    english = [
        {"id": f"{n}@en", "text": f"{ENGLISH} Number {n}.", "metadata": {"lang": "en", "passage": f"p{n}"}}
        for n in range(30)
    ]
    german = [
        {"id": f"{n}@de", "text": f"{GERMAN} Nummer {n}.", "metadata": {"lang": "de", "passage": f"p{n}"}}
        for n in range(20)
    ]
    polish = [
        {"id": f"{n}@pl", "text": f"{POLISH} Numer {n}.", "metadata": {"lang": "pl", "passage": f"p{n}"}}
        for n in range(20)
    ]
    files = [write(tmp_path / f"docs.{n}.jsonl", rows) for n, rows in enumerate((english, german, polish))]
    other = write(
        tmp_path / "other.jsonl",
        [{**row, "metadata": {"lang": "fr", "passage": "p1"}} for row in english[:1]],
    )
    rules = PairRules(kinds=("parallel",))
    pairs = built(tmp_path, *files, other, rules=rules)
    assert pairs.height == 60 and set(pairs["source"]) == {"docs"}
    assert set(pairs["group"].value_counts()["count"]) == {3}
    assert (pairs["lang_query"] != pairs["lang_document"]).all()
    directions = Counter(zip(pairs["lang_query"], pairs["lang_document"]))
    assert len(directions) == 6, "both ways"
    fewer = built(tmp_path, *files, rules=rules, pairs_per_group=2, name="fewer")
    assert set(fewer["group"].value_counts()["count"]) == {2}
    assert (
        len(Counter(frozenset(row) for row in fewer.select("lang_query", "lang_document").iter_rows())) == 3
    )


def test_sides_left_in_the_source_language_are_dropped(tmp_path: Path) -> None:
    """In pairs of two languages, in documents of one, and where the source text shows it; code is not prose."""
    code = "def f(values):\n    return [value * 2 for value in values]\n" * 5
    rows = [
        {"text": ENGLISH, "lang": "en", "group": "1"},
        {"text": ENGLISH.replace("month", "year"), "lang": "pl", "group": "1"},
        {"text": f"{ENGLISH} Two.\n{code}", "lang": "en", "group": "2"},
        {"text": f"{POLISH} Dwa.\n{code}", "lang": "pl", "group": "2"},
        {"text": f"Nazwa\n{ENGLISH}\n{ENGLISH[:60]} and so on, as was said", "lang": "zh", "group": "3"},
        {"text": f"Name\n{ENGLISH}\n{ENGLISH[:60]} and so on, as was said", "lang": "en", "group": "3"},
        {"title": "Tytuł strony", "text": ENGLISH, "lang": "pl"},
        {"title": "Tytuł drugi", "text": POLISH, "lang": "pl"},
        {"title": "Title", "text": POLISH, "lang": "en"},
    ]
    rules = PairRules(kinds=("parallel", "title-body"))
    pairs = built(tmp_path, write(tmp_path / "in.jsonl", rows), rules=rules)
    assert set(pairs.filter(pl.col("kind") == "parallel")["group"]) == {"in/2"}
    assert set(pairs.filter(pl.col("kind") == "title-body")["query"]) == {"Tytuł drugi", "Title"}
    assert dropped(tmp_path) == {"source-language": 3}
    unchecked = built(
        tmp_path, str(tmp_path / "in.jsonl"), rules=rules, check_language="none", name="unchecked"
    )
    assert unchecked.height == 6


@pytest.mark.parametrize("left", ["pl", "de"])
def test_english_is_found_between_two_other_languages(left: str, tmp_path: Path) -> None:
    """A side may be left in the language that both were translated from."""
    texts = {"pl": POLISH, "de": GERMAN}
    rows = [{"text": f"{texts[lang]} Two.", "lang": lang, "group": "1"} for lang in texts]
    rows += [
        {"text": ENGLISH if lang == left else f"{texts[lang]} Drei.", "lang": lang, "group": "2"}
        for lang in texts
    ]
    pairs = built(tmp_path, write(tmp_path / "in.jsonl", rows), rules=PairRules(kinds=("parallel",)))
    assert pairs["group"].to_list() == ["in/1"] and dropped(tmp_path) == {"source-language": 1}


def test_boilerplate_repeats_hosts_and_sources_are_capped(tmp_path: Path) -> None:
    rows = [{"title": "Home", "text": f"{LONG} Page {n}."} for n in range(30)]
    rows += [{"title": f"Page {n}", "text": LONG} for n in range(5)]
    rows += [
        {
            "title": f"Own title {n}",
            "text": f"Own text of page {n}, at length.",
            "url": f"https://a.example/{n}",
        }
        for n in range(50)
    ]
    rows += [
        {"title": f"Other {n}", "text": f"A text of another site, {n}.", "url": f"http://b.example/{n}"}
        for n in range(3)
    ]
    rows += [{"title": "other 0", "text": "a text of another site, 0."}]
    pairs = built(
        tmp_path, write(tmp_path / "in.jsonl", rows), rules=PairRules(kinds=("title-body",)), max_per_host=20
    )
    assert dropped(tmp_path) == {
        "boilerplate-query": 30, "repeated-document": 2, "over-host-limit": 30, "duplicate-pair": 1
    }  # fmt: skip
    assert Counter(pairs["host"]) == {"": 3, "a.example": 20, "b.example": 3}
    assert pairs["query"].to_list()[:3] == ["Page 0", "Page 1", "Page 2"], "of equal sides the first stay"
    few = built(
        tmp_path, str(tmp_path / "in.jsonl"), rules=PairRules(kinds=("title-body",), max_pairs=7), name="few"
    )
    assert few.height == 7


def test_rules_by_source_name_kinds_fields_and_limits(tmp_path: Path) -> None:
    rows = [
        {"source": "wiki", "headline": "A headline", "title": "no title", "text": LONG},
        {"source": "forum", "ask": {"text": "How long?"}, "reply": "As long as it takes, and no longer.", "title": "A thread", "text": LONG},
        {"source": "forum", "ask": {"text": "Why?"}, "reply": "Too short."},
        {"title": "Of the file", "text": LONG + LONG},
    ]  # fmt: skip
    forum = PairRules(kinds=("question-answer",), fields={"question": "ask.text", "answer": "reply"})
    wiki = PairRules(kinds=("title-body",), fields={"title": "headline"}, max_document=30)
    pairs = built(
        tmp_path, write(tmp_path / "in.jsonl", rows), sources={"forum": forum, "wiki": wiki}, rules=PairRules(kinds=("title-body",))
    )  # fmt: skip
    assert sorted(pairs.select("source", "query", "document").rows()) == [
        ("forum", "How long?", "As long as it takes, and no longer."),
        ("in", "Of the file", LONG + LONG),
        ("wiki", "A headline", LONG[:29]),
    ]
    assert dropped(tmp_path) == {"document-too-short": 1}
    assert open_artifact(tmp_path / "out").manifest["extra"]["sides_cut"] == 1


def test_tables_and_rows_give_the_same_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are read at a time."""
    rows = [
        {"id": f"{n}", "title": f"Title {n}" if n % 3 else None, "text": f"At {n} it began. {LONG} \u200bText {n}.\r\n# Head {n}\n\nA section, number {n}.",
         "lang": "en" if n % 2 else "de", "url": f"https://h{n % 4}.example/", "metadata": {"group": f"g{n // 2}"}}
        for n in range(200)
    ]  # fmt: skip
    lines = write(tmp_path / "rows.jsonl", rows)
    table = tmp_path / "rows.parquet"
    pl.DataFrame(rows).write_parquet(table)
    frames = [built(tmp_path, lines, name="lines", max_per_host=60, check_language="none")]
    frames.append(built(tmp_path, str(table), name="table", max_per_host=60, check_language="none"))
    monkeypatch.setattr(documents_module, "_ROWS", 7)
    monkeypatch.setattr(documents_module, "BATCH", 13)
    frames.append(built(tmp_path, lines, name="few-lines", max_per_host=60, check_language="none"))
    frames.append(built(tmp_path, str(table), name="few-rows", max_per_host=60, check_language="none"))
    assert all(sorted(frame.rows()) == sorted(frames[0].rows()) for frame in frames[1:])
    assert {"parallel", "title-body", "first-rest", "heading-section"} <= set(frames[0]["kind"])


def test_rows_and_columns_that_are_not_used_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    write(path, [{"title": "A title", "text": LONG, "views": 5}, {"title": {"x": 1}, "text": LONG + LONG}])
    path.write_bytes(path.read_bytes() + b"{broken\n" + b'{"title": "\xff", "text": "x"}\n')
    pairs = built(tmp_path, str(path), rules=PairRules(kinds=("title-body",)))
    assert pairs.height == 1
    counted = dropped(tmp_path)
    assert sum(counted.values()) == 2
    files = open_artifact(tmp_path / "out").manifest["extra"]["files"]
    assert files["in.jsonl"]["unused_columns"] == {"title": 1, "views": 1}
    assert len((tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()) == 2


def test_files_of_one_size_hold_the_pairs_in_order(tmp_path: Path) -> None:
    rows = [{"title": f"Title {n}", "text": f"A text with number {n} in it."} for n in range(100)]
    path = write(tmp_path / "in.jsonl", rows)
    whole = built(tmp_path, path)
    parts = built(tmp_path, path, name="parts", shard_pairs=30)
    files = sorted((tmp_path / "parts" / "data").iterdir())
    assert [pl.read_parquet(file).height for file in files] == [30, 30, 30, 10]
    assert parts.equals(whole)


def test_training_reads_the_pairs(tmp_path: Path) -> None:
    rows = [
        {"title": f"Title {n}", "text": f"A text with number {n} in it.", "lang": "de"} for n in range(20)
    ]
    pairs = built(tmp_path, write(tmp_path / "in.jsonl", rows), check_language="none")
    found = read_pairs([str(tmp_path / "out")])
    assert (
        found.num_queries == pairs.height == 20
        and found.arrays.languages == ("de",)
        and found.sources == ("in",)
    )
    assert not found.account.to_json(), "every column of ours is known"
    groups = found.data.corpus.column("group").to_pylist()
    assert set(groups) == set(pairs["group"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [{"body_of_page": LONG}],
            "no document has the parts of any kind; columns that are not read: body_of_page",
        ),
        ([{"title": "A title", "text": "short"}], "document-too-short"),
    ],
)
def test_nothing_left_says_why(rows: list[dict], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        built(tmp_path, write(tmp_path / "in.jsonl", rows))
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def test_a_part_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="titel: is no part of a document .did you mean 'title'"):
        PairRules(fields={"titel": "headline"})
