"""`conan-data build-corpus` against a stock datatrove pipeline of the same stages, on the same real text.

    python -m tests.benchmarks.corpus [--megabytes 20] [--runs 3] [--workers 1]

Stages of both: read JSON lines, rules (datatrove: Gopher repetition, Gopher quality, C4 quality, FineWeb quality),
MinHash deduplication (14 bands of 8, 5-grams), Parquet out. Ours also identifies languages, removes exact duplicates,
verifies near duplicates, hashes its output and writes the funnel; datatrove's language filter needs a download, so the
stock side has no language step, which is in its favour. Its thresholds are loosened so that both sides
carry about the same documents to the end; its tokenizer is the default one (spaCy, English). Each run is a process of
its own, start and imports included, with one thread a worker. The last line is one JSON object.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zstandard
from tabulate import tabulate

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "corpus"
LANGUAGES = "en ar bg bn bs ca cs da de el es fa fi fr hi id it ja ko lo ml ne nl no pl pt ro ru sr sv ta th tr uk uz zh"
LIMITS = dict.fromkeys(
    ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--megabytes", type=float, default=20, help="of JSON lines, taken evenly from all files"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes of either side")
    parser.add_argument("--stock", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.stock:
        stock(Path(options.stock), options.workers)
        return
    if not DATA.is_dir():
        sys.exit(f"{DATA}: no such directory; the benchmark needs the real corpus")
    with tempfile.TemporaryDirectory() as folder:
        num_documents, num_bytes = sample(Path(folder) / "in", options.megabytes)
        figures = [compare(Path(folder), options.workers) for _ in range(options.runs)]
    report(figures, num_documents=num_documents, num_bytes=num_bytes, workers=options.workers)


def sample(folder: Path, megabytes: float) -> tuple[int, int]:
    """Writes every n-th line of every file to `folder`, so that about `megabytes` come together in all languages."""
    files = sorted(DATA.glob("*.jsonl.zst"))
    lines = {
        file: zstandard.ZstdDecompressor().stream_reader(file.open("rb")).read().splitlines()
        for file in files
    }
    total = sum(len(line) for found in lines.values() for line in found)
    step = max(1, round(total / (megabytes * 1e6)))
    folder.mkdir()
    documents = size = 0
    for file, found in lines.items():
        # Runs of lines, since near duplicates stand close to each other.
        kept = [line for number, line in enumerate(found) if number // 200 % step == 0]
        (folder / file.name.removesuffix(".zst")).write_bytes(b"\n".join(kept) + b"\n")
        documents += len(kept)
        size += sum(len(json.loads(line)["text"].encode()) for line in kept)
    return documents, size


def compare(folder: Path, workers: int) -> dict[str, float]:
    """One run of each side: seconds and peak memory of the largest process."""
    for name in ("ours", "stock"):
        shutil.rmtree(folder / name, ignore_errors=True)
    ours = [
        *(sys.executable, "-c", "from conan_data.cli import run; run()", "build-corpus"),
        *("--input", str(folder / "in"), "--languages", *LANGUAGES.split()),
        *("--out", str(folder / "ours"), "--workers", str(workers), "--rules.min-prose", "0"),
    ]
    theirs = [
        sys.executable,
        "-m",
        "tests.benchmarks.corpus",
        "--stock",
        str(folder),
        "--workers",
        str(workers),
    ]
    own_seconds, own_peak = timed(ours)
    stock_seconds, stock_peak = timed(theirs)
    kept = json.loads((folder / "ours" / "manifest.json").read_text())["rows"]["kept"]
    import pyarrow.dataset

    stock_kept = pyarrow.dataset.dataset(folder / "stock" / "out", format="parquet").count_rows()
    return {
        "seconds": own_seconds,
        "stock_seconds": stock_seconds,
        "peak_mb": own_peak,
        "stock_peak_mb": stock_peak,
        "kept": kept,
        "stock_kept": stock_kept,
    }


def timed(command: list[str]) -> tuple[float, float]:
    """Wall-clock seconds, and megabytes of the largest process, of a command that must succeed."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **LIMITS}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(errors.decode()[-2000:])
    return time.monotonic() - start, usage.ru_maxrss / 1024


