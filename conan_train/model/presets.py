"""Model shapes by name, as stock Llama configs, and what they cost.

The shapes are shallow and wide: an embedding is as wide as the model, and latency follows depth. `conan-1.4b`
is the published shape; the others are its small siblings for tests, ablations and single devices. All share
input and output embeddings. Size and work are closed formulas, checked against real models on the meta
device, so that a plan can be made before anything is allocated.

The paper states 1,503M parameters for its shape, with one embedding matrix; the stated sizes give 1,499.2M.
The layers cannot explain the difference: biases everywhere would add 0.2M, heads of 128 instead of 3,584 / 32
= 112 would add 36.7M, an output matrix of its own 537.6M. About 1,060 more rows of the embedding do (between
919 and 1,198, as 1,503M is rounded), that is a vocabulary of about 151,000, such as 151,040 = 1,180 * 128 with
1,502.9M; likely "150,000" is rounded or is without special tokens. Which it is was not published, so the preset
keeps 150,000, and a model's own tokenizer decides anyway.
"""

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any

from conan_data.errors import UserError

if TYPE_CHECKING:
    from transformers import LlamaConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """One row of the table; widths in numbers of floats, context in tokens."""

    num_layers: int
    hidden: int
    num_heads: int
    num_kv_heads: int
    ffn: int
    vocab: int
    context: int
    rope_theta: float


PRESETS = {
    "nano": Preset(
        num_layers=2,
        hidden=192,
        num_heads=6,
        num_kv_heads=2,
        ffn=512,
        vocab=8_000,
        context=2_048,
        rope_theta=1e4,
    ),
    "tiny": Preset(
        num_layers=8,
        hidden=256,
        num_heads=8,
        num_kv_heads=4,
        ffn=768,
        vocab=16_000,
        context=2_048,
        rope_theta=1e4,
    ),
    "30m": Preset(
        num_layers=8,
        hidden=512,
        num_heads=8,
        num_kv_heads=2,
        ffn=2_048,
        vocab=32_000,
        context=4_096,
        rope_theta=1e4,
    ),
    "150m": Preset(
        num_layers=12,
        hidden=1_024,
        num_heads=16,
        num_kv_heads=4,
        ffn=3_200,
        vocab=64_000,
        context=8_192,
        rope_theta=1e5,
    ),
    "600m": Preset(
        num_layers=12,
        hidden=2_048,
        num_heads=16,
        num_kv_heads=4,
        ffn=6_400,
        vocab=100_000,
        context=8_192,
        rope_theta=1e5,
    ),
    "conan-1.4b": Preset(
        num_layers=8,
        hidden=3_584,
        num_heads=32,
        num_kv_heads=8,
        ffn=8_192,
        vocab=150_000,
        context=32_768,
        rope_theta=1e6,
    ),
}


def preset(name: str) -> Preset:
    """A row of the table; `UserError` with the nearest name for an unknown one."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(PRESETS)}"
        raise UserError(f"preset: {name!r} is not a model shape; {hint}")
    return PRESETS[name]


def llama_config(
    name: str,
    *,
    vocab_size: int | None = None,
    pad_token_id: int | None = None,
    eos_token_id: int | None = None,
    bos_token_id: int | None = None,
    **overrides: Any,
) -> "LlamaConfig":
    """The config of a preset; `vocab_size` defaults to the preset's, `overrides` are fields of `LlamaConfig`."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import LlamaConfig

    shape = preset(name)
    fields = {field.name for field in dataclasses.fields(LlamaConfig)}
    for key in overrides:
        if key not in fields:
            raise UserError(f"preset {name}: {key!r} is not a field of a Llama config")
    values = {
        "vocab_size": vocab_size or shape.vocab,
        "pad_token_id": pad_token_id,
        "eos_token_id": eos_token_id,
        "bos_token_id": bos_token_id,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "max_position_embeddings": shape.context,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
        "tie_word_embeddings": True,
    }
    try:
        return LlamaConfig(**{**values, **overrides})
    except StrictDataclassError as error:
        raise UserError(f"preset {name}: {error.__cause__ or error}") from error


def num_matrix_parameters(config: "LlamaConfig") -> int:
    """Parameters of the layers' matrices: what every token is multiplied by. Biases are not part of these
    shapes.
    """
    assert config.head_dim and config.num_key_value_heads  # LlamaConfig fills them in
    attention = (
        config.hidden_size * config.head_dim * 2 * (config.num_attention_heads + config.num_key_value_heads)
    )
    return config.num_hidden_layers * (attention + 3 * config.hidden_size * config.intermediate_size)


def num_parameters(config: "LlamaConfig", *, embedding: bool = True) -> int:
    """All parameters of the backbone (also of the language model while embeddings are shared), or those
    outside the embedding.
    """
    norms = (2 * config.num_hidden_layers + 1) * config.hidden_size
    return (
        num_matrix_parameters(config) + norms + (config.vocab_size * config.hidden_size if embedding else 0)
    )


def num_bytes(config: "LlamaConfig", *, bytes_per_parameter: int = 4) -> int:
    """Bytes of the weights alone: 4 a parameter in float32, 2 in bf16."""
    return num_parameters(config) * bytes_per_parameter


def flops_per_token(
    config: "LlamaConfig", *, length: int, lm_head: bool = False, backward: bool = False
) -> int:
    """Floating point operations of a token in a text of `length` tokens: 2 a multiply-add, 3 times that with
    the backward pass.

    Attention counts the full square, causal or not, as a masked kernel computes it; norms, rotary positions
    and softmax are left out.
    """
    assert config.head_dim
    attention = config.num_hidden_layers * 4 * length * config.num_attention_heads * config.head_dim
    head = 2 * config.hidden_size * config.vocab_size if lm_head else 0
    return (2 * num_matrix_parameters(config) + attention + head) * (3 if backward else 1)
