"""From texts to token ids, in one place, so that training, encoding and export cannot disagree.

The convention: prompt and text are joined before tokenisation, no special token but one EOS at the end of
every text, truncation keeps the EOS, padding on the right. The tokenizer's own post-processor, truncation and
padding settings are not used (they differ by family and change as a side effect of calls);
`with_eos_template` gives a tokenizer whose plain call does the same, for folders that other tools load.
"""

import copy
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from conan_data.errors import UserError
from conan_data.models.cut import cut_texts
from conan_data.models.loading import reading

log = logging.getLogger(__name__)

_PROBES = ("A probe  of 1234 words, naïve.", " x\n\n\tif y:\n", "使用Python，नमस्ते 👍")
"""Spaces at the start and in a row, digits, marks, lines, and scripts that may be spelled in bytes."""


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a checkpoint folder, which cuts texts as its `tokenizer.json` does. Raises
    `UserError` when there is none, or when it has no EOS.

    transformers makes some families anew from the vocabulary alone, after the class that is named in
    tokenizer_config.json, and where that class is not the right one every text is cut in another way, without a
    word. So both are compared on a few texts, and the file decides.
    """
    if not (Path(folder) / "tokenizer.json").is_file():
        raise UserError(f"{folder}: no tokenizer.json; put the checkpoint's fast tokenizer there")
    with reading(folder, "a tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UserError(
            f"{folder}: its tokenizer class {type(tokenizer).__name__} is not a fast one; save it as a fast tokenizer"
        )
    with reading(folder, "a tokenizer"):
        is_as_in_file = _as_in_file(tokenizer, Path(folder) / "tokenizer.json")
    if not is_as_in_file:
        log.warning(
            "%s: %s cuts texts in another way than tokenizer.json; the file is used",
            folder,
            type(tokenizer).__name__,
        )
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise UserError(f"{folder}: the tokenizer has no eos_token; set one in tokenizer_config.json")
    return tokenizer


def _as_in_file(tokenizer: PreTrainedTokenizerFast, file: Path) -> bool:
    raw = Tokenizer.from_file(str(file))
    raw.no_truncation()
    raw.no_padding()
    return all(
        tokenizer(text, add_special_tokens=False)["input_ids"]
        == raw.encode(text, add_special_tokens=False).ids
        for text in _PROBES
    )


def encode_texts(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int, *, prompt: str = ""
) -> list[list[int]]:
    """Return the token ids of `prompt + text` and EOS for every text, `max_length` at most. Of a text that is
    far longer only a start is tokenised, see `cut`.
    """
    if not texts:
        return []
    ids = tokenizer(
        [prompt + text for text in cut_texts(tokenizer, texts, max_length, prompt=prompt)],
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
    token_lists: Sequence[Sequence[int] | np.ndarray], *, pad_id: int, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, both int64 [B, L] with L the longest list; padded on the right."""
    length_B = np.fromiter(map(len, token_lists), np.int64, count=len(token_lists))
    mask_BL = np.arange(length_B.max()) < length_B[:, None]
    ids_BL = np.full(mask_BL.shape, pad_id, dtype=np.int64)
    ids_BL[mask_BL] = np.concatenate([np.asarray(tokens, dtype=np.int64) for tokens in token_lists])
    return (
        torch.from_numpy(ids_BL).to(device, non_blocking=True),
        torch.from_numpy(mask_BL.astype(np.int64)).to(device, non_blocking=True),
    )


def pack_tokens(
    token_lists: Sequence[Sequence[int]], *, device: torch.device | str
) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Ids [1, T] of the lists one after the other, and their lengths: what `Embedder` takes as a packed row.
    No list may be empty.
    """
    ids = list(itertools.chain.from_iterable(token_lists))
    return torch.tensor([ids], dtype=torch.long, device=device), tuple(map(len, token_lists))
