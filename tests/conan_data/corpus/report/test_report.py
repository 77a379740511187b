import json
from collections import Counter
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest

from conan_data import artifact
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.report import examples
from conan_data.corpus.report.config import CorpusReportConfig
from conan_data.corpus.report.report import PAGE, CorpusRecord, report, write_report
from conan_data.errors import UserError

VOID = {"meta", "br"}
ENGLISH = "The garden behind the house is full of old trees, and every morning number {} of the children walks there."
GERMAN = "Der Garten hinter dem Haus ist voller alter Bäume, und jeden Morgen geht das Kind Nummer {} dort spazieren."
ARABIC = "الحديقة خلف البيت مليئة بالأشجار القديمة، وفي كل صباح يمشي هناك واحد من الأطفال ورقمه {} مع صديقه."


class Page(HTMLParser):
    """Text and tags of the page; fails on tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.open_tags, self.tags, self.fetched, self.text = [], Counter(), [], ""
        self.feed(html)
        assert self.open_tags == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        if tag not in VOID:
            self.open_tags.append(tag)
        self.fetched += [
            value
            for name, value in attrs
            if name in ("src", "href", "xlink:href") and not value.startswith("#")
        ]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if self.open_tags[-1:] != ["style"]:
            self.text += data


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rows = [
        *({"id": f"e{number}", "text": ENGLISH.format(number * 7919)} for number in range(60)),
        *({"id": f"g{number}", "text": GERMAN.format(number * 7919)} for number in range(30)),
        *({"id": f"a{number}", "text": ARABIC.format(number * 7919)} for number in range(30)),
        *({"id": f"same{number}", "text": ENGLISH.format(7919)} for number in range(25)),
        {"id": "<b>bold</b>", "text": '<script>alert("short")</script> <img src=x onerror=alert(1)>'},
        {"id": "none", "text": None},
    ]
    path = tmp_path_factory.mktemp("source") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{torn <i>", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(source, tmp_path_factory):
    return build(source, tmp_path_factory.mktemp("corpus") / "out")


def build(source, out, **fields):
    return build_corpus(BuildCorpusConfig(input=(str(source),), languages=("en", "ar"), out=out, **fields))


def test_the_page_shows_the_numbers_of_the_manifest(corpus):
    html = (corpus / PAGE).read_text(encoding="utf-8")
    page = Page(html)
    assert page.fetched == [] and "<script" not in html and "@import" not in html and "url(" not in html
    manifest = artifact.open_artifact(corpus).manifest
    dropped = manifest["rows"]["dropped"]
    assert {"other-language", "exact-duplicate", "broken-no-text", "broken-invalid-json"} <= dropped.keys()
    for reason, count in dropped.items():
        assert f"{reason} {count:,}" in page.text
    assert f"of {manifest['rows']['read']:,} documents kept" in page.text
    assert manifest["extra"]["other_languages"] == {"de": 30} and "de 30" in page.text


def test_what_a_text_contains_is_shown_and_not_run(corpus):
    html = (corpus / PAGE).read_text(encoding="utf-8")
    page = Page(html)
    assert page.tags["script"] == page.tags["img"] == page.tags["i"] - html.count("<i style=") == 0
    assert (
        '<script>alert("short")</script>' in page.text
        and "<b>bold</b>" in page.text
        and "{torn <i>" in page.text
    )


def test_examples_of_every_reason_and_language(corpus):
    shown = examples.read(corpus / examples.FILE)
    manifest = artifact.open_artifact(corpus).manifest
    by_reason = Counter(example.reason for example in shown if example.stage != examples.KEPT)
    assert by_reason == {reason: min(20, count) for reason, count in manifest["rows"]["dropped"].items()}
    by_lang = Counter(example.lang for example in shown if example.stage == examples.KEPT)
    assert by_lang == {lang: min(20, count) for lang, count in manifest["extra"]["kept"].items()}
    dropped = {row["id"]: row for row in pq.read_table(corpus / "dropped.parquet").to_pylist()}
    kept = {
        row["id"]: row["text"]
        for path in corpus.glob("data/*/*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    for example in shown:
        if example.stage == examples.KEPT:
            assert kept[example.id] == example.text
        else:
            row = dropped[example.id]
            assert (row["stage"], row["reason"], row["place"]) == (
                example.stage,
                example.reason,
                example.place,
            )
        if example.stage == "dedup":
            assert kept[example.detail] == example.other_text


def test_the_page_is_the_same_for_any_cut(source, corpus, tmp_path):
    other = build(source, tmp_path / "renamed", tasks=5)
    for name in (PAGE, examples.FILE):
        assert (other / name).read_bytes() == (corpus / name).read_bytes()


def test_the_page_is_drawn_again_from_the_artifact(corpus, tmp_path):
    again = report(CorpusReportConfig(corpus=str(corpus), out=tmp_path / "page"))
    assert (again / PAGE).read_bytes() == (corpus / PAGE).read_bytes()
    titled = report(CorpusReportConfig(corpus=str(corpus), out=tmp_path / "titled", title="A & B"))
    assert "<h1><bdi>A &amp; B</bdi></h1>" in (titled / PAGE).read_text(encoding="utf-8")
    with pytest.raises(UserError, match="holds a report, not a corpus"):
        report(CorpusReportConfig(corpus=str(again), out=tmp_path / "other"))


def test_a_duplicate_stands_beside_the_text_that_stays(tmp_path):
    chosen = examples.Examples()
    place = {"lang": "ar", "file": "f", "place": 1, "id": "gone", "detail": "stays"}
    chosen.offer("dedup", "near-duplicate", text=ARABIC.format(1), other_text=ARABIC.format(2), **place)
    rows = {"read": 2, "kept": 1, "dropped": {"near-duplicate": 1}}
    extra = {
        "funnel": [{"stage": "dedup", "reason": "near-duplicate", "lang": "ar", "rows": 1}],
        "kept": {"ar": 1},
        "masked": {"email": 1234, "documents": 321},
        "labels": {"right": 5, "confusion": {"ar>fa": 7}, "by_declared": {"ar": {"right": 4321}}},
    }
    record = CorpusRecord(rows=rows, extra=extra, config={}, inputs=[], examples=chosen.sorted())
    write_report(tmp_path / PAGE, record)
    html = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "<mark>1</mark>" in html and "<mark>2</mark>" in html
    assert html.count('dir="auto" lang="ar"') == 2
    text = Page(html).text
    assert (
        "stays:" in text
        and "email" in text
        and "1,234" in text
        and "In 321 documents." in text
        and "4,321" in text
    )


def test_nothing_read_and_nothing_known(tmp_path):
    rows = {"read": 0, "kept": 0, "dropped": {}}
    write_report(tmp_path / PAGE, CorpusRecord(rows=rows, extra={}, config={}, inputs=[], examples=[]))
    assert "Funnel" in Page((tmp_path / PAGE).read_text(encoding="utf-8")).text


def test_controls_in_names_and_texts_are_shown_and_names_are_isolated(tmp_path):
    path = tmp_path / "a\u202ebc.jsonl"
    rows = [{"id": f"\u202eid\x1b{number}", "text": f"short \u202e\x1b[31m\0{number}"} for number in range(3)]
    rows.append({"id": "good", "text": ENGLISH.format(7)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    html = (build(path, tmp_path / "out") / PAGE).read_text(encoding="utf-8")
    assert not set("\u202e\x1b\0") & set(html)
    assert "<bdi>\\u202eid\\x1b0</bdi>" in html and "<bdi>a\\u202ebc.jsonl</bdi>" in html


def test_rows_in_quarantine_are_told_in_one_line(source, tmp_path, caplog):
    out = build(source, tmp_path / "told")
    rows = len((out / "quarantine.jsonl").read_text(encoding="utf-8").splitlines())
    said = [line for line in caplog.messages if "quarantine.jsonl" in line]
    assert len(said) == 1 and said[0].startswith(f"{rows} of ") and "broken-invalid-json 1" in said[0]
