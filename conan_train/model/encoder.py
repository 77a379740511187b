"""A checkpoint as an `Encoder`: texts in, float32 unit vectors out, for mining and evaluation alike.

Cached vectors outlive the weights that made them unless the cache knows better, so the fingerprint covers
everything that a vector depends on: weights, architecture, alpha, tokenizer, prompts and maximum length.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from conan_data.config import require
from conan_data.errors import UserError
from conan_data.mining.encoder import resolve_device
from conan_train.model.embedder import Embedder
from conan_train.model.tokenization import encode_texts, load_tokenizer, pad_tokens
from conan_train.step.buckets import token_buckets

# Config entries that change without changing a vector. The soft mask decides causality, so `is_causal` is one
# of them.
_NO_EFFECT = ("_name_or_path", "architectures", "dtype", "is_causal", "transformers_version", "use_cache")


class CheckpointEncoder:
    """Encodes with an in-memory `Embedder`, whose train mode is put back after every call.

    It stands for the weights and alpha at the time it is made: make a new one after a training step.
    """

    def __init__(
        self,
        embedder: Embedder,
        tokenizer: PreTrainedTokenizerFast,
        *,
        max_length: int | None = None,
        batch_tokens: int = 16_384,
    ) -> None:
        self.embedder = embedder
        self.tokenizer = tokenizer
        self.contract = dataclasses.replace(
            embedder.contract, max_length=max_length or embedder.contract.max_length
        )
        self.batch_tokens = batch_tokens
        self.dimension = embedder.dimension
        self.fingerprint = fingerprint(embedder, tokenizer, max_length=self.contract.max_length)
        self._stamp = _stamp(embedder)

    @torch.no_grad()
    def encode(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> np.ndarray:
        """Unit vectors, float32 [len(texts), dimension], in the order of `texts`; `kind` chooses the prompt."""
        assert _stamp(self.embedder) == self._stamp, (
            "the model has changed since its fingerprint was taken; make a new encoder"
        )
        tokens = encode_texts(
            self.tokenizer, texts, self.contract.max_length, prompt=self.contract.prompt(kind)
        )
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        was_training = self.embedder.training
        self.embedder.eval()
        try:
            for bucket in token_buckets([len(ids) for ids in tokens], budget=self.batch_tokens):
                batch = pad_tokens(
                    [tokens[place] for place in bucket],
                    pad_id=self.embedder.pad_id,
                    device=self.embedder.device,
                )
                vectors[bucket] = self.embedder(*batch).float().cpu().numpy()
        finally:
            self.embedder.train(was_training)
        return vectors


def fingerprint(embedder: Embedder, tokenizer: PreTrainedTokenizerFast, *, max_length: int) -> str:
    """SHA-256 (hex) of all that a vector depends on."""
    config = {
        key: value for key, value in embedder.backbone.config.to_dict().items() if key not in _NO_EFFECT
    }
    words = json.loads(tokenizer.backend_tokenizer.to_str())
    for unused in ("post_processor", "truncation", "padding"):
        words.pop(unused, None)
    contract = dataclasses.asdict(dataclasses.replace(embedder.contract, max_length=max_length))
    facts = {
        "config": config,
        "contract": contract,
        "alpha": embedder.mask.alpha,
        "tokenizer": words,
        "eos": tokenizer.eos_token_id,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    backbone = embedder.backbone
    # Buffers too: rotary tables are not saved, but a model cast with `.to(bfloat16)` has rounded ones and
    # gives other vectors.
    for name, tensor in sorted([*backbone.named_parameters(), *backbone.named_buffers()]):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _stamp(embedder: Embedder) -> tuple[float, int]:
    """Alpha and the number of in-place changes that the weights have seen: a cheap sign that a fingerprint is
    out of date.
    """
    return embedder.mask.alpha, sum(parameter._version for parameter in embedder.parameters())


def load_checkpoint(
    path: str | Path,
    *,
    max_length: int | None = None,
    batch_tokens: int = 16_384,
    device: str | None = None,
    **unknown: Any,
) -> CheckpointEncoder:
    """The encoder of a checkpoint folder.

    `max_length` in tokens (the checkpoint's own by default), `batch_tokens` the padded tokens of one forward,
    `device` a torch device (by default the best that is there). Raises `UserError` for any other option and
    for values out of range.
    """
    if unknown:
        raise UserError(
            f"encoder option {next(iter(unknown))!r}: a checkpoint takes max_length, batch_tokens and device"
        )
    require(
        max_length is None or (isinstance(max_length, int) and max_length >= 2),
        "max_length",
        max_length,
        "must be an integer of at least 2",
    )
    require(
        isinstance(batch_tokens, int) and batch_tokens >= 1,
        "batch_tokens",
        batch_tokens,
        "must be a positive integer",
    )
    embedder = Embedder.load(path).to(resolve_device(device or "auto"))
    return CheckpointEncoder(embedder, load_tokenizer(path), max_length=max_length, batch_tokens=batch_tokens)
