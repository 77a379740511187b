"""Where a model lies that was named by a path or by its name on the Hub."""

import re
from pathlib import Path

from conan_data import artifact
from conan_data.errors import UserError

KINDS = ("language-model", "embedder")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


def model_folder(path: str | Path) -> str | Path:
    """The folder that `transformers` loads: `model/` of one of our artifacts, a plain model folder itself, a
    Hub name unchanged.

    Raises `UserError` for anything else: a missing or unfinished directory, an artifact of another kind, a
    folder without a model.
    """
    local = Path(path)
    if artifact.is_artifact(local):
        opened = artifact.open_artifact(local)
        kind = opened.manifest["kind"]
        if kind not in KINDS:
            raise UserError(f"{path}: holds a {kind}, not a model ({' or '.join(KINDS)})")
        return _checked(opened.dir / "model")
    if local.is_dir():
        return _checked(local)
    if local.exists():
        raise UserError(f"{path}: is a file; give the folder of a model")
    unfinished = local.with_name(local.name + ".partial")
    if unfinished.exists():
        raise UserError(f"{path}: no such directory; {unfinished.name} is unfinished: run its command again")
    if isinstance(path, str) and _HUB_NAME.fullmatch(path) and not local.parent.is_dir():
        return path
    raise UserError(f"{path}: no such directory, and not a name on the Hub (owner/name)")


def _checked(folder: Path) -> Path:
    if not ((folder / "config.json").is_file() or (folder / "modules.json").is_file()):
        raise UserError(f"{folder}: no config.json there; give the folder of a model saved by transformers")
    return folder
