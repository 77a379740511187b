"""Figures as inline SVG that follow the page into light and dark, and that are the same bytes for the same
data.

A picture with colours of its own is a white box on a dark page, and one that is drawn with a time stamp or
random ids changes with every run. So everything that is text or axis is drawn in one colour and handed to CSS
(`currentColor`); ids are salted by the figure's name, which also keeps two figures in one page apart; date
and metadata are left out. Text stays text.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK = "#010203"
"""Replaced by the colour of the page's text."""
BLUE, ORANGE, GREEN, RED, VIOLET = "#3d7fc9", "#d97f2a", "#36966a", "#d0455f", "#8a66c7"
"""Readable on white and on black."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
}


def figure(name: str, *, width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches; `name` is unique in the page. Draw on it within
    `style()`.
    """
    made = Figure(figsize=(width, height), layout="compressed")
    made.set_label(name)
    made.patch.set_alpha(0)
    return made


@contextmanager
def style() -> Iterator[None]:
    """The style, for a `with` block; nothing is changed outside of it."""
    with mpl.rc_context(STYLE):
        yield


def tidy(axes: Axes) -> Axes:
    """`axes` without a background, and with few ticks."""
    axes.patch.set_alpha(0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return axes


def to_svg(drawn: Figure, *, label: str) -> str:
    """The `<svg>` element; `label` says to those who cannot see it what it shows."""
    target = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": drawn.get_label() or label}):
        FigureCanvasSVG(drawn).print_svg(
            target, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font: ([^;\"]*?)'?sans-serif'?[^;\"]*", r"font: \1sans-serif", text)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(?<=\d\.\d{2})\d+", "", path[0]), text)
    text = text.replace(INK, "currentColor")
    size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    assert size is not None, "matplotlib has changed how it states the size of a figure"
    described = f'style="max-width: {float(size[1]) * 4 / 3:.0f}px" role="img" aria-label="{_escaped(label)}"'
    return text.replace(size[0], described, 1).replace("\n\n", "\n").strip()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
