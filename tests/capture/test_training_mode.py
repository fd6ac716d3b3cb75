"""A captured network is trained as its author trains the model, bit for bit, or says why it cannot be.

The oracle is the author's own loop on a copy of the model. Draws are seeded operator by operator on both sides.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

import unravelnet as un
from unravelnet.capture.training_mode import SameDraws
from unravelnet.errors import TrainingError
from unravelnet.measuring.bench import Bench

IMAGES, LABELS = torch.randn(6, 3, 8, 8) + 1, torch.tensor([0, 1, 1, 0, 1, 0])


class Block(nn.Module):
    def __init__(self, norm: nn.Module | None = None, drop: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.drop = norm or nn.BatchNorm2d(4), drop or nn.Identity()

    def branch(self, x: Tensor) -> Tensor:
        return self.drop(self.norm(self.conv(x)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.branch(x))


class DropsByFunction(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x + functional.dropout2d(self.branch(x), 0.4, training=self.training)


class Frozen(Block):
    """Its normalisation stays in evaluation mode, as in detection."""

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.norm.eval()
        return self


class IntoSlice(Block):
    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        y[:, :2] += self.branch(x)[:, :2]
        return y


class InPlace(Block):
    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        y += x
        return y


class ReadLater(Block):
    """A view that is made after a write shows what was written."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([x, self.branch(x)], 1).relu_()
        return x + y[:, 4:]


class ReadBefore(Block):
    """So does one that was made before."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        half = y[:, :2]
        y.relu_()
        return x + torch.cat([half, y[:, 2:]], 1)


class DropPath(nn.Module):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(1 - self.rate)
        return x * keep / (1 - self.rate)


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x) if self.training else x


def network(*blocks: nn.Module) -> nn.Sequential:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2, inplace=True), nn.Linear(4, 2))
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), *blocks, *head)


def with_shared_norm() -> nn.Module:
    norm, path = nn.BatchNorm2d(4), DropPath(0.5)
    return network(Block(norm, path), Block(norm, path))


FOLLOWED: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: network(Block(), Block()),
    "cumulative": lambda: network(
        Block(nn.BatchNorm2d(4, momentum=None)), Block(nn.BatchNorm2d(4, momentum=0.3))
    ),
    "no statistics": lambda: network(Block(nn.BatchNorm2d(4, track_running_stats=False)), Block()),
    "no weights": lambda: network(Block(nn.BatchNorm2d(4, affine=False)), Block(nn.SyncBatchNorm(4))),
    "instance": lambda: network(
        Block(nn.InstanceNorm2d(4, track_running_stats=True)), Block(nn.GroupNorm(2, 4))
    ),
    "dropouts": lambda: network(Block(drop=nn.Dropout(0.5)), Block(drop=nn.Dropout2d(0.3))),
    "more dropouts": lambda: network(
        Block(drop=nn.AlphaDropout(0.2)), Block(drop=nn.FeatureAlphaDropout(0.2))
    ),
    "in place": lambda: network(Block(drop=nn.Dropout(0.5, inplace=True)), Block(drop=nn.RReLU())),
    "function": lambda: network(DropsByFunction(), Block()),
    "stochastic depth": lambda: network(Block(drop=DropPath(0.5)), Block(drop=DropPath(0.0))),
    "noise": lambda: network(Block(drop=Noise()), Block()),
    "frozen": lambda: network(Frozen(), Block()),
    "shared": with_shared_norm,
    "slice": lambda: network(IntoSlice(drop=DropPath(0.5)), Block())[:-2].append(nn.Linear(4, 2)),
    "added in place": lambda: network(InPlace(drop=DropPath(0.5)), InPlace(drop=nn.Dropout(0.3))),
    "read later": lambda: network(ReadLater(), Block()),
    "read before": lambda: network(ReadBefore(), Block())[:-2].append(nn.Linear(4, 2)),
}


def step(which: nn.Module, parameters: list[nn.Parameter]) -> None:
    """Do one step of the author's own loop."""
    optimiser = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)
    which.train()
    with SameDraws(seed=1):
        functional.cross_entropy(which(IMAGES), LABELS).backward()
    optimiser.step()
    which.eval()


