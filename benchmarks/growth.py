"""How time and memory grow with images, modules and routes. Each case runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

import unravelnet as un
from benchmarks.measure import Row, in_fresh_process, seconds
from unravelnet import zoo
from unravelnet.routes.route import Route


def run() -> Iterator[Row]:
    """Measure growth: images 1x, 2x, 4x; modules 18, 54, 201; routes 10, 50, 200."""
    for n_images in (128, 256, 512):
        yield in_fresh_process(_delete_each, "images", 38, n_images)
    for depth in (38, 110, 404):
        yield in_fresh_process(_delete_each, "modules", depth, 64)
    for n_routes in (10, 50, 200):
        yield in_fresh_process(_random_routes, n_routes)


def _data(n_images: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_images, 3, 32, 32, generator=generator)
    return images, torch.randint(0, 10, (n_images,), generator=generator)


def _delete_each(grows: str, depth: int, n_images: int) -> Row:
    net = zoo.preact_resnet(depth=depth)
    trials = un.studies.delete_each(net)
    _warm_up(net)
    spent, _ = seconds(lambda: un.evaluate(net, trials, _data(n_images), precision="bfloat16"))
    return _row(grows, len(net.residual_modules), n_images, len(trials), spent)


def _random_routes(n_routes: int) -> Row:
    net = zoo.preact_resnet(depth=38)
    generator = np.random.default_rng(0)
    routes = [Route.full(18).drop(0.3, generator) for _ in range(n_routes)]
    _warm_up(net)
    spent, _ = seconds(lambda: un.evaluate(net, routes, _data(128), precision="bfloat16"))
    return _row("routes", 18, 128, n_routes, spent)


def _warm_up(net: un.UnraveledNetwork) -> None:
    un.evaluate(net, [net.full_route], _data(128), precision="bfloat16")


def _row(grows: str, n_modules: int, n_images: int, n_routes: int, spent: float) -> Row:
    return {
        "benchmark": "growth",
        "case": f"{grows}: {n_modules} modules, {n_images} images, {n_routes} routes",
        "seconds": spent,
    }
