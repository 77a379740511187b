"""The language model that is trained, loaded in float32 and shown to be what packing needs."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_data.models.loading import check_vocabulary, load_pretrained
from conan_train.pretrain.borders import check_borders
from conan_train.pretrain.config import LanguageModelConfig


def load_language_model(
    folder: Path, config: LanguageModelConfig, *, tokenizer: PreTrainedTokenizerFast
) -> PreTrainedModel:
    """Return the causal language model in `folder`, on the CPU.

    Raises `UserError` when it does not load whole, has fewer tokens than its tokenizer or fewer positions
    than a row, or mixes packed documents.
    """
    model = load_pretrained(AutoModelForCausalLM, folder, dtype=torch.float32)
    check_vocabulary(tokenizer, model.get_input_embeddings(), folder)
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and config.sequence_length > limit:
        raise UserError(
            f"sequence_length: {config.sequence_length} is more than the {limit} positions of {config.model}"
        )
    check_borders(model)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model