def made(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make()


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_step_of_training_is_the_authors_step(name: str) -> None:
    model = made(FOLLOWED[name])
    author = copy.deepcopy(model)
    net = un.unravel(model, IMAGES)
    step(author, list(author.parameters()))
    step(net, list(net.parameters()))
    for (key, ours), theirs in zip(model.state_dict().items(), author.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), key
    assert torch.equal(net(IMAGES), author(IMAGES))


@pytest.mark.parametrize("name", ["plain", "cumulative", "stochastic depth"])
def test_copies_and_the_engine_follow_as_well(name: str) -> None:
    model = made(FOLLOWED[name])
    net = un.unravel(model, IMAGES)
    twin = copy.deepcopy(net)
    step(net, list(net.parameters()))
    step(twin, list(twin.parameters()))
    assert all(
        torch.equal(a, b) for a, b in zip(net.state_dict().values(), twin.state_dict().values(), strict=True)
    )
    torch.testing.assert_close(Bench(net).run(IMAGES), model.eval()(IMAGES))


def test_train_moves_statistics_and_drops_and_shares_the_result() -> None:
    model = made(FOLLOWED["dropouts"])
    net = un.unravel(model, IMAGES)
    un.train(net, (IMAGES, LABELS), epochs=3, batch_size=3, learning_rate=0.01, augment=False)
    assert model[1].running_mean.abs().max() > 0.1
    assert model[1].num_batches_tracked == 6
    assert torch.equal(net(IMAGES), model.eval()(IMAGES))
    net.train()
    assert not torch.equal(net(IMAGES), net(IMAGES))


def test_a_skipped_branch_keeps_its_statistics() -> None:
    model = made(FOLLOWED["plain"])
    net = un.unravel(model, IMAGES).train()
    net(IMAGES, net.full_route.delete(0))
    assert model[2].norm.num_batches_tracked == 0
    assert model[3].norm.num_batches_tracked == 1


class OwnStatistics(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.lerp_(x.detach().mean((0, 2, 3)), 0.1)
        return x - self.mean[:, None, None]


class DropsPathInline(Block):
    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        return x + (y * (torch.rand(len(x), 1, 1, 1) < 0.9) if self.training else y)


class DropsLayerOfPython(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x if self.training and random.random() < 0.05 else super().forward(x)


class DropsLayer(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x if self.training and torch.rand([]) < 0.05 else super().forward(x)


class Auxiliary(nn.Module):
    """It gives a second output in training mode, as GoogLeNet."""

    def __init__(self) -> None:
        super().__init__()
        self.model = network(Block(), Block())

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.model(x)
        return (y, y.mean()) if self.training else y


class ForInference(Block):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError("for inference only")
        return super().forward(x)


class Converged(Block):
    """The vectors of its spectral normalisation hardly move as long as the weights stay."""

    def __init__(self) -> None:
        super().__init__()
        spectral_norm(self.conv)
        for _ in range(300):
            self.conv.weight  # noqa: B018  # reading it is a step of the iteration


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network(Block(), Converged()), r"_SpectralNorm \(3\.conv\.\S+\) computes what"),
        (lambda: network(Block(OwnStatistics()), Block()), r"OwnStatistics \(2\.norm\) computes what"),
        (lambda: network(DropsPathInline(), Block()), r"DropsPathInline \(2\) computes what"),
        (lambda: network(DropsLayerOfPython(), Block()), r"DropsLayerOfPython \(2\) computes what"),
        (lambda: network(Block(), DropsLayer()), r"DropsLayer \(3\) computes what"),
        (Auxiliary, r"training mode Auxiliary computes what"),
        (
            lambda: network(ForInference(), Block()),
            "does not run on the example in training mode.*for inference only",
        ),
    ],
)
def test_what_cannot_be_followed_is_named_and_not_trained(
    make: Callable[[], nn.Module], message: str
) -> None:
    model = made(make)
    before = copy.deepcopy(model.state_dict())
    net = un.unravel(model, IMAGES)
    with pytest.raises(TrainingError, match=message):
        un.train(net, (IMAGES, LABELS), epochs=1, batch_size=3, augment=False)
    with pytest.raises(TrainingError, match=message):
        net.train()
    assert not net.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(net(IMAGES), model.eval()(IMAGES)), "it can be measured all the same"


class Average(Block):
    """It keeps a moving average of its weights, or a running maximum, in one of the ways that people write that."""

    mean: Tensor

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.scale = how, nn.Parameter(torch.rand(4, 1, 1) + 0.5)
        self.register_buffer("mean", torch.zeros(4, 1, 1))

    def branch(self, x: Tensor) -> Tensor:
        if self.training:
            self.move(self.scale.detach())
        return super().branch(x) * (self.scale + self.mean)

    def move(self, new: Tensor) -> None:
        if self.how == "in place":
            self.mean.lerp_(new, 0.5)
        elif self.how == "assigned":
            self.mean = self.mean.lerp(new, 0.5)
        elif self.how == "data in place":
            self.mean.data.lerp_(new, 0.5)
        elif self.how == "data assigned":
            self.mean.data = self.mean.lerp(new, 0.5)
        else:
            torch.maximum(self.mean, new, out=self.mean)


class MadeAtFirstCall(Block):
    """It makes a mask at its first call, in both modes."""

    mask: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", None)

    def branch(self, x: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = torch.ones(4, 1, 1)
        return super().branch(x) * self.mask


def with_hook(norm: Callable[[nn.Module], nn.Module]) -> Block:
    block = Block()
    norm(block.conv)
    return block


def averages(how: str) -> tuple[Callable[[], Block], bool]:
    return lambda: Average(how), False


CONVERGING: dict[str, tuple[Callable[[], Block], bool]] = {
    "spectral norm": (lambda: with_hook(spectral_norm), False),
    "old spectral norm": (lambda: with_hook(nn.utils.spectral_norm), False),
    "weight norm": (lambda: with_hook(weight_norm), True),
    "batch norm": (lambda: Block(nn.BatchNorm2d(4, momentum=1.0)), True),
    "mask": (MadeAtFirstCall, True),
    "in place": averages("in place"),
    "assigned": averages("assigned"),
    "data in place": averages("data in place"),
    "data assigned": averages("data assigned"),
    "maximum": averages("maximum"),
}


@pytest.mark.parametrize("name", CONVERGING)
def test_the_verdict_does_not_depend_on_whether_a_buffer_has_converged(name: str) -> None:
    make, is_followed = CONVERGING[name]
    model = made(lambda: network(make(), Block()))
    fresh = un.unravel(model, IMAGES).training_obstacle
    model.train()
    with torch.no_grad():
        for _ in range(100):
            model(IMAGES)
    assert un.unravel(model.eval(), IMAGES).training_obstacle == fresh
    assert (fresh == "") == is_followed
