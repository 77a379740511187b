"""The language model that is trained, loaded in float32 and shown to be what packing needs."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel

from conan_data.errors import UserError
from conan_train.pretrain.borders import check_borders
from conan_train.pretrain.config import LanguageModelConfig


def load_language_model(folder: Path, config: LanguageModelConfig, *, vocab_size: int) -> PreTrainedModel:
    """The causal language model in `folder`, on the CPU.

    Raises `UserError` when it does not load whole, has fewer tokens than its tokenizer or fewer positions
    than a row, or mixes packed documents.
    """
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"{folder}: does not load as a causal language model ({str(error).splitlines()[0]})"
        ) from error
    model: PreTrainedModel = loaded[0]
    report: dict[str, set[str]] = loaded[1]
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"{folder}: {len(missing)} weights of the language model are missing, the first is {missing[0]!r}"
        )
    text_config = model.config.get_text_config()
    if vocab_size > text_config.vocab_size:
        raise UserError(
            f"{folder}: the tokenizer has {vocab_size:,} tokens, the model {text_config.vocab_size:,}; they do not belong together"
        )
    limit = getattr(text_config, "max_position_embeddings", None)
    if limit is not None and config.sequence_length > limit:
        raise UserError(
            f"sequence_length: {config.sequence_length} is more than the {limit} positions of {config.model}"
        )
    check_borders(model)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model
