"""Shards: the ids of all documents of one source and language, one after the other, as plain `.npy` arrays.

`tokens.json` lists them, with the tokenizer that made them; a shard NAME is `NAME.ids.npy` (the ids, each
document ending in EOS), `NAME.starts.npy` (int64, where each document starts, and the end of the last) and
`NAME.places.npy` (float64, the hash of each in [0, 1)). No document lies in two shards.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import numpy as np

from conan_data.config import parse_memory
from conan_data.files import written_aside
from conan_data.manifest import WHOLE
from conan_data.plain_text import Tally
from conan_data.progress import progress
from conan_data.public_names import published_json
from conan_data.readers.account import Account
from conan_data.sealed import read_mark, write_mark
from conan_data.tokens.config import TokenizeConfig
from conan_data.tokens.parts import Tokenizing, cut, missing, part_folder, read_done, total
from conan_data.tokens.tokenizer import Vocabulary
from conan_data.workers import run_here, run_in_processes

INDEX, DATA = "tokens.json", "data"
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Shard:
    """One entry of the index."""

    name: str
    source: str
    language: str
    documents: int
    tokens: int


@dataclass(frozen=True)
class Index:
    """What `tokens.json` says."""

    fingerprint: str
    eos_id: int
    vocab_size: int
    tally: Tally
    shards: tuple[Shard, ...]


def write_shards(
    config: TokenizeConfig, vocabulary: Vocabulary, folder: Path, work: Path, *, workers: int
) -> Index:
    """Tokenises the inputs of `config` by parts in `work`, and puts them together in `folder`; parts that
    are there already are not done again, and neither is a folder that is whole.
    """
    if read_mark(folder / WHOLE) is not None:
        return read_index(folder)
    for place in (folder / INDEX, folder / WHOLE):
        place.unlink(missing_ok=True)
    shutil.rmtree(folder / DATA, ignore_errors=True)
    dtype = "<u2" if vocabulary.size <= 1 << 16 else "<u4"
    units = cut(config.corpus, config.pairs, split=config.split, part_bytes=parse_memory(config.part_size))
    tokenizing = Tokenizing(tuple(units), vocabulary, work, dtype)
    ranks = missing(work, len(units))
    done = (
        run_here(tokenizing, ranks)
        if workers == 1
        else run_in_processes(tokenizing, ranks, workers=min(workers, max(len(ranks), 1)))
    )
    for _ in progress(done, "tokenizing", total=len(ranks), unit="part"):
        pass
    written = [read_done(work, rank) for rank in range(len(units))]
    shards = []
    for (source, language), pieces in sorted(_by_key(written).items()):
        for number, group in enumerate(_groups(pieces, work, dtype, config.shard_tokens)):
            name = f"{DATA}/{_safe(source)}/{_safe(language)}-{number:05d}"
            shards.append(_join(group, work, folder / name, dtype, Shard(name, source, language, 0, 0)))
    index = Index(vocabulary.fingerprint, vocabulary.eos_id, vocabulary.size, total(written), tuple(shards))
    index.tally.account.say()
    with written_aside(folder / INDEX) as aside:
        aside.write_text(_to_json(index, below=[*config.corpus, *config.pairs]), encoding="utf-8")
    made = [path for path in sorted((folder / DATA).rglob("*")) if path.is_file()]
    write_mark(folder / WHOLE, [*made, folder / INDEX])
    return index


def read_index(folder: Path) -> Index:
    """The index of a folder that `write_shards` wrote."""
    content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    tally = Tally(read=content["read"], account=Account.from_json(content.get("account", {})))
    tally.dropped.update(content["dropped"])
    shards = tuple(Shard(**entry) for entry in content["shards"])
    return Index(content["fingerprint"], content["eos_id"], content["vocab_size"], tally, shards)


def _to_json(index: Index, *, below: Sequence[str]) -> str:
    content = {
        "fingerprint": index.fingerprint,
        "eos_id": index.eos_id,
        "vocab_size": index.vocab_size,
        "read": index.tally.read,
        "dropped": dict(sorted(index.tally.dropped.items())),
        "account": published_json(index.tally.account.to_json(), below),
        "shards": [vars(shard) for shard in index.shards],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _by_key(written: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """(part, number of the array in it) of each source and language, in the order of the parts."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for rank, part in enumerate(written):
        for number, (source, language, _) in enumerate(part["keys"]):
            found.setdefault((source, language), []).append((rank, number))
    return found


def _groups(
    pieces: Sequence[tuple[int, int]], work: Path, dtype: str, shard_tokens: int
) -> Iterator[list[tuple[int, int]]]:
    """Pieces in a row that fill a shard."""
    group: list[tuple[int, int]] = []
    tokens = 0
    for rank, number in pieces:
        group.append((rank, number))
        tokens += (part_folder(work, rank) / f"{number}.ids").stat().st_size // np.dtype(dtype).itemsize
        if tokens >= shard_tokens:
            yield group
            group, tokens = [], 0
    if group:
        yield group


def _join(group: Sequence[tuple[int, int]], work: Path, path: Path, dtype: str, shard: Shard) -> Shard:
    """Writes the arrays of a shard; the ids are copied file to file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lengths, places = (
        np.concatenate([np.load(part_folder(work, rank) / f"{number}.{kind}.npy") for rank, number in group])
        for kind in ("lengths", "places")
    )
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    with open(f"{path}.ids.npy", "wb") as file:
        _write_header(file, dtype, int(starts[-1]))
        for rank, number in group:
            with open(part_folder(work, rank) / f"{number}.ids", "rb") as part:
                shutil.copyfileobj(part, file)
    np.save(f"{path}.starts.npy", starts)
    np.save(f"{path}.places.npy", places)
    return Shard(shard.name, shard.source, shard.language, len(lengths), int(starts[-1]))


def _write_header(file: BinaryIO, dtype: str, length: int) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": (length,)})


def _safe(name: str) -> str:
    """`name` as a part of a path; another one for another name."""
    safe = quote(name, safe=" ").replace(".", "%2E")
    return safe if 0 < len(safe) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest()[:32]
