"""How files are named in what we publish: a file of the package, or of the Hub's cache, by its place there, any other
by its place below the input that the user named. Where these lie on a machine is nobody else's business and must not
change the result.
"""

import glob
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conan_data import checkpoint_names, hub

SAMPLE = "sample"
"""The name of the texts that come with the package."""
SAMPLE_DIR = Path(__file__).parent / "sample"


def public_name(path: str | Path) -> str:
    """`sample:crawl/web-001.jsonl.gz`, `hf://datasets/owner/name@commit/data.parquet`; any other path as it is."""
    if Path(path).is_relative_to(SAMPLE_DIR):
        return f"{SAMPLE}:{Path(path).relative_to(SAMPLE_DIR).as_posix()}"
    return hub.cached_name(path) or str(path)


def published_name(path: str | Path, below: Iterable[str | Path] = ()) -> str:
    """Return the name of a file or folder in what is published, without where it lies on this machine.

    Below a folder of `below` (what the user named) it is that folder's name and the path in it, below a glob the path
    from its first wildcard on; elsewhere the last part of `path`. Files of the package and of the Hub are named as
    by `public_name`.
    """
    if (name := public_name(path)) != str(path) or name.startswith((f"{SAMPLE}:", hub.PREFIX)):
        return name
    for named in below:
        root = Path(_before_wildcard(str(named)) if _is_glob(named) else named)
        if Path(path) != root and Path(path).is_relative_to(root):
            inner = Path(path).relative_to(root).as_posix()
            return inner if _is_glob(named) or root.name in ("", "..") else f"{root.name}/{inner}"
    return Path(path).name or str(path)


def published_value(text: str) -> str:
    """Return the value of a config's field that names an input, as it is published: of a path its name, whatever else
    (`sample`, a name on the Hub, `bm25`) as it is.
    """
    prefix, colon, rest = text.partition(":")
    if colon and prefix.isalpha() and len(prefix) > 1 and not hub.is_name(text):  # fasttext:PATH
        return f"{prefix}:{published_value(rest)}"
    is_path = text and (
        Path(text).is_absolute()
        or text.startswith((".", "~"))
        or _is_glob(text)
        or Path(text).exists()
        or checkpoint_names.parse(text) is not None
    )
    return published_name(text) if is_path and not hub.is_name(text) else text


def published_json(value: Any, below: Iterable[str | Path]) -> Any:
    """Return JSON with all texts and keys that are paths of the inputs `below`, or of files in them, by their published
    names. Keys that would be the same keep as many last parts as tell them apart.
    """
    named = [name for name in below if published_value(str(name)) != str(name) or Path(name).exists()]
    if isinstance(value, str):
        return published_name(value, named) if _is_input(value, named) else value
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for key, item in value.items():
            name = published_json(key, named)
            sizes = iter(range(2, len(Path(str(key)).parts) + 1))
            while name in found:
                name = "/".join(Path(key).parts[-next(sizes) :])
            found[name] = published_json(item, named)
        return found
    if isinstance(value, list | tuple):
        return [published_json(item, named) for item in value]
    return value


def without_paths(value: Any) -> Any:
    """Return JSON in which every text that is a path of this machine, from its root on, is its last part."""
    if isinstance(value, str):
        path = Path(value)
        is_here = path.is_absolute() and "\n" not in value and Path(*path.parts[:2]).is_dir()
        return path.name or value if is_here else value
    if isinstance(value, Mapping):
        return {without_paths(key): without_paths(item) for key, item in value.items()}
    return [without_paths(item) for item in value] if isinstance(value, list) else value


def _is_input(text: str, below: Iterable[str | Path]) -> bool:
    if public_name(text) != text:
        return True
    roots = (_before_wildcard(str(named)) if _is_glob(named) else str(named) for named in below)
    return any(root and Path(text).is_relative_to(root) for root in roots)


def _is_glob(text: str | Path) -> bool:
    return glob.has_magic(str(text)) and not Path(text).exists()


def _before_wildcard(text: str) -> str:
    """The folders of a glob up to its first wildcard."""
    first = min(place for mark in "*?[" if (place := text.find(mark)) >= 0)
    return text[:first].rpartition("/")[0]
