"""Recall on planted leaks, false alarms on clean rows, speed and memory of `conan-data decontaminate`.

    python -m tests.benchmarks.decontaminate [--rows 100000] [--shared ../shared] [--model ../models/e5-small]

Made-up texts give the speed. With `--shared`, queries of real sets are split in two, one half the evaluation, and leaks
are planted of it; what is found in the other half counts as a false alarm, though sets repeat themselves. With `--model`,
translations of tldr's dev queries and pairs of STS-B of a score of 4.6 and more are searched by the encoder. The last
line is JSON.
"""

import argparse
import csv
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from conan_data.decontamination.index import TextIndex, comparable
from tests.conan_data.decontamination.planted import leaks, text

SETS = ("squad_es", "squad_it", "jaquad", "tldr")
NUM_EVALUATION, NUM_CLEAN, NUM_PLANTED = 1000, 10_000, 500


def index_of(texts: Sequence[str]) -> TextIndex:
    arrow = pa.chunked_array([pa.array(texts, pa.large_string())])
    return TextIndex(arrow, np.ones(len(texts), bool), ngram=13, containment=0.5, near=0.7)


def measure_texts(evaluation: Sequence[str], clean: Sequence[str]) -> dict[str, float]:
    """Return the recall by kind of leak, and the share of clean texts with a match."""
    draw = random.Random(1)
    index = index_of(evaluation)
    hits: dict[str, list[bool]] = {}
    long_enough = [place for place, source in enumerate(evaluation) if len(source.split()) >= 6]
    for place in long_enough[:: max(1, len(long_enough) // NUM_PLANTED)]:
        for kind, leak in leaks(evaluation[place], draw):
            found = index.match([comparable(leak)]).evaluations.tolist()
            hits.setdefault(kind, []).append(place in found)
    matched = len(np.unique(index.match([comparable(row) for row in clean]).places))
    return {
        **{kind: round(float(np.mean(own)), 4) for kind, own in hits.items()},
        "false": round(matched / len(clean), 5),
    }


def made_up(folder: Path, num_rows: int) -> tuple[Path, Path]:
    """Write pairs of made-up texts, and an evaluation of as many as `NUM_EVALUATION` others."""
    draw = random.Random(2)
    passages = [text(draw, low=60, high=110) for _ in range(2000)]
    paths = folder / "pairs.jsonl", folder / "evaluation.jsonl"
    for path, size in zip(paths, (num_rows, NUM_EVALUATION)):
        with open(path, "w", encoding="utf-8") as file:
            for number in range(size):
                document = f"{text(draw, low=20, high=30)} {passages[number % len(passages)]}"
                row = {"query": text(draw), "document": document if path is paths[0] else text(draw, high=90)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return paths


def run(folder: Path, num_rows: int) -> dict[str, float]:
    """Return rows a second of the processor and peak memory of the command, in a process of its own."""
    pairs, evaluation = made_up(folder, num_rows)
    seconds: dict[int, float] = {}
    for size in (num_rows // 10, num_rows):
        part = folder / f"part-{size}.jsonl"
        with open(pairs, encoding="utf-8") as source, open(part, "w", encoding="utf-8") as file:
            file.writelines(line for line, _ in zip(source, range(size)))
        words = ["decontaminate", "--set", str(part), "--against", str(evaluation), "--out", f"{part}.out"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(
            [sys.executable, "-c", "from conan_data.cli import run; run()", *words],
            check=True,
            capture_output=True,
        )
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds[size] = usage.ru_utime - before
    small, large = seconds
    rate = (large - small) / (seconds[large] - seconds[small])
    return {
        "rows": num_rows,
        "rows_per_s": round(rate),
        "start_s": round(seconds[small] - small / rate, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


def queries_of(shared: Path, name: str) -> list[str]:
    with gzip.open(shared / "data" / "retrieval" / name / "queries.train.jsonl.gz", "rt") as file:
        rows = list(dict.fromkeys(json.loads(line)["text"] for line in file))
    random.Random(0).shuffle(rows)
    return rows


def measure_encoder(shared: Path, model: str) -> dict[str, float]:
    """Return the recall on translations and paraphrases, and the share of clean texts with a neighbour."""
    from conan_data.decontamination.config import NeighboursConfig
    from conan_data.decontamination.neighbours import Neighbours
    from conan_data.decontamination.rows import Text
    from conan_data.mining.encoder import load_encoder

    encoder = load_encoder(model, max_length=64, device="cpu")
    config = NeighboursConfig(model=model)

    def lines(name: str) -> list[dict]:
        with gzip.open(shared / "data" / "retrieval" / "tldr" / name, "rt") as file:
            return [json.loads(line) for line in file]

    def as_texts(rows: Sequence[tuple[str, str]]) -> list[Text]:
        return [Text("query", (str(n),), own, lang, Path(), n) for n, (own, lang) in enumerate(rows)]

    def search(evaluation: list[tuple[str, str]], leaking: list[Text], gold: list[int], clean: list[Text]):
        own = Neighbours(encoder, config, evaluation_of(evaluation), [*clean[:1000], *leaking])
        found = own.match(leaking)
        pairs = set(zip(found.places.tolist(), found.evaluations.tolist()))
        recall = np.mean([(place, right) in pairs for place, right in enumerate(gold)])
        false = len(np.unique(own.match(clean).places)) / len(clean)
        return round(float(recall), 3), round(false, 4)

    queries = [(row["_id"], row["text"]) for row in lines("queries.dev.jsonl.gz")]
    places = {name: place for place, (name, _) in enumerate(queries)}
    translated = lines("translations.dev.jsonl.gz")
    train = lines("queries.train.jsonl.gz")[::6]
    foreign = lines("translations.train.jsonl.gz")[::14]
    with gzip.open(shared / "data" / "sts" / "stsb-en-dev.csv.gz", "rt") as file:
        pairs = [row for row in csv.reader(file) if float(row[2]) >= 4.6 and row[0].lower() != row[1].lower()]
    rows = [(row["text"], "en") for row in train] + [(row["text"], row["lang"]) for row in foreign]
    across = search(
        [(own, "en") for _, own in queries],
        as_texts([(row["text"], row["lang"]) for row in translated]),
        [places[row["query_id"]] for row in translated],
        as_texts(rows),
    )
    within = search(
        [(row[1], "en") for row in pairs],
        as_texts([(row[0], "en") for row in pairs]),
        list(range(len(pairs))),
        as_texts(rows[: len(train)]),
    )
    return {
        "translated": across[0], "false_translated": across[1], "paraphrased": within[0], "false_paraphrased": within[1],
    }  # fmt: skip


def evaluation_of(rows: list[tuple[str, str]]):
    from conan_data.decontamination.evaluation import Evaluation

    table = pa.table(
        {
            "text": pa.array([own for own, _ in rows], pa.large_string()),
            "id": [str(number) for number in range(len(rows))],
            "lang": [lang for _, lang in rows],
        }
    )
    zeros = np.zeros(len(rows), np.uint8)
    return Evaluation(("evaluation",), table, zeros, zeros.astype(np.int32), np.zeros(0, np.uint64))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--model", default="")
    options = parser.parse_args()
    draw = random.Random(3)
    evaluation = [text(draw) for _ in range(500)] + [text(draw, low=26, high=80) for _ in range(500)]
    recall = {"made up": measure_texts(evaluation, [text(draw, low=8, high=80) for _ in range(NUM_CLEAN)])}
    for name in SETS if options.shared else ():
        rows = queries_of(options.shared, name)
        recall[name] = measure_texts(rows[:NUM_EVALUATION], rows[NUM_EVALUATION:][:NUM_CLEAN])
    for name, own in recall.items():
        print(f"{name:10}", "  ".join(f"{kind} {value:.3f}" for kind, value in own.items()), flush=True)
    encoder = measure_encoder(options.shared, options.model) if options.shared and options.model else {}
    if encoder:
        print(
            f"{'encoder':10}", "  ".join(f"{kind} {value:.3f}" for kind, value in encoder.items()), flush=True
        )
    with tempfile.TemporaryDirectory() as folder:
        speed = run(Path(folder), options.rows)
    print("speed     ", "  ".join(f"{name} {value:,}" for name, value in speed.items()))
    print(json.dumps({"recall": recall, "encoder": encoder, **speed}))


if __name__ == "__main__":
    main()
