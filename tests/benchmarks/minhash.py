"""MinHash against datatrove's own: `python -m tests.benchmarks.minhash`.

Signature stage: from a file of JSON lines to band keys on disk, sorted, on one core; the peers are datatrove's
MinhashDedupSignature behind its JsonlReader, with its default tokenizer (spaCy) and with words between white
space. Ours computes the exact hashes as well. Second part: from signatures to the documents that stay (see
`duplicates`). Times are processor time, of runs that take turns; figures are medians.

Recall is over injected pairs, true similarity by brute force (`near_duplicates`). Ours are the pairs with an
equal key whose exact similarity is at least the threshold; stock's are those with an equal key. Precision is
over all pairs that are reported, natural ones as well.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import orjson
from datatrove.utils.logging import logger
from tabulate import tabulate

from conan_data.corpus.dedup import arrays, kernels
from conan_data.corpus.dedup.minhash import MinHash
from conan_data.corpus.dedup.shingles import jaccard, shingles
from conan_data.readers import Row, read_rows
from tests.benchmarks import duplicates
from tests.benchmarks.near_duplicates import NGRAM, inject, true_similarity
from tests.benchmarks.stock import SplitTokenizer
from tests.benchmarks.stock_minhash import CONFIG, STOCK, stock_signatures

BATCH = 256
Pairs = set[tuple[int, int]]


def our_signatures(file: Path, out: Path, path: type[kernels] | type[arrays]) -> None:
    """Band keys [B, N], each band's documents sorted by key."""
    family = MinHash.from_config(CONFIG)
    keys, has_keys = [], []
    rows = (row for row in read_rows(file) if isinstance(row, Row))
    while batch := [row.values["text"] for row in itertools.islice(rows, BATCH)]:
        found = path.fingerprints(batch, family.factors, family.summands, family.num_bands, family.ngram)
        keys.append(found.keys)
        has_keys.append(found.has_keys)
    joined = np.ascontiguousarray(np.concatenate(keys).T)
    np.savez(out, keys=joined, order=np.argsort(joined, axis=1), has_keys=np.concatenate(has_keys))


def equal_keys(bands: Iterable[Iterable[tuple[object, int]]]) -> Pairs:
    """Pairs of documents that share a key in a band of (key, document)."""
    pairs: Pairs = set()
    for band in bands:
        members: defaultdict[object, list[int]] = defaultdict(list)
        for key, document in band:
            members[key].append(document)
        for found in members.values():
            pairs.update(itertools.combinations(sorted(found), 2))
    return pairs


def stock_pairs(folder: Path) -> Pairs:
    record = np.dtype([("sig", f"V{8 * STOCK.hashes_per_bucket}"), ("document", "<u4")])
    found = (np.fromfile(file, dtype=record) for file in sorted(folder.rglob("*.minhash.sig")))
    return equal_keys(zip((s.tobytes() for s in band["sig"]), band["document"].tolist()) for band in found)


def our_pairs(keys: np.ndarray, has_keys: np.ndarray, texts: list[str]) -> Pairs:
    """With an equal key and as similar as the threshold."""
    documents = np.flatnonzero(has_keys).tolist()
    candidates = equal_keys(zip(band[documents].tolist(), documents) for band in keys)
    grams = [shingles(text, NGRAM) for text in texts]
    return {pair for pair in candidates if jaccard(grams[pair[0]], grams[pair[1]]) >= CONFIG.threshold}


def seconds(call: Callable[..., object], *given: object, repeats: int = 1) -> float:
    start = time.process_time()
    for _ in range(repeats):
        call(*given)
    return (time.process_time() - start) / repeats


def recall(found: Pairs, truth: dict[tuple[int, int], float], least: float) -> float:
    wanted = {pair for pair, similarity in truth.items() if similarity >= least}
    return len(wanted & found) / len(wanted)


def precision(found: Pairs, texts: list[str]) -> float:
    return statistics.mean(true_similarity(texts[a], texts[b]) >= CONFIG.threshold for a, b in found)


