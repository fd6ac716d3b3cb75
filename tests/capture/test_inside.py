"""Routes into the branches of captured modules, against the model with the inner layers silenced by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import unravelnet as un
from unravelnet.errors import RouteError
from unravelnet.measuring.walk import walk
from unravelnet.network import Row
from unravelnet.routes.route import Route


class Block(nn.Module):
    """x + f(x), with a ReLU behind the sum where it is asked for."""

    def __init__(self, width: int, *, is_post: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
        self.is_post = is_post

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.layers(x)
        return y.relu() if self.is_post else y


class Level(nn.Module):
    """A long skip around a narrower level; a scale made of the input, and constants, are read inside."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        wide, narrow = widths[:2]
        self.down, self.up = nn.Linear(wide, narrow), nn.Linear(narrow, wide)
        self.first, self.second = Block(narrow, is_post=True), Block(narrow)
        self.deeper = Level(widths[1:]) if len(widths) > 2 else None

    def forward(self, x: Tensor) -> Tensor:
        scale = x.mean(dim=1, keepdim=True).sigmoid()
        y = self.first(self.down(x))
        y = torch.tanh(y) if self.deeper is None else self.deeper(y)
        return x + self.up(self.second(y + torch.arange(y.shape[1])) * scale)


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.level, self.head = nn.Linear(3, 6), Level((6, 5, 4)), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.level(self.stem(x)))


X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
# What is deleted, by its route and by the layers that then give nothing.
DELETED = {
    "0[0s,1-2]": ("level.first.layers.2",),
    "0[0,1s,2]": ("level.deeper.up",),
    "0[0-1,2s]": ("level.second.layers.2",),
    "0[0,1[0s,1],2]": ("level.deeper.first.layers.2",),
    "0[0,1[0,1s],2s]": ("level.deeper.second.layers.2", "level.second.layers.2"),
}


def made() -> Nested:
    torch.manual_seed(0)
    return Nested().eval()


def silenced(model: Nested, layers: tuple[str, ...]) -> Tensor:
    by_hand = copy.deepcopy(model)
    for layer in layers:
        by_hand.get_submodule(layer).register_forward_hook(lambda _, __, output: torch.zeros_like(output))
    return by_hand(X)


def test_routes_lead_into_captured_modules() -> None:
    model = made()
    net = un.unravel(model, X)
    (outer,) = net.residual_modules
    assert isinstance(outer.branch, Row)
    assert [module.name for module in outer.inner] == ["level.first", "level.deeper", "level.second"]
    with torch.no_grad():
        routes = [Route.parse(text) for text in DELETED]
        together = dict(walk(net, [net.full_route, *routes], X))
        torch.testing.assert_close(together[net.full_route], model(X))
        for route, layers in zip(routes, DELETED.values(), strict=True):
            expected = silenced(model, layers)
            torch.testing.assert_close(net(X, route), expected)
            torch.testing.assert_close(together[route], expected)
            assert not torch.allclose(expected, model(X))


def test_what_is_inside_is_known() -> None:
    model = made()
    net = un.unravel(model, X)
    assert "12 of 14 learned layers are inside module 0; enter it with 0[...]" in repr(net)
    # Two layers of 5 × 5; down, up and four layers of 4 × 4; two of 5 × 5.
    assert [module.macs for module in net.residual_modules[0].inner] == [50, 104, 50]
    assert {id(parameter) for parameter in net.parameters()} == {
        id(parameter) for parameter in model.parameters()
    }
    with pytest.raises(RouteError, match=r"Inside module 0 .*: There is no module 3: its branch has 3"):
        net(X, Route.parse("0[3]"))
    with pytest.raises(
        RouteError, match=r"Inside module 0 .*: No route leads into module 0 .*: it has no residual"
    ):
        net(X, Route.parse("0[0[0],1-2]"))


def test_gradients_add_up_inside() -> None:
    net, x = un.unravel(made().double(), X.double()), X.double()
    table = un.path_gradients(net, (x, torch.tensor([0, 1, 1, 0])), route=Route.parse("0[0,1[0-1],2]"))
    assert table[0]["gradient_error"] < 1e-9
