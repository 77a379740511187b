"""Vectors on disk: half-precision shards that are mapped into memory, written so that a killed run loses one
shard at most.

A corpus does not fit into memory, and encoding it is the expensive part of mining, so it has to survive a
crash. A cache that survives is also a cache that can lie: the same file name, other weights. The invariant: a
shard is used again only if its *key* is the same, a hash of the encoder's fingerprint, the kind (query or
document) and the texts themselves, in order; and if its bytes are the ones that were written. A shard appears
whole (written aside, renamed, then listed in `shards.json`), and everything that is not listed is encoded
again.

Shards are encoded one by one, so a resumed run writes the same bytes as an uninterrupted one. Values are
float16 of unit vectors: the dot product of two of them has no rounding error in float64 (see `search`), and
is within about 2**-10 of the one before rounding.
"""

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from conan_data.errors import UserError
from conan_data.files import hash_file, written_aside
from conan_data.mining.encoder import Encoder, Kind
from conan_data.progress import progress

Texts: TypeAlias = "pa.Array | pa.ChunkedArray | Iterable[str]"
HEADER = "shards.json"
FORMAT = 1
LENGTH_TOLERANCE = 0.01
"""How far a vector's length may be from 1: half-precision models normalise no better."""


@dataclass(frozen=True)
class Shard:
    """One file: its rows, the key it was encoded under, and the SHA-256 of its bytes."""

    file: str
    rows: int
    key: str
    sha256: str


