"""Names of data sets and models on the Hub, without what is needed to reach it (see `hub`)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from conan_data.errors import UserError

PREFIX = "hf://"
_NAME = re.compile(
    r"hf://(?:datasets/)?([\w.-]+/[\w.-]+)(?:@([^/:]+))?(?:/([^:]+))?(?::(.+))?",
)
_MODEL = re.compile(r"(?:hf://(?:models/)?)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")


@dataclass(frozen=True, slots=True)
class HubName:
    """A data set, or a part of one; or a model."""

    repository: str
    revision: str | None = None
    config: str = ""
    selection: str = ""
    """A split, or a pattern of file names."""
    repo_type: str = "dataset"

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        config = f"/{self.config}" if self.config else ""
        selection = f":{self.selection}" if self.selection else ""
        return f"{PREFIX}{self.repo_type}s/{self.repository}{revision}{config}{selection}"

    @property
    def is_pattern(self) -> bool:
        """Whether it selects files by their names."""
        return any(mark in self.selection for mark in "*?[/.")


def is_name(text: object) -> bool:
    """Whether `text` names something on the Hub."""
    return isinstance(text, str) and text.startswith(PREFIX)


def parse(text: str) -> HubName:
    """Raises `UserError` for what is not such a name. The part after the data set is its config, or, where it
    looks like one, a pattern of file names.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise UserError(f"{text}: write hf://owner/name[@revision][/config][:split or file pattern]")
    repository, revision, config, selection = (part or "" for part in match.groups())
    name = HubName(repository, unquote(revision) or None, config.strip("/"), selection)
    as_pattern = HubName(repository, name.revision, "", name.config)
    return as_pattern if not selection and as_pattern.is_pattern else name


def parse_model(text: str) -> HubName | None:
    """The model that `owner/name[@revision]` names, with or without `hf://`; None for what cannot be such a name."""
    match = _MODEL.fullmatch(text)
    return HubName(match.group(1), match.group(2), repo_type="model") if match else None
