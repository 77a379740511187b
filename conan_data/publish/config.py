"""Configuration of `conan-data push`."""

import dataclasses
from typing import Annotated, Literal

from annotated_types import MinLen

from conan_data.cards.config import REPOSITORY
from conan_data.config import Config
from conan_data.fields import DISTINCT
from conan_data.inputs import DataPath, RequiredDataPath

Refusal = Literal["no-license", "unchecked-rows", "paths", "secrets", "same-name", "other-contents"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PushConfig(Config):
    """An artifact and its card in, one commit on the Hub out."""

    artifact: RequiredDataPath
    """What is published: a corpus, pairs, a retrieval set, negatives or a classifier."""
    repository: Annotated[str, MinLen(1), REPOSITORY]
    """Name on the Hub: owner/name."""
    card: DataPath = ""
    """Output of `conan-data card` for it; empty: the card that its builder wrote, which states no licence."""
    public: bool = False
    """Make the repository public; without it, it is private, and one that is public is refused."""
    dry_run: bool = False
    """List the files, their sizes and what is missing, and send nothing."""
    allow: Annotated[tuple[Refusal, ...], DISTINCT] = ()
    """What is published all the same: without a licence (no-license), rows that passed no check (unchecked-rows), paths of
    this machine (paths), what looks like a token or key (secrets); to a name that a repository of another kind has
    (same-name), or over files that are not of an earlier push of the same kind (other-contents).
    """
    message: str = ""
    """Message of the commit; empty: one that names the command that built it."""
