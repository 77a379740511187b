"""The layouts that `conan-data formats` prints: the README shows the same, and the readers take them as they stand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from conan_data import build_corpus, build_xlr
from conan_data.cli import COMMANDS
from conan_data.command import main
from conan_data.formats import LAYOUTS, describe
from conan_data.pairs.labelled import read_labels
from conan_data.pairs.scored import read_scored
from conan_data.pairs.weak import read_pairs
from conan_data.retrieval import read_retrieval
from conan_data.xlr.config import BuildXlrConfig
from conan_data.xlr.translators.table import read_table

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], dict[str, Path]]:
    """Write the files of a layout into one folder, as it says, and return where they are."""

    def write(name: str) -> dict[str, Path]:
        found = {file: tmp_path / "written" / file for file in LAYOUTS[name].files()}
        for file, path in found.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(LAYOUTS[name].files()[file], encoding="utf-8")
        return found

    return write


def test_the_readme_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("conan-data", "", COMMANDS, ["formats"]) == 0
    printed = capsys.readouterr().out
    assert printed == describe(LAYOUTS) + "\n"
    assert f"```\n{printed}```\n" in README.read_text(encoding="utf-8")
    assert all(len(layout.lines) <= 4 for layout in LAYOUTS.values())


@pytest.mark.parametrize("name", LAYOUTS)
def test_one_is_printed_by_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("conan-data", "", COMMANDS, ["formats", name]) == 0
    assert capsys.readouterr().out == describe([name]) + "\n"


def test_documents(written, tmp_path: Path) -> None:
    files = written("documents")
    corpus = build_corpus(
        input=list(files.values()),
        languages=["en", "de"],
        rules={"min_words": 1, "min_sentences": 0, "min_prose": 0},
        out=tmp_path / "corpus",
    )
    assert corpus.rows.read == 2 and not any(name.startswith("broken") for name in corpus.rows.dropped)


def test_a_retrieval_set_with_its_translations(written, tmp_path: Path) -> None:
    folder = written("beir")["corpus.jsonl"].parent
    data = read_retrieval(str(folder), "train")
    assert data.corpus.select(["_id", "title", "lang", "group"]).to_pylist() == [
        {"_id": "d1", "title": "Tea", "lang": "en", "group": "tea"}
    ]
    assert data.queries.select(["_id", "lang"]).to_pylist() == [{"_id": "q1", "lang": "en"}]
    assert data.qrels.to_pylist() == [{"query-id": "q1", "corpus-id": "d1", "score": 1}]
    usable, refused = read_table(written("translations")["translations.jsonl"])
    assert usable["lang"].to_pylist() == ["de", "fr"] and not refused
    made = build_xlr(data=folder, mix={"de": 1, "fr": 1}, languages_per_query=2, out=tmp_path / "out")
    assert made.rows.kept == 2


def test_a_mix_is_one_as_a_recipe_flags_and_python(tmp_path: Path) -> None:
    told = dict(LAYOUTS["mix"].lines)
    mix = yaml.safe_load(told["in a recipe"])["mix"]
    assert eval(f"dict({told['in Python']})") == {"mix": mix}
    words = told["as flags"].split()
    assert dict(zip((flag.removeprefix("--mix.") for flag in words[::2]), map(int, words[1::2]))) == mix
    BuildXlrConfig(data="sample", mix=mix, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "negatives"), [("pairs.jsonl", 0), ("triplets.jsonl", 1), ("lists.jsonl", 2)]
)
def test_pairs(file: str, negatives: int, written) -> None:
    pairs = read_pairs([str(written("pairs")[file])])
    assert len(pairs.arrays.positive_rows) == 1 and not pairs.dropped
    assert pairs.given_negative_row_QP.shape[1] == negatives


@pytest.mark.parametrize("file", LAYOUTS["labels"].files())
def test_labels(file: str, written) -> None:
    found = read_labels([str(written("labels")[file])])
    assert (found.texts, found.labels) == (["Buy one, get one free!"], ["advertisement"])


@pytest.mark.parametrize("file", LAYOUTS["scored-pairs"].files())
def test_scored_pairs(file: str, written) -> None:
    found = read_scored([str(written("scored-pairs")[file])])
    assert found.texts["text"].to_pylist() == ["A cup of tea", "A mug of tea"] and found.scores.tolist() == [
        4.5
    ]
