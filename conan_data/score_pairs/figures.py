"""Histograms of the scores by language; numbers in, `<svg>` out."""

import math
from collections.abc import Mapping

import numpy as np

from conan_data.score_pairs.threshold import Threshold
from conan_data.svg import BLUE, INK, figure, style, tidy, to_svg

NUM_BINS = 200
"""Of equal width from -1 to 1."""
EDGES = np.linspace(-1, 1, NUM_BINS + 1)
MOST_LANGUAGES = 12
_COLUMNS = 4


def histograms(counts: Mapping[str, np.ndarray], thresholds: Mapping[str, Threshold]) -> str:
    """A panel for each of the languages with most pairs, all on one scale, with the threshold."""
    shown = sorted(counts, key=lambda name: (-counts[name].sum(), name))[:MOST_LANGUAGES]
    filled = np.flatnonzero(sum(counts[name] for name in shown))
    low, high = EDGES[filled.min()], EDGES[filled.max() + 1]
    num_rows, num_columns = math.ceil(len(shown) / _COLUMNS), min(_COLUMNS, len(shown))
    with style():
        drawn = figure("scores", width=0.6 + 2.5 * num_columns, height=0.5 + 1.5 * num_rows)
        grid = drawn.subplots(num_rows, num_columns, squeeze=False, sharex=True).ravel()
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        for axes, name in zip(grid, shown):
            tidy(axes).set_title(name)
            axes.stairs(counts[name], EDGES, fill=True, color=BLUE, alpha=0.6)
            axes.axvline(thresholds[name].value, color=INK, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_xlim(low, high)
            axes.set_yticks([])
            axes.grid(visible=False, axis="y")
        drawn.supxlabel("score of the teacher; dashed: the threshold", fontsize=9)
        return to_svg(drawn, label="Scores of the pairs by language")
