"""The sample is what its README says: parallel, without accidental duplicates, and faulty just where the
truth file has it.
"""

import csv
import difflib
import gzip
import json
import re
import unicodedata
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conan_data.readers import Broken, Row, read_rows
from conan_data.retrieval import read_retrieval
from conan_data.sources import SAMPLE_DIR, expand

LANGUAGES = ("en", "zh", "es", "de", "ar", "ja")
QUERY_FORMS = ("q1", "q2", "title")
SPLIT_FORMS = {"train": {"q1", "title"}, "dev": {"q2"}}
# Words that are frequent in one of the languages of Latin script and in no other of them.
FUNCTION_WORDS = {
    "en": {"the", "of", "and", "to", "is", "that", "with", "by"},
    "es": {"el", "la", "que", "y", "los", "una", "con", "por"},
    "de": {"der", "und", "die", "nicht", "ein", "mit", "den", "das"},
}
READ_REASONS = {
    "invalid-json": "invalid-json",
    "nan-literal": "invalid-json",
    "lone-surrogate": "invalid-json",
    "invalid-utf8": "invalid-utf8",
    "not-an-object": "not-an-object",
    "wrong-number-of-fields": "wrong-number-of-fields",
}
"""Kinds of broken rows that the reader itself refuses, and its reasons; the others can be read, but not used.
"""


def lines_of(name: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in (SAMPLE_DIR / "retrieval" / name).read_text(encoding="utf-8").splitlines()
    ]


@cache
def corpus() -> dict[str, dict[str, Any]]:
    return {row["_id"]: row for row in lines_of("corpus.jsonl")}


@cache
def queries() -> dict[tuple[str, str], str]:
    """All queries in all languages, by query id and language."""
    found = {(row["_id"], row["metadata"]["lang"]): row["text"] for row in lines_of("queries.jsonl")}
    for row in lines_of("translations.jsonl"):
        assert (row["query_id"], row["lang"]) not in found
        found[row["query_id"], row["lang"]] = row["text"]
    return found


@cache
def topics() -> dict[str, dict[str, dict[str, Any]]]:
    grouped: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in corpus().values():
        grouped[row["metadata"]["group"]][row["metadata"]["lang"]] = row
    return grouped


@cache
def truth() -> dict[str, Any]:
    return json.loads((SAMPLE_DIR / "crawl-truth.json").read_text(encoding="utf-8"))


@cache
def crawl() -> list[Row | Broken]:
    return [row for file in expand(["sample"]) for row in read_rows(file)]


@cache
def crawl_rows() -> dict[str, dict[str, Any]]:
    """The rows of the crawl that are not broken, by id."""
    unusable = {(entry["file"], entry["place"]) for entry in truth()["broken"]}
    usable = [
        row for row in crawl() if isinstance(row, Row) and (Path(row.file).name, row.place) not in unusable
    ]
    found = {row.values["id"]: row.values for row in usable}
    assert len(found) == len(usable)
    return found


def planted(kind: str) -> list[dict[str, Any]]:
    return [entry for entry in truth()["planted"] if entry["kind"] == kind]


def cleaned(text: str) -> str:
    """`text` without what a crawl adds: one white space, composed, nothing invisible."""
    return " ".join(unicodedata.normalize("NFC", re.sub("[\u00ad\u200b\ufeff]", "", text)).split())


def squeezed(text: str) -> str:
    return "".join(text.split())


def scripts(text: str) -> Counter[str]:
    """Letters by script, after the first word of their Unicode names."""
    names = (unicodedata.name(character).split()[0] for character in text if character.isalpha())
    return Counter(
        {"HIRAGANA": "KANA", "KATAKANA": "KANA", "KATAKANA-HIRAGANA": "KANA"}.get(name, name)
        for name in names
    )


def test_every_topic_is_told_in_six_languages() -> None:
    assert len(topics()) >= 60
    assert len(corpus()) == 6 * len(topics()) == len(lines_of("corpus.jsonl"))
    for topic, versions in topics().items():
        assert tuple(versions) == LANGUAGES
        assert [row["_id"] for row in versions.values()] == [f"{topic}@{lang}" for lang in LANGUAGES]
        assert len({row["metadata"]["category"] for row in versions.values()}) == 1
        assert all(row["title"].strip() and row["text"].strip() for row in versions.values())


def test_no_text_occurs_twice() -> None:
    texts = Counter(squeezed(row["text"]).casefold() for row in corpus().values())
    assert max(texts.values()) == 1
    for lang in LANGUAGES:
        titles = Counter(versions[lang]["title"].casefold() for versions in topics().values())
        assert max(titles.values()) == 1
        asked = Counter(text.casefold() for (_, language), text in queries().items() if language == lang)
        assert max(asked.values()) == 1


