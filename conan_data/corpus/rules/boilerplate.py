"""Lines that a site puts on all its pages: menus, footers, calls to subscribe. On one page nothing tells them
from text; that many pages of a host have the very same line does.

So lines are counted in a pass of their own over the whole input, before any is taken out: a line is
boilerplate if at least N documents of its host have it, wherever they stand. The result is exact, and the
same for any number of tasks. Each task writes its counts as sorted runs of at most `RUN` lines; they are
merged one range of hashes after the other, so neither needs more memory for a larger input. What is left is
one number for each boilerplate line, since a line is known by a 64-bit hash of its host and itself: among ten
million kinds of lines, two share one about once in 370,000 inputs.
"""

import hashlib
import re
from array import array
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from conan_data.corpus.dedup import url
from conan_data.files import written_aside
from conan_data.sealed import read_mark, write_mark
from conan_data.text.code import code_lines, has_fences
from conan_data.text.normalisation import normalise

RUN = 1 << 22
"""Lines that a task holds before it writes them, and that are merged at a time, at most."""
LINE_BYTES = 40
"""What each of them takes meanwhile."""
MERGED = "boilerplate.npy"
_LETTER = re.compile(r"[^\W\d_]")


def host(metadata: Mapping[str, Any]) -> str:
    """What the lines of a document are compared within: the host of its `url`, without `www.`, else its file."""
    return url.host(metadata.get("url")) or f"file:{metadata['file']}"


def lines_within(num_bytes: int) -> int:
    """How many lines may be held in so much memory; `RUN` at most."""
    return max(1, min(RUN, num_bytes // LINE_BYTES))


def line_hashes(text: str, host: str) -> list[int]:
    """The hash of each line of a text; 0 for lines without letters, which are layout, and for lines of code."""
    prefix = host.encode() + b"\n"
    lines = text.split("\n")
    hashes = [
        int.from_bytes(hashlib.blake2b(prefix + line.strip().encode(), digest_size=8).digest(), "little")
        if _LETTER.search(line)
        else 0
        for line in lines
    ]
    if has_fences(text):
        return [0 if is_code else value for value, is_code in zip(hashes, code_lines(lines), strict=True)]
    return hashes


def without_boilerplate(text: str, host: str, lines: np.ndarray) -> str:
    """`text` without the lines whose hashes are in `lines` (uint64, sorted)."""
    if len(lines) == 0:
        return text
    hashes = np.array(line_hashes(text, host), dtype=np.uint64)
    places = np.minimum(np.searchsorted(lines, hashes), len(lines) - 1)
    stays = lines[places] != hashes
    if stays.all():
        return text
    return normalise(
        "\n".join(line for line, stay in zip(text.split("\n"), stays.tolist(), strict=True) if stay)
    )


class LineCounts:
    """The counts of one task, written to `folder` as sorted runs: `task-<task>-<run>.npy`, uint64 [2, lines],
    hashes above numbers of documents. A mark beside them, written last, says that the task is done.
    """

    def __init__(self, folder: Path, task: int, *, run: int = RUN) -> None:
        self._folder, self._task, self._run = folder, task, run
        self._lines = array("Q")
        self._num_runs = 0
        for left_by_a_dead_run in folder.glob(f"task-{task:05d}*"):
            left_by_a_dead_run.unlink()

    def add(self, text: str, host: str) -> None:
        """Counts each kind of line of a document once."""
        self._lines.extend(set(line_hashes(text, host)) - {0})
        if len(self._lines) >= self._run:
            self._write()

    def close(self) -> None:
        self._write()
        made = sorted(self._folder.glob(f"task-{self._task:05d}-*.npy"))
        write_mark(_done_path(self._folder, self._task), made)

    def _write(self) -> None:
        lines, documents = np.unique(np.array(self._lines, dtype=np.uint64), return_counts=True)
        path = self._folder / f"task-{self._task:05d}-{self._num_runs:05d}.npy"
        with written_aside(path) as aside, aside.open("wb") as file:
            np.save(file, np.stack([lines, documents.astype(np.uint64)]))
        self._lines = array("Q")
        self._num_runs += 1


def _done_path(folder: Path, task: int) -> Path:
    """Where a task says that its counts are whole."""
    return folder / f"task-{task:05d}.json"


def missing_counts(folder: Path, num_tasks: int) -> list[int]:
    """The tasks that have not counted yet."""
    return [task for task in range(num_tasks) if read_mark(_done_path(folder, task)) is None]


def merge_counts(folder: Path, num_tasks: int, least: int, *, run: int = RUN) -> Path:
    """The file of the lines that are in at least `least` documents: uint64, sorted."""
    assert not missing_counts(folder, num_tasks)
    runs = sorted(folder.glob("task-*.npy"))
    total = sum(np.load(path, mmap_mode="r").shape[1] for path in runs)
    found = [_merge_range(runs, first, last, least) for first, last in _ranges(-(-total // run) or 1)]
    with written_aside(folder / MERGED) as aside, aside.open("wb") as file:
        np.save(file, np.concatenate(found))
    return folder / MERGED


def _ranges(num_ranges: int) -> Iterator[tuple[int, int]]:
    """The hashes cut into even ranges, first and last."""
    edges = [2**64 * number // num_ranges for number in range(num_ranges + 1)]
    return ((first, last - 1) for first, last in pairwise(edges))


def _merge_range(runs: list[Path], first: int, last: int, least: int) -> np.ndarray:
    pieces = []
    for path in runs:
        entries = np.load(path, mmap_mode="r")
        start = np.searchsorted(entries[0], np.uint64(first))
        end = np.searchsorted(entries[0], np.uint64(last), side="right")
        pieces.append(np.array(entries[:, start:end]))
    lines, documents = np.concatenate(pieces, axis=1)
    order = np.argsort(lines, kind="stable")
    lines, documents = lines[order], documents[order]
    starts = np.flatnonzero(np.append(True, lines[1:] != lines[:-1])[: len(lines)])
    sums = np.add.reduceat(documents, starts) if len(starts) else documents
    return lines[starts][sums >= least]
