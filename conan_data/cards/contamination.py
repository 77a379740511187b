"""What a card says of evaluation sets whose texts were looked for, from the manifest of `conan-data decontaminate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conan_data.artifact import open_artifact
from conan_data.cards.facts import ordered
from conan_data.cards.markdown import Table
from conan_data.errors import UserError
from conan_data.manifest import Manifest

PAGE = "CONTAMINATION.md"


@dataclass(frozen=True)
class Contamination:
    """The outcome of one check."""

    headline: str
    evaluations: Table
    page: str = ""
    """The page with all of it, where it lies beside the card."""


def contamination_of(manifest: Manifest, other: str = "") -> Contamination | None:
    """Return what the manifest, or that of the artifact `other`, says; None where nobody looked.

    Raises `UserError` where `other` is not an output of decontaminate.
    """
    if other:
        manifest = open_artifact(other).manifest
        if "contamination" not in manifest["extra"]:
            raise UserError(f"contamination: {other}: is not an output of conan-data decontaminate")
    numbers = manifest["extra"].get("contamination")
    if not isinstance(numbers, Mapping):
        return None
    rows = [
        (each["name"], _counts(each["texts"]), _counts(each["found"]), each["leaks_left"])
        for each in numbers["evaluations"]
    ]
    has_page = not other and any(entry["path"] == PAGE for entry in manifest["files"])
    table = Table(("evaluation set", "its texts", "of which found", "leaks that stay"), rows)
    return Contamination(str(numbers["headline"]), table, PAGE if has_page else "")


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in ordered(counts)) or "none"
