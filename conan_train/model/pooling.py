"""From token states to one unit vector a text: the mean over its real tokens, in at least float32.

A mean in bf16 keeps 8 bits of a sum over hundreds of tokens, and a mean that counts padding depends on what
else is in the batch.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

# B batch, L positions, D dim, T tokens of N packed texts


def skip_first(mask_BL: torch.Tensor, num_tokens: int | torch.Tensor) -> torch.Tensor:
    """`mask_BL` without the first `num_tokens` real tokens of each row (a prompt); an int, or [B]. The
    padding may be on either side.
    """
    real_BL = mask_BL.bool()
    skipped_B1 = torch.as_tensor(num_tokens, device=mask_BL.device).reshape(-1, 1)
    return real_BL & (real_BL.cumsum(-1) > skipped_B1)


def last_token(mask_BL: torch.Tensor) -> torch.Tensor:
    """Return `mask_BL` with only the last real token of each row set; the padding may be on either side."""
    real_BL = mask_BL.bool()
    return real_BL & (real_BL.flip(-1).cumsum(-1).flip(-1) == 1)


def mean_pool(state_BLD: torch.Tensor, mask_BL: torch.Tensor) -> torch.Tensor:
    """Mean of the states where `mask_BL` is set, [B, D], float32 or wider; a row without any is the zero
    vector.
    """
    real_BL1 = mask_BL.bool()[:, :, None]
    state_BLD = state_BLD.to(torch.promote_types(state_BLD.dtype, torch.float32)).masked_fill(~real_BL1, 0.0)
    return state_BLD.sum(1) / real_BL1.sum(1).clamp(min=1)


def unit_mean(state_BLD: torch.Tensor, mask_BL: torch.Tensor) -> torch.Tensor:
    """`mean_pool`, scaled to unit length."""
    return F.normalize(mean_pool(state_BLD, mask_BL), dim=-1)


def packed_unit_mean(
    state_TD: torch.Tensor, mask_T: torch.Tensor, *, text_T: torch.Tensor, lengths: Sequence[int]
) -> torch.Tensor:
    """`unit_mean` of texts that lie one after the other, [N, D]: `text_T` numbers each token's text."""
    lengths_N = torch.tensor(lengths, device=state_TD.device)
    count_N = torch.zeros_like(lengths_N).index_add(0, text_T, mask_T.long())
    state_TD = state_TD.to(torch.promote_types(state_TD.dtype, torch.float32))
    state_TD = state_TD.masked_fill(~mask_T.bool()[:, None], 0.0)
    # A sum in a fixed order, forward and backward, which index_add on a GPU is not.
    sum_ND = torch.segment_reduce(state_TD, "sum", lengths=lengths_N)
    return F.normalize(sum_ND / count_N.clamp(min=1)[:, None], dim=-1)
