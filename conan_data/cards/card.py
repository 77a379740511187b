"""The card of an artifact: `README.md` as the Hub, `datasets` and mteb read it, from the manifest alone.

The builders write it into what they build, without what only its publishers know (`CardText`); `conan-data card`
writes it again with that and with pictures. Neither names a time, a commit or a place on this machine, so the same
data have the same card.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from conan_data.cards.classifier import classifier_facts
from conan_data.cards.config import CardText
from conan_data.cards.contamination import Contamination, contamination_of
from conan_data.cards.corpus import corpus_facts
from conan_data.cards.facts import Facts, Plot, ordered
from conan_data.cards.licenses import read_license
from conan_data.cards.markdown import Table, render
from conan_data.cards.negatives import negatives_facts
from conan_data.cards.pairs import pairs_facts
from conan_data.cards.retrieval import retrieval_facts
from conan_data.cards.sources import hub_names, source_issues, sources_of
from conan_data.errors import UserError
from conan_data.manifest import Manifest
from conan_data.public_names import without_paths
from conan_data.sealed import canonical_json

CARD = "README.md"
PICTURES = "card"
"""Folder of a card's pictures."""
_KINDS: dict[str, Callable[[Manifest], Facts]] = {
    "corpus": corpus_facts,
    "pairs": pairs_facts,
    "retrieval": retrieval_facts,
    "negatives": negatives_facts,
    "classifier": classifier_facts,
}


def facts_of(manifest: Manifest) -> Facts:
    """Return what a card says of an artifact. Raises `UserError` for a kind that has no card."""
    if manifest["kind"] not in _KINDS:
        raise UserError(f"a {manifest['kind']} has no card; these have: {', '.join(_KINDS)}")
    try:
        return _KINDS[manifest["kind"]](manifest)
    except KeyError as error:
        raise UserError(
            f"{manifest['command']}: made by an older version ({error}); build it again"
        ) from error


def default_card(manifest: Manifest) -> dict[str, str]:
    """Return the files of the card that a builder writes: the text alone, for nothing but the manifest is known."""
    return {CARD: card_text(manifest, CardText())}


def card_text(
    manifest: Manifest,
    text: CardText,
    *,
    notes: str = "",
    contamination: Contamination | None = None,
    plots: Sequence[Plot] = (),
) -> str:
    """Return `README.md`; `plots` are those of the facts whose pictures lie beside it."""
    manifest = without_paths(
        json.loads(canonical_json(manifest))
    )  # As it is read back: both cards are the same.
    facts = facts_of(manifest)
    license = read_license(text.license, link=text.license_link) if text.license else None
    sources = sources_of(manifest, text.source_licenses)
    issues = [*source_issues(sources, license), *facts.issues]
    contamination = contamination or contamination_of(manifest)
    if contamination is None and manifest["kind"] != "classifier":
        issues.append("It was not checked for texts of evaluation sets.")
    title = " ".join(text.title.split()) or facts.title
    return render(
        manifest["kind"],
        title=title,
        front=_front_matter(title, manifest, facts, license.front_matter() if license else {}),
        facts=facts,
        about=facts.about,
        name=text.repository or "PATH",
        parts=Table(("config", "split", "files", "rows", "MB"), _sizes(manifest, facts)),
        license=license,
        conditions=None if license is None else license.conditions,
        sources=Table(
            ("source", "revision", "files", "licence", "conditions"),
            [
                (
                    source.name,
                    source.revision,
                    source.num_files,
                    source.license.name if source.license else None,
                    source.conditions,
                )
                for source in sources
            ],
        ),
        command=manifest["command"],
        recipe={"command": manifest["command"].split()[-1]} | manifest["config"],
        version=manifest["versions"].get("conan-embed", "unknown"),
        rows=manifest["rows"],
        dropped=Table(
            ("reason", "rows"),
            ordered(manifest["rows"]["dropped"]),
        ),
        pictures=PICTURES,
        plots=plots,
        issues=issues,
        notes=notes,
        contamination=contamination,
        citation=text.citation,
    )


def _front_matter(title: str, manifest: Manifest, facts: Facts, license: Mapping[str, str]) -> dict[str, Any]:
    front: dict[str, Any] = {"pretty_name": title} if manifest["kind"] != "classifier" else {}
    front |= license
    if facts.codes:
        front["language"] = facts.codes
        if manifest["kind"] != "classifier":
            front["multilinguality"] = ["multilingual" if len(facts.codes) > 1 else "monolingual"]
    front |= facts.front
    front["tags"] = ["conan-embed", manifest["kind"]]
    if facts.parts:
        front["size_categories"] = [facts.size_category]
        front["configs"] = [part.front_matter() for part in facts.parts]
    if names := hub_names(manifest):
        front["source_datasets"] = names
    return front


def _sizes(manifest: Manifest, facts: Facts) -> list[tuple[str, str, int, int | None, float]]:
    """Rows and bytes of every split of every config."""
    found = []
    for part in facts.parts:
        for split, pattern in part.splits.items():
            files = [entry for entry in manifest["files"] if _matches(entry["path"], pattern)]
            rows = [entry["rows"] for entry in files]
            known = None if None in rows else sum(row or 0 for row in rows)
            found.append((part.name, split, len(files), known, sum(entry["bytes"] for entry in files) / 1e6))
    return found


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)
