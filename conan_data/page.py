"""What our HTML pages have in common: one file without requests to anywhere, the same look in light and dark,
and the same way to write numbers.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from conan_data.visible import visible_in_page


def render(template: Path, **values: Any) -> str:
    """Return the page of a template, which includes `page.css` for the common look.

    Whatever is not marked as safe is escaped, and its control characters are shown (`visible_in_page`); a name without
    a value is an error.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=count, percent=percent, number=number, size=size)
    return environment.get_template(template.name).render(**values)


def _shown(value: Any) -> Any:
    return visible_in_page(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def count(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return "–" if value is None else f"{value:,.0f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent, without the sign."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def number(value: float | None, digits: int = 2) -> str:
    """A number with `digits` places."""
    return "–" if value is None else f"{value:.{digits}f}"


def size(value: int) -> str:
    """Bytes as kB, MB or GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.1f} {unit}"
    return f"{value} B"
