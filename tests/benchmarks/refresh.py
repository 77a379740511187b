"""What a refresh of negatives costs and how far it agrees with a full one, by how deep it goes.

A small model is trained; at some steps the vectors of all texts are taken, and what a step and a text took. Every
way to refresh is then run between two such moments, at corpora of several sizes, with the miner that training uses
and an encoder that looks vectors up. Cost is the texts that a refresh encoded at the measured time of one, and the
measured time of all the rest (maps, search, selection), over the time of the steps between.

Corpora beyond the set are padded with other texts (further parts of the set's passages, documentation), and from
there on with rows that are no text: each mixes two vectors, the same two at all steps. A synthetic row moves with
its two texts, and misses the map as they do; what it would take to encode is computed. So figures at 1,000,000
documents are computed, not run.

    python -m tests.benchmarks.refresh --work runs/refresh
    python -m tests.benchmarks.refresh --size small

The first call trains and encodes (into `--work`, used again by the next). Figures: `overhead` and `agreement` of
the default at the largest corpus and N = 500 (the nearest there is).
"""

import argparse
import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch

from conan_data.mining.arrays import RetrievalArrays
from conan_data.mining.config import SelectionConfig
from conan_data.mining.embeddings import Embeddings
from conan_data.mining.pools import pools_of_vectors
from conan_data.mining.search.exact import ExactSearcher
from conan_data.mining.selection import Pools
from conan_data.pairs.pair_set import PairSet
from conan_data.retrieval import RetrievalSplit
from conan_train.negatives.depth.carry import fit_map
from conan_train.negatives.depth.window import WindowMiner
from conan_train.negatives.generation import Generation
from tests.benchmarks.refresh_snapshots import SETTINGS, Snapshots, take_snapshots

# Q queries, N documents, D dimensions

SELECTION = SelectionConfig(pool_size=16, depth=100)
NUM_NEGATIVES = 7
"""Whose agreement is measured; a step is taken at the setting's own number, where refreshing costs the larger share."""
MEMORY = 2_000_000_000
NOTHING = Generation(
    name="", step=-1, row_QP=np.zeros((0, 0), np.int32), score_QP=np.zeros((0, 0), np.float32)
)
Result = TypeVar("Result")


