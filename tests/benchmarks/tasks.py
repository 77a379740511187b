"""What a training stage reads, and how fast: `python -m tests.benchmarks.tasks`.

Four figures. Tokens a second of the cache on disk, against the same texts through `datasets.map` with the same
tokenizer, which is what training scripts do; both write to disk. Batches a second of `RetrievalTask` at 1,024
queries with a positive and seven negatives each, against a dict of token lists looked up per row. Bytes a pair
of a set of weak pairs in memory, texts not counted, and pairs read a second. Medians of runs that take turns;
texts are made of the words of the Python documentation.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from tabulate import tabulate
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from conan_data.pairs.pair_set import PairSet
from conan_data.pairs.weak import read_pairs
from conan_data.readers import Row, read_rows
from conan_train.model.tokenization import encode_texts
from conan_train.tasks.random_negatives import random_negatives
from conan_train.tasks.retrieval import RetrievalTask
from conan_train.tasks.token_cache import open_tokens

SOURCE = Path(__file__).parents[2] / ".." / "shared" / "data" / "corpus" / "pydocs.en.jsonl.zst"


def words() -> np.ndarray:
    found = " ".join(row.values["text"] for row in read_rows(SOURCE) if isinstance(row, Row))
    return np.array(found.split())


def make_tokenizer(known: np.ndarray) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=32_000,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(
        [" ".join(known[start : start + 1000]) for start in range(0, 300_000, 1000)], trainer
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>")


def texts(known: np.ndarray, number: int, mean: float, seed: int) -> list[str]:
    """Stretches of the documentation, of lognormal lengths (words)."""
    rng = np.random.default_rng(seed)
    length = np.maximum(3, rng.lognormal(np.log(mean) - 0.32, 0.8, number)).astype(int)
    start = rng.integers(len(known) - length.max(), size=number)
    return [" ".join(known[a : a + size]) for a, size in zip(start, length)]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure_cache(
    tokenizer: PreTrainedTokenizerFast, documents: list[str], folder: Path, trials: int
) -> dict[str, float]:
    import datasets

    datasets.disable_progress_bars()
    table = pa.table({"text": documents})
    num_tokens = sum(map(len, encode_texts(tokenizer, documents, 1 << 20)))

    def ours() -> None:
        open_tokens(folder / "ours", table, ("text",), tokenizer, prompt="", max_length=512)

    def stock() -> None:
        data = datasets.Dataset(table)
        data.map(
            lambda batch: {"input_ids": tokenizer(batch["text"], add_special_tokens=False)["input_ids"]},
            batched=True,
            remove_columns=["text"],
            cache_file_name=str(folder / "stock.arrow"),
            load_from_cache_file=False,
        )

    seconds: dict[str, list[float]] = {"ours": [], "stock": [], "again": []}
    for _ in range(trials):
        shutil.rmtree(folder / "ours", ignore_errors=True)
        seconds["ours"].append(timed(ours))
        seconds["again"].append(timed(ours))
        seconds["stock"].append(timed(stock))
    median = {name: statistics.median(found) for name, found in seconds.items()}
    return {
        "cache_tokens_per_second": num_tokens / median["ours"],
        "map_tokens_per_second": num_tokens / median["stock"],
        "ratio_map": median["stock"] / median["ours"],
        "open_again_seconds": median["again"],
    }


def measure_batches(
    tokenizer: PreTrainedTokenizerFast, pairs: PairSet, folder: Path, trials: int
) -> dict[str, float]:
    task = RetrievalTask.open(
        "weak",
        pairs,
        tokenizer=tokenizer,
        cache=folder / "tokens",
        max_length=512,
        query_prompt="",
        document_prompt="",
        batch_size=1024,
        num_negatives=7,
        seed=0,
    )
    pool = random_negatives(pairs.arrays, 7, seed=0)
    seconds = []
    for step in range(10 * trials):
        seconds.append(timed(lambda step=step: task.batch(step, query := task.queries_at(step), pool[query])))
    return {
        "batch_milliseconds": 1000 * statistics.median(seconds),
        "batches_per_second": 1 / statistics.median(seconds),
        "tokens_of_a_batch": float(
            sum(map(len, task.batch(0, task.queries_at(0), pool[task.queries_at(0)]).document_tokens))
        ),
    }


def resident(pairs: PairSet) -> float:
    """Bytes of what a set holds beside the texts themselves."""
    arrays = pairs.arrays
    numbers = [
        arrays.positive_offsets,
        arrays.positive_rows,
        arrays.groups,
        arrays.texts,
        arrays.query_languages,
    ]
    numbers += [pairs.query_sources, pairs.document_languages, pairs.given_negative_row_QP]
    columns = [
        column
        for table in (pairs.data.queries, pairs.data.corpus)
        for name, column in zip(table.column_names, table.columns)
        if name not in ("text", "source_id")
    ]
    columns += [
        chunk.indices for name in ("query-id", "corpus-id") for chunk in pairs.data.qrels.column(name).chunks
    ]
    columns += [pairs.data.qrels.column("score")]
    return sum(array.nbytes for array in numbers) + sum(column.nbytes for column in columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=30_000)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--trials", type=int, default=3)
    options = parser.parse_args()
    known = words()
    tokenizer = make_tokenizer(known)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures = measure_cache(tokenizer, texts(known, options.texts, 80, 0), folder, options.trials)
        path = folder / "pairs.jsonl"
        queries, documents = texts(known, options.pairs, 8, 1), texts(known, options.pairs, 80, 2)
        with open(path, "w") as file:
            for query, document in zip(queries, documents):
                file.write(json.dumps({"query": query, "document": document, "lang": "en"}) + "\n")
        num_bytes = sum(len(text.encode()) for text in (*set(queries), *set(documents)))
        del queries, documents
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        pairs = read_pairs([str(path)])
        figures |= {
            "pairs_per_second": options.pairs / (time.perf_counter() - start),
            "bytes_a_pair": resident(pairs) / options.pairs,
            "text_bytes_a_pair": num_bytes / options.pairs,
            "peak_bytes_a_pair": 1024
            * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            / options.pairs,
        }
        figures |= measure_batches(tokenizer, pairs, folder, options.trials)
    figures["threads"] = float(len(os.sched_getaffinity(0)))
    print(tabulate([(name, f"{value:,.3f}") for name, value in figures.items()]))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
