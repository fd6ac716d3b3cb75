"""What the gradient by path length owes to its images: intervals of shares, and of the shape of the decay.

All lengths are measured on the same images, so their norms err together. Intervals of numbers that are made from
several lengths are therefore those of images drawn again, each with the norms of all its lengths. Shapes: L lengths,
B resamples, S subjects (images, or batches).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from unravelnet.mathematics.resampling import percentile_interval, resampled_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unravelnet.records.record import Row

# A local decay is that of the lengths at most so many modules away.
_NEAR = 4


def add_shared(
    rows: list[Row],
    norms_LS: NDArray[np.float64],
    name: str,
    *,
    seed: int,
    confidence: float,
    counts: Sequence[int] | None = None,
) -> None:
    """Add the shares of the gradient up to each length.

    `name`: of the column. `counts`: paths of each length that the norm is the mean of; None where it is that of their
    sum.
    """
    means_BL = _means(norms_LS, seed)
    log_counts = np.array([math.log(count) if count else -math.inf for count in counts or [1] * len(rows)])
    with np.errstate(divide="ignore"):
        logs_BL = log_counts + np.log(means_BL)
    if not np.isfinite(logs_BL[0]).any():
        return
    # NaN for a resample of images without any gradient.
    with np.errstate(invalid="ignore"):
        shares_BL = np.exp(logs_BL - logsumexp(logs_BL, axis=1, keepdims=True)).cumsum(axis=1)
    _add(rows, name, np.minimum(shares_BL, 1.0), confidence)


def add_shape(rows: list[Row], norms_LS: NDArray[np.float64], *, seed: int, confidence: float) -> None:
    """Add how the norm falls: the factor near each length, and how far the whole is from a straight line."""
    with np.errstate(divide="ignore"):
        logs_BL = np.log(_means(norms_LS, seed))
    lengths = np.array([float(str(row["length"])) for row in rows])
    is_known = np.isfinite(logs_BL[0])
    local_BL = np.full(logs_BL.shape, np.nan)
    for place, length in enumerate(lengths):
        near = is_known & (np.abs(lengths - length) <= _NEAR)
        if near.sum() > 1:
            local_BL[:, place] = np.exp(_coefficients(lengths[near], logs_BL[:, near], degree=1))
    _add(rows, "local_decay", local_BL, confidence)
    curvature_B = np.full(len(logs_BL), np.nan)
    if is_known.sum() > 2:
        curvature_B = _coefficients(lengths[is_known], logs_BL[:, is_known], degree=2)
    _add(rows, "curvature", np.repeat(curvature_B[:, None], len(rows), axis=1), confidence)


def _means(norms_LS: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Give the means of the sample itself, and below those of its resamples, where it can be resampled."""
    own = norms_LS.mean(axis=1)[None]
    return np.concatenate([own, resampled_means(norms_LS, seed)]) if norms_LS.shape[1] > 1 else own


def _coefficients(
    lengths: NDArray[np.float64], logs_BL: NDArray[np.float64], *, degree: int
) -> NDArray[np.float64]:
    """Fit a polynomial by least squares and give its highest coefficient; NaN for a resample without any gradient."""
    centred = lengths - lengths.mean()
    is_finite_B = np.isfinite(logs_BL).all(axis=1)
    found_B = np.full(len(logs_BL), np.nan)
    found_B[is_finite_B] = np.linalg.pinv(np.vander(centred, degree + 1))[0] @ logs_BL[is_finite_B].T
    return found_B


def _add(rows: list[Row], name: str, values_BL: NDArray[np.float64], confidence: float) -> None:
    """Add a column with its interval; the first of the values is that of the sample itself."""
    unknown = np.full(len(rows), np.nan)
    low, high = percentile_interval(values_BL[1:], confidence) if len(values_BL) > 1 else (unknown, unknown)
    for row, *ends in zip(rows, values_BL[0], low, high, strict=True):
        found = [float(end) if np.isfinite(end) else None for end in ends]
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
