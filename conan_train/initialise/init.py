"""`conan-train init`: a stock Llama language model with random weights, beside the tokenizer that it was made
for.

The folder is what `transformers` itself would save, so nothing of this project is needed to load it.
Tokenizer and model are joined here, once: special token ids, vocabulary size and longest text are the same in
both from the first day on.
"""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel

from conan_data import artifact
from conan_data.errors import UserError
from conan_train.initialise.config import InitConfig
from conan_train.initialise.costs import costs, describe
from conan_train.model import presets
from conan_train.model.settings import copy_tokenizer_settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)


def init(config: InitConfig) -> Path | None:
    """Publishes an artifact of kind `language-model` with the folder `model/`; a dry run only says what it
    would cost.
    """
    presets.preset(config.preset)
    if config.dry_run:
        tokenizer = _open_tokenizer(config) if config.tokenizer else None
        _report(config, costs(model_config(config, tokenizer)))
        return None
    with artifact.building(
        config, kind="language-model", command="conan-train init", inputs=[config.tokenizer]
    ) as build:
        if build.done:
            return build.out
        folder = build.dir / "model"
        model = random_model(config, _open_tokenizer(config))
        model.save_pretrained(folder)
        _copy_tokenizer(Path(config.tokenizer), folder, model.config.max_position_embeddings)
        extra = costs(model.config)
        _report(config, extra)
        return build.publish(rows=artifact.Rows(read=0, kept=0), extra=extra)


def model_config(config: InitConfig, tokenizer: "PreTrainedTokenizerFast | None") -> LlamaConfig:
    """The stock config: the preset with what `config` changes, and the vocabulary of `tokenizer`."""
    shape = config.shape
    changed = {
        "max_position_embeddings": config.max_position,
        "num_hidden_layers": shape.num_layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "intermediate_size": shape.ffn,
    }
    special = {}
    if tokenizer is not None:
        special = {
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
        }
    given = {name: value for name, value in changed.items() if value}
    return presets.llama_config(config.preset, **special, dtype="float32", **given)


def random_model(config: InitConfig, tokenizer: "PreTrainedTokenizerFast") -> LlamaForCausalLM:
    """The model in float32; the generators of the process are left as they were.

    transformers makes an output matrix and then gives it up for the embedding; at 150,000 tokens that is a
    third more memory. So only the backbone is really made.
    """
    llama_config = model_config(config, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        backbone = LlamaModel(llama_config)
    with torch.device("meta"):
        model = LlamaForCausalLM(llama_config)
    model.model = backbone
    model.tie_weights()
    return model


def _report(config: InitConfig, found: dict[str, Any]) -> None:
    log.info("%s: %s", config.preset, describe(found))


def _open_tokenizer(config: InitConfig) -> "PreTrainedTokenizerFast":
    return _load(artifact.open_artifact(config.tokenizer, kind="tokenizer").dir)


def _load(folder: Path) -> "PreTrainedTokenizerFast":
    from conan_train.model.tokenization import load_tokenizer

    tokenizer = load_tokenizer(folder)
    if tokenizer.pad_token_id is None:
        raise UserError(f"{folder}: the tokenizer has no pad_token; set one in tokenizer_config.json")
    return tokenizer


def _copy_tokenizer(source: Path, folder: Path, max_position: int) -> None:
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    copy_tokenizer_settings(source, folder, model_max_length=max_position)
