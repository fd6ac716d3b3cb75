"""From the norms of many measurements to columns of a table: means, root mean squares, shares, intervals.

Norms fall by tens of decades over the lengths: squares are taken of what has been divided by the largest. Shapes:
L lengths, M measurements (images, or batches), D draws for each.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from unravelnet.gradient.resampling import add_shape, add_shared
from unravelnet.mathematics.intervals import Interval, mean_interval
from unravelnet.records.record import Row

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def add_sums(rows: list[Row], norms_LM: NDArray[np.float64], confidence: float, seed: int) -> None:
    """Add the norm of the sum over all paths of a length, and its share of the sum of these norms.

    `seed`: of the images that are drawn again for the share up to a length.
    """
    for row, norms in zip(rows, norms_LM, strict=True):
        _add_mean(row, "length_gradient_norm", norms, confidence)
    total = sum(row["length_gradient_norm"] for row in rows)
    for row in rows:
        row["length_share"] = row["length_gradient_norm"] / total if total else math.nan
    add_shared(rows, norms_LM, "cumulative_length_share", seed=seed, confidence=confidence)


def add_paths(
    rows: list[Row],
    norms_LM: NDArray[np.float64],
    subjects_M: NDArray[np.int64],
    confidence: float,
    seed: int,
) -> None:
    """Add the mean norm of single paths, and what all paths of a length contribute at that norm.

    `subjects_M`: which image, or batch, each measurement is of. Several paths of one image are no independent
    measurements of the network: the interval is that of the means of images. `seed`: of the images that are drawn
    again for what is made from several lengths.
    """
    n_measured = np.bincount(subjects_M)
    norms_LS = np.stack([np.bincount(subjects_M, norms) / n_measured for norms in norms_LM])
    for row, norms in zip(rows, norms_LS, strict=True):
        _add_mean(row, "path_gradient_norm", norms, confidence)
        if not row["path_count"]:
            row |= dict.fromkeys(("path_gradient_norm", "path_gradient_norm_low", "path_gradient_norm_high"))
    logs = [_log(row["path_count"]) + _log(row["path_gradient_norm"] or 0) for row in rows]
    total = float(logsumexp(logs)) if max(logs) > -math.inf else math.nan
    for row, value in zip(rows, logs, strict=True):
        contribution = float(np.exp(value))
        row["length_contribution"] = contribution
        row["share"] = math.exp(value - total) if total == total else math.nan
        if "length_gradient_norm" in row:
            row["coherence"] = row["length_gradient_norm"] / contribution if contribution else None
    counts = [row["path_count"] or 0 for row in rows]
    add_shared(rows, norms_LS, "cumulative_share", counts=counts, seed=seed, confidence=confidence)
    add_shape(rows, norms_LS, seed=seed, confidence=confidence)


def add_quantiles(rows: list[Row], norms_LM: NDArray[np.float64]) -> None:
    """Add quantiles of the norms of single paths."""
    for row, norms in zip(rows, norms_LM, strict=True):
        for share in _QUANTILES:
            value = float(np.quantile(norms, share)) if row["path_count"] else None
            row[f"path_gradient_norm_q{round(100 * share):02d}"] = value


def add_root_mean_squares(rows: list[Row], signed_DLM: NDArray[np.float64], confidence: float) -> None:
    """Add the root mean square norm of all paths: under random signs, the mean square of their sum is their number
    times that of one path. The standard error is that of the draws; the interval is that of images.
    """
    n_draws = len(signed_DLM)
    for length, row in enumerate(rows):
        names = [f"path_gradient_rms{end}" for end in ("", "_low", "_high", "_se")]
        if not row["path_count"]:
            row |= dict.fromkeys(names)
            continue
        # By logarithms: counts have hundreds of digits in deep networks.
        norms_DM = signed_DLM[:, length] * math.exp(-math.log(row["path_count"]) / 2)
        size = float(norms_DM.max()) or 1.0
        squares_DM = (norms_DM / size) ** 2
        root = math.sqrt(squares_DM.mean())
        spread = float(squares_DM.mean(axis=1).std(ddof=1)) / math.sqrt(n_draws) if n_draws > 1 else math.nan
        low, high = _interval(squares_DM.mean(axis=0), confidence)
        error = spread / (2 * root) if root else 0.0
        values = (root, math.sqrt(max(0.0, low)), math.sqrt(high), error)
        row |= {name: size * value for name, value in zip(names, values, strict=True)}


def _add_mean(row: Row, name: str, values: NDArray[np.float64], confidence: float) -> None:
    size = float(np.abs(values).max()) or 1.0
    low, high = _interval(values / size, confidence)
    row |= {name: float(values.mean()), f"{name}_low": max(0.0, low) * size, f"{name}_high": high * size}


def _interval(values: NDArray[np.float64], confidence: float) -> Interval:
    return mean_interval(float(values.sum()), float((values**2).sum()), len(values), confidence)


def _log(number: float) -> float:
    return math.log(number) if number else -math.inf
