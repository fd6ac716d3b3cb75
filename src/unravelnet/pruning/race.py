"""Finds the best of many candidates on a few of the images: who surely lost is measured no further.

Candidates are compared image by image on the same images, the first ones; the number of images grows by a factor from
round to round. Who is surely worse than the leader leaves the race. Who is left in the end is known on all images, so
the choice is that of measuring every candidate on all of them, but for the chance of leaving too early.

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

    `change`: the estimated change of the metric, over all images. `residual`: of the images that are known, what the
    forecast does not explain. `forecast_variance`: of the mean of the forecast. `completed`: the change of each image,
    known or forecast.
    """

    change: float
    residual: Values
    forecast_variance: float
    completed: Values

    def variance(self, n_images: int) -> float:
        """Give the variance of `change`."""
        return _variance_of_mean(self.residual, n_images) + self.forecast_variance


@dataclass
class Race(Generic[_Candidate]):
    """Races of candidates that follow each other, each with what the one before has learned.

    `z`: a candidate leaves when it is worse than the leader by so many standard errors; with infinity none leaves
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
            for candidate in racing:
                changed = self.evidence.values(route_of(candidate))[:n_known] - before[:n_known]
                standings[candidate] = self._standing(self.forecasts.get(candidate), changed, before)
            racing.sort(key=lambda candidate: (standings[candidate].change, place[candidate]))
            racing = self._still_racing(racing, standings, n_best)
            if len(racing) <= n_best:
                break
        self.forecasts = standings
        return [(candidate, standings[candidate].change) for candidate in racing[:n_best]]

    def _standing(self, forecast: Standing | None, changed: Values, before: Values) -> Standing:
        """Take the best of several estimates: plain, by the forecast, and with what regression explains of either."""
        n_images, n_known = len(before), len(changed)
        standings = [_estimated(changed, np.zeros(n_images), 0.0)]
        # How wrong the network is on an image says where deletions change much; bounded, as losses have long tails.
        covariates = [before / (1 + np.abs(before))]
        if forecast is not None:
            covariates.append(forecast.completed)
            error = forecast.variance(n_images) if n_known < n_images else 0.0
            standings.append(_estimated(changed, forecast.completed, error))
        if _FEWEST_FOR_REGRESSION <= n_known < n_images:
            standings.append(_regressed(standings[-1], changed, covariates))
        return min(standings, key=lambda standing: standing.variance(n_images))

    def _still_racing(
        self, ranked: Sequence[_Candidate], standings: Mapping[_Candidate, Standing], n_best: int
    ) -> list[_Candidate]:
        if len(ranked) <= n_best:
            return list(ranked)
        last = standings[ranked[n_best - 1]]
        return [*ranked[:n_best], *(c for c in ranked[n_best:] if not self._is_beaten(standings[c], last))]

    def _is_beaten(self, standing: Standing, leader: Standing) -> bool:
        n_images = self.evidence.n_images
        difference = _variance_of_mean(standing.residual - leader.residual, n_images)
        error = math.sqrt(difference + standing.forecast_variance + leader.forecast_variance)
        # Without any error, as where all images are known, equal ones stay in.
        return standing.change - leader.change > (self.z * error if error else 0.0)


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


def _estimated(changed: Values, expected: Values, forecast_variance: float) -> Standing:
    """Estimate a mean by what was expected, and by how much it was off where the truth is known."""
    residual = changed - expected[: len(changed)]
    completed = np.concatenate([changed, expected[len(changed) :] + residual.mean()])
    change = changed.mean() if len(changed) == len(expected) else expected.mean() + residual.mean()
    return Standing(float(change), residual, forecast_variance, completed)


def _regressed(standing: Standing, changed: Values, covariates: Sequence[Values]) -> Standing:
    """Estimate what is off by covariates that are known on all images: a regression estimator, with a ridge."""
    known = slice(len(changed))
    design = np.stack(
        [(values - values[known].mean()) / (values[known].std() + _TINY) for values in covariates]
    )
    squares = design[:, known] @ design[:, known].T + np.eye(len(design))
    off = standing.residual - standing.residual.mean()
    explained = np.linalg.solve(squares, design[:, known] @ off) @ design
    # Each coefficient takes a degree of freedom.
    spread = math.sqrt((len(changed) - 1) / (len(changed) - 1 - len(design)))
    completed = np.concatenate([changed, standing.completed[len(changed) :] + explained[len(changed) :]])
    return Standing(
        standing.change + float(explained.mean()),
        spread * (off - explained[known]),
        standing.forecast_variance,
        completed,
    )


def _variance_of_mean(sample: Values, n_images: int) -> float:
    """Give the variance of the mean of a sample that is drawn from so many without replacement."""
    if len(sample) < 2:
        return 0.0 if len(sample) == n_images else math.inf
    return float(sample.var(ddof=1)) * (1 / len(sample) - 1 / n_images)
