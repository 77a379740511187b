"""Small retrieval sets with splits start, train and dev that share no document.

Queries of one passage ask for facts that stand side by side, so a split by query would put the answer to a dev
question into training. Passages are dealt to the splits, and queries go where their passage went. The candidates of
dev are its own passages and others that training never sees. A start model has a split of its own: the queries it was
trained on are easy for it, and what it mines for them is not what is hard.
"""

import gzip
import json
from collections.abc import Collection, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]


def write_held_out(
    source: Path,
    folder: Path,
    *,
    num_passages: int,
    num_queries: int,
    num_dev: int,
    num_others: int,
    num_start: int,
    seed: int = 0,
) -> None:
    """From the train split of `source`: as train, `num_passages` with at most `num_queries` of their queries; as dev,
    the queries of `num_dev` other passages among these and `num_others` more; as start, `num_start` of the rest.
    """
    rng = np.random.default_rng(seed)
    corpus, queries, qrels = _read(source, "train")
    known = rng.permutation([row["_id"] for row in corpus]).tolist()
    cuts = np.cumsum([0, num_dev, num_others, num_passages, num_start]).tolist()
    assert cuts[-1] <= len(known), f"{source} has {len(known)} passages, not {cuts[-1]}"
    dev, others, train, start = (set(known[a:b]) for a, b in pairwise(cuts))
    asked = sorted({query for query, document, _ in qrels if document in train})
    chosen = set(rng.permutation(asked)[:num_queries].tolist())
    _write(folder, "train", corpus, queries, [row for row in qrels if row[0] in chosen], documents=train)
    _write(folder, "start", corpus, queries, [row for row in qrels if row[1] in start], documents=start)
    # The last one written, so that it says that the set is whole.
    _write(folder, "dev", corpus, queries, [row for row in qrels if row[1] in dev], documents=dev | others)


def write_fewer_pages(source: Path, folder: Path, *, num_pages: int, num_start: int, seed: int = 0) -> None:
    """`num_pages` of the train split of `source` as train, each with all its languages (`PAGE@LANGUAGE`), `num_start`
    others as start; its dev is kept.
    """
    rng = np.random.default_rng(seed)
    corpus, queries, qrels = _read(source, "train")
    pages = rng.permutation(sorted({page(row["_id"]) for row in corpus})).tolist()
    for split, chosen in (
        ("train", set(pages[:num_pages])),
        ("start", set(pages[num_pages : num_pages + num_start])),
    ):
        documents = {row["_id"] for row in corpus if page(row["_id"]) in chosen}
        own = [row for row in qrels if row[1] in documents]
        _write(folder, split, corpus, queries, own, documents=documents)
    corpus, queries, qrels = _read(source, "dev")
    _write(folder, "dev", corpus, queries, qrels, documents={row["_id"] for row in corpus})


def page(identifier: str) -> str:
    return identifier.rsplit("@", 1)[0]


def _read(source: Path, split: str) -> tuple[Rows, Rows, list[list[str]]]:
    lines = (source / f"qrels.{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    corpus, queries = (_rows(source / f"{name}.{split}.jsonl.gz") for name in ("corpus", "queries"))
    return corpus, queries, [line.split("\t") for line in lines]


def _rows(path: Path) -> Rows:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _write(
    folder: Path,
    split: str,
    corpus: Rows,
    queries: Rows,
    qrels: list[list[str]],
    *,
    documents: Collection[str],
) -> None:
    asked = {row[0] for row in qrels}
    folder.mkdir(parents=True, exist_ok=True)
    _write_rows(folder / f"corpus.{split}.jsonl", (row for row in corpus if row["_id"] in documents))
    _write_rows(folder / f"queries.{split}.jsonl", (row for row in queries if row["_id"] in asked))
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(row) for row in qrels)]
    (folder / f"qrels.{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
