"""How the gradient falls with path length: the decay measured, and what theory makes of it.

One number sums up Fig. 6b of Veit et al. (2016): the decay r, by which the norm of the gradient on a path changes
with every module that the path enters. If the norm is A r^k on each of C(n, k) paths, their sum over k is
A (1 + r)^n, and the shares of the lengths are Binomial(n, r / (1 + r)). The same weights stand in the spin-glass
model of Littwin and Wolf (2016), with their beta for r.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isfinite, log
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from unravelnet.errors import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Decay:
    """A geometric decay that was fitted: norm = `norm_at_0` · `rate`^length.

    `low`, `high`: the confidence interval of the rate. `r_squared`: the share of the variance of log norms that
    the line explains.
    """

    rate: float
    low: float
    high: float
    r_squared: float
    norm_at_0: float


def fit_decay(lengths: Sequence[float], norms: Sequence[float], confidence: float = 0.95) -> Decay:
    """Fit a geometric decay: least squares of log norm on length.

    >>> decay = fit_decay([0, 1, 2, 3], [8.0, 4.0, 2.0, 1.0])
    >>> round(decay.rate, 6), round(decay.norm_at_0, 6)
    (0.5, 8.0)

    Norms that are 0 or not finite have no logarithm and are left out. The interval is Student's, of the slope; it
    says how straight the line is, not how well each norm is known. Raises EvaluationError with fewer than two
    norms to fit.
    """
    pairs = zip(lengths, norms, strict=True)
    points = [(length, log(norm)) for length, norm in pairs if norm is not None and 0 < norm < np.inf]
    if len({length for length, _ in points}) < 2:
        raise EvaluationError(
            f"A decay needs the norms of at least two lengths; of the {len(norms)} given, {len(points)} are above "
            "0 and finite. Measure more lengths."
        )
    x, y = zip(*points, strict=True)
    line = stats.linregress(x, y)
    margin = float(stats.t.ppf((1 + confidence) / 2, len(x) - 2)) * line.stderr if len(x) > 2 else np.inf
    slope = float(line.slope)
    with np.errstate(over="ignore"):
        high = float(np.exp(slope + margin))
    r_squared = 1.0 if np.ptp(y) == 0 else float(line.rvalue**2)
    return Decay(exp(slope), float(np.exp(slope - margin)), high, r_squared, exp(float(line.intercept)))


def predicted_length(n_modules: int, decay: float) -> float:
    """Give the length at which the contributions C(n, k) r^k peak: n r / (1 + r).

    >>> round(predicted_length(54, 0.25), 3)
    10.8

    Source: Littwin and Wolf (2016), Theorem 1, in the limit of many modules; it is also the exact mean length.
    Raises EvaluationError for a decay that is negative or not finite.
    """
    _check_decay(decay)
    return n_modules * decay / (1 + decay)


def theory_weights(n_layers: int, beta: float) -> NDArray[np.float64]:
    """Give the weights of the path lengths in the loss of Littwin and Wolf (2016), section 3.

    >>> weights = theory_weights(100, 0.5)
    >>> int(weights.argmax()) + 1, round(float((weights**2).sum()), 6)
    (34, 1.0)

    eps_r = C(p - 1, r - 1) beta^r / z for r = 1 … p, with sum eps_r² = 1; index = r - 1. Every path there passes
    one more layer than modules, so that r - 1 is a length in modules of a network with p - 1 of them. `n_layers`:
    p. Raises EvaluationError for no module, or a beta that is not above 0.
    """
    if n_layers < 1 or not (isfinite(beta) and beta > 0):
        raise EvaluationError(
            f"The weights are those of 1 or more layers and a beta above 0; got {n_layers} and {beta}."
        )
    orders = np.arange(1, n_layers + 1)
    logs = _log_choose(n_layers - 1, orders - 1) + orders * log(beta)
    return np.asarray(np.exp(logs - special.logsumexp(2 * logs) / 2))


def _log_choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))


def _check_decay(decay: float) -> None:
    if not (isfinite(decay) and decay >= 0):
        raise EvaluationError(f"The decay of the gradient per module must be 0 or more; got {decay}.")
