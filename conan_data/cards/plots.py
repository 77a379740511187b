"""The pictures of a card, as PNG.

The Hub shows a picture of the repository as an image of its own, in which the colour of the page is unknown: figures
that take it from there (`svg`) are black on the dark page. So these stand on white. The same data give the same bytes.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from conan_data.cards.facts import Bars, Matrix, Plot, Ranges
from conan_data.svg import BLUE, GREEN, INK, ORANGE, RED, STYLE, VIOLET

_COLOURS = (BLUE, ORANGE, GREEN, RED, VIOLET, "#8c8c8c", "#b8a03c", "#4bb3b3")
_DPI = 120
_MOST_LABELS = 40
"""Rows of a picture; the others are left out, and its title says so."""


def draw(plot: Plot) -> bytes:
    """Return the PNG of a picture."""
    drawers: dict[type, Callable[[Any, Axes], None]] = {Bars: _bars, Ranges: _ranges, Matrix: _matrix}
    labels = plot.rows if isinstance(plot, Matrix) else plot.labels
    with rc_context({**STYLE, "font.family": "DejaVu Sans"}):  # The font that matplotlib brings.
        figure = Figure(figsize=(7.0, 1.2 + 0.24 * min(len(labels), _MOST_LABELS)), layout="constrained")
        axes = figure.add_subplot()
        drawers[type(plot)](plot, axes)
        more = len(labels) - _MOST_LABELS
        axes.set_title(plot.title + (f" (the first {_MOST_LABELS} of {len(labels)})" if more > 0 else ""))
        return _to_png(figure)


def _bars(plot: Bars, axes: Axes) -> None:
    labels = list(plot.labels[:_MOST_LABELS])
    left = np.zeros(len(labels))
    for colour, (name, values) in zip(_COLOURS, plot.series.items()):
        widths = np.asarray(values[:_MOST_LABELS], dtype=float)
        axes.barh(labels, widths, left=left, color=colour, label=name, height=0.7)
        left += widths
    _finish(axes)


def _ranges(plot: Ranges, axes: Axes) -> None:
    labels = list(plot.labels[:_MOST_LABELS])
    for number, (colour, (name, rows)) in enumerate(zip(_COLOURS, plot.series.items())):
        low, lower, middle, upper, high = np.asarray(rows[:_MOST_LABELS], dtype=float).T
        places = np.arange(len(labels)) + 0.3 * (number - (len(plot.series) - 1) / 2)
        axes.hlines(places, low, high, color=colour, linewidth=1.0)
        axes.hlines(places, lower, upper, color=colour, linewidth=4.0, label=name)
        axes.plot(middle, places, "|", color=INK, markersize=6)
    axes.set_yticks(range(len(labels)), labels)
    _finish(axes)


def _matrix(plot: Matrix, axes: Axes) -> None:
    values = np.asarray([row[:_MOST_LABELS] for row in plot.values[:_MOST_LABELS]], dtype=float)
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0)
    axes.set_xticks(
        range(values.shape[1]), list(plot.columns[:_MOST_LABELS]), rotation=90 if values.shape[1] > 12 else 0
    )
    axes.set_yticks(range(values.shape[0]), list(plot.rows[:_MOST_LABELS]))
    axes.grid(False)


def _finish(axes: Axes) -> None:
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _to_png(figure: Figure) -> bytes:
    target = io.BytesIO()
    FigureCanvasAgg(figure).print_png(target, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return target.getvalue()
