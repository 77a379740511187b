"""The tokenizer behind token ids, and the mark by which two are told apart.

Ids of another tokenizer train without any error, to a model of noise. So whoever writes ids writes down the
mark of what made them, and whoever reads them compares it. The mark is that of everything that decides ids:
normalisation, the cut into words, the vocabulary and the token at the end of a text; what is done around a
text (post-processor, padding, truncation) is not used and not part of it.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conan_data.corpus import tokenizer as files
from conan_data.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SETTINGS = "tokenizer_config.json"
_DECIDES = ("added_tokens", "normalizer", "pre_tokenizer", "model")


@dataclass(frozen=True)
class Vocabulary:
    """What is known of a tokenizer without its code."""

    file: Path
    size: int
    eos_id: int
    fingerprint: str


def read_vocabulary(name: str, *, eos_id: int | None = None) -> Vocabulary:
    """The tokenizer of an artifact, folder or Hub name; its end of text is what `tokenizer_config.json` says,
    unless it is given.

    Raises `UserError` where there is no tokenizer, or no end of text.
    """
    file = files.find(name)
    tokenizer = files.load(file)
    if eos_id is None:
        eos_id = _eos_id(file, tokenizer)
    size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    content = json.loads(tokenizer.to_str())
    decides = json.dumps([[content.get(key) for key in _DECIDES], eos_id], sort_keys=True, ensure_ascii=False)
    return Vocabulary(file, size, eos_id, hashlib.sha256(decides.encode()).hexdigest())


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> Iterator[list[int]]:
    """Ids of each text. Special tokens spelled out in a text are text; a very long text is encoded in pieces."""
    pieces = [list(files.pieces(text)) for text in texts]
    tokenizer.encode_special_tokens = True
    encodings = iter(
        tokenizer.encode_batch_fast([piece for text in pieces for piece in text], add_special_tokens=False)
    )
    tokenizer.encode_special_tokens = False
    return ([id for _ in text for id in next(encodings).ids] for text in pieces)


def _eos_id(file: Path, tokenizer: "Tokenizer") -> int:
    settings = file.with_name(SETTINGS)
    try:
        named = json.loads(settings.read_text(encoding="utf-8")).get("eos_token")
    except FileNotFoundError:
        raise UserError(f"tokenizer: {settings} is missing; it says which token ends a text") from None
    except (ValueError, AttributeError) as error:
        raise UserError(f"tokenizer: {settings} is not JSON ({error})") from error
    token = named.get("content") if isinstance(named, dict) else named
    found = tokenizer.token_to_id(token) if isinstance(token, str) else None
    if found is None:
        raise UserError(f"tokenizer: {settings}: eos_token is {named!r}, which is not in the vocabulary")
    return found
