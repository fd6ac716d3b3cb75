"""What is exported: a network on one route, the smaller network that is left of it, and the gates between them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unravelnet.capture.call import arguments, with_batch
from unravelnet.capture.untouched import left_as_it_was
from unravelnet.capture.verify import TOLERANCE, relative_difference
from unravelnet.errors import CaptureError, DataError, first_line
from unravelnet.network import Inputs, ResidualModule, UnraveledNetwork, first_tensor
from unravelnet.network.macs import Macs
from unravelnet.records import provenance
from unravelnet.routes.route import Route
from unravelnet.routes.step import Step

Batch = tuple[tuple[Any, ...], dict[str, Any]]

# The gates, in the order in which they are passed: what must give the output of the network on its route.
OF_ORIGINAL, IN_MEMORY, FROM_DISK, OF_ONNX = (
    "captured from the original",
    "pruned in memory",
    "read back from disk",
    "ONNX",
)


@dataclass(eq=False)
class Subject:
    """A network on a route with batches to compare on, of two and of three inputs.

    `differences`: the largest relative difference seen at each gate. `measured`: error and latency before and after,
    where they were measured.
    """

    net: UnraveledNetwork
    route: Route
    batches: Sequence[Batch]
    differences: dict[str, float] = field(default_factory=dict)
    measured: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, net: UnraveledNetwork, route: Route, example: Inputs | None) -> Subject:
        """Check the route and make batches. Raises RouteError, and DataError where an example is needed."""
        return cls(net, net.check(route), _batches(net, example))

    @cached_property
    def routed(self) -> OnRoute:
        """The network on its route, in evaluation mode: a copy, since the user's own keeps the mode it has."""
        return OnRoute(copy.deepcopy(self.net), self.route).eval()

    @cached_property
    def pruned(self) -> OnRoute:
        """The network on its route without the parts that the route never runs."""
        made = copy.deepcopy(self.routed)
        _prune(made.net.residual_modules, self.route.visits)
        return made

    @cached_property
    def expected(self) -> list[Any]:
        """What the network gives on its route, batch by batch."""
        try:
            return [_run(self.routed, batch) for batch in self.batches]
        except (RuntimeError, ValueError) as error:
            raise _fixed_batch(self.net, error) from error

    def check_original(self) -> None:
        """Compare the network with the model that it was captured from, at the weights that the network has now."""
        origin = self.net.origin
        if origin is None or origin.replaced:
            return
        full = OnRoute(self.routed.net, self.net.full_route)
        found = []
        for args, kwargs in self.batches:
            with left_as_it_was(origin.model):
                origin.model.eval()
                theirs = origin.run(self.net, args, kwargs)
            found.append(relative_difference(_run(full, (args, kwargs)), theirs))
        self._note(OF_ORIGINAL, max(found))

    def check_same(self, gate: str, outputs: Sequence[Any], tolerance: float = TOLERANCE) -> None:
        """Note how far outputs are from those on the route. Raises CaptureError where that is more than rounding."""
        pairs = zip(outputs, self.expected, strict=True)
        self._note(gate, max(relative_difference(output, expected) for output, expected in pairs), tolerance)

    def check_runs_same(
        self, gate: str, program: nn.Module, constants: Mapping[str, Any] | None = None
    ) -> None:
        """Run a program on the batches and compare, as `check_same`. `constants`: keyword inputs that go along."""
        batches = [(args, {**kwargs, **(constants or {})}) for args, kwargs in self.batches]
        try:
            outputs = [_run(program, batch) for batch in batches]
        except (AssertionError, RuntimeError, ValueError) as error:
            raise _fixed_batch(self.net, error) from error
        self.check_same(gate, outputs)

    def _note(self, gate: str, difference: float, tolerance: float = TOLERANCE) -> None:
        self.differences[gate] = difference
        if not difference <= tolerance:
            raise CaptureError(
                f"The exported program differs from the network on its route by {difference:.1e} (relative), {gate}. "
                "Nothing was written. A model that computes something from the batch as a whole cannot be exported."
                if gate != OF_ORIGINAL
                else f"The network differs from the model that it was captured from by {difference:.1e} (relative). "
                "Nothing was written. The model was changed after it was captured: unravel it again. A network that "
                "was changed on purpose is exported without its model: net.origin = None."
            )

    def receipt(self, form: str, left: nn.Module, loading: str) -> dict[str, Any]:
        """State what was cut and how it was checked. `left`: what remains; `loading`: how a file is read."""
        args, kwargs = self.batches[0]
        with Macs() as macs, torch.no_grad():
            self.pruned(*args, **kwargs)
        return {
            "form": form,
            "network": self.net.name,
            "fingerprint": self.net.fingerprint(),
            "route": str(self.route),
            "n_modules": len(self.net.residual_modules),
            "n_modules_left": sum(visit.computes_branch for visit in self.route.visits),
            "n_parameters": n_parameters(self.net),
            "n_parameters_left": n_parameters(left),
            "macs": self.net.total_macs,
            "macs_left": macs.count // 2,
            "relative_differences": dict(self.differences),
            "input_shape": list(self.net.input_shape),
            "measured": self.measured,
            "loading": loading,
            "run": provenance.collect(),
        }


