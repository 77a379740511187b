"""How far an encoder looks at the language of a text instead of at what it says.

Texts of several languages lie in one pool. Two numbers say what a searcher would meet there:

- *found*: the share of (query, relevant text) pairs where fewer than k texts that are not relevant are nearer. Other
  relevant texts do not count against a text, so 1 can be reached however many there are.
- *language bias*: the share of the query's own language among the k nearest, over its fair share, that of the language
  in the pool. Of an encoder that does not look at languages it is about 1.

Both are measured again after the mean vector of each language is subtracted: whatever all texts of a language have in
common is then gone. That costs nothing, so it is what any training across languages has to beat.

Letters: Q queries, D texts of the pool, V numbers of a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conan_data.mining.encoder import Encoder, Kind, encode_shown, unit_rows

_ROWS = 256
"""Queries that are compared with the pool at once."""


@dataclass(frozen=True)
class Pool:
    """Queries, the texts that they are asked of, and which of these are relevant."""

    queries: Sequence[str]
    query_languages: np.ndarray
    texts: Sequence[str]
    text_languages: np.ndarray
    relevant: Sequence[np.ndarray]
    """Rows of the relevant texts of each query."""
    own: np.ndarray | None = None
    """For queries that are texts of the pool themselves their rows there, which are left out."""


def measure_bias(pool: Pool, encoder: Encoder, *, k: int) -> dict[str, Any]:
    """Return `language_bias` of the pool's texts as `encoder` sees them."""
    if pool.own is not None:
        texts_DV = encode_shown(encoder, pool.texts, kind="query")
        return language_bias(texts_DV[pool.own], texts_DV, pool, k=k)
    kinds: tuple[tuple[Sequence[str], Kind], ...] = ((pool.queries, "query"), (pool.texts, "document"))
    queries_QV, texts_DV = (encode_shown(encoder, texts, kind=kind) for texts, kind in kinds)
    return language_bias(queries_QV, texts_DV, pool, k=k)


def language_bias(queries_QV: np.ndarray, texts_DV: np.ndarray, pool: Pool, *, k: int) -> dict[str, Any]:
    """Return the figures of a pool: `queries`, `texts`, `k`, and for `plain` vectors and for `centred` ones (each
    language's mean subtracted) `found`, `found_by_direction` (query language, then text language), `same_language`,
    `fair_share` and `bias`, of all queries and by language.

    A figure is None where nothing is there to be measured: `bias` where no query has texts of its language.
    """
    plain = _figures(unit_rows(queries_QV), unit_rows(texts_DV), pool, k)
    centred = _figures(
        _centred(queries_QV, pool.query_languages), _centred(texts_DV, pool.text_languages), pool, k
    )
    return {
        "k": k,
        "queries": len(pool.queries),
        "texts": len(pool.texts),
        "plain": plain,
        "centred": centred,
    }


def _centred(vectors_NV: np.ndarray, languages_N: np.ndarray) -> np.ndarray:
    """Vectors of length 1 without the mean of their language; where a language has one text alone, it keeps its own."""
    centred_NV = unit_rows(vectors_NV).astype(np.float64)
    for language in np.unique(languages_N):
        rows = np.flatnonzero(languages_N == language)
        if len(rows) > 1:
            centred_NV[rows] -= centred_NV[rows].mean(axis=0)
    return unit_rows(centred_NV)


def _figures(queries_QV: np.ndarray, texts_DV: np.ndarray, pool: Pool, k: int) -> dict[str, Any]:
    names, text_codes_D = np.unique(pool.text_languages, return_inverse=True)
    place = {name: code for code, name in enumerate(names.tolist())}
    counts = np.bincount(text_codes_D, minlength=len(names))
    same, fair = np.zeros(len(queries_QV)), np.zeros(len(queries_QV))
    directions: dict[tuple[str, str], list[int]] = {}
    for start in range(0, len(queries_QV), _ROWS):
        scores_RD = queries_QV[start : start + _ROWS] @ texts_DV.T
        for row, scores_D in enumerate(scores_RD, start=start):
            language = str(pool.query_languages[row])
            own = -1 if pool.own is None else int(pool.own[row])
            if own >= 0:
                scores_D[own] = -np.inf
            num_others = len(texts_DV) - (own >= 0)
            nearest = _top(scores_D, min(k, num_others))
            code = place.get(language, -1)
            same[row] = np.mean(text_codes_D[nearest] == code)
            fair[row] = (counts[code] - (own >= 0)) / num_others if code >= 0 else 0.0
            relevant = pool.relevant[row]
            others_D = scores_D.copy()
            others_D[relevant] = -np.inf
            limit = np.sort(others_D[_top(others_D, min(k, num_others))])[0]
            for text in relevant.tolist():
                pair = directions.setdefault((language, str(names[text_codes_D[text]])), [0, 0])
                pair[0] += int(scores_D[text] > limit)
                pair[1] += 1
    found: dict[str, dict[str, float]] = {}
    for (language, other), (hits, pairs) in sorted(directions.items()):
        found.setdefault(language, {})[other] = round(hits / pairs, 4)
    num_pairs = sum(pairs for _, pairs in directions.values())
    hits = sum(hits for hits, _ in directions.values())
    languages = sorted(set(pool.query_languages.tolist()))
    return {
        "found": round(hits / num_pairs, 4) if num_pairs else None,
        "found_by_direction": found,
        **_bias(same, fair),
        "by_language": {
            name: _bias(same[pool.query_languages == name], fair[pool.query_languages == name])
            for name in languages
        },
    }


def _bias(same: np.ndarray, fair: np.ndarray) -> dict[str, float | None]:
    """Means over queries, and their ratio."""
    observed, expected = float(same.mean()), float(fair.mean())
    return {
        "same_language": round(observed, 4),
        "fair_share": round(expected, 4),
        "bias": round(observed / expected, 3) if expected else None,
    }


def _top(scores_D: np.ndarray, k: int) -> np.ndarray:
    return np.argpartition(scores_D, len(scores_D) - k)[len(scores_D) - k :]
