"""The hashes of a corpus, kept beside its shards: what next month's run needs to know of this one's documents
without making their signatures again.

`index/<lang>/part-00000.arrow` has a row for each row of `data/<lang>/part-00000.parquet`, and
`index/settings.json` says how the keys were made: other settings have other keys.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from conan_data.corpus.dedup.config import DedupConfig

SETTINGS = "settings.json"
INDEX = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("exact_hash", pa.binary(16)),
        pa.field("url_hash", pa.binary(16)),
        pa.field("band_keys", pa.large_binary()),
    ]
)
_VERSION = 1
"""Another one means that equal settings give other hashes than before."""


def write_settings(folder: Path, config: DedupConfig) -> None:
    """Writes how the keys of the index at `folder` were made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).write_text(json.dumps(_settings(config), indent=1) + "\n", encoding="utf-8")


def is_index(folder: Path) -> bool:
    """Whether `folder` is an index."""
    return (folder / SETTINGS).is_file()


def difference(folder: Path, config: DedupConfig) -> str:
    """How the keys of the index at `folder` were made differently, in a few words; empty where they were not."""
    theirs = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    return ", ".join(
        f"{name} {theirs.get(name)} -> {value}"
        for name, value in _settings(config).items()
        if theirs.get(name) != value
    )


def _settings(config: DedupConfig) -> dict[str, Any]:
    names = ("num_bands", "rows_per_band", "ngram", "seed")
    return {"version": _VERSION} | {name: getattr(config, name) for name in names}
