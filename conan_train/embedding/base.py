"""The model that a stage trains: a decoder under its soft mask, shown to do what the mask says."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from conan_data.errors import UserError
from conan_data.models.files import read_settings
from conan_data.models.locate import find_model
from conan_train.embedding.config import EmbeddingConfig
from conan_train.embedding.inherit import changes, contract_of, inherit
from conan_train.losses.temperature import Temperature
from conan_train.model.alpha import alpha_at
from conan_train.model.contract import EncodingContract
from conan_train.model.directions import check_directions
from conan_train.model.embedder import Embedder
from conan_train.model.lora import apply_lora
from conan_train.model.opening import open_embedder

log = logging.getLogger(__name__)


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
    changes: tuple[str, ...] = ()
    """Where the run makes other vectors than the model it starts from, in words."""

    @property
    def contract(self) -> EncodingContract:
        """Prompts, pooling and maximum length of the run."""
        return self.trained.embedder.contract

    def tell(self, model: str) -> None:
        """Log the contract of the run, and one line of warning about what is not kept."""
        own = self.contract
        log.info(
            "%s: query prompt %r, document prompt %r, at most %d tokens, %s pooling",
            *(model, own.query_prompt, own.document_prompt, own.max_length, own.pooling),
        )
        if self.changes:
            log.warning("%s: this run changes how vectors are made: %s", model, "; ".join(self.changes))


def open_base(config: EmbeddingConfig) -> Base:
    """Return the model, tokenizer and contract that a run starts with.

    Raises `UserError` where the model does not load, is an encoder, reads fewer tokens than `max_length`, is past
    its soft mask already, or belongs to a family that the mask does not reach.
    """
    inherited = inherit(find_model(config.model).folder)
    folder = inherited.weights
    _require_decoder(folder, config.model)
    embedder, tokenizer = open_embedder(
        folder,
        contract=inherited.contract or EncodingContract(),
        alpha=alpha(0, config),
        dtype=torch.float32,
    )
    positions = getattr(embedder.backbone.config.get_text_config(), "max_position_embeddings", None)
    embedder.contract = contract_of(config, inherited, positions=positions)
    embedder.mask.attention = config.attention
    if config.dims and max(config.dims) >= embedder.dimension:
        raise UserError(
            f"dims: {max(config.dims)} is not below the {embedder.dimension} of {config.model}, which are always trained"
        )
    if config.soft_mask_steps and inherited.alpha > 0:
        raise UserError(
            f"soft_mask_steps: {config.model} was trained to alpha {inherited.alpha} already; use 0 to stay bidirectional"
        )
    check_directions(embedder.backbone, embedder.mask)
    if config.gradient_checkpointing:
        embedder.backbone.gradient_checkpointing_enable()
    apply_lora(embedder, config.lora, seed=config.seed)
    temperature = Temperature(config.temperature) if config.learn_temperature else None
    return Base(Trained(embedder, temperature), tokenizer, changes(inherited, embedder.contract, tokenizer))


def alpha(step: int, config: EmbeddingConfig) -> float:
    """alpha before step `step` of a run."""
    return alpha_at(step, config.soft_mask_steps, schedule=config.soft_mask_schedule)


def _require_decoder(folder: Path, name: str) -> None:
    """Raise `UserError` for an encoder, whose tokenizer and attention are not what the soft mask is for."""
    settings = read_settings(folder / "config.json")
    family = settings.get("model_type")
    if settings.get("is_encoder_decoder") or family in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise UserError(
            f"model: {name} is an encoder ({family}), and only decoders (Llama, Qwen, Mistral, ...) can be trained; "
            "start from a decoder, or use the encoder as it is with mine, encode and evaluate"
        )