def measured(file: Path, work: Path, runs: int, repeats: int) -> Iterator[dict[str, float]]:
    """Seconds of each side of the signature stage, one run after the other."""
    (work / "few").mkdir()
    (work / "few" / "rows.jsonl").write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:20]))
    sides: dict[str, Callable[[Path], object]] = {
        "stock": lambda path: stock_signatures(path.parent, work / "stock", "en"),
        "whitespace": lambda path: stock_signatures(path.parent, work / "whitespace", SplitTokenizer()),
        "compiled": lambda path: our_signatures(path, work / "compiled.npz", kernels),
        "numpy": lambda path: our_signatures(path, work / "numpy.npz", arrays),
    }
    for call in sides.values():
        call(work / "few" / "rows.jsonl")
    for _ in range(runs):
        yield {
            name: seconds(call, file, repeats=1 if name in ("stock", "whitespace") else repeats)
            for name, call in sides.items()
        }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--texts", type=int, default=8000)
    options.add_argument("--copies", type=int, default=6000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--repeats", type=int, default=5, help="of our side in a run")
    given = options.parse_args()
    logger.remove()
    injected = inject(given.texts, given.copies, seed=1)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "rows").mkdir()
        file = work / "rows" / "rows.jsonl"
        rows = [orjson.dumps({"id": str(n), "text": text}) for n, text in enumerate(injected.texts)]
        file.write_bytes(b"\n".join(rows) + b"\n")
        megabytes = file.stat().st_size / 1e6
        times = list(measured(file, work, given.runs, given.repeats))
        ours, plain = (np.load(work / f"{side}.npz") for side in ("compiled", "numpy"))
        assert all((ours[name] == plain[name]).all() for name in ("keys", "has_keys"))
        keys, has_keys = ours["keys"], ours["has_keys"]
        cluster_times = duplicates.measured(
            duplicates.write_part(work / "parts", injected.texts),
            work / "rows",
            work / "stock",
            work / "clusters",
            runs=given.runs,
            repeats=given.repeats,
        )
        cluster_ratios = duplicates.ratios(list(cluster_times))
        found = {
            "": our_pairs(keys, has_keys, injected.texts),
            "stock_": stock_pairs(work / "stock"),
            "whitespace_": stock_pairs(work / "whitespace"),
        }
    report(times, megabytes, found, injected.texts, injected.pairs, cluster_ratios)


def report(
    times: list[dict[str, float]],
    megabytes: float,
    found: dict[str, Pairs],
    texts: list[str],
    truth: dict[tuple[int, int], float],
    cluster_ratios: dict[str, float],
) -> None:
    def ratio(peer: str, side: str) -> float:
        return statistics.median(run[peer] / run[side] for run in times)

    quality = {
        prefix: {
            "recall_08": recall(pairs, truth, 0.8),
            "recall_09": recall(pairs, truth, 0.9),
            "precision_07": precision(pairs, texts),
        }
        for prefix, pairs in found.items()
    }
    speeds = {side: megabytes / statistics.median(run[side] for run in times) for side in times[0]}
    print(f"{len(texts):,} texts, {megabytes:.1f} MB of JSON lines, {len(times)} runs, one core")
    print(
        tabulate(
            [
                [side, f"{speed:.2f}", f"{ratio('stock', side):.1f}", f"{ratio('whitespace', side):.1f}"]
                for side, speed in speeds.items()
            ],
            headers=["signature stage", "MB/s", "times stock", "times stock, white space"],
        )
    )
    rows = [[prefix or "ours", *(f"{v:.4f}" for v in values.values())] for prefix, values in quality.items()]
    print(tabulate(rows, headers=["", "recall >= .8", "recall >= .9", "precision at .7"]))
    print("times stock, from signatures on: " + ", ".join(f"{n} {r:.1f}" for n, r in cluster_ratios.items()))
    figures = {
        "ratio_stock": ratio("stock", "compiled"),
        "ratio_whitespace": ratio("whitespace", "compiled"),
        "ratio_stock_numpy": ratio("stock", "numpy"),
        "ratio_whitespace_numpy": ratio("whitespace", "numpy"),
        **cluster_ratios,
        **{f"{prefix}{name}": value for prefix, values in quality.items() for name, value in values.items()},
        **{f"mb_per_s_{side}": speed for side, speed in speeds.items()},
    }
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
