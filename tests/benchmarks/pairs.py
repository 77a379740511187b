"""Time and memory of `conan-data build-pairs`, and of the same steps with `datasets`.

    python -m tests.benchmarks.pairs [--pairs 10000000] [--beside 200000] [--threads 2]

Documents with a title and a text of about 350 characters, a tenth of them unclean, some of them repeated, are made
pairs of: title and text, first sentence and rest. `ours` builds `--pairs` of them, in a process of its own whose peak of
resident memory is taken; `beside`, if not 0, are built by both in the same run, and the pairs must be the same.
The steps with `datasets` are those of its guides: a `map` that makes the pairs of a batch, a `map` that cleans a pair, and
a `filter` for lengths, for repeated pairs, for boilerplate and for repeated sides; the stateless ones in as many
processes as ours has threads. One line of JSON.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
DOCUMENTS_A_FILE = 500_000
FIRST_SENTENCE = re.compile(r"([^\n#|>`*-][^\n]{18}[^\n]*?[.!?])\s+([^a-z\s].*)", re.DOTALL)


def write_documents(folder: Path, num_documents: int, seed: int = 7) -> None:
    """Write Parquet files of documents: id, url, title, text, lang, source."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmwfgypbvk"))
    words = np.unique(["".join(rng.choice(letters, size)) for size in rng.integers(2, 10, 30_000)])
    phrases = [" ".join(rng.choice(words, size)) for size in rng.integers(6, 16, 200_000)]
    sentences = pl.Series([f"{phrase.capitalize()}." for phrase in phrases])
    titles = pl.Series([phrase.title() for phrase in phrases])
    folder.mkdir(parents=True)
    for start in range(0, num_documents, DOCUMENTS_A_FILE):
        size = min(DOCUMENTS_A_FILE, num_documents - start)

        def draw(values: pl.Series, size: int = size) -> pl.Series:
            return values.gather(rng.integers(0, len(values), size))

        text = pl.DataFrame({str(part): draw(sentences) for part in range(5)})
        number = pl.Series(np.arange(start, start + size))
        unclean = pl.Series(rng.random(size) < 0.1)
        title = draw(titles) + " " + draw(titles).str.slice(0, 12)
        frame = text.select(
            id=number.cast(pl.String),
            url="https://host"
            + pl.Series(rng.integers(0, 50_000, size)).cast(pl.String)
            + ".example/"
            + number.cast(pl.String),
            title=title,
            text=pl.when(unclean)
            .then(pl.concat_str(pl.all(), separator=" \u200b\r\n"))
            .otherwise(pl.concat_str(pl.all(), separator=" ")),
            lang=pl.lit("en"),
            source=pl.lit("made"),
        )
        # Of the last twentieth each row repeats another one; a few titles are those of thousands.
        same = np.arange(size)
        same[-size // 20 :] = rng.integers(0, size, len(same[-size // 20 :]))
        home = pl.Series(rng.random(size) < 0.01)
        frame[same].with_columns(
            title=pl.when(home).then(pl.lit("Welcome to our home page")).otherwise("title")
        ).write_parquet(folder / f"part-{start // DOCUMENTS_A_FILE:03d}.parquet", row_group_size=100_000)


def build_ours(folder: Path, out: Path) -> dict[str, float]:
    """Build the pairs of `folder`; seconds and the peak of resident memory in MB."""
    from conan_data.build_pairs.build import build_pairs
    from conan_data.build_pairs.config import BuildPairsConfig, PairRules

    begun = time.perf_counter()
    rules = PairRules(kinds=("title-body", "first-rest"))
    build_pairs(BuildPairsConfig(input=(str(folder),), out=out, rules=rules))
    seconds = time.perf_counter() - begun
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000  # type: ignore[index]
    return {"seconds": seconds, "peak_mb": peak}


def build_with_datasets(folder: Path, out: Path, *, processes: int) -> dict[str, float]:
    """The same with `map` and `filter`."""
    from datasets import load_dataset

    from conan_data.text.normalisation import normalise

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        rows = load_dataset(
            "parquet", data_files=sorted(map(str, folder.glob("*.parquet"))), split="train", cache_dir=cache
        )

        def make(batch: dict) -> dict:
            pairs: dict[str, list] = {"query": [], "document": [], "host": []}
            for title, text, url in zip(batch["title"], batch["text"], batch["url"]):
                found = FIRST_SENTENCE.match(text)
                for query, document in (
                    ((title, text), found.groups() if found else ()) if found else ((title, text),)
                ):
                    for name, value in zip(pairs, (query, document, url.split("/")[2])):
                        pairs[name].append(value)
            return pairs

        def clean(row: dict) -> dict:
            return {
                "query": " ".join(normalise(row["query"]).split()),
                "document": normalise(row["document"]),
            }

        def has_length(row: dict) -> bool:
            return (
                3 <= len(row["query"]) <= 1000
                and len(row["document"]) >= 20
                and row["query"].lower() != row["document"].lower()
            )

        pairs = rows.map(make, batched=True, remove_columns=rows.column_names, num_proc=processes)
        pairs = pairs.map(clean, num_proc=processes).filter(has_length, num_proc=processes)
        seen: set[tuple[str, str]] = set()

        def is_new(row: dict) -> bool:
            key = (row["query"].lower(), row["document"].lower())
            is_first = key not in seen
            seen.add(key)
            return is_first

        pairs = pairs.filter(is_new)
        for kind in ("boilerplate", "repeats"):
            for side in ("query", "document"):
                counts: Counter[str] = Counter()
                if kind == "boilerplate":
                    for row in pairs:
                        counts[row[side].lower()] += 1
                    pairs = pairs.filter(
                        lambda row, side=side, counts=counts: counts[row[side].lower()] <= 20
                    )
                else:

                    def is_early(row: dict, side: str = side, counts: Counter = counts) -> bool:
                        counts[row[side].lower()] += 1
                        return counts[row[side].lower()] <= 3

                    pairs = pairs.filter(is_early)
        hosts: Counter[str] = Counter()

        def is_below(row: dict) -> bool:
            hosts[row["host"]] += 1
            return hosts[row["host"]] <= 10_000

        pairs.filter(is_below).to_parquet(out)
    return {"seconds": time.perf_counter() - begun}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--beside", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument(
        "--side", choices=("ours", "datasets"), help="run by itself: build the pairs of --folder"
    )
    given = parser.parse_args()
    if given.side == "ours":
        print(json.dumps(build_ours(given.folder, given.folder.with_name(f"{given.folder.name}-ours"))))
        return
    if given.side == "datasets":
        out = given.folder.with_name(f"{given.folder.name}.parquet")
        print(json.dumps(build_with_datasets(given.folder, out, processes=given.threads)))
        return
    environment = {
        **os.environ,
        "POLARS_MAX_THREADS": str(given.threads),
        "OMP_NUM_THREADS": str(given.threads),
    }

    def run(side: str, folder: Path) -> dict[str, float]:
        command = [sys.executable, "-m", "tests.benchmarks.pairs", "--side", side, "--folder", str(folder)]
        done = subprocess.run(
            [*command, "--threads", str(given.threads)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        figures: dict[str, float] = {"threads": given.threads}
        if given.beside:
            small = Path(scratch) / "small"
            write_documents(small, given.beside // 2)
            theirs, ours = run("datasets", small), run("ours", small)
            assert texts_of(Path(scratch) / "small-ours" / "data") == texts_of(
                Path(scratch) / "small.parquet"
            ), "other pairs"
            figures |= {
                "beside": given.beside,
                "ratio_datasets": round(theirs["seconds"] / ours["seconds"], 1),
                "datasets_rows_per_s": round(given.beside / theirs["seconds"]),
            }
        if given.pairs:
            large = Path(scratch) / "large"
            write_documents(large, given.pairs // 2)
            ours = run("ours", large)
            figures |= {
                "pairs": given.pairs,
                "rows_per_s": round(given.pairs / ours["seconds"]),
                "peak_mb": round(ours["peak_mb"]),
            }
        print(json.dumps(figures))


def texts_of(path: Path) -> list[tuple[str, str]]:
    """The pairs of Parquet files, in order of their texts."""
    source = f"{path}/*.parquet" if path.is_dir() else path
    return sorted(pl.read_parquet(source, columns=["query", "document"]).rows())


if __name__ == "__main__":
    main()
