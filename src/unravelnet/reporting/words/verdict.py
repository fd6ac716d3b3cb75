"""How a verdict follows from intervals: the thresholds, the rules, and the statistics they need.

A number is *surely* above a threshold when its whole interval is. What the thresholds are compared with is in the
modules of claims.
"""

from __future__ import annotations

from math import atanh, isfinite, isnan, sqrt, tanh
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.stats import binom, norm, spearmanr

from unravelnet.mathematics.intervals import mean_interval, rate_interval
from unravelnet.papers import he, veit
from unravelnet.reporting.words.sentences import percent, points, threshold

Verdict = Literal[
    "agrees", "agrees in kind", "does not agree", "not decided", "not comparable", "not measured"
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

SIGNS: dict[Verdict, str] = {
    "agrees": "✓",
    "agrees in kind": "≈",
    "does not agree": "✗",
    "not decided": "?",
    "not comparable": "≠",
    "not measured": "–",
}

NOTICEABLE = 0.05
"""A change of the error of this much, 5 points, is noticeable."""
SMALL = 0.01
"""A change of the error by less than this, 1 point, is none to speak of."""
AT_CHANCE = 0.05
"""An error at most this far below guessing, 5 points, is at chance level."""
COLLAPSE = 1 / 4
"""A step that loses more than this share of what was learnt is a collapse."""
LEARNT = 4 * NOTICEABLE
"""The least distance of a network from guessing that allows to see it lose something: 20 points."""
MOST = 0.9
"""A claim about every module agrees in kind if it surely holds for this share of them."""
NEAR = 0.02
"""An error all of whose interval lies within this of the paper's, 2 points, agrees in kind."""

EQUAL = 0.01
"""Errors of two ways of training that differ by at most this, 1 point, are equal for practical purposes."""

_CONFIDENCE = 0.95


def by_share(holds: pd.Series, fails: pd.Series, *, what: str) -> tuple[Verdict, str]:
    """Judge a claim about every module from those for which it surely holds, and surely fails."""
    n, n_holds, n_fails = len(holds), int(holds.sum()), int(fails.sum())
    counts = f"{n_holds} of {n} surely {what}; of {n_fails} it is surely not so."
    if n_holds == n:
        return "agrees", f"All {n} surely {what}."
    if n_holds >= MOST * n:
        return "agrees in kind", counts
    if n_fails > (1 - MOST) * n:
        return "does not agree", counts
    return "not decided", f"{counts} The other intervals reach both sides of the threshold."


def of_all_or_some(holds: pd.Series, opposite: pd.Series, *, what: str) -> tuple[Verdict, str]:
    """Judge a claim about a few modules: of all, of some without a surely opposite one, or of none."""
    counts = f"{int(holds.sum())} of {len(holds)} {what}, {int(opposite.sum())} surely the opposite."
    if holds.all():
        return "agrees", counts
    if opposite.any():
        return "does not agree", counts
    return ("agrees in kind" if holds.any() else "not decided"), counts


def of_steps(levels: pd.DataFrame, *, most: float, grows: bool, falls: bool) -> tuple[Verdict, str]:
    """Judge whether an error grows without a collapse from its levels, each with low and high.

    `most`: the largest step that is no collapse. `grows`, `falls`: whether it surely does so over all levels.
    """
    before, after = levels.iloc[:-1].reset_index(drop=True), levels.iloc[1:].reset_index(drop=True)
    steps, largest = after["value"] - before["value"], (after["value"] - before["value"]).max()
    step = f"the largest step is {points(largest)} points, the threshold {points(most, signed=False)}"
    if falls:
        return "does not agree", "The error surely falls."
    if (after["low"] - before["high"] > most).any():
        return "does not agree", f"One step is surely a collapse: {step}."
    if not grows:
        return (
            "not decided",
            "Whether the error grows is not clear: the interval of the correlation reaches 0.",
        )
    if (after["high"] - before["low"] < most).all():
        return "agrees", f"It surely grows, and no step is a collapse: {step}."
    if (steps < most).all():
        return "agrees in kind", f"It surely grows; that no step is a collapse is likely, not sure: {step}."
    return "not decided", f"It surely grows, but a step may be a collapse: {step}."


def of_loss(lost: pd.Series) -> tuple[Verdict, str]:
    """Judge whether less than a third, or at least less than half, of what was learnt is lost."""
    low, high = f"{100 * lost['low']:.0f}", f"{100 * lost['high']:.0f}"
    interval = f"({low} to {high})" if isfinite(lost["low"]) else "(too few draws for an interval)"
    why = f"It lost {100 * lost['value']:.0f} % {interval} of what was learnt.".replace("-", "\u2212")
    if lost["high"] < 1 / 3:
        return "agrees", why
    if lost["high"] < 1 / 2:
        return "agrees in kind", why
    return ("does not agree" if lost["low"] > 1 / 2 else "not decided"), why


def of_error(intact: pd.Series) -> tuple[Verdict, str]:
    """Compare an error with the paper's, whose interval follows from its 10,000 test images."""
    error, n_images = veit.FULL_ERROR.share, he.N_TEST_IMAGES.count
    low, high = rate_interval(round(error * n_images), n_images)
    ends = f"{points(low, signed=False)} to {points(high, signed=False)}"
    paper = f"that of the paper's {veit.FULL_ERROR.text} is {ends}"
    if isnan(intact["low"]):
        return "not decided", "There is no interval."
    is_near = max(abs(intact["low"] - error), abs(intact["high"] - error)) < NEAR
    if intact["low"] <= high and low <= intact["high"]:
        wide = "" if is_near else f" The interval reaches further than {threshold(NEAR)}: too few images."
        return ("agrees" if is_near else "not decided"), f"The intervals overlap; {paper}.{wide}"
    away = f"The error differs from the paper's by {points(intact['value'] - error)} points."
    why = f"The intervals do not overlap; {paper}. {away}"
    return ("agrees in kind" if is_near else "does not agree"), why


def of_equal_errors(difference: pd.Series) -> tuple[Verdict, str]:
    """Judge whether two ways of training end with equal errors, from the difference to the usual way."""
    low, high = difference["low"], difference["high"]
    if not isfinite(low):
        return "not decided", "There is no interval."
    is_within = low >= -EQUAL and high <= EQUAL
    if is_within and low <= 0 <= high:
        return "agrees", f"The interval contains 0 and lies within {threshold(EQUAL)} of it."
    if high < 0:
        return "agrees in kind", "It is surely better, which is more than no difference."
    if is_within:
        return "agrees in kind", f"It is surely worse, but surely by less than {threshold(EQUAL)}."
    if low > EQUAL:
        return "does not agree", f"It is surely worse by more than {threshold(EQUAL)}."
    worse = "It is surely worse; whether" if low > 0 else "Whether there is a difference, and whether"
    return "not decided", f"{worse} by more than {threshold(EQUAL)}, the interval leaves open."


def of_lower(difference: pd.Series) -> tuple[Verdict, str]:
    """Judge whether the first of two is lower, from its difference to the second."""
    if difference["high"] < 0:
        return "agrees", "It is surely lower: the interval lies below 0."
    if difference["low"] > 0:
        return "does not agree", "It is surely higher: the interval lies above 0."
    if not isfinite(difference["low"]):
        return "not decided", "There is no interval."
    return "not decided", "The interval reaches both sides of 0."


def weaker(first: Verdict, second: Verdict) -> Verdict:
    """Give the verdict of two that says less for a claim.

    >>> weaker("agrees", "not decided"), weaker("does not agree", "agrees in kind")
    ('not decided', 'does not agree')
    """
    order: tuple[Verdict, ...] = ("agrees", "agrees in kind", "not decided", "does not agree")
    return max(first, second, key=order.index)


def too_little(intact: pd.Series, chance: float) -> str:
    """Say so where a network is too near to guessing to lose anything; else give an empty text."""
    if chance - float(intact["value"]) >= LEARNT:
        return ""
    return (
        f"The intact network errs in {percent(intact['value'])}, guessing in {percent(chance)}: it has "
        "learnt too little to lose anything."
    )


# -- statistics --


def rank_correlation(damage: np.ndarray, errors: np.ndarray) -> tuple[float, float, float]:
    """Give Spearman's correlation with its interval: Fisher's z, variance of Bonett and Wright (2000)."""
    if len(errors) < 6 or np.ptp(damage) == 0 or np.ptp(errors) == 0:
        return 0.0, -1.0, 1.0
    rho = float(spearmanr(damage, errors).statistic)
    margin = norm.ppf((1 + _CONFIDENCE) / 2) * sqrt((1 + rho**2 / 2) / (len(errors) - 3))
    centre = atanh(min(max(rho, -0.999999), 0.999999))
    return rho, tanh(centre - margin), tanh(centre + margin)


def median_with_interval(values: np.ndarray) -> pd.Series:
    """Give the median with its interval from order statistics; without end for fewer than 6 values."""
    ordered, n = np.sort(values), len(values)
    # The largest k for which fewer than k values below the median are rarer than half of what is left out.
    k = int(binom.ppf((1 - _CONFIDENCE) / 2, n, 0.5))
    low, high = (ordered[k - 1], ordered[n - k]) if k else (-np.inf, np.inf)
    return pd.Series({"value": float(np.median(values)), "low": float(low), "high": float(high)})


def mean_with_interval(values: np.ndarray) -> pd.Series:
    """Give the mean with Student's interval; without end for fewer than 2 values."""
    low, high = mean_interval(float(values.sum()), float((values**2).sum()), len(values), _CONFIDENCE)
    return pd.Series({"value": float(values.mean()), "low": low, "high": high})
