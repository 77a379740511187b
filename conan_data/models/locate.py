"""Find the model that a path or a Hub name stands for. Every command that takes a model starts here.

A model that was changed after it was published gives other vectors under the same name, so an artifact is
compared with its manifest whether it is named itself (`runs/embedder`) or by a folder inside of it
(`runs/embedder/model`); a checkpoint of a run (`runs/embedder@1500`) is compared with its own hashes. A name on the Hub
is resolved to a commit first, and the commit is what the manifest records: the same name may be other weights
tomorrow. The weight files are checked in every case (see `files`).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conan_data import artifact, checkpoint_names, hub
from conan_data.errors import UserError
from conan_data.manifest import MANIFEST
from conan_data.models.files import check_files

LANGUAGE_MODEL, EMBEDDER, EXPORTED, OTHER = "language-model", "embedder", "sentence-transformers", "other"
"""Kinds of models: three kinds of artifacts, and whatever no stage of this project published."""
KINDS = (LANGUAGE_MODEL, EMBEDDER, EXPORTED)
MODEL_FOLDER = "model"
"""Folder of an artifact that holds its model; an exported artifact is a model folder itself."""


@dataclass(frozen=True)
class Model:
    """A model as the user named it, its kind, and the local folder with its files."""

    name: str
    kind: str
    folder: Path


def find_model(name: str | Path, *, field: str = "model") -> Model:
    """Return the model that `name` stands for, downloaded if it is on the Hub, verified and with checked files.

    Raises `UserError` for a missing or unfinished directory, an artifact that holds no model or was changed, a
    folder without a model, and files that are truncated or not safetensors; the message names `field`.
    """
    with _named(field):
        if (checkpoint := checkpoint_names.parse(name)) is not None:
            return _checkpoint(checkpoint)
        on_hub = hub_model(name)
        found = Model(str(name), OTHER, hub.HUB.model(on_hub)) if on_hub else _local_model(Path(name))
        check_files(found.folder)
        return found


def model_input(name: str | Path, *, field: str = "model") -> str | Path:
    """Return what a manifest names as the input: a Hub name at its commit, or the path as it is."""
    with _named(field):
        on_hub = hub_model(name) if checkpoint_names.parse(name) is None else None
        return str(hub.HUB.pin(on_hub)) if on_hub else name


def hub_model(name: str | Path) -> hub.HubName | None:
    """Return the Hub name in `name`, or None for a local directory. Raises `UserError` for what is neither."""
    local = Path(name)
    if local.is_dir():
        return None
    if local.exists():
        raise UserError(f"{name} is a file; give the folder of a model")
    unfinished = artifact.partial_path(local) if local.name else local
    if unfinished.exists():
        raise UserError(f"{name}: no such directory; {unfinished.name} is unfinished: run its command again")
    found = hub.parse_model(name) if isinstance(name, str) and not local.parent.is_dir() else None
    if found is None:
        raise UserError(f"{name}: no such directory, and not a name on the Hub (owner/name)")
    return found


@contextmanager
def _named(field: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{field}: {error}") from error


def _checkpoint(name: checkpoint_names.CheckpointName) -> Model:
    from conan_data.models import checkpoint  # Loads torch.

    kind = checkpoint.job_of(name)["kind"]
    if kind not in KINDS:
        raise UserError(f"{name.run} holds a {kind}, not a model ({', '.join(KINDS)})")
    return Model(f"{name.run}@{name.step}", kind, checkpoint.model_folder(name))


def _local_model(path: Path) -> Model:
    directory = _enclosing_artifact(path)
    if directory is None:
        return Model(str(path), OTHER, _with_config(path))
    kind = artifact.open_artifact(directory).manifest["kind"]
    if kind not in KINDS:
        raise UserError(f"{path} holds a {kind}, not a model ({', '.join(KINDS)})")
    folder = directory if kind == EXPORTED else directory / MODEL_FOLDER
    if path.resolve() not in (directory.resolve(), folder.resolve()):
        folder, kind = path, OTHER
    return Model(str(path), kind, _with_config(folder))


def _enclosing_artifact(path: Path) -> Path | None:
    """Return `path`, or the nearest directory above it, that is an artifact which lists files below `path`."""
    if artifact.is_artifact(path):
        return path
    real = path.resolve()
    for directory in real.parents:
        if artifact.is_artifact(directory) and _lists(directory, real.relative_to(directory).as_posix()):
            return directory
    return None


def _lists(directory: Path, part: str) -> bool:
    """Whether the manifest of `directory` has files below `part`; a manifest.json of something else has not."""
    try:
        entries = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["files"]
        return any(entry["path"].startswith(part + "/") for entry in entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _with_config(folder: Path) -> Path:
    if not any((folder / name).is_file() for name in ("config.json", "modules.json", "conan.json")):
        raise UserError(
            f"{folder} has no config.json, modules.json or conan.json; give the folder of a saved model"
        )
    return folder
