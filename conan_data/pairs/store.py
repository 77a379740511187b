"""A `PairSet` on disk, read by one process and memory-mapped by all.

Each rank of a machine that reads the same files into its own memory takes the time and the memory as often as
there are ranks. Here the first one reads and writes down what it got; all of them, and a run that goes on, map
the same pages. It appears by one rename; one that was cut or edited since is made again.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import filelock
import numpy as np
import pyarrow as pa

from conan_data.files import sync_directory
from conan_data.mining.arrays import RetrievalArrays
from conan_data.pairs.pair_set import PairSet
from conan_data.readers import Broken
from conan_data.readers.account import Account
from conan_data.retrieval import RetrievalSplit
from conan_data.sealed import read_mark, read_sealed, write_mark

_META = "pairs.json"
_TABLES = ("corpus", "queries", "qrels")
_OWN = ("query_sources", "document_languages", "given_negative_row_QP")
_CHUNK = 1 << 16


def shared_pairs(folder: Path, make: Callable[[], PairSet]) -> PairSet:
    """The set in `folder`, which whoever comes first makes there with `make`; the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_name(folder.name + ".lock")):
        if read_mark(folder / _META) is None:
            shutil.rmtree(folder, ignore_errors=True)
            save_pairs(make(), folder)
    return load_pairs(folder)


def save_pairs(pairs: PairSet, folder: Path) -> None:
    """Writes a set to `folder`, which must not be there."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in _TABLES:
        table = getattr(pairs.data, name).unify_dictionaries()
        with pa.ipc.new_file(str(partial / f"{name}.arrow"), table.schema) as writer:
            writer.write_table(table, max_chunksize=_CHUNK)
    arrays = {name: array for name in _array_names() if (array := getattr(pairs.arrays, name)) is not None}
    for name, array in (arrays | {name: getattr(pairs, name) for name in _OWN}).items():
        np.save(partial / f"{name}.npy", array)
    meta = {
        "sources": pairs.sources,
        "languages": pairs.arrays.languages,
        "num_read": pairs.num_read,
        "dropped": pairs.dropped,
        "sets": pairs.sets,
        "num_query_rows": pairs.data.num_query_rows,
        "broken": [asdict(row) for row in pairs.data.broken],
        "account": pairs.account.to_json(),
    }
    write_mark(partial / _META, sorted(partial.iterdir()), meta)
    sync_directory(partial)
    partial.rename(folder)
    sync_directory(folder.parent)


def load_pairs(folder: Path) -> PairSet:
    """What `save_pairs` wrote; texts and arrays stay on disk until they are looked at."""
    meta = read_sealed(folder / _META)
    tables = {
        name: pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow"))).read_all() for name in _TABLES
    }
    arrays = {name: _mapped(path) for name in _array_names() if (path := folder / f"{name}.npy").exists()}
    return PairSet(
        data=RetrievalSplit(
            **tables,
            translations=pa.table({}),
            broken=[Broken(**row) for row in meta["broken"]],
            num_query_rows=meta["num_query_rows"],
        ),
        arrays=RetrievalArrays(**arrays, languages=tuple(meta["languages"])),
        sources=tuple(meta["sources"]),
        num_read=meta["num_read"],
        dropped=Counter(meta["dropped"]),
        account=Account.from_json(meta["account"]),
        sets=meta["sets"],
        **{name: _mapped(folder / f"{name}.npy") for name in _OWN},
    )


def _array_names() -> list[str]:
    """Those that every set of ours has, the keys of queries among them."""
    return [field.name for field in fields(RetrievalArrays) if field.name != "languages"]


def _mapped(path: Path) -> np.ndarray:
    """Memory-mapped, which an empty array cannot be; without the class of numpy's that makes each access slow."""
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except ValueError:
        return np.load(path)
