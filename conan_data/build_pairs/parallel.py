"""Pair the passages of one group in different languages.

Documents of a group may lie anywhere in the input, and most groups have one language. So a first reading notes the
groups and languages of all documents, as numbers, and only what has a partner is read a second time: it is written
into buckets by group, of which one at a time is in memory.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from conan_data.build_pairs.kinds import COLUMNS

_BUCKETS = 64
_PASSAGE = ("text", "lang", "source", "group", "host")


class Groups:
    """The groups of documents, of which those with several languages are asked for."""

    def __init__(self) -> None:
        self._keys: list[np.ndarray] = []
        self._languages: list[np.ndarray] = []

    def add(self, documents: pl.DataFrame) -> None:
        """Note the documents that name a group and have a text."""
        chosen = documents.filter(pl.col("has_group") & pl.col("text").is_not_null())
        if chosen.height:
            self._keys.append(_group_keys(chosen))
            self._languages.append(chosen.get_column("lang").hash().to_numpy().astype(np.uint32))

    def with_partners(self) -> np.ndarray:
        """Return uint64: the keys of the groups that have two languages or more, ascending."""
        if not self._keys:
            return np.zeros(0, np.uint64)
        keys, languages = np.concatenate(self._keys), np.concatenate(self._languages)
        order = np.argsort(keys, kind="stable")
        keys, languages = keys[order], languages[order]
        differs = (keys[1:] == keys[:-1]) & (languages[1:] != languages[:-1])
        return np.unique(keys[1:][differs])


class Passages:
    """Passages in buckets on disk."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._paths = [directory / f"bucket-{number:02d}.arrow" for number in range(_BUCKETS)]
        self._writers: dict[int, pa.RecordBatchFileWriter] = {}

    def add(self, documents: pl.DataFrame, wanted: np.ndarray) -> None:
        """Write the documents whose group is among `wanted`, the keys of `Groups.with_partners`."""
        chosen = documents.filter(pl.col("has_group") & pl.col("text").is_not_null())
        keys = _group_keys(chosen)
        chosen = (
            chosen.select(_PASSAGE)
            .with_columns(pl.Series("key", keys))
            .filter(pl.Series(_is_among(keys, wanted)))
        )
        for (bucket,), part in chosen.group_by(
            (pl.col("key") % _BUCKETS).alias("bucket"), maintain_order=True
        ):
            table = part.to_arrow()
            number = int(str(bucket))
            if number not in self._writers:
                self._writers[number] = pa.ipc.new_file(self._paths[number], table.schema)
            self._writers[number].write_table(table)

    def pairs(self, *, limit: int) -> Iterator[pl.DataFrame]:
        """Yield candidates: in each group `limit` pairs at most of passages in different languages, those with the
        smallest hashes. Of the passages of a group in one language the first counts.
        """
        for writer in self._writers.values():
            writer.close()
        for number in sorted(self._writers):
            with pa.memory_map(str(self._paths[number])) as source:
                bucket = pl.from_arrow(pa.ipc.open_file(source).read_all())
                assert isinstance(bucket, pl.DataFrame)
                pairs = _paired(bucket, limit)
                # By source, as rules are.
                yield from (part for _, part in pairs.group_by("source", maintain_order=True))
            self._paths[number].unlink()


def _paired(bucket: pl.DataFrame, limit: int) -> pl.DataFrame:
    passages = bucket.unique(["key", "lang"], keep="first", maintain_order=True)
    numbered = passages.select("key", "lang").with_row_index("row")
    places = numbered.join(numbered, on="key", suffix="_2", maintain_order="left_right").filter(
        pl.col("lang") < pl.col("lang_2")
    )
    places = places.with_columns(draw=pl.concat_str("lang", pl.lit(" "), "lang_2").hash() ^ pl.col("key"))
    places = places.filter(pl.col("draw").rank("ordinal").over("key") <= limit)
    first, second = (passages[places.get_column(name)] for name in ("row", "row_2"))
    return pl.DataFrame(
        {
            "query": first.get_column("text"),
            "document": second.get_column("text"),
            "kind": pl.repeat("parallel", len(places), eager=True),
            "lang_query": first.get_column("lang"),
            "lang_document": second.get_column("lang"),
            "source": first.get_column("source"),
            "group": first.get_column("source") + "/" + first.get_column("group"),
            "host": first.get_column("host"),
        }
    ).select(COLUMNS)


def _group_keys(documents: pl.DataFrame) -> np.ndarray:
    """Groups of different sources are different."""
    return documents.select((pl.col("source") + "/" + pl.col("group")).hash()).to_series().to_numpy()


def _is_among(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    if not len(wanted):
        return np.zeros(len(keys), bool)
    places = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return wanted[places] == keys