class OnRoute(nn.Module):
    """A network that takes one route, called as the model is."""

    def __init__(self, net: UnraveledNetwork, route: Route) -> None:
        super().__init__()
        self.net, self.route = net, route

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        inputs: Inputs = kwargs or (args[0] if len(args) == 1 else args)
        return self.net(inputs, self.route)


def n_parameters(module: nn.Module) -> int:
    """Count the parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def _prune(modules: Iterable[ResidualModule], visits: Sequence[Step]) -> None:
    """Take from modules what none of the visits runs."""
    for module in modules:
        own = [visit for visit in visits if visit.module == module.index]
        entered = [visit.inside for visit in own if visit.computes_branch]
        if not entered:
            module.branch, module.inner = nn.Identity(), ()
        elif None not in entered:
            _prune(module.inner, [visit for route in entered if route is not None for visit in route.visits])
        if all(visit.mode == "branch" for visit in own) and module.skip is not None:
            module.skip = nn.Identity()
        if not own:
            module.after, module.tap = nn.Identity(), None


def _fixed_batch(net: UnraveledNetwork, error: Exception) -> CaptureError:
    return CaptureError(
        f"{net.title} does not run on batches of two and of three inputs on this route ({first_line(error)}). Nothing "
        "was written. Take the batch size from the input (x.shape[0]) in every part of it."
    )


def _batches(net: UnraveledNetwork, example: Inputs | None) -> list[Batch]:
    """Make batches of two and of three inputs from the example, or at random."""
    if example is None:
        example = _drawn(net)
    n_rows = len(first_tensor(example))
    return [arguments(with_batch(example, [row % n_rows for row in range(size)])) for size in (2, 3)]


def _drawn(net: UnraveledNetwork) -> Inputs:
    """Draw three inputs where the network takes one tensor of real numbers, else take those it was captured with."""
    device = next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
    forms = list(net.inputs.values())
    if len(forms) == 1 and forms[0].is_floating_point() and _is_alone(net):
        generator = torch.Generator().manual_seed(0)
        return torch.randn(3, *net.input_shape, generator=generator).to(device, forms[0].dtype)
    if net.origin is None:
        raise DataError(
            f"{net.name or 'The network'} takes {', '.join(net.inputs) or 'no tensor'}, which cannot be drawn at "
            "random. Give example=..., a batch of inputs."
        )
    example = net.origin.example
    plain = dict(example) if isinstance(example, Mapping) else example
    return pytree.tree_map_only(Tensor, lambda tensor: tensor.to(device), plain)


def _is_alone(net: UnraveledNetwork) -> bool:
    """Whether the network is called with a tensor, and not with a tuple or a dict that holds one."""
    return net.origin is None or isinstance(net.origin.example, Tensor)


@torch.no_grad()
def _run(program: nn.Module, batch: Batch) -> Any:
    args, kwargs = batch
    return program(*args, **kwargs)
