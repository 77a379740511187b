"""Semantic textual similarity: Spearman's correlation of the cosine with the score that people gave.

Files differ in how hard they are and on which scale they are scored, and a model may be good in one language only. So
each file, and each pair of languages in it, has a correlation of its own, and their mean is macro: one over all rows
would compare a 3 of one file with a 3 of another. An interval is over the pairs of a group; that two pairs may share a
text is not in it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from conan_data.errors import UserError
from conan_data.pairs.scored import ScoredPairs
from conan_data.retrieval import UNKNOWN_LANGUAGE
from conan_train.evaluation.intervals import percentile_interval, score_record

# P pairs of a group, S resamples, V numbers of a vector


def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation along the last axis, ties at their mean rank; NaN where one side is constant."""
    ranks = [stats.rankdata(values, axis=-1) for values in (first, second)]
    centred = [values - values.mean(-1, keepdims=True) for values in ranks]
    product = (centred[0] * centred[1]).sum(-1)
    scale = np.sqrt((centred[0] ** 2).sum(-1) * (centred[1] ** 2).sum(-1))
    return np.divide(product, scale, out=np.full(np.shape(product), np.nan), where=scale > 0)


def score_sts(
    pairs: ScoredPairs, by_size: Sequence[tuple[int, np.ndarray]], *, num_samples: int, seed: int
) -> dict[str, Any]:
    """A record a group, `by_size` being (size, vectors of `pairs.texts`), and the mean over groups by size."""
    groups = []
    for (source, language), rows_P in _groups(pairs).items():
        gold_P = pairs.scores[rows_P]
        if len(np.unique(gold_P)) < 2:
            raise UserError(
                f"sts.data: the {len(rows_P)} pairs of {source}{_named(language)} all have the same score; leave it out"
            )
        record: dict[str, Any] = {"source": source, "language": language, "num_pairs": len(rows_P)}
        record["spearman"] = {
            str(size): _record(_cosines(vectors, pairs, rows_P), gold_P, num_samples=num_samples, seed=seed)
            for size, vectors in by_size
        }
        groups.append(record)
    means = {
        str(size): float(np.mean([group["spearman"][str(size)]["value"] for group in groups]))
        for size, _ in by_size
    }
    return {"groups": groups, "mean": means}


def _groups(pairs: ScoredPairs) -> dict[tuple[str, str], np.ndarray]:
    """Rows by (file, languages); languages are empty where no text of the pair has one."""
    lang = np.asarray(pairs.texts.column("lang").to_pylist())
    keys: dict[tuple[str, str], list[int]] = {}
    for row, (source, one, two) in enumerate(
        zip(pairs.pair_sources.tolist(), lang[pairs.first].tolist(), lang[pairs.second].tolist(), strict=True)
    ):
        language = one if one == two else f"{one}-{two}"
        keys.setdefault((pairs.sources[source], "" if language == UNKNOWN_LANGUAGE else language), []).append(
            row
        )
    return {key: np.asarray(rows) for key, rows in sorted(keys.items())}


def _cosines(vectors_DV: np.ndarray, pairs: ScoredPairs, rows_P: np.ndarray) -> np.ndarray:
    first, second = (vectors_DV[side[rows_P]] for side in (pairs.first, pairs.second))
    # Vectors are float32: what differs by less than their rounding is a tie, such as two pairs of equal texts.
    return np.round(np.einsum("pv,pv->p", first.astype(np.float64), second.astype(np.float64)), 6)


def _record(
    cosine_P: np.ndarray, gold_P: np.ndarray, *, num_samples: int, seed: int
) -> dict[str, float | None]:
    value = np.nan_to_num(spearman(cosine_P, gold_P)).reshape(1)
    ends = percentile_interval(
        lambda rows_SP: spearman(cosine_P[rows_SP], gold_P[rows_SP])[:, None],
        len(gold_P),
        num_samples=num_samples,
        seed=seed,
    )
    return score_record(value, ends)[0]


def _named(language: str) -> str:
    return f" in {language}" if language else ""
