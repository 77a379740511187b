"""The soft mask written out: the weight of every position on its future, and the additive bias [L, L].

The formula, which everything else must equal. The bias is quadratic in the length; `flash` computes the same
from the weights alone.
"""

from collections.abc import Sequence

import torch

# B batch, L positions (padding included), T tokens of packed texts. A segment is one text in a row; padding
# has segment -1.


def future_weights(
    segment_BL: torch.Tensor, alpha: float, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """min(alpha * l / i, 1) of every position, [B, L]: i counts from 1 in its segment of l tokens. Of no
    meaning on padding.
    """
    same_BLL = segment_BL[:, :, None] == segment_BL[:, None, :]
    return weight_on_future(same_BLL.tril().sum(-1), same_BLL.sum(-1), alpha, dtype)


def weight_on_future(
    position: torch.Tensor, length: torch.Tensor, alpha: float, dtype: torch.dtype
) -> torch.Tensor:
    """min(alpha * l / i, 1), elementwise; positions i count from 1."""
    return (alpha * length.to(dtype) / position.to(dtype)).clamp(max=1.0)


def soft_bias(
    past_BLL: torch.Tensor, all_BLL: torch.Tensor, weight_BL: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Additive logits [B, L, L]: 0 where `past` allows, log(weight) of the row where only `all` does, the
    lowest number elsewhere.

    Every row keeps itself, padding too: a softmax over nothing would be NaN once a lower precision rounds the
    lowest number to -inf.
    """
    lowest = torch.finfo(dtype).min
    future_BL1 = weight_BL.log().clamp(min=lowest).to(dtype)[:, :, None]
    bias_BLL = torch.where(past_BLL, torch.zeros((), dtype=dtype, device=past_BLL.device), future_BL1)
    bias_BLL = bias_BLL.masked_fill(~(past_BLL | all_BLL), lowest)
    bias_BLL.diagonal(dim1=-2, dim2=-1).zero_()
    return bias_BLL


def packed_bias(segment_BL: torch.Tensor, alpha: float, dtype: torch.dtype) -> torch.Tensor:
    """The soft mask of several texts packed in a row, [B, 1, L, L], to be passed as a 4-D `attention_mask`
    with `packed_positions`.

    `segment_BL` numbers the texts of a row, -1 for padding; a text's tokens lie together. Block-diagonal: no
    text sees another. Windows of a sliding-window model are not applied, so its texts must not be longer than
    its window.
    """
    same_BLL = (segment_BL[:, :, None] == segment_BL[:, None, :]) & (segment_BL >= 0)[:, None, :]
    weight_BL = future_weights(segment_BL, alpha, torch.promote_types(dtype, torch.float32))
    return soft_bias(same_BLL.tril(), same_BLL, weight_BL, dtype)[:, None]


def packed_positions(segment_BL: torch.Tensor) -> torch.Tensor:
    """0-based position of each token in its own text, [B, L]: the `position_ids` of a packed row."""
    return (segment_BL[:, :, None] == segment_BL[:, None, :]).tril().sum(-1) - 1


def segments_of(lengths: Sequence[int], device: torch.device | str) -> torch.Tensor:
    """The number of its text for each token of texts that lie one after the other, [T]."""
    length_N = torch.tensor(lengths, device=device)
    return torch.arange(len(lengths), device=device).repeat_interleave(length_N, output_size=sum(lengths))
