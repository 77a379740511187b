"""`--help` of a command whose config has parts: one panel for each part, under the docstring of its class."""

import dataclasses
import inspect
import typing
from collections import defaultdict
from typing import Any

from cyclopts.help import DefaultFormatter, HelpEntry, HelpPanel
from rich.text import Text


class HelpByPart(DefaultFormatter):
    """Shows the fields of `rules`, named `--rules.NAME`, in a panel of their own behind that of the other fields."""

    def __init__(self, config_class: type) -> None:
        super().__init__()
        hints = typing.get_type_hints(config_class)
        self.parts = {name: kind for name, kind in hints.items() if dataclasses.is_dataclass(kind)}

    def __call__(self, console: Any, options: Any, panel: HelpPanel) -> None:
        """Renders a panel of cyclopts."""
        by_part: dict[str, list[HelpEntry]] = defaultdict(list)
        for entry in panel.entries:
            by_part[self._part(entry)].append(entry)
        if own := by_part.pop("", None):
            super().__call__(console, options, panel.copy(entries=own))
        for part, entries in by_part.items():
            about = inspect.getdoc(self.parts[part]) or ""
            shown = Text(" ".join(about.replace("`", "").split()))
            super().__call__(console, options, panel.copy(title=part, description=shown, entries=entries))

    def _part(self, entry: HelpEntry) -> str:
        """`rules` of `--rules.min-words`; empty for a field of the config itself."""
        name = next(iter(entry.names), "").removeprefix("--")
        part = name.partition(".")[0].replace("-", "_")
        return part if "." in name and part in self.parts else ""
