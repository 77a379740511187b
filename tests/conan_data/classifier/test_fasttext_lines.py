"""Files in fastText's own form train a classifier, with any number of labels a line."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from conan_data import artifact
from conan_data.classifier.examples import read_examples
from conan_data.classifier.fasttext_lines import fasttext_rows
from conan_data.classifier.train import train_classifier
from conan_data.errors import UserError
from conan_data.readers import Row


def rows_of(path: Path) -> list[Any]:
    rows = fasttext_rows(path, text_field="text", label_field="label")
    return [(row.values["label"], row.values["text"]) if isinstance(row, Row) else row.reason for row in rows]


def test_labels_stand_anywhere_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(
        b"__label__spam Buy now\n\n__label__a __label__b\tboth of  them\nno label\ntext __label__end\n"
        b"__label__bad \xff\n__label__empty"
    )
    assert rows_of(path) == [
        (["spam"], "Buy now"), (["a", "b"], "both of them"), ([], "no label"), (["end"], "text"), "invalid-utf8", (["empty"], ""),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["train.txt", "cooking.train", "a.txt.gz"])
def test_a_row_is_of_the_class_that_one_of_its_labels_names(offers: Any, name: str) -> None:
    rows = offers.rows(400)
    lines = [
        f"__label__other {'__label__offer ' if row['label'] == 'offer' else ''}{row['text']}" for row in rows
    ]
    content = "\n".join([*lines, "a line without a label"]).encode()
    path = offers.folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = read_examples(offers.config(path))
    kept = {example.line: example.positive for part in found.parts.values() for example in part}
    assert kept == {" ".join(row["text"].lower().split()): row["label"] == "offer" for row in rows}
    assert found.dropped == {"no-label": 1} and found.labels["other"] == 400
    prefixed = read_examples(offers.config(path, positive_labels=("__label__offer",)))
    assert prefixed.parts == found.parts


def test_plain_lines_are_texts_of_the_class_of_their_file(offers: Any) -> None:
    files = {}
    for name in ("offer", "prose"):
        files[name] = offers.folder / f"{name}.txt"
        files[name].write_text("\n".join(row["text"] for row in offers.rows(300) if row["label"] == name))
    config = offers.config(files["offer"])
    config = type(config)(
        **{name: getattr(config, name) for name in ("out", "held_out", "fasttext")},
        positive=(str(files["offer"]),),
        negative=(str(files["prose"]),),
    )
    out = train_classifier(config)
    assert artifact.open_artifact(out, kind="classifier").rows.kept == 300


def test_lists_of_labels_and_labels_that_are_none(offers: Any, caplog: pytest.LogCaptureFixture) -> None:
    rows = [row | {"label": [row["label"], "x"], "url": "u"} for row in offers.rows(200)]
    rows += [
        {"text": "one two", "label": {"a": 1}},
        {"text": "two three", "label": []},
        {"text": 5, "label": "x"},
    ]
    path = offers.write("a.jsonl", rows)
    out = train_classifier(offers.config(path))
    opened = artifact.open_artifact(out)
    refused = {"label-is-no-name": 1, "no-label": 1, "no-text": 1}
    assert opened.rows.dropped == refused
    assert opened.manifest["extra"]["files"] == {
        "a.jsonl": {"read": 203, "refused": refused, "unused_columns": {"metadata": 200, "url": 200}}
    }
    assert f"{path}: columns that are not used: metadata, url" in caplog.messages


def test_the_fields_of_a_file_that_lacks_a_label_are_named(offers: Any) -> None:
    path = offers.write("a.jsonl", [{"text": "a", "class": "b"}])
    with pytest.raises(UserError, match="has a label in 'label'; the columns are text, class"):
        read_examples(offers.config(path))
