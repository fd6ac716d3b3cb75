"""The memory layout of a training: never one in which oneDNN overruns memory.

Oracle: the region of the fault, found by putting a guarded zone behind every allocation (1 to 33 input channels,
kernels, strides, groups, types, with AVX2 and AVX-512), and a child process that would die of it.
"""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from unravelnet import memory_layout, train, unravel, zoo
from unravelnet.memory_layout import Layout, choose_layout, lay, overruns_memory

CHANNELS_LAST, DEFAULT, WITHOUT_ONEDNN = Layout(True), Layout(False), Layout(False, uses_onednn=False)
IMAGES = torch.zeros(2, 4, 8, 8)
WEIGHT = torch.zeros(8, 4, 1, 1)


def laid(tensor):
    return tensor.to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("input", "weight", "stride", "groups", "expected"),
    [
        (laid(IMAGES), WEIGHT, (2, 2), 1, True),
        (laid(IMAGES), WEIGHT, (1, 2), 1, True),
        (IMAGES, laid(WEIGHT), (2, 2), 1, True),
        (IMAGES.permute(0, 1, 3, 2).permute(0, 1, 3, 2), WEIGHT, (2, 2), 1, False),
        (torch.zeros(2, 8, 8, 4).permute(0, 3, 1, 2), WEIGHT, (2, 2), 1, True),
        (torch.zeros(2, 8, 8, 9).permute(0, 3, 1, 2)[:, :4], WEIGHT, (2, 2), 1, True),
        (laid(torch.zeros(2, 15, 8, 8)), torch.zeros(8, 15, 1, 1), (2, 2), 1, True),
        (laid(torch.zeros(2, 16, 8, 8)), torch.zeros(8, 16, 1, 1), (2, 2), 1, False),
        (IMAGES, WEIGHT, (2, 2), 1, False),
        (laid(IMAGES), WEIGHT, (1, 1), 1, False),
        (laid(IMAGES), torch.zeros(8, 4, 3, 3), (2, 2), 1, False),
        (laid(IMAGES), torch.zeros(8, 2, 1, 1), (2, 2), 2, False),
        (laid(IMAGES).bfloat16(), WEIGHT.bfloat16(), (2, 2), 1, False),
        (torch.zeros(2, 64, 4).transpose(1, 2), torch.zeros(8, 4, 1), (2,), 1, False),
        (laid(IMAGES).to("meta"), WEIGHT.to("meta"), (2, 2), 1, False),
    ],
)
def test_where_memory_is_overrun(input, weight, stride, groups, expected):
    assert overruns_memory(input, weight, stride, groups) is expected


