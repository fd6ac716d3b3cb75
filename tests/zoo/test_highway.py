"""Highway networks against the number of the paper, and against one that is written out."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

import unravelnet as un
from tests.gradient.networks import gradients_of_all_paths
from unravelnet import studies, zoo
from unravelnet.errors import ModelError
from unravelnet.exporting import export
from unravelnet.network import Gate
from unravelnet.routes.route import Route

SHAPE = (1, 12, 12)
SMALL = {"widths": (4, 5, 6), "n_classes": 3, "input_shape": SHAPE}


def images(n=4):
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(0))


def written_out(net, x, route):
    """A highway network in one function; `weights` are used in the order of need."""
    weights = list(net.state_dict().values())

    def conv(x):
        weight, bias = weights.pop(0), weights.pop(0)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    # The state of a network lists the stem, all modules, the transitions and the head.
    stem, weights = weights[:2], weights[2:]
    n_in_modules = 4 * len(net.residual_modules)
    modules, weights = weights[:n_in_modules], weights[n_in_modules:]
    x = F.relu(F.conv2d(x, stem[0], stem[1], padding=1))
    stage = 0
    for step in route.steps:
        module = net.residual_modules[step.module]
        if module.chain > stage:
            x, stage = F.relu(conv(F.max_pool2d(x, 2))), module.chain
        value_weight, value_bias, gate_weight, gate_bias = modules[4 * step.module : 4 * step.module + 4]
        value = F.relu(F.conv2d(x, value_weight, value_bias, padding=1))
        gate = torch.sigmoid(F.conv2d(x, gate_weight, gate_bias, padding=1))
        x = {"both": gate * value + (1 - gate) * x, "skip": x, "branch": value}[step.mode]
    x = F.relu(conv(x)).mean((2, 3))
    weight, bias = weights
    return F.linear(x, weight, bias)


def test_the_network_of_19_layers_has_the_parameters_of_the_paper():
    net = zoo.highway(19, seed=0)
    # A highway layer has two convolutions of as many channels; the others are as they stand in the authors' code.
    layers = {width: 2 * (9 * width * width + width) for width in (32, 80, 128)}
    others = [(3, 32, 9), (32, 80, 9), (80, 128, 9), (128, 100, 1), (100, 10, 1)]
    by_hand = 4 * layers[32] + 5 * layers[80] + 5 * layers[128]
    by_hand += sum(n_in * n_out * size + n_out for n_in, n_out, size in others)
    found = sum(parameter.numel() for parameter in net.parameters())
    assert found == by_hand == 2_256_838
    # Srivastava et al. (2015) give 2.3 million.
    assert round(found / 1e6, 1) == 2.3
    assert [module.chain for module in net.residual_modules] == [0] * 4 + [1] * 5 + [2] * 5
    assert {module.junction for module in net.residual_modules} == {Gate()}


@pytest.mark.parametrize("text", ["0-5", "0,1s,2-5", "0b,1-5", "0-1,3,2,4s,5b", "0-5s", "0,0,1-5"])
def test_routes_are_those_of_a_network_that_is_written_out(text):
    net = zoo.highway(11, **SMALL, seed=0).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        route = Route.parse(text)
        assert torch.allclose(net(images(), route), written_out(net, images(), route), atol=1e-6)


def test_the_engine_measures_what_is_written_out():
    net, data = zoo.highway(11, **SMALL, seed=0), (images(), torch.tensor([0, 1, 2, 0]))
    trials = [*studies.delete_each(net), *studies.remove_skip_each(net)]
    assert len(trials) > 12
    for row in un.evaluate(net, trials, data, metrics=["loss"]):
        with torch.no_grad():
            loss = F.cross_entropy(written_out(net, data[0], Route.parse(row["route"])), data[1])
        assert row["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_the_gradient_by_length_is_the_sum_over_all_paths():
    net = zoo.highway(11, **SMALL, gate_bias=-0.5, seed=0).double()
    data = (images().double(), torch.tensor([0, 1, 2, 0]))
    paths = gradients_of_all_paths(net, *data)
    for row, gradients in zip(un.path_gradients(net, data), paths, strict=True):
        expected = gradients.sum(dim=0).flatten(1).norm(dim=1).mean().item()
        assert row["length_gradient_norm"] == pytest.approx(expected, rel=1e-9)
        assert row["path_count"] == len(gradients)
        assert row["gradient_error"] < 1e-12


def test_an_exported_route_is_what_is_written_out(tmp_path):
    net, route = zoo.highway(11, **SMALL, seed=0).eval(), Route.parse("0,1s,2b,3-4,5s")
    path = export(net, route, tmp_path / "pruned.pt2")
    program = torch.export.load(path)
    with torch.no_grad():
        assert torch.allclose(program.module()(images(5)), written_out(net, images(5), route), atol=1e-6)
    # A deleted module takes its gate with it.
    whole = sum(parameter.numel() for parameter in net.parameters())
    deleted = sum(net.residual_modules[index].n_parameters for index in (1, 5))
    assert sum(tensor.numel() for tensor in program.state_dict.values()) == whole - deleted


def test_gates_start_at_their_bias():
    net = zoo.highway(19, gate_bias=-3.0, seed=0).eval()
    gates = [
        module.branch(torch.zeros(1, *module.input_shape)).chunk(2, 1)[1] for module in net.residual_modules
    ]
    assert all(torch.allclose(gate, torch.tensor(1 / (1 + math.exp(3.0)))) for gate in gates)
    # Uniform with the variance 1 / fan-in, as `xavier` of Caffe draws.
    weight = net.residual_modules[-1].branch.value.weight
    assert weight.var().item() == pytest.approx(1 / (9 * 128), rel=0.02)
    assert weight.abs().max().item() == pytest.approx(math.sqrt(3 / (9 * 128)), rel=1e-3)


def test_dropout_is_for_training_only():
    plain, dropping = (zoo.highway(8, **SMALL, dropout=p, seed=0) for p in (0.0, 0.2))
    assert torch.equal(plain.eval()(images()), dropping.eval()(images()))
    assert not torch.equal(plain.train()(images()), dropping.train()(images()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 7}, "There is no highway network of depth 7.*Give a depth of 8 or more"),
        ({"gate_bias": "low"}, "The bias of the gates is 'low'; give a number"),
        ({"dropout": 1.5}, "The dropout 1.5 is no probability"),
    ],
)
def test_impossible_highways_are_explained(options, message):
    with pytest.raises(ModelError, match=message):
        zoo.highway(**options)
