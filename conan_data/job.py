"""A job: a command, the identity of its config and the content of its inputs. Where it runs, how many workers
it has and when it ran are not part of it, so that the same job has the same manifest, byte for byte.
"""

import hashlib
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from conan_data import checkpoint_files, checkpoint_names, hub
from conan_data.config import StageConfig, identity
from conan_data.errors import UserError
from conan_data.files import hash_file
from conan_data.inputs import named_sources
from conan_data.manifest import MANIFEST, SCHEMA_VERSION, Job, is_artifact, list_files
from conan_data.public_names import published_name, published_value
from conan_data.retrieval_files import folder_and_config
from conan_data.sealed import canonical_json

PACKAGES = (
    "conan-embed",
    "datasets",
    "datatrove",
    "fasttext-numpy2",
    "numpy",
    "polars",
    "py3langid",
    "pyarrow",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
)


def describe_job(config: StageConfig, *, kind: str, command: str, inputs: Iterable[str | Path]) -> Job:
    """The head of a manifest: what is made of what by which code, and `job_hash`, the same for the same job."""
    named = named_sources(config)
    job = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "config": identity(config, published_value),
        "inputs": [describe_input(path, below=named) for path in inputs],
    }
    header = {**job, "versions": _versions(), "commit": _commit(), "job_hash": _hash_json(job)}
    return cast(Job, header)


def with_history(header: Job, history: Sequence[Mapping[str, Any]]) -> Job:
    """Return the job of a run that was extended: `history` has an entry for each time, with the `step` that it went on
    from and the `job_hash` of the run before (see `extension`).
    """
    if not history:
        return header
    extended = {**header, "extended_from": [dict(entry) for entry in history]}
    hashed = ("kind", "schema_version", "command", "config", "inputs", "extended_from")
    return cast(Job, {**extended, "job_hash": _hash_json({name: extended[name] for name in hashed})})


def describe_input(path: str | Path, below: Iterable[str | Path] = ()) -> dict[str, Any]:
    """What identifies an input: the manifest's hash of an artifact, the hashes of other files, the commit of a
    data set on the Hub (`hf://datasets/owner/name@commit`, or a file of it in the cache), the name of a model
    there, the settings and weights of a checkpoint of a training. Its path is the published one, below what the user named.
    """
    local = Path(path)
    if pinned := hub.describe(path):
        return pinned
    if (checkpoint := checkpoint_names.parse(path)) is not None:
        return checkpoint_files.describe(checkpoint)
    if is_artifact(local):
        return {"path": published_name(path, below), "manifest_sha256": hash_file(local / MANIFEST)}
    if local.is_dir():
        return {"path": published_name(path, below), "files": list_files(local)}
    if local.is_file():
        return {
            "path": published_name(path, below),
            "bytes": local.stat().st_size,
            "sha256": hash_file(local),
        }
    if hub.is_name(str(path)):
        return {"path": str(path)}
    folder, config = folder_and_config(path)
    if config:
        return {"path": published_name(path, below), "config": config, "files": list_files(folder)}
    raise UserError(f"{path}: no such file or directory")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Where two jobs differ, in a few words."""
    if (old["kind"], old["command"]) != (new["kind"], new["command"]):
        return f"{old['command']} made it"
    before, after = _flatten(old["config"]), _flatten(new["config"])
    keys = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    changed = [f"{key} {_short(before.get(key))} -> {_short(after.get(key))}" for key in keys]
    if not changed:
        changed = [
            f"input {entry['path']} has changed" for entry in new["inputs"] if entry not in old["inputs"]
        ]
    return ", ".join(changed[:3]) or "its inputs have changed"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _flatten(value: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    return {
        key: leaf
        for name, item in value.items()
        for key, leaf in _flatten(item, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _hash_json(value: object) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _commit() -> str | None:
    """The commit of the checkout that this code runs from; None where it was installed as a package."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    result = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else None
