"""The recipe of a zoo network: name and options, enough to build it again.

A recipe travels with the network that was made from it, so that the network can be saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from unravelnet.errors import CheckpointError
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.zoo.parts import initialise


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network was made: `zoo.create(recipe.name, **recipe.options)` makes one like it.

    `options` hold JSON values only, all of them written out, and no seed: weights are stored, not drawn
    again.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)


def assemble(
    recipe: Recipe,
    stem: nn.Module,
    residual_modules: Iterable[ResidualModule],
    head: nn.Module,
    *,
    input_shape: Sequence[int],
    transitions: Iterable[nn.Module] = (),
) -> UnraveledNetwork:
    """Put a zoo network together, draw its weights and let it remember its recipe."""
    net = UnraveledNetwork(
        stem,
        residual_modules,
        head,
        example=torch.zeros(1, *input_shape),
        transitions=transitions,
        name=recipe.name,
    )
    initialise(net)
    # Into the plain dictionary: nn.Module has types for tensors and modules only.
    vars(net)["recipe"] = recipe
    return net


def recipe_or_none(net: nn.Module) -> Recipe | None:
    """Return the recipe of a network, or None for one that does not come from the zoo."""
    recipe: Recipe | None = vars(net).get("recipe")
    return recipe


def recipe_of(net: nn.Module) -> Recipe:
    """Return the recipe of a network.

    Raises CheckpointError for a network that does not come from the zoo.
    """
    recipe = recipe_or_none(net)
    if recipe is None:
        name = getattr(net, "name", "") or type(net).__name__
        raise CheckpointError(
            f"{name} was not made by the zoo, so there is no recipe to build it again from. Save its weights "
            "with safetensors, and load them with `net.load_weights`."
        )
    return recipe
