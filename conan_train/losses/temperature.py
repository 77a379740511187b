"""The temperature of a contrastive loss: a number, or learned within bounds.

A learned one is exp(theta): steps on theta are relative, and it can never cross zero (CLIP, arXiv 2103.00020,
learns the log of its inverse in the same way). Left alone it shrinks without end once the batch is solved,
and logits blow up; so it is clamped. At a bound the gradient is let through in one direction only, back
inside: a plain clamp would hold it there for good.
"""

import math

import torch

from conan_data.errors import UserError


class Temperature(torch.nn.Module):
    """A learned temperature in [`low`, `high`]; call it for the tensor to divide by."""

    def __init__(self, start: float, *, low: float = 0.005, high: float = 1.0) -> None:
        super().__init__()
        if not 0.0 < low <= start <= high:
            raise UserError(
                f"temperature: {start} must lie between its bounds, which are above 0 (here {low} and {high})"
            )
        self.low, self.high = low, high
        self.log_value = torch.nn.Parameter(torch.tensor(math.log(start)))

    def forward(self) -> torch.Tensor:
        return _Bounded.apply(self.log_value, math.log(self.low), math.log(self.high)).exp()


class _Bounded(torch.autograd.Function):
    """A clamp whose gradient vanishes only where a descent would lead further out."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, value: torch.Tensor, low: float, high: float
    ) -> torch.Tensor:
        ctx.save_for_backward(value)
        ctx.bounds = (low, high)  # type: ignore[attr-defined]
        return value.clamp(low, high)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        (value,) = ctx.saved_tensors  # type: ignore[attr-defined]
        low, high = ctx.bounds  # type: ignore[attr-defined]
        outward = ((value <= low) & (gradients[0] > 0)) | ((value >= high) & (gradients[0] < 0))
        return gradients[0].masked_fill(outward, 0.0), None, None
