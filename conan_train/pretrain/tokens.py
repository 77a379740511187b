"""Token shards as training sees them: documents by number, whatever shard they lie in.

Tokenising while training would make the order of the data depend on workers and queues. The ids are there
before, on disk (see `conan_data.tokens`), a document is a slice of them, and any row of any epoch can be
computed from the step alone. Nothing but starts, hashes and names is read into memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conan_data.artifact import is_artifact, open_artifact
from conan_data.errors import UserError
from conan_data.manifest import read_manifest
from conan_data.plain_text import Tally
from conan_data.tokens.config import TokenizeConfig
from conan_data.tokens.shards import INDEX, read_index, write_shards
from conan_data.tokens.tokenizer import Vocabulary

KIND = "tokens"


class ShardedIds:
    """Arrays one behind the other, of which a slice that lies in one of them is taken like that of an array."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.arrays = list(arrays)
        self.bounds = np.cumsum([0, *map(len, arrays)])
        """int64 [arrays + 1]"""

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def __getitem__(self, part: slice) -> np.ndarray:
        number = min(int(np.searchsorted(self.bounds, part.start, side="right")), len(self.arrays)) - 1
        start = int(self.bounds[number])
        found = self.arrays[number][part.start - start : part.stop - start]
        assert len(found) == part.stop - part.start, "a document never lies in two shards"
        return found


@dataclass(frozen=True)
class Tokens:
    """`ids[starts[i] : starts[i + 1]]` is document i, its EOS included."""

    ids: ShardedIds
    starts: np.ndarray
    """int64 [N + 1]"""
    places: np.ndarray
    """float64 [N]: the documents' hashes in [0, 1)."""
    languages: np.ndarray
    """int32 [N]: places in `names`."""
    names: tuple[str, ...]
    sources: np.ndarray
    """int32 [N]: places in `source_names`."""
    source_names: tuple[str, ...]
    tally: Tally

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)

    def document(self, index: int) -> np.ndarray:
        return self.ids[self.starts[index] : self.starts[index + 1]]


def split_inputs(paths: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The token artifacts among `paths`, and the rest."""
    tokens = tuple(path for path in paths if is_artifact(path) and read_manifest(Path(path))["kind"] == KIND)
    return tokens, tuple(path for path in paths if path not in tokens)


def check_tokens(path: str, vocabulary: Vocabulary, *, model: str) -> Path:
    """The folder of a token artifact. Raises `UserError` when another tokenizer made it."""
    folder = open_artifact(path, kind=KIND).dir
    index = read_index(folder)
    if index.fingerprint != vocabulary.fingerprint:
        raise UserError(
            f"{path}: made with another tokenizer ({index.vocab_size:,} tokens, {index.fingerprint[:12]}) than that of {model} "
            f"({vocabulary.size:,} tokens, {vocabulary.fingerprint[:12]}); run conan-data tokenize with the model's tokenizer"
        )
    return folder


def tokenize(
    corpus: Sequence[str],
    folder: Path,
    vocabulary: Vocabulary,
    *,
    pairs: Sequence[str] = (),
    split: str = "train",
    workers: int = 1,
) -> Path:
    """Tokenises in place; what is there already from an interrupted run is used again."""
    config = TokenizeConfig(
        out=folder, tokenizer=str(vocabulary.file), corpus=tuple(corpus), pairs=tuple(pairs), split=split
    )
    folder.mkdir(parents=True, exist_ok=True)
    parts = folder.with_name(folder.name + ".parts")
    write_shards(config, vocabulary, folder, parts, workers=workers)
    return folder


def read_tokens(folders: Sequence[Path]) -> Tokens:
    """The documents of all folders, in order; the ids stay on disk."""
    shards = [
        (folder / shard.name, shard)
        for folder in folders
        if (folder / INDEX).exists()
        for shard in read_index(folder).shards
    ]
    languages = sorted({shard.language for _, shard in shards})
    sources = sorted({shard.source for _, shard in shards})
    ids = ShardedIds([np.load(f"{path}.ids.npy", mmap_mode="r") for path, _ in shards])
    starts = [
        np.load(f"{path}.starts.npy")[:-1] + bound for (path, _), bound in zip(shards, ids.bounds.tolist())
    ]
    counts = [shard.documents for _, shard in shards]
    tally = Tally()
    for folder in folders:
        part = read_index(folder).tally
        tally.read += part.read
        tally.dropped.update(part.dropped)
        tally.account.add(part.account)
    return Tokens(
        ids=ids,
        starts=np.concatenate([*starts, [len(ids)]]).astype(np.int64),
        places=np.concatenate([np.zeros(0), *(np.load(f"{path}.places.npy") for path, _ in shards)]),
        languages=np.repeat(
            np.array([languages.index(shard.language) for _, shard in shards], np.int32), counts
        ),
        names=tuple(languages),
        sources=np.repeat(np.array([sources.index(shard.source) for _, shard in shards], np.int32), counts),
        source_names=tuple(sources),
        tally=tally,
    )
