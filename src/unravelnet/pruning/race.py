"""Finds the best of many candidates on a few of the images: who surely lost is measured no further.

Candidates are compared image by image on the same images, the first ones; the number of images grows by a factor from
round to round. The images are sorted into strata (`evidence`), so that those which may change much are among the first:
a few of them decide, and a random order would show them late. Who is surely worse than the leader leaves the race. Who
is left in the end is known on all images, so the choice is that of measuring every candidate on all of them, but for
the chance of leaving too early.

What deleting a module changes is much the same from one step of a search to the next. So what is known of a candidate
from the step before is its *forecast*, and a round only estimates by how much the forecast is off, from the images
that are known now: a control variate (a difference estimator, in the words of survey sampling). What regression
explains of the rest is taken off as well. Both are exact once all images are known, whatever the forecast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from scipy import stats

from unravelnet.mathematics.strata import StratifiedSample, freedom_of_sum
from unravelnet.pruning.evidence import Evidence, Values
from unravelnet.routes.route import Route

_Candidate = TypeVar("_Candidate", bound=Hashable)

FEWEST_IMAGES = 32
_GROWTH = 1.5
_FEWEST_FOR_REGRESSION = 48
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Standing:
    """What a race knows of a candidate.

    `completed`: the change of each image, known or forecast. `off`: of the images that are known, what neither forecast
    nor stratum explains. `variance`: of the mean of `completed`, but for `forecast_variance`, that of the forecast.
    `freedom`, `forecast_freedom`: the degrees of freedom with which either was estimated.
    """

    completed: Values
    off: Values
    variance: float
    freedom: float
    forecast_variance: float
    forecast_freedom: float

    @property
    def change(self) -> float:
        """The estimated change of the metric, over all images."""
        return float(self.completed.mean())


@dataclass
class Race(Generic[_Candidate]):
    """Races of candidates that follow each other, each with what the one before has learned.

    `z`: a candidate leaves when it is worse than the leader by so many standard errors, or by more where few images
    estimate them (Student's t); with infinity none leaves
    before all images are known. `forecasts`: by candidate, from the race before.
    """

    evidence: Evidence
    z: float = 3.0
    forecasts: Mapping[_Candidate, Standing] = field(default_factory=dict)

    def best(
        self,
        base: Route,
        candidates: Sequence[_Candidate],
        route_of: Callable[[_Candidate], Route],
        n_best: int = 1,
    ) -> list[tuple[_Candidate, float]]:
        """Rank candidates by what they change of the metric, the smallest first; give the best with their estimates.

        `base`: the route that candidates change. `route_of`: the route of a candidate. Of equal
        ones the first is better.
        """
        n_images, racing = self.evidence.n_images, list(candidates)
        self.evidence.measure([base], n_images)
        before = self.evidence.values(base)
        place = {candidate: number for number, candidate in enumerate(candidates)}
        standings: dict[_Candidate, Standing] = {}
        for n_known in rounds(n_images, first=n_images if math.isinf(self.z) else FEWEST_IMAGES):
            self.evidence.measure([route_of(candidate) for candidate in racing], n_known)
            sample = self.evidence.first(n_known)
            for candidate in racing:
                changed = self.evidence.values(route_of(candidate))[:n_known] - before[:n_known]
                forecast = self.forecasts.get(candidate)
                standings[candidate] = _best_standing(sample, forecast, changed, before)
            racing.sort(key=lambda candidate: (standings[candidate].change, place[candidate]))
            racing = self._still_racing(sample, racing, standings, n_best)
            if len(racing) <= n_best:
                break
        self.forecasts = standings
        return [(candidate, standings[candidate].change) for candidate in racing[:n_best]]

    def _still_racing(
        self,
        sample: StratifiedSample,
        ranked: Sequence[_Candidate],
        standings: Mapping[_Candidate, Standing],
        n_best: int,
    ) -> list[_Candidate]:
        if len(ranked) <= n_best:
            return list(ranked)
        last = standings[ranked[n_best - 1]]
        others = [c for c in ranked[n_best:] if not self._is_beaten(sample, standings[c], last)]
        return [*ranked[:n_best], *others]

    def _is_beaten(self, sample: StratifiedSample, standing: Standing, leader: Standing) -> bool:
        variances = [
            *sample.variances(standing.off - leader.off),
            standing.forecast_variance,
            leader.forecast_variance,
        ]
        error = math.sqrt(sum(variances))
        freedoms = [*sample.freedoms, standing.forecast_freedom, leader.forecast_freedom]
        # Without any error, as where all images are known, equal ones stay in.
        margin = (
            self._quantile(freedom_of_sum(variances, freedoms)) * error if 0 < error < math.inf else error
        )
        return standing.change - leader.change > margin

    def _quantile(self, freedom: float) -> float:
        """Give the standard errors that are as rare with few images as `z` is with many: Student's t."""
        return float(stats.t.ppf(stats.norm.cdf(self.z), freedom))


def rounds(n_images: int, *, first: int = FEWEST_IMAGES) -> list[int]:
    """List the numbers of images after each round.

    >>> rounds(100), rounds(20)
    ([32, 48, 72, 100], [20])
    """
    numbers, number = [], float(first)
    while round(number) < n_images:
        numbers.append(round(number))
        number *= _GROWTH
    return [*numbers, n_images]


def _best_standing(
    sample: StratifiedSample, forecast: Standing | None, changed: Values, before: Values
) -> Standing:
    """Take the best of several estimates: plain, by the forecast, and with what regression explains of either."""
    n_images, n_known = len(before), len(changed)
    standings = [_estimated(sample, changed, np.zeros(n_images), 0.0, 1.0)]
    # How wrong the network is on an image says where deletions change much; bounded, as losses have long tails.
    covariates = [before / (1 + np.abs(before))]
    if forecast is not None:
        covariates.append(forecast.completed)
        parts = [forecast.variance, forecast.forecast_variance]
        freedom = freedom_of_sum(parts, [forecast.freedom, forecast.forecast_freedom])
        error = sum(parts) if n_known < n_images else 0.0
        standings.append(_estimated(sample, changed, forecast.completed, error, freedom))
    if _FEWEST_FOR_REGRESSION <= n_known < n_images:
        standings.append(_regressed(sample, standings[-1], covariates))
    return min(standings, key=lambda standing: standing.variance + standing.forecast_variance)


def _estimated(
    sample: StratifiedSample,
    changed: Values,
    expected: Values,
    forecast_variance: float,
    forecast_freedom: float,
) -> Standing:
    """Estimate a mean by what was expected, and by how much it was off where the truth is known."""
    residual = changed - expected[: sample.n]
    of_others = sample.means(residual)[sample.strata[sample.n :]]
    completed = np.concatenate([changed, expected[sample.n :] + of_others])
    return _standing(sample, completed, sample.off(residual), forecast_variance, forecast_freedom)


def _regressed(sample: StratifiedSample, standing: Standing, covariates: Sequence[Values]) -> Standing:
    """Estimate what is off by covariates that are known on all images: a regression estimator, with a ridge."""
    weights = sample.parts[sample.known]
    weights = weights / (weights.mean() or 1.0)
    design = np.stack([_scaled(sample, values) for values in covariates])
    known = design[:, : sample.n]
    slopes = np.linalg.solve(
        (known * weights) @ known.T + np.eye(len(design)), (known * weights) @ standing.off
    )
    explained = slopes @ design
    # Each coefficient takes a degree of freedom.
    freedom = max(sample.n - len(sample.n_of), len(design) + 1)
    spread = math.sqrt(freedom / (freedom - len(design)))
    completed = standing.completed.copy()
    completed[sample.n :] += explained[sample.n :]
    off = spread * (standing.off - explained[: sample.n])
    return _standing(sample, completed, off, standing.forecast_variance, standing.forecast_freedom)


def _standing(
    sample: StratifiedSample, completed: Values, off: Values, variance: float, freedom: float
) -> Standing:
    """Add what is known of the spread of what is off."""
    variances = sample.variances(off).tolist()
    own = freedom_of_sum(variances, sample.freedoms.tolist())
    return Standing(completed, off, sum(variances), own, variance, freedom)


def _scaled(sample: StratifiedSample, values: Values) -> Values:
    """Give values as they differ from the known ones of their stratum, in units of the spread of these."""
    off: Values = values - sample.means(values[: sample.n])[sample.strata]
    return off / (off[: sample.n].std() + _TINY)
