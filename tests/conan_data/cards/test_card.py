"""`conan-data card`: complete, the same bytes for the same data, and the artifact that it is of unchanged."""

import datasets
import pytest
import yaml

from conan_data import artifact
from conan_data.build_pairs.build import build_pairs
from conan_data.build_pairs.config import BuildPairsConfig
from conan_data.cards.build import card
from conan_data.cards.config import CardConfig, CardText
from conan_data.config import StageConfig
from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.errors import UserError
from conan_data.xlr.build import build_xlr
from conan_data.xlr.config import BuildXlrConfig
from tests.conan_data.cards.sets import card_of_a_set, manifest


@pytest.fixture(scope="module")
def xlr(tmp_path_factory):
    out = tmp_path_factory.mktemp("xlr") / "set"
    return build_xlr(
        BuildXlrConfig(out=out, data="sample", split="dev", mix={"en": 1, "zh": 1}, languages_per_query=2)
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "corpus"
    return build_corpus(BuildCorpusConfig(out=out, input=("sample",), languages=("en", "de")))


def front_matter(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_card_says_all_and_leaves_the_artifact_alone(xlr, tmp_path):
    before = tree(xlr)
    (tmp_path / "notes.md").write_text("The passages are **short**.\n")
    out = card(
        CardConfig(
            artifact=str(xlr),
            out=tmp_path / "card",
            title="A set",
            license="cc-by-sa-4.0",
            repository="me/set",
            citation="@misc{set, title={A set}}",
            notes=str(tmp_path / "notes.md"),
        )
    )
    text = (out / "README.md").read_text()
    for words in (
        'load_dataset("me/set", "queries", split="dev")', "| sample |", "cc0-1.0", "name the authors and the licence", "```bibtex",
        "The passages are **short**.", "command: build-xlr", "languages_per_query: 2", "![Queries by language](card/languages.png)",
        "not checked for texts of evaluation sets", "conan-embed", "## Known issues",
    ):  # fmt: skip
        assert words in text, words
    front = front_matter(out)
    assert front["license"] == "cc-by-sa-4.0" and front["language"] == ["ar", "de", "en", "es", "ja", "zh"]
    assert front["size_categories"] == ["n<1K"] and front["multilinguality"] == ["translation"]
    assert (out / "card" / "languages.png").read_bytes().startswith(b"\x89PNG")
    assert tree(xlr) == before
    assert (
        artifact.open_artifact(out, kind="card").manifest["extra"]["of"]
        == artifact.open_artifact(xlr).manifest_hash
    )


def test_the_builder_writes_the_same_card_without_what_it_cannot_know(xlr, corpus):
    from conan_data.cards.card import card_text
    from conan_data.manifest import read_manifest

    for folder in (xlr, corpus):
        assert (folder / "README.md").read_text() == card_text(read_manifest(folder), CardText())


def test_two_cards_are_the_same_bytes(xlr, tmp_path):
    first, second = (card(CardConfig(artifact=str(xlr), out=tmp_path / name)) for name in ("a", "b"))
    assert tree(first) == tree(second)


def test_what_the_card_names_is_what_datasets_loads(xlr, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for folder in (xlr, corpus):
        for entry in front_matter(folder)["configs"]:
            loaded = datasets.load_dataset(str(folder), entry["config_name"])
            assert set(loaded) == {file["split"] for file in entry["data_files"]}
            rows = f"| {entry['config_name']} | {next(iter(loaded))} | "
            line = next(
                line for line in (folder / "README.md").read_text().splitlines() if line.startswith(rows)
            )
            assert f"| {sum(map(len, loaded.values())):,} |" in line


def test_licences_of_sources(xlr, tmp_path):
    with pytest.raises(
        UserError, match="source_licenses: no source is called 'nothing'; the sources are sample"
    ):
        card(CardConfig(artifact=str(xlr), out=tmp_path / "a", source_licenses={"nothing": "mit"}))
    assert not (tmp_path / "a").exists()
    text = card_of_a_set(CardText(license="mit", source_licenses={"set": "cc-by-nc-4.0"}))
    assert "set (cc-by-nc-4.0) asks: no commercial use; mit does not." in text
    assert "No licence is stated for: set." in card_of_a_set(CardText(license="mit"))
    assert "No licence is stated for the whole." in card_of_a_set(CardText())


def test_what_is_short_or_unchecked_is_told():
    extra = {**manifest()["extra"], "mix_asked": {"de": 0.2, "fr": 0.8}}
    config = {**manifest()["config"], "checks": {"skip": ["language"]}}
    text = card_of_a_set(CardText(), extra=extra, config=config)
    assert (
        "under 80% of the share): fr." in text and "The language of the translations was not checked." in text
    )


def test_kinds_without_a_card(tmp_path, xlr):
    first = card(CardConfig(artifact=str(xlr), out=tmp_path / "a"))
    with pytest.raises(UserError, match="a card has no card; these have: corpus"):
        card(CardConfig(artifact=str(first), out=tmp_path / "b"))


def test_notes_that_are_no_text(xlr, tmp_path):
    (tmp_path / "notes.md").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"notes: .*cannot be read as UTF-8"):
        card(CardConfig(artifact=str(xlr), out=tmp_path / "a", notes=str(tmp_path / "notes.md")))


def numbers_of_a_check():
    evaluation = {"name": "MyTask", "texts": {"query": 5}, "found": {"judgement": 1}, "leaks_left": 0}
    return {"headline": "1 of 3 texts are leaks; removed: 1 of 2 queries", "evaluations": [evaluation]}


def test_what_decontaminate_found(tmp_path):
    extra = {**manifest()["extra"], "contamination": numbers_of_a_check()}
    page = {"path": "CONTAMINATION.md", "rows": None, "bytes": 1, "sha256": "0" * 64}
    text = card_of_a_set(CardText(), extra=extra, files=[*manifest()["files"], page])
    assert "| MyTask | query 5 | judgement 1 | 0 |" in text and "1 of 3 texts are leaks" in text
    assert "[CONTAMINATION.md](CONTAMINATION.md)" in text and "not checked for texts" not in text


def test_a_check_that_lies_elsewhere(xlr, tmp_path):
    class Config(StageConfig):
        pass

    with artifact.building(
        Config(out=tmp_path / "checked"), kind="pairs", command="conan-data decontaminate", inputs=[]
    ) as build:
        build.publish(rows=artifact.Rows(read=1, kept=1), extra={"contamination": numbers_of_a_check()})
    out = card(CardConfig(artifact=str(xlr), out=tmp_path / "a", contamination=str(tmp_path / "checked")))
    assert "| MyTask |" in (out / "README.md").read_text()
    with pytest.raises(UserError, match=r"contamination: .*is not an output of conan-data decontaminate"):
        card(CardConfig(artifact=str(xlr), out=tmp_path / "b", contamination=str(xlr)))


def test_language_bias_with_and_without_the_means():
    figures = {
        "found": 0.65,
        "same_language": 0.9,
        "fair_share": 0.5,
        "bias": 1.8,
        "found_by_direction": {"de": {"en": 0.65}},
    }
    centred = {**figures, "found": 0.91, "bias": 1.1}
    encoder = {"model": "e5", "documents": {"k": 5, "plain": figures, "centred": centred}}
    text = card_of_a_set(CardText(), extra={**manifest()["extra"], "encoder": encoder})
    assert "| passages | no | 0.650 | 0.900 | 0.500 | 1.800 |" in text
    assert "| passages | yes | 0.910 | 0.900 | 0.500 | 1.100 |" in text


def test_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    out = build_pairs(BuildPairsConfig(out=tmp_path / "pairs", input=("sample",)))
    text = (out / "README.md").read_text()
    num_pairs = artifact.open_artifact(out).rows.kept
    assert f"| default | train | 1 | {num_pairs:,} |" in text and "| title-body |" in text
    assert len(datasets.load_dataset(str(out), split="train")) == num_pairs
    scored = {
        "teacher": "x",
        "thresholds": {"de": {"value": 0.4, "origin": "given"}},
        "pairs_by_language": {"de-en": 2},
    }
    text = card_of_a_set(CardText(), kind="pairs", command="conan-data score-pairs", extra=scored, config={})
    assert "| de | 0.400 | given |" in text and "cosine of a teacher" in text and "- de\n- en\n" in text


def test_sets_that_datasets_cannot_read_have_no_configs():
    """It reads every config in the format of the first."""
    files = [
        {"path": path, "rows": None, "bytes": 1, "sha256": "0" * 64}
        for path in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")
    ]
    text = card_of_a_set(CardText(), files=files)
    assert "configs:" not in text and "several formats" in text
