"""Configuration of `conan-data card`, and of what a card says that no manifest knows."""

import dataclasses
from typing import Annotated

from conan_data.cards.licenses import OTHER, LicenseName
from conan_data.config import Config, StageConfig, require
from conan_data.fields import Rule
from conan_data.hub_names import parse_model
from conan_data.inputs import DataPath, RequiredDataPath

REPOSITORY = Rule(
    "must be owner/name, as on the Hub",
    lambda text: not text or ((name := parse_model(text)) is not None and name.repository == text),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardText(Config):
    """What only the people who publish a set know of it."""

    title: str = ""
    """Heading of the card; empty: one that says the kind and the languages."""
    repository: Annotated[str, REPOSITORY] = ""
    """Name on the Hub, owner/name, for the example of how to load it."""
    license: LicenseName = ""
    """Licence of the whole: an identifier of the Hub (cc-by-sa-4.0), or of SPDX."""
    license_link: str = ""
    """Address of the text of the licence, which `other` needs."""
    source_licenses: dict[str, LicenseName] = dataclasses.field(default_factory=dict)
    """Licence of each source, by its name in the card, such as {jaquad: cc-by-sa-3.0}."""
    citation: str = ""
    """BibTeX entry, or a sentence, by which to cite it."""
    notes: DataPath = ""
    """Markdown file with what else is to be known; it is copied as it is."""
    contamination: DataPath = ""
    """Output of `conan-data decontaminate`; empty: where the set is one, its own."""

    def check(self) -> None:
        super().check()
        require(
            self.license.lower() != OTHER or bool(self.license_link),
            "license_link",
            self.license_link,
            "is needed for license other",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CardConfig(CardText, StageConfig):
    """The card of a corpus, of pairs, of a retrieval set, of negatives or of a classifier."""

    artifact: RequiredDataPath
    """What the card is of; it is read, and not changed."""
