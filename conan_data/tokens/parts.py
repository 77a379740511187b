"""The work of tokenising, cut into parts that any number of processes do in any order.

The cut depends on the inputs alone. A part writes its ids for every (source, language) it meets, and says
last, in `done.json`, what it wrote; one without it is done again from its start. So a run that was killed
goes on with the parts that are missing, and what is put together from all of them is the same, byte for byte,
for any number of processes and interruptions. Memory is that of a batch, and 16 bytes a document of a part.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np

from conan_data import artifact, sources
from conan_data.corpus.tokenizer import load
from conan_data.pairs.rows import pair_sources
from conan_data.plain_text import Document, Tally, read_documents
from conan_data.readers import Share
from conan_data.readers.account import Account
from conan_data.sealed import read_mark, read_sealed, write_mark
from conan_data.tokens.pairs import read_pairs
from conan_data.tokens.tokenizer import Vocabulary, encode

BATCH_DOCUMENTS, BATCH_CHARACTERS = 512, 1 << 20
"""A batch is encoded at once; it ends at whichever is reached first."""
DONE = "done.json"
_PACKED = (".gz", ".zst", ".bz2", ".xz", ".parquet")
_PACKED_RATIO, _MOST_SHARES = 4, 64


@dataclass(frozen=True)
class Unit:
    """What one part reads: a share of a file of documents, or a file or set of pairs."""

    path: str
    source: str
    """Source of the documents that name none."""
    index: int = 0
    count: int = 1
    block: int = 1 << 20
    """Bytes of a block of the file, of which a share has every `count`-th."""
    split: str | None = None
    """Split of a retrieval set; None for documents."""


def cut(corpus: Sequence[str], pairs: Sequence[str], *, split: str, part_bytes: int) -> list[Unit]:
    """The units of all inputs, in order."""
    named: dict[Path, str] = {}
    for name in corpus:
        for file in sources.expand([name]):
            named.setdefault(file, _source(name, file))
    units = []
    for file in sources.expand(list(corpus)) if corpus else []:
        count = _num_shares(file, part_bytes)
        block = min(part_bytes, 1 << 20)
        units += [Unit(str(file), named[file], index, count, block) for index in range(count)]
    units += [Unit(path, source, split=split) for path, source in pair_sources(pairs)]
    return units


@dataclass(frozen=True)
class Tokenizing:
    """The parts of one run, as processes do them."""

    units: tuple[Unit, ...]
    vocabulary: Vocabulary
    folder: Path
    dtype: str

    def task(self, rank: int) -> str:
        unit = self.units[rank]
        share = f", part {unit.index + 1} of {unit.count}" if unit.count > 1 else ""
        return f"tokenizing {unit.path}{share}"

    def run(self, rank: int) -> None:
        """Does part `rank`, from its start."""
        if parent_process() is not None:
            os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the other cores have parts of their own
        folder = part_folder(self.folder, rank)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tokenizer, tally, writer = load(self.vocabulary.file), Tally(), _PartWriter(folder, self.dtype)
        for batch in _batches(_documents(self.units[rank], tally)):
            texts = [document.text for document in batch]
            for document, ids in zip(batch, encode(tokenizer, texts), strict=True):
                writer.add(document, [*ids, self.vocabulary.eos_id])
            writer.flush()
        writer.close(tally)


def part_folder(folder: Path, rank: int) -> Path:
    """Where part `rank` lies."""
    return folder / f"part-{rank:06d}"


def missing(folder: Path, num_parts: int) -> list[int]:
    """The parts that are not done, or not as they were written."""
    return [rank for rank in range(num_parts) if read_mark(part_folder(folder, rank) / DONE) is None]


def read_done(folder: Path, rank: int) -> dict[str, Any]:
    """What part `rank` wrote: `read`, `dropped`, `account`, and `keys`, a list of source, language and documents, whose
    arrays are numbered in this order.
    """
    return read_sealed(part_folder(folder, rank) / DONE)


class _PartWriter:
    """Appends documents to one file of raw ids for each (source, language)."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self.folder, self.dtype = folder, dtype
        self.numbers: dict[tuple[str, str], int] = {}
        self.lengths: list[list[int]] = []
        self.places: list[list[float]] = []
        self.waiting: dict[int, list[int]] = {}

    def add(self, document: Document, ids: list[int]) -> None:
        number = self.numbers.setdefault((document.source, document.lang), len(self.numbers))
        if number == len(self.lengths):
            self.lengths.append([])
            self.places.append([])
        self.lengths[number].append(len(ids))
        self.places[number].append(document.place)
        self.waiting.setdefault(number, []).extend(ids)

    def flush(self) -> None:
        for number, ids in self.waiting.items():
            with open(self.folder / f"{number}.ids", "ab") as file:
                file.write(np.asarray(ids, dtype=self.dtype).tobytes())
        self.waiting.clear()

    def close(self, tally: Tally) -> None:
        for number in self.numbers.values():
            np.save(self.folder / f"{number}.lengths.npy", np.asarray(self.lengths[number], np.int64))
            np.save(self.folder / f"{number}.places.npy", np.asarray(self.places[number], np.float64))
        keys = [[source, lang, len(self.lengths[number])] for (source, lang), number in self.numbers.items()]
        done = {
            "read": tally.read,
            "dropped": dict(tally.dropped),
            "account": tally.account.to_json(),
            "keys": keys,
        }
        write_mark(self.folder / DONE, sorted(self.folder.iterdir()), done)


def _documents(unit: Unit, tally: Tally) -> Iterator[Document]:
    if unit.split is None:
        share = Share(unit.index, unit.count, unit.block)
        return read_documents(Path(unit.path), tally, share, source=unit.source)
    pairs = read_pairs(unit.path, tally, split=unit.split, source=unit.source)
    return (pair.as_document() for pair in pairs)


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document.text)
        if len(batch) == BATCH_DOCUMENTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _source(name: str, file: Path) -> str:
    """The name of the input, or for files of the folder that they lie in."""
    path = Path(name)
    if path.is_dir() or artifact.is_artifact(path) or (name == "sample" and not path.exists()):
        return path.name
    return file.resolve().parent.name


def _num_shares(file: Path, part_bytes: int) -> int:
    """Shares of a file; those of a packed one all unpack it, so there are not too many."""
    if not file.is_file():
        return 1
    packed = file.name.lower().endswith(_PACKED)
    size = file.stat().st_size * (_PACKED_RATIO if packed else 1)
    count = max(1, -(-size // part_bytes))
    return min(count, _MOST_SHARES) if packed else count


def total(done: Sequence[dict[str, Any]]) -> Tally:
    """What was read and dropped by all parts."""
    found = Tally()
    for part in done:
        found.read += part["read"]
        found.dropped.update(part["dropped"])
        found.account.add(Account.from_json(part["account"]))
    return found
