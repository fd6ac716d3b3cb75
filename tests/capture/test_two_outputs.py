"""Blocks that add to the stream and to a sum beside it, as others write them, and lesions edited in by hand."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import unravelnet as un
from survey.by_hand_audio import BESIDE, CHANNELS, DiffWave, ScaledWaveNet, WaveNet
from unravelnet.network import Add, Partial
from unravelnet.routes.route import Route

SOUND = torch.randn(3, 1, 16, generator=torch.Generator().manual_seed(0))
FIRST = Partial((("both", CHANNELS), ("branch", BESIDE)))


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


def by_hand(model: WaveNet, x: Tensor, edits: Mapping[int, str]) -> Tensor:
    """`edits`: what a block leaves: what came in ("skip"), what it computes ("branch")."""
    x = model.enter(x)
    beside = torch.zeros(len(x), BESIDE, x.shape[2])
    for number, block in enumerate(model.blocks):
        into, aside = block(x)
        if edits.get(number) == "skip":
            into, aside = 0 * into, 0 * aside
        if edits.get(number) == "branch":
            x, beside = 0 * x, 0 * beside
        x, beside = x + into, beside + aside
    return model.head(beside)


ROUTES: dict[str, dict[int, str]] = {
    "0-3": {},
    "0s,1-3": {0: "skip"},
    "0,1s,2-3": {1: "skip"},
    "0-2,3s": {3: "skip"},
    "0,1s,2s,3": {1: "skip", 2: "skip"},
    "0,1b,2-3": {1: "branch"},
    "0s,1,2b,3": {0: "skip", 2: "branch"},
    "0-2,3b": {3: "branch"},
}


def test_a_wavenet_is_a_row_of_blocks_that_add_to_stream_and_sum() -> None:
    model = made(WaveNet)
    net = un.unravel(model, SOUND)
    assert [module.name for module in net.residual_modules] == [f"blocks.{number}" for number in range(4)]
    assert [module.junction for module in net.residual_modules] == [FIRST, Add(), Add(), Add()]
    # Nothing reads the stream behind the last block, which adds to the sum only.
    assert [module.kind for module in net.residual_modules] == ["identity"] * 3 + ["projection"]
    assert ({module.chain for module in net.residual_modules}, net.unexplained) == ({0}, ())
    assert torch.equal(net(SOUND), model(SOUND))
    for text, edits in ROUTES.items():
        torch.testing.assert_close(net(SOUND, Route.parse(text)), by_hand(model, SOUND, edits))


def test_blocks_of_a_wavenet_are_reordered() -> None:
    model = made(WaveNet)
    net = un.unravel(model, SOUND)
    swapped = copy.deepcopy(model)
    swapped.blocks[1], swapped.blocks[2] = swapped.blocks[2], swapped.blocks[1]
    torch.testing.assert_close(net(SOUND, Route.parse("0,2,1,3")), swapped(SOUND))


class Classified(WaveNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean(2)


def test_gradients_by_length_add_up_to_autograds() -> None:
    model, x, targets = made(Classified), SOUND.clone().requires_grad_(), torch.tensor([0, 1, 2])
    rows = un.path_gradients(un.unravel(model, SOUND), (SOUND, targets), at="input").to_pandas()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), targets, reduction="sum"), x)
    assert rows["path_count"].tolist() == [1, 4, 6, 4, 1]
    assert rows["gradient_norm"].iloc[0] == pytest.approx(
        gradient.flatten(1).norm(dim=1).mean().item(), rel=1e-5
    )
    assert rows["gradient_error"].max() < 1e-5


def silenced(model: nn.Module, number: int, *layers: str) -> nn.Module:
    """Let a block add zeros in both places."""
    by_hand = copy.deepcopy(model)
    for name in layers:
        for parameter in by_hand.blocks[number].get_submodule(name).parameters():
            nn.init.zeros_(parameter)
    return by_hand


def test_what_is_summed_in_the_end_is_deleted_with_its_block() -> None:
    model = made(ScaledWaveNet)
    net = un.unravel(model, SOUND)
    assert [module.junction for module in net.residual_modules] == [FIRST, Add(), Add(), Add()]
    assert torch.equal(net(SOUND), model(SOUND))
    for number in range(4):
        expected = silenced(model, number, "into", "aside")(SOUND)
        torch.testing.assert_close(net(SOUND, net.full_route.delete(number)), expected)


def test_one_value_that_is_split_for_two_sums() -> None:
    model, inputs = made(DiffWave), (SOUND, torch.rand(3, 2))
    net = un.unravel(model, inputs)
    assert [module.name for module in net.residual_modules] == ["blocks.0", "blocks.1", "blocks.2"]
    assert (torch.equal(net(inputs), model(*inputs)), net.unexplained) == (True, ())
    for number in range(3):
        expected = silenced(model, number, "leave")(*inputs)
        torch.testing.assert_close(net(inputs, net.full_route.delete(number)), expected)


class Shortening(WaveNet):
    """Convolutions without padding: stream and sum are cut to what is left."""

    def forward(self, x: Tensor, keeps: tuple[int, int, int, int] = (1, 1, 1, 1)) -> Tensor:
        x, beside = self.enter(x), None
        for number, (block, keep) in enumerate(zip(self.blocks, keeps, strict=True)):
            a, b = block.conv(x)[:, :, 2**number : x.shape[2]].chunk(2, dim=1)
            z = a.tanh() * b.sigmoid()
            x, aside = keep * block.into(z) + x[:, :, 2**number :], keep * block.aside(z)
            beside = aside if beside is None else aside + beside[:, :, -aside.shape[2] :]
        return self.head(beside)


def test_streams_and_sums_that_are_cut_are_put_side_by_side() -> None:
    model = made(Shortening)
    net = un.unravel(model, SOUND)
    assert [module.junction for module in net.residual_modules] == [FIRST, Add(), Add(), Add()]
    for text, keeps in (("0-3", (1, 1, 1, 1)), ("0s,1-3", (0, 1, 1, 1)), ("0-1,2s,3s", (1, 1, 0, 0))):
        torch.testing.assert_close(net(SOUND, Route.parse(text)), model(SOUND, keeps))


class Blocks(nn.Module):
    """Three blocks with two layers behind a hidden value each; `keeps` multiplies all that a block adds."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.head, self.other_head = nn.Linear(4, 8), nn.Linear(8, 3), nn.Linear(8, 3)
        self.hidden, self.into, self.aside = (
            nn.ModuleList(nn.Linear(8, 8) for _ in range(4)) for _ in range(3)
        )

    def hide(self, number: int, x: Tensor) -> Tensor:
        return self.hidden[number](x).tanh()


