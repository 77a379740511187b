"""A small manifest of a cross-lingual set, as `read_manifest` gives it."""

from conan_data.cards.card import card_text
from conan_data.cards.config import CardText


def manifest(**changes):
    files = [("corpus/train.parquet", 3), ("qrels/train.parquet", 2), ("queries/train.parquet", 2)]
    return {
        "kind": "retrieval",
        "schema_version": 2,
        "command": "conan-data build-xlr",
        "config": {"translator": "table", "checks": {"language": True}, "data": "set"},
        "inputs": [
            {"path": "set", "files": [{"path": "corpus.jsonl", "rows": None, "bytes": 1, "sha256": "0" * 64}]}
        ],
        "versions": {"conan-embed": "1.2.3"},
        "commit": None,
        "job_hash": "0" * 64,
        "rows": {"read": 3, "kept": 2, "dropped": {"other-language": 1}},
        "files": [{"path": path, "rows": rows, "bytes": 1000, "sha256": "0" * 64} for path, rows in files],
        "extra": {
            "queries_by_language": {"de": 1, "fr": 1},
            "corpus_by_language": {"en": 3},
            "dropped_by_language": {"fr": {"other-language": 1}},
            "mix_asked": {"de": 0.5, "fr": 0.5},
            "mix_reached": {"de": 0.5, "fr": 0.5},
        },
        **changes,
    }


def card_of_a_set(text: CardText, **changes) -> str:
    return card_text(manifest(**changes), text)
