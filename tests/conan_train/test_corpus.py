import json
from pathlib import Path

import pyarrow as pa
import pytest

from conan_data import artifact, tables
from conan_data.config import StageConfig
from conan_data.errors import UserError
from conan_train.corpus import Tally, documents, hash_place, inputs, require_some


def corpus_artifact(out: Path) -> Path:
    rows = [
        {"id": "1", "text": "one", "lang": "en", "group": "g"},
        {"id": "2", "text": "uno", "lang": "es", "group": "g"},
    ]
    with artifact.building(StageConfig(out=out), kind="corpus", command="test", inputs=[]) as build:
        for row in rows:
            tables.write(
                pa.Table.from_pylist([row]),
                tables.DOCUMENT,
                build.dir / "data" / row["lang"] / "part-00000.parquet",
            )
        (build.dir / "report.jsonl").write_text('{"text": "no document"}\n')
        return build.publish(rows=artifact.Rows(2, 2))


def test_an_artifact_and_files_together(tmp_path: Path) -> None:
    corpus = corpus_artifact(tmp_path / "corpus")
    file = tmp_path / "more.jsonl"
    file.write_text(
        json.dumps({"text": "drei", "metadata": {"lang": "de"}})
        + "\n"
        + json.dumps({"text": "\udc80 lone", "lang": "xx"})
        + "\n[]\n"
    )
    tally = Tally()
    found = list(documents((str(corpus), str(file)), tally))
    assert sorted((document.lang, document.text) for document in found) == [
        ("de", "drei"),
        ("en", "one"),
        ("es", "uno"),
    ]
    assert (tally.read, tally.kept) == (5, 3) and tally.dropped.total() == 2
    assert found[0].place == found[1].place == hash_place("g"), "documents of a group are held out together"
    assert inputs((str(corpus), str(file))) == [corpus, file]
    assert artifact.describe_input(inputs((str(corpus),))[0]).keys() == {"path", "manifest_sha256"}


def test_hashes_are_spread_evenly() -> None:
    places = sorted(hash_place(str(number)) for number in range(4000))
    assert all(abs(place - number / 4000) < 0.04 for number, place in enumerate(places))
    assert places[0] >= 0 and places[-1] < 1


def test_nothing_usable(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text('{"text": ""}\n')
    tally = Tally()
    assert list(documents((str(file),), tally)) == []
    with pytest.raises(UserError, match="empty-text 1"):
        require_some(tally, [str(file)])
