"""Keeps the sums of trials between calls, shard by shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unravelnet.errors import StoreError
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import UnraveledNetwork
from unravelnet.precision import PRECISIONS, Precision
from unravelnet.records.record import Row
from unravelnet.records.store import ResultsStore, ShardRecord, canonical_text, trial_id
from unravelnet.routes.route import Route


@dataclass(frozen=True)
class Ledger:
    """Keeps sums in a results store.

    `network`, `data`: fingerprints. `settings`: of each trial, what its sums depend on beside network, data and the
    route itself (see `settings_by_route`).
    """

    store: ResultsStore
    network: str
    data: str
    settings: Mapping[Route, str]

    def load(self, tallies: Mapping[Route, Tally], has_form: Callable[[Sums], bool]) -> None:
        """Add to tallies what the store knows. Raises StoreError where it knows other sums than these."""
        by_id = {self._id_of(route): (route, tally) for route, tally in tallies.items()}
        for record in self.store.shards(by_id):
            route, tally = by_id[record.trial_id]
            sums = Sums.of_record(record.sums)
            if not has_form(sums):
                raise StoreError(
                    f"{self.store.path} holds other sums for the route {route} than this version keeps. Move the file "
                    "away to start anew."
                )
            tally.add(record.shard, Sums({"n_images": record.n_seen}) + sums, is_last=record.complete)

    def save(self, shard: int, measured: Mapping[Route, Sums], ended: Mapping[Route, Tally]) -> None:
        """Commit the sums of a shard, and which trials end at the last shard that they have, in one transaction."""
        rows = {(route, shard): (sums, False) for route, sums in measured.items()}
        rows |= {(route, tally.n_shards - 1): (tally.last, True) for route, tally in ended.items()}
        self.store.commit(
            self._record(route, number, *of_shard) for (route, number), of_shard in rows.items()
        )

    def _id_of(self, route: Route) -> str:
        return trial_id(self.network, self.data, route, self.settings[route])

    def _record(self, route: Route, shard: int, sums: Sums, is_last: bool) -> ShardRecord:
        kept = sums.as_record()
        n_images = kept.pop("n_images")
        return ShardRecord(
            self._id_of(route),
            shard,
            self.network,
            self.data,
            str(route),
            self.settings[route],
            n_images,
            is_last,
            kept,
        )


def open_ledger(
    store: ResultsStore | None,
    net: UnraveledNetwork,
    identity: Row,
    routes: Sequence[Route],
    settings: Mapping[str, Any],
    *,
    companion: Route | None = None,
) -> Ledger | None:
    """Open the ledger of a measurement, where there is a store.

    `net`: whose means routes may use. `identity`: columns that name network and data (`runner.identity_of`).
    `settings`: what sums depend on beside them and the routes, as JSON values.
    """
    if store is None:
        return None
    means = {route: net.means_fingerprint(route) for route in routes}
    by_route = settings_by_route(routes, settings, companion=companion, means=means)
    return Ledger(store, str(identity["network"]), str(identity["data"]), by_route)


def precision_begun(store: ResultsStore, network: str) -> Precision | None:
    """Give the precision in which a store has measured a network so far; None where it has not, or in several."""
    found = {json.loads(text).get("precision") for text in store.settings_of(network)}
    found.discard(None)  # gradients are measured in float32, whatever was chosen
    return next((precision for precision in PRECISIONS if found == {precision}), None)


def settings_by_route(
    routes: Sequence[Route],
    settings: Mapping[str, Any],
    *,
    companion: Route | None,
    means: Mapping[Route, str] | None = None,
) -> dict[Route, str]:
    """Say for each route, as canonical text, what its sums depend on beside network, data and the route itself.

    A `companion` is measured as long as any other, so that its sums depend on which others there are. `means`: the
    identity of the means that stand in the place of branches on a route; empty where there are none.
    """
    by_route = dict.fromkeys(routes, canonical_text(settings))
    for route, identity in (means or {}).items():
        if identity:
            by_route[route] = canonical_text({**settings, "means": identity})
    if companion is not None:
        text = "\n".join(sorted(str(route) for route in routes if route != companion))
        beside = hashlib.sha256(text.encode()).hexdigest()[:16]
        by_route[companion] = canonical_text({**settings, "beside": beside})
    return by_route
