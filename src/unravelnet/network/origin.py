"""The model that a network was captured from, and where its tensors are in the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unravelnet.network.inputs import Inputs


@dataclass(frozen=True, eq=False)
class Origin:
    """The user's model behind a captured network.

    `places`: by the name of each tensor of the model that the network reads, its name in the network. `example`: two
    inputs with which it was read, and `constants` the keyword inputs beside them, such as use_cache=False. `replaced`:
    what was put into the network in the place of the model's own modules. Copies of a network have the same origin, and
    weights of their own.
    """

    model: nn.Module
    places: Mapping[str, str]
    example: Inputs
    constants: Mapping[str, Any]
    replaced: str = ""

    @classmethod
    def of(cls, model: nn.Module, net: nn.Module, example: Inputs, constants: Mapping[str, Any]) -> Origin:
        """Find the tensors of a model in the network that shares them."""
        place_of = {id(tensor): name for name, tensor in net.state_dict(keep_vars=True).items()}
        own = model.state_dict(keep_vars=True).items()
        places = {name: place_of[id(tensor)] for name, tensor in own if id(tensor) in place_of}
        return cls(model, places, example, constants)

    def __deepcopy__(self, memo: object) -> Origin:
        # What is trained or changed in a copy of the network is not to be seen in the user's model.
        return self

    def weights(self, net: nn.Module) -> dict[str, Tensor]:
        """Give the tensors that the model would have with the weights of a network, by the model's names."""
        held = net.state_dict()
        own = {name: value for name, value in self.model.state_dict().items() if isinstance(value, Tensor)}
        return {name: held.get(self.places.get(name, ""), own[name]) for name in own}

    @torch.no_grad()
    def run(self, net: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call the model, as it stands, with the weights of a network."""
        weights = self.weights(net)
        # Of a part with several names one name: `functional_call` would not put back what it finds twice.
        names = [
            name
            for prefix, part in self.model.named_modules()
            for tensors in (part.named_parameters, part.named_buffers)
            for name, _ in tensors(prefix, recurse=False, remove_duplicate=False)
        ]
        own = {name: weights[name] for name in names if name in weights}
        given = {**kwargs, **self.constants}
        return torch.func.functional_call(self.model, own, args, given, tie_weights=False)
