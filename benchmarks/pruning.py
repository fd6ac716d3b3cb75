"""Greedy pruning to half of the modules: what racing saves against measuring every candidate, and what it chooses."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from benchmarks.measure import Row, seconds
from unravelnet.data.source import PartSource, open_source
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.metrics import find_metrics
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import Output
from unravelnet.precision import Precision
from unravelnet.pruning.budget import Budget
from unravelnet.pruning.evidence import Evidence
from unravelnet.pruning.sizes import Sizes
from unravelnet.pruning.strategies.greedy import greedy, without_racing
from unravelnet.pruning.strategy import Problem


def run(
    net: UnraveledNetwork,
    data: object,
    *,
    n_deleted: int,
    precision: Precision = "bfloat16",
    checked_steps: int = 0,
) -> Iterator[Row]:
    """Search with racing, and compare the first steps with measuring every candidate on all images."""
    problem, racing = _search(net, data, n_deleted, precision, z=3.0)
    n_images, n_modules = problem.evidence.n_images, len(net.residual_modules)
    n_routes, n_branches = without_racing(n_modules, n_deleted)
    evidence = problem.evidence
    row = {
        "benchmark": "pruning",
        "case": f"greedy, {n_deleted} of {n_modules} modules, {n_images} images, {precision}",
        "seconds": racing[0],
        "share_of_image_evaluations": evidence.n_evaluations / (n_images * n_routes),
        "share_of_branches": evidence.n_branches / (n_images * n_branches),
        "changed": ", ".join(map(str, racing[1])),
    }
    if checked_steps:
        _, (_, chosen) = _search(net, data, checked_steps, precision, z=math.inf)
        row |= {
            "conclusions": checked_steps,
            "conclusions_changed": sum(a != b for a, b in zip(racing[1], chosen, strict=False)),
        }
    yield row


def _search(
    net: UnraveledNetwork, data: object, n_deleted: int, precision: Precision, *, z: float
) -> tuple[Problem, tuple[float, list[int]]]:
    source = open_source(data)
    assert source is not None
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    metrics = find_metrics(["loss", "error_rate"])
    bench = Bench(net, precision=precision)
    evidence = Evidence(
        bench, PartSource(source, order), metrics, Output().chosen_from(net.outputs), batch_size=128
    )
    candidates = tuple(range(len(net.residual_modules)))
    problem = Problem(net, evidence, Sizes(net, evidence.one_example()), Budget(n_deleted), candidates)

    def search() -> list[int]:
        found = []
        for cut in greedy(z=z).search(problem):
            evidence.measure([cut.route], evidence.n_images)
            found += cut.modules
            print(
                len(found), cut.modules[0], f"{evidence.mean(cut.route):.4f}", evidence.n_branches, flush=True
            )
            if len(found) == n_deleted:
                break
        return found

    spent, found = seconds(search)
    return problem, (spent, found)
