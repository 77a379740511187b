"""What a path may be: a file, a folder, a glob, one of our artifacts, or the name `sample` for the texts that
come with the package.
"""

import glob
from pathlib import Path
from typing import Literal

from conan_data import artifact
from conan_data.errors import UserError

SAMPLE = "sample"
SAMPLE_DIR = Path(__file__).parent / "sample"
SUFFIXES = (
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".ndjson",
    ".ndjson.gz",
    ".ndjson.zst",
    ".parquet",
    ".csv",
    ".csv.gz",
    ".tsv",
    ".tsv.gz",
)
"""Endings of the files that are read as tables; whatever else lies in a folder is not data."""


def resolve(path: str | Path, kind: Literal["documents", "retrieval"]) -> str:
    """`path`, with the name `sample` replaced by where the package keeps it in the form that is asked for."""
    if str(path) == SAMPLE and not Path(SAMPLE).exists():
        return str(SAMPLE_DIR / ("crawl" if kind == "documents" else "retrieval"))
    return str(path)


def public_name(file: str) -> str:
    """`file` as it is named in what we publish: a file of the package by its place there, since where a package
    lies is nobody else's business.
    """
    path = Path(file)
    return f"{SAMPLE}:{path.relative_to(SAMPLE_DIR).as_posix()}" if path.is_relative_to(SAMPLE_DIR) else file


def expand(inputs: tuple[str, ...] | list[str]) -> list[Path]:
    """The files behind paths, folders, globs and `sample`, each once, sorted.

    A folder gives the files in it that end in one of `SUFFIXES`; a corpus artifact gives its documents.
    Raises `UserError` for an input that matches nothing.
    """
    files: set[Path] = set()
    for name in inputs:
        found = _expand_one(resolve(name, "documents"))
        if not found:
            raise UserError(f"{name}: no data file there (readable: {', '.join(SUFFIXES)})")
        files.update(found)
    return sorted(files)


def _expand_one(name: str) -> list[Path]:
    path = Path(name)
    if artifact.is_artifact(path):
        opened = artifact.open_artifact(path, kind="corpus")
        return [file for file in opened.files(".parquet") if file.is_relative_to(path / "data")]
    if path.is_file():
        if not name.endswith(SUFFIXES):
            raise UserError(f"{name}: not a readable kind of file (readable: {', '.join(SUFFIXES)})")
        return [path]
    if path.is_dir():
        return [
            file
            for file in path.rglob("*")
            if file.is_file() and file.name.endswith(SUFFIXES) and not file.name.startswith(".")
        ]
    if glob.has_magic(name):
        return [Path(match) for match in glob.glob(name, recursive=True) if match.endswith(SUFFIXES)]
    raise UserError(f"{name}: no such file or directory")
