"""Which form the soft mask's attention takes: two flash calls, or sdpa with a dense bias.

`dense` runs everywhere, at the price of a bias [B, 1, L, L] and of the memory-efficient kernel in the place
of flash. `flash` refuses, with the reason, what its kernels cannot take; `auto` takes flash on CUDA where it
can and dense elsewhere. Layers whose window is shorter than the batch take the dense bias in every form, and
so does a decoder that reads from a cache.

FlexAttention is not among the forms: it would have to be compiled for every new bucket shape, and its
backward exists on CUDA alone, so that nothing of it could be proven without a GPU. What flash cannot take
(float32, odd head sizes) is the dense bias, the same numbers at a higher price.
"""

from typing import Any, Literal

import torch

from conan_data.errors import UserError

AttentionForm = Literal["auto", "flash", "dense"]

_LARGEST_HEAD = 256


def uses_flash(
    form: AttentionForm,
    *,
    config: Any,
    dtype: torch.dtype,
    device: torch.device,
    q_length: int,
    kv_length: int,
) -> bool:
    """Whether a forward of this shape runs as flash. Raises `UserError` where flash is asked for and cannot
    be.
    """
    if form not in ("auto", "flash", "dense"):
        raise UserError(f"attention: must be auto, flash or dense, got {form!r}")
    if form == "dense" or q_length != kv_length or (form == "auto" and device.type != "cuda"):
        return False
    obstacle = flash_obstacle(config, dtype=dtype, device=device)
    if obstacle and form == "flash":
        raise UserError(f"attention: flash {obstacle}; set attention to auto or dense")
    return obstacle is None


def flash_obstacle(config: Any, *, dtype: torch.dtype, device: torch.device) -> str | None:
    """Why the flash form cannot run, or None. On a device other than CUDA only what the model itself forbids
    counts: the reference there takes any precision.
    """
    text: Any = config.get_text_config() if config is not None else None
    if getattr(text, "attention_dropout", 0.0):
        return f"has no dropout, and the model's attention_dropout is {text.attention_dropout}"
    sizes = _head_sizes(text)
    if len(sizes) > 1:
        return f"needs one head size, and the model has {', '.join(map(str, sorted(sizes)))}"
    if device.type != "cuda":
        return (
            None if device.type == "cpu" else f"needs CUDA (or the CPU, slowly, for tests), not {device.type}"
        )
    if torch.is_autocast_enabled("cuda"):
        dtype = torch.get_autocast_dtype("cuda")
    if dtype not in (torch.bfloat16, torch.float16):
        return f"needs bf16 or fp16, not {str(dtype).removeprefix('torch.')}"
    if any(size % 8 or size > _LARGEST_HEAD for size in sizes):
        return f"needs a head size that is a multiple of 8 and at most {_LARGEST_HEAD}, not {min(sizes)}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"needs an Ampere GPU or a later one, not {torch.cuda.get_device_name(device)}"
    return None


def _head_sizes(text: Any) -> set[int]:
    """All head sizes that a config states; those of keys and values differ in some architectures."""
    if text is None:
        return set()
    names = ("head_dim", "global_head_dim", "qk_head_dim", "v_head_dim")
    stated = {int(size) for name in names if (size := getattr(text, name, None))}
    return stated or {text.hidden_size // text.num_attention_heads}
