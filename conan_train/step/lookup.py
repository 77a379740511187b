"""One lookup in the embedding table for all buckets of a pass.

The gradient of a lookup is a dense tensor as large as the table, however few tokens were looked up, so a pass
over many small buckets spends its time filling and adding zeros: 600 MB a bucket at 150,000 tokens by 1,024.
Looked up together, the buckets' gradients are put side by side first and scattered into the table once.

The model is called with ids as ever, and what its embedding returns is exchanged for the bucket's part; so it
works for every family, also where the embedding scales, or the model needs the ids elsewhere.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

# B batch, L positions, D dim


@contextlib.contextmanager
def looked_up_once(embedding: torch.nn.Module, ids: Sequence[torch.Tensor]) -> Iterator[None]:
    """Within, the calls of `embedding` must be those with the tensors `ids` [B, L], in that order."""
    rows = embedding(torch.cat([ids_BL.flatten() for ids_BL in ids]))
    parts_BLD = (
        part.view(*ids_BL.shape, -1)
        for ids_BL, part in zip(ids, rows.split([ids_BL.numel() for ids_BL in ids]), strict=True)
    )

    def exchange(module: torch.nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        part_BLD = next(parts_BLD)
        assert part_BLD.shape == output.shape, "another lookup than was announced"
        return part_BLD

    handle = embedding.register_forward_hook(exchange)
    try:
        yield
    finally:
        handle.remove()
