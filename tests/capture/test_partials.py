"""Networks that add on some channels and concatenate the rest, as others write them, and lesions edited in by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import unravelnet as un
from unravelnet.network import Add, Partial
from unravelnet.routes.route import Route

WIDTH, GROWTH = 4, 2


Runs = tuple[tuple[str, int], ...]


class DualPath(nn.Module):
    """Two blocks that keep a residual stream and a dense one beside each other (Chen et al. 2017)."""

    runs: tuple[Runs, Runs] = (
        (("both", WIDTH), ("skip", 2), ("branch", GROWTH)),
        (("both", WIDTH), ("skip", 4), ("branch", GROWTH)),
    )

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter = nn.Conv2d(3, WIDTH + 2, 3, padding=1)
        self.f = nn.ModuleList(
            nn.Conv2d(WIDTH + 2 + GROWTH * i, WIDTH + GROWTH, 3, padding=1) for i in range(2)
        )
        self.classify = nn.Linear(WIDTH + 2 + 2 * GROWTH, 3)

    def forward(self, x: Tensor, edits: tuple[str, str] = ("both", "both")) -> Tensor:
        """`edits`: what each block gives: its input ("skip"), what it computes ("branch"), or both."""
        x = self.enter(x)
        residual, dense = x[:, :WIDTH], x[:, WIDTH:]
        for f, edit in zip(self.f, edits, strict=True):
            y = f(torch.cat([residual, dense], dim=1)).relu()
            if edit != "both":
                y, residual, dense = (
                    (0 * y, residual, dense) if edit == "skip" else (y, 0 * residual, 0 * dense)
                )
            residual = residual + y[:, :WIDTH]
            dense = torch.cat([dense, y[:, WIDTH:]], dim=1)
        return self.classify(torch.cat([residual, dense], dim=1).mean((2, 3)))


class Growing(DualPath):
    """Blocks that widen the stream: they add to the channels that came in (Han et al. 2021)."""

    runs = ((("both", WIDTH + 2), ("branch", GROWTH)), (("both", WIDTH + 4), ("branch", GROWTH)))

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.ModuleList(
            nn.Conv2d(n, n + GROWTH, 3, padding=1) for n in (WIDTH + 2, WIDTH + 2 + GROWTH)
        )

    def forward(self, x: Tensor, edits: tuple[str, str] = ("both", "both")) -> Tensor:
        x = self.enter(x)
        for f, edit in zip(self.f, edits, strict=True):
            y, n = f(x).relu(), x.shape[1]
            if edit != "both":
                x, y = (x, 0 * y) if edit == "skip" else (0 * x, y)
            x = torch.cat([x + y[:, :n], y[:, n:]], dim=1)
        return self.classify(x.mean((2, 3)))


class Split(DualPath):
    """The streams of a dual path network are split off one value, and the dense one comes first."""

    runs = (
        (("skip", 2), ("branch", GROWTH), ("both", WIDTH)),
        (("skip", 4), ("branch", GROWTH), ("both", WIDTH)),
    )

    def forward(self, x: Tensor, edits: tuple[str, str] = ("both", "both")) -> Tensor:
        x = self.enter(x)
        for f, edit in zip(self.f, edits, strict=True):
            new, change = f(x).relu().split([GROWTH, WIDTH], dim=1)
            if edit == "skip":
                new, change = 0 * new, 0 * change
            elif edit == "branch":
                x = 0 * x
            dense, residual = x.split([x.shape[1] - WIDTH, WIDTH], dim=1)
            x = torch.cat([dense, new, residual + change], dim=1)
        return self.classify(x.mean((2, 3)))


X = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
ROUTES = {
    "0,1": ("both", "both"),
    "0s,1": ("skip", "both"),
    "0,1s": ("both", "skip"),
    "0b,1": ("branch", "both"),
    "0s,1b": ("skip", "branch"),
}


@pytest.mark.parametrize("make", [DualPath, Growing, Split])
def test_a_sum_on_some_channels_is_a_partial_junction(make: type[DualPath]) -> None:
    model = make().eval()
    net = un.unravel(model, X)
    assert [module.junction for module in net.residual_modules] == [Partial(runs) for runs in make.runs]
    assert ([module.kind for module in net.residual_modules], net.unexplained) == (["identity"] * 2, ())
    assert {module.chain for module in net.residual_modules} == {0}
    for text, edits in ROUTES.items():
        torch.testing.assert_close(net(X, Route.parse(text)), model(X, edits))


@pytest.mark.parametrize("make", [DualPath, Growing])
def test_gradients_by_length_add_up_to_autograds(make: type[DualPath]) -> None:
    model, x, targets = make().eval(), X.clone().requires_grad_(), torch.tensor([0, 1, 2])
    rows = un.path_gradients(un.unravel(model, X), (X, targets), at="input").to_pandas()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), targets, reduction="sum"), x)
    assert rows["gradient_norm"].iloc[0] == pytest.approx(
        gradient.flatten(1).norm(dim=1).mean().item(), rel=1e-5
    )
    assert rows["gradient_error"].max() < 1e-5


class InPlace(nn.Module):
    """Two layers that are added in place, to two channels of six or to one token of three."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter, self.classify = nn.Linear(4, 6), nn.Linear(6, 3)
        self.f = nn.ModuleList(nn.Linear(6, 6) for _ in range(2))

    def forward(self, x: Tensor, edits: tuple[str, str] = ("both", "both")) -> Tensor:
        x = self.enter(x)
        for f, edit in zip(self.f, edits, strict=True):
            change = f(x).relu()
            x = (0 * x if edit == "branch" else x).clone()
            self.add(x, 0 * change if edit == "skip" else change)
        return self.classify(x).mean(1)

    def add(self, x: Tensor, change: Tensor) -> None:
        x[:, :, 2:4] += change[:, :, 2:4]


