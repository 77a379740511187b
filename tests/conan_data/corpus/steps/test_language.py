from collections import Counter
from pathlib import Path

import pytest
from datatrove.data import Document

from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.output.account import label_report
from conan_data.corpus.steps.language import FindLanguage, compare_label
from conan_data.errors import UserError
from conan_data.language.identify import Verdict

TEXTS = {
    "en": "This morning I went to the market and bought fresh vegetables for my family.",
    "de": "Heute Morgen ging ich auf den Markt und kaufte frisches Gemüse für meine Familie.",
    "zh-Hans": "今天早上我去了市场，给家人买了新鲜的蔬菜。",
    "zh-Hant": "今天早上我去了市場，給家人買了新鮮的蔬菜。",
}


def run(languages: tuple[str, ...], documents: list[tuple[str, str]]) -> list[Document]:
    rows = [
        Document(text=text, id=str(number), metadata={"declared": declared})
        for number, (declared, text) in enumerate(documents)
    ]
    return list(FindLanguage(languages, 0.4).run(iter(rows)))


def test_documents_get_a_language_or_a_reason() -> None:
    found = run(("en", "zh-Hans"), [("", text) for text in TEXTS.values()] + [("en", "`code`")])
    assert [document.metadata["lang"] for document in found] == ["en", "", "zh-Hans", "", "en"]
    drops = [document.metadata["dropped"] for document in found if "dropped" in document.metadata]
    assert [(drop.reason, drop.detail) for drop in drops] == [
        ("other-language", "de"),
        ("other-language", "zh-Hant"),
    ]


def test_dropped_documents_are_passed_on_untouched() -> None:
    document = Document(text="x", id="0", metadata={"dropped": "before"})
    assert list(FindLanguage(("en",), 0.4).run(iter([document]))) == [document]
    assert document.metadata == {"dropped": "before"}


@pytest.mark.parametrize(
    ("declared", "text", "label"),
    [
        ("zh-Hant", "zh-Hant", "zh-Hant>zh-Hant"),
        ("zh-Hans", "zh-Hant", "zh-Hans>zh-Hant"),
        ("zh", "zh-Hant", "zh>zh"),
        ("en", "de", "en>de"),
        ("de", "de", "de>de"),
        ("", "en", "missing"),
        ("klingon", "en", "unknown"),
    ],
)
def test_labels_are_compared(declared: str, text: str, label: str) -> None:
    found = run(("en", "zh-Hans", "zh-Hant"), [(declared, TEXTS[text])])
    assert found[0].metadata["label"] == label


def test_unsure_guesses_check_no_label() -> None:
    assert compare_label("en", Verdict("en", None), known=True) == "en>"
    assert compare_label("en", Verdict("", None, "unsure-language", "de"), known=True) == "en>"


def test_label_report_counts_by_declared_language() -> None:
    counts = Counter({"en>en": 5, "en>de": 2, "en>": 1, "de>de": 3, "missing": 4, "unknown": 6})
    report = label_report(counts)
    by_declared = report.pop("by_declared")
    assert report == {
        "right": 8,
        "wrong": 2,
        "missing": 4,
        "unknown": 6,
        "unchecked": 1,
        "confusion": {"en>de": 2},
    }
    assert by_declared["en"] == {"right": 5, "wrong": 2, "unchecked": 1, "found": {"de": 2, "en": 5}}
    assert by_declared["de"] == {"right": 3, "wrong": 0, "unchecked": 0, "found": {"de": 3}}
    assert sum(report[name] for name in ("right", "wrong", "missing", "unknown", "unchecked")) == sum(
        counts.values()
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"languages": ("zh", "zh-Hans")}, "languages: name zh, or its scripts"),
        ({"languages": ("en",), "identifier": "fasttext:"}, "identifier: must be langid, or fasttext: and"),
        ({"languages": ("en",), "identifier": "cld3"}, "identifier: must be langid"),
    ],
)
def test_recipes_that_make_no_sense(tmp_path: Path, fields: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BuildCorpusConfig(out=tmp_path, input=("a.jsonl",), **fields)
