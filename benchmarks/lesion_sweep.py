"""Delete each of 54 modules: the engine against the loop that a user would write, and against its floor."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

import unravelnet as un
from benchmarks.measure import Row, matmul_flops_per_second, seconds, shared_macs
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.walk import walk
from unravelnet.network import UnraveledNetwork
from unravelnet.routes.route import Route

BATCH_SIZES = (32, 64, 128, 256, 512)
# A loop spends the same time on every deletion: every sixth of them is timed, and the time multiplied.
EVERY = 6


@torch.no_grad()
def loop(net: UnraveledNetwork, routes: list[Route], images: Tensor, batch_size: int) -> dict[Route, Tensor]:
    """Run one full forward pass a route, batch by batch: what a user would write."""
    return {
        route: torch.cat([net(batch, route).argmax(1) for batch in images.split(batch_size)])
        for route in routes
    }


def engine_predictions(
    bench: Bench, routes: list[Route], images: Tensor, batch_size: int
) -> dict[Route, Tensor]:
    """Collect the predictions of the engine."""
    found: dict[Route, list[Tensor]] = {route: [] for route in routes}
    with bench.running():
        for batch in images.split(batch_size):
            for route, logits in walk(bench.net, routes, bench.place(batch)):
                found[route].append(logits.argmax(1))
    return {route: torch.cat(parts) for route, parts in found.items()}


def tuned(net: UnraveledNetwork, images: Tensor) -> tuple[int, torch.memory_format]:
    """Find the batch size and layout in which one forward pass of the loop is fastest."""
    trial = images[:512]
    rates = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        net.to(memory_format=layout)
        for size in BATCH_SIZES:
            laid = trial.contiguous(memory_format=layout)
            rates[size, layout] = seconds(
                lambda x=laid, s=size: loop(net, [net.full_route], x, s), repeats=2
            )[0]
    return min(rates, key=rates.__getitem__)


def run(net: UnraveledNetwork, images: Tensor, labels: Tensor) -> Iterator[Row]:
    """Measure the sweep: one row a way of doing it."""
    trials = un.studies.delete_each(net)
    routes = [trial.route for trial in trials]
    timed = routes[::EVERY]
    scale = len(routes) / len(timed)
    rates = {precision: matmul_flops_per_second(precision) for precision in ("float32", "bfloat16")}

    net.to(memory_format=torch.contiguous_format)
    ordinary, _ = seconds(lambda: loop(net, timed, images, 256))
    size, layout = tuned(net, images)
    net.to(memory_format=layout)
    best, expected = seconds(lambda: loop(net, timed, images.contiguous(memory_format=layout), size))
    net.to(memory_format=torch.contiguous_format)
    name = str(layout).removeprefix("torch.")
    yield {"benchmark": "sweep", "case": "loop, default layout, batches of 256", "seconds": ordinary * scale}
    yield {"benchmark": "sweep", "case": f"loop, {name}, batches of {size}", "seconds": best * scale}

    for precision in ("float32", "bfloat16"):
        spent, table = seconds(lambda p=precision: un.evaluate(net, trials, (images, labels), precision=p))
        bench = Bench(net, precision=precision)
        found = engine_predictions(bench, timed, images, 128)
        differing = max((found[route] != expected[route]).float().mean().item() for route in timed)
        error_rates = {row["route"]: row["error_rate"] for row in table}
        gap = max(
            abs(error_rates[str(route)] - (expected[route] != labels).float().mean().item())
            for route in timed
        )
        floor = 2 * shared_macs(net, routes) * len(images) / rates[precision]
        yield {
            "benchmark": "sweep",
            "case": f"engine, {precision}",
            "seconds": spent,
            "times_ordinary_loop": ordinary * scale / spent,
            "times_tuned_loop": best * scale / spent,
            "share_of_predictions_that_differ": differing,
            "largest_error_rate_gap": gap,
            "floor_seconds": floor,
            "share_of_floor_speed": floor / spent,
            "matmul_gflops": rates[precision] / 1e9,
        }
    yield _stopping(net, images, labels, table)


def _stopping(net: UnraveledNetwork, images: Tensor, labels: Tensor, full: un.Table) -> Row:
    """Stop each route at an interval of +-0.5 points: what is saved, and does any conclusion change?"""
    trials = un.studies.delete_each(net)
    spent, stopped = seconds(
        lambda: un.evaluate(net, trials, (images, labels), precision="bfloat16", until_ci=0.005)
    )
    changed = [a["label"] for a, b in zip(full, stopped, strict=True) if _harms(a) != _harms(b)]
    return {
        "benchmark": "sweep",
        "case": "engine, bfloat16, until_ci=0.005",
        "seconds": spent,
        "share_of_image_evaluations": sum(row["n_images"] for row in stopped)
        / sum(row["n_images"] for row in full),
        "conclusions_changed": len(changed),
        "conclusions": len(full),
        "changed": ", ".join(changed),
    }


def _harms(row: Row) -> bool:
    """The conclusion drawn of a module: its deletion raises the error."""
    return bool(row["error_rate_difference_low"] > 0)
