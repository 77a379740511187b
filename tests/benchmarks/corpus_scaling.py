"""Time and memory of `build-corpus` as the input grows: 1, 4 and 16 times as many documents.

    python -m tests.benchmarks.corpus_scaling [--documents 20000] [--memory 200MB] [--workers 1]

Documents are made up (about 800 bytes; every tenth is a near duplicate, every twentieth a copy). Memory is what
the process and its workers hold beyond files that are mapped, sampled; time is of the wall.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from conan_data.corpus.build import build_corpus
from conan_data.corpus.config import BuildCorpusConfig
from conan_data.corpus.rules.config import RulesConfig

SIZES = (1, 4, 16)
WORDS = [
    f"{a}{b}{c}"
    for a in ("ba", "de", "ki", "lo", "mu", "ra", "st", "tre", "vi", "wo")
    for b in ("n", "r", "ll", "ss", "m", "ck", "t", "nd")
    for c in ("a", "e", "ing", "er", "ed", "ly", "o", "ion", "ent", "s")
]


def texts(num: int, seed: int) -> Iterator[str]:
    """About 800 bytes each."""
    rng = random.Random(seed)
    earlier: list[str] = []
    for number in range(num):
        if earlier and number % 20 == 0:
            yield rng.choice(earlier)
        elif earlier and number % 10 == 0:
            words = rng.choice(earlier).split()
            words[rng.randrange(len(words))] = "changed"
            yield " ".join(words)
        else:
            made = "The " + " ".join(rng.choices(WORDS, k=135)) + "."
            if len(earlier) < 1000:
                earlier.append(made)
            elif number % 7 == 0:
                earlier[rng.randrange(1000)] = made
            yield made


def write_input(path: Path, num: int) -> int:
    """Writes `num` documents as JSON lines; returns their bytes."""
    size = 0
    with open(path, "w", encoding="utf-8") as file:
        for number, text in enumerate(texts(num, seed=1)):
            size += len(text)
            url = f"https://site{number % 1000}.org/{number}"
            file.write(json.dumps({"id": f"d{number}", "text": text, "lang": "en", "url": url}) + "\n")
    return size


def anonymous_mb(pid: int) -> float:
    """What a process holds beyond mapped files, its children included."""
    total = 0.0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                total += int(line.split()[1]) / 1024
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            total += anonymous_mb(int(child))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def build(source: Path, out: Path, memory: str, workers: int) -> None:
    config = BuildCorpusConfig(
        out=out, input=(str(source),), languages=("en", "de"), min_lang_score=1.0, memory=memory,
        rules=RulesConfig(min_prose=0.0, min_stop_words=0), workers=workers, shard_documents=50_000,
    )  # fmt: skip
    build_corpus(config)


def measure(source: Path, out: Path, memory: str, workers: int) -> tuple[float, float]:
    """Seconds and peak MB of a build in a process of its own."""
    child = multiprocessing.get_context("spawn").Process(target=build, args=(source, out, memory, workers))
    start = time.perf_counter()
    child.start()
    peak, done = 0.0, threading.Event()
    while child.is_alive():
        peak = max(peak, anonymous_mb(child.pid or 0))
        done.wait(0.05)
    child.join()
    if child.exitcode:
        raise SystemExit(f"the build of {source.name} ended with {child.exitcode}")
    return time.perf_counter() - start, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--memory", default="200MB")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in SIZES:
            num = size * arguments.documents
            source = folder / f"{size}.jsonl"
            num_bytes = write_input(source, num)
            seconds, peak = measure(source, folder / f"out-{size}", arguments.memory, arguments.workers)
            rows.append((size, num, seconds, num_bytes / 1e6 / seconds, peak))
            print(
                f"{size:3}x {num:9,} documents {seconds:8.1f} s {rows[-1][3]:6.2f} MB/s {peak:7.0f} MB",
                flush=True,
            )
    growth = np.polyfit(np.log([row[1] for row in rows]), np.log([row[2] for row in rows]), 1)[0]
    figures = {"exponent": round(float(growth), 3), "seconds": [round(row[2], 1) for row in rows]}
    figures |= {"mb_per_s": round(rows[-1][3], 2), "peak_mb": [round(row[4]) for row in rows]}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