def test_every_topic_is_asked_for_in_every_language() -> None:
    expected = {(f"{topic}#{form}", lang) for topic in topics() for form in QUERY_FORMS for lang in LANGUAGES}
    assert queries().keys() == expected
    for topic, versions in topics().items():
        assert all(queries()[f"{topic}#title", lang] == versions[lang]["title"] for lang in LANGUAGES)
        assert all(
            queries()[f"{topic}#{form}", lang][-1] in "?？؟" for form in ("q1", "q2") for lang in LANGUAGES
        )


@pytest.mark.parametrize("split", SPLIT_FORMS)
def test_a_query_has_the_six_versions_of_its_topic(split: str) -> None:
    with open(SAMPLE_DIR / "retrieval" / "qrels" / f"{split}.tsv", encoding="utf-8", newline="") as file:
        judgements = list(csv.DictReader(file, delimiter="\t"))
    assert list(judgements[0]) == ["query-id", "corpus-id", "score"]
    positives = defaultdict(list)
    for row in judgements:
        assert row["score"] == "1"
        positives[row["query-id"]].append(row["corpus-id"])
    assert positives == {
        f"{topic}#{form}": [f"{topic}@{lang}" for lang in LANGUAGES]
        for topic in topics()
        for form in QUERY_FORMS
        if form in SPLIT_FORMS[split]
    }


