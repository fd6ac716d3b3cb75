"""A route as commands take it: its text, or a directory in which `prune` has left one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unravelnet.errors import PathError, RouteError, StoreError
from unravelnet.records.files import usable_path
from unravelnet.records.record import read_json
from unravelnet.routes.route import Route

if TYPE_CHECKING:
    from unravelnet.network import UnraveledNetwork

ROUTE_HELP = (
    "What is left: 0-2,3s,4-8 deletes module 3. A directory that prune --out wrote stands for the route found there. "
    "unravelnet inspect MODEL lists the modules."
)


@dataclass(frozen=True)
class AskedRoute:
    """A route that is written out, or the directory that holds it.

    >>> AskedRoute.read("0-2,3s").of(None)
    (Route('0-2,3s'), {})
    """

    route: Route | None = None
    directory: Path = Path()

    @classmethod
    def read(cls, text: str) -> AskedRoute:
        """Read what stands on the command line. Raises RouteError where it is neither a route nor a directory."""
        try:
            return cls(Route.parse(text))
        except RouteError as error:
            with contextlib.suppress(PathError):
                directory = usable_path(text)
                if directory.is_dir():
                    return cls(directory=directory)
            raise RouteError(f"{error} There is no directory of this name either.") from error

    def of(self, net: UnraveledNetwork) -> tuple[Route, dict[str, Any]]:
        """Give the route, and the receipt of the search that found it, if a directory was given.

        Raises StoreError for a directory without a route of this network.
        """
        if self.route is not None:
            return self.route, {}
        receipts = [read_json(path) for path in sorted(self.directory.glob("pruned-*.json"))]
        if not receipts:
            raise StoreError(
                f"{self.directory} holds no route. Give a route, or a directory that unravelnet prune --out wrote."
            )
        own = [receipt for receipt in receipts if receipt.get("fingerprint") == net.fingerprint()]
        if not own:
            names = ", ".join(str(receipt.get("network")) for receipt in receipts)
            raise StoreError(
                f"{self.directory} holds a route of {names}, and none of {net.title} with these weights. Give the "
                "model that was pruned, with its weights."
            )
        return Route.parse(str(own[0]["route"])), own[0]
