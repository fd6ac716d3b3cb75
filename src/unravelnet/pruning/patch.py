"""A linear map in the place of a span of modules, fitted to what the span does to the stream; nothing is trained."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from unravelnet.network import ResidualModule, UnraveledNetwork

# Of the mean square of the stream: what a direction must carry to count.
_RIDGE = 1e-4


class LinearPatch(nn.Module):
    """A linear map of the values of each position, with a bias.

    >>> patch = LinearPatch(torch.eye(3), torch.zeros(3), channels=1)
    >>> patch(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])

    `channels`: the dimension that holds the values of one position.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Map every position."""
        if self.channels == 1 and x.dim() == 4:
            return functional.conv2d(x, self.weight[:, :, None, None], self.bias)
        mapped = functional.linear(x.movedim(self.channels, -1), self.weight, self.bias)
        return mapped.movedim(-1, self.channels)


class LeastSquares:
    """Fits a patch: the smallest map that brings x + patch(x) as near to y as it can, over all positions.

    >>> x = torch.randn(50, 3)
    >>> fit = LeastSquares(3)
    >>> fit.add(x, 2 * x + 1, channels=1)
    >>> torch.allclose(fit.solve(channels=1)(x), x + 1, atol=1e-2)
    True

    A ridge pulls the map to 0, which is what deleting the span leaves: directions that the stream hardly has stay as
    they are.
    """

    def __init__(self, width: int) -> None:
        self._squares = torch.zeros(width + 1, width + 1, dtype=torch.float64)
        self._products = torch.zeros(width + 1, width, dtype=torch.float64)
        self._residual = 0.0
        self._n = 0

    def add(self, x: Tensor, y: Tensor, *, channels: int) -> None:
        """Add the positions of a batch."""
        before, behind = (part.movedim(channels, -1).flatten(0, -2).double().cpu() for part in (x, y))
        change = behind - before
        with_bias = torch.cat([before, before.new_ones(len(before), 1)], dim=1)
        self._squares += with_bias.T @ with_bias
        self._products += with_bias.T @ change
        self._residual += float(change.square().sum())
        self._n += len(before)

    def solve(self, *, channels: int) -> LinearPatch:
        """Give the patch."""
        width = self._products.shape[1]
        ridge = torch.full((width + 1,), _RIDGE * float(self._squares.diagonal()[:width].mean()))
        ridge[width] = 0.0
        solution = torch.linalg.solve(self._squares + torch.diag(ridge.double()), self._products)
        self._left = self._residual - float((2 * solution * self._products).sum())
        self._left += float((solution * (self._squares @ solution)).sum())
        return LinearPatch(
            solution[:width].T.float().contiguous(), solution[width].float(), channels=channels
        )

    @property
    def unexplained(self) -> float:
        """The share of the square change that the patch, once solved, leaves."""
        return max(0.0, self._left) / self._residual if self._residual else 0.0


def patched(net: UnraveledNetwork, span: tuple[int, ...], patch: LinearPatch) -> UnraveledNetwork:
    """Put a patch in the place of the first module of a span; the others are to be deleted by the route.

    The patch is a residual module, x + patch(x), so that it can be measured, scaled, deleted and exported as any other.
    Parameters are shared with the network, which stays as it is.
    """
    shared = {id(tensor): tensor for tensor in _tensors(net)}
    made = copy.deepcopy(net, shared)
    old = net.residual_modules[span[0]]
    new = ResidualModule(
        patch, nn.Identity(), name=f"patch of modules {span[0]} to {span[-1]}", chain=old.chain
    )
    new.index, new.input_shape, new.output_shape = old.index, old.input_shape, old.input_shape
    made.residual_modules[span[0]] = new.to(next(net.parameters(), patch.weight).device)
    if made.origin is not None:
        made.origin = replace(made.origin, replaced=new.name)
    made.name = f"{net.name}, {new.name}".removeprefix(", ")
    return made.eval() if not net.training else made


def _tensors(net: nn.Module) -> Iterator[Tensor]:
    yield from net.parameters()
    yield from net.buffers()
