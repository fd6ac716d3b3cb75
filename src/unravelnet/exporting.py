"""Writes a network on one route as a file of its own: the smaller model that is left when modules are deleted.

The file is a program of `torch.export`. It holds the operators of the route and the weights that they read, so it runs
wherever torch does, without unravelnet and without the code of the model. Of the modules that the route deletes it
holds nothing but what other outputs of the network tell of their inside. Before it takes its place, the network on the
route, the pruned copy and the program read back from disk are compared on two batch sizes.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unravelnet.capture.call import arguments, with_batch
from unravelnet.capture.export import read_program, with_plain_signature
from unravelnet.capture.verify import TOLERANCE, relative_difference
from unravelnet.errors import CaptureError, DataError, StoreError
from unravelnet.network import Inputs, ResidualModule, UnraveledNetwork, first_tensor
from unravelnet.records import provenance
from unravelnet.records.record import whole_file
from unravelnet.routes.route import Route
from unravelnet.routes.step import Step

RECEIPT = "receipt.json"
_SUFFIX = ".pt2"

_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def export(
    net: UnraveledNetwork, route: Route, path: str | os.PathLike[str], *, example: Inputs | None = None
) -> Path:
    """Write a network on one route as a program of `torch.export` and return the path.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(8, seed=0)
    >>> path = export(net, net.full_route.delete(1), directory / "pruned.pt2")
    >>> torch.export.load(path).module()(torch.zeros(4, 3, 32, 32)).shape
    torch.Size([4, 10])

    `path`: a file that ends in .pt2; what it held before is replaced whole. `example`: a batch of inputs, as
    `unravel` takes it; drawn at random where the network takes one tensor of real numbers. The program takes inputs
    of that form in batches of any size, on the device of the network. Its file carries `receipt.json`: route,
    parameters before and after, the largest relative differences that were seen, versions. A receipt is read by
    `torch.export.load(path, extra_files={"receipt.json": ""})`.

    Raises RouteError where the route does not fit the network, DataError where an example is needed, StoreError where
    the file cannot be written, and CaptureError where the program does not give the network's output.
    """
    path = Path(path)
    if path.suffix != _SUFFIX:
        raise StoreError(
            f"{path} does not end in {_SUFFIX}. Give a file such as {path.stem or 'pruned'}{_SUFFIX}."
        )
    # A copy, since evaluation mode must not be left in the user's network.
    routed = _OnRoute(copy.deepcopy(net), net.check(route)).eval()
    pruned = _pruned(routed)
    batches = _batches(net, example)
    gates = {"pruned in memory": _difference(routed, pruned, batches)}
    with whole_file(path) as temporary, torch.no_grad():
        program = _program(pruned, batches[0])
        torch.export.save(program, temporary)
        gates["read back from disk"] = _difference(routed, torch.export.load(temporary).module(), batches)
        _check(gates)
        receipt = json.dumps(_receipt(net, pruned, route, gates), indent=2)
        torch.export.save(program, temporary, extra_files={RECEIPT: receipt})
    return path


class _OnRoute(nn.Module):
    """A network that takes one route, called as the model is."""

    def __init__(self, net: UnraveledNetwork, route: Route) -> None:
        super().__init__()
        self.net, self.route = net, route

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        inputs: Inputs = kwargs or (args[0] if len(args) == 1 else args)
        return self.net(inputs, self.route)


def _pruned(routed: _OnRoute) -> _OnRoute:
    """Copy a network on its route without the parts that the route never runs."""
    made = copy.deepcopy(routed)
    _prune(made.net.residual_modules, routed.route.visits)
    return made


def _prune(modules: Iterable[ResidualModule], visits: Sequence[Step]) -> None:
    """Take from modules what none of the visits runs."""
    for module in modules:
        own = [visit for visit in visits if visit.module == module.index]
        entered = [visit.inside for visit in own if visit.mode != "skip"]
        if not entered:
            module.branch, module.inner = nn.Identity(), ()
        elif None not in entered:
            _prune(module.inner, [visit for route in entered if route is not None for visit in route.visits])
        if all(visit.mode == "branch" for visit in own) and module.skip is not None:
            module.skip = nn.Identity()
        if not own:
            module.after, module.tap = nn.Identity(), None


def _batches(net: UnraveledNetwork, example: Inputs | None) -> list[_Arguments]:
    """Make batches of two and of three from the example, or at random."""
    if example is None:
        forms = list(net.inputs.values())
        if len(forms) != 1 or not forms[0].is_floating_point():
            raise DataError(
                f"{net.name or 'The network'} takes {', '.join(net.inputs) or 'no tensor'}, which cannot be drawn at "
                "random. Give example=..., the batch that the model was unraveled with."
            )
        generator = torch.Generator().manual_seed(0)
        example = torch.randn(3, *net.input_shape, generator=generator).to(forms[0].dtype)
        example = example.to(next(net.parameters(), example).device)
    n_rows = len(first_tensor(example))
    return [arguments(with_batch(example, [row % n_rows for row in range(size)])) for size in (2, 3)]


def _program(pruned: _OnRoute, batch: _Arguments) -> torch.export.ExportedProgram:
    with_plain_signature(pruned, *batch)
    program, *_ = read_program(pruned, *batch)
    # The file is for others: it carries no inputs.
    program.example_inputs = None
    return program


@torch.no_grad()
def _difference(first: nn.Module, second: nn.Module, batches: list[_Arguments]) -> float:
    return max(
        relative_difference(second(*args, **kwargs), first(*args, **kwargs)) for args, kwargs in batches
    )


def _check(gates: Mapping[str, float]) -> None:
    for gate, difference in gates.items():
        if not difference <= TOLERANCE:
            raise CaptureError(
                f"The exported program differs from the network on its route by {difference:.1e} (relative), {gate}. "
                "Nothing was written. A model that computes something from the batch as a whole cannot be exported."
            )


def _receipt(
    net: UnraveledNetwork, pruned: _OnRoute, route: Route, gates: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "network": net.name,
        "fingerprint": net.fingerprint(),
        "route": str(route),
        "n_parameters": _n_parameters(net),
        "n_parameters_left": _n_parameters(pruned),
        "relative_differences": dict(gates),
        "input_shape": list(net.input_shape),
        "run": provenance.collect(),
    }


def _n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
