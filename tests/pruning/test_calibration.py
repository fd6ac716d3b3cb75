"""What searches on several calibration sets have in common. Oracle: all pairs of sets, counted."""

from __future__ import annotations

from itertools import combinations

import pytest

import unravelnet as un
from tests.pruning.networks import images, trained
from unravelnet.errors import ArgumentError
from unravelnet.pruning.calibration import jaccard_by_chance, overlap, prune_on_each
from unravelnet.routes.route import Route


@pytest.mark.parametrize(("n", "a", "b"), [(6, 3, 3), (7, 2, 4), (5, 1, 1)])
def test_the_jaccard_index_by_chance_is_the_mean_over_all_pairs_of_sets(n, a, b):
    pairs = [(set(x), set(y)) for x in combinations(range(n), a) for y in combinations(range(n), b)]
    mean = sum(len(x & y) / len(x | y) for x, y in pairs) / len(pairs)
    assert jaccard_by_chance(n, a, b) == pytest.approx(mean)
    first = set(range(a))
    routes = {"one": Route.full(n).delete(*first), "other": Route.full(n).delete(*range(b))}
    [row] = overlap(routes, [(module,) for module in range(n)])
    as_many = sum(len(x & y) >= row["n_shared"] for x, y in pairs) / len(pairs)
    assert row["chance_of_overlap"] == pytest.approx(as_many)


def test_blocks_are_drawn_as_wholes():
    blocks = [(2 * block, 2 * block + 1) for block in range(5)]
    full = Route.full(10)
    [row] = overlap({"one": full.delete(0, 1, 4, 5), "other": full.delete(4, 5, 8, 9)}, blocks)
    pairs = [({0, 2}, set(other)) for other in combinations(range(5), 2)]
    assert (row["n_deleted"], row["n_shared"], row["jaccard"]) == (4, 2, pytest.approx(1 / 3))
    mean = sum(len(x & y) / len(x | y) for x, y in pairs) / len(pairs)
    assert row["jaccard_by_chance"] == pytest.approx(mean)
    assert row["chance_of_overlap"] == pytest.approx(sum(bool(x & y) for x, y in pairs) / len(pairs))


def test_the_same_search_on_two_sets_is_compared():
    inputs, targets = images(120)
    sets = {"first": (inputs[:60], targets[:60]), "second": (inputs[60:], targets[60:])}
    found = prune_on_each(trained(), sets, n_deleted=3, n_draws=0, batch_size=60)
    alone = un.prune(trained(), sets["first"], n_deleted=3, n_draws=0, batch_size=60)
    assert found.results["first"].route == alone.route
    deleted = [
        {step.module for step in result.route.steps if step.mode == "skip"}
        for result in found.results.values()
    ]
    [row] = found.overlap
    assert row["jaccard"] == pytest.approx(len(deleted[0] & deleted[1]) / len(deleted[0] | deleted[1]))


def test_one_set_is_compared_with_nothing():
    with pytest.raises(ArgumentError, match="needs two of them"):
        prune_on_each(trained(), {"only": images(20)}, n_deleted=1)
