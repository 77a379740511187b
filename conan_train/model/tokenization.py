"""From texts to token ids, in one place, so that training, encoding and export cannot disagree.

The convention: prompt and text are joined before tokenisation, no special token but one EOS at the end of
every text, truncation keeps the EOS, padding on the right. The tokenizer's own post-processor, truncation and
padding settings are not used (they differ by family and change as a side effect of calls);
`with_eos_template` gives a tokenizer whose plain call does the same, for folders that other tools load.
"""

import copy
import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from conan_data.errors import UserError


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a checkpoint folder. Raises `UserError` when there is none, or when it has no
    EOS.
    """
    if not (Path(folder) / "tokenizer.json").is_file():
        raise UserError(f"{folder}: no tokenizer.json; put the checkpoint's fast tokenizer there")
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UserError(
            f"{folder}: its tokenizer class {type(tokenizer).__name__} is not a fast one; save it as a fast tokenizer"
        )
    if tokenizer.eos_token_id is None:
        raise UserError(f"{folder}: the tokenizer has no eos_token; set one in tokenizer_config.json")
    return tokenizer


def encode_texts(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int, *, prompt: str = ""
) -> list[list[int]]:
    """Token ids of `prompt + text` and EOS for every text, `max_length` at most."""
    if not texts:
        return []
    ids = tokenizer(
        [prompt + text for text in texts],
        add_special_tokens=False,
        padding=False,
        truncation=False,
        return_attention_mask=False,
        verbose=False,
    )["input_ids"]
    return [[*text_ids[: max_length - 1], tokenizer.eos_token_id] for text_ids in ids]


def with_eos_template(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """A copy whose plain call `tokenizer(text, truncation=True, max_length=n)` gives the ids of
    `encode_texts`.
    """
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(tokenizer)
    eos = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {eos}", pair=f"$A {eos} $B {eos}", special_tokens=[(eos, tokenizer.eos_token_id)]
    )
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = "right"
    return tokenizer


def pad_tokens(
    token_lists: Sequence[Sequence[int]], *, pad_id: int, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, both [B, L] with L the longest list; padded on the right."""
    width = max(map(len, token_lists))
    ids = [[*tokens, *[pad_id] * (width - len(tokens))] for tokens in token_lists]
    mask = [[1] * len(tokens) + [0] * (width - len(tokens)) for tokens in token_lists]
    return torch.tensor(ids, dtype=torch.long, device=device), torch.tensor(
        mask, dtype=torch.long, device=device
    )


def pack_tokens(
    token_lists: Sequence[Sequence[int]], *, device: torch.device | str
) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Ids [1, T] of the lists one after the other, and their lengths: what `Embedder` takes as a packed row.
    No list may be empty.
    """
    ids = list(itertools.chain.from_iterable(token_lists))
    return torch.tensor([ids], dtype=torch.long, device=device), tuple(map(len, token_lists))
