"""The settings of a model and its tokenizer, as they lie beside published weights and in checkpoints."""

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FILE = "tokenizer_config.json"
_TOKENIZER_FILES = ("tokenizer.json", "special_tokens_map.json", "chat_template.jinja")
_PLACES = ("name_or_path", "_name_or_path", "tokenizer_file", "vocab_file", "special_tokens_map_file")
"""Fields in which libraries note where on a machine they found the files."""


def write_config(model: "PreTrainedModel", folder: Path) -> None:
    """Write what `model.save_pretrained(folder)` writes beside the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(model.config)
    config.dtype = str(model.dtype).removeprefix("torch.")
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the files of a tokenizer from one model folder to another."""
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if (source / FILE).is_file():
        copy_tokenizer_settings(source, target)


def copy_tokenizer_settings(source: Path, target: Path, **changes: Any) -> None:
    """Copy `tokenizer_config.json` from folder `source` to folder `target`, with `changes` and without the places on
    this machine that libraries note in it. A name on the Hub stays.
    """
    settings = json.loads((source / FILE).read_text(encoding="utf-8")) | changes
    kept = {name: value for name, value in settings.items() if name not in _PLACES or not _is_place(value)}
    (target / FILE).write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_place(value: object) -> bool:
    return isinstance(value, str) and (Path(value).is_absolute() or value.startswith((".", "~")))
