"""The whole command under a real limit of its process: what it holds does not grow with the corpus."""

import json
import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from datatrove.data import Document

from conan_data.artifact import Rows, open_artifact
from conan_data.corpus.documents import batches
from conan_data.corpus.parts import (
    BATCH_CHARACTERS,
    BATCH_ROWS,
    DROPPED,
    KEPT,
    PartTable,
    PartWriter,
    part_path,
)
from tests.benchmarks.corpus_scaling import WORDS, texts

PROGRAM = "from conan_data.cli import run; run()"
BASE = 500_000_000
"""Address space that the command takes beside `--memory`; of memory it takes some 300 MB."""
MEMORY = 40_000_000
LIMIT = BASE + MEMORY


def write(path: Path, num_documents: int) -> Path:
    """Documents of about 800 bytes, of them every tenth a near duplicate, every twentieth a copy."""
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts(num_documents, seed=1)):
            url = f"https://site{number % 1000}.org/{number}"
            file.write(json.dumps({"id": f"d{number % 5000}", "text": text, "lang": "en", "url": url}) + "\n")
    return path


def build(source: Path, out: Path, *flags: str, limit: int) -> tuple[int, str, int]:
    """The exit code, what was said, and the most that the process held beyond mapped files."""
    command = [sys.executable, "-c", PROGRAM, "build-corpus", "--input", str(source), "--out", str(out)]
    command += ["--languages", "en", "--min-lang-score", "1", "--rules.min-prose", "0"]
    command += ["--rules.min-stop-words", "0", *flags]
    # Threads of libraries take room for their stacks, as many as the machine has cores.
    process = subprocess.Popen(
        ["env", "OMP_NUM_THREADS=1", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    peak, over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, anonymous(process.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    _, said = process.communicate()
    over.set()
    thread.join()
    return process.returncode, said, peak


def anonymous(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon")), 0)


def rows(out: Path) -> Rows:
    return open_artifact(out, kind="corpus").rows


@pytest.mark.slow
def test_ten_times_the_corpus_needs_the_same_memory(tmp_path: Path) -> None:
    """All passes, from the first line on. Of the larger one the texts are several times the budget."""
    flags = ("--memory", str(MEMORY), "--dedup.url", "--rules.boilerplate-documents", "50")
    small, large = write(tmp_path / "small.jsonl", 10_000), write(tmp_path / "large.jsonl", 100_000)
    # Compiled code is kept from here on, and compiling takes more than running.
    build(small, tmp_path / "warm", *flags, limit=resource.RLIM_INFINITY)
    code, said, _ = build(small, tmp_path / "none", *flags, limit=BASE * 2 // 5)
    assert code != 0 and "memory" in said.lower(), "the limit does not limit"
    peaks = []
    for source, out, num in ((small, tmp_path / "out", 10_000), (large, tmp_path / "out-large", 100_000)):
        code, said, peak = build(source, out, *flags, limit=LIMIT)
        assert code == 0, said
        assert rows(out).read == num and rows(out).dropped["near-duplicate"] >= num // 30
        peaks.append(peak)
    print([f"{peak / 1e6:.0f} MB" for peak in peaks])
    assert peaks[1] < 1.1 * peaks[0] + MEMORY


LONG = ("--max-line-bytes", "300000000")


@pytest.fixture(scope="module")
def with_long_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 documents, and in their middle one of 200 MB, on one line."""
    path = write(tmp_path_factory.mktemp("long") / "in.jsonl", 300)
    lines = path.read_text(encoding="utf-8").splitlines()
    rng, words = np.random.default_rng(1), np.array(WORDS)
    text = "\n".join("The " + " ".join(words[rng.integers(0, len(words), 135)]) + "." for _ in range(260_000))
    assert 200_000_000 < len(text) < 230_000_000
    lines.insert(150, json.dumps({"id": "long", "text": text, "lang": "en"}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "times", "reason"),
    [
        pytest.param((), 0, "broken-line-too-long", id="quarantined"),
        pytest.param(LONG, 18, "too-long", id="dropped"),
        pytest.param((*LONG, "--rules.max-chars", "300000000"), 45, "", id="kept"),
    ],
)
def test_one_document_of_200_megabytes(
    tmp_path: Path, with_long_one: Path, flags: tuple[str, ...], times: int, reason: str
) -> None:
    """As it comes its line is never held; one that is read takes `times` its size of address space, and of
    memory half of that.
    """
    code, said, peak = build(
        with_long_one, tmp_path / "out", "--memory", str(MEMORY), *flags, limit=LIMIT + times * 230_000_000
    )
    assert code == 0, said
    found = rows(tmp_path / "out")
    assert found.read == 301 and found.dropped.get(reason, 0) == (1 if reason else 0)
    assert {reason for reason in found.dropped if "long" in reason} == ({reason} if reason else set())
    assert found.kept >= 250
    print(f"{peak / 1e6:.0f} MB")


def test_batches_of_a_part_are_bounded_whatever_is_dropped_between(tmp_path: Path) -> None:
    """A drop that fills a batch of its own table says nothing of the texts that wait in the other."""
    with PartWriter(tmp_path, 0) as part:
        for number in range(40):
            text = "x" * (BATCH_CHARACTERS // 8)
            values = {"file_number": 0, "row_number": number, "id": str(number), "text": text}
            part.add("kept", tuple(map(values.get, KEPT.names)), characters=len(text))
            for _ in range(BATCH_ROWS // 4):
                part.add("dropped", tuple(map({"id": str(number)}.get, DROPPED.names)))
    sizes = [batch.num_rows for batch in PartTable(part_path(tmp_path, "kept", 0)).batches]
    assert sizes == [8] * 5


def test_a_batch_ends_when_its_texts_are_long() -> None:
    documents = [Document("x" * size, str(size)) for size in (10, 90, 500, 1, 1, 1)]
    found = [[len(document.text) for document in batch] for batch in batches(iter(documents), 2, 100)]
    assert found == [[10, 90], [500], [1, 1], [1]]
