"""How the skip and the branch of a residual module become one stream again.

A junction is a frozen value. It says how its two operands are joined, what stands in for one that is missing (the
module is deleted, or its skip is removed), and what a gradient of the joined stream becomes on each operand.
Everything else treats all junctions alike, so a new kind is one more class here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

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
        missing = self.n_skip if skip is None else self.n_branch
        is_first = (skip is None) == self.skip_first
        operand = _given(branch if skip is None else skip)
        return _padded(operand, self.dim, *((missing, 0) if is_first else (0, missing)))

    def to_skip(self, gradient: Tensor, skip: Tensor, branch: Tensor | None) -> Tensor:
        return gradient.narrow(self.dim, 0 if self.skip_first else self.n_branch, self.n_skip)

    def to_branch(self, gradient: Tensor, skip: Tensor | None, branch: Tensor) -> Tensor:
        return gradient.narrow(self.dim, self.n_skip if self.skip_first else 0, self.n_branch)


@dataclass(frozen=True, slots=True)
class Partial(AbstractJunction):
    """A sum on some channels along `dim`, and on the others skip or branch alone, as in dual path networks.

    >>> Partial((("both", 1), ("skip", 1), ("branch", 2)))(torch.ones(1, 2), torch.ones(1, 3))
    tensor([[2., 1., 1., 1.]])

    `runs`: how many channels of the joined stream, in order, are a sum of both, the skip, or the branch. Each operand
    gives its own channels in order. A missing one adds nothing, and leaves zeros where it stands alone.
    Source: Chen et al. (2017).
    """

    runs: tuple[tuple[Literal["both", "skip", "branch"], int], ...]
    dim: int = 1

    kind: ClassVar[str] = "partial"
    passes_lone_skip: ClassVar[bool] = False

    def __call__(self, skip: Tensor | None, branch: Tensor | None) -> Tensor:
        skips, branches = self._in_runs("skip", skip), self._in_runs("branch", branch)
        given = _given(branch if skip is None else skip)
        joined = []
        for (_, size), of_skip, of_branch in zip(self.runs, skips, branches, strict=True):
            is_missing = of_skip is None and of_branch is None
            joined.append(_zeros(given, size, self.dim) if is_missing else Add()(of_skip, of_branch))
        return torch.cat(joined, self.dim)

    def to_skip(self, gradient: Tensor, skip: Tensor, branch: Tensor | None) -> Tensor:
        return self._of("skip", gradient)

    def to_branch(self, gradient: Tensor, skip: Tensor | None, branch: Tensor) -> Tensor:
        return self._of("branch", gradient)

    def _in_runs(self, name: str, operand: Tensor | None) -> list[Tensor | None]:
        """Take an operand apart along the runs; None where it has no part in one."""
        sizes = [size if owner in {name, "both"} else 0 for owner, size in self.runs]
        if operand is None:
            return [None] * len(sizes)
        if operand.shape[self.dim] != sum(sizes):
            raise ModelError(
                f"A partial sum was made for a {name} of {sum(sizes)} channels, and one of "
                f"{operand.shape[self.dim]} arrives. Give Partial the runs of its operands along dimension {self.dim}."
            )
        parts = operand.split(sizes, self.dim)
        return [part if size else None for part, size in zip(parts, sizes, strict=True)]

    def _of(self, name: str, gradient: Tensor) -> Tensor:
        parts = gradient.split([size for _, size in self.runs], self.dim)
        own = [part for part, (owner, _) in zip(parts, self.runs, strict=True) if owner in {name, "both"}]
        return torch.cat(own, self.dim)


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


def _zeros(like: Tensor, size: int, dim: int) -> Tensor:
    return _padded(like, dim, 0, size).narrow(dim, like.shape[dim], size)


def _padded(x: Tensor, dim: int, before: int, behind: int) -> Tensor:
    """Put zeros on either side along a dimension. Padding keeps the memory layout."""
    n_inner = x.dim() - 1 - dim % x.dim()
    return F.pad(x, (0, 0) * n_inner + (before, behind))
