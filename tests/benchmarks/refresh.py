"""What a refresh of negatives costs and how far it agrees with a full one, by how deep it goes.

A small model is fine-tuned; at some steps the vectors of all texts are taken, and what a step and a text took. Every
way to refresh is then run between two such moments, for the queries of as many steps as lie between them, at corpora
of several sizes, with the miner and the budget that training uses and an encoder that looks vectors up. Cost is the
texts that a refresh encoded at the measured time of one, and the measured time of all the rest (maps, search,
selection), over the time of the steps between; all of it processor time of one thread.

*Agreement* is the share of a full refresh's negatives that are chosen; *hardness* is the mean true score of what is
chosen, on a scale where keeping the old pools is 0 and a full refresh 1.

Corpora beyond the set are padded with other texts (further parts of the set's passages, documentation), and from
there on with rows that are no text: each mixes two vectors, the same two at all steps. A synthetic row moves with
its two texts, and misses the map as they do; what it would take to encode is computed. So figures at 1,000,000
documents are computed, not run.

    python -m tests.benchmarks.refresh --work runs/refresh
    python -m tests.benchmarks.refresh --size small

The first call trains and encodes (into `--work`, used again by the next). Figures: `overhead` and `agreement` of
the default at the largest corpus and N = 500 (the nearest there is), of the pair of moments and the set where it
does worst.
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
from conan_data.mining.search.exact import ExactSearcher
from conan_data.mining.selection import Pools
from conan_data.pairs.pair_set import PairSet
from conan_data.retrieval import RetrievalSplit
from conan_train.negatives.depth.budget import refresh_budget
from conan_train.negatives.depth.carry import fit_map
from conan_train.negatives.depth.config import RefreshConfig
from conan_train.negatives.depth.window import WindowMiner
from conan_train.negatives.generation import Generation
from tests.benchmarks.refresh_snapshots import (
    MEMORY,
    SELECTION,
    SETTINGS,
    Snapshots,
    mined_pools,
    take_snapshots,
)

# Q queries, N documents, D dimensions, P places of a pool

DEFAULT = RefreshConfig()
SHARE = 0.1
"""Of training time: the budget that the default is given, and the goal."""
LARGE = 200_000
"""From here on only the default is run, with half and double its budget."""
NOTHING = Generation(
    name="", step=-1, row_QP=np.zeros((0, 0), np.int32), score_QP=np.zeros((0, 0), np.float32)
)
HEADERS = "set, moments, documents: way: texts encoded, share of training: encoding, all; agreement, of the first; hardness"
Result = TypeVar("Result")


def main() -> None:
    arguments = parse()
    setting = SETTINGS[arguments.size]
    if arguments.moments:
        named = [moments.split("-") for moments in arguments.moments]
        setting = dataclasses.replace(setting, pairs=tuple((int(then), int(now)) for then, now in named))
    torch.set_num_threads(1)
    found: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(arguments.work or scratch)
        print(HEADERS)
        for name in arguments.data or setting.data:
            snapshots = take_snapshots(name, work, setting)
            print(
                f"{name}: seconds of a step {snapshots.step_seconds:.4f}, of a document {snapshots.document_seconds:.5f}"
            )
            for then, now in setting.pairs:
                for size in arguments.documents or setting.documents:
                    size = max(size, snapshots.pairs.arrays.num_documents)
                    world = World.of(snapshots, then, now, num_documents=size)
                    for row in measure(world, Path(scratch) / "miner"):
                        print(
                            f"{name} {then}-{now} {size:9,}: {row['label']:24} {row['documents']:9,.0f}"
                            f"  {row['encoding']:7.3f} {row['share']:7.3f}  {row['agreement']:.3f} {row['first']:.3f}"
                            f"  {row['hardness']:.3f}",
                            flush=True,
                        )
                        found.append({**row, "size": size, "steps": now - then})
    print(json.dumps(figures(found)))


def figures(found: Sequence[dict[str, float | str]]) -> dict[str, float]:
    """Of the default, where it does worst."""
    default = [row for row in found if row["label"] == "window"]
    largest = max(float(row["size"]) for row in default)
    of_largest = [row for row in default if row["size"] == largest]
    nearest = min(abs(float(row["steps"]) - 500) for row in of_largest)
    counted = [row for row in of_largest if abs(float(row["steps"]) - 500) == nearest]
    return {
        "overhead": round(max(float(row["share"]) for row in counted), 4),
        "agreement": round(min(float(row["agreement"]) for row in counted), 4),
        "hardness": round(min(float(row["hardness"]) for row in counted), 4),
        "documents": largest,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.refresh")
    parser.add_argument("--size", choices=sorted(SETTINGS), default="full")
    parser.add_argument("--work", help="folder for the vectors, which the next call uses again")
    parser.add_argument("--data", nargs="*", help="sets of ../shared/data/retrieval, or sample")
    parser.add_argument("--documents", nargs="*", type=int, help="sizes of the corpus")
    parser.add_argument("--moments", nargs="*", metavar="THEN-NOW", help="steps, such as 1000-1500")
    return parser.parse_args()


@dataclasses.dataclass(frozen=True)
class World:
    """A set between two moments of a training; texts are the numbers of rows."""

    pairs: PairSet
    queries: tuple[np.ndarray, np.ndarray]
    """float32 [Q, D] then and now, of those that the steps between would train on."""
    documents: tuple[np.ndarray, np.ndarray]
    num_negatives: int
    training: float
    """Seconds of the steps between."""
    budget: int
    """Documents that training would let a refresh encode, a query counting `query_cost` of one."""
    query_cost: float
    query_seconds: float
    document_seconds: float

    @classmethod
    def of(cls, snapshots: Snapshots, then: int, now: int, *, num_documents: int) -> "World":
        first, second, own = snapshots.at(then), snapshots.at(now), snapshots.pairs
        setting, steps = snapshots.setting, now - then
        order = np.random.default_rng(0).permutation(own.num_queries)
        window = np.sort(order[: setting.batch_size * steps])
        budget = refresh_budget(
            share=SHARE,
            steps=steps,
            batch_size=setting.batch_size,
            num_negatives=setting.num_negatives,
            queries=own.data.queries,
            corpus=own.data.corpus,
            max_length=setting.max_length,
        )
        return cls(
            pairs=numbered(own.arrays.take_queries(window), num_documents),
            queries=(first.queries[window], second.queries[window]),
            documents=grown(first.documents, second.documents, num_documents),
            num_negatives=setting.num_negatives,
            training=snapshots.step_seconds * steps,
            budget=budget.documents,
            query_cost=budget.query_cost,
            query_seconds=snapshots.query_seconds,
            document_seconds=snapshots.document_seconds,
        )


def grown(then_ND: np.ndarray, now_ND: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `number` rows, or all and mixtures of two each."""
    size = len(then_ND)
    rng = np.random.default_rng(0)
    more = max(0, number - size)
    first, second = rng.integers(0, size, (2, more))
    angle = rng.uniform(0.4, np.pi / 4, (more, 1)).astype(np.float32)

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


