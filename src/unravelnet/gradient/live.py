"""Live values at one place of a route, and cotangents of them.

With the activations of the forward pass fixed, every piece of a network is a linear map of small changes, and its
transpose carries gradients backwards. *Live values*: the stream, and the held values of a captured network that depend
on its input (parallel streams). *Cotangent*: the gradient of the losses with respect to the live values at one place,
by name; a value without gradient is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unravelnet.network import State

STREAM = ""
"""The name of the stream among the live values; held values have names of their own."""

Cotangent = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Place:
    """The state at one place of a route, and which held values depend on the input of the network."""

    state: State
    live: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        """The memory that the live values take."""
        values = [self.state.x, *(self.state.held[name] for name in self.live)]
        return sum(value.numel() * value.element_size() for value in values)

    def as_leaves(self) -> tuple[State, Cotangent]:
        """Copy the state with its live values as leaves, from which autograd starts anew."""
        values = {STREAM: self.state.x, **{name: self.state.held[name] for name in self.live}}
        leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
        held = {**self.state.held, **{name: leaves[name] for name in self.live}}
        return State(leaves[STREAM], self.state.chain, held), leaves

    @classmethod
    def after(cls, state: State) -> Place:
        """Take a state that autograd has followed: live is what depends on its leaves."""
        live = tuple(
            name for name, value in tensors_of_state(state).items() if value.requires_grad and name != STREAM
        )
        held = {**state.held, **{name: state.held[name].detach() for name in live}}
        return cls(State(state.x.detach(), state.chain, held), live)


def pull(
    outputs: Mapping[str, Tensor],
    leaves: Mapping[str, Tensor],
    cotangent: Cotangent,
    *,
    create_graph: bool = False,
) -> Cotangent:
    """Carry a cotangent from outputs back to leaves: a product with the transposed Jacobian.

    It can be called again for other cotangents of the same outputs. `create_graph`: let autograd follow this, too.
    """
    names = [name for name in cotangent if name in outputs and outputs[name].requires_grad]
    if not names:
        return {}
    gradients = torch.autograd.grad(
        [outputs[name] for name in names],
        list(leaves.values()),
        [cotangent[name] for name in names],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    return {name: g for name, g in zip(leaves, gradients, strict=True) if g is not None}


def plus(first: Cotangent, second: Cotangent) -> Cotangent:
    """Add two cotangents; what one of them lacks is zero."""
    both = {name: first[name] + second[name] for name in first.keys() & second.keys()}
    return {**first, **second, **both}


def tensors_of_state(state: State) -> dict[str, Tensor]:
    """List the stream and the held values by name."""
    held = {name: value for name, value in state.held.items() if isinstance(value, Tensor)}
    return {STREAM: state.x, **held}
