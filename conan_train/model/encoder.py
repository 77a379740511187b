"""A checkpoint as an `Encoder`: texts in, float32 unit vectors out, for mining and evaluation alike.

Cached vectors outlive the weights that made them unless the cache knows better, so the fingerprint covers
everything that a vector depends on: weights, architecture, alpha, tokenizer, prompts and maximum length.

Speed: equal texts are computed once, and tokens are made ready while the model computes (`encoder_batches`).
On a CPU a forward is small enough that its activations stay in the cache of a core, and each core has a
forward of its own: an operation over 1,000 tokens is too short to be worth splitting between cores. A forward
on one core gives the same bits whatever the others do.
"""

import dataclasses
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from conan_data.config import require
from conan_data.errors import UserError
from conan_data.mining.encoder import DTYPES, resolve_device, unit_rows
from conan_data.progress import current
from conan_train.model.embedder import Embedder
from conan_train.model.encoder_batches import Bucket, distinct_texts, text_buckets
from conan_train.model.opening import open_embedder
from conan_train.model.tokenization import encode_texts

# Config entries that change without changing a vector. The soft mask decides causality, so `is_causal` is one
# of them.
_NO_EFFECT = ("_name_or_path", "architectures", "dtype", "is_causal", "transformers_version", "use_cache")

CPU_TOKENS = 768
"""Padded tokens of one forward on a CPU, if `batch_tokens` is not less."""


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

    def encode(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> np.ndarray:
        """Unit vectors, float32 [len(texts), dimension], in the order of `texts`; `kind` chooses the prompt."""
        assert _stamp(self.embedder) == self._stamp, (
            "the model has changed since its fingerprint was taken; make a new encoder"
        )
        distinct, places_N = distinct_texts(texts)
        vectors_ND = np.empty((len(distinct), self.dimension), dtype=np.float32)
        on_cpu = self.embedder.device.type == "cpu"
        prompt, max_length = self.contract.prompt(kind), self.contract.max_length
        buckets = text_buckets(
            distinct,
            lambda part: encode_texts(self.tokenizer, part, max_length, prompt=prompt),
            budget=min(self.batch_tokens, CPU_TOKENS) if on_cpu else self.batch_tokens,
            pad_id=self.embedder.pad_id,
        )
        was_training = self.embedder.training
        self.embedder.eval()
        try:
            if on_cpu:
                self._compute_on_cores(buckets, vectors_ND)
            else:
                self._compute(buckets, vectors_ND)
        finally:
            self.embedder.train(was_training)
        vectors_ND = unit_rows(vectors_ND)
        return vectors_ND if len(distinct) == len(texts) else vectors_ND[places_N]

    @torch.inference_mode()
    def _compute(self, buckets: Iterator[Bucket], vectors_ND: np.ndarray) -> None:
        """On a device that works by itself: it is waited for once, at the end."""
        device = self.embedder.device
        pin = device.type == "cuda"
        parts: list[tuple[np.ndarray, torch.Tensor]] = []
        for rows_B, ids_BL, mask_BL in buckets:
            batch = [torch.from_numpy(array) for array in (ids_BL, mask_BL)]
            moved = [
                (tensor.pin_memory() if pin else tensor).to(device, non_blocking=pin) for tensor in batch
            ]
            parts.append((rows_B, self.embedder(*moved).float()))
            _count(rows_B)
        if parts:
            rows_N = np.concatenate([rows_B for rows_B, _ in parts])
            vectors_ND[rows_N] = torch.cat([part_BD for _, part_BD in parts]).cpu().numpy()

    def _compute_on_cores(self, buckets: Iterator[Bucket], vectors_ND: np.ndarray) -> None:
        """One thread a core, each with forwards of its own."""
        num_threads = torch.get_num_threads()
        turn = threading.Lock()

        @torch.inference_mode()
        def work() -> None:
            torch.set_num_threads(1)
            while True:
                with turn:
                    bucket = next(buckets, None)
                if bucket is None:
                    return
                rows_B, ids_BL, mask_BL = bucket
                vectors_ND[rows_B] = (
                    self.embedder(torch.from_numpy(ids_BL), torch.from_numpy(mask_BL)).float().numpy()
                )
                _count(rows_B)

        try:
            with ThreadPoolExecutor(num_threads, thread_name_prefix="encode") as pool:
                for done in [pool.submit(work) for _ in range(num_threads)]:
                    done.result()
        finally:
            # A thread's count is also that of threads to come.
            torch.set_num_threads(num_threads)


def _count(rows_B: np.ndarray) -> None:
    """Count texts as encoded for whoever shows the progress."""
    if (meter := current()) is not None:
        meter.advance(len(rows_B))


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
    dtype: str = "auto",
    **unknown: Any,
) -> CheckpointEncoder:
    """The encoder of a checkpoint folder.

    `max_length` in tokens (the checkpoint's own by default), `batch_tokens` the padded tokens of one forward,
    `device` a torch device (by default the best that is there), `dtype` what the weights are read as (auto:
    as they were saved). Raises `UserError` for any other option and for values out of range.
    """
    if unknown:
        raise UserError(
            f"encoder option {next(iter(unknown))!r}: a checkpoint takes max_length, batch_tokens, device and dtype"
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
    require(dtype in DTYPES, "dtype", dtype, f"must be one of {', '.join(DTYPES)}")
    place = resolve_device(device or "auto")
    embedder, tokenizer = open_embedder(path, dtype=None if dtype == "auto" else getattr(torch, dtype))
    return CheckpointEncoder(embedder.to(place), tokenizer, max_length=max_length, batch_tokens=batch_tokens)