@pytest.mark.parametrize("split", SPLIT_FORMS)
def test_the_reader_takes_all_of_it(split: str) -> None:
    data = read_retrieval("sample", split)
    assert data.broken == []
    assert data.corpus.num_rows == len(corpus())
    assert data.queries.num_rows == data.num_query_rows == len(SPLIT_FORMS[split]) * len(topics())
    assert data.qrels.num_rows == 6 * data.queries.num_rows
    assert data.translations.num_rows == 5 * data.queries.num_rows
    assert {row["_id"]: row["group"] for row in data.corpus.to_pylist()} == {
        key: row["metadata"]["group"] for key, row in corpus().items()
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_passages_are_in_their_script(lang: str) -> None:
    for versions in topics().values():
        text = versions[lang]["text"]
        letters = scripts(text)
        main = {"zh": "CJK", "ar": "ARABIC"}.get(lang, "LATIN")
        if lang == "ja":
            assert (
                letters["KANA"] >= 0.3 * letters.total()
                and letters["KANA"] + letters["CJK"] >= 0.9 * letters.total()
            ), text
        else:
            assert letters[main] >= 0.9 * letters.total() and letters["KANA"] == 0, text
        if lang in FUNCTION_WORDS:
            words = Counter(re.findall(r"\w+", text.casefold()))
            counts = {name: sum(words[word] for word in known) for name, known in FUNCTION_WORDS.items()}
            assert counts[lang] > 2 * max(count for name, count in counts.items() if name != lang), text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_queries_are_in_their_script(lang: str) -> None:
    letters = scripts("".join(text for (_, language), text in queries().items() if language == lang))
    shares = {name: count / letters.total() for name, count in letters.items()}
    assert max(shares, key=shares.__getitem__) == {"zh": "CJK", "ja": "KANA", "ar": "ARABIC"}.get(
        lang, "LATIN"
    )
    assert lang == "ja" or shares.get("KANA", 0) == 0


def test_texts_are_typographically_clean() -> None:
    for key, text in [
        *((key, f"{row['title']}\n{row['text']}") for key, row in corpus().items()),
        *queries().items(),
    ]:
        assert unicodedata.is_normalized("NFC", text), key
        assert not re.search("[\"'\t\u00a0\u00ad\u200b\ufeff]|  ", text), key


def test_truth_counts_agree_with_the_files() -> None:
    recorded = truth()
    rows_by_file = {}
    for path in sorted((SAMPLE_DIR / "crawl").iterdir()):
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows_by_file[path.name] = (
            len(list(csv.reader(raw.decode().splitlines(keepends=True)))) - 1
            if path.suffix == ".csv"
            else raw.count(b"\n")
        )
    assert recorded["rows_by_file"] == rows_by_file
    assert recorded["rows"] == sum(rows_by_file.values()) == len(crawl())
    kinds = Counter(entry["kind"] for entry in recorded["planted"])
    assert recorded["counts"] == {
        "passage": len(recorded["passages"]),
        "broken": len(recorded["broken"]),
        **kinds,
    }
    assert recorded["rows"] == sum(recorded["counts"].values()) - kinds["wrong-label"]


def test_every_sound_row_is_in_the_truth() -> None:
    ids = [entry["id"] for entry in truth()["planted"] if entry["kind"] != "wrong-label"]
    assert len(ids) == len(set(ids))
    assert crawl_rows().keys() == {*ids, *truth()["passages"]}
    assert len(crawl_rows()) == len(ids) + len(truth()["passages"])
    assert len({row["url"] for row in crawl_rows().values()}) == len(crawl_rows())
    assert all(re.match(r"https://[a-z0-9.-]+\.example/", row["url"]) for row in crawl_rows().values())


def test_the_crawl_holds_every_passage() -> None:
    passages = truth()["passages"]
    assert sorted(passages.values()) == sorted(corpus())
    with_title = 0
    for identifier, key in passages.items():
        row, original = crawl_rows()[identifier], corpus()[key]
        forms = [cleaned(original["text"]), cleaned(f"{original['title']} {original['text']}")]
        with_title += forms.index(cleaned(row["text"]))
        group = row["metadata.group"] if "metadata.group" in row else row["metadata"]["group"]
        assert group == original["metadata"]["group"]
    assert 0.4 < with_title / len(passages) < 0.6


def test_declared_labels_are_right_except_where_planted() -> None:
    wrong = {entry["id"]: entry for entry in planted("wrong-label")}
    for identifier, key in truth()["passages"].items():
        declared, lang = crawl_rows()[identifier].get("lang"), key.split("@")[1]
        if identifier in wrong:
            assert (declared, lang) == (wrong[identifier]["declared"], wrong[identifier]["lang"])
            assert declared in LANGUAGES and declared != lang
        elif declared:
            assert re.split("[-_]", declared.lower())[0] == lang
    assert {entry["lang"] for entry in wrong.values()} == set(LANGUAGES)


def test_duplicates_are_like_what_they_copy() -> None:
    for entry in planted("exact-duplicate"):
        assert squeezed(crawl_rows()[entry["id"]]["text"]) == squeezed(crawl_rows()[entry["of"]]["text"])
    for entry in planted("near-duplicate"):
        copy, original = (
            squeezed(crawl_rows()[identifier]["text"]) for identifier in (entry["id"], entry["of"])
        )
        assert copy != original
        assert difflib.SequenceMatcher(None, copy, original, autojunk=False).ratio() > 0.9
    for kind in ("exact-duplicate", "near-duplicate"):
        assert {truth()["passages"][entry["of"]].split("@")[1] for entry in planted(kind)} == set(LANGUAGES)


def test_boilerplate_and_scraps_hold_no_prose() -> None:
    for entry in planted("boilerplate"):
        lines = crawl_rows()[entry["id"]]["text"].splitlines()
        assert len(lines) >= 8 and max(map(len, lines)) <= 60
        assert sum(line.endswith((".", "。", "!", "！")) for line in lines) <= 2
    assert {entry["lang"] for entry in planted("boilerplate")} == set(LANGUAGES)
    for entry in planted("too-short"):
        text = crawl_rows()[entry["id"]]["text"]
        assert len(text.split()) <= 3 and len(text) <= 20
    for entry in planted("symbols"):
        words = crawl_rows()[entry["id"]]["text"].split()
        assert sum(word.isalpha() and len(word) > 2 for word in words) <= 0.1 * len(words)


def test_other_languages_are_none_of_the_six() -> None:
    import py3langid

    for entry in planted("other-language"):
        assert entry["lang"] not in LANGUAGES
        assert py3langid.classify(crawl_rows()[entry["id"]]["text"])[0] == entry["lang"]


def test_broken_rows_are_broken_as_recorded() -> None:
    by_place = {(Path(row.file).name, row.place): row for row in crawl()}
    refused = {place: row.reason for place, row in by_place.items() if isinstance(row, Broken)}
    recorded = {(entry["file"], entry["place"]): entry for entry in truth()["broken"]}
    assert refused == {
        place: READ_REASONS[entry["kind"]]
        for place, entry in recorded.items()
        if entry["kind"] in READ_REASONS
    }
    for place, entry in recorded.items():
        if entry["kind"] in READ_REASONS:
            continue
        row = by_place[place]
        assert isinstance(row, Row)
        values = row.values
        assert values["id"] == entry["id"]
        match entry["kind"]:
            case "text-null":
                assert values["text"] is None
            case "text-missing":
                assert "text" not in values
            case "text-integer":
                assert isinstance(values["text"], int)
            case "duplicate-id":
                earlier = [
                    row
                    for (name, number), row in by_place.items()
                    if name == place[0] and number < place[1] and isinstance(row, Row)
                ]
                assert entry["id"] in {other.values["id"] for other in earlier if isinstance(other, Row)}
            case kind:
                pytest.fail(f"unknown kind {kind}")


def test_the_compressed_file_says_nothing_of_when_it_was_made() -> None:
    header = (SAMPLE_DIR / "crawl" / "web-001.jsonl.gz").read_bytes()[:10]
    assert header[3] == 0 and header[4:8] == bytes(4)


def test_the_licence_is_cc0() -> None:
    text = (SAMPLE_DIR / "LICENSE").read_text(encoding="utf-8")
    assert "CC0 1.0 Universal, https://creativecommons.org/publicdomain/zero/1.0/" in text
