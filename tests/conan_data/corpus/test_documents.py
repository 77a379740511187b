import pytest

from conan_data.corpus.documents import to_document
from conan_data.readers import Broken, Row
from conan_data.readers.fields import Fields, lookup


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no-text"),
        ({"text": None}, "no-text"),
        ({"text": 5}, "text-is-no-string"),
        ({"text": ["a"]}, "text-is-no-string"),
        ({"text": " \n\u200b"}, "empty-text"),
        ({"text": "half a pair \ud800"}, "invalid-unicode"),
        ({"text": "good", "id": {"a": 1}}, "id-is-no-string"),
        ({"text": "good", "id": True}, "id-is-no-string"),
    ],
)
def test_rows_that_cannot_be_used_say_why(values: dict[str, object], reason: str) -> None:
    document = to_document(Row(values, "in/a.jsonl", 3), Fields())
    drop = document.metadata["dropped"]
    assert (drop.stage, drop.reason) == ("read", f"broken-{reason}")
    assert drop.raw.encode()
    assert document.id == "a.jsonl:3"


def test_broken_rows_keep_their_reason() -> None:
    drop = to_document(Broken("a.jsonl", 1, "invalid-json", "{"), Fields()).metadata["dropped"]
    assert (drop.reason, drop.raw) == ("broken-invalid-json", "{")


def test_fields_come_from_the_row_or_its_metadata() -> None:
    values = {
        "id": 7,
        "text": "a\r\nb",
        "title": "t",
        "metadata": {"lang": "pt_BR", "title": "other", "url": "u", "passage": 12},
    }
    document = to_document(Row(values, "a.jsonl", 1), Fields(group="metadata.passage"))
    assert (document.id, document.text) == ("7", "a\nb")
    assert {key: document.metadata[key] for key in ("declared", "title", "url", "source", "group")} == {
        "declared": "pt",
        "title": "t",
        "url": "u",
        "source": None,
        "group": "12",
    }


def test_paths_are_columns_or_nested() -> None:
    assert lookup({"metadata.lang": "en"}, "metadata.lang") == "en"
    assert lookup({"a": {"b": {"c": 1}}}, "a.b.c") == 1
    assert lookup({"a": "text"}, "a.b") is None
