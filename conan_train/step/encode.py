"""All texts of a step through the model, in buckets, as one autograd graph.

Queries and documents go together: what a bucket shares is length, not role. A text that occurs twice is
computed once and its gradient summed, which is what two forwards would give. Under DDP or FSDP the number of
forwards must be equal on all ranks; equal buckets are the caller's to arrange.
"""

from collections.abc import Sequence

import torch

from conan_train.model.embedder import unwrapped
from conan_train.model.tokenization import pad_tokens
from conan_train.step.buckets import token_buckets

# N texts, D dim


def embed_in_buckets(
    model: torch.nn.Module, token_lists: Sequence[Sequence[int]], *, budget: int
) -> torch.Tensor:
    """Unit vectors [N, D] in the order of `token_lists`; `budget` is the padded tokens of one forward.

    `model` is an `Embedder`, or one in a data-parallel wrapper.
    """
    assert token_lists, "no texts to embed"
    embedder = unwrapped(model)
    place_of: dict[tuple[int, ...], int] = {}
    place_N = [place_of.setdefault(tuple(tokens), len(place_of)) for tokens in token_lists]
    distinct = list(place_of)
    buckets = token_buckets([len(tokens) for tokens in distinct], budget=budget)
    parts = []
    for bucket in buckets:
        tokens = [distinct[place] for place in bucket]
        parts.append(model(*pad_tokens(tokens, pad_id=embedder.pad_id, device=embedder.device)))
    row_of = [0] * len(distinct)
    for row, place in enumerate(place for bucket in buckets for place in bucket):
        row_of[place] = row
    rows_N = torch.tensor([row_of[place] for place in place_N], device=embedder.device)
    return torch.cat(parts).index_select(0, rows_N)
