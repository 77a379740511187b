"""What a path may be: a file, a folder, a glob, one of our artifacts, a data set on the Hub, or the name `sample`
for the texts that come with the package.
"""

import glob
import logging
from itertools import takewhile
from pathlib import Path
from typing import Literal

from conan_data import artifact, hub
from conan_data.errors import UserError
from conan_data.public_names import SAMPLE, SAMPLE_DIR, published_name
from conan_data.readers import is_dataset_folder
from conan_data.readers.json_array import holds_json
from conan_data.readers.streams import PACKED

log = logging.getLogger(__name__)

_PLAIN = (".jsonl", ".ndjson", ".csv", ".tsv", ".html", ".htm", ".warc", ".wet")
SUFFIXES = (".parquet", *_PLAIN, *(kind + ending for kind in _PLAIN for ending in PACKED))
"""Endings of the files that are read; whatever else lies in a folder is not data."""
_JSON = (".json", *(f".json{ending}" for ending in PACKED))
"""Read where a file is named itself; in folders such files are mostly settings."""
READABLE = "JSON lines, JSON arrays, CSV, TSV, HTML, WARC, WET (each also .gz, .zst, .bz2, .xz), Parquet"
_WITH_ROWS = ("corpus", "pairs")
"""Kinds of artifacts whose rows lie in the Parquet files below `data`."""
_SCRATCH = "_temporary"
"""Where Hadoop and Spark keep what is not finished."""


def resolve(path: str | Path, kind: Literal["documents", "retrieval"]) -> str:
    """`path`, with the name `sample` replaced by where the package keeps it in the form that is asked for, and a
    name on the Hub by the same one at the commit that it is now.
    """
    if str(path) == SAMPLE and not Path(SAMPLE).exists():
        return str(SAMPLE_DIR / ("crawl" if kind == "documents" else "retrieval"))
    if hub.is_name(path):
        return str(hub.HUB.pin(hub.parse(str(path))))
    return str(path)


def expand(inputs: tuple[str, ...] | list[str], *, also: tuple[str, ...] = ()) -> list[Path]:
    """Return the files behind paths, folders, globs, names on the Hub and `sample`, each once, sorted by their
    published names, so that the order is the same wherever they lie.

    A folder gives the files in it that end in one of `SUFFIXES` or of `also`, or itself where `datasets.save_to_disk` wrote
    it; a corpus artifact gives its documents, one of pairs its pairs. Raises `UserError` for an input that matches nothing.
    """
    return list(expand_named(inputs, also=also))


def expand_named(inputs: tuple[str, ...] | list[str], *, also: tuple[str, ...] = ()) -> dict[Path, str]:
    """Return the files of `expand`, in its order, with the path of each below its input.

    That path does not change when the input is moved or when others are added after it: of a file that several inputs
    give, it is the path below the first of them. A file that is an input itself has its name; a file of the Hub,
    `owner/name/` and its path in the data set.
    """
    files: dict[Path, str] = {}
    for name in inputs:
        resolved = resolve(name, "documents")
        found = _expand_one(resolved, SUFFIXES + also)
        if not found:
            raise UserError(f"{name}: no data file there (readable: {READABLE})")
        for path in sorted(found):
            files.setdefault(path, _below(path, resolved))
    return {path: files[path] for path in sorted(files, key=lambda path: Path(published_name(path, inputs)))}


def _below(path: Path, name: str) -> str:
    """The path of a file below the input `name` that gave it."""
    if hub.is_name(name):
        return hub.path_in_repository(path) or path.name
    root = Path(name)
    if glob.has_magic(name) and not root.exists():
        root = Path(*takewhile(lambda part: not glob.has_magic(part), root.parts))
    return path.name if path == root else path.relative_to(root).as_posix()


def _expand_one(name: str, suffixes: tuple[str, ...]) -> list[Path]:
    if hub.is_name(name):
        return hub.HUB.files(hub.parse(name), (*suffixes, ".json"))
    path = Path(name)
    if artifact.is_artifact(path):
        opened = artifact.open_artifact(path)
        found = [
            file
            for file in opened.files("")
            if file.is_relative_to(path / "data") and _is_data(file, suffixes)
        ]
        if not found and opened.manifest["kind"] not in _WITH_ROWS:
            raise UserError(f"{name}: holds a {opened.manifest['kind']}, not a {' or '.join(_WITH_ROWS)}")
        return found
    if path.is_file():
        if not _is_data(path, suffixes) and not (_is_data(path, _JSON) and holds_json(str(path))):
            raise UserError(f"{name}: not a readable kind of file (readable: {READABLE})")
        return [path]
    if path.is_dir():
        return [path] if is_dataset_folder(path) else _data_files(path, suffixes)
    if glob.has_magic(name):
        matches = [Path(match) for match in glob.glob(name, recursive=True)]
        # Spark calls a folder of Parquet files like a file.
        return [
            file
            for path in matches
            if _is_data(path, suffixes) and _SCRATCH not in path.parts
            for file in (_data_files(path, suffixes) if path.is_dir() else [path])
        ]
    raise UserError(f"{name}: no such file or directory")


def _data_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The data files of a folder; how many others there are is logged."""
    found: list[Path] = []
    others: list[str] = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == _SCRATCH for part in parts) or not path.is_file():
            continue
        if _is_data(path, suffixes):
            found.append(path)
        else:
            others.append("/".join(parts))
    if others:
        log.info("%s: %d files are no data and are not read (%s)", folder, len(others), min(others))
    return found


def _is_data(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes)
