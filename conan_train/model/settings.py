"""The settings of a tokenizer, copied from a folder of the user's into one that is published."""

import json
from pathlib import Path
from typing import Any

FILE = "tokenizer_config.json"
_PLACES = ("name_or_path", "_name_or_path", "tokenizer_file", "vocab_file", "special_tokens_map_file")
"""Fields in which libraries note where on a machine they found the files."""


def copy_tokenizer_settings(source: Path, target: Path, **changes: Any) -> None:
    """Copy `tokenizer_config.json` from folder `source` to folder `target`, with `changes` and without the places on
    this machine that libraries note in it. A name on the Hub stays.
    """
    settings = json.loads((source / FILE).read_text(encoding="utf-8")) | changes
    kept = {name: value for name, value in settings.items() if name not in _PLACES or not _is_place(value)}
    (target / FILE).write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_place(value: object) -> bool:
    return isinstance(value, str) and (Path(value).is_absolute() or value.startswith((".", "~")))
