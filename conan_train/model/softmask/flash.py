"""The soft mask as two flash-attention calls over packed texts, forward and backward; no [L, L] anywhere.

An additive bias keeps CUDA off its flash kernel and costs memory quadratic in the length. But the mask has
one number a row, w_i = min(alpha * l / i, 1), so it is a blend of two masks that flash knows. With
s_ij = scale * q_i k_j, Z_i the soft softmax's denominator and c, f the causal and the full one:

    Z_i = sum_{j<=i} e^s_ij + w_i sum_{j>i} e^s_ij = (1 - w_i) Z_i^c + w_i Z_i^f
    out_i = ((1 - w_i) Z_i^c out_i^c + w_i Z_i^f out_i^f) / Z_i

that is, two calls merged by their log-sum-exps: lse = logaddexp(lse^c + log(1 - w), lse^f + log w), and the
share of the full call is exp(lse^f + log w - lse).

Backward. The soft probabilities split the same way,

    P_ij = [j <= i] (1 - w_i) e^s_ij / Z_i + w_i e^s_ij / Z_i = [j <= i] e^(s_ij - a_i) + e^(s_ij - b_i)
    a = lse - log(1 - w),    b = lse - log w

and everything that follows is linear in P once D_i = dout_i . out_i is that of the merged output:
dV_j = sum_i P_ij dout_i, dS_ij = P_ij (dout_i . v_j - D_i), dQ_i = scale sum_j dS_ij k_j,
dK_j = scale sum_i dS_ij q_i. A flash backward call recomputes e^(s - lse) from the log-sum-exp it is given and
D from the output it is given; so one causal call with a and one full call with b, both with the merged
output, sum to the gradients. w = 1 makes a = inf and P^c = 0, w = 0 the same of b; the kernels use inf
themselves for rows past the end. alpha = 0 and alpha = 1 are one call each.

On CUDA the calls are torch's own kernels (variable lengths, grouped keys and values native). Elsewhere `reference`
takes their place, so merge, shifts and gradients are tested without a GPU.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from conan_train.model.softmask.reference import reference_backward, reference_forward
from conan_train.model.softmask.rows import VarlenInputs, VarlenRows

# T tokens of all texts, H heads, G heads of keys and values, D head size


@torch.compiler.disable
def varlen_attention(
    query_THD: torch.Tensor, key_TGD: torch.Tensor, value_TGD: torch.Tensor, rows: VarlenRows, *, scale: float
) -> torch.Tensor:
    """Attention of every text over itself under the soft mask of `rows`, [T, H, D]."""
    return _TwoCalls.apply(query_THD, key_TGD, value_TGD, rows, scale)


class _TwoCalls(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: VarlenRows, scale: float
    ) -> torch.Tensor:
        inputs = VarlenInputs(query, key, value, rows, scale)
        out_THD, lse_HT = _forward_call(inputs, causal=rows.causal)
        if rows.blend is not None:
            out_all_THD, lse_all_HT = _forward_call(inputs, causal=False)
            lse_all_HT = lse_all_HT + rows.blend.log_all_T
            lse_HT = torch.logaddexp(lse_HT + rows.blend.log_past_T, lse_all_HT)
            share_TH1 = (lse_all_HT - lse_HT).exp().t()[:, :, None]
            out_THD = torch.lerp(out_THD, out_all_THD, share_TH1.to(out_THD.dtype))
        ctx.save_for_backward(query, key, value, out_THD, lse_HT)
        ctx.rows, ctx.scale = rows, scale
        return out_THD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_THD: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, out_THD, lse_HT = ctx.saved_tensors
        rows: VarlenRows = ctx.rows
        inputs = VarlenInputs(query, key, value, rows, ctx.scale)
        grad_THD = grad_THD.contiguous()
        if rows.blend is None:
            return *_backward_call(inputs, grad_THD, out_THD, lse_HT, causal=rows.causal), None, None
        lse_past_HT, lse_all_HT = lse_HT - rows.blend.log_past_T, lse_HT - rows.blend.log_all_T
        grads = _backward_call(inputs, grad_THD, out_THD, lse_past_HT, causal=True)
        for grad, part in zip(
            grads, _backward_call(inputs, grad_THD, out_THD, lse_all_HT, causal=False), strict=True
        ):
            grad.add_(part)
        return *grads, None, None


def _forward_call(inputs: VarlenInputs, *, causal: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """One plain attention: output [T, H, D] and log-sum-exp [H, T], float32 or wider."""
    if not inputs.query.is_cuda:
        return reference_forward(inputs, causal=causal)
    query, key, value, rows, scale = inputs
    out, lse, *_ = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        rows.edges,
        rows.edges,
        rows.longest,
        rows.longest,
        0.0,
        causal,
        False,
        scale=scale,
    )
    assert lse.shape == (query.shape[1], query.shape[0]), "another layout of the log-sum-exp"
    return out, lse


def _backward_call(
    inputs: VarlenInputs, grad: torch.Tensor, out: torch.Tensor, lse: torch.Tensor, *, causal: bool
) -> tuple[torch.Tensor, ...]:
    """Gradients of query, key and value for the probabilities exp(scores - lse)."""
    if not inputs.query.is_cuda:
        return reference_backward(inputs, grad, out, lse, causal=causal)
    query, key, value, rows, scale = inputs
    no_seed = torch.zeros(2, dtype=torch.uint64, device=query.device)  # of a dropout there is none of
    unused = torch.empty(0, device=query.device)
    return torch.ops.aten._flash_attention_backward(
        grad,
        query,
        key,
        value,
        out,
        lse,
        rows.edges,
        rows.edges,
        rows.longest,
        rows.longest,
        0.0,
        causal,
        no_seed,
        unused,
        scale=scale,
    )
