"""What is said of sums that are no junctions: networks built so that the reason is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import unravelnet as un
from unravelnet.errors import CaptureError

WIDTH = 8
VECTORS = torch.randn(3, WIDTH)
Step = Callable[["Stepwise", Tensor, int], Tensor]


class Stepwise(nn.Module):
    """The same step several times, with two layers of its own each, and a head."""

    def __init__(self, step: Step, n_steps: int = 2) -> None:
        super().__init__()
        self.step, self.n_steps = step, n_steps
        self.f = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(n_steps))
        self.g = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(n_steps))
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        for number in range(self.n_steps):
            x = self.step(self, x, number)
        return self.head(x)


def on_a_part(model: Stepwise, x: Tensor, i: int) -> Tensor:
    y = model.f[i](x).relu()
    return nn.functional.pad(x[:, :6] + y[:, :6], (0, 2)) * y


def doubled(x: Tensor) -> Tensor:
    return x + x


REFUSED: dict[str, tuple[Step, list[str]]] = {
    "two branches": (
        lambda m, x, i: m.f[i](x).relu() + m.g[i](x).tanh(),
        ["sums: 2, concatenations: 0", "neither of its values is a skip"],
    ),
    "part": (on_a_part, ["sums: 2, concatenations: 0", r"covers a part of the value only \(6 of 8\)"]),
    "product": (lambda m, x, i: x * m.f[i](x).relu(), ["sums: 0", "mul in .* multiplies a value by"]),
    "gate": (lambda m, x, i: x * m.f[i](x).sigmoid(), ["sums: 0", "mul in .* multiplies a value by"]),
    "maximum": (lambda m, x, i: torch.maximum(x, m.f[i](x)), ["sums: 0", r"joins a value .* \(maximum\)"]),
    "broadcast": (
        lambda m, x, i: x + m.f[i](x).relu().mean(1, keepdim=True),
        ["sums: 2", r"its values have different shapes \(8 and 1\)"],
    ),
    "doubling": (
        lambda m, x, i: torch.maximum(x, doubled(m.f[i](x))),
        ["sums: 2", "add in .* adds a value to itself"],
    ),
    "concatenation": (
        lambda m, x, i: torch.cat([x[:, :4], m.f[i](x).relu()[:, :4]], dim=1),
        ["sums: 0, concatenations: 2", "cat in .* puts values side by side"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_what_was_looked_at(name: str) -> None:
    step, phrases = REFUSED[name]
    with pytest.raises(CaptureError, match="has no residual module that could be removed") as caught:
        un.unravel(Stepwise(step), VECTORS)
    message = str(caught.value)
    for phrase in [*phrases, "and 1 more like it", "of test_account.py"]:
        with pytest.raises(CaptureError, match=phrase):
            raise caught.value
    n_layers = {"two branches": 5}.get(name, 3)
    assert f"learned layers: {n_layers} (on the way that every value passes: 1)" in message


def test_a_refusal_is_bounded() -> None:
    def step(model: Stepwise, x: Tensor, i: int) -> Tensor:
        return [torch.maximum, torch.minimum, torch.fmax, torch.fmin][i % 4](x, model.f[i](x))

    class Inner(Stepwise):
        def __init__(self) -> None:
            super().__init__(step, 4)
            del self.head

        def forward(self, x: Tensor) -> Tensor:
            for number in range(self.n_steps):
                x = self.step(self, x, number)
            return x

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = (Inner() for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            return self.third(self.second(self.first(x)))

    with pytest.raises(CaptureError, match=r"and 2 more$") as caught:
        un.unravel(Whole(), VECTORS)
    assert len(str(caught.value).splitlines()) == 1 + 10 + 1


def test_a_row_of_plain_layers_lists_what_stands_beside_it() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))
            self.left, self.right = nn.Linear(WIDTH, 4), nn.Linear(WIDTH, 4)

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x).relu()
            return self.layers[0](torch.cat([self.left(x).relu(), self.right(x)], dim=1))

    net = un.unravel(Beside(), VECTORS)
    assert [module.kind for module in net.residual_modules] == ["plain"] * 4
    joined, left, right = net.unexplained
    assert joined.startswith("cat in the model's own forward (8, ")
    assert left.startswith("linear_4 in left (4, ")
    assert right.startswith("linear_5 in right (4, ")
    assert "not on the way that every value passes" in right
    assert joined in repr(net)


def test_a_projection_that_was_not_understood_is_listed_once_with_its_reader() -> None:
    class Leaky(nn.Module):
        """p(x) + g(f(x)), and what is inside the branch is read elsewhere."""

        def __init__(self) -> None:
            super().__init__()
            self.p, self.f, self.g, self.h = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.h(x).relu()
            inside = self.f(x).relu()
            return (self.p(x) + self.g(inside).relu()) * inside

    net = un.unravel(Leaky(), VECTORS)
    (line,) = net.unexplained
    assert "relu_1 in the model's own forward is read by mul in the model's own forward" in line


FALSE_FRIENDS: dict[str, Step] = {
    "two poolings": lambda m, x, i: (
        nn.functional.avg_pool1d(x, 3, 1, 1) + nn.functional.max_pool1d(x, 3, 1, 1)
    ),
    "a pair of heads": lambda m, x, i: m.f[i](x[:, 0]) + 0.5 * m.g[i](x[:, 1:]).max(1)[0],
}


@pytest.mark.parametrize("name", FALSE_FRIENDS)
def test_sums_that_are_no_modules(name: str) -> None:
    class Model(Stepwise):
        def forward(self, x: Tensor) -> Tensor:
            x = x + self.head_in(x).relu()
            return self.step(self, x, 0)

        def __init__(self) -> None:
            super().__init__(FALSE_FRIENDS[name])
            self.head_in = nn.Linear(WIDTH, WIDTH)

    net = un.unravel(Model(), torch.randn(3, 5, WIDTH))
    assert len(net.residual_modules) == 1


def test_a_pooled_skip_may_be_read_elsewhere() -> None:
    class Aggregating(nn.Module):
        """A tree of deep layer aggregation (Yu et al. 2018): its root reads the pooled input once more."""

        def __init__(self) -> None:
            super().__init__()
            self.enter, self.down = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, stride=2, padding=1)
            self.project, self.root = nn.Conv2d(4, 4, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.enter(x)
            pooled = nn.functional.max_pool2d(x, 2)
            y = self.down(x).relu() + self.project(pooled)
            return self.root(torch.cat([y, pooled], dim=1))

    model, x = Aggregating().eval(), torch.randn(2, 3, 8, 8)
    net = un.unravel(model, x)
    assert ([module.kind for module in net.residual_modules], net.unexplained) == (["projection"], ())
    pooled = nn.functional.max_pool2d(model.enter(x), 2)
    expected = model.root(torch.cat([model.project(pooled), pooled], dim=1))
    torch.testing.assert_close(net(x, net.full_route.delete(0)), expected)
