"""The logits split by path length, for networks that are piecewise linear.

Where a network consists of convolutions, normalisation in evaluation mode, ReLU and pooling, each image lies in
one linear piece of it, and the recursion that splits the gradient backwards splits the activations forwards:

    V'[k] = S V[k] + J V[k-1]

with the Jacobians of the piece that the image lies in. Biases of a branch belong to paths of length 1, as if a
constant 1 ran along all skips beside the stream; biases outside branches to length 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unravelnet.errors import EvaluationError, RouteError
from unravelnet.gradient.linearised import Recording, fixed, record
from unravelnet.gradient.live import STREAM, Cotangent, plus, pull
from unravelnet.gradient.measurement import check_simple
from unravelnet.gradient.stages import LinearPart, LinearVisit, Visit
from unravelnet.measuring.bench import Bench
from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.network.output import Output, OutputName
from unravelnet.routes.route import Route

# Of a piecewise linear function it is 0, without rounding.
_CURVATURE = 1e-7
_TOLERANCE = 1e-4


def path_logits(
    net: UnraveledNetwork,
    inputs: Inputs,
    *,
    route: Route | None = None,
    output: OutputName = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Split the logits by path length: shape (lengths, images, classes), which add up to the logits.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> parts = path_logits(net, torch.rand(2, 1, 8, 8))
    >>> parts.shape
    torch.Size([4, 2, 10])

    The first dimension counts the modules entered, from 0. `inputs`: one batch, in the form of the model. `output`:
    which tensor of what the network returns, as for `evaluate`; it is split in its own shape. Raises
    EvaluationError where a part of the network is not piecewise linear, naming it, and where the parts do not add
    up; RouteError where the route does not fit. The recursion is that of `path_gradients`, run forwards; we know
    of no publication of this quantity.
    """
    chosen = Output.of(output).chosen_from(net.outputs, net.name)
    if route is not None and route.at_their_mean:
        raise RouteError(
            f"path_logits splits logits among paths, and the mean of a branch, as on the route {route}, is none. "
            "Delete these modules instead."
        )
    check_simple(net.full_route if route is None else net.check(route), "path_logits")
    bench = Bench(net, device=device)
    with fixed(bench.net):
        recording = record(bench.net, bench.place(inputs), route)
        start = recording.start.as_leaves()[1]
        parts: list[Cotangent] = [{name: value.detach() for name, value in start.items()}]
        for stage in recording.stages:
            linear = stage.linearise()
            title = (
                str(stage.module) if isinstance(stage, Visit) else "the part between two chains of modules"
            )
            if isinstance(linear, LinearVisit):
                parts = _through_module(linear, parts, title)
            else:
                assert isinstance(linear, LinearPart)
                part = _Affine.of(linear.outputs, linear.leaves, title)
                parts = part.apply_each(parts)
        return _leave(recording, parts, chosen)


def _leave(recording: Recording, parts: list[Cotangent], output: Output) -> Tensor:
    """Run the head on every part, and check that they add up."""
    with torch.enable_grad():
        state, leaves = recording.end.as_leaves()
        logits = output.pick(recording.net.leave(state))
    split = [part[STREAM] for part in _Affine.of({STREAM: logits}, leaves, "the head").apply_each(parts)]
    stacked, whole = torch.stack(split), logits.detach()
    error = float((stacked.sum(dim=0) - whole).abs().max() / whole.abs().max().clamp(min=1e-30))
    if not error <= _TOLERANCE:
        raise EvaluationError(
            "The parts of the logits add up to something else than the logits: the relative difference is "
            f"{error:.1e}. Their numbers may be too large for float32; try the network in float64."
        )
    return stacked