class Embeddings:
    """float16 [len(self), dimension], rows of length 1, in one or several arrays that need not be in memory."""

    def __init__(self, arrays: Sequence[np.ndarray], *, dimension: int) -> None:
        assert all(array.dtype == np.float16 and array.shape[1:] == (dimension,) for array in arrays)
        self.dimension = dimension
        self._arrays = [array for array in arrays if len(array)]
        self._starts = np.concatenate(
            ([0], np.cumsum([len(array) for array in self._arrays], dtype=np.int64))
        )

    @classmethod
    def open(cls, directory: Path, *, fingerprint: str | None = None) -> "Embeddings":
        """Maps a finished store; raises `UserError` when it is unfinished or damaged, or of an encoder with
        another `fingerprint`.
        """
        header = _read_header(directory)
        if header is None or not header["complete"]:
            raise UserError(f"{directory}: holds no finished embeddings (see {HEADER}); encode again")
        if fingerprint is not None and header["fingerprint"] != fingerprint:
            raise UserError(
                f"{directory}: its vectors are of encoder {header['fingerprint'][:12]}, not of {fingerprint[:12]}; encode again"
            )
        return cls(
            [_map(directory, shard, header["dimension"]) for shard in header["shards"]],
            dimension=header["dimension"],
        )

    @classmethod
    def from_array(cls, vectors_ND: np.ndarray) -> "Embeddings":
        """Vectors in memory, rounded to float16; raises `UserError` for a row that is not of length 1."""
        _check_vectors(vectors_ND, lambda row: f"row {row}")
        return cls([np.ascontiguousarray(vectors_ND, np.float16)], dimension=vectors_ND.shape[1])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def blocks(self, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, float16 [<= rows, D]) in order; views of the map, not copies. A block does not cross a
        shard.
        """
        for array, start in zip(self._arrays, self._starts.tolist()):
            for offset in range(0, len(array), rows):
                yield start + offset, array[offset : offset + rows]

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """float16 [*rows.shape, D]: a copy of the vectors at `rows` (integers from 0 to len(self) - 1, any
        shape).
        """
        wanted = np.asarray(rows, np.int64)
        assert wanted.size == 0 or (wanted.min() >= 0 and wanted.max() < len(self)), (
            "a row outside of the embeddings"
        )
        if len(self._arrays) == 1:
            return np.asarray(self._arrays[0][wanted])
        out = np.empty((*wanted.shape, self.dimension), np.float16)
        shards = np.searchsorted(self._starts, wanted, side="right") - 1
        for index in np.unique(shards):
            here = shards == index
            out[here] = self._arrays[index][wanted[here] - self._starts[index]]
        return out

    def __getitem__(self, part: slice) -> np.ndarray:
        """float16 [n, D]: a copy of the rows of a slice."""
        start, stop, step = part.indices(len(self))
        first = bisect_right(self._starts, start) - 1
        if step == 1 and first < len(self._arrays) and stop <= self._starts[first + 1]:
            return np.array(self._arrays[first][start - self._starts[first] : stop - self._starts[first]])
        return self.gather(np.arange(start, stop, step))


def encode_to_shards(
    encoder: Encoder,
    texts: Texts,
    ids: Texts,
    directory: Path,
    *,
    kind: Kind,
    shard_size: int = 16384,
) -> Embeddings:
    """Encodes `texts` into `directory`, `shard_size` at a time, and maps the result; shards that are there
    and still valid are kept.

    `ids` name the texts in messages. Raises `UserError` for a missing text or a vector that is not finite or
    not of length 1; what an encoder raises passes through, and the shards before it stay.
    """
    directory.mkdir(parents=True, exist_ok=True)
    old = _read_header(directory)
    cached = {shard.file: shard for shard in (old["shards"] if old else [])}
    header: dict[str, Any] = {
        "format": FORMAT,
        "fingerprint": encoder.fingerprint,
        "kind": kind,
        "dimension": encoder.dimension,
        "complete": False,
    }
    shards: list[Shard] = []
    pairs = zip(_chunks(texts, shard_size), _chunks(ids, shard_size), strict=True)
    num_shards = -(-len(texts) // shard_size) if isinstance(texts, Sized) else None
    for number, (chunk, names) in enumerate(
        progress(pairs, f"encoding {kind}s", total=num_shards, unit="shard")
    ):
        key = _key(encoder, kind, chunk, names)
        shard = cached.pop(_file_name(number, key), None)
        if shard is None or shard.key != key or not _is_intact(directory, shard):
            shard = _encode_shard(encoder, chunk, names, directory, kind=kind, key=key, number=number)
            _write_header(directory, header, [*shards, shard, *cached.values()])
        shards.append(shard)
    _write_header(directory, {**header, "complete": True}, shards)
    listed = {shard.file for shard in shards}
    for path in directory.glob("shard-*"):
        if path.name not in listed:
            path.unlink()
    return Embeddings.open(directory, fingerprint=encoder.fingerprint)


def _encode_shard(
    encoder: Encoder, texts: list[str], ids: list[str], directory: Path, *, kind: Kind, key: str, number: int
) -> Shard:
    vectors = encoder.encode(texts, kind=kind)
    assert vectors.shape == (len(texts), encoder.dimension), (
        f"the encoder gave {vectors.shape} for {len(texts)} texts"
    )
    _check_vectors(vectors, lambda row: f"{kind} {ids[row]!r}")
    path = directory / _file_name(number, key)
    with written_aside(path) as aside:
        with open(aside, "wb") as file:
            np.save(file, np.ascontiguousarray(vectors, np.float16), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        digest = hash_file(aside)
    return Shard(file=path.name, rows=len(texts), key=key, sha256=digest)


def _check_vectors(vectors_BD: np.ndarray, name: Callable[[int], str]) -> None:
    lengths = np.linalg.norm(vectors_BD.astype(np.float32, copy=False), axis=1)
    bad = ~(np.abs(lengths - 1) <= LENGTH_TOLERANCE)
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(
            f"{name(row)}: its vector has length {lengths[row]:.4g}, not 1; remove the text, or repair the model"
        )


def _chunks(values: Texts, size: int) -> Iterator[list[str]]:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        for start in range(0, len(values), size):
            yield values.slice(start, size).to_pylist()
    else:
        iterator = iter(values)
        while chunk := list(islice(iterator, size)):
            yield chunk


def _key(encoder: Encoder, kind: Kind, texts: list[str], ids: list[str]) -> str:
    """SHA-256 (hex) over what a shard's vectors depend on; each text is hashed with its length, so that their
    borders count.
    """
    digest = hashlib.sha256(
        json.dumps([FORMAT, encoder.fingerprint, encoder.dimension, kind, len(texts)]).encode()
    )
    for text, name in zip(texts, ids, strict=True):
        if not isinstance(text, str):
            raise UserError(f"{kind} {name!r}: has no text")
        content = text.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


def _file_name(number: int, key: str) -> str:
    return f"shard-{number:06d}-{key[:16]}.npy"


def _is_intact(directory: Path, shard: Shard) -> bool:
    path = directory / shard.file
    return path.is_file() and hash_file(path) == shard.sha256


def _map(directory: Path, shard: Shard, dimension: int) -> np.ndarray:
    path = directory / shard.file
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); encode again") from error
    if array.dtype != np.float16 or array.shape != (shard.rows, dimension):
        raise UserError(
            f"{path}: holds {array.dtype} {array.shape}, not float16 {(shard.rows, dimension)}; encode again"
        )
    return array


def _read_header(directory: Path) -> dict[str, Any] | None:
    """`shards.json` with its shards as objects; None when it is missing, unreadable or of another format, so
    that nothing of it is used.
    """
    try:
        header = json.loads((directory / HEADER).read_text(encoding="utf-8"))
        if header["format"] != FORMAT:
            return None
        return {**header, "shards": [Shard(**shard) for shard in header["shards"]]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write_header(directory: Path, header: dict[str, Any], shards: Sequence[Shard]) -> None:
    with written_aside(directory / HEADER) as aside:
        aside.write_text(
            json.dumps({**header, "shards": [asdict(shard) for shard in shards]}, indent=1), encoding="utf-8"
        )
