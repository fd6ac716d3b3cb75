"""Responses of layers against numpy over all values at once, and against what normalisation makes of them."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import unravelnet as un
from unravelnet import layer_responses
from unravelnet._extras import require
from unravelnet.errors import MissingExtraError
from unravelnet.network import ResidualModule, UnraveledNetwork

DIGITS = (1, 8, 8)


def digits(n=20):
    return un.data.load("digits", limit=n).batch(torch.arange(n))[0]


def with_random_normalisation(net, seed=0):
    """Give all normalisation layers statistics, scales and shifts of their own."""
    generator = torch.Generator().manual_seed(seed)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
                tensor.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
    return net


def std(values):
    return float(np.std(values.detach().double().numpy()))


def network(*branches, stem=None, head=None, example, skips=None):
    skips = skips or [nn.Identity() for _ in branches]
    modules = [ResidualModule(branch, skip) for branch, skip in zip(branches, skips, strict=True)]
    return UnraveledNetwork(stem or nn.Identity(), modules, head or nn.Identity(), example=example)


# -- all layers by hand --


def responses_by_hand(net, x):
    """Run a post-activation network layer by layer."""
    found = []

    def layers(x, *names_and_parts):
        for conv, norm in names_and_parts:
            x = norm(conv(x))
            found.append(std(x))
        return x

    x = layers(x, (net.stem.conv, net.stem.norm)).relu()
    for module in net.residual_modules:
        branch = module.branch
        inner = layers(x, (branch.conv1, branch.norm1)).relu()
        x = (module.skip(x) + layers(inner, (branch.conv2, branch.norm2))).relu()
    found.append(std(net.head(x)))
    return found


def test_every_layer_of_a_residual_network():
    net = with_random_normalisation(un.zoo.resnet(14, input_shape=DIGITS, shortcut="B", seed=0)).eval()
    table = layer_responses(net, digits(), batch_size=6)
    with torch.no_grad():
        assert [row["response_std"] for row in table] == pytest.approx(
            responses_by_hand(net, digits()), rel=1e-6
        )
    assert [row["position"] for row in table] == list(range(14))
    assert [row["module"] for row in table] == [None, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, None]
    assert [row["measured_after"] for row in table] == ["normalisation"] * 13 + ["layer"]
    assert [row["layer_kind"] for row in table] == ["convolution"] * 13 + ["linear"]
    names = dict(net.named_modules())
    assert all(isinstance(names[row["layer"]], nn.Conv2d | nn.Linear) for row in table)
    assert not any(".skip." in row["layer"] for row in table)
    assert (table[0]["n_values"], table[-1]["n_values"]) == (20 * 16 * 64, 20 * 10)


def test_where_no_normalisation_follows_the_layer_itself_is_measured():
    net = with_random_normalisation(un.zoo.preact_resnet(8, input_shape=DIGITS, seed=0)).eval()
    table = layer_responses(net, digits())
    # The stem's output is the stream, which also goes around the first normalisation.
    assert [row["measured_after"] for row in table] == ["layer", *["normalisation", "layer"] * 3, "layer"]
    first = net.residual_modules[0].branch
    with torch.no_grad():
        x = net.stem(digits())
        y = first.norm2(first.conv1(first.relu1(first.norm1(x).clone())))
        expected = [std(x), std(y), std(first.conv2(y.relu()))]
    assert [row["response_std"] for row in table][:3] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "net",
    [
        un.zoo.preact_resnet(14, input_shape=DIGITS, seed=0),
        un.zoo.resnet(14, input_shape=DIGITS, seed=0),
        un.zoo.vgg15(input_shape=DIGITS, seed=0),
    ],
    ids=lambda net: net.name,
)
def test_a_captured_network_has_the_responses_of_the_one_it_was_captured_from(net):
    net = with_random_normalisation(copy.deepcopy(net)).eval()
    captured = un.unravel(net, digits())
    table, other = layer_responses(net, digits()), layer_responses(captured, digits(), batch_size=7)
    assert len(table) == len(other)
    for row, same in zip(table, other, strict=True):
        assert same["response_std"] == pytest.approx(row["response_std"], rel=1e-6)
        assert (same["measured_after"], same["layer_kind"]) == (row["measured_after"], row["layer_kind"])
        assert same["layer"] in dict(captured.named_modules())


# -- closed forms --


def test_normalised_responses_have_the_spread_of_scales_and_shifts():
    # With the statistics of the very images each channel has variance scale² and mean shift.
    net = un.zoo.resnet(8, input_shape=DIGITS, seed=0).eval()
    norm = net.stem.norm
    generator = torch.Generator().manual_seed(1)
    norm.weight.data.normal_(generator=generator)
    norm.bias.data.normal_(generator=generator)
    with torch.no_grad():
        response = net.stem.conv(digits()).double()
    norm.running_mean = response.mean(dim=(0, 2, 3)).float()
    norm.running_var = response.var(dim=(0, 2, 3), correction=0).float() - norm.eps
    scale, shift = norm.weight.detach().double(), norm.bias.detach().double()
    expected = math.sqrt(float(scale.square().mean() + shift.var(correction=0)))
    assert layer_responses(net, digits(), batch_size=3)[0]["response_std"] == pytest.approx(
        expected, rel=1e-5
    )


def test_a_small_spread_around_a_large_mean_is_not_lost():
    # In float64, sums of squares of values around 1e8 would keep no digit of a spread of 1e-2.
    layer = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(layer.weight)
    net = network(layer, example=torch.zeros(2, 1).double())
    values = 1e8 + 1e-2 * torch.arange(1000, dtype=torch.float64)[:, None]
    expected = float(np.std(values.numpy() - 1e8))
    for size in (1, 64, 1000):
        found = layer_responses(net, values, batch_size=size)[0]["response_std"]
        assert found == pytest.approx(expected, rel=1e-6)


# -- what is a layer --


class Scaled(nn.Module):
    """Standardises its weights before it uses them, as some networks do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        weight = self.conv.weight.reshape(1, 2, -1)
        weight = F.batch_norm(weight, None, None, training=True).reshape_as(self.conv.weight)
        return self.relu(F.conv2d(x, weight, padding=1))


