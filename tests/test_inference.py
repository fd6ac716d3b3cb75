"""The fast copy of a network against the network itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import nn

import unravelnet as un
from tests.capture import awkward
from unravelnet import zoo
from unravelnet.errors import EvaluationError, UnknownNameError
from unravelnet.measuring.bench import Bench
from unravelnet.network import UnraveledNetwork

Net = TypeVar("Net", bound=nn.Module)


def with_random_statistics(net: Net) -> Net:
    """Give every normalisation statistics and scales that matter."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -1.0, 1.0),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return net


class ConvNormNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + self.norm(self.conv(x)).relu()).mean((2, 3))


NETWORKS: dict[str, Callable[[], UnraveledNetwork]] = {
    "ConvNormNet": lambda: un.unravel(with_random_statistics(ConvNormNet()), torch.randn(2, 3, 16, 16)),
    "Shared": lambda: un.unravel(awkward.Shared(), awkward.VECTORS),
    "preact-resnet14": lambda: with_random_statistics(zoo.preact_resnet(depth=14)),
    "resnet14": lambda: with_random_statistics(zoo.resnet(14, shortcut="B")),
    "vgg15": lambda: with_random_statistics(zoo.vgg15(normalisation=True)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_copy_computes_the_same_and_the_network_is_untouched(name: str) -> None:
    torch.manual_seed(0)
    net = NETWORKS[name]().eval()
    x = torch.randn(3, 8) if name == "Shared" else torch.randn(3, 3, 16, 16)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    strides = [p.stride() for p in net.parameters()]
    expected = net(x).detach()
    torch.testing.assert_close(Bench(net).run(x), expected, rtol=1e-4, atol=1e-4)
    half = Bench(net, precision="bfloat16").run(x).float()
    assert (half - expected).abs().max() <= 0.05 * expected.abs().max()
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert [p.stride() for p in net.parameters()] == strides
    assert torch.equal(net(x), expected)


@pytest.mark.parametrize("name", ["ConvNormNet", "resnet14"])
def test_normalisations_behind_convolutions_are_gone(name: str) -> None:
    fast = Bench(NETWORKS[name]()).net
    left = [m for m in fast.residual_modules[0].modules() if isinstance(m, nn.BatchNorm2d)]
    graphs = [m.graph for m in fast.residual_modules[0].modules() if isinstance(m, torch.fx.GraphModule)]
    calls = [node for graph in graphs for node in graph.nodes if "batch_norm" in str(node.target)]
    assert (left, calls) == ([], [])


def test_compiled_branches_compute_the_same() -> None:
    net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8)).eval()
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(Bench(net, compile=True).run(x), net(x).detach(), rtol=1e-4, atol=1e-4)


def test_what_is_not_there_is_told() -> None:
    net = zoo.preact_resnet(depth=8)
    with pytest.raises(UnknownNameError, match="Did you mean 'float32'"):
        Bench(net, precision="float3")
    with pytest.raises(EvaluationError, match="cannot be used"):
        Bench(net, device="cuda:63")
