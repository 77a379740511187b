"""What each figure shows; numbers in, `<svg>` out."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from conan_data.svg import BLUE, GREEN, INK, ORANGE, RED, VIOLET, figure, style, tidy, to_svg
from conan_train.report.training import Series

WIDTH, HALF_WIDTH = 7.6, 5.2
"""Inches of a figure that fills a column of text, and of one of two beside each other."""
_MOST_LANGUAGES_WITH_NUMBERS = 14
_HEAT_MAPS_WIDTH = 10.5
"""Inches of a row of heat maps; the others begin a new one."""
_LETTERS_AN_INCH, _LINE = 9, 0.17
"""Letters of a bold title that surely fit into an inch, and the inches of a line of it."""
_COLOURS = (BLUE, ORANGE, GREEN, RED, VIOLET)


def shares(name: str, asked: Mapping[str, float], reached: Mapping[str, float]) -> str:
    """Two bars a language, shares of 1."""
    languages = sorted(
        asked.keys() | reached.keys(),
        key=lambda language: (-asked.get(language, 0.0), -reached.get(language, 0.0), language),
    )
    with style():
        drawn = figure(name, width=max(3.2, min(WIDTH, 1.2 + 0.55 * len(languages))), height=2.3)
        axes = tidy(drawn.add_subplot())
        places = np.arange(len(languages))
        axes.bar(
            places - 0.2,
            [100 * asked.get(language, 0.0) for language in languages],
            width=0.4,
            color=ORANGE,
            label="asked for",
        )
        axes.bar(
            places + 0.2,
            [100 * reached.get(language, 0.0) for language in languages],
            width=0.4,
            color=BLUE,
            label="reached",
        )
        axes.set_xticks(places, languages, rotation=90 if len(languages) > 16 else 0)
        axes.margins(x=0.01)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("% of queries")
        axes.legend()
        return to_svg(drawn, label="Share of queries by language, asked for and reached")


def curves(
    name: str,
    lines: Mapping[str, Series],
    *,
    ylabel: str,
    refreshes: Sequence[float] = (),
    log: bool = False,
    filled: bool = False,
) -> str:
    """Lines over training steps; a dashed vertical line at each of `refreshes`."""
    with style():
        drawn = figure(name, width=HALF_WIDTH, height=2.3)
        axes = tidy(drawn.add_subplot())
        for (label, line), colour in zip(lines.items(), _COLOURS):
            axes.plot(
                line.steps,
                line.values,
                color=colour,
                label=label,
                marker="o" if len(line.steps) < 3 else None,
            )
            if filled:
                axes.fill_between(line.steps, line.values, color=colour, alpha=0.2, linewidth=0)
        for place, step in enumerate(refreshes):
            axes.axvline(
                step,
                color=INK,
                linewidth=0.8,
                linestyle=(0, (4, 3)),
                alpha=0.55,
                label="negatives mined" if place == 0 else None,
            )
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        elif filled:
            axes.set_ylim(bottom=0)
        axes.set_xlabel("step")
        axes.set_ylabel(ylabel)
        if len(lines) > 1 or refreshes:
            axes.legend(
                ncols=4, loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.2, handlelength=1.6
            )
        return to_svg(drawn, label=f"{ylabel} over training steps: {', '.join(lines)}")


def heat_maps(name: str, panels: Mapping[str, Mapping[tuple[str, str], float]], *, metric: str) -> str:
    """A panel for each evaluation: (query language, document language) to a score from 0 to 1, all on one
    scale.
    """
    query_languages, document_languages = (
        sorted(
            {pair[side] for scores in panels.values() for pair in scores},
            key=lambda language: (language != "en", language),
        )
        for side in (0, 1)
    )
    num_rows, num_columns = len(query_languages), len(document_languages)
    # The next ten above the best score: one scale for all panels, on which differences can be seen.
    top = 10 * math.ceil(10 * max(value for scores in panels.values() for value in scores.values())) or 10
    cell = 0.33 if num_columns <= _MOST_LANGUAGES_WITH_NUMBERS else 0.2
    panel_width = max(1.6, cell * num_columns + 0.3)
    a_row = min(len(panels), max(1, int(_HEAT_MAPS_WIDTH / panel_width)))
    titles = [textwrap.wrap(label, int(panel_width * _LETTERS_AN_INCH)) or [""] for label in panels]
    height = max(1.5, cell * num_rows + 0.9 + _LINE * max(map(len, titles)))
    with style():
        drawn = figure(name, width=a_row * panel_width + 1.2, height=-(-len(panels) // a_row) * height)
        all_axes = drawn.subplots(-(-len(panels) // a_row), a_row, squeeze=False).ravel()
        for axes in all_axes[len(panels) :]:
            axes.set_visible(False)
        for place, (axes, title, scores) in enumerate(zip(all_axes, titles, panels.values())):
            values = np.array(
                [
                    [100 * scores.get((query, document), np.nan) for document in document_languages]
                    for query in query_languages
                ]
            )
            _heat_map(
                axes,
                values,
                top=top,
                title="\n".join(title),
                with_numbers=num_columns <= _MOST_LANGUAGES_WITH_NUMBERS,
            )
            axes.set_xticks(
                range(num_columns),
                document_languages,
                rotation=90 if max(map(len, document_languages)) > 2 or num_columns > 14 else 0,
            )
            axes.set_yticks(range(num_rows), query_languages if place % a_row == 0 else [""] * num_rows)
            axes.set_xlabel("documents")
            if place % a_row == 0:
                axes.set_ylabel("queries")
        return to_svg(drawn, label=f"{metric} by language of query and document, {', '.join(panels)}")


def _heat_map(axes: Axes, values: np.ndarray, *, top: float, title: str, with_numbers: bool) -> None:
    """Rectangles rather than an image, so that it stays sharp; pairs that were not scored stay empty."""
    colours = mpl.colormaps["viridis"]
    axes.patch.set_alpha(0)
    axes.set_title(title)
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        red, green, blue, _ = colours(value / top)
        axes.add_patch(
            mpl.patches.Rectangle(
                (column - 0.5, row - 0.5), 1, 1, facecolor=(red, green, blue), edgecolor="none"
            )
        )
        if with_numbers:
            ink = "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7.5, color=ink)
    axes.set_xlim(-0.5, values.shape[1] - 0.5)
    axes.set_ylim(values.shape[0] - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
