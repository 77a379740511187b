"""The rules against datatrove's own: `python -m tests.benchmarks.rules`.

On one core, the same English passages as documents through `ApplyRules`, and through datatrove's
GopherRepetitionFilter, GopherQualityFilter, C4QualityFilter and FineWebQualityFilter with their defaults, one
after the other as in a pipeline: what one drops the next does not see. Words are those of their tokenizer
(spaCy), or in a second run between white space. Times are processor time, medians of runs that take turns.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.logging import logger
from datatrove.utils.word_tokenizers import WordTokenizer
from tabulate import tabulate

from conan_data.corpus.rules import arrays
from conan_data.corpus.rules.check import Checker
from conan_data.corpus.rules.config import RulesConfig
from conan_data.corpus.steps.rules import ApplyRules
from conan_data.readers import Row, read_rows
from conan_data.text.normalisation import normalise
from tests.benchmarks.stock import SplitTokenizer

TEXTS = Path(__file__).parents[2] / ".." / "shared" / "data" / "corpus" / "pydocs.en.jsonl.zst"


def passages(num_texts: int) -> list[str]:
    rows = (row.values["text"] for row in read_rows(TEXTS) if isinstance(row, Row))
    return [normalise(text) for text in islice(rows, num_texts)]


def documents(texts: list[str]) -> list[Document]:
    return [
        Document(text=text, id=str(number), metadata={"lang": "en", "file": "f"})
        for number, text in enumerate(texts)
    ]


def stock(language: str | WordTokenizer) -> Callable[[list[Document]], int]:
    filters = [
        kind(language=language)
        for kind in (GopherRepetitionFilter, GopherQualityFilter, C4QualityFilter, FineWebQualityFilter)
    ]

    def run(given: list[Document]) -> int:
        data: Iterator[Document] = iter(given)
        for step in filters:
            data = step.run(data)
        return sum(1 for _ in data)

    return run


def ours(given: list[Document]) -> int:
    return sum("dropped" not in document.metadata for document in ApplyRules(RulesConfig()).run(iter(given)))


def without_numba(given: list[Document]) -> int:
    checker = Checker(RulesConfig(), measure=arrays.measure)
    return sum(checker.check(document.text, "en") is None for document in given)


def normalised(given: list[Document]) -> int:
    return sum(bool(normalise(document.text)) for document in given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    logger.remove()
    texts = passages(args.texts)
    sides: dict[str, Callable[[list[Document]], int]] = {
        "rules": ours,
        "rules by numpy": without_numba,
        "normalisation": normalised,
        "stock": stock("en"),
        "stock, white space": stock(SplitTokenizer()),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    kept = {}
    for run in range(-1, args.runs):
        for name, side in sides.items():
            given = documents(texts)
            start = time.process_time()
            kept[name] = side(given)
            # The first run loads models and tables.
            if run >= 0:
                times[name].append((time.process_time() - start) / len(texts) * 1e6)
    report({name: statistics.median(found) for name, found in times.items()}, kept, texts)


def report(micros: dict[str, float], kept: dict[str, int], texts: list[str]) -> None:
    rows: list[list[Any]] = [
        [name, round(value, 1), round(value / micros["rules"], 2), round(kept[name] / len(texts), 3)]
        for name, value in micros.items()
    ]
    print(tabulate(rows, headers=["", "microseconds a document", "times ours", "kept"]))
    figures = {
        "ratio_stock": round(micros["stock"] / micros["rules"], 1),
        "ratio_whitespace": round(micros["stock, white space"] / micros["rules"], 1),
        "ratio_numpy": round(micros["rules by numpy"] / micros["rules"], 1),
        "microseconds": round(micros["rules"], 1),
        "microseconds_normalisation": round(micros["normalisation"], 2),
        "bytes_a_document": round(sum(len(text.encode()) for text in texts) / len(texts)),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
