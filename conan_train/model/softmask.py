"""The soft attention mask: one decoder that moves from causal to bidirectional as alpha goes from 0 to 1.

A language model that is switched from one mask to the other loses part of what it learned. Here row i of a
text of l tokens weighs its future by

    M_ij = 1 for j <= i,    M_ij = min(alpha * l / i, 1) for j > i        (1-based positions over the real
    tokens, padding not counted)

before the softmax normalises, that is log M_ij is added to the logits. alpha = 0 is the stock causal model
and alpha = 1 the stock bidirectional one (`config.is_causal = False`), exactly: both ends use the masks of
transformers themselves. Where an architecture narrows its mask (sliding windows), the rule reads: weight 1
where its causal mask allows, M where only its bidirectional mask does, 0 elsewhere.

Nothing of a model is patched. Attention and mask functions are registered with transformers under a name, and
the model's config carries that name. A registered function is not told which model calls it, so **every
installation registers a name of its own**, bound to its own `SoftMask`; models therefore never share alpha,
except a `copy.deepcopy`, which copies the name (install again on the copy). The name is not written to
config.json, and neither is alpha: whoever saves a model must save alpha beside it.

The mask is decided when the mask is built, never when attention runs, so recomputation under gradient
checkpointing sees the mask of its forward. Text caches have no meaning under 0 < alpha < 1 (old rows would
change) and are refused.
"""

import functools
import itertools
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import (
    bidirectional_mask_function,
    causal_mask_function,
    sdpa_mask,
    sliding_window_bidirectional_mask_function,
    sliding_window_causal_mask_function,
)

from conan_data.errors import UserError

# B batch, L positions (padding included). A segment is one text in a row; padding has segment -1.

_INSTALLATIONS = itertools.count()


def alpha_at(step: int, num_steps: int) -> float:
    """alpha before optimiser step `step` (0-based) of a linear rise over `num_steps` steps; 1 from there on,
    and at once for 0 steps.
    """
    return min(step / num_steps, 1.0) if num_steps > 0 else 1.0


def future_weights(
    segment_BL: torch.Tensor, alpha: float, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """min(alpha * l / i, 1) of every position, [B, L]: i counts from 1 in its segment of l tokens. Of no
    meaning on padding.
    """
    same_BLL = segment_BL[:, :, None] == segment_BL[:, None, :]
    position_BL = same_BLL.tril().sum(-1).to(dtype)
    length_BL = same_BLL.sum(-1).to(dtype)
    return (alpha * length_BL / position_BL).clamp(max=1.0)


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
    text sees another. Windows of a sliding-window model are not applied, so its rows must be shorter than its
    window.
    """
    same_BLL = (segment_BL[:, :, None] == segment_BL[:, None, :]) & (segment_BL >= 0)[:, None, :]
    weight_BL = future_weights(segment_BL, alpha, torch.promote_types(dtype, torch.float32))
    return soft_bias(same_BLL.tril(), same_BLL, weight_BL, dtype)[:, None]


def packed_positions(segment_BL: torch.Tensor) -> torch.Tensor:
    """0-based position of each token in its own text, [B, L]: the `position_ids` of a packed row."""
    return (segment_BL[:, :, None] == segment_BL[:, None, :]).tril().sum(-1) - 1


class SoftMask:
    """The alpha of one installed model, in [0, 1]; assign to it between steps."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def __deepcopy__(self, memo: dict[int, Any]) -> "SoftMask":
        """Itself: a copied model still calls the functions bound to this object, and a detached copy would be
        silently without effect.
        """
        return self

    @property
    def alpha(self) -> float:
        return self._alpha

    @alpha.setter
    def alpha(self, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise UserError(f"alpha: must lie between 0 (causal) and 1 (bidirectional), got {value!r}")
        self._alpha = float(value)

    def build(
        self,
        *,
        q_length: int,
        kv_length: int,
        mask_function: Any = causal_mask_function,
        attention_mask: torch.Tensor | None = None,
        local_size: int | None = None,
        dtype: torch.dtype = torch.float32,
        use_vmap: bool = False,
        allow_is_causal_skip: bool = True,
        config: Any = None,
        **geometry: Any,
    ) -> torch.Tensor | None:
        """The registered mask function, called by transformers: bool or additive float [B, 1, L, L], or None
        for all-to-all.
        """
        self._refuse_custom(mask_function, use_vmap, allow_is_causal_skip, local_size, config)
        size = {"q_length": q_length, "kv_length": kv_length, **geometry}
        stock = functools.partial(
            sdpa_mask,
            attention_mask=attention_mask,
            local_size=local_size,
            allow_is_causal_skip=False,
            **size,
        )
        past = sliding_window_causal_mask_function(local_size) if local_size else causal_mask_function
        both = (
            sliding_window_bidirectional_mask_function(local_size)
            if local_size
            else bidirectional_mask_function
        )
        if self.alpha == 0.0:
            return stock(mask_function=past)
        if self.alpha == 1.0:
            return stock(mask_function=both, allow_is_bidirectional_skip=True)
        if q_length != kv_length:
            raise UserError(
                f"the soft mask at alpha {self.alpha} needs whole texts; call the model with use_cache=False"
            )
        past_B1LL, both_B1LL = stock(mask_function=past), stock(mask_function=both)
        assert past_B1LL is not None and both_B1LL is not None
        past_BLL, both_BLL = past_B1LL[:, 0], both_B1LL[:, 0]
        if attention_mask is None:
            segment_BL = torch.zeros(past_BLL.shape[:2], dtype=torch.long, device=past_BLL.device)
        else:
            segment_BL = attention_mask.long() - 1
        weight_BL = future_weights(segment_BL, self.alpha, torch.promote_types(dtype, torch.float32))
        return soft_bias(past_BLL, both_BLL, weight_BL, dtype)[:, None]

    @staticmethod
    def _refuse_custom(
        mask_function: Any, use_vmap: bool, allow_skip: bool, local_size: int | None, config: Any
    ) -> None:
        """A mask that the model composes itself (packed positions, image blocks) cannot be told apart by
        function, only by these signs.
        """
        packed = getattr(config, "is_causal", True) and not allow_skip
        unknown = local_size is None and mask_function not in (
            causal_mask_function,
            bidirectional_mask_function,
        )
        if use_vmap or packed or unknown:
            raise UserError(
                "the soft mask replaces causal and sliding-window masks only; for packed rows pass packed_bias as a 4-D attention_mask"
            )


def _attend(module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, None]:
    """Stock sdpa; the mask says everything, so `is_causal` never does."""
    return sdpa_attention_forward(module, *args, **{**kwargs, "is_causal": False})


def install(model: PreTrainedModel, *, alpha: float = 1.0) -> SoftMask:
    """Gives `model` a soft mask of its own and returns its handle. Raises `UserError` for a model that cannot
    take one.
    """
    kind = type(model).__name__
    softcap = getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    if not model._supports_sdpa or softcap is not None:
        raise UserError(
            f"{kind}: its attention has no sdpa form, so it cannot take the soft mask; use a Llama, Qwen3, Mistral or Gemma3 decoder"
        )
    mask = SoftMask(alpha)
    name = f"conan_soft_mask_{next(_INSTALLATIONS)}"
    AttentionInterface.register(name, _attend)
    AttentionMaskInterface.register(name, mask.build)
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise UserError(
            f"{kind}: does not use the attention interface of transformers, so it cannot take the soft mask"
        )
    return mask
