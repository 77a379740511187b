"""One contrastive training step against the trainer of sentence-transformers: `python -m tests.benchmarks.step`.

16 queries with a positive and 7 negatives each, a decoder of 4 layers x 256, AdamW, float32, and documents of
110 tokens in the mean, as unequal in length as three real sets (`step_sides.QUANTILES`); both sides start from the same weights and must have the same loss at the first step
(`step_sides` says what a step is). The sides take turns after every step, so a slow minute hits all; a figure
is the median over the steps of all runs, the first of a run left out. With one thread, times are processor
time, as others may use the machine. `ratio_st` is the smallest of the three laws.

Then what the soft mask between its ends costs against the bidirectional mask, and how the peak of memory
grows with the batch: of a process of its own for each size, above what it held before the step.
"""

import argparse
import dataclasses
import json
import logging
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers
from tabulate import tabulate

from conan_train.step.contrastive import QueryBatch
from tests.benchmarks.step_sides import (
    LAWS,
    NUM_NEGATIVES,
    NUM_QUERIES,
    Ours,
    make_batches,
    make_rows,
    peer_steps,
    write_model,
)

ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
"""Keeps glibc from giving memory back and asking for it again at every step, for both sides."""
GROWTH = {"plain": (1, 2, 4), "gradcache": (1, 2, 4, 8, 16)}
"""Batch sizes of the table of memory, in times `NUM_QUERIES`; plain ends where a small machine would."""
SHORT = 30
"""Mean tokens of documents in the table of memory."""
Steps = dict[str, list[tuple[float, float]]]
Runs = dict[str, Iterator[tuple[float, float]]]


