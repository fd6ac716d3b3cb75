"""What may go around a branch, in the spellings of libraries: deleting the module leaves what the form says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import unravelnet as un


def pooled(x: Tensor) -> Tensor:
    """Halve the number of tokens; the first one stands apart."""
    first, others = torch.tensor_split(x, [1], dim=1)
    return torch.cat([first, functional.max_pool1d(others.transpose(1, 2), 2).transpose(1, 2)], dim=1)


def deepest(x: Tensor) -> Tensor:
    """Pool a volume of 8 values to one, and spread it."""
    return functional.max_pool3d(x.view(-1, 1, 2, 2, 5), (2, 2, 5)).view(-1, 1, 1).expand(-1, 3, 4)


class Around(nn.Module):
    def __init__(self, skip) -> None:
        super().__init__()
        self.skip = skip
        self.enter, self.positions, self.layer = nn.Linear(4, 4), nn.Linear(5, 3), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        branch = self.positions(self.layer(x).relu().transpose(1, 2)).transpose(1, 2)
        return self.skip(x) + branch


@pytest.mark.parametrize("skip", [pooled, deepest])
def test_what_is_pooled_goes_around(skip):
    model, x = Around(skip).eval(), torch.randn(3, 5, 4)
    net = un.unravel(model, x)
    assert [module.kind for module in net.residual_modules] == ["projection"]
    torch.testing.assert_close(net(x, net.full_route.delete(0)), skip(model.enter(x)))
