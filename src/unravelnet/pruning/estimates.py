"""Deletion effects from few exact deletions: first-order estimates on the whole sample, corrected where both are known.

The gradient of every image foresees what it loses without a module, in one backward pass for all modules. How far it
errs is measured on a part of the sample, batch by batch, until the interval is narrow enough or lies on one side of a
threshold. Images that deletions are expected to change much are measured more often than the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unravelnet.costs import check_half_width
from unravelnet.errors import EvaluationError
from unravelnet.gradient.linearised import fixed
from unravelnet.gradient.loss import LossOfOutput
from unravelnet.mathematics.log_odds import carried_on, errors_carried_on
from unravelnet.mathematics.looks import Looks, decide
from unravelnet.mathematics.prediction_powered import PoweredMean, powered_mean
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import UnraveledNetwork
from unravelnet.pruning.deletions import measure, routes_without
from unravelnet.readers.importance import EFFECTS
from unravelnet.records.record import Row
from unravelnet.routes.route import Route

_Array = np.ndarray[Any, Any]
# Before so many images the normal approximation of a mean is not trusted.
_FIRST_LOOK = 256


@dataclass(frozen=True)
class StoppingRule:
    """When the effect of a deletion is known well enough: what comes first of the two, else the end of the sample.

    `until_ci`: half the width of its interval. `until_decided`: a threshold, on one side of which the interval lies;
    looks are then at planned numbers of images only.
    """

    until_ci: float | None
    until_decided: float | None
    confidence: float

    def __post_init__(self) -> None:
        check_half_width(self.until_ci)
        if not 0 < self.confidence < 1:
            raise EvaluationError(f"The confidence is {self.confidence}; give a number between 0 and 1.")
        if self.until_decided is not None and not np.isfinite(self.until_decided):
            raise EvaluationError(
                f"until_decided is {self.until_decided}; give a finite threshold, such as 0.01 for one point of error."
            )

    def level(self, n: int) -> float:
        """Give the confidence of one look at a sample of n images: at a threshold it is looked several times."""
        return self.confidence if self.until_decided is None else self._looks(n).confidence(self.confidence)

    def is_due(self, n: int, n_before: int, n_sample: int) -> bool:
        """Whether to look at n images, the last batch having begun at `n_before`."""
        if self.until_decided is None:
            return self.until_ci is not None and n >= min(_FIRST_LOOK, n_sample)
        return any(n_before < size <= n for size in self._looks(n_sample).sizes)

    def is_met(self, found: PoweredMean) -> bool:
        """Whether what is known at a look is enough."""
        if self.until_decided is not None and (
            decide(found.interval, self.until_decided) != "open" or self._stays_open(found)
        ):
            return True
        return self.until_ci is not None and found.interval.half_width <= self.until_ci

    def _stays_open(self, found: PoweredMean) -> bool:
        """Whether the interval of all images of the sample will hold the threshold, whatever the others are."""
        assert self.until_decided is not None
        off = abs(found.value - self.until_decided)
        return self.until_ci is None and off + found.margin_of_rest < found.margin_of_all

    def _looks(self, n: int) -> Looks:
        return Looks.planned(n, first=min(_FIRST_LOOK, n))


def foreseen(rises: _Array, losses: _Array, errors: _Array, *, is_odds: bool) -> dict[str, _Array]:
    """Foresee the rise of each image's loss and error without each module, from its rise to first order.

    >>> found = foreseen(np.array([[0.1, 0.5]]), np.array([0.1, 0.7]), np.array([0, 1]), is_odds=True)
    >>> found["deletion"].round(2).tolist(), found["deletion_error_rate"].round(2).tolist()
    ([[0.16, 0.62]], [[0.08, -0.12]])

    `rises`: shape (modules, images). `losses`, `errors`: of the intact network. `is_odds`: whether the losses are cross
    entropies, to be carried on by the log odds.
    """
    if not is_odds:
        return dict.fromkeys(EFFECTS, rises)
    return {
        "deletion": carried_on(losses, rises),
        "deletion_error_rate": errors_carried_on(losses, rises) - errors,
    }


def expected_spread(effect: str, predictions: _Array) -> _Array:
    """Say how much the effects of deletions on each image may differ from their predictions: one number an image.

    >>> expected_spread("deletion", np.array([[0.3, 0.0], [-0.3, 0.0]])).tolist()
    [0.3, 0.0]

    `predictions`: shape (modules, images). A rise of the loss is foreseen the worse the larger it is; an error that
    comes with a probability of p has the variance p (1 - p).
    """
    if effect == "deletion_error_rate":
        changes = np.abs(predictions).clip(0, 1)
        squares = changes * (1 - changes)
    else:
        squares = np.square(predictions)
    spread: _Array = np.sqrt(squares.mean(axis=0))
    return spread


@dataclass(frozen=True)
class Correcting(Measurement):
    """Exact effects of deletions on the first images of a sample in random order, each until it is known.

    `predictions`: by the name of the effect, shape (modules, images of the sample). `strata`: the stratum of each of
    these images. `effects`: those that rows have; the first one says when to stop. `begun`: the rows of all modules,
    which get further columns.
    """

    net: UnraveledNetwork
    loss: LossOfOutput
    effects: Sequence[str]
    predictions: Mapping[str, _Array]
    strata: _Array
    rule: StoppingRule
    begun: Sequence[Row]

    @property
    def trials(self) -> list[Route]:  # type: ignore[override]  # computed from a field
        return list(routes_without(self.net).values())

    def running(self, bench: Bench) -> contextlib.AbstractContextManager[None]:
        return fixed(bench.net)

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> dict[Route, Sums]:
        _, loss = self.loss.find(has_targets=shard.targets is not None)
        batch = (shard.inputs, shard.targets)
        measured = measure(net, [net.full_route, *trials], batch, loss, self.loss.output)
        intact = measured[net.full_route]
        module_of = {route: module for module, route in routes_without(net).items()}
        found = {}
        for route in trials:
            rises = [
                (own - of_intact).numpy() for own, of_intact in zip(measured[route], intact, strict=True)
            ]
            facts = {"module": module_of[route], "n_before": shard.first}
            found[route] = Sums(appended=dict(zip(EFFECTS, rises, strict=True)), facts=facts)
        return found

    def is_known(self, sums: Sums) -> bool:
        n, n_sample = int(sums.added["n_images"]), self.predictions[self.effects[0]].shape[1]
        if not self.rule.is_due(n, sums.facts["n_before"], n_sample):
            return False
        return self.rule.is_met(self._estimate(self.effects[0], sums))

    def _estimate(self, effect: str, sums: Sums) -> PoweredMean:
        exact, predicted = sums.appended[effect], self.predictions[effect][sums.facts["module"]]
        level = self.rule.level(len(predicted))
        known = np.isfinite(np.concatenate([exact, predicted[len(exact) :]]))
        return powered_mean(
            exact[known[: len(exact)]],
            predicted[known],
            level,
            strata=self.strata[known],
            is_rate=effect == "deletion_error_rate",
        )

    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        sums = {tally.sums.facts["module"]: tally.sums for tally in tallies.values() if tally.n_shards}
        return [{**row, **self._row(sums.get(row["module"]))} for row in self.begun]

    def _row(self, sums: Sums | None) -> Row:
        row: Row = {}
        for effect in self.effects:
            found = None if sums is None else self._estimate(effect, sums)
            is_known = found is not None and not np.isnan(found.value)
            row[effect] = found.value if found is not None and is_known else None
            row[f"{effect}_low"] = found.interval.low if found is not None and is_known else None
            row[f"{effect}_high"] = found.interval.high if found is not None and is_known else None
            if effect == self.effects[0]:
                row["n_exact"] = 0 if sums is None else int(sums.added["n_images"])
                row["prediction_weight"] = found.weight if found is not None and is_known else None
                if self.rule.until_decided is not None:
                    row["threshold"] = self.rule.until_decided
                    row["decision"] = (
                        decide(found.interval, self.rule.until_decided)
                        if found is not None and is_known
                        else None
                    )
        return row
