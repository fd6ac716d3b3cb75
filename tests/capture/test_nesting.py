"""Residual modules inside the branches of others, as others write them: lesions inside, edited in by hand."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from numpy.polynomial import Polynomial
from torch import Tensor, nn

import unravelnet as un
from unravelnet.capture.verify import relative_difference
from unravelnet.errors import RouteError
from unravelnet.measuring.walk import walk
from unravelnet.network import Row, UnraveledNetwork
from unravelnet.routes.route import Route


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Level(nn.Module):
    """A residual module with normalisation and a mask, and with others in its branch.

    `edit` is what becomes of it: "skip" or "branch" alone, or what its branch is multiplied by.
    """

    def __init__(self, deeper: Sequence[nn.Module] = (), between: nn.Module | None = None) -> None:
        super().__init__()
        self.before, self.behind = nn.Linear(4, 4), nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.deeper = nn.ModuleList(deeper)
        self.between = between
        self.edit: str | float = "both"

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.norm(self.before(x)).relu()
        for number, level in enumerate(self.deeper):
            if number and self.between is not None:
                y = self.between(y).tanh()
            y = level(y, mask)
        y = self.behind(y * mask)
        if self.edit in {"skip", "branch"}:
            return x if self.edit == "skip" else y
        return x + (y if self.edit == "both" else self.edit * y)


class Nested(nn.Module):
    """Three levels: module 1 holds two modules in two chains, and the second of these two in one chain."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        deepest = [Level(), Level()]
        self.levels = nn.ModuleList([Level(), Level([Level(), Level(deepest)], nn.Linear(4, 4)), Level()])
        self.classify = nn.Linear(4, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for level in self.levels:
            x = level(x, mask)
        return self.classify(x)


INPUTS = (random(5, 4), torch.tensor([[1.0, 0, 1, 1]] * 5))
EDITS: dict[str, dict[str, str | float]] = {
    "0,1[0,1],2": {},
    "0,1[0,1[0,1]],2": {},
    "0,1[0s,1],2": {"levels.1.deeper.0": "skip"},
    "0,1[0b,1],2s": {"levels.1.deeper.0": "branch", "levels.2": "skip"},
    "0,1[0,1s]*2,2": {"levels.1.deeper.1": "skip", "levels.1": 2.0},
    "0,1[0,1[0s,1]],2": {"levels.1.deeper.1.deeper.0": "skip"},
    "0,1[0,1[0,1b]b],2": {"levels.1.deeper.1.deeper.1": "branch", "levels.1.deeper.1": "branch"},
    "0,1[0*0.5,1[0s,1*0.5]]b,2": {
        "levels.1.deeper.0": 0.5,
        "levels.1.deeper.1.deeper.0": "skip",
        "levels.1.deeper.1.deeper.1": 0.5,
        "levels.1": "branch",
    },
}


def edited(model: nn.Module, edits: dict[str, str | float]) -> nn.Module:
    by_hand = copy.deepcopy(model)
    for place, edit in edits.items():
        by_hand.get_submodule(place).edit = edit  # type: ignore[assignment]
    return by_hand


@pytest.fixture(scope="module")
def nested() -> tuple[nn.Module, UnraveledNetwork]:
    model = Nested().eval()
    model.levels[1].norm.running_mean = random(4)
    return model, un.unravel(model, INPUTS)


def test_nested_modules_stand_in_rows(nested: tuple[nn.Module, UnraveledNetwork]) -> None:
    model, net = nested
    outer = net.residual_modules[1]
    assert torch.equal(net(INPUTS), model(*INPUTS))
    assert [(m.index, m.chain, m.input_shape, m.macs > 0) for m in outer.inner] == [
        (0, 0, (4,), True),
        (1, 1, (4,), True),
    ]
    assert [(m.index, m.chain, m.inner) for m in outer.inner[1].inner] == [(0, 0, ()), (1, 0, ())]
    assert [m.name for m in outer.inner[1].inner] == [f"levels.1.deeper.1.deeper.{i}" for i in range(2)]
    parameters = [id(parameter) for parameter in net.parameters()]
    assert sorted(parameters) == sorted(id(parameter) for parameter in model.parameters())


def test_lesions_at_every_depth_are_those_of_the_model(nested: tuple[nn.Module, UnraveledNetwork]) -> None:
    model, net = nested
    routes = [Route.parse(text) for text in EDITS]
    with torch.no_grad():
        together = dict(walk(net, routes, INPUTS))
        for route, edits in zip(routes, EDITS.values(), strict=True):
            expected = edited(model, edits)(*INPUTS)
            torch.testing.assert_close(net(INPUTS, route), expected, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(together[route], expected, rtol=1e-6, atol=1e-6)


def test_modules_of_one_chain_inside_are_reordered(nested: tuple[nn.Module, UnraveledNetwork]) -> None:
    model, net = nested
    by_hand = copy.deepcopy(model)
    deepest = by_hand.levels[1].deeper[1]
    deepest.deeper = deepest.deeper[::-1]
    route = Route.parse("0,1[0,1[1,0]],2")
    torch.testing.assert_close(net(INPUTS, route), by_hand(*INPUTS), rtol=1e-6, atol=1e-6)
    with pytest.raises(
        RouteError, match=r"Inside module 1 .*: Cannot visit module 0 .*its chain has been left"
    ):
        net.check(Route.parse("0,1[1,0],2"))


def test_normalisation_inside_is_trained_as_the_authors(
    nested: tuple[nn.Module, UnraveledNetwork],
) -> None:
    model = copy.deepcopy(nested[0])
    by_hand = copy.deepcopy(model).train()
    net = un.unravel(model, INPUTS)
    assert net.training_obstacle == ""
    net.train()
    torch.testing.assert_close(net(INPUTS), by_hand(*INPUTS), rtol=1e-5, atol=1e-6)
    for (name, ours), (_, theirs) in zip(model.named_buffers(), by_hand.named_buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_a_route_inside_is_exported(nested: tuple[nn.Module, UnraveledNetwork], tmp_path: Path) -> None:
    model, net = nested
    text = "0,1[0,1[0s,1]],2"
    path = un.export(net, Route.parse(text), tmp_path / "inside.pt2", example=INPUTS)
    program = torch.export.load(path).module()
    expected = edited(model, EDITS[text])(*INPUTS)
    torch.testing.assert_close(program(*INPUTS), expected, rtol=1e-6, atol=1e-6)
    assert len(program.state_dict()) < len(model.state_dict())


def test_gradients_of_a_route_inside_add_up_to_autograds(nested: tuple[nn.Module, UnraveledNetwork]) -> None:
    model, net = nested
    route, targets = Route.parse("0,1[0,1[0,1]],2"), torch.tensor([0, 1, 2, 0, 1])
    table = un.path_gradients(net, [(INPUTS, targets)], route=route, at="input").to_pandas()
    z = Polynomial([0, 1])
    counts = (1 + z) * (1 + z * (1 + z) * (1 + z * (1 + z) ** 2)) * (1 + z)
    assert table["path_count"].tolist() == counts.coef.tolist()
    assert table["path_count"].sum() == route.path_count
    x = INPUTS[0].clone().requires_grad_()
    loss = nn.functional.cross_entropy(model(x, INPUTS[1]), targets, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    assert table["gradient_norm"].iloc[0] == pytest.approx(gradient.norm(dim=1).mean().item(), rel=1e-5)
    assert table["gradient_error"].max() < 1e-5


class SideBySide(nn.Module):
    """Two residual modules beside one another in one branch; `deleted` names those left out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.f, self.g, self.classify = (nn.Linear(4, 4) for _ in range(5))
        self.deleted = ""

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x).relu(), self.b(x).tanh()
        left = a if "f" in self.deleted else a + self.f(a).relu()
        right = b if "g" in self.deleted else b + self.g(b).relu()
        return self.classify(x + left * right)


def test_modules_side_by_side_in_a_branch_are_entered_one_by_one() -> None:
    model = SideBySide().eval()
    x = random(3, 4)
    net = un.unravel(model, x)
    assert [module.name for module in net.residual_modules[0].inner] == ["f", "g"]
    for text, deleted in (("0[0s,1]", "f"), ("0[0,1s]", "g"), ("0[0s,1s]", "fg")):
        model.deleted = deleted
        assert torch.equal(net(x, Route.parse(text)), model(x))


class InTheSkip(nn.Module):
    """A residual module in the skip of another one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.skip, self.branch, self.classify = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.classify((self.skip(x + self.inner(x)) + self.branch(x).relu()).tanh())


def test_modules_outside_of_a_branch_are_listed_and_not_entered() -> None:
    model, x = InTheSkip().eval(), random(3, 4)
    net = un.unravel(model, x)
    (outer,) = net.residual_modules
    (inner,) = outer.inner
    assert (inner.name, isinstance(outer.branch, Row)) == ("inner", False)
    torch.testing.assert_close(inner(x), x + model.inner(x))
    with pytest.raises(RouteError, match=r"inside it \(inner\) are needed by its skip or by other parts"):
        net(x, Route.parse("0[0s]"))
    assert "enter it with" not in repr(net)


def test_an_lraspp_of_torchvision_is_entered() -> None:
    un.repair_torchvision()
    torchvision = pytest.importorskip("torchvision")
    mobilenet = torchvision.models.mobilenetv3
    torch.manual_seed(0)

    def block(stride: int) -> nn.Module:
        config = mobilenet.InvertedResidualConfig(8, 3, 16, 8, True, "HS", stride, 1, 1.0)
        return mobilenet.InvertedResidual(config, nn.BatchNorm2d)

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.low = nn.Conv2d(3, 8, 3, padding=1), block(1)
            self.high = nn.Sequential(block(2), block(1), block(1))

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            low = self.low(self.enter(x).relu())
            return {"low": low, "high": self.high(low)}

    model = torchvision.models.segmentation.LRASPP(Backbone(), 8, 8, num_classes=2, inter_channels=8).eval()
    # Fresh weights add next to nothing.
    for parameter in model.backbone.parameters():
        parameter.data *= 3
    x = random(2, 3, 16, 16)
    net = un.unravel(model, x)
    (outer,) = [module for module in net.residual_modules if module.inner]
    assert [module.name for module in outer.inner] == ["backbone.high.1", "backbone.high.2"]
    assert "enter it with" in repr(net)
    for deleted in range(2):
        by_hand = copy.deepcopy(model)
        by_hand.backbone.high[1 + deleted] = nn.Identity()
        route = net.full_route.inside(outer.index, Route.full(2).delete(deleted))
        assert relative_difference(net(x, route), by_hand(x)) < 1e-6
        assert relative_difference(net(x), by_hand(x)) > 1e-4
