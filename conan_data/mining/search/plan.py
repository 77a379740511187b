"""Sizes of the working arrays of an exact search, from a bound of the memory that they take together."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from conan_data.errors import UserError

SPARE = 32
"""Candidates scored again beyond k."""
Screening: TypeAlias = Literal["float32", "int8"]
_MAX_BLOCK = {"cpu": 2048, "mps": 16384, "cuda": 65536}
_MAX_TILE = {"cpu": 1024, "mps": 1024, "cuda": 4096}


@dataclass(frozen=True)
class Plan:
    """Q queries of a batch, T of a tile, C documents of a block (see `exact`), and an upper bound of the bytes
    that all take together.
    """

    batch: int
    tile: int
    rescored: int
    """Queries whose candidates are scored in float64 at a time."""
    block: int
    threads: int
    bytes: int


def plan(memory: int, *, dimension: int, num_candidates: int, device: str, threads: int = 1) -> Plan:
    """The largest sizes that keep the working arrays under `memory` bytes; raises `UserError` when the
    smallest do not.

    A block costs its float32 and 8-bit forms, of two blocks on a CPU, or its float64 form; a tile its scores
    and the pairs that are looked at, or the candidates of two steps; a query of the pass its forms,
    candidates and result. `threads` tiles are worked on at a time.
    """
    kind = torch.device(device).type
    block, tile = _MAX_BLOCK.get(kind, 8192), _MAX_TILE.get(kind, 256)
    rescored = min(tile, 64) if kind == "cpu" else tile

    def block_bytes() -> int:
        return block * dimension * (18 if kind == "cpu" else 14)

    def tile_bytes() -> int:
        screened = (16 if kind == "cpu" else 4) * block + 40 * (num_candidates + min(block, num_candidates))
        exact = 64 * block
        return threads * tile * (12 * dimension + max(screened, exact))

    def rescored_bytes() -> int:
        return threads * rescored * (num_candidates * (dimension * (2 + 4 + 8) + 60) + 12 * dimension)

    def per_query() -> int:
        return 8 * dimension + 80 * num_candidates

    while block_bytes() > memory // 4 and block > 256:
        block //= 2
    while max(tile_bytes(), rescored_bytes()) > memory // 2 and tile > 1:
        tile //= 2
        rescored = min(rescored, tile)
    used = block_bytes() + max(tile_bytes(), rescored_bytes())
    batch = (memory - used) // per_query()
    if batch < 1:
        needed = used + per_query()
        raise UserError(
            f"memory: {memory:,} bytes are not enough for {num_candidates} candidates of dimension {dimension}; give at least {needed:,}"
        )
    return Plan(
        batch=batch,
        tile=min(tile, batch),
        rescored=min(rescored, batch),
        block=block,
        threads=threads,
        bytes=used + batch * per_query(),
    )
