"""What a study asks of a network: which modules may be deleted, swapped or passed again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from unravelnet.routes.route import Route


class Network(Protocol):
    """What a study needs to know of a network; `UnraveledNetwork` has it."""

    @property
    def residual_modules(self) -> Iterable[Any]:
        """The residual modules in order, each with `index`, `skip`, `chain`, shapes, `keeps_shape`, `is_deletable`."""

    def compatible_with(self, index: int) -> list[int]:
        """List the other modules that may stand in the place of this one."""

    def check(self, route: Route) -> Route:
        """Return the route if it fits. Raises RouteError where it does not."""


def full_route(net: Network) -> Route:
    """Give the route of the intact network."""
    return Route.full(sum(1 for _ in net.residual_modules))


def deletable(net: Network) -> list[int]:
    """List the modules that can be deleted."""
    return [module.index for module in net.residual_modules if module.is_deletable]


def same_shape(net: Network) -> list[int]:
    """List the modules whose output has the shape of their input."""
    return [module.index for module in net.residual_modules if module.keeps_shape]
