"""What a model computes under torch.no_grad or torch.autocast is read as the rest, and trained as its author does.

The oracle is the author's own model: its outputs, and its gradients after a backward pass in training mode.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import unravelnet as un
from unravelnet.errors import TrainingError

X, LABELS = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)

    def frozen(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.first(x)), inplace=True)


class FrozenBranch(Block):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.frozen(x)
        return x + y


class FrozenStart(Block):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.frozen(x)
        return x + self.second(y)


class FrozenBlock(Block):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return x + self.frozen(x)


class Nested(Block):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.first(x)
            with torch.no_grad():
                y = self.norm(y) + y.mean()
        return x + y.relu()


class Plain(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.frozen(x))


class TwoValues(Block):
    """Two values leave its block, one of them the skip itself."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y, z = self.first(x), x.flip(1)
        return x + self.second(y + z)


KINDS = (FrozenBranch, FrozenStart, FrozenBlock, Nested, TwoValues)


def made(*kinds: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), *(kind() for kind in kinds), nn.Linear(4, 4))


def gradients_after_a_step(which: nn.Module, model: nn.Module) -> list[Tensor | None]:
    which.train()
    functional.cross_entropy(which(X), LABELS).backward()
    which.eval()
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("ambient", [torch.enable_grad, torch.no_grad])
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_without_gradient_are_modules_and_train_as_their_authors_do(
    kind: type[Block], ambient: Callable[[], torch.no_grad]
) -> None:
    model = made(kind, Plain)
    author = copy.deepcopy(model)
    with ambient():
        net = un.unravel(model, X)
    assert [module.name for module in net.residual_modules] == ["1", "2"]
    assert net.unexplained == ()
    assert torch.equal(net(X), author.eval()(X))
    ours, theirs = gradients_after_a_step(net, model), gradients_after_a_step(author, author)
    for own, expected in zip(ours, theirs, strict=True):
        assert (own is None) == (expected is None)
        assert own is None or torch.equal(own, expected)
    for (key, value), expected in zip(model.state_dict().items(), author.state_dict().values(), strict=True):
        assert torch.equal(value, expected), key


def test_no_gradient_flows_through_a_frozen_branch() -> None:
    net = un.unravel(made(FrozenBranch, Plain), X)
    by_length = un.path_gradients(net, (X, LABELS)).to_pandas()["length_gradient_norm"]
    # Both branches lie on the only path of length 2, and the gradient of the first is zero.
    assert by_length[2] == 0
    assert (by_length[:2] > 0).all()


def test_a_model_without_any_gradient_is_measured_and_not_trained() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = made(Plain, Plain)

        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return self.model(x)

    net = un.unravel(Whole(), X)
    assert len(net.residual_modules) == 2
    with pytest.raises(TrainingError, match=r"no gradient reaches its weights.* under torch\.no_grad"):
        un.train(net, (X, LABELS), epochs=1, batch_size=3, augment=False)


def test_a_frozen_network_is_not_trained() -> None:
    net = un.unravel(made(Plain).requires_grad_(False), X)
    with pytest.raises(TrainingError, match=r"all of them are frozen.* net\.requires_grad_\(True\)"):
        un.train(net, (X, LABELS), epochs=1, batch_size=3, augment=False)


class Lowered(nn.Module):
    """Two blocks in lower precision; what torch casts there it casts unseen. `deleted`: a block that is left out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 4)
        self.deleted = -1

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for number, block in enumerate(self.blocks):
                y = block.norm(block.first(self.norm(x))).relu()
                y = block.second(y.double().float()) * torch.softmax(block.second(y), dim=-1)
                x = x if number == self.deleted else x + y
        return self.head(x)


def test_blocks_in_lower_precision_are_residual_modules() -> None:
    model = Lowered().eval()
    net = un.unravel(model, X)
    assert (len(net.residual_modules), net.unexplained, net.training_obstacle) == (2, (), "")
    with torch.no_grad():
        assert torch.equal(net(X), model(X))
        for deleted in range(2):
            model.deleted = deleted
            assert torch.equal(net(X, net.full_route.delete(deleted)), model(X))
            assert model(X).sub(net(X)).abs().max() > 1e-3


def test_lower_precision_is_trained_as_its_author_trains_it() -> None:
    model = Lowered()
    net, other = un.unravel(model, X), copy.deepcopy(model)
    for trained in (net.train(), other.train()):
        functional.cross_entropy(trained(X), LABELS).backward()
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_what_stays_in_full_precision_is_left_hidden() -> None:
    class Full(Block):
        def forward(self, x: Tensor) -> Tensor:
            x = x + self.first(x).relu()
            with torch.autocast("cpu", enabled=False):
                return x * self.second(x).sigmoid()

    net = un.unravel(Full().eval(), X)
    (line,) = net.unexplained
    assert len(net.residual_modules) == 1
    assert "hidden in a block of their own" in line