class ToOneToken(InPlace):
    def add(self, x: Tensor, change: Tensor) -> None:
        x[:, -1] += change[:, 0]


@pytest.mark.parametrize(
    ("make", "junction"),
    [
        (InPlace, Partial((("skip", 2), ("both", 2), ("skip", 2)), 2)),
        (ToOneToken, Partial((("skip", 2), ("both", 1)), 1)),
    ],
)
def test_a_sum_in_place_on_a_part_is_a_partial_junction(make: type[InPlace], junction: Partial) -> None:
    model, x = make().eval(), torch.randn(3, 3, 4)
    net = un.unravel(model, x)
    assert [module.junction for module in net.residual_modules] == [junction] * 2
    assert net.unexplained == ()
    for text, edits in ROUTES.items():
        torch.testing.assert_close(net(x, Route.parse(text)), model(x, edits))
    rows = un.path_gradients(net, (x, torch.tensor([0, 1, 2]))).to_pandas()
    assert rows["gradient_error"].max() < 1e-5


class Once(nn.Module):
    """One step behind a layer, then a classifier."""

    def __init__(self, step: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.step = step
        self.enter, self.f, self.classify = nn.Linear(4, 6), nn.Linear(6, 6), nn.LazyLinear(3)
        self(torch.zeros(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x).relu()
        return self.classify(self.step(x, self.f(x).relu()))


NONE_TAKEN_APART: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "in another order": lambda x, y: torch.cat([x[:, 3:] + y[:, :3], x[:, :3], y[:, 3:]], dim=1),
    "with a gap": lambda x, y: torch.cat([x[:, :2] + y[:, :2], x[:, 4:], y[:, 2:]], dim=1),
}


@pytest.mark.parametrize("name", NONE_TAKEN_APART)
def test_channels_that_are_exchanged_are_no_skip(name: str) -> None:
    net = un.unravel(Once(NONE_TAKEN_APART[name]), torch.randn(3, 4))
    assert {module.kind for module in net.residual_modules} == {"plain"}


class SumBeside(nn.Module):
    """A sum of the input and a layer, beside a sum of two layers, as in the cells of PNASNet (Liu et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(4, 4)
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return torch.cat([x + self.a(x).relu(), self.b(x).relu() + self.c(x).relu()], dim=1)


def test_a_sum_without_the_skip_is_one_value_of_the_branch() -> None:
    model, x = SumBeside().eval(), torch.randn(3, 4)
    net = un.unravel(model, x)
    assert len(net.residual_modules) == 1
    entered = model.enter(x)
    deleted = net(x, net.full_route.delete(0))
    torch.testing.assert_close(deleted[:, :4], entered)


class Divided(nn.Module):
    """Attention over time leaves the class token out; what is over space reads both, apart (Bertasius et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter, self.over_time, self.over_space, self.classify = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor, keeps: tuple[int, int] = (1, 1)) -> Tensor:
        x = self.enter(x)
        token, others = x[:, 0].unsqueeze(1), x[:, 1:] + keeps[0] * self.over_time(x[:, 1:]).relu()
        change = self.over_space(torch.cat([others, 2 * token], dim=1)).relu()
        return self.classify(torch.cat([token, others], dim=1) + keeps[1] * change)


def test_values_that_are_read_before_they_are_concatenated_are_one_stream() -> None:
    model, x = Divided().eval(), torch.randn(3, 5, 4)
    net = un.unravel(model, x)
    assert [module.name for module in net.residual_modules] == ["over_time", "over_space"]
    assert net.residual_modules[0].junction == Partial((("skip", 1), ("both", 4)))
    for text, keeps in (("0,1", (1, 1)), ("0s,1", (0, 1)), ("0,1s", (1, 0))):
        torch.testing.assert_close(net(x, Route.parse(text)), model(x, keeps))


class Cell(nn.Module):
    """Two sums of a function and maxima, each of a value of its own, side by side (Liu et al. 2018, PNASNet)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter, self.f, self.g, self.between = (nn.Linear(4, 4) for _ in range(4))
        self.classify = nn.Linear(8, 3)

    def forward(self, x: Tensor, keeps: tuple[int, int] = (1, 1)) -> Tensor:
        x = self.enter(x)
        y = self.between(x.relu())
        first = F.max_pool1d(x, 3, 1, 1) + keeps[0] * self.f(x.relu())
        second = F.max_pool1d(y, 3, 1, 1) + keeps[1] * self.g(y.relu())
        return self.classify(torch.cat([first, second], dim=-1))


def test_residual_sums_side_by_side_are_modules_by_themselves() -> None:
    model, x = Cell().eval(), torch.randn(3, 5, 4)
    net = un.unravel(model, x)
    assert [module.name for module in net.residual_modules] == ["f", "g"]
    assert [module.junction for module in net.residual_modules] == [Add(), Add()]
    for text, keeps in (("0,1", (1, 1)), ("0s,1", (0, 1)), ("0,1s", (1, 0))):
        torch.testing.assert_close(net(x, Route.parse(text)), model(x, keeps))
