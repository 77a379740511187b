"""The files of a store of vectors: shards, the header that lists them, and the cache that runs share.

A file is only ever added by a rename, under a name that no other process writes to meanwhile, so two writers
of one shard cannot mix their bytes. A shard in a cache has its key and the SHA-256 of its bytes in its name:
one file says all that there is to check, and two writers whose last bits differ leave two whole files.

Values are float16, or int8 with a scale: 127 steps on each side of zero up to the vector's largest value. The
scale of a vector stands in front of its values in one record, so that a shard stays one array in one file
(`numpy.load(path)["codes"]`).
"""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from conan_data.errors import UserError
from conan_data.files import hash_file
from conan_data.sealed import DamagedError, read_sealed, seal

Storage = Literal["float16", "int8"]

HEADER = "shards.json"
FORMAT = 3
_STEPS = 127
# N vectors, D dimensions


@dataclass(frozen=True)
class Shard:
    """One file: its rows, the key it was encoded under, and the SHA-256 of its bytes."""

    file: str
    rows: int
    key: str
    sha256: str


class Codes:
    """int8 vectors that read as float16 [N, D]: slices and integer arrays of it are float16 arrays."""

    dtype = np.dtype(np.float16)

    def __init__(self, records_N: np.ndarray) -> None:
        self._records_N = records_N
        self.shape = (len(records_N), *records_N.dtype["codes"].shape)

    def __len__(self) -> int:
        return len(self._records_N)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        part = self._records_N[rows]
        return (part["codes"] * part["scale"][..., None]).astype(np.float16)


def codes_dtype(dimension: int) -> np.dtype:
    """A record of an int8 shard."""
    return np.dtype([("scale", "<f4"), ("codes", "i1", (dimension,))])


def quantise(vectors_ND: np.ndarray) -> np.ndarray:
    """Records [N]; a value comes back within half a step, its vector's largest value / 254."""
    records_N = np.empty(len(vectors_ND), codes_dtype(vectors_ND.shape[1]))
    if len(vectors_ND):
        records_N["scale"] = np.abs(vectors_ND).max(axis=1) / _STEPS
        records_N["codes"] = np.rint(vectors_ND / records_N["scale"][:, None])
    return records_N


def stored(vectors_ND: np.ndarray, storage: Storage) -> np.ndarray:
    """The array that a shard's file holds: float16 [N, D] or records [N]."""
    return quantise(vectors_ND) if storage == "int8" else np.ascontiguousarray(vectors_ND, np.float16)


def write_shard(path: Path, array: np.ndarray, *, key: str) -> Shard:
    """Writes a shard that survives a power failure."""
    with own_aside(path) as aside:
        with open(aside, "wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        digest = hash_file(aside)
    return Shard(file=path.name, rows=len(array), key=key, sha256=digest)


def is_intact(directory: Path, shard: Shard) -> bool:
    """Whether the bytes are those that were written."""
    path = directory / shard.file
    return path.is_file() and hash_file(path) == shard.sha256


def map_shard(directory: Path, shard: Shard, *, dimension: int, storage: Storage) -> np.ndarray | Codes:
    """float16 [rows, D], mapped. Raises `UserError` when the file is damaged."""
    path = directory / shard.file
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); encode again") from error
    expected: tuple[np.dtype, tuple[int, ...]] = (
        (codes_dtype(dimension), (shard.rows,))
        if storage == "int8"
        else (np.dtype(np.float16), (shard.rows, dimension))
    )
    if (array.dtype, array.shape) != expected:
        raise UserError(
            f"{path}: holds {array.dtype} {array.shape}, not {storage} {(shard.rows, dimension)}; encode again"
        )
    return Codes(array) if storage == "int8" else array


def read_header(path: Path) -> dict[str, Any] | None:
    """A header with its shards as objects; None when it is missing, unreadable or of another format, so that
    nothing of it is used.
    """
    try:
        header = read_sealed(path)
        if header["format"] != FORMAT:
            return None
        return {**header, "shards": [Shard(**shard) for shard in header["shards"]]}
    except (DamagedError, KeyError, TypeError):
        return None


def write_header(path: Path, header: dict[str, Any], shards: Sequence[Shard]) -> None:
    """Replaces the header."""
    record = {**header, "shards": [asdict(shard) for shard in shards]}
    with own_aside(path) as aside:
        aside.write_bytes(seal(record))


def take_from_cache(cache: Path, key: str, path: Path) -> Shard | None:
    """Puts the cached shard of `key` at `path` (a link where the file system can, else a copy); None when
    there is none, or only damaged ones.
    """
    for found in sorted((cache / key[:2]).glob(f"{key}.*.npy")):
        digest = found.name.split(".")[1]
        if hash_file(found) != digest:
            continue
        array = np.load(found, mmap_mode="r", allow_pickle=False)
        _place(found, path)
        return Shard(file=path.name, rows=len(array), key=key, sha256=digest)
    return None


def put_into_cache(cache: Path, directory: Path, shard: Shard) -> None:
    """Adds a written shard; a damaged file of the same name is replaced."""
    _place(directory / shard.file, cache / shard.key[:2] / f"{shard.key}.{shard.sha256}.npy")


def is_cached(cache: Path, key: str) -> bool:
    """Whether there is a shard of `key`, whole or damaged."""
    return any((cache / key[:2]).glob(f"{key}.*.npy"))


def write_into_cache(cache: Path, key: str, array: np.ndarray) -> None:
    """Adds a shard that lies nowhere else."""
    path = cache / f"{key}-{uuid.uuid4().hex}.npy"
    shard = write_shard(path, array, key=key)
    put_into_cache(cache, cache, shard)
    path.unlink()


def _place(source: Path, target: Path) -> None:
    """`target` becomes a link to `source` or a copy of it; links are safe because a shard is never written
    in place.
    """
    with own_aside(target) as aside:
        try:
            os.link(source, aside)
        except OSError:
            shutil.copyfile(source, aside)


@contextmanager
def own_aside(path: Path) -> Iterator[Path]:
    """`files.written_aside` with a name that no other process writes to: several may write the same file.

    What a killed process leaves behind begins like `path` and ends in `.tmp`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        # Also after the rename: where both names are links to one file, it does nothing.
        aside.unlink(missing_ok=True)
