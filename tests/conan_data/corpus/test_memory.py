"""The passes after the first under a real limit of the process: what they hold does not grow with the corpus."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys, threading
from pathlib import Path
import numpy as np
from conan_data.corpus.dedup.buckets import BAND
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.search import find_duplicates
from conan_data.corpus.dedup.spill import bits_for
from conan_data.corpus.order import write_order
from conan_data.corpus.output.plan import make_plan
from conan_data.corpus.parts import KEPT, PartWriter, Parts
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.passes import Runner, run_pass
from conan_data.corpus.steps.output import WriteOutput
from conan_data.corpus.workspace import Workspace

folder, num, memory, room = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rng = np.random.default_rng(1)
words = np.array([f"word{number}" for number in range(500)])

def status(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) * 1024

with PartWriter(folder / "parts-1", 0) as part:
    for number in range(num):
        if number % 50 != 49:
            text, keys = " ".join(words[rng.integers(0, 500, 100)]), rng.integers(0, 2**63, 14)
        elif number % 100 == 99:
            text += " more"  # a near duplicate of the one before
        values = {
            **{"file_number": 0, "row_number": number, "file": "f", "place": number, "id": f"d{number % 1000}"},
            **{"text": text, "lang": "en", "exact_hash": hash(text).to_bytes(16, "big", signed=True)},
            **{"band_keys": keys.astype(np.uint64).tobytes()},
        }
        part.add("kept", tuple(map(values.get, KEPT.names)), characters=len(text))

limit = status("VmData") + room
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
peak, start, over = 0, status("RssAnon"), threading.Event()

def watch():
    global peak
    while not over.wait(0.01):
        peak = max(peak, status("RssAnon") - start)

thread = threading.Thread(target=watch)
thread.start()
parts = Parts(folder / "parts-1", 1)
write_order(parts, parts.folder)
bits = bits_for(num * 14 * BAND.itemsize, memory // 8)
work = Workspace(parts.folder, 1, DedupConfig(), (), bits, memory, 1)
find_duplicates(work, Runner(ExecutorConfig(), 1, folder / "log"))
plan = make_plan(work, 50_000)
output = WriteOutput(work, plan, folder / "out")
output.out.mkdir()
run_pass(output, output.num_tasks, Runner(ExecutorConfig(), 1, folder / "log"))
over.set()
thread.join()
print(sum(plan.documents.values()), plan.duplicates.get("near-duplicate", {}).get("en", 0), peak)
"""
MEMORY = 16_000_000
ROOM = 250_000_000


def run(folder: Path, num_documents: int) -> tuple[int, int, int]:
    """Documents kept, near duplicates, peak bytes."""
    arguments = [sys.executable, "-c", PROGRAM, str(folder), str(num_documents), str(MEMORY), str(ROOM)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    kept, near, peak = map(int, done.stdout.split())
    return kept, near, peak


@pytest.mark.slow
def test_ten_times_the_corpus_needs_the_same_memory(tmp_path: Path) -> None:
    """The records of the larger one are several times the budget, its texts ten times."""
    small, large = run(tmp_path / "small", 20_000), run(tmp_path / "large", 200_000)
    assert small[0] + small[1] == 20_000 - 200 and large[0] + large[1] == 200_000 - 2000
    assert small[1] == 200 and large[1] == 2000
    assert large[2] < 1.25 * small[2] + 10_000_000
    print(f"{small[2] / 1e6:.0f} MB, {large[2] / 1e6:.0f} MB")
