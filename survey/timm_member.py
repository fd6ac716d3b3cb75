"""How a member is made of a model of timm: by its name, with fewer blocks and smaller images than usual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from survey.member import Member
from unravelnet._extras import require

NO_SKIP = "has no residual module that could be removed"
_IMAGES = 2


def library(name: str = "timm") -> Any:
    """Import timm, or one of its modules."""
    return require(name, "The survey")


def member(
    family: str, model: str, modules: int, truth: str, *, size: int = 64, options: dict[str, Any] | None = None,
    make: Callable[[], nn.Module] | None = None, **others: Any,
) -> Member:  # fmt: skip
    """Describe one model of timm.

    `size`: height and width of the images, in pixels. `options`: for `timm.create_model`. `make`: for a model that
    it cannot shorten. `others`: `nested`, `kinds` and `refused` of the member.
    """
    return Member(
        "timm", family, model,
        make or (lambda: library().create_model(model, **(options or {}))),
        lambda: torch.randn(_IMAGES, 3, size, size),
        modules, truth, **others,
    )  # fmt: skip
