"""The two flash kernels in plain torch, text by text: what stands in for them off CUDA, and what they must
equal.

The same inputs, outputs and log-sum-exps, any precision, float64 included. Quadratic in the length of a text;
for tests and small models, not for speed.
"""

import torch

from conan_train.model.softmask.rows import VarlenInputs

# T tokens of all texts, H heads, D head size, L tokens of one text


def reference_forward(inputs: VarlenInputs, *, causal: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Output [T, H, D] and log-sum-exp [H, T], the latter float32 or wider."""
    query, key, value, rows, scale = inputs
    outs, lses = [], []
    for start, stop in rows.spans():
        query_HLD, key_HLD, value_HLD = (
            _text(given, start, stop, query.shape[1]) for given in (query, key, value)
        )
        scores_HLL = _scores(query_HLD, key_HLD, causal=causal, scale=scale)
        outs.append((scores_HLL.softmax(-1) @ value_HLD).transpose(0, 1))
        lses.append(scores_HLL.logsumexp(-1))
    return torch.cat(outs).to(query.dtype), torch.cat(lses, dim=1)


def reference_backward(
    inputs: VarlenInputs, grad: torch.Tensor, out: torch.Tensor, lse: torch.Tensor, *, causal: bool
) -> tuple[torch.Tensor, ...]:
    """Gradients of query, key and value for the probabilities exp(scores - lse), which need not sum to 1."""
    query, key, value, rows, scale = inputs
    parts = []
    for start, stop in rows.spans():
        query_HLD, key_HLD, value_HLD, grad_HLD, out_HLD = (
            _text(given, start, stop, query.shape[1]) for given in (query, key, value, grad, out)
        )
        scores_HLL = _scores(query_HLD, key_HLD, causal=causal, scale=scale)
        prob_HLL = (scores_HLL - lse[:, start:stop, None]).exp()
        inner_HL1 = (grad_HLD * out_HLD).sum(-1, keepdim=True)
        grad_scores_HLL = prob_HLL * (grad_HLD @ value_HLD.mT - inner_HL1) * scale
        parts.append((grad_scores_HLL @ key_HLD, grad_scores_HLL.mT @ query_HLD, prob_HLL.mT @ grad_HLD))
    joined = (torch.cat(part, dim=1).transpose(0, 1) for part in zip(*parts, strict=True))
    return tuple(
        grad_THD.unflatten(1, (given.shape[1], -1)).sum(2).to(given.dtype)
        for grad_THD, given in zip(joined, (query, key, value), strict=True)
    )


def _text(given_TGD: torch.Tensor, start: int, stop: int, num_heads: int) -> torch.Tensor:
    """One text, [H, L, D], float32 or wider, heads of keys and values repeated."""
    text_GLD = given_TGD[start:stop].transpose(0, 1)
    text_GLD = text_GLD.to(torch.promote_types(text_GLD.dtype, torch.float32))
    return text_GLD.repeat_interleave(num_heads // len(text_GLD), dim=0)


def _scores(query_HLD: torch.Tensor, key_HLD: torch.Tensor, *, causal: bool, scale: float) -> torch.Tensor:
    scores_HLL = scale * query_HLD @ key_HLD.mT
    if causal:
        future_LL = torch.ones(scores_HLL.shape[1:], dtype=torch.bool, device=scores_HLL.device).triu(1)
        scores_HLL = scores_HLL.masked_fill(future_LL, float("-inf"))
    return scores_HLL
