"""Data sets on the Hub: `hf://owner/name[@revision][/config][:split]`, or `hf://owner/name[@revision]:data/*.parquet`;
and models: `owner/name[@revision]`, where a model is asked for.

A name is resolved to a commit before any work, and the commit goes into the manifest: a branch that moved
later is another input. The files of that commit lie in the Hub's own cache, where this module gives them
back their names on the Hub, so that nothing that is written depends on where the cache is. Without a network,
what was downloaded before is used, if it is whole.

Which files are the ones of a config and split is for the data set's card and the conventions of `datasets`
to say; the rows are read by our own readers, so that a broken one costs itself alone.
"""

import glob
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from conan_data.errors import UserError
from conan_data.hub_names import PREFIX as PREFIX
from conan_data.hub_names import HubName, is_name
from conan_data.hub_names import parse as parse
from conan_data.hub_names import parse_model as parse_model

_PINNED = re.compile(r"hf://(?:datasets|models)/([\w.-]+/[\w.-]+)@([0-9a-f]{40})(?:/([^:]+))?(?::(.+))?")
_CACHED = re.compile(r".*/(datasets|models)--([\w.-]+?)--([\w.-]+)/snapshots/([0-9a-f]{40})(?:/(.+))?")
_SHA = re.compile(r"[0-9a-f]{40}")
_CARD = "README.md"
_SMALL = (_CARD, ".gitattributes")
"""What is fetched to learn the commit and its files; of these one is in every data set."""
_WORDS = {"dataset": "data set", "model": "model"}
_MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", *_SMALL)
_MODEL_COPIES = ("*/*", "consolidated*")
"""The same weights in other formats, and parts of other libraries, which `transformers` does not read."""
_MODULE_FILES = ("*.json", "*.safetensors", "*.txt")


def cached_name(path: str | Path) -> str:
    """The name on the Hub of a file, or of a whole commit, that lies in its cache; "" for any other path."""
    match = _CACHED.fullmatch(str(path))
    if match is None:
        return ""
    kind, owner, name, revision, rest = match.groups()
    return f"{PREFIX}{kind}/{owner}/{name}@{revision}" + (f"/{rest}" if rest else "")


def path_in_repository(path: str | Path) -> str:
    """The repository of a file that lies in the Hub's cache, and its path there, without the commit; "" for any other
    path.
    """
    match = _CACHED.fullmatch(str(path))
    if match is None or not match.group(5):
        return ""
    _, owner, name, _, rest = match.groups()
    return f"{owner}/{name}/{rest}"


def describe(path: str | Path) -> dict[str, Any] | None:
    """What identifies a pinned data set or model, or a file of one; None for anything else."""
    text = str(path) if is_name(path) else cached_name(path)
    match = _PINNED.fullmatch(text)
    if match is None:
        return None
    repository, revision, config, selection = match.groups()
    parts = {"repository": repository, "revision": revision, "part": config, "selection": selection}
    return {"path": text, **{key: value for key, value in parts.items() if value}}


