"""Networks joined by concatenation, as others write them: their modules, and lesions edited in by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import unravelnet as un
from unravelnet.network import Add, Concatenate, UnraveledNetwork
from unravelnet.routes.route import Route

GROWTH = 2


class DenseNet(nn.Module):
    """Two blocks of dense layers, each of which reads the list of all values so far (Huang et al. 2017)."""

    def __init__(self, *, newest_first: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.newest_first = newest_first
        self.enter = nn.Conv2d(3, 4, 3, padding=1)
        self.first = nn.ModuleList(self.layer(4 + GROWTH * i) for i in range(3))
        self.between = nn.Conv2d(10, 5, 1)
        self.second = nn.ModuleList(self.layer(5 + GROWTH * i) for i in range(2))
        self.classify = nn.Linear(9, 4)

    @staticmethod
    def layer(n_in: int) -> nn.Sequential:
        return nn.Sequential(nn.BatchNorm2d(n_in), nn.ReLU(), nn.Conv2d(n_in, GROWTH, 3, padding=1))

    def block(self, x: Tensor, layers: nn.ModuleList, offset: int, edits: dict[int, str]) -> Tensor:
        values = [x]
        for number, layer in enumerate(layers, start=offset):
            new = layer(torch.cat(values, dim=1))
            edit = edits.get(number, "both")
            if edit == "branch":
                values = [0 * value for value in values]
            values = [new, *values] if self.newest_first else [*values, new]
            if edit == "skip":
                values[0 if self.newest_first else -1] = 0 * new
        return torch.cat(values, dim=1)

    def forward(self, x: Tensor, edits: dict[int, str] | None = None) -> Tensor:
        """`edits`: which half of a layer's output stays, by the number of the layer."""
        x = self.block(self.enter(x), self.first, 0, edits or {})
        x = F.avg_pool2d(self.between(x), 2)
        x = self.block(x, self.second, 3, edits or {})
        return self.classify(x.mean((2, 3)))


def cropped(x: Tensor, like: Tensor) -> Tensor:
    top = (x.shape[2] - like.shape[2]) // 2
    return x[:, :, top : top + like.shape[2], top : top + like.shape[3]]


class UNet(nn.Module):
    """Three resolutions and two long skips (Ronneberger et al. 2015)."""

    def __init__(self, *, joins: str = "skip first", crops: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.joins, self.crops = joins, crops
        widths, padding = (3, 4, 5, 6), 0 if crops else 1
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, padding=padding) for a, b in pairwise(widths))
        n_joined = 1 if joins == "add" else 2
        self.raise_ = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in ((4, 5), (5, 6)))
        self.up = nn.ModuleList(nn.Conv2d(n_joined * a, a, 3, padding=1) for a in (4, 5))
        self.classify = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor, edits: dict[int, str] | None = None) -> Tensor:
        """`edits`: which operand of a long skip stays, by the level."""
        kept: list[Tensor] = []
        for level, layer in enumerate(self.down):
            x = layer(F.max_pool2d(x, 2) if level else x).relu()
            kept.append(x)
        for level in (1, 0):
            x = self.raise_[level](x)
            skip = kept[level]
            if self.crops:
                skip = cropped(skip, x)
            edit = (edits or {}).get(level)
            x = self.joined(0 * skip if edit == "branch" else skip, 0 * x if edit == "skip" else x)
            x = self.up[level](x).relu()
        return self.classify(x)

    def joined(self, skip: Tensor, x: Tensor) -> Tensor:
        if self.joins == "add":
            return skip + x
        return torch.cat([skip, x] if self.joins == "skip first" else [x, skip], dim=1)


def images(side: int = 8) -> Tensor:
    return torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_densenet_is_a_row_of_concatenations(newest_first: bool) -> None:
    model, x = DenseNet(newest_first=newest_first).eval(), images()
    net = un.unravel(model, x)
    assert [module.name for module in net.residual_modules] == [
        *("first.0.2", "first.1.2", "first.2.2", "second.0.2", "second.1.2")
    ]
    assert [module.chain for module in net.residual_modules] == [0, 0, 0, 1, 1]
    assert [module.junction for module in net.residual_modules] == [
        Concatenate(n, GROWTH, skip_first=not newest_first) for n in (4, 6, 8, 5, 7)
    ]
    assert (net.unexplained, {module.kind for module in net.residual_modules}) == ((), {"identity"})
    assert torch.equal(net(x), model(x))
    for number in range(5):
        for mode, route in both_lesions(net, number):
            torch.testing.assert_close(net(x, route), model(x, {number: mode}))
    torch.testing.assert_close(
        net(x, Route.parse("0,1s,2,3s,4s")), model(x, dict.fromkeys((1, 3, 4), "skip"))
    )


def both_lesions(net: UnraveledNetwork, number: int) -> list[tuple[str, Route]]:
    return [("skip", net.full_route.delete(number)), ("branch", net.full_route.remove_skip(number))]


