"""What may go around a branch, and what may not, in the spellings of libraries.

Deleting the module leaves what the form says.
"""

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


class Moved(nn.Module):
    """Moves x towards f(x) by a learned share: x + a (f(x) - x)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.layer = nn.Linear(4, 4), nn.Linear(4, 4)
        self.share = nn.Parameter(torch.full((4,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return x + self.share * (self.layer(x).relu() - x)


def test_a_difference_to_the_skip_is_no_module_of_its_own():
    model, x = Moved().eval(), torch.randn(3, 4)
    net = un.unravel(model, x)
    (module,) = net.residual_modules
    assert (module.kind, module.junction.kind, module.inner, net.unexplained) == ("identity", "add", (), ())
    torch.testing.assert_close(net(x, net.full_route.delete(0)), model.enter(x))


class Scales(nn.Module):
    """Res2Net: each third of the channels is added to what the one before has become (Gao et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.first, self.second = nn.Linear(6, 6), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        a, b, c = x.chunk(3, dim=1)
        a = self.first(a).relu()
        return x + torch.cat([a, self.second(a + b).relu(), c], dim=1)


def test_what_is_not_made_of_a_value_is_no_branch_beside_it():
    net = un.unravel(Scales().eval(), torch.randn(3, 6))
    (module,) = net.residual_modules
    assert (module.junction.kind, module.inner) == ("add", ())