@dataclass(frozen=True, slots=True)
class Hub:
    """Where data sets come from and are kept; None: what the Hub's own library is set to."""

    endpoint: str | None = None
    cache_dir: Path | None = None

    def pin(self, name: HubName) -> HubName:
        """`name` at the commit that its revision is now.

        Raises `UserError` for a data set, model or revision that is not there, and without a network.
        """
        if name.revision and _SHA.fullmatch(name.revision):
            return name
        return replace(name, revision=_download(self, name, _SMALL).name)

    def files(self, name: HubName, endings: tuple[str, ...]) -> list[Path]:
        """The files of a pinned name, downloaded, in the order of their names.

        Raises `UserError` for a split that is not there, or whose files do not all end in one of `endings`.
        """
        pinned = self.pin(name)
        if pinned.is_pattern:
            listed = [path for path in self.listing(pinned) if fnmatch(path, pinned.selection)]
            return self.fetch(pinned, [path for path in listed if path.lower().endswith(endings)])
        splits = self.splits(pinned)
        if pinned.selection and pinned.selection not in splits:
            raise UserError(
                f"{name}: has no split {pinned.selection!r}; it has {', '.join(sorted(splits)) or 'none'}"
            )
        chosen = [splits[pinned.selection]] if pinned.selection else splits.values()
        wanted = sorted({path for paths in chosen for path in paths})
        for path in wanted:
            if not path.lower().endswith(endings):
                raise UserError(f"{name}: {path} is not a readable kind of file; choose files by a pattern")
        return self.fetch(pinned, wanted)

    def splits(self, name: HubName) -> dict[str, list[str]]:
        """The paths in a pinned data set of a config's files, by split."""
        with self.tree(name) as folder:
            found = config_files(folder, name.config, shown=str(name))
            return {
                split: [path.relative_to(folder).as_posix() for path in paths]
                for split, paths in found.items()
            }

    @contextmanager
    def tree(self, name: HubName) -> Iterator[Path]:
        """A folder with the card of a pinned data set, and an empty file for each other file: which one belongs
        where follows from the card and the names alone.
        """
        card = _download(self, name, _SMALL) / _CARD
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made).resolve()
            for path in self.listing(name):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).touch()
            if card.is_file():
                (folder / _CARD).write_bytes(card.read_bytes())
            yield folder

    def model(self, name: HubName) -> Path:
        """Return the folder with the weights, config and tokenizer of a model, downloaded, and with the modules of
        a sentence-transformers model; formats other than safetensors are left out.

        Raises `UserError` for a model that is not there, or has no such weights.
        """
        pinned = self.pin(name)
        folder = _download(self, pinned, _MODEL_FILES, _MODEL_COPIES)
        modules = _module_paths(folder)
        if modules:
            patterns = [f"{glob.escape(path)}/{files}" for path in modules for files in _MODULE_FILES]
            _download(self, pinned, tuple(patterns))
        elif not (folder / "config.json").is_file():
            raise UserError(f"{pinned}: has no config.json; choose a model in the form of transformers")
        if not any(True for part in ("", *modules) for _ in (folder / part).glob("*.safetensors")):
            raise UserError(
                f"{pinned}: has no weights as safetensors, and nothing else is read; its page on the Hub may offer a conversion (refs/pr)"
            )
        return folder

    def model_file(self, name: HubName, path: str) -> Path:
        """One file of a model, downloaded. Raises `UserError` where the model has none of that name."""
        pinned = self.pin(name)
        file = _download(self, pinned, (glob.escape(path), *_SMALL)) / path
        if not file.is_file():
            raise UserError(f"{pinned}: has no {path}")
        return file

    def fetch(self, name: HubName, paths: list[str]) -> list[Path]:
        """Downloads files of a pinned data set, given by their paths in it."""
        if not paths:
            return []
        folder = _download(self, name, tuple(glob.escape(path) for path in paths))
        return [folder / path for path in paths]

    def listing(self, name: HubName) -> list[str]:
        """The paths of all files of a pinned data set."""
        from huggingface_hub import get_cached_repo_tree

        _download(self, name, _SMALL)
        tree = get_cached_repo_tree(
            name.repository, repo_type="dataset", revision=name.revision, cache_dir=self.cache_dir
        )
        return sorted(file.path for file in tree)


HUB = Hub()


def config_files(folder: Path, config: str, *, shown: str) -> dict[str, list[Path]]:
    """The files of a config by split, as the card of a folder and the conventions of `datasets` have it.

    Raises `UserError` (about `shown`) when there is no such config, or nothing that can be read.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    root = folder.resolve()
    with tempfile.TemporaryDirectory() as cache_dir:
        try:
            builder = datasets.load_dataset_builder(str(root), config or None, cache_dir=cache_dir)
        except (ValueError, FileNotFoundError, DatasetsError) as error:
            raise UserError(f"{shown}: {str(error).replace(str(root), shown)}") from error
    found = builder.config.data_files or {}
    return {str(split): [Path(path) for path in paths] for split, paths in found.items()}


def config_names(folder: Path) -> list[str]:
    """The configs that the card of a folder names."""
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        return list(datasets.get_dataset_config_names(str(folder.resolve())))
    except (ValueError, FileNotFoundError, DatasetsError):
        return []


def _module_paths(folder: Path) -> list[str]:
    """Return the folders, relative to `folder`, of a sentence-transformers model's modules; what is wrong with
    the list is for the check of the downloaded model to say.
    """
    try:
        entries = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        return [entry["path"] for entry in entries if entry["path"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


@cache
def _download(hub: Hub, name: HubName, patterns: tuple[str, ...], without: tuple[str, ...] = ()) -> Path:
    """The folder of the commit, with the files that match. Messages name the repository, never a token."""
    import httpx2
    from huggingface_hub import errors, snapshot_download

    kind = _WORDS[name.repo_type]
    prefix = PREFIX if name.repo_type == "dataset" else ""
    what = f"{prefix}{name.repository}" + (f"@{name.revision}" if name.revision else "")
    try:
        folder = snapshot_download(
            name.repository,
            repo_type=name.repo_type,
            revision=name.revision,
            cache_dir=hub.cache_dir,
            endpoint=hub.endpoint,
            allow_patterns=list(patterns),
            ignore_patterns=list(without),
        )
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{what}: the {kind} has no such revision") from error
    except errors.GatedRepoError as error:
        raise UserError(
            f"{what}: ask for access on its page on the Hub, and log in: hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{what}: no such {kind} on the Hub; a private one needs a login: hf auth login"
        ) from error
    except errors.HFValidationError as error:
        raise UserError(f"{what}: not a name of a {kind} (owner/name)") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, httpx2.TransportError) as error:
        here = "no such directory here, and " if name.repo_type == "model" else ""
        raise UserError(
            f"{what}: {here}the Hub cannot be reached, nor was it downloaded whole before; give a local folder"
        ) from error
    except errors.HfHubHTTPError as error:
        raise UserError(f"{what}: the Hub answers with an error ({error.response.status_code})") from error
    return Path(folder)
