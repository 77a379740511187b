"""The soft attention mask: one decoder that moves from causal to bidirectional as alpha goes from 0 to 1.

A language model that is switched from one mask to the other loses part of what it learned. Here row i of a
text of l tokens weighs its future by

    M_ij = 1 for j <= i,    M_ij = min(alpha * l / i, 1) for j > i        (1-based positions over the real
    tokens, padding not counted)

before the softmax normalises, that is log M_ij is added to the logits. alpha = 0 is the stock causal model
and alpha = 1 the stock bidirectional one (`config.is_causal = False`): the dense form uses the masks of
transformers themselves at both ends, the flash form one plain call. Where an architecture narrows its mask
(sliding windows), the rule reads: weight 1 where its causal mask allows, M where only its bidirectional mask
does, 0 elsewhere.

`bias` is the formula, `flash` computes it without a bias, `form` chooses, `handle` brings it into a model.
"""

from conan_train.model.alpha import AlphaSchedule, alpha_at
from conan_train.model.softmask.bias import (
    future_weights,
    packed_bias,
    packed_positions,
    segments_of,
    soft_bias,
)
from conan_train.model.softmask.form import AttentionForm
from conan_train.model.softmask.handle import SoftMask, install

__all__ = [
    "AlphaSchedule",
    "AttentionForm",
    "SoftMask",
    "alpha_at",
    "future_weights",
    "install",
    "packed_bias",
    "packed_positions",
    "segments_of",
    "soft_bias",
]
