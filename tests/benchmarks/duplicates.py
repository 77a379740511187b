"""From signatures to the documents that are kept, against datatrove's: `python -m tests.benchmarks.duplicates`.

Both sides begin with the signatures of one file, have one process, and end with the kept documents in Parquet.
Stock: MinhashDedupBuckets for all buckets, Cluster, and Filter between its reader and its writer. Ours: all
passes of a real build after the first, which also look for exact copies, tell equal ids apart, compare
candidates by their exact similarity, and write the trace of the drops and the index. `grouping` is stock's
Buckets and Cluster against our passes up to the components, so without comparing and writing. Times are
processor time, of runs that take turns; figures are medians.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import orjson
from datatrove.utils.logging import logger
from tabulate import tabulate

from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.search import compare_components, find_components
from conan_data.corpus.execution.config import ExecutorConfig
from conan_data.corpus.order import write_order
from conan_data.corpus.output.plan import make_plan
from conan_data.corpus.parts import KEPT, Parts, PartWriter
from conan_data.corpus.passes import Runner, run_pass
from conan_data.corpus.steps.output import WriteOutput
from conan_data.corpus.workspace import Workspace, opened
from tests.benchmarks.near_duplicates import inject
from tests.benchmarks.stock import SplitTokenizer
from tests.benchmarks.stock_minhash import (
    CONFIG,
    stock_clusters,
    stock_filter,
    stock_signatures,
)

Times = dict[str, float]
STAGES = ("grouping", "comparing", "writing")


def write_part(folder: Path, texts: Sequence[str]) -> Workspace:
    """The part that a first pass leaves of `texts`."""
    family = MinHash.from_config(CONFIG)
    with PartWriter(folder, 0) as part:
        number = 0
        while batch := texts[number : number + 256]:
            found = family.fingerprints(batch)
            for text, exact, keys in zip(batch, found.exact, found.keys):
                values = {
                    **{"file_number": 0, "row_number": number, "file": "rows.jsonl", "place": number},
                    **{"id": str(number), "text": text, "lang": "en"},
                    **{"exact_hash": exact.tobytes(), "band_keys": keys.tobytes()},
                }
                part.add("kept", tuple(values.get(name) for name in KEPT.names), characters=len(text))
                number += 1
    write_order(Parts(folder, 1), folder)
    stamp = (folder / "positions").stat().st_mtime_ns
    return Workspace(folder, 1, CONFIG, (), bits=0, worker_bytes=1 << 30, stamp=stamp)


def our_times(work: Workspace, out: Path) -> Times:
    """Seconds of each stage, after all that an earlier run left is gone."""
    shutil.rmtree(work.scratch, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    opened.cache_clear()
    runner = Runner(ExecutorConfig(), 1, work.folder / "log")

    def write() -> None:
        output = WriteOutput(work, make_plan(work, 1_000_000), out)
        run_pass(output, output.num_tasks, runner)

    return timed(
        [lambda: find_components(work, runner), lambda: compare_components(work, runner), write], STAGES
    )


def stock_times(rows: Path, signatures: Path, out: Path) -> Times:
    shutil.rmtree(out, ignore_errors=True)
    return timed(
        [lambda: stock_clusters(signatures, out), lambda: stock_filter(rows, out)], ("grouping", "writing")
    )


def timed(calls: Sequence[Callable[[], object]], names: Sequence[str]) -> Times:
    times = {}
    for name, call in zip(names, calls, strict=True):
        start = time.process_time()
        call()
        times[name] = time.process_time() - start
    return times


def measured(
    work: Workspace, rows: Path, signatures: Path, folder: Path, *, runs: int, repeats: int
) -> Iterator[tuple[Times, Times]]:
    """Times of both sides, ours as the mean of `repeats` runs."""
    our_times(work, folder / "ours")
    for _ in range(runs):
        stock = stock_times(rows, signatures, folder / "stock")
        ours = [our_times(work, folder / "ours") for _ in range(repeats)]
        yield {stage: statistics.mean(run[stage] for run in ours) for stage in STAGES}, stock


def ratios(times: Sequence[tuple[Times, Times]]) -> dict[str, float]:
    """`ratio_buckets`, from signatures to what is kept, and `ratio_grouping`."""
    return {
        "ratio_buckets": statistics.median(sum(stock.values()) / sum(ours.values()) for ours, stock in times),
        "ratio_grouping": statistics.median(stock["grouping"] / ours["grouping"] for ours, stock in times),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--texts", type=int, default=8000)
    options.add_argument("--copies", type=int, default=2000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--repeats", type=int, default=5, help="of our side in a run")
    given = options.parse_args()
    logger.remove()
    texts = inject(given.texts, given.copies, seed=1).texts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = folder / "rows"
        rows.mkdir()
        lines = [orjson.dumps({"id": str(n), "text": text}) for n, text in enumerate(texts)]
        (rows / "rows.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        stock_signatures(rows, folder / "signatures", SplitTokenizer())
        work = write_part(folder / "parts", texts)
        times = list(
            measured(
                work, rows, folder / "signatures", folder / "out", runs=given.runs, repeats=given.repeats
            )
        )
    per_document = 1e6 / len(texts)
    middle = [
        {
            stage: statistics.median(run[side][stage] for run in times) * per_document
            for stage in times[0][side]
        }
        for side in (0, 1)
    ]
    print(f"{len(texts):,} texts, {given.copies:,} of them copies, {given.runs} runs, one process")
    print(
        tabulate(
            [[stage, middle[0][stage], middle[1].get(stage)] for stage in STAGES],
            headers=["microseconds a document", "ours", "datatrove"],
            floatfmt=".2f",
        )
    )
    figures = ratios(times)
    print(", ".join(f"{name} {value:.1f}" for name, value in figures.items()))
    figures |= {f"us_{stage}": value for stage, value in middle[0].items()}
    figures |= {f"stock_us_{stage}": value for stage, value in middle[1].items()}
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
