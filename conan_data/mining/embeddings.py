"""Vectors on disk: half-precision or int8 shards that are mapped into memory, written so that a killed run
loses one shard at most.

A corpus does not fit into memory, and encoding it is the expensive part of mining, so it has to survive a
crash. A cache that survives is also a cache that can lie: the same file name, other weights. The invariant: a
shard is used again only if its *key* is the same, a hash of the encoder's fingerprint, the kind (query or
document), the storage and the texts themselves, in order; and if its bytes are the ones that were written. A
shard appears whole (written aside, renamed, then listed), and everything that is not listed is encoded again.

Shards are encoded one by one, so a resumed run writes the same bytes as an uninterrupted one, and so do
several processes (`encode_part`). A corpus that grew at its end keeps its full shards; a text put in or taken
out moves the borders of all shards after it, which are encoded again. Values are float16 of unit vectors: the
dot product of two of them has no rounding error in float64 (see `search`), and is within about 2**-10 of the
one before rounding. With int8 the values are the float16 that its codes stand for, so a search is exact over
what is stored; what int8 costs is recall against the vectors before it.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from conan_data.errors import UserError
from conan_data.mining.encoder import PLURALS, Encoder, Kind
from conan_data.mining.shards import (
    FORMAT,
    HEADER,
    Codes,
    Shard,
    Storage,
    is_cached,
    is_intact,
    map_shard,
    put_into_cache,
    read_header,
    stored,
    take_from_cache,
    write_header,
    write_into_cache,
    write_shard,
)
from conan_data.progress import counting

Texts: TypeAlias = "pa.Array | pa.ChunkedArray | Iterable[str]"
Claim: TypeAlias = Callable[[str], AbstractContextManager[bool]]
"""Whether the thing of that name is this process's to make, until the block is left."""
_PARTS = "part-*.json"
LENGTH_TOLERANCE = 0.01
"""How far a vector's length may be from 1: half-precision models normalise no better."""


class Embeddings:
    """float16 [len(self), dimension], rows of length 1, in one or several arrays that need not be in memory."""

    def __init__(self, arrays: Sequence[np.ndarray | Codes], *, dimension: int) -> None:
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
        header = read_header(directory / HEADER)
        if header is None or not header["complete"]:
            raise UserError(f"{directory}: holds no finished embeddings (see {HEADER}); encode again")
        if fingerprint is not None and header["fingerprint"] != fingerprint:
            raise UserError(
                f"{directory}: its vectors are of encoder {header['fingerprint'][:12]}, not of {fingerprint[:12]}; encode again"
            )
        return cls(
            [
                map_shard(directory, shard, dimension=header["dimension"], storage=header["storage"])
                for shard in header["shards"]
            ],
            dimension=header["dimension"],
        )

    @classmethod
    def from_array(cls, vectors_ND: np.ndarray, *, storage: Storage = "float16") -> "Embeddings":
        """Vectors in memory, rounded as on disk; raises `UserError` for a row that is not of length 1."""
        _check_vectors(vectors_ND, lambda row: f"row {row}")
        array = stored(vectors_ND, storage)
        return cls([Codes(array) if storage == "int8" else array], dimension=vectors_ND.shape[1])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def blocks(self, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, float16 [<= rows, D]) in order; of float16 shards views of the map, not copies. A block
        does not cross a shard.
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
    storage: Storage = "float16",
    cache: Path | None = None,
) -> Embeddings:
    """Encodes `texts` into `directory`, `shard_size` at a time, and maps the result; shards that are there
    and still valid are kept, those of `encode_part` too.

    `ids` name the texts in messages. `cache` is a directory that runs share: shards are looked up there by
    their key and added to it. One process at a time may call this for a directory; a cache may have any number
    of users. Raises `UserError` for a missing text or a vector that is not finite or not of length 1; what an
    encoder raises passes through, and the shards before it stay.
    """
    store = _Store(encoder, directory, kind=kind, storage=storage, cache=cache, header=HEADER)
    shards = store.fill(texts, ids, shard_size=shard_size, rank=0, world_size=1)
    write_header(directory / HEADER, {**store.facts, "complete": True}, shards)
    listed = {shard.file for shard in shards}
    for path in {path for pattern in ("shard-*", _PARTS, "*.tmp") for path in directory.glob(pattern)}:
        if path.name not in listed:
            path.unlink()
    return Embeddings.open(directory, fingerprint=encoder.fingerprint)


def encode_part(
    encoder: Encoder,
    texts: Texts,
    ids: Texts,
    directory: Path,
    *,
    kind: Kind,
    rank: int,
    world_size: int,
    shard_size: int = 16384,
    storage: Storage = "float16",
    cache: Path | None = None,
) -> None:
    """Encodes the shards `rank`, `rank + world_size`, ... of `directory`, which all ranks see.

    When all ranks are done, one of them calls `encode_to_shards` with the same arguments: it lists the shards,
    makes those that a killed rank left out, and the store is the one that a single process writes. Ranks need
    not run at the same time, and may be fewer the next time.
    """
    store = _Store(
        encoder, directory, kind=kind, storage=storage, cache=cache, header=f"part-{rank:06d}.json"
    )
    store.fill(texts, ids, shard_size=shard_size, rank=rank, world_size=world_size)