@pytest.mark.parametrize("make", [DenseNet, UNet])
def test_gradients_by_length_add_up_to_autograds(make: type[nn.Module]) -> None:
    model, x = make().eval(), images().requires_grad_()
    targets = torch.tensor([0, 1, 1])
    if make is UNet:
        targets = targets[:, None, None].expand(3, 8, 8)
    net = un.unravel(model, x.detach())
    # Behind the long skip around all stands the one inside: nothing entered, the outer branch, or both.
    route, counts = (None, [1, 5, 10, 10, 5, 1]) if make is DenseNet else (Route.parse("0[0]"), [1, 1, 1])
    rows = un.path_gradients(net, (x.detach(), targets), at="input", route=route).to_pandas()
    assert rows["path_count"].tolist() == counts
    losses = F.cross_entropy(model(x), targets, reduction="none")
    loss = losses.reshape(len(x), -1).mean(dim=1).sum()
    (gradient,) = torch.autograd.grad(loss, x)
    assert rows["gradient_norm"].iloc[0] == pytest.approx(
        gradient.flatten(1).norm(dim=1).mean().item(), rel=1e-5
    )
    assert rows["gradient_error"].max() < 1e-5


@pytest.mark.parametrize("crops", [False, True])
@pytest.mark.parametrize("joins", ["skip first", "branch first", "add"])
def test_the_long_skips_of_a_unet_are_nested(joins: str, crops: bool) -> None:
    model, x = UNet(joins=joins, crops=crops).eval(), images(20 if crops else 8)
    net = un.unravel(model, x)
    (outer,) = net.residual_modules
    (inner,) = outer.inner
    junctions = [Concatenate(n, n, skip_first=joins == "skip first") for n in (4, 5)]
    assert [outer.junction, inner.junction] == ([Add(), Add()] if joins == "add" else junctions)
    assert (outer.kind, inner.kind) == (("projection",) * 2 if crops else ("identity",) * 2)
    assert (inner.inner, net.unexplained) == ((), ())
    assert torch.equal(net(x), model(x))
    for mode, route in both_lesions(net, 0):
        torch.testing.assert_close(net(x, route), model(x, {0: mode}))
    # Routes lead inside: to the second long skip, within the branch of the first.
    for text, edits in (("0[0s]", {1: "skip"}), ("0[0b]", {1: "branch"})):
        torch.testing.assert_close(net(x, Route.parse(text)), model(x, edits))


class Joining(nn.Module):
    """One concatenation behind a layer, then a classifier."""

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.values = values
        self.enter, self.f, self.g, self.linear = (nn.Linear(4, 4) for _ in range(4))
        self.classify = nn.LazyLinear(3)
        self(torch.zeros(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x).relu()
        known = {
            "x": x,
            "half": x[:, :2],
            "2x": 2 * x,
            "f": self.f(x).relu(),
            "g": self.g(x).tanh(),
            "Wx": self.linear(x),
            "residual": x + self.f(x).relu(),
            "largest": F.max_pool1d(x, 3, 1, 1),
        }
        return self.classify(torch.cat([known[value] for value in self.values], dim=1))


@pytest.mark.parametrize("values", [("x", "f"), ("f", "g", "x"), ("2x", "f"), ("x", "Wx")])
def test_what_came_in_beside_something_learned_is_a_module(values: tuple[str, ...]) -> None:
    net = un.unravel(Joining(values), torch.randn(3, 4))
    assert [module.junction.kind for module in net.residual_modules] == ["concatenate"]


@pytest.mark.parametrize("values", [("f", "g"), ("half", "f"), ("largest", "f"), ("Wx", "f"), ("f", "f")])
def test_branches_side_by_side_are_no_module(values: tuple[str, ...]) -> None:
    net = un.unravel(Joining(values), torch.randn(3, 4))
    assert {module.kind for module in net.residual_modules} == {"plain"}


def test_a_concatenation_leaves_the_sums_inside_to_be_visited() -> None:
    net = un.unravel(Joining(("x", "residual")), torch.randn(3, 4))
    assert [module.junction for module in net.residual_modules] == [Add()]


def test_routes_lead_inside_of_what_reads_more_than_the_stream() -> None:
    class Masked(nn.Module):
        """A long sum around two short ones with a convolution between; each reads the mask, or what came in."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(5))

        def forward(self, x: Tensor, mask: Tensor, keeps: tuple[int, int] = (1, 1)) -> Tensor:
            first, second, between, last, enter = self.layers
            x = enter(x)
            y = x + keeps[0] * first(x).relu() * mask
            y = between(y).tanh() * mask
            y = y + keeps[1] * second(y).relu() * x.sigmoid()
            return x + last(y).relu() * mask

    model, inputs = Masked().eval(), (torch.randn(3, 4), torch.tensor([[1, 0, 1, 1]] * 3))
    net = un.unravel(model, inputs)
    (outer,) = net.residual_modules
    assert [module.chain for module in outer.inner] == [0, 1]
    for text, keeps in (("0[0s,1]", (0, 1)), ("0[0,1s]", (1, 0)), ("0[0s,1s]", (0, 0))):
        torch.testing.assert_close(net(inputs, Route.parse(text)), model(*inputs, keeps))
