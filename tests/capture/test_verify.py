"""The comparison of a captured network with its model sees every part, and is itself not seen."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import unravelnet as un
from tests.capture.test_capture import snapshot
from unravelnet.capture.trial import awake, drawn_like, run_awake
from unravelnet.capture.verify import relative_difference
from unravelnet.errors import CaptureError
from unravelnet.network import ResidualModule
from unravelnet.routes.route import Route


class Block(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class Scaled(Block):
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((4, 1, 1), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.conv(x)


def with_classifier(*blocks: nn.Module) -> nn.Sequential:
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def fresh() -> nn.Module:
    """As the initialisation of ResNets leaves it: the last normalisation of each block is zero."""
    model = with_classifier(Block(), Block())
    for block in (model[0], model[1]):
        nn.init.zeros_(block.norm.weight)
    return model


def zero_head() -> nn.Module:
    model = with_classifier(Block(), Block())
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    return model


def shut() -> nn.Module:
    model = with_classifier(Block(), Block())
    for block in (model[0], model[1]):
        nn.init.constant_(block.norm.weight, 1e-7)
        nn.init.constant_(block.norm.bias, 0.02)
        nn.init.constant_(block.conv.bias, 0.5)
    return model


MODELS: list[Callable[[], nn.Module]] = [fresh, zero_head, lambda: with_classifier(Scaled(), Scaled()), shut]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("lost", ["branch", "twice"])
def test_a_wrong_capture_is_seen_although_the_model_is_silent(
    make: Callable[[], nn.Module], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = make().eval()
    join = ResidualModule.join
    wrong = {
        "branch": lambda self, skip, branch, held={}: join(self, skip, None, held),
        "twice": lambda self, skip, branch, held={}: join(self, skip, 2 * branch, held),
    }
    monkeypatch.setattr(ResidualModule, "join", wrong[lost])
    with pytest.raises(CaptureError, match=r"differs from Sequential by .* module 0 \(0"):
        un.unravel(model, torch.zeros(2, 4, 8, 8))


@pytest.mark.parametrize("make", MODELS)
def test_weights_are_given_back_untouched(make: Callable[[], nn.Module]) -> None:
    model = make().train()
    next(model.parameters()).requires_grad_(False)
    before, memory = snapshot(model), [p.data_ptr() for p in model.parameters()]
    net = un.unravel(model, torch.zeros(2, 4, 8, 8))
    assert snapshot(model) == before
    with contextlib.suppress(ZeroDivisionError), awake(net):
        assert snapshot(model) != before
        raise ZeroDivisionError
    assert snapshot(model) == before
    assert [p.data_ptr() for p in model.parameters()] == memory


def test_branches_inside_are_awake_too() -> None:
    class Around(Block):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Block()

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(self.inside(x)).relu()

    torch.manual_seed(0)
    model = with_classifier(Around()).eval()
    model[0].inside.norm.running_var.fill_(1e12)
    net, x, route = un.unravel(model, torch.ones(2, 4, 8, 8)), torch.randn(2, 4, 8, 8), Route.parse("0[0s]")
    assert relative_difference(net(x, route), net(x)) < 1e-5
    with awake(net) as redraw:
        run_awake(net, x, redraw)
        assert relative_difference(net(x, route), net(x)) > 1e-3


def test_inputs_are_drawn_in_the_range_of_the_example() -> None:
    ids, mask = torch.tensor([[5, 9, 7], [7, 5, 2]]), torch.tensor([[True, False, False]] * 2)
    drawn: Any = drawn_like({"ids": ids, "mask": mask, "pixels": torch.rand(2, 500) / 4 + 3}, [1, 0, 1])
    assert sorted(drawn["ids"].flatten().tolist()) == sorted(ids[[1, 0, 1]].flatten().tolist())
    assert drawn["mask"].sum() == 3
    assert 3 <= drawn["pixels"].min() < 3.02
    assert 3.23 < drawn["pixels"].max() <= 3.25
    assert drawn_like(torch.zeros(2, 500), [0, 1]).std() > 1
    assert (drawn_like(torch.full((2, 500), 8.0), [0, 1]) > 0).all()


class MonteCarlo(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x + functional.dropout(self.conv(x), 0.5)


class Sampling(Block):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + y + torch.randn_like(y)


class OfPython(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) * random.random()


class OfNumpy(Block):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) * float(np.random.rand())


class Attends(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + functional.scaled_dot_product_attention(x, x, x, dropout_p=0.2)


class SilentlyRandom(Block):
    """The draw is multiplied by a weight that is zero as long as the model is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gain * functional.dropout(self.conv(x), 0.1)


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (MonteCarlo, " by dropout in 1: two runs"),
        (Sampling, " by randn_like in 1: two runs"),
        (Attends, " by scaled_dot_product_attention in 1: two runs"),
        (SilentlyRandom, " by dropout in 1: two runs"),
        (OfPython, ": two runs"),
        (OfNumpy, ": two runs"),
    ],
)
def test_a_model_that_draws_in_evaluation_mode_is_refused(kind: type[nn.Module], place: str) -> None:
    model = nn.Sequential(Block(), kind(), Block())
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    with pytest.raises(CaptureError, match=f"computes at random, in evaluation mode{place}"):
        un.unravel(model, torch.ones(2, 4, 8, 8))
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1:] == (random.getstate(), np.random.get_state()[1].tolist())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_are_named(value: float) -> None:
    model = nn.Sequential(Block(), Block())
    with torch.no_grad():
        model[1].conv.weight[0, 0, 0, 0] = value
    with pytest.raises(CaptureError, match=r"are damaged: 1\.conv\.weight holds NaN or infinite values"):
        un.unravel(model, torch.randn(2, 4, 8, 8))


def test_a_model_that_takes_only_some_values_is_tried_with_its_own() -> None:
    class Sorted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.layer = nn.Embedding(9, 4), nn.Linear(4, 4)

        def forward(self, ids: Tensor) -> Tensor:
            if not torch.compiler.is_compiling():
                assert (ids.diff() >= 0).all(), "positions come in order"
            x = self.embedding(ids)
            return x + self.layer(x)

    assert len(un.unravel(Sorted(), torch.arange(8).repeat(2, 1)).residual_modules) == 1


class Counted(nn.Module):
    """It notes the size of every batch of numbers that it is run on, and its mode."""

    def __init__(self, *blocks: nn.Module, n_least: int = 1) -> None:
        super().__init__()
        self.model, self.n_least = with_classifier(*blocks), n_least
        self.runs: list[tuple[int, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        if type(x) is Tensor and not torch.compiler.is_compiling():
            self.runs.append((len(x), self.training))
            assert len(x) >= self.n_least, "it takes no batch as small as that"
        return self.model(x)


@pytest.mark.parametrize(
    ("block", "n_least", "runs"),
    [
        # Without anything that differs in training mode, that is compared on one input.
        (Scaled, 1, [(2, False), (1, False), (1, True)]),
        # One input has no statistics.
        (Block, 1, [(2, False), (1, False), (2, True)]),
        # What does not take one input, drawn or the example's own, is run on three.
        (Scaled, 2, [(2, False), (1, False), (1, False), (3, False), (3, True)]),
    ],
)
def test_a_capture_runs_the_model_on_two_inputs_on_one_and_in_training_mode(
    block: type[Block], n_least: int, runs: list[tuple[int, bool]]
) -> None:
    model = Counted(block(), block(), n_least=n_least)
    un.unravel(model, torch.ones(2, 4, 8, 8))
    assert model.runs == runs
