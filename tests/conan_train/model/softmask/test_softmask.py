"""The soft mask against the stock models at its ends, and against the formula in float64 in between."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2Model,
    Gemma3TextConfig,
    Gemma3TextModel,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
    PreTrainedModel,
    Qwen3Config,
    Qwen3Model,
)
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb, repeat_kv

from conan_data.errors import UserError
from conan_train.model.softmask import (
    SoftMask,
    future_weights,
    install,
    packed_bias,
    packed_positions,
)

LENGTH = 12
SMALL = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaModel(LlamaConfig(**SMALL)),
    "qwen3": lambda: Qwen3Model(Qwen3Config(**SMALL, head_dim=8)),
    "mistral": lambda: MistralModel(MistralConfig(**SMALL, sliding_window=None)),
    "mistral-window": lambda: MistralModel(MistralConfig(**SMALL, sliding_window=4)),
    "gemma3": lambda: Gemma3TextModel(
        Gemma3TextConfig(
            **SMALL, head_dim=8, sliding_window=4, layer_types=["sliding_attention", "full_attention"]
        )
    ),
}


def build(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return FAMILIES[family]().eval()


def batch(padding: str, *, length: int = LENGTH) -> tuple[torch.Tensor, torch.Tensor | None]:
    ids = torch.randint(1, 40, (3, length), generator=torch.Generator().manual_seed(1))
    if padding == "none":
        return ids, None
    mask = torch.ones_like(ids)
    for row, num_padded in enumerate((0, 3, 7)):
        if num_padded:
            mask[row, -num_padded:] = 0
    return ids, mask if padding == "right" else mask.flip(1)


def states(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Last hidden states of the real tokens, [num_real, D]."""
    out = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return out.flatten(0, 1) if mask is None else out[mask.bool()]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("padding", ["none", "left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_forms_agree_in_every_family(family: str, padding: str, alpha: float) -> None:
    """States and gradients; windows shorter than the batch take the dense bias, the layers beside them
    flash.
    """
    ids, mask = batch(padding)
    found = {}
    for attention in ("dense", "flash"):
        model = build(family).double()  # but their norms compute in float32
        install(model, alpha=alpha, attention=attention)
        out = states(model, ids, mask)
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
        found[attention] = out, torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    for flash, dense in zip(found["flash"], found["dense"], strict=True):
        assert dense.abs().max() > 0.1
        torch.testing.assert_close(flash, dense, rtol=0, atol=1e-6 * dense.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("padding", ["none", "left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_the_ends_are_the_stock_models(family: str, padding: str, dtype: torch.dtype) -> None:
    model = build(family).to(dtype)
    ids, mask = batch(padding)
    causal = states(model, ids, mask)
    model.config.is_causal = False
    bidirectional = states(model, ids, mask)
    del model.config.is_causal
    assert not torch.equal(causal, bidirectional)
    soft = install(model, alpha=0.0)
    assert (states(model, ids, mask) - causal).abs().max() == 0.0
    soft.alpha = 1.0
    assert (states(model, ids, mask) - bidirectional).abs().max() == 0.0
    soft.alpha = 0.5
    between = states(model, ids, mask)
    assert torch.isfinite(between).all()
    assert not torch.equal(between, causal) and not torch.equal(between, bidirectional)


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("padding", ["none", "right"])
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
@torch.no_grad()
def test_the_flag_of_the_config_has_no_say(alpha: float, padding: str, is_causal: bool) -> None:
    """Without padding, a bidirectional config lets transformers leave the mask out, whatever alpha is."""
    ids, mask = batch(padding)
    model = build("llama")
    install(model, alpha=alpha)
    expected = states(model, ids, mask)
    model.config.is_causal = is_causal
    assert torch.equal(states(model, ids, mask), expected)


@pytest.mark.parametrize("padding", ["left", "right"])
@torch.no_grad()
def test_the_bias_tends_to_the_ends(padding: str) -> None:
    """The additive bias, which the ends do not use, at an alpha next to them."""
    ids, mask = batch(padding)
    model = build("llama")
    soft = install(model, alpha=0.0)
    for end, near in ((0.0, 1e-30), (1.0, 1.0 - 1e-16)):
        soft.alpha = end
        expected = states(model, ids, mask)
        soft.alpha = near
        torch.testing.assert_close(states(model, ids, mask), expected, rtol=0, atol=1e-6)


def formula(alpha: float, length: int) -> torch.Tensor:
    """M of the docstring, written out, float64 [l, l]."""
    return torch.tensor(
        [
            [1.0 if j <= i else min(alpha * length / i, 1.0) for j in range(1, length + 1)]
            for i in range(1, length + 1)
        ],
        dtype=torch.float64,
    )


def reference_text(model: LlamaModel, ids_L: torch.Tensor, mask_LL: torch.Tensor) -> torch.Tensor:
    """States [L, D] of one unpadded text, attention written out: exp(logits) * M, normalised."""
    state_LD = model.embed_tokens(ids_L)
    cos, sin = model.rotary_emb(state_LD[None], position_ids=torch.arange(len(ids_L))[None])
    for layer in model.layers:
        attention = layer.self_attn
        normed = layer.input_layernorm(state_LD)[None]
        query, key, value = (
            projection(normed).view(1, len(ids_L), -1, attention.head_dim).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        query, key = apply_rotary_pos_emb(query, key, cos, sin)
        groups = attention.num_key_value_groups
        scores = (query @ repeat_kv(key, groups).transpose(2, 3)) * attention.scaling
        weights = scores.exp() * mask_LL
        mixed = (weights / weights.sum(-1, keepdim=True)) @ repeat_kv(value, groups)
        state_LD = state_LD + attention.o_proj(mixed.transpose(1, 2).flatten(2))[0]
        state_LD = state_LD + layer.mlp(layer.post_attention_layernorm(state_LD))
    return model.norm(state_LD)


@pytest.mark.parametrize("attention", ["dense", "flash"])
@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("padding", ["none", "left", "right"])
@torch.no_grad()
def test_between_is_the_formula(padding: str, alpha: float, attention: str) -> None:
    model = build("llama").double()
    ids, mask = batch(padding)
    real = torch.ones_like(ids).bool() if mask is None else mask.bool()
    expected = torch.cat(
        [
            reference_text(model, row[keep], formula(alpha, int(keep.sum())))
            for row, keep in zip(ids, real, strict=True)
        ]
    )
    install(model, alpha=alpha, attention=attention)
    # Rotary tables are float32 in transformers, so a left-padded text is the same text only to their
    # precision.
    torch.testing.assert_close(
        states(model, ids, mask), expected, rtol=0, atol=1e-5 if padding == "left" else 1e-9
    )


def test_weights_count_real_positions_only() -> None:
    segments = torch.tensor([[-1, -1, 0, 0, 0, 0, 1, 1, 1, -1]])
    weights = future_weights(segments, 0.5, torch.float64)[0]
    expected = [min(0.5 * 4 / i, 1) for i in (1, 2, 3, 4)] + [min(0.5 * 3 / i, 1) for i in (1, 2, 3)]
    assert weights[2:9].tolist() == pytest.approx(expected)


@torch.no_grad()
def test_windows_blend_what_only_the_bidirectional_mask_allows() -> None:
    """Stock windows differ at their edge: causal sees w - 1 back, bidirectional w. The edge is blended like
    the future.
    """
    soft = SoftMask(0.5)
    bias = soft.build(batch_size=1, q_length=6, kv_length=6, local_size=2, dtype=torch.float64, device="cpu")[
        0, 0
    ]
    for i in range(6):
        weight = math.log(min(0.5 * 6 / (i + 1), 1.0))
        for j in range(6):
            expected = (
                0.0 if i - 1 <= j <= i else weight if abs(i - j) <= 2 else torch.finfo(torch.float64).min
            )
            assert bias[i, j].item() == pytest.approx(expected), (i, j)


@pytest.mark.parametrize("attention", ["dense", "flash"])
def test_gradients_match_finite_differences(attention: str) -> None:
    model = build("llama")
    for layer in model.layers:  # the norms of transformers compute in float32, too coarse for differences
        layer.input_layernorm, layer.post_attention_layernorm = (
            torch.nn.RMSNorm(32, 1e-6),
            torch.nn.RMSNorm(32, 1e-6),
        )
    model.norm = torch.nn.RMSNorm(32, 1e-6)
    model.double()
    install(model, alpha=0.3, attention=attention)
    ids, mask = batch("right", length=10)
    direction = torch.randn(
        int(mask.sum()), 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    weight = model.layers[0].self_attn.k_proj.weight

    def value() -> torch.Tensor:
        return (states(model, ids, mask) * direction).sum()

    value().backward()
    for place in ((0, 0), (3, 7), (15, 31)):
        with torch.no_grad():
            weight[place] += 1e-5
            above = value().item()
            weight[place] -= 2e-5
            below = value().item()
            weight[place] += 1e-5
        assert abs(weight.grad[place].item()) > 1e-4
        assert weight.grad[place].item() == pytest.approx((above - below) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("attention", ["dense", "flash"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients(reentrant: bool, attention: str) -> None:
    ids, mask = batch("right")
    gradients = []
    for checkpointing in (False, True):
        model = build("llama").train()
        soft = install(model, alpha=0.3, attention=attention)
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
            model.enable_input_require_grads()
        loss = states(model, ids, mask).square().sum()
        soft.alpha = 0.9  # the recomputation belongs to the forward, whatever alpha has become
        loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    assert gradients[0].abs().max() > 1e-3
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("attention", ["dense", "flash"])
@pytest.mark.parametrize("padding", ["left", "right"])
def test_autocast_stays_finite(padding: str, attention: str) -> None:
    ids, mask = batch(padding)
    for family in ("llama", "mistral-window"):
        model = build(family)
        for alpha in (0.0, 0.3, 1.0):
            install(model, alpha=alpha, attention=attention)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            out[mask.bool()].float().square().sum().backward()
            assert torch.isfinite(out).all()
            assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_no_row_is_empty_once_the_lowest_number_is_rounded_away() -> None:
    """Padding that sees no real token (windows, packed rows) would be a softmax over -inf alone in bf16, and
    NaN spreads.
    """
    mask = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1]])
    windowed = SoftMask(0.3).build(
        batch_size=1, q_length=8, kv_length=8, local_size=2, attention_mask=mask.bool(), device="cpu"
    )
    for bias in (windowed, *(packed_bias(mask - 1, alpha, torch.float32) for alpha in (0.0, 0.3, 1.0))):
        rounded = bias.bfloat16()
        assert torch.isneginf(rounded).any()
        assert torch.isfinite(rounded.float().softmax(-1)).all()


@torch.no_grad()
def test_models_do_not_share_alpha() -> None:
    ids, mask = batch("right")
    one, other = build("llama"), build("llama")
    soft_one, soft_other = install(one, alpha=0.0), install(other, alpha=0.0)
    before = states(other, ids, mask)
    soft_one.alpha = 1.0
    assert torch.equal(states(other, ids, mask), before)
    assert not torch.equal(states(one, ids, mask), before)
    assert (soft_one.alpha, soft_other.alpha) == (1.0, 0.0)


@torch.no_grad()
def test_a_copied_model_follows_until_it_is_installed_again() -> None:
    ids, mask = batch("right")
    model = build("llama")
    soft = install(model, alpha=0.0)
    twin, twin_soft = copy.deepcopy(model), copy.deepcopy(soft)
    twin_soft.alpha = 1.0
    assert torch.equal(states(twin, ids, mask), states(model, ids, mask))
    install(twin, alpha=0.0)
    assert not torch.equal(states(twin, ids, mask), states(model, ids, mask))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@torch.no_grad()
def test_packed_rows_equal_separate_forwards(alpha: float) -> None:
    model = build("llama").double()
    install(model, alpha=alpha)
    ids, _ = batch("none")
    segments = torch.tensor([[0] * 5 + [1] * 7, [0] * 3 + [1] * 4 + [2] * 2 + [-1] * 3, [0] * 12])
    packed = model(
        input_ids=ids,
        attention_mask=packed_bias(segments, alpha, torch.float64),
        position_ids=packed_positions(segments),
        use_cache=False,
    ).last_hidden_state
    for row in range(3):
        for segment in range(int(segments[row].max()) + 1):
            keep = segments[row] == segment
            torch.testing.assert_close(
                packed[row, keep], states(model, ids[row : row + 1, keep], None), rtol=0, atol=1e-9
            )


def test_refuses_what_it_cannot_mask() -> None:
    with pytest.raises(UserError, match="alpha"):
        SoftMask(1.5)
    with pytest.raises(UserError, match="Gemma2Model"):
        install(Gemma2Model(Gemma2Config(**SMALL, head_dim=8)))
    model = build("llama")
    ids, _ = batch("none")
    install(model, alpha=0.5)
    with pytest.raises(UserError, match="packed_bias"):
        model(input_ids=ids, position_ids=torch.arange(LENGTH).remainder(6).expand(3, -1), use_cache=False)
    with pytest.raises(UserError, match="use_cache"):
        past = model(input_ids=ids, use_cache=True).past_key_values
        model(input_ids=ids[:, :1], past_key_values=past, use_cache=True)


@torch.no_grad()
def test_a_cache_at_the_ends_leaves_flash_for_the_dense_mask() -> None:
    ids, _ = batch("none")
    model = build("llama")
    install(model, alpha=0.0, attention="flash")
    whole = model(input_ids=ids, use_cache=False).last_hidden_state
    past = model(input_ids=ids[:, :-1], use_cache=True).past_key_values
    last = model(input_ids=ids[:, -1:], past_key_values=past, use_cache=True).last_hidden_state
    torch.testing.assert_close(last[:, 0], whole[:, -1], rtol=0, atol=1e-5)