def main() -> None:
    arguments = parse()
    setting = SETTINGS[arguments.size]
    torch.set_num_threads(1)
    found: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(arguments.work or scratch)
        print(
            "data N documents: way, documents encoded, share of training: encoding, all; agreement at 7, at 1"
        )
        for name in arguments.data or setting.data:
            snapshots = take_snapshots(name, work, setting)
            for then, now in setting.pairs:
                for size in arguments.documents or setting.documents:
                    size = max(size, snapshots.pairs.arrays.num_documents)
                    world = World.of(snapshots, then, now, num_documents=size)
                    for row in measure(world, Path(scratch) / "miner", share=0.1):
                        print(
                            f"{name} {now - then:4} {size:8,}: {row['label']:24} {row['documents']:9,.0f}"
                            f"  {row['encoding']:7.3f} {row['share']:7.3f}  {row['agreement']:.3f} {row['first']:.3f}",
                            flush=True,
                        )
                        found.append({**row, "size": size, "steps": now - then})
    default = [
        row for row in found if str(row["label"]).startswith("window") and "," not in str(row["label"])
    ]
    largest = max(float(row["size"]) for row in default)
    of_largest = [row for row in default if row["size"] == largest]
    nearest = min(abs(float(row["steps"]) - 500) for row in of_largest)
    counted = [row for row in of_largest if abs(float(row["steps"]) - 500) == nearest]
    figures = {
        "overhead": max(float(row["share"]) for row in counted),
        "agreement": min(float(row["agreement"]) for row in counted),
    }
    print(json.dumps({**{name: round(value, 4) for name, value in figures.items()}, "documents": largest}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.refresh")
    parser.add_argument("--size", choices=sorted(SETTINGS), default="full")
    parser.add_argument("--work", help="folder for the vectors, which the next call uses again")
    parser.add_argument("--data", nargs="*", help="sets of ../shared/data/retrieval, or sample")
    parser.add_argument("--documents", nargs="*", type=int)
    return parser.parse_args()


@dataclasses.dataclass(frozen=True)
class World:
    """A set between two moments of a training; texts are the numbers of rows."""

    pairs: PairSet
    queries: tuple[np.ndarray, np.ndarray]
    """float32 [Q, D] then and now."""
    documents: tuple[np.ndarray, np.ndarray]
    steps: int
    batch_size: int
    training: float
    """Seconds of the steps between."""
    query_seconds: float
    document_seconds: float

    @classmethod
    def of(cls, snapshots: Snapshots, then: int, now: int, *, num_documents: int) -> "World":
        first, second = snapshots.at(then), snapshots.at(now)
        documents = grown(first.documents, second.documents, num_documents)
        pairs = numbered(snapshots.pairs.arrays.take_queries(snapshots.query_rows), num_documents)
        return cls(
            pairs=pairs,
            queries=(first.queries, second.queries),
            documents=documents,
            steps=now - then,
            batch_size=snapshots.batch_size,
            training=snapshots.step_seconds * (now - then),
            query_seconds=snapshots.query_seconds,
            document_seconds=snapshots.document_seconds,
        )


def grown(then_ND: np.ndarray, now_ND: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `number` rows, or all and mixtures of two each."""
    size = len(then_ND)
    rng = np.random.default_rng(0)
    more = max(0, number - size)
    first, second = rng.integers(0, size, (2, more))
    angle = rng.uniform(0.2, 0.6, (more, 1)).astype(np.float32)

    def mixed(vectors_ND: np.ndarray) -> np.ndarray:
        new = np.cos(angle) * vectors_ND[first] + np.sin(angle) * vectors_ND[second]
        return np.concatenate([vectors_ND[:number], new / np.linalg.norm(new, axis=1, keepdims=True)])

    return mixed(then_ND), mixed(now_ND)


def numbered(arrays: RetrievalArrays, num_documents: int) -> PairSet:
    """The set of `arrays` with documents added (or with the first ones only, which hold all positives)."""
    more = num_documents - arrays.num_documents
    assert more >= 0, "the corpus is smaller than the set's own"
    codes = np.arange(more, dtype=np.int32)
    arrays = dataclasses.replace(
        arrays,
        groups=np.concatenate([arrays.groups, np.full(more, -1, np.int32)]),
        texts=np.concatenate([arrays.texts, arrays.texts.max() + 1 + codes]),
    )

    def table(number: int) -> pa.Table:
        names = pa.array(np.arange(number)).cast(pa.string())
        return pa.table({"_id": names, "title": pa.nulls(number, pa.string()), "text": names})

    nothing = pa.table({})
    data = RetrievalSplit(
        corpus=table(num_documents), queries=table(arrays.num_queries), qrels=nothing, translations=nothing
    )
    return PairSet(
        data=data,
        arrays=arrays,
        query_sources=np.zeros(arrays.num_queries, np.int32),
        sources=("set",),
        document_languages=np.zeros(num_documents, np.int32),
        given_negative_row_QP=np.zeros((arrays.num_queries, 0), np.int32),
        num_read=arrays.num_queries,
    )


@dataclasses.dataclass
class Recorded:
    """Looks up what a model gave at a moment (0 then, 1 now)."""

    world: World
    moment: int
    seconds: float = 0.0

    @property
    def fingerprint(self) -> str:
        return f"moment {self.moment}"

    @property
    def dimension(self) -> int:
        return self.world.documents[0].shape[1]

    def encode(self, texts: Sequence[str], *, kind: str) -> np.ndarray:
        start = time.process_time()
        of = self.world.queries if kind == "query" else self.world.documents
        vectors = of[self.moment][np.array(texts, dtype=np.int64)]
        self.seconds += time.process_time() - start
        return vectors


def measure(world: World, folder: Path, *, share: float) -> list[dict[str, float | str]]:
    """A row for each way to refresh; the default has the name `window`."""
    window = np.arange(world.pairs.num_queries)
    query_cost = world.query_seconds / world.document_seconds
    # A window of fewer queries than training would see has as much less to spend.
    part = min(1.0, len(window) / (world.batch_size * world.steps))
    training = world.training * part
    sample = min(4096, max(64, int(0.25 * share * training / world.document_seconds)))
    full, seconds = timed(lambda: pools(world, world.documents[1], world.queries[1]))
    rows: list[dict[str, float | str]] = []

    def add(label: str, found: Pools, *, documents: float, queries: float, seconds: float) -> None:
        encoding = documents * world.document_seconds + queries * world.query_seconds
        rows.append(
            {
                "label": label,
                "documents": documents,
                "encoding": encoding / training,
                "share": (encoding + seconds) / training,
                "agreement": agreement(found, full),
                "first": agreement(found, full, number=1),
            }
        )

    num_documents, num_queries = len(world.documents[1]), len(window)
    add("full", full, documents=num_documents, queries=num_queries, seconds=seconds)
    stale = pools(world, world.documents[0], world.queries[0])
    add("nothing", stale, documents=0, queries=0, seconds=0)
    for label, documents_ND, encoded in carried(world, sample):
        found, seconds = timed(lambda documents_ND=documents_ND: pools(world, documents_ND, world.queries[1]))
        add(label, found, documents=encoded, queries=num_queries, seconds=seconds)
    start = miner_of(world, folder / "start", budget=0, query_cost=query_cost, sample=sample)
    start.mine(Recorded(world, 0), step=0, window=None, previous=NOTHING)
    for label, factor in (("window, half", 0.5), ("window, double", 2.0), ("window", 1.0)):
        shutil.copytree(folder / "start", folder / label)
        budget = int(factor * share * training / world.document_seconds)
        own = miner_of(world, folder / label, budget=budget, query_cost=query_cost, sample=sample)
        encoder = Recorded(world, 1)
        mining, seconds = timed(partial(own.mine, encoder, step=1, window=window, previous=NOTHING))
        add(
            label if mining.depth == "window" else f"{label} (became full)",
            mining.pools,
            documents=mining.num_documents,
            queries=mining.num_queries,
            seconds=seconds - encoder.seconds,
        )
        shutil.rmtree(folder / label)
    shutil.rmtree(folder / "start")
    return rows


def carried(world: World, sample: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Ways to know the documents of now without looking at the queries, and how many they encode."""
    then, now = world.documents
    rng = np.random.default_rng(1)
    yield "queries only", then, 0
    order = rng.permutation(len(then))
    some = order[:sample]
    yield "turned (Procrustes)", then @ turn(then[some], now[some]), sample
    fitted = fit_map(then[some], now[some], ridge=1e-3)
    yield "mapped", fitted(then), sample
    shard = order[: len(order) // 8]
    for label, stale in (("1/8 of the corpus", then), ("1/8, others mapped", fitted(then))):
        rotated = stale.copy()
        rotated[shard] = now[shard]
        yield label, rotated, len(shard)


def turn(then_SD: np.ndarray, now_SD: np.ndarray) -> np.ndarray:
    """The orthogonal matrix that is nearest to carrying one into the other."""
    left, _, right = np.linalg.svd(then_SD.T @ now_SD)
    return left @ right


def pools(world: World, documents_ND: np.ndarray, queries_QD: np.ndarray) -> Pools:
    vectors = [array.astype(np.float16) for array in (queries_QD, documents_ND)]
    queries, documents = (Embeddings([array], dimension=array.shape[1]) for array in vectors)
    searcher = ExactSearcher(memory=MEMORY)
    return pools_of_vectors(queries, documents, world.pairs.arrays, SELECTION, searcher=searcher)


def miner_of(world: World, folder: Path, *, budget: int, query_cost: float, sample: int) -> WindowMiner:
    return WindowMiner(
        pairs=world.pairs,
        selection=SELECTION,
        num_negatives=NUM_NEGATIVES,
        searcher=ExactSearcher(memory=MEMORY),
        folder=folder,
        budget=budget,
        query_cost=query_cost,
        sample=sample,
        max_error=1.0,
    )


def agreement(found: Pools, full: Pools, *, number: int = NUM_NEGATIVES) -> float:
    """Share of the first `number` negatives of the pools of `full` that are among those of `found`."""
    first, second = found.rows[:, :number], full.rows[:, :number]
    there = second >= 0
    same = (second[:, :, None] == first[:, None, :]).any(2)
    return float((same & there).sum() / max(1, max(there.sum(), (first >= 0).sum())))


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Processor seconds: a machine that does other things beside takes longer, but no more of these."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