def measure(world: World, folder: Path) -> list[dict[str, float | str]]:
    """A row for each way to refresh; the one with the name `window` is that of training, with its defaults."""
    num_documents, num_queries = len(world.documents[1]), world.pairs.num_queries
    arrays, number = world.pairs.arrays, world.num_negatives
    full, seconds = timed(lambda: mined_pools(arrays, world.queries[1], world.documents[1]))
    old = mined_pools(arrays, world.queries[0], world.documents[0])
    lowest, highest = (mean_score(world, pools) for pools in (old, full))
    rows: list[dict[str, float | str]] = []

    def add(label: str, found: Pools, *, documents: float, queries: float, seconds: float) -> None:
        encoding = documents * world.document_seconds + queries * world.query_seconds
        rows.append(
            {
                "label": label,
                "documents": documents,
                "encoding": encoding / world.training,
                "share": (encoding + seconds) / world.training,
                "agreement": agreement(found, full, number=number),
                "first": agreement(found, full, number=1),
                "hardness": (mean_score(world, found) - lowest) / (highest - lowest),
            }
        )

    add("full", full, documents=num_documents, queries=num_queries, seconds=seconds)
    add("nothing", old, documents=0, queries=0, seconds=0)
    for label, documents_ND, encoded in carried(world) if num_documents < LARGE else ():
        work = partial(mined_pools, arrays, world.queries[1], documents_ND)
        found, seconds = timed(work)
        add(label, found, documents=encoded, queries=num_queries, seconds=seconds)
    start = miner_of(world, folder / "start", budget=0)
    start.mine(Recorded(world, 0), step=0, window=None, previous=NOTHING)
    for label, factor in (("window, half", 0.5), ("window", 1.0), ("window, double", 2.0)):
        shutil.copytree(folder / "start", folder / label)
        own = miner_of(world, folder / label, budget=int(factor * world.budget))
        encoder = Recorded(world, 1)
        mining, seconds = timed(
            partial(own.mine, encoder, step=1, window=np.arange(num_queries), previous=NOTHING)
        )
        add(
            label,
            mining.pools,
            documents=mining.num_documents,
            queries=mining.num_queries,
            seconds=seconds - encoder.seconds,
        )
        shutil.rmtree(folder / label)
    shutil.rmtree(folder / "start")
    return rows


