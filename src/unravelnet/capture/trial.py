"""What a captured network is tried with: inputs and weights that let a comparison see every part of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from unravelnet.capture.call import each_with_batch
from unravelnet.network import Inputs, Row, State, UnraveledNetwork

# A weight below this, or a branch that adds less than this share of its stream, could be wrong unseen.
_SILENT_WEIGHT, _SILENT_BRANCH = 1e-2, 1e-4


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
def awake(net: UnraveledNetwork, inputs: Inputs) -> Iterator[None]:
    """Give random weights, for a while, to what adds nothing yet, as a zero-initialised last normalisation.

    The parameters keep their memory and get it back, untouched, also after an exception.
    """
    generator = torch.Generator().manual_seed(0)
    kept: list[tuple[nn.Parameter, Tensor]] = []

    def redraw(parameter: nn.Parameter) -> None:
        kept.append((parameter, parameter.data))
        parameter.data = _drawn_weights(parameter, generator)

    try:
        for parameter in filter(_is_silent, net.parameters()):
            redraw(parameter)
        _wake_branches(net, net.enter(inputs), redraw)
        yield
    finally:
        for parameter, data in reversed(kept):
            parameter.data = data


def _wake_branches(row: Row, state: State, redraw: Callable[[nn.Parameter], None]) -> None:
    """Redraw all weights of each branch that still adds next to nothing to its stream, of those inside first.

    `state`: where the stem of the row has led.
    """
    for module in row.residual_modules:
        state = row.move_to_chain(state, module.chain)
        if isinstance(module.branch, Row):
            _wake_branches(module.branch, module.branch.enter(state.x, state.held), redraw)
        skip, branch = module.take_skip(state.x, state.held), module.take_branch(state.x, state.held)
        if branch.abs().max() <= _SILENT_BRANCH * skip.abs().max():
            for parameter in filter(_is_weight, module.branch.parameters()):
                redraw(parameter)
            branch = module.take_branch(state.x, state.held)
        state = module.state_behind(state, module.join(skip, branch, state.held))


def _is_weight(parameter: nn.Parameter) -> bool:
    return parameter.is_floating_point() and parameter.numel() > 0


def _is_silent(parameter: nn.Parameter) -> bool:
    return _is_weight(parameter) and bool(parameter.detach().abs().max() < _SILENT_WEIGHT)


def _drawn_weights(parameter: nn.Parameter, generator: torch.Generator) -> Tensor:
    """Draw weights that keep the scale of what they are applied to; scales and shifts stay off zero."""
    drawn = torch.randn(parameter.shape, generator=generator)
    if parameter.dim() > 1:
        drawn /= (parameter.numel() / parameter.shape[0]) ** 0.5
    else:
        drawn = drawn.sign() * (0.1 + 0.2 * torch.rand(parameter.shape, generator=generator))
    return drawn.to(parameter.device, parameter.dtype)
