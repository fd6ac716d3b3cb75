"""A model by others goes through every operation of the product, and is the same model afterwards, bit for bit."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import unravelnet as un
from unravelnet import studies


class Block(nn.Module):
    """A residual block with what can be changed behind an author's back: statistics, dropout, a frozen weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(0.2)
        self.scale = nn.Parameter(torch.full((1,), 0.5), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.dropout(torch.relu(self.norm(self.conv(x))))


class Foreign(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(4) for _ in range(3)))
        self.head = nn.Linear(4, 3)
        self.register_buffer("offset", torch.linspace(0, 1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3))) + self.offset


INPUTS = torch.randn(12, 1, 6, 6, generator=torch.Generator().manual_seed(5))
DATA = (INPUTS, torch.arange(12) % 3)
OPERATIONS: dict[str, Callable[[Any, Path], object]] = {
    "repr": lambda net, directory: repr(net),
    "run": lambda net, directory: net(INPUTS, net.full_route.delete(1).swap(0, 2)),
    "evaluate": lambda net, directory: un.evaluate(net, studies.delete_each(net), DATA),
    "evaluate in bfloat16": lambda net, directory: un.evaluate(
        net, [net.full_route], DATA, precision="bfloat16"
    ),
    "remove skips": lambda net, directory: un.evaluate(net, studies.remove_skip_each(net), DATA),
    "store": lambda net, directory: un.evaluate(
        net,
        studies.delete_many(net, [1, 2], repeats=3, seed=0),
        DATA,
        store=un.ResultsStore(directory / "results.sqlite"),
    ),
    "ensemble": lambda net, directory: un.ensemble_of_routes(net, DATA, n_routes=3, sizes=(1, 3), repeats=2),
    "exact": lambda net, directory: un.path_gradients(net, DATA),
    "rms": lambda net, directory: un.path_gradients(net, DATA, method="rms", draws=2),
    "sampled": lambda net, directory: un.path_gradients(net, DATA, method="sampled", draws=2),
    "batch statistics": lambda net, directory: un.path_gradients(
        net, DATA, method="sampled", per="batch", normalisation="batch", draws=1
    ),
    "effective depths": lambda net, directory: un.effective_depths(net, DATA),
    "measures of modules": lambda net, directory: un.module_measures(net, DATA),
    "responses": lambda net, directory: un.layer_responses(net, DATA),
    "logits of lengths": lambda net, directory: un.path_logits(net, INPUTS),
    "export": lambda net, directory: un.export(net, net.full_route.delete(1), directory / "pruned.pt2"),
}


@pytest.fixture(scope="module", params=[False, True], ids=["evaluation mode", "training mode"])
def subject(request: pytest.FixtureRequest) -> tuple[Foreign, Any]:
    torch.manual_seed(0)
    model = Foreign()
    model(INPUTS)  # moves the statistics
    model.train(request.param)
    model.stem.weight.grad = torch.ones_like(model.stem.weight)
    with unchanged(model):
        net = un.unravel(model, INPUTS[:2])
    return model, net


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_foreign_model_is_the_same_afterwards(
    subject: tuple[Foreign, Any], operation: str, tmp_path: Path
) -> None:
    model, net = subject
    with unchanged(model):
        OPERATIONS[operation](net, tmp_path)


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Hold a model against a copy that nobody else has seen, and the generators against their states."""
    before, draws, gradients = copy.deepcopy(model), _generators(), copy.deepcopy(_gradients(model))
    addresses = [tensor.data_ptr() for tensor in model.state_dict().values()]
    yield
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == addresses
    assert _generators() == draws
    assert [name for name, _ in model.named_modules()] == [name for name, _ in before.named_modules()]
    for ours, theirs in zip(model.modules(), before.modules(), strict=True):
        assert ours.training == theirs.training
        assert not ours._forward_hooks
        assert not ours._backward_hooks
        assert ours.__dict__.keys() == theirs.__dict__.keys()
    for (name, tensor), (_, expected) in zip(_tensors(model), _tensors(before), strict=True):
        assert torch.equal(tensor, expected), name
        assert (tensor.dtype, tensor.stride(), tensor.requires_grad) == (
            expected.dtype,
            expected.stride(),
            expected.requires_grad,
        ), name
    for name, gradient in _gradients(model).items():
        assert torch.equal(gradient, gradients[name]), name
    assert _gradients(model).keys() == gradients.keys()
    # What it computes is the same, in both modes and with the same draws.
    for training in (False, True):
        outputs = []
        for one in (copy.deepcopy(model), before):
            torch.manual_seed(1)
            outputs.append(one.train(training)(INPUTS))
        assert torch.equal(*outputs)


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def _generators() -> tuple[object, ...]:
    return (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())