def encode_into_cache(
    encoder: Encoder,
    texts: list[str],
    ids: list[str],
    cache: Path,
    *,
    kind: Kind,
    claim: Claim,
    storage: Storage = "float16",
) -> Literal["found", "claimed", "encoded"]:
    """Encodes one shard's texts into `cache`, for an `encode_to_shards` that takes it from there, unless it is there
    or somebody else has claimed it.
    """
    key = _key(encoder, kind, storage, texts, ids)
    if is_cached(cache, key):
        return "found"
    with claim(key[:16]) as is_ours:
        # Looked at again, for it may have been encoded by whoever had the claim.
        if not is_ours or is_cached(cache, key):
            return "found" if is_ours else "claimed"
        write_into_cache(cache, key, _encoded(encoder, texts, ids, kind=kind, storage=storage))
    return "encoded"


class _Store:
    """A directory of shards while one process fills it; `header` is the file in which it lists its own."""

    def __init__(
        self,
        encoder: Encoder,
        directory: Path,
        *,
        kind: Kind,
        storage: Storage,
        cache: Path | None,
        header: str,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.encoder, self.directory, self.kind, self.storage = encoder, directory, kind, storage
        self.cache, self.header = cache, directory / header
        self.facts: dict[str, Any] = {
            "format": FORMAT,
            "fingerprint": encoder.fingerprint,
            "kind": kind,
            "dimension": encoder.dimension,
            "storage": storage,
            "complete": False,
        }
        headers = [read_header(path) for path in [*sorted(directory.glob(_PARTS)), directory / HEADER]]
        self.known = {shard.file: shard for header in headers if header for shard in header["shards"]}

    def fill(self, texts: Texts, ids: Texts, *, shard_size: int, rank: int, world_size: int) -> list[Shard]:
        """The shards of a rank, made or found, in their order."""
        shards: list[Shard] = []
        pairs = zip(_chunks(texts, shard_size), _chunks(ids, shard_size), strict=True)
        total = None
        if isinstance(texts, Sized):
            starts = range(rank * shard_size, len(texts), world_size * shard_size)
            total = sum(min(shard_size, len(texts) - start) for start in starts)
        done = 0
        with counting(f"encoding {PLURALS[self.kind]}", total=total, unit="text") as meter:
            for number, (chunk, names) in enumerate(pairs):
                if number % world_size != rank:
                    continue
                shard, is_new = self._shard(number, _listed(chunk), _listed(names))
                shards.append(shard)
                done += len(chunk)
                meter.catch_up(done, is_new=is_new)
                if is_new:
                    # What earlier runs made and this one has not come to stays listed, should it be killed.
                    write_header(self.header, self.facts, [*shards, *self.known.values()])
        return shards

    def _shard(self, number: int, texts: list[str], ids: list[str]) -> tuple[Shard, bool]:
        key = _key(self.encoder, self.kind, self.storage, texts, ids)
        path = self.directory / f"shard-{number:06d}-{key[:16]}.npy"
        shard = self.known.pop(path.name, None)
        if shard is not None and shard.key == key and is_intact(self.directory, shard):
            return shard, False
        if self.cache is not None and (shard := take_from_cache(self.cache, key, path)):
            return shard, True
        shard = write_shard(
            path, _encoded(self.encoder, texts, ids, kind=self.kind, storage=self.storage), key=key
        )
        if self.cache is not None:
            put_into_cache(self.cache, self.directory, shard)
        return shard, True


def _encoded(
    encoder: Encoder, texts: list[str], ids: list[str], *, kind: Kind, storage: Storage
) -> np.ndarray:
    vectors_BD = encoder.encode(texts, kind=kind)
    assert vectors_BD.shape == (len(texts), encoder.dimension), (
        f"the encoder gave {vectors_BD.shape} for {len(texts)} texts"
    )
    _check_vectors(vectors_BD, lambda row: f"{kind} {ids[row]!r}")
    return stored(vectors_BD, storage)


def _check_vectors(vectors_BD: np.ndarray, name: Callable[[int], str]) -> None:
    lengths = np.linalg.norm(vectors_BD.astype(np.float32, copy=False), axis=1)
    bad = ~(np.abs(lengths - 1) <= LENGTH_TOLERANCE)
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(
            f"{name(row)}: its vector has length {lengths[row]:.4g}, not 1; remove the text, or repair the model"
        )


def _chunks(values: Texts, size: int) -> Iterator[pa.Array | pa.ChunkedArray | list[str]]:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        for start in range(0, len(values), size):
            yield values.slice(start, size)
    else:
        iterator = iter(values)
        while chunk := list(islice(iterator, size)):
            yield chunk


def _listed(chunk: pa.Array | pa.ChunkedArray | list[str]) -> list[str]:
    return chunk if isinstance(chunk, list) else chunk.to_pylist()


def _key(encoder: Encoder, kind: Kind, storage: Storage, texts: list[str], ids: list[str]) -> str:
    """SHA-256 (hex) over what a shard's vectors depend on; each text is hashed with its length, so that their
    borders count.
    """
    digest = hashlib.sha256(
        json.dumps([FORMAT, encoder.fingerprint, encoder.dimension, kind, storage, len(texts)]).encode()
    )
    for text, name in zip(texts, ids, strict=True):
        if not isinstance(text, str):
            raise UserError(f"{kind} {name!r}: has no text")
        content = text.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()
