"""`conan-train init`: a stock Llama language model with random weights, beside the tokenizer that it was made
for.

The folder is what `transformers` itself would save, so nothing of this project is needed to load it.
Tokenizer and model are joined here, once: special token ids, vocabulary size and longest text are the same in
both from the first day on.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from conan_data import artifact
from conan_data.errors import UserError
from conan_train.initialise.config import InitConfig
from conan_train.model import presets

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)

TRAINING_BYTES = 16
"""Bytes a parameter takes in training: float32 weight, gradient and the two moments of AdamW; activations
come on top.
"""


def init(config: InitConfig) -> Path:
    """Publishes an artifact of kind `language-model` with the folder `model/`."""
    presets.preset(config.preset)
    with artifact.building(
        config, kind="language-model", command="conan-train init", inputs=[config.tokenizer]
    ) as build:
        if build.done:
            return build.out
        source = artifact.open_artifact(config.tokenizer, kind="tokenizer")
        folder = build.dir / "model"
        model = random_model(config, _load(source.dir))
        model.save_pretrained(folder)
        _copy_tokenizer(source.dir, folder, model.config.max_position_embeddings)
        extra = costs(model.config)
        log.info("%s: %s", config.preset, describe(extra))
        return build.publish(rows=artifact.Rows(read=0, kept=0), extra=extra)


def random_model(config: InitConfig, tokenizer: "PreTrainedTokenizerFast") -> LlamaForCausalLM:
    """The model in float32; the generators of the process are left as they were."""
    overrides = {"max_position_embeddings": config.max_position} if config.max_position else {}
    llama_config = presets.llama_config(
        config.preset,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        dtype="float32",
        **overrides,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return LlamaForCausalLM(llama_config)


def costs(config: LlamaConfig) -> dict[str, int]:
    """Parameters, bytes for training, and floating point operations of a trained token at the longest text."""
    total = presets.num_parameters(config)
    return {
        "parameters": total,
        "embedding_parameters": total - presets.num_parameters(config, embedding=False),
        "training_bytes": total * TRAINING_BYTES,
        "flops_per_token": presets.flops_per_token(
            config, length=config.max_position_embeddings, lm_head=True, backward=True
        ),
        "max_position": config.max_position_embeddings,
    }


def describe(costs: dict[str, int]) -> str:
    """The costs in one line."""
    return (
        f"{costs['parameters']:,} parameters ({costs['embedding_parameters']:,} in the embedding), "
        f"{costs['training_bytes'] / 1e9:.2f} GB to train in float32 with AdamW without activations, "
        f"{costs['flops_per_token'] / 1e9:.3f} GFLOP a trained token at length {costs['max_position']:,}"
    )


def _load(folder: Path) -> "PreTrainedTokenizerFast":
    from conan_train.model.tokenization import load_tokenizer

    tokenizer = load_tokenizer(folder)
    if tokenizer.pad_token_id is None:
        raise UserError(f"{folder}: the tokenizer has no pad_token; set one in tokenizer_config.json")
    return tokenizer


def _copy_tokenizer(source: Path, folder: Path, max_position: int) -> None:
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    settings = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["model_max_length"] = max_position
    (folder / "tokenizer_config.json").write_text(
        json.dumps(settings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
