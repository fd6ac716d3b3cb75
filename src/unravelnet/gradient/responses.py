"""How strongly each weight layer responds: the standard deviations of He et al. (2015), Fig. 7.

Operations are watched as torch carries them out, so that networks of the zoo and captured ones are measured alike,
and nothing is hooked into them. A *weight layer* is a convolution or a matrix product whose weights are computed
from parameters alone (weights that are standardised or normalised first count, those computed from the input do
not). A normalisation *directly follows* it if nothing happens to its output in between but a change of shape.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from unravelnet.gradient.measurement import open_sample, settings_of
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.ledger import open_ledger
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.runner import Progress, identity_of, run
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import (
    Inputs,
    State,
    UnraveledNetwork,
    in_evaluation_mode,
)
from unravelnet.records.record import Row, Table
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route

Kind = Literal["convolution", "linear"]
MeasuredAfter = Literal["normalisation", "layer"]

# Names of torch's operators as they are carried out, with the places of their two factors.
_FACTORS = {
    "addmm": (1, 2),
    "baddbmm": (1, 2),
    "bmm": (0, 1),
    "convolution": (0, 1),
    "convolution_overrideable": (0, 1),
    "cudnn_convolution": (0, 1),
    "linear": (0, 1),
    "mkldnn_convolution": (0, 1),
    "mm": (0, 1),
}
_NORMALISATIONS = {
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "batch_norm",
    "cudnn_batch_norm",
    "layer_norm",
    "miopen_batch_norm",
    "native_batch_norm",
    "native_group_norm",
    "native_layer_norm",
}
# Shape-keeping copies; a view shares its memory and needs no name.
_COPIES = {"_to_copy", "_unsafe_view", "clone", "contiguous"}
_ADDITIONS = {"add", "add_"}


def layer_responses(
    net: UnraveledNetwork,
    data: Any,
    *,
    limit: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    store: ResultsStore | None = None,
    progress: Progress | None = None,
) -> Table:
    """Measure the standard deviation of the response of each weight layer: one row each, in execution order.

    >>> from unravelnet import zoo
    >>> net = zoo.resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> table = layer_responses(net, torch.rand(4, 1, 8, 8))
    >>> [(row["layer"], row["measured_after"]) for row in table][:2]
    [('stem.conv', 'normalisation'), ('residual_modules.0.branch.conv1', 'normalisation')]

    The intact network in evaluation mode, where it is; targets are not needed. A weight layer is every convolution
    and linear layer that the stream passes through by the branches, stem and head included; projections of skips
    are left out, as in the paper, which counts 3×3 convolutions. `response_std` is the standard deviation over all
    values (images, channels, places), of the normalisation that directly follows the layer if there is one in its
    residual module, else of the layer itself, with its bias: before the non-linearity or the addition. A layer that
    runs more than once has a row for each time. `limit`: only so many images, drawn by `seed`. `store`: as for
    `evaluate`. `progress`: wraps the iteration over batches. Source: He et al. (2015), section 4.2.
    """
    sample, batches = open_sample(data, limit=limit, seed=seed, batch_size=batch_size)
    own = next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
    bench = Bench(net, device=sample.device or own, as_it_is=True)
    measurement = _Responses(net.full_route, sample.seed)
    identity = identity_of(net, batches, is_kept=store is not None)
    settings = settings_of(measurement, sample, bench)
    ledger = open_ledger(store, net, identity, measurement.trials, settings)
    return run(measurement, bench, batches, identity, ledger=ledger, progress=progress)


@dataclass(frozen=True)
class _Responses(Measurement):
    """The number, mean and squared deviations of the values of each layer, shard by shard."""

    route: Route
    seed: int

    @property
    def trials(self) -> list[Route]:  # type: ignore[override]  # computed from a field
        return [self.route]

    @contextlib.contextmanager
    def running(self, bench: Bench) -> Iterator[None]:
        # Not in inference mode, in which torch shows whole layers instead of what they are made of.
        with in_evaluation_mode(bench.net), torch.inference_mode(False), torch.no_grad():
            yield

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> dict[Route, Sums]:
        responses: dict[_Place, _Response] = {}
        with _Watch(responses) as watch:
            _run(net, shard.inputs, watch)
        values = {
            place.name: [[response.n], [response.mean], [response.deviation]]
            for place, response in responses.items()
        }
        facts = {
            place.name: {
                "layer": place.layer,
                "module": place.module,
                "layer_kind": response.kind,
                "measured_after": response.measured_after,
            }
            for place, response in responses.items()
        }
        return {self.route: Sums({}, values, facts)}

    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        tally = tallies[self.route]
        # There is no interval here, so no confidence.
        about = {"n_images": tally.n_images, "seed": self.seed, "confidence": None}
        return [
            {"position": position, **described, **_spread(tally.sums.appended[name]), **about}
            for position, (name, described) in enumerate(tally.sums.facts.items())
        ]


def _spread(shards: NDArray[np.float64]) -> Row:
    """Merge the values of all shards (Chan, Golub and LeVeque 1983): no difference of large sums."""
    n, mean, deviation = 0, 0.0, 0.0
    for n_more, mean_more, deviation_more in shards.T.tolist():
        shift = mean_more - mean
        deviation += deviation_more + shift**2 * n * n_more / (n + n_more)
        n += int(n_more)
        mean += shift * n_more / n
    return {"response_std": math.sqrt(deviation / n), "n_values": n}


@dataclass(frozen=True, slots=True)
class _Place:
    """Which weight layer, in which residual module (None: stem, head or between), and for which time in a batch."""

    layer: str
    module: int | None
    time: int

    @property
    def name(self) -> str:
        """A text of its own for each place."""
        return f"{self.module} {self.time} {self.layer}"


@dataclass(slots=True)
class _Response:
    """Number, mean and sum of squared deviations of the values of one shard."""

    kind: Kind
    measured_after: MeasuredAfter = "layer"
    n: int = 0
    mean: float = 0.0
    deviation: float = 0.0

    def measure(self, values: Tensor) -> None:
        values = values.detach().double()
        self.n, self.mean = values.numel(), float(values.mean())
        self.deviation = float((values - self.mean).square().sum())


def _run(net: UnraveledNetwork, inputs: Inputs, watch: _Watch) -> None:
    """Run the intact network, telling the watch which part of it is running."""
    with watch.inside(net.stem, "stem"):
        state = net.enter(inputs)
    for module in net.residual_modules:
        state = _move(net, state, module.chain, watch)
        with watch.inside(module, f"residual_modules.{module.index}", module.index):
            x = module(state.x, "both", state.held)
        state = State(x, state.chain, state.held)
    state = _move(net, state, len(net.transitions), watch)
    with watch.inside(net.head, "head"):
        net.leave(state)


def _move(net: UnraveledNetwork, state: State, chain: int, watch: _Watch) -> State:
    for number in range(state.chain, chain):
        with watch.inside(net.transitions[number], f"transitions.{number}"):
            state = net.move_to_chain(state, number + 1)
    return state


# -- watching --


@dataclass(slots=True, eq=False)
class _Waiting:
    """The output of a weight layer that nothing has read yet, or read only to change its shape."""

    place: _Place
    output: Tensor


class _Watch(TorchDispatchMode):
    """Sees every operation of one batch, and measures a weight layer when its output is read."""

    def __init__(self, responses: dict[_Place, _Response]) -> None:
        super().__init__()
        self.responses = responses
        self.waiting: list[_Waiting] = []
        self.times: Counter[str] = Counter()
        self.module: int | None = None
        # Tensors computed from parameters and constants alone, with the name of the parameter ("" without one).
        # They are kept alive here: another tensor could get the identity of one that is gone.
        self.constants: dict[int, tuple[Tensor, str]] = {}

    @contextlib.contextmanager
    def inside(self, part: nn.Module, name: str, module: int | None = None) -> Iterator[None]:
        """Watch for the weight layers of one part of the network, except those of its skip."""
        self.module = module
        learned = {f"{name}.{own}": tensor for own, tensor in part.named_parameters(remove_duplicate=False)}
        self.constants = {id(tensor): (tensor, "") for tensor in part.buffers()}
        self.constants |= {
            id(tensor): (tensor, full_name)
            for full_name, tensor in learned.items()
            if module is None or not full_name.startswith(f"{name}.skip.")
        }
        yield
        # What follows in the next part is not this layer's own: the stream goes elsewhere, too.
        self._settle(self.waiting)
        self.constants = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        operator = func._schema.name.removeprefix("aten::")
        operands = _tensors((args, kwargs))
        read = [
            waiting for waiting in self.waiting if any(_share_memory(waiting.output, o) for o in operands)
        ]
        adds_bias = operator in _ADDITIONS and any(o.dim() == 1 and self._is_constant(o) for o in operands)
        if func._schema.is_mutable and not adds_bias:
            # Now, before it is written over.
            self._settle(read)
            read = []
        layer = self._layer_of(operator, args)
        out = func(*args, **(kwargs or {}))
        for waiting in read:
            self._follow(waiting, operator, out, is_same=adds_bias or operator in _COPIES)
        self._note_constants(operands, _tensors(out))
        if layer is not None:
            self._expect(*layer, out)
        return out

    def _is_constant(self, tensor: Tensor) -> bool:
        return id(tensor) in self.constants

    def _layer_of(self, operator: str, args: Sequence[Any]) -> tuple[Kind, str] | None:
        """Tell whether an operation is a weight layer, and the name of its weights."""
        if operator not in _FACTORS:
            return None
        kind: Kind = "convolution" if "convolution" in operator else "linear"
        factors = [args[place] for place in _FACTORS[operator]]
        names = [self.constants[id(factor)][1] for factor in factors if self._is_constant(factor)]
        # Two factors that depend on the input are no layer, and neither is a fixed filter.
        return (kind, names[0]) if len(names) == 1 and names[0] else None

    def _note_constants(self, operands: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        if all(map(self._is_constant, operands)):
            name = next((name for o in operands if (name := self.constants[id(o)][1])), "")
            self.constants |= {id(output): (output, name) for output in outputs}
        else:
            for output in outputs:  # one that was written into is constant no more
                self.constants.pop(id(output), None)

    def _expect(self, kind: Kind, weight: str, output: Tensor) -> None:
        """Make the row of a weight layer that has just run."""
        layer, computed, _ = weight.partition(".parametrizations.")
        layer = layer if computed else weight.rpartition(".")[0]
        place = _Place(layer, self.module, self.times[layer])
        self.times[layer] += 1
        self.responses.setdefault(place, _Response(kind))
        self.waiting.append(_Waiting(place, output))

    def _follow(self, waiting: _Waiting, operator: str, out: Any, *, is_same: bool) -> None:
        """Say what became of an output that was read: normalised, given another shape, or used."""
        first = _tensors(out)[0]
        if operator in _NORMALISATIONS:
            self.waiting.remove(waiting)
            self._measure(waiting, first, "normalisation")
        elif first.numel() == waiting.output.numel() and (is_same or _share_memory(first, waiting.output)):
            waiting.output = first
        else:
            self._settle([waiting])

    def _settle(self, outputs: Sequence[_Waiting]) -> None:
        """Measure outputs that no normalisation follows."""
        settled, self.waiting = list(outputs), [w for w in self.waiting if w not in outputs]
        for waiting in settled:
            self._measure(waiting, waiting.output, "layer")

    def _measure(self, waiting: _Waiting, values: Tensor, measured_after: MeasuredAfter) -> None:
        response = self.responses[waiting.place]
        response.measured_after = measured_after
        response.measure(values)


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor)]


def _share_memory(first: Tensor, second: Tensor) -> bool:
    return bool(first.untyped_storage()._cdata == second.untyped_storage()._cdata)
