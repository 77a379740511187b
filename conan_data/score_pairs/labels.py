"""A random sample of the pairs of each language as a table for a person to fill in, and the labels read back.

Scores are left out and the order is random, so that a label is of the texts alone.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from conan_data.audit.labels import NO, YES
from conan_data.errors import UserError
from conan_data.pairs.texts import text_hashes
from conan_data.readers import Broken
from conan_data.readers.csv_rows import tsv_rows

COLUMNS = ("id", "label", "direction", "kind", "query", "document")
_LONGEST = 2000


def pair_keys(frame: pl.DataFrame) -> np.ndarray:
    """Return uint64 [n]: a hash of the texts of each pair."""
    texts = frame.select(pl.concat_str("query", pl.lit("\0"), "document")).to_series()
    return text_hashes(texts.to_list())


class Sample:
    """The pairs of each language with the smallest hashes: a uniform sample that does not depend on their order."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._drawn: pl.DataFrame | None = None

    def add(self, frame: pl.DataFrame, keys: np.ndarray) -> None:
        """Look at pairs, with their `direction`."""
        columns = frame.select(
            pl.Series("key", keys), "direction", "kind",
            *(pl.col(name).str.slice(0, _LONGEST) for name in ("query", "document")),
        )  # fmt: skip
        both = columns if self._drawn is None else pl.concat([self._drawn, columns])
        both = both.unique("key", keep="first", maintain_order=True).sort("direction", "key")
        self._drawn = both.group_by("direction", maintain_order=True).head(self._size).select(columns.columns)

    def write(self, path: Path, labels: dict[int, float]) -> None:
        """Write the sample, those with a label with it."""
        rows = [] if self._drawn is None else self._drawn.sort("key").rows(named=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write("\t".join(COLUMNS) + "\n")
            for row in rows:
                label = str(int(labels[row["key"]])) if row["key"] in labels else ""
                texts = (" ".join(str(row[name]).split()) for name in COLUMNS[2:])
                file.write("\t".join((f"{row['key']:016x}", label, *texts)) + "\n")


def read_labels(path: str) -> dict[int, float]:
    """Return 1 or 0 by the key of the pair; rows without a label are passed over. Raises `UserError` for a file that cannot
    be read, and for a label or an id that is none.
    """
    if not Path(path).is_file():
        raise UserError(f"labels: {path} is no file; fill in the to_label.tsv of an earlier run")
    found: dict[int, float] = {}
    for row in tsv_rows(path):
        if isinstance(row, Broken):
            raise UserError(f"labels: {path}, line {row.place}: cannot be read ({row.reason})")
        missing = [name for name in COLUMNS[:2] if name not in row.values]
        if missing:
            raise UserError(f"labels: {path} has no column {missing[0]!r}; it needs id, label")
        label, key = row.values["label"].strip().lower(), row.values["id"].strip()
        if not label:
            continue
        if label not in YES | NO:
            raise UserError(f"labels: {path}, line {row.place}: label {label!r} is neither 1, yes nor 0, no")
        try:
            found[int(key, 16)] = float(label in YES)
        except ValueError:
            raise UserError(f"labels: {path}, line {row.place}: {key!r} is no id of a pair") from None
    if not found:
        raise UserError(f"labels: {path} has no label; fill in its column label")
    return found


def require_known(labels: dict[int, float], seen: Sequence[int], path: str) -> None:
    """Raise `UserError` for labels of pairs that are not there."""
    missing = sorted(labels.keys() - set(seen))
    if missing:
        raise UserError(
            f"labels: {path}: {len(missing):,} of {len(labels):,} labels are of other pairs, such as {missing[0]:016x}; "
            "label the to_label.tsv of these pairs"
        )
