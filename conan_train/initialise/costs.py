"""What a model of a shape costs, from closed formulas: asked before anything is allocated."""

from typing import TYPE_CHECKING, Any

from conan_train.model import presets

if TYPE_CHECKING:
    from transformers import LlamaConfig

PRECISIONS = {
    "float32": {"weights": 4, "gradients": 4, "adamw": 8},
    "bf16": {"weights": 2, "gradients": 2, "adamw": 4},
}
"""Bytes a parameter takes. Mixed precision, which is how we train in bf16, keeps all three in float32."""
LENGTH = 512
"""Tokens of a usual text, beside the longest."""


def costs(config: "LlamaConfig") -> dict[str, Any]:
    """Parameters, bytes by precision (activations come on top), and floating point operations of a trained
    token at a usual length and at the longest.
    """
    total = presets.num_parameters(config)
    longest = config.max_position_embeddings
    memory = {
        precision: {part: total * size for part, size in sizes.items()}
        for precision, sizes in PRECISIONS.items()
    }
    return {
        "parameters": total,
        "embedding_parameters": total - presets.num_parameters(config, embedding=False),
        "memory_bytes": memory,
        "training_bytes": sum(memory["float32"].values()),
        "flops_per_token": _flops(config, longest),
        "flops_per_token_by_length": {str(length): _flops(config, length) for length in _lengths(longest)},
        "max_position": longest,
    }


def describe(costs: dict[str, Any]) -> str:
    """The costs in a few lines."""
    lines = [
        f"{costs['parameters']:,} parameters ({costs['embedding_parameters']:,} in the embedding)",
        "to train, without activations:",
    ]
    for precision, parts in costs["memory_bytes"].items():
        listed = ", ".join(f"{part} {size / 1e9:.2f}" for part, size in parts.items())
        lines.append(f"  {precision}: {sum(parts.values()) / 1e9:.2f} GB ({listed})")
    for length, flops in costs["flops_per_token_by_length"].items():
        lines.append(f"a trained token at length {int(length):,}: {flops / 1e9:.3f} GFLOP")
    return "\n".join(lines)


def _flops(config: "LlamaConfig", length: int) -> int:
    return presets.flops_per_token(config, length=length, lm_head=True, backward=True)


def _lengths(longest: int) -> list[int]:
    return sorted({min(LENGTH, longest), longest})
