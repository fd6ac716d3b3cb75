"""The same search on several calibration sets: how much of what they cut is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from scipy.stats import hypergeom

from unravelnet.errors import ArgumentError
from unravelnet.network import UnraveledNetwork
from unravelnet.pruning.angles import Span, parts_of
from unravelnet.pruning.result import PruningResult
from unravelnet.pruning.search import prune
from unravelnet.pruning.sizes import deleted_of
from unravelnet.records.record import Table
from unravelnet.routes.route import Route


@dataclass(frozen=True)
class Calibrations:
    """The results of one search by calibration set, and how much they have in common.

    `overlap`: a row for each pair of sets.
    """

    results: Mapping[str, PruningResult]
    overlap: Table


def prune_on_each(net: UnraveledNetwork, data: Mapping[str, Any], **options: Any) -> Calibrations:
    """Search on several calibration sets in the same way, and compare what is deleted.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=14, input_shape=(1, 8, 8), seed=0)
    >>> sets = {f"part {seed}": ("digits", seed) for seed in range(2)}
    >>> from unravelnet.measuring.sample import Sample
    >>> samples = {name: Sample(data=data, limit=60, seed=seed) for name, (data, seed) in sets.items()}
    >>> found = prune_on_each(net, samples, n_deleted=2, n_draws=0)
    >>> found.overlap["n_shared"][0] <= 2, list(found.results)
    (True, ['part 0', 'part 1'])

    `data`: the sets by name, as `prune` takes them; draw some of one data set by giving a `Sample` with a seed and a
    limit for each. `options`: those of `prune`; `report_data` is one set to report all of them on. Raises ArgumentError
    for fewer than two sets, and what `prune` raises.
    """
    if not isinstance(data, Mapping) or len(data) < 2:
        raise ArgumentError(
            "What calibration sets have in common needs two of them. Give a dict of names and data."
        )
    results = {name: prune(net, part, **options) for name, part in data.items()}
    routes = {name: found.route for name, found in results.items()}
    return Calibrations(results, overlap(routes, parts_of(net, options.get("unit", "module"))))


def overlap(routes: Mapping[str, Route], parts: Sequence[Span]) -> Table:
    """Compare the modules that routes delete, pair by pair.

    >>> full, parts = Route.full(10), [(module,) for module in range(10)]
    >>> [row] = overlap({"a": full.delete(0, 1, 2), "b": full.delete(1, 2, 3)}, parts)
    >>> row["n_shared"], row["jaccard"], round(row["jaccard_by_chance"], 3)
    (2, 0.5, 0.201)

    The Jaccard index is the share of the modules that both delete, of those that any does. By chance: its mean where
    both sets are drawn at random from what can be deleted, as many as they are. `parts`: what can be deleted, as
    modules that go together (`angles.parts_of`).
    """
    rows = []
    for (first, one), (second, other) in combinations(routes.items(), 2):
        a, b = deleted_of(one), deleted_of(other)
        n_shared, n_any = len(a & b), len(a | b)
        drawn, drawn_second, drawn_both = (
            sum(gone.issuperset(part) for part in parts) for gone in (a, b, a & b)
        )
        rows.append(
            {
                "first_set": first,
                "second_set": second,
                "n_deleted": len(a),
                "n_deleted_second": len(b),
                "n_shared": n_shared,
                "jaccard": n_shared / n_any if n_any else 1.0,
                "jaccard_by_chance": jaccard_by_chance(len(parts), drawn, drawn_second),
                "chance_of_overlap": float(hypergeom(len(parts), drawn, drawn_second).sf(drawn_both - 1)),
            }
        )
    return Table(rows)


def jaccard_by_chance(n_candidates: int, n_first: int, n_second: int) -> float:
    """Give the mean Jaccard index of two random sets of these sizes.

    >>> jaccard_by_chance(5, 5, 5), jaccard_by_chance(4, 0, 2)
    (1.0, 0.0)
    """
    shared = hypergeom(n_candidates, n_first, n_second)
    numbers = range(min(n_first, n_second) + 1)
    return float(sum(shared.pmf(k) * k / max(1, n_first + n_second - k) for k in numbers))
