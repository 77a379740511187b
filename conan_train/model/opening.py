"""Open a folder as an embedder and its tokenizer, shown to belong together."""

from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from conan_data.models.loading import check_vocabulary
from conan_train.model.contract import EncodingContract
from conan_train.model.embedder import Embedder
from conan_train.model.tokenization import load_tokenizer


def open_embedder(
    folder: str | Path,
    *,
    contract: EncodingContract | None = None,
    alpha: float = 0.0,
    dtype: torch.dtype | None = None,
) -> tuple[Embedder, PreTrainedTokenizerFast]:
    """Return the embedder in `folder`, in eval mode on the CPU, and its tokenizer.

    Without `contract` the folder's own `conan.json` says contract and alpha. Raises `UserError` for weights or
    a tokenizer that do not load, or do not belong together.
    """
    tokenizer = load_tokenizer(folder)
    embedder = (
        Embedder.load(folder, dtype=dtype)
        if contract is None
        else Embedder.from_language_model(folder, contract, alpha=alpha, dtype=dtype)
    )
    check_vocabulary(tokenizer, embedder.backbone.get_input_embeddings(), folder)
    return embedder, tokenizer
