"""Replays a training step on an accelerator from recorded pieces.

A thin network on a GPU waits for its kernels to be launched, not for their arithmetic. So each piece of a network
(stem, transitions, residual modules, head with loss) is recorded once, forward and backward, as a CUDA graph, and
launched as a whole from then on. A route is a choice of pieces: those that stand in it are replayed in its order, so
random routes are replayed as well as the full one.

Pieces meet in *wires*: two buffers of one shape, for the stream on its way forward and for its gradient on the way
back. A piece copies the stream in, because the module behind it will write to the same wire.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unravelnet.network import ResidualModule, Segment, UnraveledNetwork
from unravelnet.routes.move import Move
from unravelnet.routes.route import Route

Work = Callable[[], None]
Recorder = Callable[[Work, Sequence[Tensor]], Work]
Run = Callable[[Tensor], Tensor]
Autocast = Callable[[], contextlib.AbstractContextManager[object]]

_WARM_UPS = 3
_KINDS_OF_MODULES = 256
# Two threads that record disturb each other; replays do not.
_recording = threading.RLock()


def record_graph(work: Work, touched: Sequence[Tensor]) -> Work:
    """Record work as a CUDA graph; the tensors that it touches are afterwards as they were.

    To be called inside `own_stream`. Every graph has memory of its own, so that pieces are replayed in any order.
    """
    with _recording:
        before = [tensor.detach().clone() for tensor in touched]
        # Convolutions choose their algorithm, and libraries their workspaces, before anything is recorded.
        with _algorithms_tried():
            for _ in range(_WARM_UPS):
                work()
            graph = torch.cuda.CUDAGraph()
            graph.capture_begin(capture_error_mode="thread_local")
            work()
            graph.capture_end()
        _put_back(touched, before)
    return graph.replay


@contextlib.contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Work on a CUDA stream of one's own: nothing can be recorded on the usual one, nor across two.

    On other devices nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    outside, own = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    own.wait_stream(outside)
    with torch.cuda.stream(own):
        yield
    outside.wait_stream(own)


@contextlib.contextmanager
def _algorithms_tried() -> Iterator[None]:
    """Let cuDNN take the fastest of its algorithms for each convolution."""
    was = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = was


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """Let torch compile as many kinds of modules as there are, with a backward pass that may run several times."""
    dynamo: Any = torch._dynamo.config
    functorch: Any = torch._functorch.config
    with dynamo.patch(recompile_limit=_KINDS_OF_MODULES), functorch.patch(donated_buffer=False):
        yield


def run_again(work: Work, touched: Sequence[Tensor]) -> Work:
    """Record nothing: run the work anew each time. For devices without graphs, and as an oracle."""
    return work


@dataclass(frozen=True, slots=True)
class _Wire:
    """What passes between two pieces: the stream forward, its gradient back."""

    stream: Tensor
    gradient: Tensor


class _Piece:
    """A stretch of the network between two wires, forward and backward."""

    def __init__(self, run: Run, part: nn.Module, before: _Wire, after: _Wire, record: Recorder) -> None:
        self._run, self._before, self.after = run, before, after
        self._parameters = _trained(part)
        wires = [before.stream, before.gradient, after.stream, after.gradient]
        self.forward = record(self._forward, [*wires, *part.buffers()])
        self.backward = record(self._backward, [*wires, *(_gradient(p) for p in self._parameters)])

    def _forward(self) -> None:
        self._x = self._before.stream.clone().requires_grad_()
        self._y = self._run(self._x)
        self.after.stream.copy_(self._y.detach())

    def _backward(self) -> None:
        # Kept, because a recorder may run this several times.
        own, *gradients = torch.autograd.grad(
            self._y, [self._x, *self._parameters], self.after.gradient, retain_graph=True, allow_unused=True
        )
        _accumulate(self._parameters, gradients)
        self._before.gradient.copy_(own)


class Replay:
    """Steps of a training, replayed piece by piece; everything is recorded when it first comes up.

    >>> from unravelnet.zoo import preact_resnet
    >>> net = preact_resnet(8, input_shape=(1, 8, 8), seed=0).train()
    >>> for parameter in net.parameters():
    ...     parameter.grad = torch.zeros_like(parameter)
    >>> optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    >>> replay = Replay(net, optimiser, run_again, autocast=contextlib.nullcontext, batch_size=8)
    >>> images, targets = torch.randn(8, 1, 8, 8), torch.arange(8)
    >>> losses = [float(replay.step(images, targets, net.full_route.delete(1))[0]) for _ in range(9)]
    >>> losses[-1] < losses[0]
    True

    `record`: how work is recorded. `autocast`: gives the context of the forward pass. `batch_size`: batches of another
    size are run without recording. `every`: the route that all steps take, where there is one: it is recorded as one
    piece. `compiled`: torch compiles each module before, once for those that are alike. Parameters have their `.grad`,
    and the optimiser its state, before the first step, and keep them.
    """

    def __init__(
        self,
        net: UnraveledNetwork,
        optimiser: torch.optim.Optimizer,
        record: Recorder,
        *,
        autocast: Autocast,
        batch_size: int,
        every: Route | None = None,
        label_smoothing: float = 0.0,
        compiled: bool = False,
    ) -> None:
        self._net, self._optimiser, self._record = net, optimiser, record
        self._batch_size, self._every = batch_size, every
        self._loss = _Loss(autocast, label_smoothing, compiled)
        self._recordings: dict[tuple[object, ...], _Recording] = {}
        self._wholes: dict[torch.Size, Work] = {}

    def step(self, images: Tensor, targets: Tensor, route: Route) -> tuple[Tensor, Tensor]:
        """Take one step of the optimiser on a batch and a route: the summed loss, and how many were wrong.

        Both are on the device, and are overwritten by the next step.
        """
        is_usual = len(images) == self._batch_size
        in_pieces = is_usual and route != self._every
        recording = self._recording_for(images, targets, self._record if in_pieces else run_again)
        recording.take(images, targets)
        if is_usual and not in_pieces:
            self._whole(images.shape, recording, route)()
        else:
            recording.run(route)
        return recording.loss_sum, recording.n_wrong

    def _recording_for(self, images: Tensor, targets: Tensor, record: Recorder) -> _Recording:
        key = (images.shape, record)
        if key not in self._recordings:
            self._recordings[key] = _Recording(
                self._net, self._optimiser, record, self._loss, images, targets
            )
        return self._recordings[key]

    def _whole(self, shape: torch.Size, recording: _Recording, route: Route) -> Work:
        if shape not in self._wholes:
            held = [tensor for state in self._optimiser.state.values() for tensor in state.values()]
            parameters = list(self._net.parameters())
            touched = [*parameters, *map(_gradient, parameters), *self._net.buffers(), *held]
            self._wholes[shape] = self._record(functools.partial(recording.run, route), touched)
        return self._wholes[shape]


@dataclass(frozen=True, slots=True)
class _Loss:
    """How the network is run, and what its loss is."""

    autocast: Autocast
    label_smoothing: float
    compiled: bool


class _Recording:
    """What is recorded for batches of one shape."""

    def __init__(
        self,
        net: UnraveledNetwork,
        optimiser: torch.optim.Optimizer,
        record: Recorder,
        loss: _Loss,
        images: Tensor,
        targets: Tensor,
    ) -> None:
        self.net, self._optimiser, self._record, self._loss = net, optimiser, record, loss
        self._images, self._targets = images.clone(), targets.to(images.device, copy=True)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=images.device)
        self.n_wrong = torch.zeros((), dtype=torch.int64, device=images.device)
        self._wires: dict[tuple[object, ...], _Wire] = {}
        self._pieces: dict[tuple[object, ...], _Piece] = {}
        self._heads: dict[int, Work] = {}
        with _unchanged(net.stem.buffers()):
            self._entry = self._wire_for(self._in_autocast(net.stem)(self._images).detach())
        gradients = [_gradient(parameter) for parameter in net.parameters()]
        self._enter = record(self._run_stem, [self._entry.stream, *net.stem.buffers(), *gradients])
        self._leave_stem = record(self._backward_of_stem, gradients)
        held = [tensor for state in optimiser.state.values() for tensor in state.values()]
        self._update = record(self._run_update, [*net.parameters(), *held])

    def take(self, images: Tensor, targets: Tensor) -> None:
        """Take a batch in."""
        self._images.copy_(images, non_blocking=True)
        self._targets.copy_(targets, non_blocking=True)

    def run(self, route: Route) -> None:
        """Take one step on the batch that was taken in."""
        self._enter()
        wire, passed = self._entry, []
        for key, run, part in self._stretches(route):
            piece = self._piece(key, run, part, wire)
            piece.forward()
            passed.append(piece)
            wire = piece.after
        self._head(wire)()
        for piece in reversed(passed):
            piece.backward()
        self._leave_stem()
        self._update()

    def _stretches(self, route: Route) -> Iterator[tuple[tuple[object, ...], Run, nn.Module]]:
        """Give what a route passes between stem and head: a key, what to run, and the part with its parameters."""
        chain = 0
        visits: Counter[int] = Counter()
        for move in route.moves:
            assert move.kind == "visit", "only routes of single visits are replayed"
            module = self.net.residual_modules[move.module]
            yield from self._transitions(chain, module.chain)
            chain = module.chain
            if not _changes_nothing(module, move):
                # A second visit saves its own values for the way back.
                yield (move, visits[move.module]), self._runner(module, move), module
                visits[move.module] += 1
        yield from self._transitions(chain, len(self.net.transitions))

    def _runner(self, module: ResidualModule, move: Move) -> Run:
        run = torch.compile(module, fullgraph=True, dynamic=False) if self._loss.compiled else module
        return lambda x: run(x, move.mode, scale=move.scale)

    def _transitions(self, start: int, end: int) -> Iterator[tuple[tuple[object, ...], Run, nn.Module]]:
        for number in range(start, end):
            transition = self.net.transitions[number]
            yield ("transition", number), transition, transition

    def _piece(self, key: tuple[object, ...], run: Run, part: nn.Module, before: _Wire) -> _Piece:
        key = (*key, id(before))
        if key not in self._pieces:
            run = self._in_autocast(run)
            with _recording, _compiling():
                with _unchanged(part.buffers()):
                    after = self._wire_for(run(before.stream.clone().requires_grad_()).detach())
                self._pieces[key] = _Piece(run, part, before, after, self._record)
        return self._pieces[key]

    def _head(self, wire: _Wire) -> Work:
        if id(wire) not in self._heads:
            head, parameters = self._in_autocast(self.net.head), _trained(self.net.head)

            def leave() -> None:
                x = wire.stream.clone().requires_grad_()
                logits = head(x).float()
                loss = F.cross_entropy(logits, self._targets, label_smoothing=self._loss.label_smoothing)
                own, *gradients = torch.autograd.grad(loss, [x, *parameters])
                _accumulate(parameters, gradients)
                wire.gradient.copy_(own)
                self.loss_sum.copy_(loss.detach().double() * len(self._targets))
                self.n_wrong.copy_((logits.detach().argmax(1) != self._targets).sum())

            touched = [wire.stream, wire.gradient, *self.net.head.buffers(), *map(_gradient, parameters)]
            self._heads[id(wire)] = self._record(leave, touched)
        return self._heads[id(wire)]

    def _run_stem(self) -> None:
        self._optimiser.zero_grad(set_to_none=False)
        self._stem_output = self._in_autocast(self.net.stem)(self._images)
        self._entry.stream.copy_(self._stem_output.detach())

    def _backward_of_stem(self) -> None:
        parameters = _trained(self.net.stem)
        if parameters:
            gradients = torch.autograd.grad(
                self._stem_output, parameters, self._entry.gradient, retain_graph=True, allow_unused=True
            )
            _accumulate(parameters, gradients)

    def _run_update(self) -> None:
        self._optimiser.step()

    def _in_autocast(self, run: Run) -> Run:
        def running(x: Tensor) -> Tensor:
            with self._loss.autocast():
                return run(x)

        return running

    def _wire_for(self, value: Tensor) -> _Wire:
        """Give the wire for values of this form, the same one each time."""
        form = (value.shape, value.dtype, value.stride())
        if form not in self._wires:
            self._wires[form] = _Wire(value.clone(), torch.zeros_like(value))
        return self._wires[form]


def can_be_replayed(net: UnraveledNetwork, images: object) -> bool:
    """Whether every part of a network reads the stream only, and its input is one tensor."""
    parts = [net.stem, *net.transitions, net.head]
    parts += [part for module in net.residual_modules for part in module.children()]
    return isinstance(images, Tensor) and not any(isinstance(part, Segment) for part in parts)


def _changes_nothing(module: ResidualModule, move: Move) -> bool:
    return (
        move.mode == "skip"
        and module.junction.passes_lone_skip
        and all(part is None or isinstance(part, nn.Identity) for part in (module.skip, module.after))
    )


def _trained(part: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in part.parameters() if parameter.requires_grad]


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None, "gradients are made before the first step, and stay"
    return parameter.grad


def _accumulate(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    pairs = [(_gradient(p), g) for p, g in zip(parameters, gradients, strict=True) if g is not None]
    if pairs:
        torch._foreach_add_([own for own, _ in pairs], [new for _, new in pairs])


@contextlib.contextmanager
def _unchanged(tensors: Iterable[Tensor]) -> Iterator[None]:
    held = list(tensors)
    before = [tensor.detach().clone() for tensor in held]
    try:
        yield
    finally:
        _put_back(held, before)


def _put_back(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        # Through `data`, of which autograd takes no note: what was saved for the way back is valid still.
        tensor.data.copy_(value)
