"""The corpus as one array of token ids on disk, made once.

Tokenising while training would make the order of the data depend on workers and queues. Here it is an array,
a document is a slice of it, and any row of any epoch can be computed from the step alone. Special tokens
spelled out in a text are text: only the end of a document is EOS.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tokenizers import Tokenizer

from conan_data.progress import progress
from conan_train import corpus

BATCH = 512
_META = "tokens.json"


@dataclass(frozen=True)
class Tokens:
    """`ids[starts[i] : starts[i + 1]]` is document i, its EOS included."""

    ids: np.ndarray
    starts: np.ndarray
    """int64 [N + 1]"""
    places: np.ndarray
    """float64 [N]: the documents' hashes in [0, 1)."""
    languages: np.ndarray
    """int32 [N]: places in `names`."""
    names: tuple[str, ...]
    tally: corpus.Tally

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)

    def document(self, index: int) -> np.ndarray:
        return self.ids[self.starts[index] : self.starts[index + 1]]


def tokenize(
    paths: tuple[str, ...], tokenizer: Tokenizer, folder: Path, *, eos_id: int, vocab_size: int
) -> Tokens:
    """The documents of a corpus as token ids in `folder`; what is there already from an interrupted run is
    used again.
    """
    if not (folder / _META).exists():
        partial = folder.with_name(folder.name + ".partial")
        for old in (partial, folder):
            shutil.rmtree(old, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(
            paths, tokenizer, partial, eos_id=eos_id, dtype=np.uint16 if vocab_size <= 1 << 16 else np.uint32
        )
        partial.rename(folder)
    return read_tokens(folder)


def read_tokens(folder: Path) -> Tokens:
    """What `tokenize` wrote; the ids stay on disk."""
    meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    return Tokens(
        ids=np.load(folder / "ids.npy", mmap_mode="r") if meta["tokens"] else np.zeros(0, np.uint16),
        starts=np.load(folder / "starts.npy"),
        places=np.load(folder / "places.npy"),
        languages=np.load(folder / "languages.npy"),
        names=tuple(meta["languages"]),
        tally=corpus.Tally(read=meta["read"], dropped=Counter(meta["dropped"])),
    )


def _write(
    paths: tuple[str, ...],
    tokenizer: Tokenizer,
    folder: Path,
    *,
    eos_id: int,
    dtype: type[np.unsignedinteger],
) -> None:
    tally = corpus.Tally()
    names: dict[str, int] = {}
    lengths, places, languages = [], [], []
    tokenizer.encode_special_tokens = True
    with open(folder / "ids.npy", "wb") as file:
        _write_header(file, dtype, 0)
        documents = progress(corpus.documents(paths, tally), "tokenizing", unit="document")
        for batch in _batches(documents):
            for document, ids in zip(batch, _encode(tokenizer, batch, eos_id=eos_id), strict=True):
                file.write(np.asarray(ids, dtype=dtype).tobytes())
                lengths.append(len(ids))
                places.append(document.place)
                languages.append(names.setdefault(document.lang, len(names)))
        file.seek(0)
        _write_header(file, dtype, sum(lengths))
    tokenizer.encode_special_tokens = False
    np.save(folder / "starts.npy", np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64))
    np.save(folder / "places.npy", np.asarray(places, dtype=np.float64))
    np.save(folder / "languages.npy", np.asarray(languages, dtype=np.int32))
    meta = {
        "tokens": sum(lengths),
        "languages": list(names),
        "read": tally.read,
        "dropped": dict(tally.dropped),
    }
    (folder / _META).write_text(json.dumps(meta), encoding="utf-8")


def _batches(documents: Iterator[corpus.Document]) -> Iterator[tuple[corpus.Document, ...]]:
    while batch := tuple(islice(documents, BATCH)):
        yield batch


def _encode(tokenizer: Tokenizer, batch: tuple[corpus.Document, ...], *, eos_id: int) -> Iterator[list[int]]:
    encodings = tokenizer.encode_batch_fast([document.text for document in batch], add_special_tokens=False)
    return ([*encoding.ids, eos_id] for encoding in encodings)


def _write_header(file: BinaryIO, dtype: type[np.unsignedinteger], length: int) -> None:
    """The header of a one-dimensional .npy file; numpy leaves room in it, so that a longer length takes no
    more bytes.
    """
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (length,)}
    )
