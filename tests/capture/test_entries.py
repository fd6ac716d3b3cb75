"""Modules whose branch reads more than their input: cross-attention, several inputs; lesions edited in by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import unravelnet as un
from unravelnet.routes.route import Route

WIDTH = 8
N_LAYERS = 2


class CrossAttention(nn.Module):
    """softmax(Q Kᵀ) V, keys and values from the memory."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        weights = (self.query(x) @ self.key(memory).transpose(1, 2)).softmax(-1)
        return weights @ self.value(memory)


class Mlp(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))


class EncoderDecoder(nn.Module):
    """Two encoder layers, and two decoder layers of cross-attention and MLP, on one input or on two."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter, self.start, self.classify = nn.Linear(3, WIDTH), nn.Linear(3, WIDTH), nn.Linear(WIDTH, 2)
        self.encoder = nn.ModuleList(Mlp() for _ in range(N_LAYERS))
        self.cross = nn.ModuleList(CrossAttention() for _ in range(N_LAYERS))
        self.mlp = nn.ModuleList(Mlp() for _ in range(N_LAYERS))

    def forward(self, x: Tensor, y: Tensor | None = None, edits: dict[int, str] | None = None) -> Tensor:
        """`edits`: which part of a module's sum stays, by the number of the module."""
        modes = dict.fromkeys(range(3 * N_LAYERS), "both") | (edits or {})
        memory, y = self.enter(x), self.start(x.flip(1) if y is None else y)
        for number, layer in enumerate(self.encoder):
            memory = summed(modes[number], memory, layer(memory))
        for number, (cross, mlp) in enumerate(zip(self.cross, self.mlp, strict=True)):
            y = summed(modes[N_LAYERS + 2 * number], y, cross(y, memory))
            y = summed(modes[N_LAYERS + 2 * number + 1], y, mlp(y))
        return self.classify(y).mean(1)


def summed(mode: str, x: Tensor, change: Tensor) -> Tensor:
    return {"skip": x, "branch": change}.get(mode, x + change)


@pytest.mark.parametrize("n_inputs", [1, 2])
def test_cross_attention_is_a_module(n_inputs: int) -> None:
    model, inputs = EncoderDecoder().eval(), tuple(torch.randn(n_inputs, 3, 5, 3))
    net = un.unravel(model, inputs)
    names = ["encoder.0", "encoder.1", "cross.0", "mlp.0", "cross.1", "mlp.1"]
    assert ([module.name for module in net.residual_modules], net.unexplained) == (names, ())
    for number in range(len(names)):
        for mode, route in (("skip", f"{number}s"), ("branch", f"{number}b")):
            steps = [route if place == number else str(place) for place in range(len(names))]
            lesioned = net(inputs, Route.parse(",".join(steps)))
            torch.testing.assert_close(lesioned, model(*inputs, edits={number: mode}))


def test_keys_and_values_that_only_one_branch_reads_belong_to_it() -> None:
    model = EncoderDecoder().eval()
    net = un.unravel(model, torch.randn(3, 5, 3))
    for number, cross in zip((2, 4), model.cross, strict=True):
        assert net.residual_modules[number].n_parameters == sum(p.numel() for p in cross.parameters())


def test_gradients_by_length_add_up_to_autograds() -> None:
    model, x, targets = (
        EncoderDecoder().eval(),
        torch.randn(3, 5, 3, requires_grad=True),
        torch.tensor([0, 1, 1]),
    )
    net = un.unravel(model, x.detach())
    rows = un.path_gradients(net, (x.detach(), targets), at="input").to_pandas()
    loss = nn.functional.cross_entropy(model(x), targets, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    assert rows["gradient_norm"].iloc[0] == pytest.approx(
        gradient.flatten(1).norm(dim=1).mean().item(), rel=1e-5
    )
    assert rows["gradient_error"].max() < 1e-5


class Reversible(nn.Module):
    """Two blocks that add to each half of a stream a function of the other half (Gomez et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter, self.classify = nn.Linear(3, 2 * WIDTH), nn.Linear(2 * WIDTH, 2)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, edits: dict[int, str] | None = None) -> Tensor:
        modes = dict.fromkeys(range(4), "both") | (edits or {})
        first, second = self.enter(x).chunk(2, dim=-1)
        for number, layer in enumerate(self.layers):
            changed = summed(modes[number], first, layer(second).relu())
            first, second = second, changed
        return self.classify(torch.cat([first, second], dim=-1))


def test_reversible_blocks_are_two_modules_each() -> None:
    model, x = Reversible().eval(), torch.randn(5, 3)
    net = un.unravel(model, x)
    assert [module.name for module in net.residual_modules] == [f"layers.{number}" for number in range(4)]
    assert ({module.kind for module in net.residual_modules}, net.unexplained) == ({"identity"}, ())
    for number in range(4):
        for mode in ("skip", "branch"):
            steps = [f"{place}{mode[0]}" if place == number else str(place) for place in range(4)]
            torch.testing.assert_close(net(x, Route.parse(",".join(steps))), model(x, {number: mode}))
    rows = un.path_gradients(net, (x, torch.tensor([0, 1, 1, 0, 1])), at="input").to_pandas()
    assert rows["gradient_error"].max() < 1e-5


def test_a_second_tower_that_is_added_at_the_end_is_no_module() -> None:
    class Fused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.classify = nn.ModuleList(Mlp() for _ in range(2)), nn.Linear(WIDTH, 2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            x = x + self.layers[0](x)
            return self.classify(x + self.layers[1](y))

    net = un.unravel(Fused(), tuple(torch.randn(2, 3, WIDTH)))
    assert [module.name for module in net.residual_modules] == ["layers.0"]


def test_functions_of_two_values_are_no_module_where_layers_work_in_place() -> None:
    class Cell(nn.Module):
        """A sum in a cell of NASNet joins a function of one value with a function of another (Zoph et al. 2017)."""

        def __init__(self) -> None:
            super().__init__()
            self.block, self.classify = Mlp(), nn.Linear(3 * WIDTH, 2)
            self.layers = nn.ModuleList(
                nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH)) for _ in range(4)
            )

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.block(x)
            left, right = self.layers[0](x), self.layers[1](x)
            x = self.layers[2](left.relu()) + self.layers[3](right.clone().relu_())
            return self.classify(torch.cat([left, right, x], dim=1))

    net = un.unravel(Cell().eval(), torch.randn(3, WIDTH))
    assert [module.name for module in net.residual_modules] == ["block"]