class Blurred(nn.Module):
    """Filters with fixed weights, which are learned by nobody, before its convolution."""

    def __init__(self):
        super().__init__()
        self.register_buffer("blur", torch.ones(2, 1, 3, 3) / 9)
        self.conv = parametrizations.weight_norm(nn.Conv2d(2, 2, 1, bias=False))

    def forward(self, x):
        return self.conv(F.conv2d(x, self.blur, padding=1, groups=2))


class Attention(nn.Module):
    """Multiplies values by weights that it computes from the input."""

    def __init__(self):
        super().__init__()
        self.both = nn.Linear(2, 4)
        self.norm = nn.LayerNorm(2)

    def forward(self, x):
        y = x.flatten(2).transpose(1, 2)
        query, value = self.both(y).chunk(2, dim=-1)
        y = self.norm((query @ y.transpose(1, 2)).softmax(dim=-1) @ value)
        return y.transpose(1, 2).reshape_as(x)


def test_weights_computed_from_parameters_make_a_layer_and_others_do_not():
    torch.manual_seed(0)
    example = torch.randn(3, 2, 4, 4)
    branches = [Scaled(), Blurred(), Attention()]
    net = network(*branches, skips=[nn.Conv2d(2, 2, 1), nn.Identity(), nn.Identity()], example=example).eval()
    table = layer_responses(net, example)
    assert [(row["layer"], row["layer_kind"]) for row in table] == [
        ("residual_modules.0.branch.conv", "convolution"),
        ("residual_modules.1.branch.conv", "convolution"),
        ("residual_modules.2.branch.both", "linear"),
    ]
    with torch.no_grad():
        weight = F.batch_norm(branches[0].conv.weight.reshape(1, 2, -1), None, None, training=True)
        response = F.conv2d(example, weight.reshape(2, 2, 3, 3), padding=1)
    # Before the non-linearity, though it overwrites the response.
    assert table[0]["response_std"] == pytest.approx(std(response), rel=1e-6)
    # The attention's normalisation does not follow a layer.
    assert {row["measured_after"] for row in table} == {"layer"}
    assert len(layer_responses(un.unravel(net, example), example)) == 3


