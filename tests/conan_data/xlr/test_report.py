"""The report: what it shows, and that it is the same page for the same set."""

import json
from html.parser import HTMLParser

import pytest

from conan_data import artifact
from conan_data.errors import UserError
from conan_data.mining.hash_encoder import HashEncoder
from conan_data.xlr.build import build_xlr
from conan_data.xlr.config import BuildXlrConfig

MIX = {"de": 1, "fr": 1, "en": 1}


class Text(HTMLParser):
    """The cells of all tables."""

    def __init__(self):
        super().__init__()
        self.rows, self.cell = [], None

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1] += data


def rows_of(out):
    parser = Text()
    parser.feed((out / "report.html").read_text())
    return parser.rows


def config(tmp_path, retrieval_set, **fields):
    values = {
        "out": tmp_path / "out", "data": str(retrieval_set), "mix": MIX, "languages_per_query": "all",
        "group_regex": "^(.*)@",
    }  # fmt: skip
    return BuildXlrConfig(**{**values, **fields})


@pytest.fixture
def tiny_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr("conan_data.xlr.report.report.load_encoder", lambda *_, **__: HashEncoder())
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text("{}")
    return tmp_path / "encoder"


def test_the_page_shows_what_was_dropped(tmp_path, retrieval_set):
    path = retrieval_set / "translations.train.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["text"] = "<b>x</b>"
    planted = rows[0]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = build_xlr(config(tmp_path, retrieval_set, checks={"min_length_ratio": 0.9}))
    extra = artifact.open_artifact(out).manifest["extra"]
    cells = rows_of(out)
    dropped = [row for row in cells if "<b>x</b>" in row]
    assert dropped and dropped[0][0] == planted["lang"]
    assert ["de", "33.3", *cells[2][2:]] in cells
    directions = [row for row in cells if row[0] == "query \\ document"]
    assert directions == [["query \\ document", *extra["corpus_by_language"]]]
    assert [str(count) for count in extra["directions"]["de"].values()] == next(
        row[1:] for row in cells[cells.index(directions[0]) :] if row[0] == "de"
    )
    assert "http" not in (out / "report.html").read_text().replace("http-equiv", "")


def test_encoder(tmp_path, retrieval_set, tiny_encoder):
    fields = {"report": {"encoder": str(tiny_encoder), "sample": 4, "k": 2}}
    out = build_xlr(config(tmp_path, retrieval_set, **fields))
    found = artifact.open_artifact(out).manifest
    encoder = found["extra"]["encoder"]
    assert encoder["model"] == tiny_encoder.name and encoder["versions"]["queries"] == 12
    assert set(encoder["documents"]["plain"]["found_by_direction"]) <= {"de", "en", "fr"}
    assert tiny_encoder.name in [entry["path"] for entry in found["inputs"]]
    again = build_xlr(config(tmp_path, retrieval_set, out=tmp_path / "again", **fields))
    assert (again / "report.html").read_bytes() == (out / "report.html").read_bytes()
    assert (again / "manifest.json").read_bytes() == (out / "manifest.json").read_bytes()


def test_a_missing_encoder_is_named(tmp_path, retrieval_set):
    with pytest.raises(UserError, match="gone"):
        build_xlr(config(tmp_path, retrieval_set, report={"encoder": str(tmp_path / "gone")}))
    assert not list(tmp_path.glob("out*"))
