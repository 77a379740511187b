"""The sources of an artifact, as its manifest has them: where they are from, at which revision, under which licence."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conan_data import hub
from conan_data.cards.licenses import UNKNOWN, License, conflicts, read_license
from conan_data.errors import UserError
from conan_data.manifest import Manifest
from conan_data.public_names import SAMPLE

_KNOWN = {SAMPLE: "cc0-1.0"}
"""Licences of what comes with the package."""


@dataclass(frozen=True)
class Source:
    """Inputs of one name: a data set on the Hub, an artifact, a folder or a file."""

    name: str
    revision: str
    """Commit on the Hub, or the beginning of a SHA-256 of its content."""
    num_files: int
    license: License | None

    @property
    def conditions(self) -> str | None:
        """What its licence asks, in words."""
        if self.license is None or self.license.conditions is None:
            return None
        return "; ".join(self.license.conditions) or "none"


def sources_of(manifest: Manifest, licenses: Mapping[str, str]) -> list[Source]:
    """Return the sources, in the order of their names; `licenses` names the licence of some. What a set was only compared
    with (`conan-data decontaminate --against`) is none.

    Raises `UserError` for a licence of a source that is not there.
    """
    compared = {_name(_entry(name)) for name in manifest["config"].get("against", ())}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for entry in manifest["inputs"]:
        if _name(entry) not in compared:
            groups.setdefault(_name(entry), []).append(entry)
    if unknown := sorted(licenses.keys() - groups.keys()):
        raise UserError(
            f"source_licenses: no source is called {unknown[0]!r}; the sources are {', '.join(sorted(groups)) or 'none'}"
        )
    known = {**_KNOWN, **_stated(manifest), **licenses}
    return [
        Source(name, _revision(entries), sum(map(_num_files, entries)), _license(known.get(name, "")))
        for name, entries in sorted(groups.items())
    ]


def source_issues(sources: Sequence[Source], own: License | None) -> list[str]:
    """Return sentences about licences that are not stated, or that the licence of the whole does not keep."""
    found = [] if own else ["No licence is stated for the whole."]
    unstated = [source.name for source in sources if source.license is None]
    if unstated:
        found.append(f"No licence is stated for: {', '.join(unstated)}.")
    unknown = [source.name for source in sources if source.license and source.license.identifier == UNKNOWN]
    if unknown:
        found.append(f"The licence is unknown of: {', '.join(unknown)}.")
    if own:
        found += conflicts(own, {source.name: source.license for source in sources if source.license})
    return found


def hub_names(manifest: Manifest) -> list[str]:
    """Return the data sets on the Hub that an artifact was made of."""
    return sorted({entry["repository"] for entry in manifest["inputs"] if "repository" in entry})


def _name(entry: Mapping[str, Any]) -> str:
    if "repository" in entry:
        return str(entry["repository"])
    first = str(entry["path"]).replace("\\", "/").strip("/").partition("/")[0]
    return SAMPLE if first.startswith(f"{SAMPLE}:") else first or str(entry["path"])


def _revision(entries: Sequence[Mapping[str, Any]]) -> str:
    if revision := entries[0].get("revision"):
        return str(revision)
    hashes = sorted(_hash(entry) for entry in entries)
    return hashes[0][:12] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:12]


def _hash(entry: Mapping[str, Any]) -> str:
    if "files" in entry:
        return hashlib.sha256(" ".join(file["sha256"] for file in entry["files"]).encode()).hexdigest()
    return str(entry.get("manifest_sha256") or entry.get("sha256") or entry["path"])


def _num_files(entry: Mapping[str, Any]) -> int:
    return len(entry.get("files", ())) or 1


def _stated(manifest: Manifest) -> dict[str, str]:
    """Licences that the recipe states with the sets, by the names of their inputs."""
    described = manifest["extra"].get("sources", {})
    return {
        _name(_entry(each["data"])): each["license"] for each in described.values() if each.get("license")
    }


def _entry(name: str) -> dict[str, str]:
    """An input as `describe_input` describes it, as far as its name goes."""
    return hub.describe(name) or {"path": name}


def _license(text: str) -> License | None:
    return read_license(text, link="") if text else None
