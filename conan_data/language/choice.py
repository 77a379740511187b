"""Choices between two languages for whole columns of short texts: the language that a text should be in, and the one
that it was translated from.

The model is the one of `langid`, evaluated once a text in compiled code, over the bytes of the column; code and markup
are skipped as `markup` does. One evaluation answers for both languages and for the most probable of all.
"""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numba import types

from conan_data.compiling import njit
from conan_data.language import langid_kernel
from conan_data.language.guess import NO_LANGUAGE
from conan_data.language.labels import merge_variant
from conan_data.language.langid import KernelModel, load_model
from conan_data.language.markup_scanner import scan
from conan_data.language.plain import lowered


class Choices(NamedTuple):
    """For each of N texts; all is 0 or "" where a text says nothing about its language."""

    target_N: np.ndarray
    """float64: the probability of the language that the text should be in, among all."""
    origin_N: np.ndarray
    """float64: that of the source's language; 0 where the model does not know it, or it is the target."""
    open_N: pl.Series
    """The most probable of all languages."""
    open_score_N: np.ndarray
    """float64: its probability."""


def known_languages() -> frozenset[str]:
    """Return the labels that the model knows."""
    return frozenset(load_model().labels) - {NO_LANGUAGE}


def choose(texts: pl.Series, targets: pl.Series, origins: pl.Series) -> Choices:
    """Return the probabilities of `targets` and `origins` (labels as `read_label` gives them, of each text one) and the
    most probable language of all. A text whose target the model does not know is not looked at.
    """
    model = load_model()
    assert isinstance(model, KernelModel)
    known = known_languages()
    pairs = pl.struct(targets.alias("target"), origins.alias("origin"), eager=True)
    names: list[str] = []
    groups, targets_P, origins_P, firsts_P = [], [], [], []
    distinct = pairs.unique(maintain_order=True)
    for pair in distinct:
        of_pair = [pair["target"], *({pair["origin"]} & known - {pair["target"]})]
        merged = [merge_variant(label, frozenset(of_pair)) for label in model.labels]
        labels = [*of_pair, *sorted(set(merged) - set(of_pair))]
        groups.append([labels.index(label) for label in merged])
        targets_P.append(pair["target"] in known)
        origins_P.append(len(of_pair) == 2)
        firsts_P.append(len(names))
        names += labels
    pair_N = pairs.replace_strict(distinct, np.arange(len(distinct)), return_dtype=pl.Int64).to_numpy()
    kernel: Any = _choose
    result = kernel(
        *_plain(texts), *model.tables, np.array(groups, dtype=np.int64).reshape(len(distinct), len(model.labels)),
        pair_N, np.array(targets_P, dtype=np.bool_), np.array(origins_P, dtype=np.bool_),
    )  # fmt: skip
    places = result[:, 2].astype(np.int64) + np.array(firsts_P, dtype=np.int64)[pair_N]
    open_N = pl.Series(names, dtype=pl.String)[places].set(pl.Series(result[:, 3] == 0), "")
    return Choices(result[:, 0], result[:, 1], open_N, result[:, 3])


def _plain(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The texts in the form that the model was trained on, as UTF-8."""
    composed = texts.str.normalize("NFC")
    capitals = composed.str.count_matches(r"\p{Lu}").cast(pl.Int64)
    shouted = (4 * capitals > composed.str.len_chars().cast(pl.Int64)) & (
        capitals > composed.str.count_matches(r"\p{Ll}").cast(pl.Int64)
    )
    if shouted.any():
        rows = shouted.arg_true()
        composed = composed.scatter(rows, [lowered(text) for text in composed[rows]])
    array = composed.to_arrow()
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[: len(array) + 1]
    return np.frombuffer(data or b"", dtype=np.uint8), starts


def _array(dtype: types.Type, ndim: int = 1, *, readonly: bool = False) -> types.Type:
    return types.Array(dtype, ndim, "C", readonly=readonly)


@njit(
    types.float64[:, :](
        _array(types.uint8, readonly=True), _array(types.int64, readonly=True),
        _array(types.uint32), _array(types.uint32), _array(types.int32), types.int64,
        _array(types.int32), _array(types.int32), _array(types.float32, 2), _array(types.float64),
        _array(types.int64, 2), _array(types.int64, readonly=True), _array(types.bool_), _array(types.bool_),
    ),
    cache=True,
)  # fmt: skip
def _choose(
    data: np.ndarray,
    starts_N: np.ndarray,
    next_R: np.ndarray,
    rows_S: np.ndarray,
    features_S: np.ndarray,
    reach: int,
    counts_F: np.ndarray,
    met_F: np.ndarray,
    weights_FC: np.ndarray,
    prior_C: np.ndarray,
    groups_PL: np.ndarray,
    pair_N: np.ndarray,
    has_target_P: np.ndarray,
    has_origin_P: np.ndarray,
) -> np.ndarray:
    """float64 [N, 4]: probability of target and origin, place and probability of the most probable of all."""
    num_texts = len(starts_N) - 1
    result = np.zeros((num_texts, 4))
    longest = 1
    for row in range(num_texts):
        longest = max(longest, starts_N[row + 1] - starts_N[row])
    prose = np.empty(longest, dtype=np.uint8)
    sums = np.zeros(groups_PL.shape[1] + 2)
    for row in range(num_texts):
        pair = pair_N[row]
        if not has_target_P[pair]:
            continue
        size = scan(data[starts_N[row] : starts_N[row + 1]], prose)
        has_letters = False
        for i in range(size):
            byte = prose[i]
            has_letters |= byte >= 128 or (65 <= (byte & 0xDF) <= 90)
        if not has_letters:
            continue
        _, target, _, place, score = langid_kernel.best_groups(
            prose[:size], next_R, rows_S, features_S, reach, counts_F, met_F, weights_FC, prior_C,
            groups_PL[pair], 1, sums,
        )  # fmt: skip
        result[row, 0] = target
        result[row, 1] = sums[1] if has_origin_P[pair] else 0.0
        result[row, 2] = place
        result[row, 3] = score
    return result
