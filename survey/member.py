"""A member of the survey: a model, an example, and how many residual modules its own definition has.

The numbers here are never read off a capture. They are arithmetic by hand, from the configuration of the
model and the paper that describes it, so that a capture which misses a module is seen to miss it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, slots=True)
class Member:
    """Hold one model of the survey, and the truth about it.

    ``Member("torchvision", "resnet", "resnet18", make, example, 8, "4 stages of 2 blocks (He et al. 2016).")``
    is a network of 8 residual modules. ``make`` builds the model, ``example`` its inputs for a batch of 2 or more.
    """

    library: str
    family: str
    model: str
    make: Callable[[], nn.Module]
    example: Callable[[], Any]
    modules: int  # residual modules in a row
    truth: str  # one sentence: the count by the model's own configuration, with the paper
    nested: int = 0  # modules inside others, which `modules` does not count
    kinds: tuple[tuple[str, int], ...] = ()  # kind of junction and how many of it; empty when all add
    refused: str = ""  # a part of the true reason, for a model without residual modules or beyond capture
