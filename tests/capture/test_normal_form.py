"""Spellings of one sum: each is the network written with a plain addition, layer by layer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import unravelnet as un

WIDTH = 8
Step = Callable[[Tensor, nn.Module, nn.Module], Tensor]


def written_into_slice(x: Tensor, f: nn.Module, _: nn.Module) -> Tensor:
    y = torch.cat([f(x).relu(), x], dim=1)[:, :WIDTH]
    y += x
    return y


def summed(x: Tensor, f: nn.Module, _: nn.Module) -> Tensor:
    total = sum([x, f(x).relu()])
    assert isinstance(total, Tensor)
    return total


# A way to write a sum; x with the branch deleted; the branch alone.
SPELLINGS: dict[str, tuple[Step, Step, Step]] = {
    "addmm": (
        lambda x, f, g: torch.addmm(x, f(x).relu(), g.weight, beta=0.5, alpha=2.0),
        lambda x, f, g: 0.5 * x,
        lambda x, f, g: 2.0 * f(x).relu() @ g.weight,
    ),
    "addcmul": (
        lambda x, f, g: torch.addcmul(x, f(x), g(x).relu(), value=0.5),
        lambda x, f, g: x,
        lambda x, f, g: 0.5 * f(x) * g(x).relu(),
    ),
    "addcdiv": (
        lambda x, f, g: torch.addcdiv(x, f(x), g(x).exp()),
        lambda x, f, g: x,
        lambda x, f, g: f(x) / g(x).exp(),
    ),
    "lerp": (
        lambda x, f, g: torch.lerp(x, f(x).relu(), 0.3),
        lambda x, f, g: 0.7 * x,
        lambda x, f, g: 0.3 * f(x).relu(),
    ),
    "lerp with a gate": (
        lambda x, f, g: torch.lerp(x, f(x).relu(), g(x).sigmoid()),
        lambda x, f, g: x,
        lambda x, f, g: f(x).relu(),
    ),
    "sum of a stack": (
        lambda x, f, g: torch.stack([x, f(x).relu(), g(x).relu()], dim=-1).sum(-1),
        lambda x, f, g: x,
        lambda x, f, g: f(x).relu() + g(x).relu(),
    ),
    "Python's sum": (
        summed,
        lambda x, f, g: x,
        lambda x, f, g: f(x).relu(),
    ),
    "rsub": (
        lambda x, f, g: torch.rsub(f(x).relu(), x),
        lambda x, f, g: x,
        lambda x, f, g: -f(x).relu(),
    ),
    "written into a slice": (written_into_slice, lambda x, f, g: x, lambda x, f, g: f(x).relu()),
    "one more than a function": (
        lambda x, f, g: x * (1 + f(x).relu()),
        lambda x, f, g: x,
        lambda x, f, g: x * f(x).relu(),
    ),
}


class Repeated(nn.Module):
    """Two steps and a head."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.step = step
        self.f = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.g = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        for f, g in zip(self.f, self.g, strict=True):
            x = self.step(x, f, g)
        return self.head(x)


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_of_a_sum_is_a_junction(name: str) -> None:
    step, deleted, branch = SPELLINGS[name]
    model, x = Repeated(step).eval(), torch.randn(3, WIDTH)
    net = un.unravel(model, x)
    assert (len(net.residual_modules), net.unexplained) == (2, ())
    (f, _), (g, _) = model.f, model.g
    first = {"s": deleted(x, f, g), "b": branch(x, f, g)}
    for mode, expected in first.items():
        rest = model.head(step(expected, model.f[1], model.g[1]))
        torch.testing.assert_close(net(x, un.Route.parse(f"0{mode},1")), rest)


def test_a_sum_of_all_values_so_far_is_a_residual_network() -> None:
    class Dense(nn.Module):
        """Every layer reads the sum of all values so far: x + f(x), written as Huang et al. (2017) would."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            values = [x]
            for layer in self.layers:
                values.append(layer(torch.stack(values).sum(0)).relu())
            return torch.stack(values).sum(0)

    model, x = Dense().eval(), torch.randn(3, WIDTH)
    net = un.unravel(model, x)
    y = x + model.layers[0](x).relu()
    assert [module.kind for module in net.residual_modules] == ["identity"] * 3
    torch.testing.assert_close(net(x, net.full_route.delete(1)), y + model.layers[2](y).relu())


def test_zeros_beside_a_subsampled_value_are_a_skip() -> None:
    class ZeroPadded(nn.Module):
        """The parameter-free projection of He et al. (2015), with `zeros_like` in the place of a padding."""

        def __init__(self) -> None:
            super().__init__()
            self.enter, self.conv = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, stride=2, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.enter(x)
            kept = x[:, :, ::2, ::2]
            return torch.cat([kept, torch.zeros_like(kept)], dim=1) + self.conv(x).relu()

    model, x = ZeroPadded().eval(), torch.randn(2, 3, 8, 8)
    net = un.unravel(model, x)
    assert [module.kind for module in net.residual_modules] == ["projection"]
    kept = model.enter(x)[:, :, ::2, ::2]
    torch.testing.assert_close(net(x, net.full_route.delete(0)), torch.cat([kept, 0 * kept], dim=1))


def test_a_product_with_one_more_than_what_another_value_gives_is_left_as_it_is() -> None:
    class Scaled(nn.Module):
        """Only the scale is learned, and it is no function of what it multiplies."""

        def __init__(self) -> None:
            super().__init__()
            self.f, self.g, self.h, self.head = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            y, scale = self.f(x).relu(), self.g(x).tanh()
            return self.head(x + self.h(y * (1 + scale)))

    model, x = Scaled().eval(), torch.randn(3, WIDTH)
    net = un.unravel(model, x)
    assert (len(net.residual_modules), net.unexplained) == (1, ())
    assert torch.equal(net(x), model(x))
