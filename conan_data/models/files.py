"""Check the files of a model folder before anything is loaded from them.

Only safetensors are read: the other formats are pickles, or belong to other libraries. Loaders fall back to
them without a word where a safetensors file is missing, and report a truncated file by a message that names
no file.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from conan_data.errors import UserError

MODULES = "modules.json"
ADAPTER = "adapter_config.json"
_ROUTER = "router_config.json"
_OTHER_FORMATS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack", ".gguf", ".onnx", ".npz")
_POINTER = b"version https://git-lfs"


def check_files(folder: Path) -> None:
    """Raise `UserError` unless all weights that a loader would read from `folder` are whole safetensors files."""
    for part in [folder, *module_folders(folder).values()]:
        _check_formats(part, folder)
        for index in sorted(part.glob("*.safetensors.index.json")):
            _check_index(index)
        for path in sorted(part.glob("*.safetensors")):
            _check_safetensors(path)


def module_folders(folder: Path) -> dict[str, Path]:
    """Return the folder of each module of a sentence-transformers model, by the name that `named_modules` has for
    it, also those inside of a router; empty for a plain folder of transformers.
    """
    return dict(_modules_below(folder, read_json(folder / MODULES))) if (folder / MODULES).is_file() else {}


def adapter_bases(folder: Path) -> list[str]:
    """Return the base models that adapters in a model folder name, as a path or a name on the Hub."""
    parts = [folder, *module_folders(folder).values()]
    named = [read_settings(part / ADAPTER).get("base_model_name_or_path") for part in parts]
    return list(dict.fromkeys(name for name in named if isinstance(name, str) and name))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises `UserError` for one that is not readable."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from error


def read_settings(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty one where there is no such file."""
    if not path.is_file():
        return {}
    values = read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: must hold a JSON object, not {type(values).__name__}")
    return values


def _modules_below(folder: Path, entries: Any) -> Iterator[tuple[str, Path]]:
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in ("name", "path", "type"))
        for entry in entries
    ):
        raise UserError(f"{folder / MODULES}: must be a list of modules with name, path and type")
    for entry in entries:
        path = folder / entry["path"]
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{folder / MODULES}: module path {entry['path']!r} lies outside of the model")
        yield entry["name"], path
        routes = read_settings(path / _ROUTER).get("structure")
        for route, parts in routes.items() if isinstance(routes, dict) else ():
            for place, part in enumerate(parts):
                yield f"{entry['name']}.sub_modules.{route}.{place}", path / part


def _check_formats(part: Path, folder: Path) -> None:
    """A safetensors file must stand in for every pickled one of the same name, or for all of a folder."""
    for stem in ("model", "adapter_model"):
        pickled = part / f"{'pytorch_' if stem == 'model' else ''}{stem}.bin"
        sharded = pickled.with_name(pickled.name + ".index.json")
        if (pickled.is_file() or sharded.is_file()) and not any(part.glob(f"{stem}*.safetensors")):
            raise _wrong_format(pickled if pickled.is_file() else sharded, folder)
    if not any(part.glob("*.safetensors")):
        others = [path for path in sorted(part.glob("*")) if path.suffix in _OTHER_FORMATS]
        if others:
            raise _wrong_format(others[0], folder)


def _wrong_format(path: Path, folder: Path) -> UserError:
    if (folder / MODULES).is_file():
        load = f"sentence_transformers; sentence_transformers.SentenceTransformer('{folder}')"
    else:
        names = read_settings(folder / "config.json").get("architectures")
        architecture = names[0] if isinstance(names, list) and names else "AutoModel"
        load = f"transformers; transformers.{architecture}.from_pretrained('{folder}')"
    return UserError(
        f"{path}: only weights in safetensors are read; if you trust this file, convert it once: "
        f"python -c \"import {load}.save_pretrained('{folder.name}-safetensors')\""
    )


def _check_index(index: Path) -> None:
    shards = read_settings(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise UserError(f"{index}: has no weight_map of file names; download the model again")
    for name in sorted(set(shards.values())):
        if not (index.parent / name).is_file():
            raise UserError(
                f"{index.parent / name}: missing, {index.name} lists it; download the model again"
            )


def _check_safetensors(path: Path) -> None:
    try:
        with safe_open(path, framework="numpy"):
            return
    except (SafetensorError, OSError) as error:
        with open(path, "rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise UserError(
                    f"{path}: a Git LFS pointer, not the weights; run git lfs pull there"
                ) from None
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: truncated or damaged ({reason}); copy or download it again") from error