def stock(folder: Path, workers: int) -> None:
    """The same stages by datatrove alone."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline import dedup, filters
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import ParquetWriter

    from tests.benchmarks.stock import hash_text_again

    hash_text_again()
    place = {
        name: str(folder / "stock" / name)
        for name in ("filtered", "signatures", "buckets", "remove", "out", "logs")
    }
    config = dedup.minhash.MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    rules = [
        filters.GopherRepetitionFilter(),
        filters.GopherQualityFilter(
            min_doc_words=8, min_stop_words=0, max_symbol_word_ratio=1.0, max_non_alpha_words_ratio=0.0,
            min_avg_word_length=1, max_avg_word_length=100, max_bullet_lines_ratio=1.0,
        ),
        filters.C4QualityFilter(
            filter_no_terminal_punct=False, min_num_sentences=1, min_words_per_line=1, filter_curly_bracket=False, filter_javascript=False,
        ),
        filters.FineWebQualityFilter(line_punct_thr=0.0, short_line_thr=1.0, char_duplicates_ratio=1.0, new_line_ratio=10.0),
    ]  # fmt: skip
    steps: list[tuple[list[Any], int]] = [
        ([JsonlReader(str(folder / "in"), glob_pattern="*.jsonl"), *rules, writer(place["filtered"])], workers),
        ([reader(place["filtered"]), dedup.MinhashDedupSignature(place["signatures"], config)], workers),
        ([dedup.MinhashDedupBuckets(place["signatures"], place["buckets"], config=config)], config.num_buckets),
        ([dedup.MinhashDedupCluster(place["buckets"], place["remove"], config=config)], 1),
        ([reader(place["filtered"]), dedup.MinhashDedupFilter(place["remove"]), ParquetWriter(place["out"], adapter=id_and_text)], workers),
    ]  # fmt: skip
    for number, (pipeline, tasks) in enumerate(steps):
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=workers, logging_dir=f"{place['logs']}/{number}"
        ).run()


def id_and_text(_: Any, document: Any) -> dict[str, str]:
    """What is written of a document: its metadata differ between files, and the schema is that of the first row."""
    return {"id": document.id, "text": document.text}


def writer(folder: str) -> Any:
    from datatrove.pipeline.writers import JsonlWriter

    return JsonlWriter(folder, compression=None)


def reader(folder: str) -> Any:
    from datatrove.pipeline.readers import JsonlReader

    return JsonlReader(folder)


def report(figures: list[dict[str, float]], *, num_documents: int, num_bytes: int, workers: int) -> None:
    middle = {name: statistics.median(run[name] for run in figures) for name in figures[0]}
    ratio = statistics.median(run["stock_seconds"] / run["seconds"] for run in figures)
    megabytes = num_bytes / 1e6
    rows = [
        ["conan-data build-corpus", middle["seconds"], megabytes / middle["seconds"] / workers, middle["peak_mb"], middle["kept"]],
        ["datatrove", middle["stock_seconds"], megabytes / middle["stock_seconds"] / workers, middle["stock_peak_mb"], middle["stock_kept"]],
    ]  # fmt: skip
    print(
        f"{num_documents:,} documents, {megabytes:.1f} MB of text, {workers} workers, median of {len(figures)} runs"
    )
    print(
        tabulate(
            rows,
            headers=["", "seconds", "MB/s/worker", "peak MB", "kept"],
            floatfmt=(None, ".1f", ".2f", ".0f", ",.0f"),
        )
    )
    print(f"ratio {ratio:.1f}")
    last = {"ratio_stock": ratio, "mb_per_s": megabytes / middle["seconds"], "peak_mb": middle["peak_mb"], "runs": len(figures),
            "megabytes": megabytes, "documents": num_documents, "workers": workers}  # fmt: skip
    print(json.dumps({name: round(value, 3) for name, value in last.items()}))


if __name__ == "__main__":
    main()
