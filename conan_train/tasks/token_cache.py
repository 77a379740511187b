"""The token ids of a table's texts on disk: made once, by one process, for all epochs, ranks and runs.

Tokenising in the step costs every epoch again and keeps the tokens of a whole corpus in Python lists. Here a
text is a slice of one memory-mapped array. What decides the ids decides the name of the cache: the tokenizer,
the prompt (it changes the tokens, not only adds some), and all texts in their order; a run that asks for other
tokens makes another cache, and never reads these. Of a text up to `KEPT` tokens are kept, EOS included, or
max_length where that is more; what is cut is cut when it is read, exactly as `encode_texts` does, so that one
cache serves every max_length up to there.

A cache appears whole, by one rename, and says how large its files are and what they hash to, which is checked
when it is opened; one that is damaged is made again. Parts that were finished before a kill are not made
again. Processes that ask for the same cache wait for the one that makes it.
"""

import hashlib
import json
import logging
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from conan_data.files import sync_directory, written_aside
from conan_data.progress import progress
from conan_data.sealed import read_mark, write_mark
from conan_train.model.tokenization import encode_texts

log = logging.getLogger(__name__)

# T texts, R rows asked for

FORMAT = 2
_META = "tokens.json"
_BATCH = 1024
"""Texts that the tokenizer gets at a time, which it shares out over its threads."""
_PART = 1 << 16
"""Texts of a part: what a kill costs."""
KEPT = 8192
"""Tokens of a text that are kept, where no max_length is more: a text of 50 MB is not worth twelve million."""


@dataclass(frozen=True)
class TokenRows:
    """Tokens of all rows, cut to `max_length`, EOS included."""

    ids: np.ndarray
    """uint16 or uint32, memory-mapped: all texts one after the other, as far as they are kept."""
    starts: np.ndarray
    """int64 [T + 1], memory-mapped."""
    max_length: int
    eos_id: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def num_tokens(self) -> int:
        """Of all texts, as far as they are kept."""
        return int(self.starts[-1])

    def lengths(self) -> np.ndarray:
        """int64 [T]: tokens of each row as it is read; the ids stay on disk."""
        return np.minimum(np.diff(self.starts), self.max_length)

    def __call__(self, rows: np.ndarray) -> list[np.ndarray]:
        """int64 ids of each row in `rows`, equal to those of `encode_texts`; views of one array."""
        rows = np.asarray(rows, np.int64)
        start_R = self.starts[rows]
        whole_R = self.starts[rows + 1] - start_R
        size_R = np.minimum(whole_R, self.max_length)
        end_R = np.cumsum(size_R)
        flat = np.empty(int(end_R[-1]) if len(rows) else 0, np.int64)
        ids = np.asarray(self.ids)
        found = []
        begin = 0
        for end, start, size in zip(end_R.tolist(), start_R.tolist(), size_R.tolist(), strict=True):
            view = flat[begin:end]
            view[:] = ids[start : start + size]
            found.append(view)
            begin = end
        flat[end_R[whole_R > size_R] - 1] = self.eos_id
        return found


def open_tokens(
    directory: Path,
    table: pa.Table,
    columns: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    prompt: str,
    max_length: int,
) -> TokenRows:
    """The tokens of `table`'s rows, from the cache below `directory`, which is made where it is not there yet.

    A row's text is its `columns` joined by a space, as mining reads it.
    `directory` may be shared by runs and by processes.
    """
    kept = max(KEPT, max_length)
    key = cache_key(tokenizer, prompt, row_texts(table, columns), kept=kept)
    directory.mkdir(parents=True, exist_ok=True)
    folder = directory / key
    eos_id = int(tokenizer.eos_token_id)
    with filelock.FileLock(directory / f"{key}.lock"):
        if folder.exists() and read_mark(folder / _META) is None:
            log.warning("%s: not as it was written; the tokens are made again", folder)
            shutil.rmtree(folder)
        if not folder.exists():
            _make(folder, table, columns, tokenizer, prompt=prompt, kept=kept)
    return TokenRows(
        ids=_load(folder / "ids.npy"),
        starts=np.load(folder / "starts.npy", mmap_mode="r"),
        max_length=max_length,
        eos_id=eos_id,
    )


