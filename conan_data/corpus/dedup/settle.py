"""What the tasks of a pass found, put together in arrays over all documents by one process.

Each stage leaves, for every number, the document that stays in its stead. A later stage looks only at what an
earlier one left, so the stages compose: the copy of a near duplicate of A is A's, too. A run that goes on puts them
together again: that is quicker than to look whether what is there is whole.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from conan_data.corpus.dedup.buckets import MEMBER
from conan_data.corpus.dedup.components import BLOCK, label_components
from conan_data.corpus.records import blocks, new_records, open_records, records_file
from conan_data.corpus.workspace import FACTS, PAIR, Workspace, opened, survivors


def gather_facts(work: Workspace) -> None:
    """Writes the facts of all parts as one file, by position, and the languages that they count."""
    names = [
        json.loads(work.path("langs", rank).read_text(encoding="utf-8")) for rank in range(work.num_parts)
    ]
    langs = sorted({lang for found in names for lang in found})
    (work.scratch / "langs.json").write_text(json.dumps(langs), encoding="utf-8")
    with records_file(work.scratch / "facts") as add:
        for rank, found in enumerate(names):
            codes = np.array([langs.index(lang) for lang in found], dtype=np.uint16)
            rows = open_records(work.path("facts", rank), FACTS)
            for part in blocks(len(rows), BLOCK):
                block = rows[part].copy()
                block["lang"] = codes[block["lang"]]
                add(block)


def gather_suffixes(work: Workspace) -> None:
    """Writes `suffixes`, int64 [rows]: what is put behind each id (see `ids.suffix`); 0 for nothing."""
    with new_records(work.scratch / "suffixes", np.int64, opened(work).first_reference) as suffixes:
        for pairs in _pairs(work, "renamed"):
            suffixes[pairs["number"]] = pairs["target"]


def gather_survivors(work: Workspace, stage: str, *, after: str) -> None:
    """Writes the survivors of `stage`, on top of those of the stage `after` (empty: none)."""
    path = work.scratch / f"survivors-{stage}"
    num_numbers = opened(work).num_numbers
    with new_records(work.scratch / "moved" if after else path, np.int64, num_numbers) as moved:
        _fill(moved, _pairs(work, f"{stage}-pairs"))
    if after:
        _compose(path, survivors(work, after), work.scratch / "moved")


def gather_near(work: Workspace, *, after: str) -> None:
    """Writes the survivors of the last stage, and where near duplicates stay, `grouped`: the document whose
    group each has.
    """
    path, first = work.scratch / "survivors-near", opened(work).first_reference
    drops = work.dedup.near == "drop"
    with (
        new_records(work.scratch / "moved", np.int64, opened(work).num_numbers) as moved,
        new_records(work.scratch / "grouped", np.int64, 0 if drops else first) as grouped,
    ):
        _fill(moved, (p if drops else p[p["target"] >= first] for p in _pairs(work, "near-pairs")))
        if not drops:
            _fill(grouped, (p[p["target"] < first] for p in _pairs(work, "near-pairs")))
    _compose(path, survivors(work, after), work.scratch / "moved")


def gather_components(work: Workspace) -> None:
    """Writes `labels` of the documents' components, and which texts of references will be needed."""
    open_ = opened(work)
    first = open_.first_reference
    paths = [work.path("members", rank) for rank in range(work.num_partitions)]

    def edges() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for block in _member_blocks(paths):
            own = block[(block["number"] < first) & (block["number"] != block["first"])]
            yield own["number"].copy(), own["first"].copy()

    with new_records(work.scratch / "wanted", np.bool_, open_.references.num_documents) as wanted:
        for block in _member_blocks(paths):
            wanted[block["number"][block["number"] >= first] - first] = True
    with new_records(work.scratch / "labels", np.int64, first) as labels:
        label_components(labels, edges)


def _member_blocks(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    for path in paths:
        found = open_records(path, MEMBER)
        yield from (found[part] for part in blocks(len(found), BLOCK))


def _pairs(work: Workspace, name: str) -> Iterator[np.ndarray]:
    return (open_records(work.path(name, rank), PAIR) for rank in range(work.num_partitions))


def _fill(targets: np.ndarray, found: Iterator[np.ndarray]) -> None:
    """Lets each number stand for itself, but for the pairs that were found."""
    for part in blocks(len(targets), BLOCK):
        targets[part] = np.arange(part.start, part.stop)
    for pairs in found:
        targets[pairs["number"]] = pairs["target"]


def _compose(path: Path, before: np.ndarray, moved: Path) -> None:
    with new_records(path, np.int64, len(before)) as after:
        targets = open_records(moved, np.int64)
        for part in blocks(len(before), BLOCK):
            after[part] = targets[before[part]]
    moved.unlink()
