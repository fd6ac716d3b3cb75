"""What has been measured of each route, and where it is kept between calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unravelnet.errors import StoreError
from unravelnet.measuring.metrics import Metric
from unravelnet.precision import PRECISIONS, Precision
from unravelnet.records.store import ResultsStore, TrialProgress, canonical_text, trial_id
from unravelnet.routes.route import Route

# What is summed over predictions, for each metric; "difference" is to the intact network on the same ones.
SUMS = ("total", "squares", "difference", "difference_squares")


@dataclass
class Tally:
    """What has been measured of one route: sums of shape (metrics, 4), and over how much."""

    sums: Tensor
    n_predictions: int = 0
    n_images: int = 0
    n_not_finite: int = 0
    complete: bool = False

    def add(self, sums: Tensor, n_predictions: int, n_images: int, n_not_finite: int) -> None:
        self.sums += sums
        self.n_predictions += n_predictions
        self.n_images += n_images
        self.n_not_finite += n_not_finite


@dataclass(frozen=True)
class Ledger:
    """Keeps tallies in a results store, if there is one.

    `settings`: of each route, what its sums depend on (see `settings_by_route`).
    """

    store: ResultsStore | None
    network: str
    data: str
    settings: Mapping[Route, str]

    def id_of(self, route: Route) -> str:
        return trial_id(self.network, self.data, route, self.settings[route])

    def load(self, tallies: dict[Route, Tally], metrics: Sequence[Metric]) -> None:
        """Fill tallies with what the store knows. Raises StoreError where it knows other sums than these."""
        if self.store is None:
            return
        known = self.store.progress(self.id_of(route) for route in tallies)
        for route, tally in tallies.items():
            record = known.get(self.id_of(route))
            if record is None:
                continue
            if list(record.sums) != _names_of_sums(metrics):
                raise StoreError(
                    f"{self.store.path} holds other sums for the route {route} than this version keeps. Move the file "
                    "away to start anew."
                )
            n_predictions, n_not_finite, *sums = record.sums.values()
            tally.n_predictions, tally.n_not_finite = int(n_predictions), int(n_not_finite)
            tally.n_images, tally.complete = record.n_seen, record.complete
            tally.sums = torch.tensor(sums, dtype=torch.float64).view_as(tally.sums)

    def save(self, tallies: dict[Route, Tally], metrics: Sequence[Metric]) -> None:
        """Commit tallies in one transaction."""
        if self.store is None:
            return
        names = _names_of_sums(metrics)
        self.store.commit(
            TrialProgress(
                self.id_of(route),
                self.network,
                self.data,
                str(route),
                self.settings[route],
                tally.n_images,
                tally.complete,
                dict(
                    zip(
                        names,
                        [tally.n_predictions, tally.n_not_finite, *tally.sums.flatten().tolist()],
                        strict=True,
                    )
                ),
            )
            for route, tally in tallies.items()
        )


def precision_begun(store: ResultsStore, network: str) -> Precision | None:
    """Give the precision in which a store has measured a network so far; None where it has not, or in several."""
    found = {json.loads(text).get("precision") for text in store.settings_of(network)}
    return next((precision for precision in PRECISIONS if found == {precision}), None)


def _names_of_sums(metrics: Sequence[Metric]) -> list[str]:
    """Name the numbers that a store keeps of a route, in their order."""
    parts = [f"{metric.name}_{part}" for metric in metrics for part in SUMS]
    return ["n_predictions", "n_not_finite", *parts]


def settings_by_route(routes: Sequence[Route], settings: Mapping[str, Any]) -> dict[Route, str]:
    """Say for each route, as canonical text, what its sums depend on beside network, data and the route itself.

    `routes`: the intact one first. With `until_ci` it is measured as long as any other, so that its sums depend on
    which others there are.
    """
    intact, *others = routes
    by_route = dict.fromkeys(routes, canonical_text(settings))
    if settings["until_ci"] is not None:
        text = "\n".join(sorted(map(str, others)))
        beside = hashlib.sha256(text.encode()).hexdigest()[:16]
        by_route[intact] = canonical_text({**settings, "beside": beside})
    return by_route
