"""A map that carries vectors of older weights into the space of today's.

Training turns and stretches the space as a whole much more than it moves one document against its neighbours. The
whole can be learnt from a few thousand documents that were encoded both then and now, and applied to millions for
the price of one matrix product. What a map cannot know is what became of a single document; so its error is
measured on documents that it was not fitted on, and told.

The map is affine, fitted by ridge regression towards the identity: with few documents it leaves vectors where they
are, and does not pull them to zero. What comes out is cut or stretched to one length for all, the mean cosine of a
carried vector with the true one: at length 1 carried documents would score higher than those that were encoded
again, and a choice among both would favour what is known least; with lengths of their own they are ranked worse. A
map is always fitted from vectors as they were encoded, never from vectors that were carried: errors do not add up.
"""

from dataclasses import dataclass, replace

import numpy as np

# S documents encoded both then and now, H of them held out, N documents, W queries, D dimensions


@dataclass(frozen=True)
class SpaceMap:
    """x A + b, cut to `length`; float32."""

    matrix_DD: np.ndarray
    shift_D: np.ndarray
    length: float

    def __call__(self, vectors_ND: np.ndarray) -> np.ndarray:
        """float32 [N, D]: expected vectors of now, all of the same length."""
        moved_ND = vectors_ND.astype(np.float32, copy=False) @ self.matrix_DD + self.shift_D
        return self.length * moved_ND / np.maximum(np.linalg.norm(moved_ND, axis=1, keepdims=True), 1e-12)


def fit_map(then_SD: np.ndarray, now_SD: np.ndarray, *, ridge: float) -> SpaceMap:
    """Least squares of now - then, in float64, with a penalty of `ridge` times the mean variance of a dimension of
    `then_SD`.
    """
    assert then_SD.shape == now_SD.shape and len(then_SD), "a map is fitted on pairs"
    then, moved = then_SD.astype(np.float64), now_SD.astype(np.float64) - then_SD
    mean_then, mean_moved = then.mean(0), moved.mean(0)
    then, moved = then - mean_then, moved - mean_moved
    covariance_DD = then.T @ then / len(then)
    penalty = max(ridge * float(np.trace(covariance_DD)) / len(covariance_DD), 1e-12)
    covariance_DD[np.diag_indices(len(covariance_DD))] += penalty
    matrix_DD = np.linalg.solve(covariance_DD, then.T @ moved / len(then))
    shift_D = mean_moved - mean_then @ matrix_DD
    matrix_DD[np.diag_indices(len(matrix_DD))] += 1
    whole = SpaceMap(matrix_DD.astype(np.float32), shift_D.astype(np.float32), 1.0)
    length = float((whole(then_SD) * now_SD).sum(1).mean())
    return replace(whole, length=min(1.0, max(0.0, length)))


@dataclass(frozen=True)
class Fit:
    """A map, and what it is worth on documents that it was not fitted on."""

    map: SpaceMap
    drift: float
    """Mean 1 - cosine of vectors then and now."""
    error: float
    """The same of carried vectors and those of now."""
    off_HD: np.ndarray
    """float32: carried vectors minus those of now."""

    def score_error(self, query_WD: np.ndarray) -> float:
        """Root mean square of what is wrong with a score of one of these queries."""
        return float(np.sqrt(np.square(query_WD.astype(np.float32) @ self.off_HD.T).mean()))


def fit_and_check(then_SD: np.ndarray, now_SD: np.ndarray, *, ridge: float, held_out: float = 0.2) -> Fit:
    """Measures on the last part of the pairs (at least one), with a map of the others; the map that is returned is
    fitted on all of them.
    """
    assert len(then_SD) > 1, "one pair to fit and one to check"
    num_fit = len(then_SD) - max(1, round(held_out * len(then_SD)))
    then_HD, now_HD = then_SD[num_fit:].astype(np.float32), now_SD[num_fit:].astype(np.float32)
    carried_HD = fit_map(then_SD[:num_fit], now_SD[:num_fit], ridge=ridge)(then_HD)
    return Fit(
        map=fit_map(then_SD, now_SD, ridge=ridge),
        drift=1 - float((then_HD * now_HD).sum(1).mean()),
        error=1 - float(((carried_HD * now_HD).sum(1) / np.linalg.norm(carried_HD, axis=1)).mean()),
        off_HD=carried_HD - now_HD,
    )
