"""The evaluation side: every text of the sets that must not be trained on, in one table.

Shapes: E texts, J judgements.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from conan_data.decontamination.config import DecontaminateConfig
from conan_data.decontamination.mteb_tasks import task_input, task_texts
from conan_data.decontamination.rows import Key
from conan_data.decontamination.text_sets import TextSet, open_evaluation
from conan_data.errors import UserError
from conan_data.hub import is_name
from conan_data.models.locate import model_input
from conan_data.pairs.rows import is_retrieval_set
from conan_data.public_names import SAMPLE, published_value
from conan_data.readers import Broken
from conan_data.sources import expand, resolve

QUERY, ANSWER, PASSAGE, SENTENCE = range(4)
KINDS: Final = ("query", "answer", "passage", "sentence")
_KIND_OF = {
    "query": QUERY, "translation": QUERY, "document": PASSAGE, "positive": ANSWER, "negative": PASSAGE,
    "sentence": SENTENCE,
}  # fmt: skip
_SCHEMA = pa.schema(
    [pa.field("text", pa.large_string()), pa.field("id", pa.string()), pa.field("lang", pa.string())]
)
_ROWS_A_BATCH = 8192


@dataclass(frozen=True)
class Evaluation:
    """E texts of all sets."""

    names: tuple[str, ...]
    """Published names of the sets."""
    table: pa.Table
    """Columns `text`, `id`, `lang`; mapped from a file."""
    kinds_E: np.ndarray
    """uint8: places in `KINDS`."""
    sets_E: np.ndarray
    """int32: places in `names`."""
    judgements_J: np.ndarray
    """uint64, ascending: first text << 32 | second text of each pair that is judged or scored, in both orders."""

    def is_judged(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return which pairs of texts are judged."""
        pairs = first.astype(np.uint64) << np.uint64(32) | second.astype(np.uint64)
        places = np.minimum(np.searchsorted(self.judgements_J, pairs), max(len(self.judgements_J) - 1, 0))
        return self.judgements_J[places] == pairs if len(self.judgements_J) else np.zeros(len(pairs), bool)

    def counts(self, place: int) -> Counter[str]:
        """Return the number of texts of each kind of a set."""
        kinds = self.kinds_E[self.sets_E == place]
        return Counter({name: int((kinds == kind).sum()) for kind, name in enumerate(KINDS)})


def open_against(path: str, split: str) -> TextSet:
    """Return an evaluation set by its path, its name on the Hub, or the name of a task of mteb."""
    return open_evaluation(path, split) if is_local(path) else task_texts(path, split)


def evaluation_inputs(config: DecontaminateConfig) -> list[str | Path]:
    """Return what identifies the evaluation sets and the encoder, for the manifest."""
    found: list[str | Path] = []
    for path in config.against:
        if is_local(path):
            found += [resolve(path, "retrieval")] if is_retrieval_set(path) else expand((path,))
        else:
            found.append(task_input(path))
    return [*found, *([model_input(config.neighbours.model)] if config.neighbours.model else [])]


def is_local(path: str) -> bool:
    """Return whether an evaluation set is a path or a name on the Hub rather than a task of mteb."""
    return path == SAMPLE or is_name(path) or Path(path).exists() or any(mark in path for mark in "*?[/")


def read_evaluation(against: Sequence[str], split: str, file: Path) -> Evaluation:
    """Read all sets; their texts go to `file`. Raises `UserError` for a set that is not there or has no texts."""
    kinds: list[np.ndarray] = []
    sets: list[np.ndarray] = []
    judgements: list[np.ndarray] = []
    first = 0
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        for place, path in enumerate(against):
            own = _add_set(open_against(path, split), first, writer)
            if not len(own.kinds):
                raise UserError(f"against: {path} holds no text ({own.why()})")
            kinds.append(own.kinds)
            sets.append(np.full(len(own.kinds), place, np.int32))
            judgements.append(own.judgements)
            first += len(own.kinds)
    table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    pairs = np.concatenate([np.zeros(0, np.uint64), *judgements])
    turned = pairs << np.uint64(32) | pairs >> np.uint64(32)
    return Evaluation(
        tuple(published_value(path) for path in against),
        table,
        np.concatenate(kinds),
        np.concatenate(sets),
        np.unique(np.concatenate([pairs, turned])),
    )


@dataclass(frozen=True)
class _OneSet:
    kinds: np.ndarray
    judgements: np.ndarray
    refused: Counter[str]

    def why(self) -> str:
        return ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.refused.items())) or "no rows"


def _add_set(texts: TextSet, first: int, writer: pa.ipc.RecordBatchFileWriter) -> _OneSet:
    """Write the texts of a set; they are numbered from `first`."""
    kinds: list[int] = []
    places: dict[Key, int] = {}
    parts: dict[Key, str] = {}
    refused: Counter[str] = Counter()
    batch: list[tuple[str, str, str]] = []
    for text in texts.texts():
        if isinstance(text, Broken):
            refused[text.reason] += 1
            continue
        if texts.may_be_judged(text.key):
            places[text.key], parts[text.key] = first + len(kinds), text.part
        kinds.append(_KIND_OF[text.part])
        batch.append((text.text, ":".join(text.key[1:]), text.lang))
        if len(batch) == _ROWS_A_BATCH:
            _write(batch, writer)
            batch = []
    _write(batch, writer)
    kinds_E = np.array(kinds, np.uint8)
    # A file of documents alone is a test of these.
    if len(kinds_E) and (kinds_E == PASSAGE).all():
        kinds_E[:] = QUERY
    pairs = np.array([places[one] << 32 | places[two] for one, two in texts.judgements(parts)], np.uint64)
    judged = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64) - first
    judged = judged[kinds_E[judged] == PASSAGE]
    kinds_E[judged] = ANSWER
    return _OneSet(kinds_E, pairs, refused)


def _write(batch: list[tuple[str, str, str]], writer: pa.ipc.RecordBatchFileWriter) -> None:
    if batch:
        texts, ids, langs = zip(*batch)
        writer.write_batch(
            pa.RecordBatch.from_arrays(
                [pa.array(texts, pa.large_string()), pa.array(ids), pa.array(langs)], schema=_SCHEMA
            )
        )
