"""Find how the model that a training starts from makes vectors, and keep it unless the user asks for another.

Weights that were trained with an instruction before each query, or for the state of the last token, are a
worse start without them, and nothing in the weights says so. The contract of one of our embedders is in its
`conan.json`; that of a sentence-transformers folder is spread over its module files, and what has no place in
our contract (a projection after pooling, pooling over the first token) is refused rather than dropped. A plain
language model has no contract: the defaults are used.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_data.models.files import MODULES, module_folders, read_json, read_settings
from conan_data.models.prompts import own_prompts
from conan_train.embedding.config import EmbeddingConfig
from conan_train.model.contract import FILE, LAST, MEAN, EncodingContract, Pooling, read_contract
from conan_train.model.tokenization import encode_texts

DEFAULT_LENGTH = 512
_POOLING: dict[str, Pooling] = {"mean": MEAN, "mean_tokens": MEAN, "lasttoken": LAST}
_LONGEST = 1 << 30
"""Tokenizers without a limit have one far above."""


@dataclass(frozen=True)
class Inherited:
    """What the folder of a base says of itself."""

    weights: Path
    """Folder that transformers loads."""
    contract: EncodingContract | None = None
    """None for a language model."""
    alpha: float = 0.0
    """Where its soft mask stands; 0 for causal attention."""
    changes: tuple[str, ...] = ()
    """What training cannot keep, for the user to read."""


def inherit(folder: Path) -> Inherited:
    """Return what the model in `folder` says of itself. Raises `UserError` for what cannot be trained as it is."""
    if (folder / FILE).is_file():
        contract, alpha = read_contract(folder)
        return Inherited(folder, contract, alpha)
    if (folder / MODULES).is_file():
        return _sentence_transformer(folder)
    return Inherited(folder)


def contract_of(config: EmbeddingConfig, inherited: Inherited, *, positions: int | None) -> EncodingContract:
    """Return the contract of a run: what the user gives, else the base's own, else the defaults.

    `positions` is the longest text that the model can read. Raises `UserError` for a larger `max_length`.
    """
    if config.max_length is not None and positions is not None and config.max_length > positions:
        raise UserError(
            f"max_length: {config.max_length} is more than the {positions} positions of {config.model}"
        )
    own = inherited.contract or EncodingContract(max_length=min(DEFAULT_LENGTH, positions or DEFAULT_LENGTH))
    given = {
        name: value
        for name in ("max_length", "query_prompt", "document_prompt")
        if (value := getattr(config, name)) is not None
    }
    return replace(own, **given)


def changes(
    inherited: Inherited, contract: EncodingContract, tokenizer: PreTrainedTokenizerFast
) -> tuple[str, ...]:
    """Return, in words, where a training differs from what the base model does; empty for a language model."""
    own = inherited.contract
    if own is None:
        return ()
    found = [
        f"{name} {getattr(own, name)!r} -> {getattr(contract, name)!r}"
        for name in ("query_prompt", "document_prompt", "max_length")
        if getattr(own, name) != getattr(contract, name)
    ]
    if (inherited.weights / FILE).is_file():
        return tuple(found)
    ours, theirs = encode_texts(tokenizer, ["a"], DEFAULT_LENGTH)[0], tokenizer("a")["input_ids"]
    if ours != theirs:
        found.append(f"tokens of 'a' {_tokens(tokenizer, theirs)} -> {_tokens(tokenizer, ours)}")
    return (*found, *inherited.changes)


def _sentence_transformer(folder: Path) -> Inherited:
    types = {entry["name"]: entry["type"].rpartition(".")[2] for entry in read_json(folder / MODULES)}
    folders = module_folders(folder)
    wanted = ("Transformer", "Pooling", "Normalize")
    for name, kind in types.items():
        if kind not in wanted:
            raise UserError(
                f"model: {folder} has a {kind} module ({folders[name].name}), which training would drop; start from a model of "
                f"{', '.join(wanted)} alone"
            )
    by_kind = {kind: folders[name] for name, kind in types.items()}
    if "Transformer" not in by_kind or "Pooling" not in by_kind:
        raise UserError(f"model: {folder / MODULES} needs a Transformer and a Pooling module")
    weights = by_kind["Transformer"]
    pooling = read_settings(by_kind["Pooling"] / "config.json")
    settings = read_settings(weights / "sentence_bert_config.json")
    prompts = own_prompts(folder)
    changed = []
    if read_settings(weights / "config.json").get("is_causal") is not False:
        changed.append("attention causal -> bidirectional")
    if pooling.get("include_prompt") is False and (prompts.query or prompts.document):
        changed.append("pooling without the prompt's tokens -> with them")
    if settings.get("do_lower_case"):
        changed.append("lower-cased texts -> texts as they are")
    contract = EncodingContract(
        max_length=_max_length(weights, settings),
        query_prompt=prompts.query,
        document_prompt=prompts.document,
        pooling=_pooling(pooling, by_kind["Pooling"]),
    )
    return Inherited(weights, contract, 0.0, tuple(changed))


def _pooling(settings: dict[str, Any], folder: Path) -> Pooling:
    """Read the pooling in the newer spelling (`pooling_mode`) or the older one (a flag for each mode)."""
    mode = settings.get("pooling_mode") or [
        name.removeprefix("pooling_mode_")
        for name, on in settings.items()
        if name.startswith("pooling_mode_") and on
    ]
    modes = [mode] if isinstance(mode, str) else list(mode)
    if len(modes) != 1 or modes[0] not in _POOLING:
        raise UserError(
            f"model: {folder / 'config.json'}: pooling {'+'.join(map(str, modes)) or 'none'} cannot be trained; "
            "mean and lasttoken can"
        )
    return _POOLING[modes[0]]


def _max_length(weights: Path, settings: dict[str, Any]) -> int:
    """Return the tokens that sentence-transformers cuts a text to: its own setting, or the tokenizer's and the model's."""
    own = settings.get("max_seq_length")
    limits = [own] if own else [
        read_settings(weights / "tokenizer_config.json").get("model_max_length"),
        read_settings(weights / "config.json").get("max_position_embeddings"),
    ]  # fmt: skip
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and 2 <= limit < _LONGEST]
    return min(known, default=DEFAULT_LENGTH)


def _tokens(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids))
