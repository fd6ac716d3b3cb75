"""Wide residual networks against their authors' numbers and against networks written the ordinary way."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

import unravelnet as un
from tests.zoo.ordinary import (
    n_parameters,
    ordinary_wide_resnet,
    shake_normalisations,
    silenced,
    swapped,
    with_weights_of,
)
from unravelnet import zoo
from unravelnet.errors import CostError, ModelError, UnknownNameError

DIGITS = (1, 8, 8)


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def pair(depth, width, **options):
    """A wide residual network of the zoo, and an ordinary one with its weights."""
    net = shake_normalisations(zoo.wide_resnet(depth, width, seed=0, **options))
    return net, with_weights_of(net, ordinary_wide_resnet, depth, width, **options)


# -- counts --


def count_by_hand(depth, width):
    n, (a, b, c) = (depth - 4) // 6, (16 * width, 32 * width, 64 * width)
    # The stem; the first convolution of each stage, which changes channels; 2n - 1 more that do not.
    convolutions = 9 * (3 * 16 + (16 * a + a * b + b * c) + (2 * n - 1) * (a * a + b * b + c * c))
    projections = (16 * a if width > 1 else 0) + a * b + b * c
    # Two values a channel: before each convolution of a branch, and before the average.
    norms = 2 * ((16 + a + b) + (2 * n - 1) * (a + b + c) + c)
    return convolutions + projections + norms + 10 * c + 10


@pytest.mark.parametrize(
    ("depth", "width", "expected", "millions"),
    [
        (28, 10, 36_479_194, 36.5),
        (40, 4, 8_949_210, 8.9),
        (16, 8, 10_961_370, 11.0),
        (16, 4, 2_748_890, 2.7),
        (16, 1, 175_066, 0.2),
        (40, 1, 563_930, 0.6),
    ],
)
def test_parameters_of_zagoruyko_2016(depth, width, expected, millions):
    with torch.device("meta"):
        net = zoo.wide_resnet(depth, width)
    assert n_parameters(net) == expected == count_by_hand(depth, width)
    assert round(expected / 1e6, 1) == millions
    n = (depth - 4) // 6
    assert len(net.residual_modules) == 3 * n
    projections = [module.index for module in net.residual_modules if module.kind == "projection"]
    assert projections == [0, n, 2 * n] if width > 1 else [n, 2 * n]
    assert all(module.is_deletable for module in net.residual_modules)
    # The depth counts convolutions, projections too; at width 1 the first of these is not there.
    n_convolutions = sum(isinstance(part, nn.Conv2d) for part in net.modules())
    assert n_convolutions == depth - (width == 1)


# -- against an ordinary network --

SIZES = pytest.mark.parametrize(("depth", "width"), [(16, 1), (16, 2), (22, 1), (10, 3)])


@SIZES
@torch.no_grad()
def test_it_equals_an_ordinary_network(depth, width):
    net, ordinary = pair(depth, width)
    for shape in ((3, 3, 32, 32), (2, 3, 17, 30)):
        torch.testing.assert_close(net(images(*shape)), ordinary(images(*shape)), rtol=1e-5, atol=1e-5)


@SIZES
@torch.no_grad()
def test_a_lesion_is_a_hook_on_the_ordinary_network(depth, width):
    net, ordinary = pair(depth, width)
    x = images(2, 3, 16, 16)
    for index, block in enumerate(ordinary.blocks):
        with silenced(block.convs[-1]):
            torch.testing.assert_close(
                net(x, net.full_route.delete(index)), ordinary(x), rtol=1e-5, atol=1e-5
            )
        with silenced(block.skip):
            route = net.full_route.remove_skip(index)
            torch.testing.assert_close(net(x, route), ordinary(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_blocks_of_a_stage_change_places_but_for_the_first():
    net, ordinary = pair(22, 2)
    assert [net.compatible_with(index) for index in range(9)] == [[], [2], [1], [], [5], [4], [], [8], [7]]
    x = images(2, 3, 16, 16)
    with swapped(ordinary, 4, 5):
        torch.testing.assert_close(net(x, net.full_route.swap(4, 5)), ordinary(x), rtol=1e-5, atol=1e-5)
    # At width 1 the first stage has no projection.
    assert zoo.wide_resnet(22, 1).compatible_with(0) == [1, 2]


@pytest.mark.parametrize("width", [1, 2])
def test_it_trains_as_an_ordinary_network(width):
    # Dropout draws in the order of the blocks; the normalisation that branch and skip share counts a batch once.
    net, ordinary = pair(10, width, dropout=0.4)
    ordinary.train(), net.train()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    x = images(8, 3, 8, 8)
    results = []
    for network in (net, ordinary):
        net.load_state_dict(before, strict=False)
        torch.manual_seed(3)
        output = network(x)
        output.square().mean().backward()
        gradients = {p.data_ptr(): p.grad.clone() for p in network.parameters()}
        results.append((output, gradients, {n: b.clone() for n, b in net.named_buffers()}))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert all(buffer == 1 for name, buffer in results[0][2].items() if name.endswith("tracked"))


def test_dropout_stands_between_the_convolutions_and_rests_in_evaluation():
    net = zoo.wide_resnet(16, 2, dropout=0.3, seed=0).eval()
    for module in net.residual_modules:
        names = [name for name, _ in module.branch.named_children()]
        assert names[-5:] == ["conv1", "norm2", "relu2", "dropout", "conv2"]
        assert module.branch.dropout.p == 0.3
    x = images(2, 3, 8, 8)
    assert torch.equal(net(x), zoo.wide_resnet(16, 2, seed=0).eval()(x))


@torch.no_grad()
def test_an_ordinary_network_is_taken_apart_into_the_same_modules():
    net, ordinary = pair(16, 2)
    captured = un.unravel(ordinary, images(2, 3, 16, 16))
    described = [
        [(m.kind, m.chain, m.input_shape, m.output_shape, m.macs) for m in network.residual_modules]
        for network in (shaped(net, (3, 16, 16)), captured)
    ]
    assert described[0] == described[1]
    x = images(3, 3, 16, 16)
    for draw in range(5):
        modes = random.Random(draw).choices(["", "s", "b"], k=6)
        route = un.Route.parse(",".join(f"{index}{mode}" for index, mode in enumerate(modes)))
        torch.testing.assert_close(net(x, route), captured(x, route), rtol=1e-4, atol=1e-4)


def shaped(net, shape):
    """A network with the same modules whose shapes and operations are those at another size."""
    recipe = zoo.recipe_of(net)
    return zoo.create(recipe.name, **{**recipe.options, "input_shape": shape})


def test_the_gradient_is_the_sum_over_all_paths():
    spectrum = un.path_gradients(zoo.wide_resnet(10, 2, input_shape=DIGITS, seed=0), "digits", limit=8)
    assert spectrum["path_count"] == [1, 3, 3, 1]
    assert spectrum[0]["gradient_error"] < 1e-4


# -- names, files and mistakes --


def test_a_name_says_depth_and_width():
    net = zoo.create("wide-resnet16-2", dropout=0.1, seed=1)
    assert net.name == "wide-resnet16-2"
    assert net.fingerprint() == zoo.wide_resnet(16, 2, dropout=0.1, seed=1).fingerprint()
    assert set(zoo.names()) >= {"wide-resnet28-10", "wide-resnet40-4", "wide-resnet16-4"}


def test_it_comes_back_from_its_directory(tmp_path):
    net = zoo.wide_resnet(10, 2, dropout=0.2, input_shape=DIGITS, n_classes=3, seed=5)
    zoo.save(net, tmp_path)
    again = zoo.load(tmp_path)
    assert again.fingerprint() == net.fingerprint()
    assert zoo.recipe_of(again) == zoo.recipe_of(net)
    assert [m.branch.dropout.p for m in again.residual_modules] == [0.2] * 3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: zoo.wide_resnet(27), ModelError, "6n + 4. The nearest are 22 and 28"),
        (lambda: zoo.wide_resnet(4), ModelError, "The nearest are 10 and 16"),
        (lambda: zoo.wide_resnet(16, 0), ModelError, "The width 0 is no multiple"),
        (lambda: zoo.wide_resnet(16, 2.5), ModelError, "The width 2.5 is no multiple"),
        (lambda: zoo.wide_resnet(16, 10**9), CostError, "channels are too many"),
        (lambda: zoo.wide_resnet(16, 2, dropout=1), ModelError, "The dropout 1 is no probability"),
        (lambda: zoo.wide_resnet(16, 2, dropout=float("nan")), ModelError, "The dropout nan is no"),
        (lambda: zoo.wide_resnet(16, 2, dropout="0.3"), ModelError, "The dropout '0.3' is no"),
        (lambda: zoo.wide_resnet(16, 2, input_shape=(3, 0, 32)), ModelError, "channels, height and width"),
        (lambda: zoo.create("wide-resnet28"), ModelError, "its depth and width, as in wide-resnet16-4"),
        (lambda: zoo.create("wide-resnet28-10-2"), ModelError, "has 3 numbers"),
        (lambda: zoo.create("wide-resnet"), UnknownNameError, "There is no zoo network 'wide-resnet'"),
        (lambda: zoo.create("wide-resnet27-10"), ModelError, "The nearest are 22 and 28"),
        (lambda: zoo.create("resnet20-2"), ModelError, "its depth, as in resnet20"),
        (lambda: zoo.create("wide-resnet16-4", depth=16), ModelError, "has no option 'depth'"),
    ],
)
def test_impossible_networks_are_explained(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)
