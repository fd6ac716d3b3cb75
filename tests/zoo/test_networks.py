"""Zoo networks against the papers' numbers and against networks written the ordinary way."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.ordinary import n_parameters, shake_normalisations
from unravelnet import zoo
from unravelnet.errors import ModelError, UnknownNameError
from unravelnet.routes.route import Route
from unravelnet.zoo.recipe import recipe_of

DIGITS = (1, 8, 8)


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_parameters_of_he_2015_table_6(depth, expected):
    assert n_parameters(zoo.resnet(depth)) == expected
    # Option A has no weights, so that plain and residual networks have equally many.
    assert n_parameters(zoo.plain(depth)) == expected


def test_preact_110_is_the_network_of_veit_2016():
    net = zoo.preact_resnet(110)
    assert n_parameters(net) == 1_730_522
    assert len(net.residual_modules) == 54
    projections = [module.index for module in net.residual_modules if module.kind == "projection"]
    assert projections == [18, 36]
    assert [module.name for module in net.residual_modules][17:19] == ["stage1.17", "stage2.0"]
    # 0.506 GFLOP an image, two operations a multiply-accumulate (DESIGN, measured independently).
    assert 2 * net.total_macs / 1e9 == pytest.approx(0.506, abs=0.001)


def test_depth_1202_builds_and_runs():
    net = zoo.create("resnet1202", seed=0).eval()
    assert n_parameters(net) == 19_421_274
    assert len(net.residual_modules) == 600
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 8, 8)).shape == (1, 10)


def test_a_network_that_starts_at_its_skips_computes_them():
    net = zoo.preact_resnet(20, input_shape=DIGITS, zero_init_residual=True, seed=0).eval()
    x = torch.randn(5, *DIGITS, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(net(x), net(x, Route.full(9).delete(*range(9))))
    # By fan-in the variance of a rectified unit's weight is 2 over its 1 · 3 · 3 inputs.
    assert net.stem.weight.var().item() == pytest.approx(2 / 9, rel=0.3)


def test_a_start_at_the_skips_is_not_part_of_the_recipe():
    # As the seed is not: the weights are stored, and a stored network loads as before.
    recipes = [recipe_of(zoo.preact_resnet(20, zero_init_residual=start)) for start in (False, True)]
    assert recipes[0] == recipes[1]


def test_vgg15_has_15_weight_layers_of_128_channels():
    net = zoo.vgg15()
    layers = [part for part in net.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert [type(layer) for layer in layers] == [nn.Conv2d] * 13 + [nn.Linear] * 2
    assert {layer.weight.shape[0] for layer in layers[:-1]} == {128}
    assert all(module.keeps_shape and module.kind == "plain" for module in net.residual_modules)
    # Convolutions 3·128·9 and 12 · 128·128·9; linear 128·128 and 128·10 + 10; 14 normalisations of 2 · 128.
    by_hand = 3 * 128 * 9 + 12 * 128 * 128 * 9 + 128 * 128 + 128 * 10 + 10 + 14 * 2 * 128
    assert n_parameters(net) == by_hand
    # Without normalisation a bias in its place.
    assert n_parameters(zoo.vgg15(normalisation=False)) == by_hand - 14 * 128


# -- networks as anybody would write them, with the weights of the zoo's --


class OrdinaryResNet(nn.Module):
    """A CIFAR ResNet in one forward function, after the papers; `weights` are used in the order of need."""

    def __init__(self, net, *, depth, is_preact, shortcut, block="basic"):
        super().__init__()
        self.weights = list(net.state_dict().values())
        self.depth, self.is_preact, self.shortcut, self.block = depth, is_preact, shortcut, block

    def take(self, n):
        return [self.pool.pop(0) for _ in range(n)]

    def norm(self, x):
        weight, bias, mean, variance, _ = self.take(5)
        return F.batch_norm(x, mean, variance, weight, bias)

    def conv(self, x, stride=1):
        (weight,) = self.take(1)
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def branch(self, x, stride):
        strides = [stride, 1] if self.block == "basic" else [1, stride, 1]
        for number, step in enumerate(strides):
            if self.is_preact:
                x = self.conv(F.relu(self.norm(x)), step)
            else:
                x = self.norm(self.conv(x, step))
                x = F.relu(x) if number < len(strides) - 1 else x
        return x

    def skip(self, x, y, stride):
        if x.shape == y.shape and self.shortcut != "C":
            return x
        if self.shortcut == "A":
            x = F.avg_pool2d(x, 1, stride)
            zeros = torch.zeros(len(x), y.shape[1] - x.shape[1], *x.shape[2:])
            return torch.cat([x, zeros], dim=1)
        x = self.conv(x, stride)
        return x if self.is_preact else self.norm(x)

    def forward(self, x):
        self.pool = list(self.weights)
        n = (self.depth - 2) // (6 if self.block == "basic" else 9)
        x = self.conv(x)
        if not self.is_preact:
            x = F.relu(self.norm(x))
        for number in range(3 * n):
            stride = 2 if number in (n, 2 * n) else 1
            y = self.branch(x, stride)
            y = y + self.skip(x, y, stride)
            x = y if self.is_preact else F.relu(y)
        if self.is_preact:
            x = F.relu(self.norm(x))
        weight, bias = self.take(2)
        assert not self.pool, "weights are left over"
        return F.linear(x.mean((2, 3)), weight, bias)


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
@pytest.mark.parametrize(("is_preact", "block", "depth"), [
    (True, "basic", 14), (False, "basic", 14), (True, "bottleneck", 20), (False, "bottleneck", 20),
])  # fmt: skip
@torch.no_grad()
def test_residual_networks_equal_ordinary_ones(shortcut, is_preact, block, depth):
    make = zoo.preact_resnet if is_preact else zoo.resnet
    net = shake_normalisations(make(depth, shortcut=shortcut, block=block, seed=0))
    ordinary = OrdinaryResNet(net, depth=depth, is_preact=is_preact, shortcut=shortcut, block=block)
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(net(x), ordinary(x), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_plain_network_is_convolutions_in_a_row():
    net = shake_normalisations(zoo.plain(14, seed=0))
    weights = list(net.state_dict().values())
    x = y = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    for number in range(13):
        conv, weight, bias, mean, variance, _ = weights[6 * number : 6 * number + 6]
        stride = 2 if number in (5, 9) else 1
        y = F.conv2d(y, conv, stride=stride, padding=1)
        y = F.relu(F.batch_norm(y, mean, variance, weight, bias))
    torch.testing.assert_close(net(x), F.linear(y.mean((2, 3)), *weights[-2:]), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_vgg15_is_convolutions_with_pooling_behind_each_group():
    net = zoo.vgg15(normalisation=False, seed=0).eval()
    weights = list(net.state_dict().values())
    x = y = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    for number in range(13):
        y = F.relu(F.conv2d(y, weights[2 * number], weights[2 * number + 1], padding=1))
        if number in (1, 3, 6, 9, 12):
            y = F.max_pool2d(y, 2)
    y = F.relu(F.linear(y.flatten(1), *weights[26:28]))
    torch.testing.assert_close(net(x), F.linear(y, *weights[28:30]), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_without_modules_a_preact_network_is_stem_skips_and_head():
    net = shake_normalisations(zoo.preact_resnet(20, shortcut="A", seed=0))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    stream = F.conv2d(x, net.stem.weight, padding=1)
    # Two strided skips with zero channels behind: every fourth pixel, 16 channels of 64.
    stream = F.pad(stream[:, :, ::4, ::4], (0, 0, 0, 0, 0, 48))
    expected = net.head(stream)
    torch.testing.assert_close(net(x, Route.full(9).keep()), expected, rtol=1e-6, atol=1e-6)


# -- initial weights and random numbers --


def test_initial_weights_are_kaiming_by_fan_out():
    net = zoo.preact_resnet(20, widths=(64, 64, 64), seed=0)
    conv = net.residual_modules[1].branch.conv1
    # 36,864 draws: the standard deviation is known to 0.4 %.
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert net.head.linear.bias.abs().max() == 0


@torch.no_grad()
def test_without_normalisation_the_signal_survives_small_maps():
    net = zoo.vgg15(normalisation=False, input_shape=DIGITS, seed=0).eval()
    x = torch.randn(64, *DIGITS, generator=torch.Generator().manual_seed(0))
    state = net.enter(x)
    sizes = []
    for move in net.full_route.moves:
        state = net.advance(state, move)
        sizes.append(state.x.pow(2).mean().sqrt().item())
    assert 0.3 < sizes[-1] / sizes[0] < 10


def test_a_seed_makes_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = zoo.vgg15(seed=3), zoo.vgg15(seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.fingerprint() == second.fingerprint() != zoo.vgg15(seed=4).fingerprint()
    torch.manual_seed(5)
    unseeded = zoo.resnet(8)
    torch.manual_seed(5)
    assert zoo.resnet(8).fingerprint() == unseeded.fingerprint()


# -- any size --


@pytest.mark.parametrize("input_shape", [DIGITS, (1, 1, 1), (3, 33, 20), (4, 64, 64)])
@pytest.mark.parametrize(
    "name", ["preact-resnet8", "resnet8", "plain8", "vgg15", "wide-resnet10-2", "highway8"]
)
def test_any_input_size_and_channel_count(name, input_shape):
    net = zoo.create(name, input_shape=input_shape, n_classes=7, seed=0)
    x = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0))
    net.train()(x).sum().backward()
    assert net.eval()(x).shape == (2, 7)
    for module in net.residual_modules:
        if module.skip is not None or module.keeps_shape:
            assert net(x, net.full_route.delete(module.index)).shape == (2, 7)


def test_in_digits_the_pooling_that_has_nothing_to_do_is_left_out():
    net = zoo.vgg15(input_shape=DIGITS)
    assert len(net.transitions) == 4
    assert [module.chain for module in net.residual_modules] == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4]


# -- names and mistakes --


def test_create_is_the_function_of_that_name():
    net = zoo.create("preact-resnet20", shortcut="A", seed=1)
    assert net.fingerprint() == zoo.preact_resnet(20, shortcut="A", seed=1).fingerprint()
    assert net.name == "preact-resnet20"
    assert set(zoo.names()) >= {"preact-resnet110", "resnet56", "plain20", "vgg15"}


@pytest.mark.parametrize("name", [name for name in zoo.names() if "1202" not in name])
def test_recipes_make_the_same_network_again(name):
    with torch.device("meta"):  # without weights, of which some have 100 million
        net = zoo.create(name, input_shape=(1, 16, 16), n_classes=3)
        recipe = zoo.recipe_of(net)
        again = zoo.create(recipe.name, **recipe.options)
    assert [str(m) for m in again.residual_modules] == [str(m) for m in net.residual_modules]
    assert zoo.recipe_of(again) == recipe


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: zoo.create("preact-resnet111"), ModelError, "6n + 2. The nearest are 110 and 116"),
        (lambda: zoo.resnet(21, block="bottleneck"), ModelError, "9n + 2. The nearest are 20 and 29"),
        (lambda: zoo.plain(0), ModelError, "The nearest are 8 and 14"),
        (lambda: zoo.create("resnett56"), UnknownNameError, "Did you mean 'resnet56'"),
        (lambda: zoo.create("vgg"), UnknownNameError, "Did you mean 'vgg15'"),
        (lambda: zoo.create("vgg15", shortcut="B"), ModelError, "has no option 'shortcut'"),
        (lambda: zoo.resnet(20, shortcut="D"), UnknownNameError, "no shortcut 'D'"),
        (lambda: zoo.resnet(20, block="wide"), UnknownNameError, "no block 'wide'"),
        (lambda: zoo.resnet(20, widths=(64, 32, 16)), ModelError, "cannot take any away"),
        (lambda: zoo.resnet(20, widths=()), ModelError, "widths"),
        (lambda: zoo.vgg15(n_classes=0), ModelError, "0 classes"),
        (lambda: zoo.vgg15(input_shape=(32, 32)), ModelError, "channels, height and width"),
        (lambda: zoo.plain(20, input_shape=(3, 0, 32)), ModelError, "channels, height and width"),
    ],
)
def test_impossible_networks_are_explained(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)