def speed(given: argparse.Namespace, law: str) -> dict[str, list[float]]:
    """Seconds of the steps of each side over one law."""
    seconds: dict[str, list[float]] = {"peer": [], "plain": [], "gradcache": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        write_model(folder)
        rows = make_rows(law, NUM_QUERIES * (1 + given.steps))
        batches = make_batches(rows, folder)
        sides = {
            way: Ours(folder, given.device, given.budget, grad_cache=way == "gradcache")
            for way in ("plain", "gradcache")
        }
        for _ in range(given.runs):
            runs = {way: side.steps(batches) for way, side in sides.items()}
            steps: Steps = {way: [] for way in sides}

            def between(runs: Runs = runs, steps: Steps = steps) -> None:
                for way, run in runs.items():
                    steps[way].append(next(run))

            steps["peer"] = peer_steps(
                rows, folder, device=given.device, work=Path(name) / "work", between=between
            )
            losses = [taken[0][1] for taken in steps.values()]
            assert all(math.isclose(loss, losses[0], rel_tol=1e-5) for loss in losses), losses
            for side, taken in steps.items():
                seconds[side] += [step for step, _ in taken[1:]]
    return seconds


def soft_mask(given: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of the steps of ours at both alphas."""
    seconds: dict[str, list[float]] = {"bidirectional": [], "soft": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        write_model(folder)
        batches = make_batches(make_rows("jaquad", NUM_QUERIES * 2), folder)
        sides = {"bidirectional": 1.0, "soft": 0.5}
        runs = {
            side: Ours(folder, given.device, given.budget, alpha=alpha).steps(
                [batches[0], *[batches[1]] * given.mask_steps]
            )
            for side, alpha in sides.items()
        }
        for place in range(given.mask_steps + 1):
            for side, steps in runs.items():
                taken, _ = next(steps)
                seconds[side] += [taken] if place else []
    return seconds


def memory(given: argparse.Namespace, growth: int, grad_cache: bool) -> float:
    """MB of the peak of the second step above what was held before it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        write_model(folder)
        num_queries = NUM_QUERIES * growth
        (small,) = make_batches(make_rows("jaquad", NUM_QUERIES, mean=SHORT), folder)
        (batch,) = make_batches(make_rows("jaquad", num_queries, mean=SHORT), folder, num_queries=num_queries)
        steps = Ours(folder, given.device, given.budget, grad_cache=grad_cache).steps([_few(small), batch])
        next(steps)
        if given.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            next(steps)
            return (torch.cuda.max_memory_allocated() - before) / 1e6
        # The peak so far is that of loading and of a step of a few texts, so both count from there.
        before = _status("VmRSS")
        next(steps)
        return (_status("VmHWM") - before) / 1e3


def _few(batch: QueryBatch) -> QueryBatch:
    """A batch of one query, to have weights, gradients and the optimiser's state in memory."""
    return dataclasses.replace(
        batch,
        query_tokens=[tokens[:8] for tokens in batch.query_tokens[:1]],
        document_tokens=[tokens[:8] for tokens in batch.document_tokens[: 1 + NUM_NEGATIVES]],
        document_rows=batch.document_rows[: 1 + NUM_NEGATIVES],
        document_groups=batch.document_groups[: 1 + NUM_NEGATIVES],
        positives=batch.positives[:1],
        negatives=batch.negatives[:1],
        known_rows=batch.known_rows[:1],
        known_groups=batch.known_groups[:1],
    )


def _status(key: str) -> int:
    """KB, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def part(given: argparse.Namespace, *arguments: object) -> object:
    """What a part gives in a process of its own; on a CPU what is timed is under the allocator's settings."""
    settings = {"OMP_NUM_THREADS": str(given.threads)}
    if given.device == "cpu" and arguments[0] != "memory":
        settings |= ALLOCATOR
    command = [sys.executable, "-m", "tests.benchmarks.step", *sys.argv[1:], "--part", *map(str, arguments)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **settings}
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_part(given: argparse.Namespace) -> object:
    torch.set_num_threads(given.threads)
    transformers.utils.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    name, *arguments = given.part
    if name == "speed":
        return speed(given, arguments[0])
    if name == "mask":
        return soft_mask(given)
    return memory(given, int(arguments[0]), arguments[1] == "gradcache")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--runs", type=int, default=1)
    options.add_argument("--steps", type=int, default=3, help="of a run, after its first")
    options.add_argument("--mask-steps", type=int, default=5)
    options.add_argument("--budget", type=int, help="padded tokens of a forward; 512 on a CPU, 16384 on CUDA")
    options.add_argument("--laws", nargs="*", choices=LAWS, default=LAWS)
    options.add_argument("--part", nargs="*", default=(), help=argparse.SUPPRESS)
    given = options.parse_args()
    given.budget = given.budget or (512 if given.device == "cpu" else 16384)
    if given.part:
        print(json.dumps(run_part(given)))
        return
    report(
        given,
        {law: part(given, "speed", law) for law in given.laws},
        part(given, "mask"),
        {way: [part(given, "memory", growth, way) for growth in sizes] for way, sizes in GROWTH.items()},
    )


def report(
    given: argparse.Namespace,
    seconds: dict[str, dict[str, list[float]]],
    mask: dict[str, list[float]],
    peaks: dict[str, list[float]],
) -> None:
    where = torch.cuda.get_device_name() if given.device == "cuda" else f"CPU, {given.threads} threads"
    texts = NUM_QUERIES * (2 + NUM_NEGATIVES)
    medians = {
        law: {side: statistics.median(s) for side, s in sides.items()} for law, sides in seconds.items()
    }
    print(f"{where}, buckets of {given.budget} tokens, {given.runs} runs of {given.steps} steps")
    print(
        tabulate(
            [
                [
                    law,
                    *(f"{texts / s:.1f}" for s in sides.values()),
                    *(f"{sides['peer'] / sides[way]:.2f}" for way in ("plain", "gradcache")),
                ]
                for law, sides in medians.items()
            ],
            headers=["texts/s", "sentence-transformers", "plain", "GradCache", "ratio", "ratio, GradCache"],
        )
    )
    print(
        tabulate(
            [[way, *(f"{peak:.0f}" for peak in values)] for way, values in peaks.items()],
            headers=["peak MB", *(f"{NUM_QUERIES * growth} queries" for growth in GROWTH["gradcache"])],
        )
    )
    ratios = {law: sides["peer"] / sides["plain"] for law, sides in medians.items()}
    cached = {law: sides["peer"] / sides["gradcache"] for law, sides in medians.items()}
    figures = {
        "ratio_st": min(ratios.values()),
        "ratio_st_gradcache": min(cached.values()),
        **{f"ratio_st_{law}": ratio for law, ratio in ratios.items()},
        **{f"ratio_st_gradcache_{law}": ratio for law, ratio in cached.items()},
        "soft_mask_overhead": statistics.median(mask["soft"]) / statistics.median(mask["bidirectional"]) - 1,
        f"memory_growth_plain_x{GROWTH['plain'][-1]}": peaks["plain"][-1] / peaks["plain"][0],
        f"memory_growth_gradcache_x{GROWTH['gradcache'][-1]}": peaks["gradcache"][-1] / peaks["gradcache"][0],
    }
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
