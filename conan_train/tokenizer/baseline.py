"""The tokenizer that ours is measured against: any that has a `tokenizer.json`."""

from pathlib import Path

from conan_data import artifact, hub
from conan_data.corpus.tokenizer import FILE
from conan_data.errors import UserError


def baseline_file(name: str) -> Path:
    """Its `tokenizer.json`: the file itself, of a folder, of one of our artifacts, or of a model on the Hub
    (`owner/name[@revision]`), downloaded.

    Raises `UserError` where there is none.
    """
    local = Path(name)
    if local.is_file():
        return local
    if artifact.is_artifact(local):
        opened = artifact.open_artifact(local)
        folder = opened.dir if opened.manifest["kind"] == "tokenizer" else opened.dir / "model"
    elif local.is_dir():
        folder = local
    elif (on_hub := hub.parse_model(name)) and not local.parent.is_dir():
        return hub.HUB.model_file(on_hub, FILE)
    else:
        raise UserError(
            f"baseline: {name}: no such file or directory, and not a name on the Hub (owner/name)"
        )
    if not (folder / FILE).is_file():
        raise UserError(f"baseline: {folder}: no {FILE} there; save it as a fast tokenizer")
    return folder / FILE
