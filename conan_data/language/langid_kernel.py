"""The model of py3langid, evaluated by compiled code.

The model is an automaton over bytes, whose states name n-grams of up to six bytes, and naive Bayes over the
n-grams met. Its tables are larger than a processor's caches, so most of the time is spent waiting for the next
state. A state depends on no more bytes than the longest n-gram has, so a text can be cut into `STREAMS` parts
that are walked side by side, each begun that many bytes early; their waits overlap, and the n-grams are exactly
those of one walk.

Letters: S states, R distinct rows of transitions, F n-grams, C columns (labels, padded), G groups of labels.
"""

import numpy as np
from numba import types

from conan_data.compiling import njit

STREAMS = 4
LOGS = np.log1p(np.arange(256, dtype=np.float32))
PADDING = 16
"""Columns are padded to a multiple of it, so that a row is a whole number of vectors."""


def _array(dtype: types.Type, ndim: int = 1, *, readonly: bool = False) -> types.Type:
    return types.Array(dtype, ndim, "C", readonly=readonly)


_NEXT, _ROWS, _FEATURES = _array(types.uint32), _array(types.uint32), _array(types.int32)


@njit(types.int64(_array(types.uint32), _array(types.uint32)), cache=True)
def longest(next_R: np.ndarray, rows_S: np.ndarray) -> int:
    """The most bytes that a state depends on: the length of the longest n-gram."""
    depths = np.full(len(rows_S), -1, dtype=np.int64)
    queue = np.empty(len(rows_S), dtype=np.int64)
    depths[0] = 0
    queue[0] = 0
    size = 1
    done = 0
    while done < size:
        state = queue[done]
        done += 1
        for byte in range(256):
            reached = next_R[(np.int64(rows_S[state]) << 8) + byte]
            if depths[reached] < 0:
                depths[reached] = depths[state] + 1
                queue[size] = reached
                size += 1
    return int(depths[queue[size - 1]])


@njit(types.int64(_NEXT, _ROWS, types.int64, types.uint8), cache=True)
def _step(next_R: np.ndarray, rows_S: np.ndarray, state: int, byte: int) -> int:
    return int(next_R[(np.int64(rows_S[state]) << 8) + byte])


@njit(types.int64(_FEATURES, types.int64, _array(types.int32), _array(types.int32), types.int64), cache=True)
def _count(features_S: np.ndarray, state: int, counts_F: np.ndarray, met_F: np.ndarray, num_met: int) -> int:
    """Counts the n-gram of a state, and returns how many different ones were met."""
    feature = features_S[state]
    if feature >= 0:
        if counts_F[feature] == 0:
            met_F[num_met] = feature
            num_met += 1
        counts_F[feature] += 1
    return num_met


@njit(
    types.int64(
        _array(types.uint8, readonly=True),
        _NEXT,
        _ROWS,
        _FEATURES,
        types.int64,
        _array(types.int32),
        _array(types.int32),
    ),
    cache=True,
)
def _walk(
    text: np.ndarray,
    next_R: np.ndarray,
    rows_S: np.ndarray,
    features_S: np.ndarray,
    reach: int,
    counts_F: np.ndarray,
    met_F: np.ndarray,
) -> int:
    """Counts the n-grams of `text`, and returns how many different ones were met."""
    part = len(text) // STREAMS
    if part <= reach:
        part = 0
    first = second = third = last = 0
    if part:
        for i in range(part - reach, part):
            second = _step(next_R, rows_S, second, text[i])
            third = _step(next_R, rows_S, third, text[part + i])
            last = _step(next_R, rows_S, last, text[2 * part + i])
    num_met = 0
    for i in range(part):
        first = _step(next_R, rows_S, first, text[i])
        second = _step(next_R, rows_S, second, text[part + i])
        third = _step(next_R, rows_S, third, text[2 * part + i])
        last = _step(next_R, rows_S, last, text[3 * part + i])
        num_met = _count(features_S, first, counts_F, met_F, num_met)
        num_met = _count(features_S, second, counts_F, met_F, num_met)
        num_met = _count(features_S, third, counts_F, met_F, num_met)
        num_met = _count(features_S, last, counts_F, met_F, num_met)
    for i in range(STREAMS * part, len(text)):
        last = _step(next_R, rows_S, last, text[i])
        num_met = _count(features_S, last, counts_F, met_F, num_met)
    return num_met


