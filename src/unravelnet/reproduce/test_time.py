"""The ways to test a network that was trained on random routes, whose test error depends on the way.

unscaled        all modules, each branch as it is
re-estimated    the same, after the statistics of normalisation were measured anew with all modules
scaled          all modules, each branch times its probability of survival in training
random routes   the mean over routes drawn as in training

Huang et al. (2016) scale; Veit et al. (2016) do not say what they did. The statistics that training leaves behind
belong to the streams of its routes, which hold the sum of fewer branches than the stream of the whole network.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch.optim.swa_utils import update_bn

from unravelnet.data import ImageData
from unravelnet.inference import Precision
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.route import Route
from unravelnet.route_sampler import RouteSampler

TestTime = Literal["unscaled", "re-estimated", "scaled", "random routes"]

N_ROUTES = 10
_STATISTICS_IMAGES, _BATCH_SIZE = 5000, 250


def test_times_of(net: UnraveledNetwork, sampler: RouteSampler) -> tuple[TestTime, ...]:
    """List the ways to test a network; one that was trained on all modules has one."""
    n_modules = len(net.residual_modules)
    is_on_all = scales_at("scaled", net, sampler) == (1.0,) * n_modules
    return ("unscaled",) if is_on_all else get_args(TestTime)


def as_trained(net: UnraveledNetwork, sampler: RouteSampler) -> TestTime:
    """Say in which of these ways the source of a kind of training tests."""
    own = _where_there_is_a_skip(sampler.branch_scales(len(net.residual_modules)), net)
    return "unscaled" if own == scales_at("unscaled", net, sampler) else "scaled"


def scales_at(test_time: TestTime, net: UnraveledNetwork, sampler: RouteSampler) -> tuple[float, ...]:
    """Give the factors of the branches."""
    n_modules = len(net.residual_modules)
    scales = sampler.survival(n_modules) if test_time == "scaled" else (1.0,) * n_modules
    return _where_there_is_a_skip(scales, net)


def routes_at(test_time: TestTime, net: UnraveledNetwork, sampler: RouteSampler, seed: int) -> list[Route]:
    """Give the routes whose mean error is the test error."""
    if test_time != "random routes":
        return [net.full_route]
    modules, generator = net.residual_modules, np.random.default_rng(seed)
    always = [module.index for module in modules if module.skip is None and not module.keeps_shape]
    return [sampler.sample(len(modules), generator, always=always) for _ in range(N_ROUTES)]


@contextlib.contextmanager
def prepared_for(
    test_time: TestTime,
    net: UnraveledNetwork,
    sampler: RouteSampler,
    train_data: ImageData,
    *,
    precision: Precision,
    seed: int,
) -> Iterator[UnraveledNetwork]:
    """Give the network as it is tested, and its own factors back afterwards."""
    with branches_scaled(net, scales_at(test_time, net, sampler)):
        if test_time == "re-estimated":
            images = train_data.subset(min(_STATISTICS_IMAGES, len(train_data)), seed=seed)
            yield with_statistics_of(net, images, precision=precision)
        else:
            yield net


def with_statistics_of(
    net: UnraveledNetwork, data: ImageData, *, precision: Precision = "float32"
) -> UnraveledNetwork:
    """Copy a network, with statistics of normalisation measured anew on images that pass all of its modules.

    Means and variances are averages over batches, as `torch.optim.swa_utils.update_bn` takes them.
    """
    changed = copy.deepcopy(net)
    batches = (data.batch(indices)[0] for indices in torch.arange(len(data)).split(_BATCH_SIZE))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        update_bn(batches, changed)
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
