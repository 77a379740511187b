import json
import re
from html.parser import HTMLParser

import pytest

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.manifest import TIMES, TIMES_PAGE
from conan_train.report.config import ReportConfig
from conan_train.report.report import PAGE, report
from tests.conan_train.report.conftest import finetune_times

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """Text of the page; fails on tags that do not match, and collects everything that a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open_tags, self.fetched, self.ids, self.text = [], [], [], ""
        self.feed(html)
        assert self.open_tags == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open_tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data", "poster") and not value.startswith(
                "#"
            ):
                self.fetched.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open_tags.pop()

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if self.open_tags[-1:] != ["style"]:
            self.text += data


def run(paths, out, **options):
    return (
        report(ReportConfig(inputs=tuple(str(path) for path in paths), out=out, **options)) / PAGE
    ).read_text(encoding="utf-8")


def test_whole_project(project, tmp_path):
    html = run(project.values(), tmp_path / "page", title="A <b>bold</b> title")
    page = Page(html)
    assert len(html.encode()) < 2_000_000
    assert page.fetched == [] and "@import" not in html and "url(http" not in html and "<script" not in html
    assert len(page.ids) == len(set(page.ids))
    assert "A <b>bold</b> title" in page.text
    for expected in (
        "18.0 → 61.0",
        "before training (scores-lm) and after (scores-tuned)",
        "scores-bm25",
        "boilerplate",
        "wrong-language",
        "gen-00000200-0a1b2c3d",
        "false-negative",
    ):
        assert expected in page.text, expected


def test_references_inside_figures_resolve(project, tmp_path):
    html = run(project.values(), tmp_path / "page")
    wanted = set(re.findall(r'xlink:href="#([^"]+)"', html)) | set(re.findall(r"url\(#([^)]+)\)", html))
    assert wanted
    assert wanted <= set(Page(html).ids)


def test_bytes_do_not_depend_on_order_or_time(project, tmp_path):
    paths = list(project.values())
    assert run(paths, tmp_path / "one") == run(paths[::-1], tmp_path / "two")


@pytest.mark.parametrize(
    "name", ["corpus", "queries", "negatives", "language_model", "embedder", "scores-bm25", "exported"]
)
def test_each_artifact_alone(project, tmp_path, name):
    page = Page(run([project[name]], tmp_path / "page"))
    assert "Provenance" in page.text


def test_tokenizer_beside_its_baseline(make, tmp_path):
    theirs = {"characters_per_token": 2.5, "split_characters": 0.125}
    row = {
        "held_out": True,
        "characters_per_token": 3.75,
        "bytes_per_token": 3.875,
        "split_characters": 0.0125,
        "single_character_tokens": 0.25,
        "vocabulary_used": 0.5,
        "baseline": theirs,
        "ratio": 1.5,
    }
    vocabulary = {"ours": {"size": 64000, "used": 0.75, "longest": ["   <b>"]}}
    files = {"fertility.json": json.dumps({"tr": row}), "vocabulary.json": json.dumps(vocabulary)}
    measured = make("tokenizer", "measured", files=files, extra={"sample_characters": {"tr": 12345}})
    text = Page(run([measured], tmp_path / "page")).text
    for expected in ("64,000", "75.0%", "tr", "12,345", "3.75", "2.50", "1.50", "1.25", "12.50", "held-out"):
        assert expected in text, expected
    early = {"en": {"held_out": False, "characters_per_token": 4.5, "bytes_per_token": 4.6}}
    older = make("tokenizer", "older", files={"fertility.json": json.dumps(early)})
    bare = make("tokenizer", "bare")
    text = Page(run([older, bare], tmp_path / "other")).text
    assert "4.50" in text and "baseline" not in text


def test_drops_of_the_funnel_add_up(project, tmp_path):
    page = Page(run([project["corpus"]], tmp_path / "page"))
    # 7000 read: 3 broken, 240 of other languages, 407 by rules, 850 duplicates.
    for left in ("7,000", "6,997", "6,757", "6,350", "5,500"):
        assert left in page.text


def test_artifact_without_extra_is_shown(make, tmp_path):
    from conan_data.artifact import Rows

    bare = make("corpus", "bare", rows=Rows(read=10, kept=7, dropped={"empty": 3}))
    text = Page(run([bare, make("retrieval", "set"), make("negatives", "pools")], tmp_path / "page")).text
    assert "empty" in text and "70.0" in text


def test_refuses_what_it_cannot_show(make, tmp_path):
    with pytest.raises(UserError, match="holds a report"):
        run([make("report", "other")], tmp_path / "page")
    with pytest.raises(UserError, match="no such directory"):
        run([tmp_path / "absent"], tmp_path / "page")
    with pytest.raises(UserError, match="line 2 is not JSON"):
        run(
            [make("embedder", "torn", files={"train_log.jsonl": '{"step": 1, "loss": 1.0}\n{"step'})],
            tmp_path / "page",
        )


@pytest.mark.parametrize(("counts", "is_drawn"), [((3, 0), True), ((0, 0), False), ((None, None), False)])
def test_replaced_negatives_are_drawn_where_some_were(make, tmp_path, counts, is_drawn):
    """A stage without a rule, or whose rule found nothing, has no curve to look at."""
    lines = [
        {"event": "step", "step": 10 * place, "loss": 1.0, **({} if count is None else {"replaced": count})}
        for place, count in enumerate(counts, 1)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    trained = make("embedder", "trained", files={"train_log.jsonl": text}, command="conan-train weak")
    page = Page(run([trained], tmp_path / "page"))
    assert ("were replaced by the next of their pool" in page.text) == is_drawn
    assert ("negatives replaced by the rule" in page.text) == (counts[0] is not None)


def test_controls_in_names_are_shown_and_names_are_isolated(make, tmp_path):
    made = make("retrieval", "a\u202eb\x1b[31m", extra={"queries": {}})
    html = run([made], tmp_path / "page", title="t\u202e")
    assert not set("\u202e\x1b") & set(html)
    assert "<bdi>a\\u202eb\\x1b[31m</bdi>" in html and "<h1><bdi>t\\u202e</bdi></h1>" in html


def test_times_are_on_a_page_of_their_own_and_change_nothing_else(project, tmp_path):
    paths = [project["language_model"], project["embedder"]]
    first = artifact.open_artifact(
        report(ReportConfig(inputs=tuple(str(path) for path in paths), out=tmp_path / "first"))
    )
    times = Page((first.dir / TIMES_PAGE).read_text(encoding="utf-8"))
    assert "31.4" in times.text and "16.5" in times.text and "9.0%" in times.text and times.fetched == []
    page = (first.dir / PAGE).read_text(encoding="utf-8")
    assert "a second" not in page and "times.html" in page and str(tmp_path) not in page
    slow = finetune_times(speed=2.5)
    for content in (slow, "", "{}", "[]\nnull\n{torn", None):
        if content is None:
            (project["embedder"] / TIMES).unlink()
        else:
            (project["embedder"] / TIMES).write_text(content, encoding="utf-8")
        again = report(
            ReportConfig(inputs=tuple(str(path) for path in paths), out=tmp_path / "again", overwrite=True)
        )
        assert (again / "manifest.json").read_bytes() == (first.dir / "manifest.json").read_bytes()
        assert ("2.5" in Page((again / TIMES_PAGE).read_text(encoding="utf-8")).text) == (content == slow)
