"""A small trained network and its data, and full-length ways to delete modules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

import unravelnet as un
from unravelnet import UnraveledNetwork, zoo
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.metrics import find_metrics
from unravelnet.network.output import Output
from unravelnet.pruning.budget import Budget
from unravelnet.pruning.evidence import Evidence
from unravelnet.pruning.parts import divide
from unravelnet.pruning.sizes import Sizes
from unravelnet.pruning.strategy import Problem


@cache
def trained() -> UnraveledNetwork:
    """Six modules in three stages; the last layer has learned the digits by least squares."""
    net = zoo.preact_resnet(14, input_shape=(1, 8, 8), widths=(4, 4, 8), seed=0).eval()
    inputs, targets = un.data.load("digits", "train").batch(torch.arange(400))
    features: list[Tensor] = []
    [*_, last] = [part for part in net.modules() if isinstance(part, torch.nn.Linear)]
    handle = last.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    with torch.no_grad():
        net(inputs)
        handle.remove()
        wanted = 5 * torch.nn.functional.one_hot(targets, 10).float()
        last.weight.copy_(torch.linalg.lstsq(features[0], wanted, driver="gelsd").solution.T)
    return net


def images(n: int = 120) -> tuple[Tensor, Tensor]:
    """Images and labels of the digits."""
    return un.data.load("digits", "test").batch(torch.arange(n))


@torch.no_grad()
def losses(net: UnraveledNetwork, inputs: Any, targets: Tensor, deleted: Sequence[int]) -> Tensor:
    """Give the loss of each image when modules are deleted by hooks that return their skip."""
    handles = []
    for index in deleted:
        module = net.residual_modules[index]
        handles.append(module.register_forward_hook(lambda part, given, _: part.take_skip(given[0])))
    try:
        return torch.nn.functional.cross_entropy(net(inputs), targets, reduction="none")
    finally:
        for handle in handles:
            handle.remove()


def problem(metric: str = "loss", *, n_images: int = 60, seed: int = 0, **budget: Any) -> Problem:
    """Make the problem that a strategy is given, on some of the images."""
    net = trained()
    part = divide(un.Sample(data=images(2 * n_images), seed=seed)).selection
    metrics = find_metrics(dict.fromkeys([metric, "error_rate"]))
    evidence = Evidence(Bench(net), part, metrics, Output().chosen_from(net.outputs), batch_size=25)
    sizes = Sizes(net, torch.zeros(1, 1, 8, 8))
    candidates = tuple(range(len(net.residual_modules)))
    return Problem(net, evidence, sizes, Budget(**budget), candidates, seed)
