"""Mining by one process and by several real ones: the same artifact, to the byte."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conan_data import artifact

_WORKER = """
import sys
from dataclasses import replace
from pathlib import Path
from conan_data.mining import mine as stage
from conan_data.mining.config import MineConfig, SearchConfig, SelectionConfig
from conan_data.mining.hash_encoder import HashEncoder
from conan_data.mining.search.shared import SharedSearcher

encoder = HashEncoder(dimension=64)
stage.load_encoder = lambda *_, **__: encoder
calls = []
search = SharedSearcher.search
SharedSearcher.search = lambda self, queries, *a, **o: (calls.append(len(queries)), search(self, queries, *a, **o))[1]
folder, out, backend = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
config = MineConfig(
    out=out, keep_embeddings=True, data=str(folder / "set"), model=str(folder / "model"), device="cpu", memory="20MB", shard_size=50,
    select=SelectionConfig(pool_size=8, depth=40), search=SearchConfig(backend=backend, recall_sample=16),
)
stage.mine(config)
print("searches", len(calls), "shards", len(encoder.calls), flush=True)
# Again in the same processes.
stage.mine(replace(config, out=out.with_name(out.name + "-again")))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 600 documents of a few words out of 60, some with many answers, so that passes differ in
    width.
    """
    folder = tmp_path_factory.mktemp("shared")
    (folder / "set" / "qrels").mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "worker.py").write_text(_WORKER)
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in rng.integers(60, size=6)) for _ in range(600)]
    corpus = [{"_id": f"d{row}", "text": text} for row, text in enumerate(texts)]
    queries = [{"_id": f"q{row}", "text": " ".join(texts[row].split()[:4])} for row in range(90)]
    lines = ["query-id\tcorpus-id\tscore", *(f"q{row}\td{row}\t1" for row in range(90))]
    lines += [f"q0\td{row}\t1" for row in range(200, 400)]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / "set" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "set" / "qrels" / "train.tsv").write_text("\n".join(lines) + "\n")
    return folder


def mined(folder: Path, out: Path, *, world_size: int, backend: str = "exact") -> tuple[str, str]:
    """SHA-256 of what was published, and what the processes printed."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world_size}"]
    command = [sys.executable, *(launch if world_size > 1 else []), str(folder / "worker.py")]
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(
        [*command, str(folder), str(out), backend],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    again = out.with_name(out.name + "-again")
    hashes = [_published(folder) for folder in (out, again)]
    assert hashes[0] == hashes[1]
    return hashes[0], done.stdout


def _published(out: Path) -> str:
    """SHA-256 over the negatives and all vectors."""
    opened = artifact.open_artifact(out, kind="negatives")
    digest = hashlib.sha256()
    for path in [*opened.files(".parquet"), *opened.files(".npy")]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["exact", "ivf"])
def test_several_processes_publish_what_one_does(folder: Path, tmp_path: Path, backend: str) -> None:
    alone, printed = mined(folder, tmp_path / "alone", world_size=1, backend=backend)
    assert _counts(printed, "shards") == [2 + 12]
    for world_size in (2, 3):
        out = tmp_path / f"{world_size}"
        together, printed = mined(folder, out, world_size=world_size, backend=backend)
        assert together == alone
        searches, shards = _counts(printed, "searches"), _counts(printed, "shards")
        assert len(searches) == world_size and min(searches) > 1, "a rank took no part in the search"
        assert sum(shards) == 14 and min(shards) >= 4, "ranks did not share the encoding"
    _, printed = mined(folder, tmp_path / "2", world_size=2, backend=backend)
    assert _counts(printed, "searches") == [0, 0], "what is done already was searched again"


def _counts(printed: str, name: str) -> list[int]:
    """What each rank printed after `name`."""
    return [int(rest.split()[0]) for rest in printed.split(name)[1:]]
