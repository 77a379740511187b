"""Which margin to mine with, by language.

With labels: the largest margin under which the estimated share of false negatives stays within what is allowed.
Of the pairs that a margin would leave, the labelled ones stand for their stratum. A margin over that of the
mining cannot be suggested, for nothing is known of what was dropped.

Without labels scores alone must do, and they say less: the 5% quantile of the positive scores over their median.
Over the former a document scores as 95% of the labelled answers do, so it cannot be told from an answer by its
score. It is a start, and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conan_data.audit.pairs import Pairs

LABELS_NEEDED = 30
QUERIES_NEEDED = 20
_GRID = np.arange(50, 101) / 100
_LOW = 0.05


@dataclass(frozen=True)
class Margin:
    """A suggestion; `source` is "labels", "scores", or why there is none."""

    language: str
    margin: float | None
    source: str
    rate: float | None
    """Estimated share of false negatives under it."""
    lost: float | None
    """Share of today's negatives that score over it."""

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def suggest_margins(
    pairs: Pairs, strata_M: np.ndarray, labelled_n: np.ndarray, labels_n: np.ndarray, *, max_false: float
) -> list[Margin]:
    """One for each language and one for all ("all"), from the labels of the pairs `labelled_n`."""
    weight_n = np.zeros(len(labelled_n))
    for stratum in np.unique(strata_M[labelled_n]):
        own_n = strata_M[labelled_n] == stratum
        weight_n[own_n] = (strata_M == stratum).sum() / own_n.sum()
    ratios_M, found = pairs.ratios, []
    for code, language in enumerate((*pairs.arrays.languages, "all")):
        everything = language == "all" and code == len(pairs.arrays.languages)
        own_M = np.ones(len(pairs), bool) if everything else pairs.languages == code
        own_n = own_M[labelled_n] & ~np.isnan(ratios_M[labelled_n])
        ratios = ratios_M[own_M]
        if own_n.sum() >= LABELS_NEEDED:
            margin, rate = _by_labels(
                ratios_M[labelled_n][own_n], labels_n[own_n], weight_n[own_n], max_false=max_false
            )
            source = (
                "labels" if margin is not None else f"labels: over {max_false:.0%} false under every margin"
            )
        else:
            own_Q = (
                np.ones(pairs.arrays.num_queries, bool)
                if everything
                else pairs.arrays.query_languages == code
            )
            margin, source = _by_scores(pairs.positive_scores_Q[own_Q])
            rate = None
        lost = None if margin is None or not len(ratios) else float((ratios > margin).mean())
        found.append(Margin(language, margin, source, rate, lost))
    return found


def margins_recipe(margins: Sequence[Mapping[str, Any]]) -> str:
    """The suggestions, those of the languages and then that for all, as a recipe takes them; "" where there are none."""
    *languages, everything = margins
    lines = [f"  margin: {everything['margin']:g}"] if everything["margin"] else []
    own = [f"{row['language']}: {row['margin']:g}" for row in languages if row["margin"]]
    if own:
        lines.append(f"  margin_by_language: {{{', '.join(own)}}}")
    return "\n".join(["select:", *lines]) if lines else ""


def _by_labels(
    ratios: np.ndarray, labels: np.ndarray, weights: np.ndarray, *, max_false: float
) -> tuple[float | None, float | None]:
    for margin in _GRID[::-1]:
        left = ratios <= margin
        if left.sum() >= LABELS_NEEDED // 2:
            rate = float((weights * labels)[left].sum() / weights[left].sum())
            if rate <= max_false:
                # A margin beyond the highest labelled ratio says no more than that ratio.
                return float(min(margin, np.ceil(100 * ratios.max()) / 100)), rate
    return None, None


def _by_scores(positive_scores: np.ndarray) -> tuple[float | None, str]:
    known = positive_scores[~np.isnan(positive_scores)]
    if len(known) < QUERIES_NEEDED:
        return None, f"under {LABELS_NEEDED} labels and {QUERIES_NEEDED} queries with scores"
    low, median = np.quantile(known, [_LOW, 0.5])
    if median <= 0 or low <= 0:
        return None, "scores: positives are not over 0"
    return round(float(low / median), 2), "scores"
