"""Cards from templates: markdown in which nothing that comes from data acts as markdown, HTML or YAML.

The templates of all kinds lie in `data_cards/templates`, which the wheel carries (`_FOLDERS`). Whatever a template
prints is escaped, unless it is markup that this module made; a name without a value is an error.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from conan_data.page import count
from conan_data.visible import visible

_FOLDERS = (Path(__file__).parent / "templates", Path(__file__).parents[2] / "data_cards" / "templates")
"""Where the templates lie: in an installed package, and in a checkout."""
_SPECIAL = re.compile(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])|^(?=[-+=])")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
"""What would begin a list."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True)
class Table:
    """A table of a card; cells are text, or numbers, which are set to the right."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | int | float | None]]


def render(template: str, **values: Any) -> str:
    """Return the card that the template of a kind makes of `values`."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDERS),
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        as_is=Markup, code=code, fenced=fenced, yaml=to_yaml, table=table, count=count, string=literal
    )
    text = environment.get_template(f"{template}.md.jinja").render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def escape(text: str) -> str:
    """Return `text` as one line of markdown that shows it as it is, in prose and in the cell of a table."""
    line = visible(" ".join(text.split()))
    line = re.sub(r"[&<>]", lambda found: _ENTITIES[found[0]], line)
    return _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(lambda found: "\\" + found[0], line))


def code(value: object) -> Markup:
    """Return one line as a code span, also inside a table."""
    line = visible(" ".join(str(value).split())).replace("|", "\\|")
    ticks = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return Markup(f"{ticks}{space}{line or ' '}{space}{ticks}")


def fenced(text: str, language: str = "") -> Markup:
    """Return a block of code that nothing in `text` can end."""
    ticks = "`" * max(3, _longest_run(text) + 1)
    return Markup(f"{ticks}{language}\n{visible(text).rstrip()}\n{ticks}")


def to_yaml(value: Any) -> Markup:
    """Return a mapping as YAML, in its own order."""
    return Markup(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110).rstrip())


def literal(value: str) -> Markup:
    """Return text as a literal of Python, for an example that is to be copied."""
    return Markup('"' + visible(value).replace("\\", "\\\\").replace('"', '\\"') + '"')


def table(shown: Table) -> Markup:
    """Return the rows of a table; None is a dash."""
    lines = [
        _row(map(escape, shown.columns)),
        _row("--:" if _is_numeric(shown.rows, place) else "---" for place in range(len(shown.columns))),
        *(_row(map(_cell, row)) for row in shown.rows),
    ]
    return Markup("\n".join(lines))


def _row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Markup):
        return str(value)
    if isinstance(value, int):
        return count(value)
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def _is_numeric(rows: Sequence[Sequence[Any]], place: int) -> bool:
    values = [row[place] for row in rows if row[place] is not None]
    return bool(values) and all(isinstance(value, int | float) for value in values)


def _escaped(value: Any) -> Any:
    return Markup(escape(value)) if isinstance(value, str) and not isinstance(value, Markup) else value


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
