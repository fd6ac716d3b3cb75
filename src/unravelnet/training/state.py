"""How far a training is, with everything that its next epoch depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unravelnet.errors import CheckpointError
from unravelnet.network import UnraveledNetwork
from unravelnet.records.record import Table
from unravelnet.training.checkpoint import Checkpoint

# What optimisers keep of each parameter, by its name in a checkpoint: SGD the first, AdamW the others.
_KEPT = {"momentum": "momentum_buffer", "mean": "exp_avg", "square": "exp_avg_sq", "step": "step"}


@dataclass
class TrainingState:
    """The weights, momentum and generators of a training, and the epochs behind it.

    `data_generator` draws order and augmentation, `route_generator` the routes. Dropout draws from torch's own
    generator. `history`: one row an epoch.
    """

    net: UnraveledNetwork
    optimiser: torch.optim.Optimizer
    data_generator: torch.Generator
    route_generator: np.random.Generator
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def table(self) -> Table:
        """Return the history as a table."""
        return Table(self.history)

    def to_checkpoint(self, identity: Mapping[str, Any]) -> Checkpoint:
        """Collect what a training needs to go on."""
        tensors = {f"weights.{name}": tensor for name, tensor in self.net.state_dict().items()}
        for name, parameter in self.net.named_parameters():
            state = self.optimiser.state[parameter]
            tensors |= {
                f"{kept}.{name}": state[key] for kept, key in _KEPT.items() if state.get(key) is not None
            }
        tensors["generator.data"] = self.data_generator.get_state()
        tensors["generator.default"] = torch.default_generator.get_state()
        route_generator = dict(self.route_generator.bit_generator.state)
        return Checkpoint(identity, self.epoch, self.history, route_generator, tensors)

    def restore(self, found: Checkpoint, place: str) -> None:
        """Take over a checkpoint. Raises CheckpointError where it does not fit."""
        try:
            self.net.load_weights(found.under("weights."), source=place)
            for kept, key in _KEPT.items():
                for name, tensor in found.under(f"{kept}.").items():
                    parameter = self.net.get_parameter(name)
                    # In the layout of the parameter, which the optimiser's arithmetic expects.
                    held = torch.empty_like(parameter).copy_(tensor) if tensor.dim() else tensor.clone()
                    self.optimiser.state[parameter][key] = held
            self.data_generator.set_state(found.tensors["generator.data"])
            torch.default_generator.set_state(found.tensors["generator.default"])
            self.route_generator.bit_generator.state = dict(found.route_generator)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{place} does not hold the state of this training: {error}. Remove it to start anew."
            ) from error
        self.epoch, self.history = found.epoch, list(found.history)


Buffers = list[tuple[nn.Module, dict[str, Tensor | None]]]


def buffers_of(net: nn.Module) -> Buffers:
    """List the buffers of a network as they are now."""
    return [(module, dict(module._buffers)) for module in net.modules()]


def give_back(buffers: Buffers) -> None:
    """Put what became of buffers into the tensors that they were: a captured network shares them with its model."""
    for module, before in buffers:
        for name, buffer in before.items():
            now = module._buffers[name]
            if buffer is not None and now is not None and now is not buffer:
                buffer.copy_(now)
                module._buffers[name] = buffer
