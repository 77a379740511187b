"""The command: what it writes, how it is read again, and that several processes write what one does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conan_data.artifact import open_artifact
from conan_data.errors import UserError
from conan_data.mining.encoder import load_encoder
from conan_train.encoding.config import EncodeConfig
from conan_train.encoding.encode import encode, load_embeddings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """40 usable rows, one of them without an id, and two that are not."""
    path = tmp_path / "rows.jsonl"
    texts = [f"list the files of folder {number} " * (1 + number % 9) for number in range(40)]
    lines = [json.dumps({"id": f"r{number}", "text": text}) for number, text in enumerate(texts)]
    lines[7] = json.dumps({"text": texts[7]})
    path.write_text("\n".join([*lines, "not json", json.dumps({"id": "x", "text": " "})]))
    return path


def texts_of(rows: Path) -> list[str]:
    return [json.loads(line)["text"] for line in rows.read_text().splitlines()[:40]]


def run(rows: Path, checkpoint: Path, out: Path, **options: object) -> Path:
    return encode(
        EncodeConfig(
            model=str(checkpoint), inputs=(str(rows),), out=out, device="cpu", shard_size=16, **options
        )
    )


def test_vectors_and_ids_of_rows(rows: Path, checkpoint: Path, tmp_path: Path) -> None:
    out = run(rows, checkpoint, tmp_path / "out")
    loaded = load_embeddings(out)
    encoder = load_encoder(checkpoint, device="cpu")
    expected = encoder.encode(texts_of(rows), kind="document")
    np.testing.assert_allclose(loaded.vectors[0:40], expected, atol=1e-3)
    names = [f"r{number}" for number in range(40)]
    assert loaded.ids.to_pylist() == [*names[:7], "rows.jsonl:8", *names[8:]]
    assert loaded.fingerprint == encoder.fingerprint == open_artifact(out).manifest["extra"]["fingerprint"]
    rows_read = open_artifact(out).rows
    assert (rows_read.read, rows_read.kept, sum(rows_read.dropped.values())) == (42, 40, 2)
    plain = np.concatenate(
        [np.load(path, allow_pickle=False) for path in sorted((out / "vectors").glob("shard-*"))]
    )
    np.testing.assert_array_equal(plain, loaded.vectors[0:40])


def test_cut_vectors_are_of_length_one_and_have_another_fingerprint(
    rows: Path, checkpoint: Path, tmp_path: Path
) -> None:
    whole = load_embeddings(run(rows, checkpoint, tmp_path / "whole"))
    cut = load_embeddings(run(rows, checkpoint, tmp_path / "cut", dims=8, storage="int8"))
    first = whole.vectors[0:40][:, :8].astype(np.float32)
    np.testing.assert_allclose(
        cut.vectors[0:40], first / np.linalg.norm(first, axis=1, keepdims=True), atol=1e-2
    )
    assert cut.fingerprint != whole.fingerprint and cut.vectors.dimension == 8
    with pytest.raises(UserError, match="dims"):
        run(rows, checkpoint, tmp_path / "more", dims=33)


def test_a_retrieval_set(checkpoint: Path, tmp_path: Path) -> None:
    from conan_data.mining.arrays import document_texts
    from conan_data.retrieval import read_retrieval

    data = read_retrieval("sample", "dev")
    encoder = load_encoder(checkpoint, device="cpu")
    for kind, table, texts in (
        ("document", data.corpus, list(document_texts(data.corpus))),
        ("query", data.queries, data.queries.column("text").to_pylist()),
    ):
        out = encode(
            EncodeConfig(
                model=str(checkpoint),
                data="sample",
                split="dev",
                kind=kind,
                out=tmp_path / kind,
                device="cpu",
            )
        )
        loaded = load_embeddings(out)
        assert loaded.ids.to_pylist() == table.column("_id").to_pylist()
        np.testing.assert_allclose(loaded.vectors[0:20], encoder.encode(texts[:20], kind=kind), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "inputs or data"),
        ({"inputs": ("a",), "data": "b"}, "not both"),
        ({"data": "b", "dims": 0}, "dims"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        EncodeConfig(model="m", out=tmp_path, **options)


def torchrun(
    rows: Path, checkpoint: Path, out: Path, *, inputs: str | None = None
) -> subprocess.CompletedProcess:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0"),
        *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--no-python"),
        *(sys.executable, "-c", "from conan_train.cli import run; run()", "encode"),
        *(
            "--model",
            checkpoint,
            "--inputs",
            inputs or rows,
            "--out",
            out,
            "--device",
            "cpu",
            "--shard-size",
            "16",
        ),
    ]
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_two_processes_write_what_one_writes(rows: Path, checkpoint: Path, tmp_path: Path) -> None:
    one = run(rows, checkpoint, tmp_path / "one")
    done = torchrun(rows, checkpoint, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    for name in ("one", "two"):
        assert (tmp_path / name / "manifest.json").is_file()
    for path in sorted((one / "vectors").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / "vectors" / path.name).read_bytes(), path.name
    assert load_embeddings(tmp_path / "two").ids.equals(load_embeddings(one).ids)
    again = torchrun(rows, checkpoint, tmp_path / "two")
    assert again.returncode == 0 and "done already" in again.stderr


@pytest.mark.slow
def test_a_wrong_input_ends_both_processes(rows: Path, checkpoint: Path, tmp_path: Path) -> None:
    done = torchrun(rows, checkpoint, tmp_path / "two", inputs=str(tmp_path / "missing.jsonl"))
    assert done.returncode != 0 and "no such file" in done.stderr


def test_messages_name_the_folder_that_is_there_afterwards(
    rows: Path, checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        out = run(rows, checkpoint, tmp_path / "out")
    assert str(out / "vectors") in caplog.text and ".partial" not in caplog.text