def carried(world: World) -> Iterator[tuple[str, np.ndarray, float]]:
    """Ways to know the documents of now without looking at the queries, and how many they encode."""
    then, now = world.documents
    rng = np.random.default_rng(1)
    yield "queries only", then, 0
    order = rng.permutation(len(then))
    some = order[: min(len(then), DEFAULT.sample)]
    yield "turned (Procrustes)", then @ turn(then[some], now[some]), len(some)
    fitted = fit_map(then[some], now[some], ridge=1e-3)
    yield "mapped", fitted(then), len(some)
    shard = order[: len(order) // 8]
    for label, stale in (("1/8 of the corpus", then), ("1/8, others mapped", fitted(then))):
        rotated = stale.copy()
        rotated[shard] = now[shard]
        yield label, rotated, len(shard)


def turn(then_SD: np.ndarray, now_SD: np.ndarray) -> np.ndarray:
    """The orthogonal matrix that is nearest to carrying one into the other."""
    left, _, right = np.linalg.svd(then_SD.T @ now_SD)
    return left @ right


def miner_of(world: World, folder: Path, *, budget: int) -> WindowMiner:
    return WindowMiner(
        pairs=world.pairs,
        selection=SELECTION,
        num_negatives=world.num_negatives,
        searcher=ExactSearcher(memory=MEMORY),
        folder=folder,
        budget=budget,
        query_cost=world.query_cost,
        full_up_to=DEFAULT.full_up_to,
        sample=DEFAULT.sample,
        max_error=1.0,
    )


def agreement(found: Pools, full: Pools, *, number: int) -> float:
    """Share of the first `number` negatives of the pools of `full` that are among those of `found`."""
    first, second = found.rows[:, :number], full.rows[:, :number]
    there = second >= 0
    same = (second[:, :, None] == first[:, None, :]).any(2)
    return float((same & there).sum() / max(1, max(there.sum(), (first >= 0).sum())))


def mean_score(world: World, pools: Pools) -> float:
    """By the vectors of now, of the negatives that would be trained."""
    row_QP = pools.rows[:, : world.num_negatives]
    scores = (world.queries[1][:, None] * world.documents[1][np.maximum(row_QP, 0)]).sum(2)
    return float(scores[row_QP >= 0].mean())


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Processor seconds: a machine that does other things beside takes longer, but no more of these."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