def _through_module(linear: LinearVisit, parts: list[Cotangent], title: str) -> list[Cotangent]:
    """Carry the parts around the branch, and through it to the next length."""
    junction = linear.junction
    if linear.skip is not None and linear.branch is not None and not junction.is_linear:
        raise EvaluationError(
            f"{title[:1].upper()}{title[1:]} joins its skip and its branch by a {junction.kind}, which is not "
            "piecewise linear: it multiplies one with the other. `path_gradients` splits the gradient of any network."
        )
    # What runs beside the stream passes the module by.
    arrived = [{name: value for name, value in part.items() if name != STREAM} for part in parts]
    if linear.branch is not None:
        arrived.append({})
    ways = (
        (linear.skip, 0, lambda value: junction(value, None)),
        (linear.branch, 1, lambda value: junction(None, value)),
    )
    for way, longer, joined in ways:
        if way is not None:
            for length, part in enumerate(_Affine.of({STREAM: way}, linear.leaves, title).apply_each(parts)):
                share = {name: joined(value) for name, value in part.items()}
                arrived[length + longer] = plus(arrived[length + longer], share)
    behind = _Affine.of({STREAM: linear.output}, linear.joined, title).apply_each(arrived)
    return [{**before, **after} for before, after in zip(arrived, behind, strict=True)]


@dataclass(frozen=True, slots=True)
class _Affine:
    """A piece of a network as what it is around its activations: a linear map and a constant.

    The Jacobian is applied forwards by differentiating the backward pass, which is linear in `directions`.
    """

    outputs: Mapping[str, Tensor]
    leaves: Mapping[str, Tensor]
    directions: Mapping[str, Tensor]
    pulled: Mapping[str, Tensor]

    @classmethod
    def of(cls, outputs: Mapping[str, Tensor], leaves: Mapping[str, Tensor], title: str) -> _Affine:
        """Take a piece apart. Raises EvaluationError where it is not piecewise linear."""
        followed = {name: output for name, output in outputs.items() if output.requires_grad}
        generator = torch.Generator().manual_seed(0)
        with torch.enable_grad():
            directions = {
                name: _random(output, generator).requires_grad_() for name, output in followed.items()
            }
            try:
                pulled = pull(followed, leaves, directions, create_graph=True)
                curvature = _curvature(pulled, leaves, generator)
            except RuntimeError as error:
                raise EvaluationError(
                    f"In {title} is an operation that cannot be differentiated twice "
                    f"({str(error).partition(chr(10))[0][:120]}), so it cannot be told whether it is piecewise linear. "
                    "`path_gradients` splits the gradient of any network."
                ) from error
        if curvature > _CURVATURE:
            raise EvaluationError(
                f"{title[:1].upper()}{title[1:]} is not piecewise linear: its derivative changes smoothly with its "
                f"input (by {curvature:.1e} of itself), as GELU, softmax and layer normalisation make it. Logits "
                "split by path length in networks of convolutions, ReLU, pooling and normalisation in evaluation "
                "mode; `path_gradients` splits the gradient of any network."
            )
        return cls(followed, leaves, directions, pulled)

    def apply_each(self, parts: list[Cotangent]) -> list[Cotangent]:
        """Apply the linear map to every part, and add the constant to the first, which has entered nothing."""
        mapped = [self._apply(part) for part in parts]
        whole = self._apply({name: leaf.detach() for name, leaf in self.leaves.items()})
        constant = {name: output.detach() - whole[name] for name, output in self.outputs.items()}
        return [plus(mapped[0], constant), *mapped[1:]]

    def _apply(self, part: Cotangent) -> Cotangent:
        names = [name for name in self.pulled if name in part]
        zeros = {name: torch.zeros_like(output) for name, output in self.outputs.items()}
        if not names:
            return zeros
        found = torch.autograd.grad(
            [self.pulled[name] for name in names],
            list(self.directions.values()),
            [part[name] for name in names],
            retain_graph=True,
            allow_unused=True,
        )
        return {**zeros, **{name: v for name, v in zip(self.directions, found, strict=True) if v is not None}}


def _curvature(
    pulled: Mapping[str, Tensor], leaves: Mapping[str, Tensor], generator: torch.Generator
) -> float:
    """Measure how much a backward pass would change if the activations changed by their own size."""
    probes = [_random(value, generator) for value in pulled.values()]
    changes = torch.autograd.grad(
        list(pulled.values()), list(leaves.values()), probes, retain_graph=True, allow_unused=True
    )
    change = _size([value for value in changes if value is not None]) * _size(list(leaves.values()))
    whole = _size(list(pulled.values())) * _size(probes)
    return change / whole if whole else 0.0


def _size(values: list[Tensor]) -> float:
    return math.sqrt(sum(float(value.detach().double().square().sum()) for value in values))


def _random(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)
