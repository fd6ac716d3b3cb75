"""What a captured network is tried with: inputs and weights that let a comparison see every part of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unravelnet.capture.call import arguments, each_with_batch, with_batch
from unravelnet.capture.untouched import left_as_it_was, seed_everything
from unravelnet.network import Inputs, ResidualModule, Row, State, UnraveledNetwork

# A weight below this, or a branch that adds less than this share of its stream, could be wrong unseen.
_SILENT_WEIGHT, _SILENT_BRANCH = 1e-2, 1e-4

Redraw = Callable[[Iterable[nn.Parameter]], None]
"""Gives parameters random weights for a while."""


@dataclass(frozen=True)
class Trial:
    """A batch that a model takes, and what the model gave for it."""

    inputs: Inputs
    output: Any

    @property
    def has_nan(self) -> bool:
        """Whether something in the output is no number."""
        leaves = [leaf for leaf in pytree.tree_leaves(self.output) if isinstance(leaf, Tensor)]
        return any(bool(leaf.isnan().any()) for leaf in leaves)


def tried(
    model: nn.Module, example: Inputs, constants: Mapping[str, Any], rows: list[int], seed: int
) -> Trial:
    """Try a model on a drawn batch, or, where it does not take that, on the example's own rows.

    Not every value is an input.
    """
    drawn = drawn_like(example, rows)
    with contextlib.suppress(Exception):
        trial = Trial(drawn, output_of(model, drawn, constants, seed))
        if not trial.has_nan:
            return trial
    own = with_batch(example, rows)
    return Trial(own, output_of(model, own, constants, seed))


@torch.no_grad()
def output_of(model: nn.Module, inputs: Inputs, constants: Mapping[str, Any], seed: int) -> Any:
    """Run a model in evaluation mode in a random state, and leave it as it was."""
    args, kwargs = arguments(copied(inputs))
    with left_as_it_was(model):
        seed_everything(seed)
        model.eval()
        return model(*args, **kwargs, **constants)


def copied(inputs: Inputs) -> Inputs:
    """Copy inputs: a model may change them in place."""
    return each_with_batch(inputs, torch.clone)


def drawn_like(example: Inputs, rows: list[int], seed: int = 0) -> Inputs:
    """Draw a batch at random in the range of an example's values; integers are the example's own, in another order.

    >>> drawn_like(torch.tensor([[3, 3, 5]]), [0, 0]).sum()
    tensor(22)

    `rows`: the rows of the example that the batch is made like.
    """
    generator = torch.Generator().manual_seed(seed)
    return each_with_batch(example, lambda leaf: _random_like(leaf[rows], generator))


def _random_like(values: Tensor, generator: torch.Generator) -> Tensor:
    if not values.is_floating_point():
        order = torch.randperm(values.numel(), generator=generator)
        return values.flatten()[order.to(values.device)].view(values.shape)
    finite = values[values.isfinite()].float()
    lowest, highest = (finite.min(), finite.max()) if finite.numel() else (torch.zeros(()), torch.zeros(()))
    if lowest == highest:
        # A stand-in for the data, of zeros or ones.
        lowest, highest = (lowest / 2, lowest * 2) if lowest else (lowest - 2, lowest + 2)
    share = torch.rand(values.shape, generator=generator).to(values.device)
    drawn = (lowest + (highest - lowest) * share).to(values.dtype)
    return torch.where(values.isinf(), values, drawn)


@contextlib.contextmanager
def awake(model: nn.Module) -> Iterator[Redraw]:
    """Give random weights, for a while, to what adds nothing yet, as a zero-initialised last normalisation.

    What it gives does so for other weights. The same weights are drawn each time. The parameters keep their memory and
    get it back, untouched, also after an exception.
    """
    generator = torch.Generator().manual_seed(0)
    kept: list[tuple[nn.Parameter, Tensor]] = []

    def redraw(parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            kept.append((parameter, parameter.data))
            parameter.data = _drawn_weights(parameter, generator)

    try:
        redraw(filter(_is_silent, model.parameters()))
        yield redraw
    finally:
        for parameter, data in reversed(kept):
            parameter.data = data


def run_awake(net: UnraveledNetwork, inputs: Inputs, redraw: Redraw) -> tuple[Any, bool]:
    """Measure a network, and wake each branch that still adds next to nothing; say whether there was any.

    Gives the output of the network with every branch awake.
    """
    silent: list[ResidualModule] = []

    def run(module: ResidualModule, state: State) -> Tensor:
        skip, branch = module.take_skip(state.x, state.held), module.take_branch(state.x, state.held)
        if _is_idle(skip, branch):
            silent.append(module)
        return module.join(skip, branch, state.held)

    output = net.measure_on(inputs, run)
    if not silent:
        return output, False
    return net.leave(_wake_branches(net, net.enter(inputs), redraw)), True


def _wake_branches(row: Row, state: State, redraw: Redraw) -> State:
    """Redraw all weights of each branch that adds next to nothing to its stream, of those inside first.

    `state`: where the stem of the row has led. Gives the state behind the last module.
    """
    for module in row.residual_modules:
        state = row.move_to_chain(state, module.chain)
        if isinstance(module.branch, Row):
            _wake_branches(module.branch, module.branch.enter(state.x, state.held), redraw)
        skip, branch = module.take_skip(state.x, state.held), module.take_branch(state.x, state.held)
        if _is_idle(skip, branch):
            redraw(filter(_is_weight, module.branch.parameters()))
            branch = module.take_branch(state.x, state.held)
        state = module.state_behind(state, module.join(skip, branch, state.held))
    return state


def _is_idle(skip: Tensor, branch: Tensor) -> bool:
    return bool(branch.abs().max() <= _SILENT_BRANCH * skip.abs().max())


def _is_weight(parameter: nn.Parameter) -> bool:
    return parameter.is_floating_point() and parameter.numel() > 0


def _is_silent(parameter: nn.Parameter) -> bool:
    if not _is_weight(parameter):
        return False
    # Without a copy of the weights, as the largest absolute value would make.
    lowest, highest = parameter.detach().aminmax()
    return bool(lowest > -_SILENT_WEIGHT) and bool(highest < _SILENT_WEIGHT)


def _drawn_weights(parameter: nn.Parameter, generator: torch.Generator) -> Tensor:
    """Draw weights that keep the scale of what they are applied to; scales and shifts stay off zero."""
    drawn = torch.randn(parameter.shape, generator=generator)
    if parameter.dim() > 1:
        drawn /= (parameter.numel() / parameter.shape[0]) ** 0.5
    else:
        drawn = drawn.sign() * (0.1 + 0.2 * torch.rand(parameter.shape, generator=generator))
    return drawn.to(parameter.device, parameter.dtype)
