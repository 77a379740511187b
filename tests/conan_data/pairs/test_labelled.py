import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from conan_data.errors import UserError
from conan_data.pairs.labelled import MAX_POSITIVES, others_of_label, prettified, read_labelled, read_labels

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data" / "classification"


def write(path: Path, rows: list[tuple[str, str]], header: str = "text,label") -> str:
    path.write_text(header + "\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return str(path)


ROWS = [("a", "card_lost"), ("b", "card_lost"), ("c", "top_up"), ("d", "card_lost"), ("e", "top_up")]


def test_label_texts_as_documents(tmp_path: Path) -> None:
    pairs = read_labelled([write(tmp_path / "x.csv", [*ROWS, ("a", "card_lost")])], positives="label")
    assert pairs.data.corpus.column("text").to_pylist() == ["card lost", "top up"]
    assert pairs.data.queries.column("text").to_pylist() == list("abcde")
    assert pairs.arrays.positive_rows.tolist() == [0, 0, 1, 0, 1]
    rows = pairs.rows()
    assert (rows.read, rows.kept, rows.dropped) == (6, 5, {"duplicate-text": 1})


def test_texts_of_the_same_label_as_documents(tmp_path: Path) -> None:
    rows = [*ROWS, ("f", "alone"), ("g", "top_up"), ("g", "card_lost"), ("a", "card_lost")]
    pairs = read_labelled([write(tmp_path / "x.csv", rows)], positives="same-label")
    texts = pairs.data.corpus.column("text").to_pylist()
    assert texts == list("abcde") == pairs.data.queries.column("text").to_pylist()
    offsets, found = pairs.arrays.positive_offsets, pairs.arrays.positive_rows
    answers = {
        text: {texts[row] for row in found[offsets[n] : offsets[n + 1]]} for n, text in enumerate(texts)
    }
    assert answers == {"a": {"b", "d"}, "b": {"a", "d"}, "c": {"e"}, "d": {"a", "b"}, "e": {"c"}}
    groups = pairs.arrays.groups
    assert groups[0] == groups[1] == groups[3] != groups[2] == groups[4] and (groups >= 0).all()
    assert pairs.num_read == 9
    assert pairs.dropped == {"several-labels": 2, "alone-in-its-label": 1, "duplicate-text": 1}


def test_labels_of_two_files_are_other_labels(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{name}.csv", [(f"{name}{n}", "yes") for n in range(3)]) for name in ("one", "two")
    ]
    pairs = read_labelled(files, positives="same-label")
    assert pairs.arrays.groups.tolist() == [0, 0, 0, 1, 1, 1]
    assert pairs.sources == ("one", "two") and pairs.query_sources.tolist() == [0, 0, 0, 1, 1, 1]
    owners = np.repeat(np.arange(6), np.diff(pairs.arrays.positive_offsets))
    assert (owners // 3 == pairs.arrays.positive_rows // 3).all()


def test_large_labels_are_linked_in_a_ring() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [200, 2, 33, 34]))
    owner, other = others_of_label(labels)
    assert (owner != other).all() and (labels[owner] == labels[other]).all()
    assert len(set(zip(owner.tolist(), other.tolist()))) == len(owner)
    expected = np.minimum(np.bincount(labels)[labels] - 1, MAX_POSITIVES)
    assert (np.bincount(owner, minlength=len(labels)) == expected).all()
    assert (np.bincount(other, minlength=len(labels)) == expected).all(), "each is a positive as often"


def test_columns_are_found_or_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", ROWS, header="utterance,category")
    assert read_labelled([path], positives="label", text_field="utterance").num_queries == 5
    asked = read_labelled([path], positives="label", text_field="category", label_field="utterance")
    assert asked.arrays.num_documents == 5
    with pytest.raises(UserError, match=r"no row has both a text \(text\) .* fields are utterance, category"):
        read_labelled([path], positives="label")


def test_numbers_are_no_label_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", [("a", "0"), ("b", "1"), ("c", "1"), ("d", "0")])
    with pytest.raises(UserError, match="labels are only numbers"):
        read_labelled([path], positives="label")
    assert read_labelled([path], positives="same-label").num_queries == 4


def test_a_label_as_a_text() -> None:
    assert prettified("card__arrival_ delayed") == "card arrival delayed"


def test_only_texts_that_are_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no usable labelled text \(alone-in-its-label: 2\)"):
        read_labelled([write(tmp_path / "x.csv", [("a", "x"), ("b", "y")])], positives="same-label")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(("name", "labels"), [("banking77-train.csv", 77), ("clinc150-train.jsonl.gz", 150)])
def test_real_sets(name: str, labels: int) -> None:
    by_label = read_labelled([str(SHARED / name)], positives="label")
    assert by_label.arrays.num_documents == labels
    assert (np.diff(by_label.arrays.positive_offsets) == 1).all()
    pairs = read_labelled([str(SHARED / name)], positives="same-label")
    label_of = dict(zip(by_label.data.queries.column("text").to_pylist(), by_label.arrays.positive_rows))
    members = defaultdict(set)
    for text, group in zip(pairs.data.corpus.column("text").to_pylist(), pairs.arrays.groups):
        members[group].add(label_of[text])
    assert len(members) == labels and all(len(found) == 1 for found in members.values())
    assert pairs.rows().read == pairs.rows().kept + pairs.dropped.total()


def test_the_label_is_one_column_of_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where a name is missing, the number beside it is no name."""
    rows = [("a", "card lost", "1"), ("b", "card lost", "1"), ("c", "", "2"), ("d", "refund", "2")]
    path = tmp_path / "x.csv"
    path.write_text("text,label_text,label\n" + "".join(",".join(row) + "\n" for row in rows))
    pairs = read_labelled([str(path)], positives="label")
    assert pairs.data.corpus.column("text").to_pylist() == ["card lost", "refund"]
    assert pairs.dropped == {"no-label": 1}
    assert pairs.account.to_json()["files"][str(path)] == {
        "read": 4, "refused": {"no-label": 1}, "unused_columns": {"label": 3},
    }  # fmt: skip
    assert f"{path}: columns that are not used: label" in caplog.messages


def test_labels_of_other_types(tmp_path: Path) -> None:
    values = [1.0, 2, True, "x", None, float("nan"), ["x"], {"a": 1}, 0.5]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"text": f"t{n}", "label": v}) + "\n" for n, v in enumerate(values)))
    found = read_labels([str(path)])
    assert found.labels == ["1", "2", "true", "x"]
    assert found.dropped == {"no-label": 1, "invalid-json": 1, "label-is-no-name": 3}