@njit(
    types.void(
        types.int64,
        _array(types.int32),
        _array(types.int32),
        _array(types.float32, 2),
        _array(types.float64),
    ),
    cache=True,
    fastmath={"contract"},
)
def _add_weights(
    num_met: int, counts_F: np.ndarray, met_F: np.ndarray, weights_FC: np.ndarray, scores_C: np.ndarray
) -> None:
    """Adds the weights of the n-grams met, and sets their counts back to 0."""
    factors = np.empty(4, dtype=np.float32)
    for start in range(0, num_met, 4):
        size = min(4, num_met - start)
        for k in range(size):
            count = counts_F[met_F[start + k]]
            counts_F[met_F[start + k]] = 0
            factors[k] = LOGS[count] if count < len(LOGS) else np.log1p(np.float32(count))
        if size == 4:
            a, b = weights_FC[met_F[start]], weights_FC[met_F[start + 1]]
            c, d = weights_FC[met_F[start + 2]], weights_FC[met_F[start + 3]]
            for j in range(len(scores_C)):
                scores_C[j] += (factors[0] * a[j] + factors[1] * b[j]) + (
                    factors[2] * c[j] + factors[3] * d[j]
                )
        else:
            for k in range(size):
                a = weights_FC[met_F[start + k]]
                for j in range(len(scores_C)):
                    scores_C[j] += factors[k] * a[j]


@njit(
    types.Tuple((types.int64, types.float64, types.float64, types.int64, types.float64))(
        _array(types.uint8, readonly=True),
        _NEXT,
        _ROWS,
        _FEATURES,
        types.int64,
        _array(types.int32),
        _array(types.int32),
        _array(types.float32, 2),
        _array(types.float64),
        _array(types.int64),
        types.int64,
        _array(types.float64),
    ),
    cache=True,
)
def best_groups(
    text: np.ndarray,
    next_R: np.ndarray,
    rows_S: np.ndarray,
    features_S: np.ndarray,
    reach: int,
    counts_F: np.ndarray,
    met_F: np.ndarray,
    weights_FC: np.ndarray,
    prior_C: np.ndarray,
    groups_L: np.ndarray,
    num_inside: int,
    sums_G: np.ndarray,
) -> tuple[int, float, float, int, float]:
    """The most probable of the first `num_inside` groups, its probability and that of all these groups
    together; the most probable group of all and its probability (0: the text holds no known n-gram).

    Leaves the probability of every group in `sums_G`. `counts_F` is 0 before and after, `met_F` is scratch:
    the interpreter's lock is held, so that threads may share them.
    """
    sums_G[:] = 0.0
    num_met = _walk(text, next_R, rows_S, features_S, reach, counts_F, met_F)
    if num_met == 0:
        return 0, 0.0, 0.0, 0, 0.0
    scores_C = prior_C.copy()
    _add_weights(num_met, counts_F, met_F, weights_FC, scores_C)
    # The temperature that py3langid's probabilities were calibrated with.
    scale = 1.0 / np.sqrt(len(text))
    most = scores_C.max()
    total = 0.0
    for j in range(len(groups_L)):
        value = np.exp((scores_C[j] - most) * scale)
        sums_G[groups_L[j]] += value
        total += value
    sums_G /= total
    inside = sums_G[:num_inside]
    best, best_of_all = int(inside.argmax()), int(sums_G.argmax())
    return best, inside[best], inside.sum(), best_of_all, sums_G[best_of_all]
