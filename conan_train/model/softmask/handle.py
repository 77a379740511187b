"""The handle of one model's soft mask, and its installation in any decoder of transformers.

Nothing of a model is patched. Attention and mask functions are registered with transformers under a name, and
the model's config carries that name. A registered function is not told which model calls it, so **every
installation registers a name of its own**, bound to its own `SoftMask`; models therefore never share alpha,
except a `copy.deepcopy`, which copies the name (install again on the copy). The name is not written to
config.json, and neither is alpha: whoever saves a model must save alpha beside it.

The mask is decided when the mask is built, never when attention runs, so recomputation under gradient
checkpointing sees the mask of its forward. Both are left out of a compiled graph (`torch.compile` breaks
there), so a new alpha compiles nothing anew. Text caches have no meaning under 0 < alpha < 1 (old rows would
change) and are refused.
"""

import contextlib
import functools
import itertools
from collections.abc import Iterator, Sequence
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
from conan_train.model.softmask.bias import packed_bias, segments_of, soft_bias, weight_on_future
from conan_train.model.softmask.flash import varlen_attention
from conan_train.model.softmask.form import AttentionForm, uses_flash
from conan_train.model.softmask.rows import VarlenRows, rows_of_batch, rows_of_lengths

# B batch, L positions (padding included), H heads, G heads of keys and values, D head size, T real tokens

_INSTALLATIONS = itertools.count()


