"""Counting tokens with the user's own tokenizer.

Only `tokenizer.json` is read, so that no code of a model runs. Texts go to it in batches, which it encodes on
all cores that it may use. A very long text is cut in front of single spaces and encoded piece by piece: the
encoding of a text takes a hundred times its memory. Tokenizers cut there themselves (and put a space in front
of a text that has none), so the count stays the same.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from conan_data import hub
from conan_data.artifact import is_artifact, open_artifact
from conan_data.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"
PIECE = 50_000
"""Characters of a text from which the next space between words ends a piece."""
LONGEST_PIECE = 2 * PIECE
"""Characters after which a text is cut in any case; the count may then be one off."""
BATCH = 250_000
"""Characters that are encoded at once."""
_SPACE = re.compile(r"(?<=\S) (?=\S)")


def find(name: str) -> Path:
    """The `tokenizer.json` behind a folder, an artifact, such a file, or a name on the Hub (`owner/name`,
    `hf://owner/name@revision`), which is downloaded.

    Raises `UserError` where there is none.
    """
    path = Path(name)
    if is_artifact(path):
        open_artifact(path, kind="tokenizer")
    if path.is_file():
        return path
    if path.is_dir():
        if not (path / FILE).is_file():
            raise UserError(f"tokenizer: {name} has no {FILE}")
        return path / FILE
    on_hub = hub.parse_model(name)
    if on_hub is None:
        raise UserError(f"tokenizer: no such file or folder, got {name!r}")
    return hub.HUB.model_file(on_hub, FILE)


def load(path: Path, *, field: str = "tokenizer") -> "Tokenizer":
    """The tokenizer of a `tokenizer.json`, which neither cuts nor pads. Raises `UserError`, which names the config's
    `field`, where the file holds none.
    """
    from tokenizers import Tokenizer

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{field}: {path} is not readable as JSON ({error})") from error
    if not isinstance(content, dict) or "model" not in content:
        raise UserError(f"{field}: {path} is JSON that holds no tokenizer; give a {FILE}")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_tokens(tokenizer: "Tokenizer", texts: list[str]) -> list[int]:
    """Tokens of each text, without special ones."""
    counts = [0] * len(texts)
    for batch in _batches(texts):
        encoded = tokenizer.encode_batch_fast([piece for _, piece in batch], add_special_tokens=False)
        for (index, _), encoding in zip(batch, encoded, strict=True):
            counts[index] += len(encoding)
    return counts


def pieces(text: str) -> Iterator[str]:
    """`text` in pieces of about `PIECE` characters, each further one beginning with a space."""
    start = 0
    while len(text) - start > PIECE:
        space = _SPACE.search(text, start + PIECE, min(len(text), start + LONGEST_PIECE))
        end = space.start() if space else min(len(text), start + LONGEST_PIECE)
        yield text[start:end]
        start = end
    if start < len(text) or not text:
        yield text[start:]


def _batches(texts: list[str]) -> Iterator[list[tuple[int, str]]]:
    """(number of the text, piece of it), about `BATCH` characters at a time."""
    batch: list[tuple[int, str]] = []
    size = 0
    for index, text in enumerate(texts):
        for piece in pieces(text) if len(text) > PIECE else (text,):
            batch.append((index, piece))
            size += len(piece)
            if size >= BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
