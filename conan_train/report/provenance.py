"""Where everything came from: the command, config, inputs, code and library versions behind each artifact,
from its manifest alone.
"""

import json
from collections.abc import Sequence
from typing import Any

from conan_data.artifact import Artifact
from conan_train.report.artifacts import names


def provenance(artifacts: Sequence[Artifact]) -> list[dict[str, Any]]:
    """One record an artifact, in order."""
    called = names(artifacts)
    return [
        {
            "name": called[item.dir],
            "kind": item.manifest["kind"],
            "command": item.manifest["command"],
            "commit": item.manifest["commit"],
            "manifest_hash": item.manifest_hash,
            "rows": item.manifest["rows"],
            "bytes": sum(entry["bytes"] for entry in item.manifest["files"]),
            "inputs": [_input(entry) for entry in item.manifest["inputs"]],
            "config": json.dumps(item.manifest["config"], indent=1, ensure_ascii=False),
        }
        for item in artifacts
    ]


def versions(artifacts: Sequence[Artifact]) -> list[tuple[str, str]]:
    """(package, version), with all versions where artifacts were made with different ones."""
    found: dict[str, list[str]] = {}
    for item in artifacts:
        for package, version in item.manifest["versions"].items():
            known = found.setdefault(package, [])
            if version not in known:
                known.append(version)
    return [(package, ", ".join(known)) for package, known in sorted(found.items())]


def _input(entry: dict[str, Any]) -> tuple[str, str]:
    """(path, what identifies its content, shortened)."""
    digest = entry.get("manifest_sha256") or entry.get("sha256")
    return entry["path"], digest[
        :12
    ] if digest else f"{len(entry['files'])} files" if "files" in entry else "on the Hub"
