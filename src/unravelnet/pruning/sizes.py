"""What a network costs on a route: multiply-accumulate operations, parameters, and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from unravelnet.measuring.bench import Bench
from unravelnet.network import Inputs, UnraveledNetwork, in_evaluation_mode
from unravelnet.network.macs import Macs
from unravelnet.routes.route import Route

_WARM_UPS = 2


class Sizes:
    """The MACs and parameters of a network on routes that delete modules.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8)
    >>> sizes = Sizes(net, torch.zeros(1, 3, 32, 32))
    >>> macs, parameters = sizes.left(net.full_route.delete(0))
    >>> round(macs, 3), round(parameters, 3)
    (0.623, 0.94)

    `inputs`: a batch of one example. A parameter that several modules share is there as long as one of them is.
    """

    def __init__(self, net: UnraveledNetwork, inputs: Inputs) -> None:
        self.branch_macs, self.total_macs = _branch_macs(net, inputs)
        numbers = {id(parameter): parameter.numel() for parameter in net.parameters()}
        self._in_branches = [set(map(id, module.branch.parameters())) for module in net.residual_modules]
        self._elsewhere = set(numbers) - set().union(*self._in_branches)
        for module in net.residual_modules:
            beside = (part for part in (module.skip, module.after, module.tap) if part is not None)
            self._elsewhere |= {id(parameter) for part in beside for parameter in part.parameters()}
        self._numbers = numbers

    def macs(self, route: Route) -> int:
        """Count the operations when branches are not run."""
        return self.total_macs - sum(self.branch_macs[module] for module in deleted_of(route))

    def parameters(self, route: Route) -> int:
        """Count the parameters when branches are taken away."""
        deleted = deleted_of(route)
        kept = (part for module, part in enumerate(self._in_branches) if module not in deleted)
        return sum(self._numbers[key] for key in self._elsewhere.union(*kept))

    def left(self, route: Route, *, of: Sizes | None = None) -> tuple[float, float]:
        """Give the shares of operations and of parameters that are left, of the intact network or of another one."""
        whole = self if of is None else of
        full = Route.full(len(whole.branch_macs))
        macs, parameters = max(1, whole.total_macs), max(1, whole.parameters(full))
        return self.macs(route) / macs, self.parameters(route) / parameters


def deleted_of(route: Route) -> frozenset[int]:
    """The modules that a route passes by their skip only.

    >>> sorted(deleted_of(Route.full(4).delete(1, 3)))
    [1, 3]
    """
    return frozenset(step.module for step in route.visits if step.mode == "skip")


def latency_shares(
    bench: Bench,
    routes: Sequence[Route],
    inputs: Any,
    *,
    repeats: int = 9,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Time routes in turns, and give the median time of each as a share of the first one's.

    Turns alternate, so that a machine that is busy for a while is so for all of them. `inputs`: a batch on the device.
    """
    times: list[list[float]] = [[] for _ in routes]
    with bench.running():
        for turn in range(-_WARM_UPS, repeats):
            for route, seconds in zip(routes, times, strict=True):
                _wait(bench)
                began = clock()
                bench.net(inputs, route)
                _wait(bench)
                if turn >= 0:
                    seconds.append(clock() - began)
    medians = [median(seconds) for seconds in times]
    return [value / medians[0] for value in medians]


def _wait(bench: Bench) -> None:
    if bench.device.type == "cuda":
        torch.cuda.synchronize(bench.device)


@torch.no_grad()
def _branch_macs(net: UnraveledNetwork, inputs: Inputs) -> tuple[list[int], int]:
    found = []
    # One example has no statistics: in training mode, those of the network would be no numbers afterwards.
    with in_evaluation_mode(net), Macs() as total:
        state = net.enter(inputs)
        for module in net.residual_modules:
            state = net.move_to_chain(state, module.chain)
            before = total.count
            branch = module.take_branch(state.x, state.held)
            found.append(total.count - before)
            skip = module.take_skip(state.x, state.held)
            state = module.state_behind(state, module.join(skip, branch, state.held))
        net.leave(state)
    return found, total.count