ALL = (1, 1, 1, 1)


class OneValueTwice(Blocks):
    """A temporal convolutional network: what is added to the stream is summed beside it, too."""

    def forward(self, x: Tensor, keeps: Sequence[int] = ALL) -> Tensor:
        x, beside = self.enter(x), 0.0
        for number in range(3):
            change = keeps[number] * self.into[number](self.hide(number, x)).relu()
            x, beside = (x + change).relu(), beside + change
        return self.head(beside)


class RunningMean(Blocks):
    """The side output is averaged with those before it; the mean begins as a layer of the stream."""

    def forward(self, x: Tensor, keeps: Sequence[int] = ALL) -> Tensor:
        x = self.enter(x)
        mean = self.aside[3](x)
        for number in range(3):
            z = self.hide(number, x)
            x = x + keeps[number] * self.into[number](z)
            mean = mean * (number + 1) / (number + 2) + keeps[number] * self.aside[number](z) / (number + 2)
        return self.head(mean)


class ReadBack(Blocks):
    """What is summed beside the stream is read by the later blocks."""

    def forward(self, x: Tensor, keeps: Sequence[int] = ALL) -> Tensor:
        x = self.enter(x)
        beside = self.aside[3](x)
        for number in range(3):
            z = self.hide(number, x + beside)
            x, beside = (
                x + keeps[number] * self.into[number](z),
                beside + keeps[number] * self.aside[number](z),
            )
        return self.head(x * beside)


@pytest.mark.parametrize("kind", [OneValueTwice, RunningMean, ReadBack])
def test_two_sums_of_one_value_of_a_mean_and_of_streams_that_are_read_together(kind: type[nn.Module]) -> None:
    model, x = made(kind), torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    net = un.unravel(model, x)
    assert (len(net.residual_modules), net.unexplained) == (3, ())
    for number in range(3):
        keeps = [int(other != number) for other in range(3)]
        torch.testing.assert_close(net(x, net.full_route.delete(number)), model(x, keeps))


class Joint(Blocks):
    """Two streams with one attention over both, and an MLP each (MMDiT, Esser et al. 2024)."""

    def forward(self, x: Tensor, keeps: Sequence[int] = (1,) * 6) -> Tensor:
        x = self.enter(x)
        a, b = self.hidden[3](x).relu(), self.aside[3](x).relu()
        for number in range(2):
            joint = torch.cat([self.hide(number, a), self.hidden[number + 2](b)], dim=1)
            attended = (joint @ joint.mT).softmax(-1) @ joint
            of_a, of_b = attended.chunk(2, dim=1)
            attend, of_first, of_second = keeps[3 * number : 3 * number + 3]
            a, b = a + attend * self.into[number](of_a), b + attend * self.aside[number](of_b)
            a = a + of_first * self.into[number + 2](a).relu()
            b = b + of_second * self.aside[number + 1](b).relu()
        return self.head(a) * self.other_head(b)