class Permuting(nn.Module):
    """A convolution on values that the network itself lays channels last."""

    def __init__(self):
        super().__init__()
        self.reduce = nn.Conv2d(4, 8, 1, stride=2)

    def forward(self, x):
        return self.reduce(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("net", "asked", "expected"),
    [
        (nn.Conv2d(4, 8, 3, stride=2), True, CHANNELS_LAST),
        (nn.Conv2d(4, 8, 3, stride=2), False, DEFAULT),
        (nn.Conv2d(4, 8, 1, stride=2), True, DEFAULT),
        (nn.ConvTranspose2d(4, 2, 1, stride=2, output_padding=1), True, DEFAULT),
        (nn.Sequential(nn.Conv2d(4, 16, 1), nn.Conv2d(16, 16, 1, stride=2)), True, CHANNELS_LAST),
        (Permuting(), True, WITHOUT_ONEDNN),
        (Permuting(), False, WITHOUT_ONEDNN),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_fastest_safe_layout_is_chosen(net, asked, expected):
    def run(layout):
        lay(net, layout, torch.device("cpu"))
        return net(memory_layout.place(IMAGES, layout, torch.device("cpu")))

    assert choose_layout(run, channels_last=asked) == expected


def test_the_default_layout_leaves_no_strides_of_the_other():
    net = nn.Conv2d(4, 8, 1, stride=2)
    lay(net, CHANNELS_LAST, torch.device("cpu"))
    assert net.weight.stride() == (4, 1, 4, 4)
    values = net.weight.detach().clone()
    lay(net, DEFAULT, torch.device("cpu"))
    assert net.weight.stride() == (4, 1, 1, 1)
    assert torch.equal(net.weight, values)


def test_onednn_is_left_out_for_as_long_as_the_layout_says():
    assert torch.backends.mkldnn.enabled
    with DEFAULT.in_use():
        assert torch.backends.mkldnn.enabled
    with pytest.raises(ZeroDivisionError, match="division"), WITHOUT_ONEDNN.in_use():  # noqa: PT012
        assert not torch.backends.mkldnn.enabled
        _ = 1 / 0
    assert torch.backends.mkldnn.enabled


class Backward(TorchDispatchMode):
    """Lists the convolutions whose weights' gradients overrun memory."""

    def __init__(self):
        super().__init__()
        self.n, self.overruns = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution_backward.default:
            _, input, weight, _, stride, _, _, _, _, groups, wanted = args
            self.n += wanted[1]
            if wanted[1] and torch.backends.mkldnn.enabled and overruns_memory(input, weight, stride, groups):
                self.overruns.append(tuple(weight.shape))
        return func(*args, **(kwargs or {}))


def narrow():
    return zoo.preact_resnet(8, input_shape=(1, 8, 8), widths=(4, 6, 15), seed=0)


def captured():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.skip, self.branch = nn.Conv2d(4, 8, 1, stride=2), nn.Conv2d(4, 8, 3, stride=2, padding=1)

        def forward(self, x):
            x = x.permute(0, 2, 3, 1).relu().permute(0, 3, 1, 2)
            return self.skip(x) + self.branch(x)

    layers = [nn.Conv2d(1, 4, 3, padding=1), Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    return unravel(nn.Sequential(*layers), torch.zeros(2, 1, 8, 8))


@pytest.mark.parametrize("make", [narrow, captured])
@pytest.mark.parametrize("channels_last", [True, False])
def test_a_training_makes_no_gradient_that_overruns_memory(make, channels_last, caplog):
    caplog.set_level("INFO")
    net, data = make(), (torch.randn(12, 1, 8, 8), torch.arange(12) % 10)
    with Backward() as backward:
        train(net, data, epochs=1, batch_size=4, channels_last=channels_last)
    assert backward.n > 0
    assert backward.overruns == []
    assert ("oneDNN overruns memory" in caplog.text) == channels_last
    assert torch.backends.mkldnn.enabled
    assert all(p.is_contiguous() and p.stride()[1:] == p[0].contiguous().stride() for p in net.parameters())


def test_the_usual_networks_are_trained_channels_last(caplog):
    caplog.set_level("INFO")
    net, data = zoo.preact_resnet(8, input_shape=(1, 8, 8)), (torch.randn(4, 1, 8, 8), torch.arange(4))
    layouts = []
    net.residual_modules[1].branch.register_forward_hook(
        lambda module, _, y: layouts.append(
            module.training and y.is_contiguous(memory_format=torch.channels_last)
        )
    )
    train(net, data, epochs=1, batch_size=4)
    assert layouts == [False, True]  # the first is the trial
    assert "oneDNN" not in caplog.text


CHILD = """
import torch
from unravelnet import train, zoo
net = zoo.preact_resnet(8, input_shape=(1, 8, 8), widths=(4, 6, 8), seed=0)
train(net, (torch.randn(64, 1, 8, 8), torch.arange(64) % 10), epochs=3, batch_size=8)
print("alive")
"""


@pytest.mark.parametrize("instructions", ["AVX2", "DEFAULT"])
def test_a_training_of_a_narrow_network_survives(instructions):
    # In the layout channels last this child died of a damaged heap.
    checks = {"ONEDNN_MAX_CPU_ISA": instructions, "MALLOC_PERTURB_": "165", "MALLOC_CHECK_": "3"}
    ran = subprocess.run(
        [sys.executable, "-c", CHILD], env=os.environ | checks, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (0, "alive\n"), ran.stderr