class SoftMask:
    """The alpha of one installed model, in [0, 1], and the form its attention is computed in; assign to them
    between steps.
    """

    def __init__(self, alpha: float = 1.0, *, attention: AttentionForm = "auto") -> None:
        self.alpha = alpha
        self.attention = attention
        self._packed_lengths: tuple[int, ...] | None = None

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

    @contextlib.contextmanager
    def packed(self, lengths: Sequence[int]) -> Iterator[None]:
        """Forwards in this context take one row of texts of `lengths` tokens that lie one after the other,
        with the `position_ids` of each text of its own and a mask of ones.
        """
        self._packed_lengths = tuple(lengths)
        try:
            yield
        finally:
            self._packed_lengths = None

    @torch.compiler.disable
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
        allow_is_bidirectional_skip: bool = False,
        config: Any = None,
        device: torch.device | str = "cpu",
        **geometry: Any,
    ) -> torch.Tensor | VarlenRows | None:
        """The registered mask function, called by transformers: bool or additive float [B, 1, L, L], None for
        all-to-all, or `VarlenRows` where attention is to run in the flash form.

        A base whose config is bidirectional allows itself to leave a mask without padding out; that is decided by
        alpha here, and not by `allow_is_bidirectional_skip`.
        """
        self._refuse_custom(mask_function, use_vmap, allow_is_causal_skip, local_size, config)
        device, wide = torch.device(device), torch.promote_types(dtype, torch.float32)
        flash = uses_flash(
            self.attention, config=config, dtype=dtype, device=device, q_length=q_length, kv_length=kv_length
        )
        if self._packed_lengths is not None:
            return self._build_packed(flash, local_size, q_length, dtype, device)
        # A window that cuts nothing is no window; one that does is not among flash's two masks here.
        if flash and (local_size is None or kv_length <= local_size):
            shape = (geometry["batch_size"], q_length)
            return rows_of_batch(attention_mask, self.alpha, shape=shape, dtype=wide, device=device)
        past, both = _stock_masks(
            local_size,
            q_length=q_length,
            kv_length=kv_length,
            attention_mask=attention_mask,
            device=device,
            **geometry,
        )
        if self.alpha == 0.0:
            return past()
        if self.alpha == 1.0:
            return both(allow_is_bidirectional_skip=True)
        if q_length != kv_length:
            raise UserError(
                f"the soft mask at alpha {self.alpha} needs whole texts; call the model with use_cache=False"
            )
        past_B1LL, both_B1LL = past(), both()
        assert past_B1LL is not None and both_B1LL is not None
        past_BLL, both_BLL = past_B1LL[:, 0], both_B1LL[:, 0]
        if attention_mask is None:
            attention_mask = torch.ones(past_BLL.shape[:2], dtype=torch.bool, device=past_BLL.device)
        position_BL = attention_mask.cumsum(-1).clamp(min=1)  # padding before the text has none
        weight_BL = weight_on_future(position_BL, position_BL[:, -1:], self.alpha, wide)
        return soft_bias(past_BLL, both_BLL, weight_BL, dtype)[:, None]

    def _build_packed(
        self, flash: bool, local_size: int | None, num_tokens: int, dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor | VarlenRows:
        lengths = self._packed_lengths
        assert lengths is not None and sum(lengths) == num_tokens, "lengths are of another row"
        if local_size is not None and max(lengths) > local_size:
            raise UserError(
                f"a text of {max(lengths)} tokens is longer than the model's window of {local_size}, so it cannot be packed; pad instead"
            )
        if flash:
            wide = torch.promote_types(dtype, torch.float32)
            return rows_of_lengths(lengths, self.alpha, dtype=wide, device=device)
        return packed_bias(segments_of(lengths, device)[None], self.alpha, dtype)

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


def _stock_masks(local_size: int | None, **given: Any) -> tuple[Any, Any]:
    """The builders of transformers' own causal and bidirectional mask."""
    stock = functools.partial(sdpa_mask, local_size=local_size, allow_is_causal_skip=False, **given)
    if local_size:
        return (
            functools.partial(stock, mask_function=sliding_window_causal_mask_function(local_size)),
            functools.partial(stock, mask_function=sliding_window_bidirectional_mask_function(local_size)),
        )
    return (
        functools.partial(stock, mask_function=causal_mask_function),
        functools.partial(stock, mask_function=bidirectional_mask_function),
    )


def _attend(
    module: torch.nn.Module,
    query_BHLD: torch.Tensor,
    key_BGLD: torch.Tensor,
    value_BGLD: torch.Tensor,
    attention_mask: torch.Tensor | VarlenRows | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Stock sdpa, or the flash form; the mask says everything, so `is_causal` never does."""
    if not isinstance(attention_mask, VarlenRows):
        kwargs = {**kwargs, "scaling": scaling, "is_causal": False}
        return sdpa_attention_forward(module, query_BHLD, key_BGLD, value_BGLD, attention_mask, **kwargs)
    # Under autocast the rotary product is float32 again, while values are not; sdpa casts, flash does not.
    kind = query_BHLD.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value_BGLD.dtype
    query_THD, key_TGD, value_TGD = (
        attention_mask.gather(given.to(dtype)) for given in (query_BHLD, key_BGLD, value_BGLD)
    )
    scale = query_BHLD.shape[-1] ** -0.5 if scaling is None else scaling
    with torch.autocast(kind, enabled=False):
        out_THD = varlen_attention(query_THD, key_TGD, value_TGD, attention_mask, scale=scale)
    return attention_mask.scatter(out_THD, shape=(query_BHLD.shape[0], query_BHLD.shape[2])), None


def install(model: PreTrainedModel, *, alpha: float = 1.0, attention: AttentionForm = "auto") -> SoftMask:
    """Gives `model` a soft mask of its own and returns its handle. Raises `UserError` for a model that cannot
    take one.
    """
    kind = type(model).__name__
    softcap = getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    if not model._supports_sdpa or softcap is not None:
        raise UserError(
            f"{kind}: its attention has no sdpa form, so it cannot take the soft mask; use a Llama, Qwen3, Mistral or Gemma3 decoder"
        )
    mask = SoftMask(alpha, attention=attention)
    name = f"conan_soft_mask_{next(_INSTALLATIONS)}"
    AttentionInterface.register(name, _attend)
    AttentionMaskInterface.register(name, mask.build)
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise UserError(
            f"{kind}: does not use the attention interface of transformers, so it cannot take the soft mask"
        )
    return mask