def test_a_joint_attention_adds_to_two_streams_and_each_has_an_mlp() -> None:
    model, x = made(Joint), torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    net = un.unravel(model, x)
    assert (len(net.residual_modules), net.unexplained) == (6, ())
    for number in range(6):
        keeps = [int(other != number) for other in range(6)]
        torch.testing.assert_close(net(x, net.full_route.delete(number)), model(x, keeps))


class Probed(Blocks):
    """The hidden value of a block has a classifier of its own, whose logits are added to the others."""

    def __init__(self, probed: int) -> None:
        super().__init__()
        self.probed = probed

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for number in range(3):
            z = self.hide(number, x)
            x = x + self.into[number](z)
            if number == self.probed:
                beside = self.other_head(z)
        return self.head(x) + beside


@pytest.mark.parametrize("probed", [1, 2])
def test_logits_of_a_hidden_value_make_no_module_of_the_classifier(probed: int) -> None:
    torch.manual_seed(0)
    net = un.unravel(Probed(probed).eval(), torch.randn(2, 4))
    others = [f"into.{number}" for number in range(3) if number != probed]
    assert len(net.residual_modules) == 2
    assert [name for name, _ in net.named_parameters() if "head" in name and "branch" in name] == []
    for module, name in zip(net.residual_modules, others, strict=True):
        weights = {id(parameter) for parameter in module.branch.parameters()}
        assert id(net.origin.model.get_submodule(name).weight) in weights
    assert any("is read elsewhere" in line for line in net.unexplained)


class Exchanging(Blocks):
    """Two streams, each of which takes over the other one with what a block of its own hides."""

    def forward(self, x: Tensor, keeps: Sequence[int] = ALL) -> Tensor:
        x = self.enter(x)
        a, b = self.hidden[3](x).relu(), self.aside[3](x).relu()
        of_a, of_b = self.hide(0, a), self.hide(1, b)
        a, b = a + keeps[0] * self.into[0](of_a), b + keeps[1] * self.into[1](of_b)
        c = self.hide(2, b) + keeps[0] * self.aside[0](of_a)
        d = self.into[2](a).tanh() + keeps[1] * self.aside[1](of_b)
        return self.head(a * b) + self.other_head(c * d)


def test_streams_that_exchange_values_inside_their_blocks_are_not_put_in_a_circle() -> None:
    model, x = made(Exchanging), torch.randn(2, 4)
    net = un.unravel(model, x)
    assert torch.equal(net(x), model(x))
    for number, keeps in enumerate(((0, 1), (1, 0))[: len(net.residual_modules)]):
        torch.testing.assert_close(net(x, net.full_route.delete(number)), model(x, keeps))


class Beside(nn.Module):
    """A sum whose branch is also read by what is no summand, or by two sums."""

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self.twice = twice
        self.f, self.g, self.h, self.last = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        z = self.f(x).relu()
        y = x + self.g(z)
        y = y + self.h(y).relu()
        return self.last((y + z.sin()) * (y + z.cos()) if self.twice else y * self.h(z))


@pytest.mark.parametrize("twice", [False, True])
def test_a_branch_that_is_read_by_more_than_one_sum_beside_is_no_module(twice: bool) -> None:
    net = un.unravel(Beside(twice=twice).eval(), torch.randn(3, 4))
    assert [module.name for module in net.residual_modules] == ["h"]
    assert any("is read elsewhere" in line for line in net.unexplained)


class SideBySide(nn.Module):
    """Blocks of attention and MLP on one normalised value, as of Cohere; a mask is a second input."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(4, 8)
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.values, self.mlps = (nn.ModuleList(nn.Linear(8, 8) for _ in range(2)) for _ in range(2))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.enter(x)
        for norm, value, mlp in zip(self.norms, self.values, self.mlps, strict=True):
            normalised = norm(x)
            weights = (normalised @ normalised.mT + mask[:, None]).softmax(-1)
            x = x + weights @ value(normalised) + mlp(normalised).relu()
        return self.head(x)


def test_a_sum_of_three_is_one_junction_and_no_sum_beside_another() -> None:
    model, generator = made(SideBySide), torch.Generator().manual_seed(0)
    x, mask = torch.randn(2, 5, 4, generator=generator), torch.randn(2, 5, generator=generator)
    net = un.unravel(model, {"x": x, "mask": mask})
    assert [module.junction for module in net.residual_modules] == [Add(), Add()]
    assert [(module.kind, module.macs) for module in net.residual_modules] == [
        ("identity", 5 * 8 * (16 + 10))
    ] * 2
    assert net.unexplained == ()
