"""The ways to test a network that was trained on random routes, whose test error depends on the way.

unscaled                  all modules, each branch as it is
unscaled, re-estimated    the same, after the statistics of normalisation were measured anew that way
scaled                    all modules, each branch times its probability of survival in training
scaled, re-estimated      the same, after the statistics of normalisation were measured anew that way
random routes             the mean over routes drawn as in training

Huang et al. (2016) scale; Veit et al. (2016) do not say what they did. The statistics that training leaves behind
belong to the streams of its routes, which hold the sum of fewer branches than the stream of the whole network, and
vary more than the scaled sum of all.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import torch

from unravelnet.data import ImageData
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.routes.route import Route
from unravelnet.routes.sampler import RouteSampler
from unravelnet.training.dynamics import collect_statistics

TestTime = Literal["unscaled", "unscaled, re-estimated", "scaled", "scaled, re-estimated", "random routes"]

RE_ESTIMATED: tuple[TestTime, ...] = ("unscaled, re-estimated", "scaled, re-estimated")
_SCALED: tuple[TestTime, ...] = ("scaled", "scaled, re-estimated")

N_ROUTES = 10
N_STATISTICS_IMAGES = 5000
_BATCH_SIZE = 250


def ways_to_test(net: UnraveledNetwork, sampler: RouteSampler) -> tuple[TestTime, ...]:
    """List the ways to test a network; one that was trained on all modules, or has no skips, has one."""
    is_scaled = scales_at("scaled", net, sampler) != scales_at("unscaled", net, sampler)
    return get_args(TestTime) if is_scaled else ("unscaled",)


def as_trained(net: UnraveledNetwork, sampler: RouteSampler) -> TestTime:
    """Say which of these ways counts as that of the method."""
    modules = net.residual_modules
    own = _where_there_is_a_skip(
        sampler.branch_scales(len(modules), always=sampler.always_kept(modules)), net
    )
    return "unscaled" if own == scales_at("unscaled", net, sampler) else "scaled"


def scales_at(test_time: TestTime, net: UnraveledNetwork, sampler: RouteSampler) -> tuple[float, ...]:
    """Give the factors of the branches."""
    n_modules = len(net.residual_modules)
    survival = sampler.survival(n_modules, always=sampler.always_kept(net.residual_modules))
    scales = survival if test_time in _SCALED else (1.0,) * n_modules
    return _where_there_is_a_skip(scales, net)


def routes_at(test_time: TestTime, net: UnraveledNetwork, sampler: RouteSampler, seed: int) -> list[Route]:
    """Give the routes whose mean error is the test error."""
    if test_time != "random routes":
        return [net.full_route]
    modules, generator = net.residual_modules, np.random.default_rng(seed)
    always = sampler.always_kept(modules)
    return [sampler.sample(len(modules), generator, always=always) for _ in range(N_ROUTES)]


@contextlib.contextmanager
def prepared_for(
    test_time: TestTime,
    net: UnraveledNetwork,
    sampler: RouteSampler,
    train_data: ImageData,
    seed: int,
) -> Iterator[UnraveledNetwork]:
    """Give the network as it is tested, and its own factors back afterwards."""
    with branches_scaled(net, scales_at(test_time, net, sampler)):
        if test_time in RE_ESTIMATED:
            images = train_data.subset(min(N_STATISTICS_IMAGES, len(train_data)), seed=seed)
            yield with_statistics_of(net, images)
        else:
            yield net


def with_statistics_of(net: UnraveledNetwork, data: ImageData) -> UnraveledNetwork:
    """Copy a network, with statistics of normalisation measured anew on images that pass all of its modules.

    In float32, where the weights are. Means and variances are averages over equal batches, as those of
    `torch.optim.swa_utils.update_bn`, which cannot be used: it trains all layers, and factors of branches hold in
    evaluation mode only.
    """
    changed = copy.deepcopy(net).eval()
    parts = torch.arange(len(data)).tensor_split(math.ceil(len(data) / _BATCH_SIZE))
    collect_statistics(changed, (data.batch(indices) for indices in parts), anew=True)
    return changed


@contextlib.contextmanager
def branches_scaled(net: UnraveledNetwork, scales: Sequence[float]) -> Iterator[None]:
    """Give each branch a factor in evaluation mode, and its own one back afterwards."""
    modules: list[ResidualModule] = list(net.residual_modules)
    own = [module.branch_scale for module in modules]
    _set_scales(modules, scales)
    try:
        yield
    finally:
        _set_scales(modules, own)


def _set_scales(modules: Sequence[ResidualModule], scales: Sequence[float]) -> None:
    for module, scale in zip(modules, scales, strict=True):
        module.branch_scale = scale


def _where_there_is_a_skip(scales: Sequence[float], net: UnraveledNetwork) -> tuple[float, ...]:
    # As in training: where a plain layer is left out the identity takes its place, and nothing is scaled.
    modules = net.residual_modules
    return tuple(1.0 if m.skip is None else scale for m, scale in zip(modules, scales, strict=True))