class Transposed(nn.Module):
    """A linear layer on a transposed stream, normalised behind changes of shape."""

    def __init__(self, n):
        super().__init__()
        self.linear = nn.Linear(n, n)
        self.norm = nn.BatchNorm1d(n)

    def forward(self, x):
        y = self.linear(x.transpose(0, 1)).transpose(0, 1)
        return self.norm(y.reshape(-1, y.shape[-1])).reshape(y.shape)


def test_biases_and_changes_of_shape_belong_to_the_layer():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5)
    branch = Transposed(5)
    net = with_random_normalisation(network(branch, example=x)).eval()
    (row,) = layer_responses(net, x)
    assert row["measured_after"] == "normalisation"
    with torch.no_grad():
        expected = std(branch.norm(branch.linear(x).reshape(-1, 5)))
    assert row["response_std"] == pytest.approx(expected, rel=1e-6)


def test_a_layer_that_runs_twice_has_two_rows():
    torch.manual_seed(0)
    layer, x = nn.Linear(3, 3), torch.randn(8, 3)
    table = layer_responses(
        network(nn.Sequential(layer, nn.ReLU(), layer), example=x).eval(), x, batch_size=3
    )
    with torch.no_grad():
        first = layer(x)
        expected = [std(first), std(layer(first.relu()))]
    assert [row["response_std"] for row in table] == pytest.approx(expected, rel=1e-6)
    assert [row["n_values"] for row in table] == [24, 24]
    assert len({row["layer"] for row in table}) == 1


def test_rows_are_in_the_order_of_execution_and_not_of_use():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.value = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            gate, value = self.gate(x), self.value(x)
            return value.relu() * gate.sigmoid()

    x = torch.randn(4, 2)
    table = layer_responses(network(Gated(), example=x).eval(), x)
    assert [row["layer"].rpartition(".")[2] for row in table] == ["gate", "value"]


def test_a_language_model():
    try:
        transformers = require("transformers", "This test")
    except MissingExtraError as error:
        pytest.skip(str(error))
    config = transformers.GPT2Config(
        n_layer=2,
        n_embd=8,
        n_head=2,
        vocab_size=11,
        n_positions=6,
        attn_implementation="eager",
        use_cache=False,
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config).eval()
    tokens = torch.randint(0, 11, (3, 6))
    net = un.unravel(model, tokens)
    table = layer_responses(net, tokens)
    # Four matrices a block, and the embedding once more as the head.
    names = [name for row in table if (name := row["layer"].rpartition(".")[2])]
    assert names[:4] == ["c_attn", "c_proj", "c_fc", "c_proj"]
    assert len(table) == 9
    with torch.no_grad():
        logits = model(tokens).logits
    assert table[-1]["response_std"] == pytest.approx(std(logits), rel=1e-5)


# -- the network itself --


def test_nothing_is_left_behind_in_the_network():
    net = un.zoo.resnet(8, input_shape=DIGITS, seed=0).train()
    net.residual_modules[1].eval()
    before, modes = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]

    def interrupted(batches):
        for number, batch in enumerate(batches):
            if number:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        layer_responses(net, digits(), batch_size=5, progress=interrupted)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert net.head(torch.zeros(2, 64, 2, 2)).requires_grad


def test_the_mode_of_the_caller_does_not_matter():
    net = un.zoo.resnet(8, input_shape=DIGITS, seed=0)
    expected = layer_responses(net, digits())
    with torch.inference_mode():
        assert layer_responses(net, digits()) == expected
    with torch.enable_grad():
        assert layer_responses(net, digits()) == expected


def test_facts_say_what_was_measured():
    net = un.zoo.resnet(8, input_shape=DIGITS, seed=0)
    row = layer_responses(net, "digits", limit=7, seed=3)[0]
    assert (row["n_images"], row["seed"], row["confidence"]) == (7, 3, None)
    assert (row["network"], row["network_name"], row["data_name"]) == (net.fingerprint(), "resnet8", "digits")
