"""A small retrieval set with two document languages, queries in three, and human translations."""

import json
from pathlib import Path

import pytest

DOCUMENTS = {
    "cat@en": ("en", "the cat sleeps on a mat"),
    "cat@de": ("de", "die Katze schläft auf einer Matte"),
    "dog@en": ("en", "a dog barks at the moon"),
    "dog@de": ("de", "ein Hund bellt den Mond an"),
    "ship@en": ("en", "ships sail over the sea"),
    "fish@de": ("de", "Fische schwimmen im Meer"),
}
QUERIES = {
    "cat": "sleeping cat",
    "dog": "barking dog",
    "ship": "ships on the sea",
    "lost": "nothing answers this",
}
QRELS = [
    ("cat", "cat@en", 2),
    ("cat", "cat@de", 1),
    ("dog", "dog@en", 1),
    ("dog", "dog@de", 1),
    ("dog", "cat@en", 0),
    ("ship", "ship@en", 1),
]
TRANSLATIONS = [
    ("cat", "de", "schlafende Katze"),
    ("dog", "de", "bellender Hund"),
    ("dog", "zh", "吠叫的狗"),
    ("ship", "de", "Schiffe auf dem Meer"),
]


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    _lines(
        folder / "corpus.dev.jsonl",
        [
            {"_id": key, "title": "", "text": text, "metadata": {"lang": lang}}
            for key, (lang, text) in DOCUMENTS.items()
        ],
    )
    _lines(
        folder / "queries.dev.jsonl",
        [{"_id": key, "text": text, "metadata": {"lang": "en"}} for key, text in QUERIES.items()],
    )
    _lines(
        folder / "translations.dev.jsonl",
        [{"query_id": query, "lang": lang, "text": text} for query, lang, text in TRANSLATIONS],
    )
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in QRELS)]
    (folder / "qrels.dev.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def _lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
