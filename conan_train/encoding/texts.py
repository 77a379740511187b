"""The texts to encode, with their ids, in an order that every process sees alike, read as a stream."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conan_data import artifact, readers, sources
from conan_data.artifact import Rows
from conan_data.mining.arrays import document_texts
from conan_data.public_names import published_name
from conan_data.readers.fields import check_text_field, lookup
from conan_data.retrieval import read_retrieval
from conan_train.encoding.config import EncodeConfig


@dataclass
class Tally:
    """What was read, and what could not be used, by reason."""

    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> Rows:
        dropped = dict(self.dropped)
        return Rows(read=self.read, kept=self.read - self.dropped.total(), dropped=dropped)


def input_paths(config: EncodeConfig) -> list[str | Path]:
    """What the manifest names as the inputs of the texts."""
    if config.data:
        return [sources.resolve(config.data, "retrieval")]
    artifacts = [Path(path) for path in config.inputs if artifact.is_artifact(path)]
    others = [path for path in config.inputs if not artifact.is_artifact(path)]
    return [*artifacts, *(sources.expand(others) if others else [])]


def named_texts(config: EncodeConfig, tally: Tally) -> Iterator[tuple[str, str]]:
    """(id, text) of every text that can be used; `tally` counts along. Raises `UserError` for inputs that
    hold none.
    """
    return _set_texts(config, tally) if config.data else _row_texts(config, tally)


def _set_texts(config: EncodeConfig, tally: Tally) -> Iterator[tuple[str, str]]:
    data = read_retrieval(config.data, config.split)
    table = data.corpus if config.kind == "document" else data.queries
    texts = document_texts(table) if config.kind == "document" else iter(table.column("text").to_pylist())
    if (part := "corpus" if config.kind == "document" else "queries") in data.parts:
        tally.dropped.update(data.parts[part].dropped)
        tally.read += data.parts[part].read - data.parts[part].kept
    for name, text in zip(table.column("_id").to_pylist(), texts, strict=True):
        tally.read += 1
        yield name, text


def _row_texts(config: EncodeConfig, tally: Tally) -> Iterator[tuple[str, str]]:
    files = sources.expand(list(config.inputs))
    check_text_field(files, config.text_field)
    for file in files:
        for row in readers.read_rows(file):
            tally.read += 1
            if isinstance(row, readers.Broken):
                tally.dropped[row.reason] += 1
                continue
            text, name = lookup(row.values, config.text_field), lookup(row.values, config.id_field)
            if not isinstance(text, str) or not text.strip():
                tally.dropped["no-text"] += 1
                continue
            yield (
                (str(name) if name is not None else f"{published_name(file, config.inputs)}:{row.place}"),
                text,
            )
