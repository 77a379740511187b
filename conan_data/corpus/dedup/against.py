"""Finds out what the sets of `dedup.against` are, and makes the signatures of those that bring none."""

import logging
from pathlib import Path

from conan_data import artifact, sources
from conan_data.corpus.dedup.config import DedupConfig
from conan_data.corpus.dedup.index import difference, is_index
from conan_data.corpus.dedup.reference import Reference
from conan_data.corpus.parts import missing_parts, part_path
from conan_data.corpus.passes import Runner
from conan_data.corpus.steps.fingerprint import Fingerprint
from conan_data.corpus.steps.reference import ReadReference
from conan_data.corpus.steps.write import WritePart
from conan_data.errors import UserError
from conan_data.public_names import published_value

log = logging.getLogger(__name__)
_PARTS_OF_A_SET = ("corpus", "queries")


def find_references(config: DedupConfig, folder: Path, run: Runner) -> tuple[Reference, ...]:
    """The references of a config, in its order; what must be computed goes to `folder`.

    Raises `UserError` for one that is not there or holds no data.
    """
    found = [(name, *_open(name, config)) for name in config.against]
    files = [file for _, _, unhashed in found for file in unhashed]
    steps = [ReadReference(files), Fingerprint(config), WritePart(folder)]
    if missing := missing_parts(folder, len(files)):
        run(steps, missing, len(files), label="hashing references")
    references, computed = [], 0
    for name, ready, unhashed in found:
        references += ready
        for _ in unhashed:
            references.append(Reference(published_value(name), part_path(folder, "kept", computed), None))
            computed += 1
    return tuple(references)


def inputs(config: DedupConfig) -> list[Path]:
    """What identifies the references of a config, for the manifest."""
    return [Path(sources.resolve(name, "documents")) for name in config.against]


def _open(name: str, config: DedupConfig) -> tuple[list[Reference], list[Path]]:
    """The references that bring hashes, and the files of those that do not."""
    path = Path(sources.resolve(name, "documents"))
    if artifact.is_artifact(path):
        opened = artifact.open_artifact(path)
        if opened.manifest["kind"] == "corpus":
            return _corpus(name, path, config)
    elif is_index(path):
        if changed := difference(path, config):
            raise UserError(
                f"dedup.against: {name} is an index of other settings ({changed}); name its corpus"
            )
        log.info("%s: an index without texts, so only equal texts and addresses are found", name)
        return [
            Reference(published_value(name), file, None, near=False) for file in sorted(path.rglob("*.arrow"))
        ], []
    return [], _set_files(path) or sources.expand((name,))


def _corpus(name: str, path: Path, config: DedupConfig) -> tuple[list[Reference], list[Path]]:
    shards = sorted((path / "data").rglob("*.parquet"))
    index = path / "index"
    changed = difference(index, config) if is_index(index) else "it has no index"
    if changed:
        log.info("%s: its signatures are made again (%s)", name, changed)
        return [], shards
    tables = [index / shard.relative_to(path / "data").with_suffix(".arrow") for shard in shards]
    return [
        Reference(published_value(name), table, shard) for table, shard in zip(tables, shards, strict=True)
    ], []


def _set_files(path: Path) -> list[Path]:
    """The documents and queries of a retrieval set, in the BEIR or the mteb layout; nothing for what is none."""
    if not path.is_dir():
        return []
    found: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.name.endswith(sources.SUFFIXES):
            kind = file.relative_to(path).parts[0].split(".")[0].split("-")[0]
            found.setdefault(kind, []).append(file)
    if not all(kind in found for kind in _PARTS_OF_A_SET):
        return []
    return [file for kind in _PARTS_OF_A_SET for file in found[kind]]