def row_texts(table: pa.Table, columns: Sequence[str], *, first: int = 0) -> Iterator[list[str]]:
    """The texts of the rows from `first` on, in lists of the tokenizer's batch size."""
    for start in range(first, table.num_rows, _BATCH):
        parts = [table.column(name).slice(start, _BATCH).to_pylist() for name in columns]
        yield [" ".join(part or "" for part in row).strip() for row in zip(*parts, strict=True)]


def cache_key(
    tokenizer: PreTrainedTokenizerFast, prompt: str, texts: Iterator[list[str]], *, kept: int = KEPT
) -> str:
    """Hexadecimal; other texts, order, prompt, tokenizer, format or number of tokens kept give another."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (str(FORMAT), str(kept), tokenizer_fingerprint(tokenizer), prompt):
        digest.update(hashlib.blake2b(part.encode("utf-8", "surrogatepass")).digest())
    for batch in texts:
        digest.update(np.fromiter(map(len, batch), np.int64, count=len(batch)).tobytes())
        digest.update("".join(batch).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """Of what decides the ids of `encode_texts`; truncation, padding and post-processor do not."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    for name in ("truncation", "padding", "post_processor"):
        backend.pop(name, None)
    backend["eos"] = tokenizer.eos_token_id
    backend["split_special_tokens"] = bool(getattr(tokenizer, "split_special_tokens", False))
    return hashlib.sha256(json.dumps(backend, sort_keys=True).encode()).hexdigest()


def _make(
    folder: Path,
    table: pa.Table,
    columns: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    prompt: str,
    kept: int,
) -> None:
    """Makes the parts that are not there yet, joins them and publishes the cache."""
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(exist_ok=True)
    dtype = np.uint16 if max(tokenizer.get_vocab().values()) < 1 << 16 else np.uint32
    parts = [partial / f"part-{start // _PART:06d}.npy" for start in range(0, table.num_rows, _PART)]
    for number, part in enumerate(progress(parts, "tokenising", unit="part")):
        size = min(_PART, table.num_rows - number * _PART)
        if not _is_whole(part, size):
            _write_part(
                part,
                table.slice(number * _PART, size),
                columns,
                tokenizer,
                prompt=prompt,
                kept=kept,
                dtype=dtype,
            )
    _join(partial, parts, dtype)
    for part in parts:
        part.unlink()
    sync_directory(partial)
    partial.rename(folder)
    sync_directory(folder.parent)


def _write_part(
    path: Path,
    table: pa.Table,
    columns: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    prompt: str,
    kept: int,
    dtype: type[np.unsignedinteger],
) -> None:
    """Lengths, ids and a checksum, one array after the other."""
    lengths, ids = [], []
    for texts in row_texts(table, columns):
        for tokens in encode_texts(tokenizer, texts, kept, prompt=prompt):
            lengths.append(len(tokens))
            ids.append(np.asarray(tokens, dtype))
    arrays = [np.asarray(lengths, np.int64), np.concatenate(ids)]
    with written_aside(path) as aside, open(aside, "wb") as file:
        for array in (*arrays, _checksum(*arrays)):
            np.save(file, array)


def _read_part(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with open(path, "rb") as file:
        return np.load(file), np.load(file), np.load(file)


def _checksum(lengths: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return np.asarray([zlib.crc32(lengths.data), zlib.crc32(ids.data)], np.uint32)


def _is_whole(path: Path, size: int) -> bool:
    """Whether a part of an earlier run can be used."""
    try:
        lengths, ids, checksum = _read_part(path)
    except (ValueError, EOFError, OSError):
        return False
    return len(lengths) == size and bool((checksum == _checksum(lengths, ids)).all())


def _join(partial: Path, parts: Sequence[Path], dtype: type[np.unsignedinteger]) -> None:
    lengths = [_read_part(part)[0] for part in parts]
    starts = np.concatenate([[0], *lengths]).astype(np.int64).cumsum()
    with open(partial / "starts.npy", "wb") as file:
        np.save(file, starts)
    with open(partial / "ids.npy", "wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (int(starts[-1]),)}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(_read_part(part)[1].data)
    meta = {"format": FORMAT, "texts": len(starts) - 1, "tokens": int(starts[-1])}
    write_mark(partial / _META, [partial / "ids.npy", partial / "starts.npy"], meta)


def _load(path: Path) -> np.ndarray:
    """Memory-mapped, which an empty array cannot be."""
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:
        return np.load(path)
