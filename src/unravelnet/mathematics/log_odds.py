"""A small change of a cross entropy, carried on by the log odds.

The cross entropy of one prediction is log(1 + exp(s)), where s are the log odds against its target. Where a network is
sure the loss is flat, and its gradient says little of a large change. The log odds change more evenly: what the
gradient says of the loss is turned into a change of s, and s back into a loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
# Below, a loss and its gradient have no digits left in float32, and their ratio is rounding: no larger change of s is
# believed either.
_SMALLEST_LOSS, _LARGEST_CHANGE = 1e-7, 8.0
# How sharply errors begin at s = 0: s counts all other classes, and an error needs a single one that is likelier.
_STEEPNESS = 2.0


def carried_on(losses: _Array, rises: _Array) -> _Array:
    """Give the rise of each loss when its rise to first order is carried on by the log odds.

    >>> carried_on(np.array([0.7, 1e-3]), np.array([0.0, 0.01])).round(4).tolist()
    [0.0, 1.3809]
    """
    odds, changed = _odds(losses, rises)
    with np.errstate(invalid="ignore"):  # a rise that is NaN stays so
        rise: _Array = np.logaddexp(0, changed) - np.logaddexp(0, odds)
    return rise


def errors_carried_on(losses: _Array, rises: _Array) -> _Array:
    """Give the probability that each prediction is an error when its rise to first order is carried on by the log odds.

    >>> errors_carried_on(np.array([0.1, 0.1]), np.array([0.0, 1.0])).round(2).tolist()
    [0.01, 1.0]
    """
    return _logistic(_STEEPNESS * _odds(losses, rises)[1])


def _odds(losses: _Array, rises: _Array) -> tuple[_Array, _Array]:
    known = np.maximum(losses, _SMALLEST_LOSS)
    odds = np.log(np.expm1(known))
    # The loss rises by 1 - exp(-loss), the probability of all other classes, where s rises by one.
    return odds, odds + np.clip(-rises / np.expm1(-known), -_LARGEST_CHANGE, _LARGEST_CHANGE)


def _logistic(x: _Array) -> _Array:
    with np.errstate(invalid="ignore"):
        logistic: _Array = np.exp(-np.logaddexp(0, -x))
    return logistic
