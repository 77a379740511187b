"""Where a model lies that was named by a path or by its name on the Hub.

Any decoder that `transformers` knows can be the base of a training. A name on the Hub is resolved to a commit
first, and the commit is what the manifest records: the same name may be other weights tomorrow.
"""

from pathlib import Path

from conan_data import artifact, hub
from conan_data.errors import UserError

KINDS = ("language-model", "embedder")


def model_folder(path: str | Path) -> Path:
    """The folder that `transformers` loads: `model/` of one of our artifacts, a plain model folder itself, or
    the downloaded files of a name on the Hub (`owner/name[@revision]`).

    Raises `UserError` for anything else: a missing or unfinished directory, an artifact of another kind, a
    folder without a model.
    """
    if name := hub_model(path):
        return hub.HUB.model(name)
    local = Path(path)
    if not artifact.is_artifact(local):
        return _checked(local)
    opened = artifact.open_artifact(local)
    kind = opened.manifest["kind"]
    if kind not in KINDS:
        raise UserError(f"{path}: holds a {kind}, not a model ({' or '.join(KINDS)})")
    return _checked(opened.dir / "model")


def model_input(path: str | Path) -> str | Path:
    """What a manifest names as the input: a name on the Hub at its commit, which `model_folder` takes as
    well; a path as it is.
    """
    name = hub_model(path)
    return str(hub.HUB.pin(name)) if name else path


def hub_model(path: str | Path) -> hub.HubName | None:
    """The model on the Hub that `path` names; None for a path. Raises `UserError` for what is neither there
    nor such a name.
    """
    local = Path(path)
    if local.is_dir():
        return None
    if local.exists():
        raise UserError(f"{path}: is a file; give the folder of a model")
    unfinished = local.with_name(local.name + ".partial")
    if unfinished.exists():
        raise UserError(f"{path}: no such directory; {unfinished.name} is unfinished: run its command again")
    name = hub.parse_model(path) if isinstance(path, str) and not local.parent.is_dir() else None
    if name is None:
        raise UserError(f"{path}: no such directory, and not a name on the Hub (owner/name)")
    return name


def _checked(folder: Path) -> Path:
    if not ((folder / "config.json").is_file() or (folder / "modules.json").is_file()):
        raise UserError(f"{folder}: no config.json there; give the folder of a model saved by transformers")
    return folder
