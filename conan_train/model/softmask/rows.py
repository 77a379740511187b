"""Where the texts of a batch lie, and how each of their tokens weighs its future: what stands for the mask
when no [L, L] is built.

Made once a forward, from a padded batch or from texts that lie one after the other, and handed to every layer
in the place of the mask. It is a plain class on purpose: a wrapper that casts the floating tensors of a
layer's arguments (FSDP in mixed precision) looks into tensors, lists and dataclasses, and would round the
weights.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch

from conan_train.model.softmask.bias import segments_of, weight_on_future

# B batch, L positions (padding included), H heads, D head size, T real tokens, N texts


class Blend(NamedTuple):
    """log(1 - w) and log(w) of each token, w its weight on its future; float32 or wider."""

    log_past_T: torch.Tensor
    log_all_T: torch.Tensor


class VarlenRows:
    """N texts as runs of T real tokens; run n goes from `edges[n]` to `edges[n + 1]`.

    `place_T` says where in the flattened batch each real token lies; None if all are real. Without `blend`
    there is one attention, causal or full; with it, both.
    """

    def __init__(
        self,
        edges: torch.Tensor,
        *,
        longest: int,
        place_T: torch.Tensor | None,
        causal: bool,
        blend: Blend | None,
    ) -> None:
        assert causal or blend is None
        self.edges, self.longest, self.place_T = edges, longest, place_T
        self.causal, self.blend = causal, blend

    def spans(self) -> list[tuple[int, int]]:
        """Start and stop of each run that is not empty; waits for the device."""
        return [(start, stop) for start, stop in itertools.pairwise(self.edges.tolist()) if start < stop]

    def gather(self, given_BHLD: torch.Tensor) -> torch.Tensor:
        """The real tokens, [T, H, D]."""
        given_THD = given_BHLD.transpose(1, 2).flatten(0, 1)
        return given_THD if self.place_T is None else given_THD.index_select(0, self.place_T)

    def scatter(self, out_THD: torch.Tensor, *, shape: tuple[int, int]) -> torch.Tensor:
        """The reverse of `gather` for a batch of `shape` (B, L): [B, L, H, D], 0 on padding."""
        if self.place_T is None:
            return out_THD.unflatten(0, shape)
        flat = out_THD.new_zeros(shape[0] * shape[1], *out_THD.shape[1:])
        return flat.index_copy(0, self.place_T, out_THD).unflatten(0, shape)


class VarlenInputs(NamedTuple):
    """What an attention over packed texts takes; G heads of keys and values serve H heads of queries."""

    query: torch.Tensor  # [T, H, D]
    key: torch.Tensor  # [T, G, D]
    value: torch.Tensor  # [T, G, D]
    rows: VarlenRows
    scale: float


def rows_of_batch(
    real_BL: torch.Tensor | None,
    alpha: float,
    *,
    shape: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> VarlenRows:
    """The rows of a batch of `shape` (B, L), one text each, padding where `real_BL` is not set; weights in
    `dtype`. Waits for the device twice where there is padding.
    """
    if real_BL is None:
        return rows_of_lengths([shape[1]] * shape[0], alpha, dtype=dtype, device=device)
    length_B = real_BL.sum(-1)
    place_T = real_BL.flatten().nonzero()[:, 0]
    position_T = real_BL.cumsum(-1).flatten()[place_T]
    length_T = length_B[place_T // shape[1]]
    edges = torch.nn.functional.pad(length_B.cumsum(0), (1, 0)).int()
    return VarlenRows(
        edges,
        longest=int(length_B.max()),
        place_T=place_T,
        causal=alpha < 1.0,
        blend=_blend(position_T, length_T, alpha, dtype),
    )


def rows_of_lengths(
    lengths: Sequence[int], alpha: float, *, dtype: torch.dtype, device: torch.device
) -> VarlenRows:
    """The rows of texts that lie one after the other without padding; never waits for the device."""
    edges = torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32, device=device)
    text_T = segments_of(lengths, device)
    position_T = torch.arange(1, len(text_T) + 1, device=device) - edges[text_T]
    length_T = edges.diff()[text_T]
    return VarlenRows(
        edges,
        longest=max(lengths),
        place_T=None,
        causal=alpha < 1.0,
        blend=_blend(position_T, length_T, alpha, dtype),
    )


def _blend(
    position_T: torch.Tensor, length_T: torch.Tensor, alpha: float, dtype: torch.dtype
) -> Blend | None:
    if alpha in (0.0, 1.0):
        return None
    weight_T = weight_on_future(position_T, length_T, alpha, dtype)
    return Blend(torch.log1p(-weight_T), weight_T.log())
