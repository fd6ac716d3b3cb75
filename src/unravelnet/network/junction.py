"""How the skip and the branch of a residual module become one stream again.

A junction is a frozen value. It says how its two operands are joined, what stands in for one that is missing (the
module is deleted, or its skip is removed), and what a gradient of the joined stream becomes on each operand.
Everything else treats all junctions alike, so a new kind is one more class here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from unravelnet.errors import ModelError


class AbstractJunction(ABC):
    """A way to join skip and branch; None in place of an operand means that it is missing.

    `kind` names it in tables. `is_linear`: the joined stream is then the sum of what either operand gives alone.
    `passes_lone_skip`: without a branch the joined stream is the skip itself.
    """

    kind: ClassVar[str]
    is_linear: ClassVar[bool] = True
    passes_lone_skip: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, skip: Tensor | None, branch: Tensor | None) -> Tensor:
        """Join the operands; at least one is given."""

    @abstractmethod
    def to_skip(self, gradient: Tensor, skip: Tensor, branch: Tensor | None) -> Tensor:
        """Give the gradient of the skip from that of the joined stream, the branch held fixed."""

    @abstractmethod
    def to_branch(self, gradient: Tensor, skip: Tensor | None, branch: Tensor) -> Tensor:
        """Give the gradient of the branch from that of the joined stream, the skip held fixed."""

    def scale(self, branch: Tensor, factor: float | Tensor) -> Tensor:
        """Take a fraction of the branch: all of it with the factor 1, and none, as if it were missing, with 0."""
        return branch * factor

    def change(self, skip: Tensor | None, branch: Tensor) -> Tensor:
        """Say what the branch changes of the stream that the skip alone would give; without a skip, all there is."""
        return self(None, branch)


@dataclass(frozen=True, slots=True)
class Add(AbstractJunction):
    """skip + branch; each alone where the other is missing.

    >>> Add()(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([3.])
    """

    kind: ClassVar[str] = "add"

    def __call__(self, skip: Tensor | None, branch: Tensor | None) -> Tensor:
        if skip is None:
            return _given(branch)
        return skip if branch is None else skip + branch

    def to_skip(self, gradient: Tensor, skip: Tensor, branch: Tensor | None) -> Tensor:
        return gradient

    def to_branch(self, gradient: Tensor, skip: Tensor | None, branch: Tensor) -> Tensor:
        return gradient


@dataclass(frozen=True, slots=True)
class Concatenate(AbstractJunction):
    """Skip and branch side by side along `dim`; zeros in the place of one that is missing.

    >>> Concatenate(n_skip=1, n_branch=2)(torch.ones(1, 1), None)
    tensor([[1., 0., 0.]])

    `n_skip`, `n_branch`: their sizes along `dim`, usually channels. `skip_first`: whether the skip comes first.
    """

    n_skip: int
    n_branch: int
    dim: int = 1
    skip_first: bool = True

    kind: ClassVar[str] = "concatenate"
    passes_lone_skip: ClassVar[bool] = False

    def __call__(self, skip: Tensor | None, branch: Tensor | None) -> Tensor:
        for name, operand, size in (("skip", skip, self.n_skip), ("branch", branch, self.n_branch)):
            if operand is not None and operand.shape[self.dim] != size:
                raise ModelError(
                    f"A concatenation was made for a {name} of {size} channels, and one of "
                    f"{operand.shape[self.dim]} arrives. Give Concatenate the sizes of its operands along "
                    f"dimension {self.dim}."
                )
        if skip is not None and branch is not None:
            return torch.cat([skip, branch] if self.skip_first else [branch, skip], dim=self.dim)
        # Padding keeps the memory layout, which zeros beside an operand would not.
        missing = self.n_skip if skip is None else self.n_branch
        is_first = (skip is None) == self.skip_first
        operand = _given(branch if skip is None else skip)
        n_behind = operand.dim() - 1 - self.dim % operand.dim()
        return F.pad(operand, (0, 0) * n_behind + ((missing, 0) if is_first else (0, missing)))

    def to_skip(self, gradient: Tensor, skip: Tensor, branch: Tensor | None) -> Tensor:
        return gradient.narrow(self.dim, 0 if self.skip_first else self.n_branch, self.n_skip)

    def to_branch(self, gradient: Tensor, skip: Tensor | None, branch: Tensor) -> Tensor:
        return gradient.narrow(self.dim, self.n_skip if self.skip_first else 0, self.n_branch)


@dataclass(frozen=True, slots=True)
class Gate(AbstractJunction):
    """t · h + (1 - t) · skip, as in highway networks; the branch gives h and the gate t side by side along `dim`.

    >>> Gate()(torch.tensor([[8.0]]), torch.tensor([[4.0, 0.25]]))
    tensor([[7.]])

    Without a branch the gate is closed: the skip passes whole. Without a skip it is open: h passes whole. The gate is
    computed by the module, so its part of the gradient goes through the branch.
    Source: Srivastava, Greff and Schmidhuber (2015).
    """

    dim: int = 1

    kind: ClassVar[str] = "gate"
    is_linear: ClassVar[bool] = False

    def __call__(self, skip: Tensor | None, branch: Tensor | None) -> Tensor:
        if branch is None:
            return _given(skip)
        value, gate = branch.chunk(2, self.dim)
        return value if skip is None else gate * value + (1 - gate) * skip

    def to_skip(self, gradient: Tensor, skip: Tensor, branch: Tensor | None) -> Tensor:
        return gradient if branch is None else gradient * (1 - branch.chunk(2, self.dim)[1])

    def to_branch(self, gradient: Tensor, skip: Tensor | None, branch: Tensor) -> Tensor:
        value, gate = branch.chunk(2, self.dim)
        if skip is None:
            return torch.cat([gradient, torch.zeros_like(gradient)], self.dim)
        return torch.cat([gradient * gate, gradient * (value - skip)], self.dim)

    def scale(self, branch: Tensor, factor: float | Tensor) -> Tensor:
        """Open the gate by this fraction of what the module opens it."""
        value, gate = branch.chunk(2, self.dim)
        return torch.cat([value, gate * factor], self.dim)

    def change(self, skip: Tensor | None, branch: Tensor) -> Tensor:
        value, gate = branch.chunk(2, self.dim)
        return value if skip is None else gate * (value - skip)


def _given(operand: Tensor | None) -> Tensor:
    assert operand is not None, "a module needs its skip or its branch"
    return operand
