"""What each figure of the audit shows; numbers in, `<svg>` out."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from conan_data.audit.pairs import Pairs
from conan_data.svg import BLUE, INK, ORANGE, RED, figure, style, tidy, to_svg

_NUM_BINS = 40
_COLUMNS = 4
MOST_LANGUAGES = 12
"""Panels of the histograms."""
_MOST_PLACES = 512


def score_histograms(pairs: Pairs) -> str | None:
    """Densities of positive and negative scores, a panel for each of the languages with most queries, all on one
    scale; None where no score is known.
    """
    shown = [(language, *own) for language, own in scores_by_language(pairs).items() if len(own[1])]
    shown = shown[:MOST_LANGUAGES]
    if not shown:
        return None
    everything = np.concatenate([scores for _, *own in shown for scores in own])
    bins = np.linspace(everything.min(), everything.max() + 1e-6, _NUM_BINS + 1).tolist()
    num_rows = math.ceil(len(shown) / _COLUMNS)
    num_columns = min(_COLUMNS, len(shown))
    with style():
        drawn = figure("scores", width=0.6 + 2.5 * num_columns, height=0.5 + 1.5 * num_rows)
        grid = drawn.subplots(num_rows, num_columns, squeeze=False, sharex=True).ravel()
        for axes in grid[len(shown) :]:
            axes.set_visible(False)
        for axes, (language, positives, negatives) in zip(grid, shown):
            tidy(axes).set_title(language)
            for scores, colour, label in ((positives, BLUE, "positives"), (negatives, ORANGE, "negatives")):
                axes.hist(
                    scores, bins, density=True, color=colour, alpha=0.25, histtype="stepfilled", label=label
                )
                axes.hist(scores, bins, density=True, color=colour, histtype="step", linewidth=1.2)
            axes.set_yticks([])
            axes.grid(visible=False, axis="y")
        handles, labels = grid[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper right", ncols=2)
        drawn.supxlabel("cosine with the query", fontsize=9)
        return to_svg(drawn, label="Scores of positives and negatives by language of the query")


def scores_by_language(pairs: Pairs) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Known positive and negative scores, the language with most queries first."""
    languages = pairs.arrays.languages
    counts = np.bincount(pairs.arrays.query_languages, minlength=len(languages))
    found = {}
    for code in np.argsort(-counts, kind="stable").tolist():
        positives = pairs.positive_scores_Q[pairs.arrays.query_languages == code]
        negatives = pairs.scores_M[pairs.languages == code]
        found[languages[code]] = positives[~np.isnan(positives)], negatives[~np.isnan(negatives)]
    return found


def ranks(pairs: Pairs) -> str | None:
    """Scores by place in the pool, and how many pools reach there; None where no score is known."""
    known = ~np.isnan(pairs.scores_M)
    if not known.any():
        return None
    places = np.arange(min(int(pairs.places_M.max()) + 1, _MOST_PLACES))
    scores = [pairs.scores_M[known & (pairs.places_M == place)] for place in places]
    places = np.array([place for place, own in zip(places, scores) if len(own)])
    low, median, high = np.array([np.quantile(own, [0.05, 0.5, 0.95]) for own in scores if len(own)]).T
    positive = np.nanmedian(pairs.positive_scores_Q) if not np.isnan(pairs.positive_scores_Q).all() else None
    with style():
        drawn = figure("ranks", width=5.2, height=2.5)
        axes = tidy(drawn.add_subplot())
        axes.plot(
            places + 1,
            median,
            color=ORANGE,
            label="negatives: median",
            marker="o" if len(places) < 3 else None,
        )
        axes.fill_between(places + 1, low, high, color=ORANGE, alpha=0.2, linewidth=0, label="5% to 95%")
        if positive is not None:
            axes.axhline(positive, color=BLUE, linewidth=1.2, label="positives: median")
        axes.set_xlabel("place in the pool")
        axes.set_ylabel("cosine")
        axes.legend(
            ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.2, handlelength=1.4
        )
        return to_svg(drawn, label="Scores of negatives by place in the pool")


def margins(pairs: Pairs, *, margin: float | None) -> str | None:
    """Negatives by score over positive score, with the margin that they were mined with."""
    ratios = pairs.ratios[~np.isnan(pairs.ratios)]
    if not len(ratios):
        return None
    low, high = np.quantile(ratios, [0.005, 1])
    with style():
        drawn = figure("margins", width=5.2, height=2.5)
        axes = tidy(drawn.add_subplot())
        axes.hist(
            np.maximum(ratios, low),
            np.linspace(low, high + 1e-6, _NUM_BINS + 1).tolist(),
            color=ORANGE,
            alpha=0.6,
        )
        if margin is not None:
            axes.axvline(margin, color=INK, linewidth=1, linestyle=(0, (4, 3)), label=f"margin {margin:g}")
            axes.legend(loc="upper left")
        axes.set_xlabel("score / positive score")
        axes.set_ylabel("negatives")
        return to_svg(drawn, label="Negatives by score over positive score")


def sizes(pairs: Pairs) -> str:
    """Queries by size of their pool, those without one included."""
    counts = np.bincount(pairs.sizes)
    with style():
        drawn = figure("sizes", width=5.2, height=2.5)
        axes = tidy(drawn.add_subplot())
        axes.bar(
            np.arange(len(counts)), counts, width=1.0 if len(counts) > 30 else 0.8, color=ORANGE, alpha=0.7
        )
        axes.set_xlabel("negatives in the pool")
        axes.set_ylabel("queries")
        return to_svg(drawn, label="Queries by number of negatives")


def strata(rows: Sequence[Mapping[str, float]]) -> str | None:
    """False-negative rate of each stratum with its interval; None where nothing is labelled."""
    shown = [row for row in rows if row["value"] is not None]
    if not shown:
        return None
    values = np.array([[100 * row[name] for name in ("value", "low", "high")] for row in shown])
    with style():
        drawn = figure("strata", width=5.2, height=2.5)
        axes = tidy(drawn.add_subplot())
        error = np.abs(values[:, 1:] - values[:, :1]).T
        axes.errorbar(
            np.arange(len(shown)), values[:, 0], error, fmt="o", color=RED, capsize=3, linewidth=1.2
        )
        axes.set_xticks(np.arange(len(shown)), [str(row["range"]) for row in shown])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("score / positive score")
        axes.set_ylabel("% false negatives")
        return to_svg(drawn, label="False negatives by score over positive score")
