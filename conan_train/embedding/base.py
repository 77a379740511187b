"""The model that a stage trains: a decoder under its soft mask, shown to do what the mask says."""

import json
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_train.embedding.config import EmbeddingConfig
from conan_train.losses.temperature import Temperature
from conan_train.model.alpha import alpha_at
from conan_train.model.contract import FILE, EncodingContract
from conan_train.model.directions import check_directions
from conan_train.model.embedder import Embedder
from conan_train.model.folder import model_folder
from conan_train.model.lora import apply_lora
from conan_train.model.tokenization import load_tokenizer


class Trained(torch.nn.Module):
    """All that has parameters in such a stage; the names of these are those of its checkpoints."""

    def __init__(self, embedder: Embedder, temperature: Temperature | None = None) -> None:
        super().__init__()
        self.embedder = embedder
        self.temperature = temperature


@dataclass(frozen=True)
class Base:
    """What a stage begins with."""

    trained: Trained
    tokenizer: PreTrainedTokenizerFast


def open_base(config: EmbeddingConfig) -> Base:
    """Raises `UserError` where the model does not load, reads fewer tokens than `max_length`, is past its soft mask
    already, or belongs to a family that the mask does not reach.
    """
    folder = model_folder(config.model)
    tokenizer = load_tokenizer(folder)
    contract = EncodingContract(
        max_length=config.max_length, query_prompt=config.query_prompt, document_prompt=config.document_prompt
    )
    embedder = Embedder.from_language_model(folder, contract, alpha=alpha(0, config), dtype=torch.float32)
    embedder.mask.attention = config.attention
    text_config = embedder.backbone.config.get_text_config()
    limit = getattr(text_config, "max_position_embeddings", None)
    if limit is not None and config.max_length > limit:
        raise UserError(
            f"max_length: {config.max_length} is more than the {limit} positions of {config.model}"
        )
    if config.dims and max(config.dims) >= embedder.dimension:
        raise UserError(
            f"dims: {max(config.dims)} is not below the {embedder.dimension} of {config.model}, which are always trained"
        )
    if (folder / FILE).is_file():
        reached = json.loads((folder / FILE).read_text(encoding="utf-8"))["alpha"]
        if config.soft_mask_steps and reached > 0:
            raise UserError(
                f"soft_mask_steps: {config.model} was trained to alpha {reached} already; use 0 to stay bidirectional"
            )
    check_directions(embedder.backbone, embedder.mask)
    if config.gradient_checkpointing:
        embedder.backbone.gradient_checkpointing_enable()
    apply_lora(embedder, config.lora, seed=config.seed)
    temperature = Temperature(config.temperature) if config.learn_temperature else None
    return Base(Trained(embedder, temperature), tokenizer)


def alpha(step: int, config: EmbeddingConfig) -> float:
    """alpha before step `step` of a run."""
    return alpha_at(step, config.soft_mask_steps, schedule=config.soft_mask_schedule)
