"""The parts that zoo networks are built of: convolutions, skips, branches, modules, stems, heads, initial weights.

Shapes are those of one image, channels × height × width. Nothing here knows about depth or names.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unravelnet.costs import check_seed
from unravelnet.network import ResidualModule

Block = Literal["basic", "bottleneck"]
Shortcut = Literal["A", "B", "C"]

EXPANSION: dict[Block, int] = {"basic": 1, "bottleneck": 4}
CONVOLUTIONS: dict[Block, int] = {"basic": 2, "bottleneck": 3}


class PadShortcut(nn.Module):
    """Take every `stride`-th pixel and fill the new channels with zeros: the shortcut "A", without weights.

    >>> PadShortcut(2, 2)(torch.ones(1, 1, 4, 4)).shape
    torch.Size([1, 3, 2, 2])

    Source: He et al. 2015, section 3.3, option A. `new_channels`: number of channels added at the end.
    """

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = new_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))

    def extra_repr(self) -> str:
        return f"new_channels={self.new_channels}, stride={self.stride}"


def convolution(
    n_in: int, n_out: int, size: int, *, stride: int = 1, dilation: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Make a convolution that keeps the map (a stride of 2 halves it, rounding up)."""
    padding = size // 2 * dilation
    return nn.Conv2d(n_in, n_out, size, stride=stride, padding=padding, dilation=dilation, bias=bias)


def skip_for(shortcut: Shortcut, n_in: int, n_out: int, stride: int, *, normalisation: bool) -> nn.Module:
    """Make the skip of one module: the identity where shapes agree, unless the shortcut is "C".

    `normalisation`: whether a projection is followed by batch normalisation (post-activation networks).
    """
    keeps_shape = n_in == n_out and stride == 1
    if keeps_shape and shortcut != "C":
        return nn.Identity()
    if shortcut == "A":
        return PadShortcut(n_out - n_in, stride)
    projection = convolution(n_in, n_out, 1, stride=stride)
    if not normalisation:
        return projection
    return nn.Sequential(OrderedDict(conv=projection, norm=nn.BatchNorm2d(n_out)))


def branch_convolutions(block: Block, n_in: int, width: int, stride: int) -> list[nn.Conv2d]:
    """Make the convolutions of one branch; in a bottleneck the 3×3 one has the stride."""
    if block == "basic":
        return [convolution(n_in, width, 3, stride=stride), convolution(width, width, 3)]
    return [
        convolution(n_in, width, 1),
        convolution(width, width, 3, stride=stride),
        convolution(width, width * EXPANSION[block], 1),
    ]


def preactivated(
    convolutions: list[nn.Conv2d], *, is_activated: bool = False, dropout: float = 0.0
) -> nn.Sequential:
    """Put batch normalisation and ReLU before each convolution, and dropout before the last.

    `is_activated`: the stream that arrives has passed normalisation and ReLU, so the first convolution has none.
    `dropout`: the probability that a value is dropped; at 0 there is no such layer.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, conv in enumerate(convolutions, start=1):
        if number > 1 or not is_activated:
            parts[f"norm{number}"] = nn.BatchNorm2d(conv.in_channels)
            parts[f"relu{number}"] = nn.ReLU(inplace=True)
        if dropout and number == len(convolutions):
            parts["dropout"] = nn.Dropout(dropout)
        parts[f"conv{number}"] = conv
    return nn.Sequential(parts)


def preactivated_module(
    convolutions: list[nn.Conv2d], *, name: str, chain: int, dropout: float = 0.0
) -> ResidualModule:
    """Make a pre-activation module whose skip, where channels change, reads the activated stream as its branch does.

    Such a module follows an `activation`, in the stem or in a transition: both of its sides read what comes from there.
    """
    n_in, n_out = convolutions[0].in_channels, convolutions[-1].out_channels
    skip = skip_for("B", n_in, n_out, convolutions[0].stride[0], normalisation=False)
    is_activated = not isinstance(skip, nn.Identity)
    branch = preactivated(convolutions, is_activated=is_activated, dropout=dropout)
    return ResidualModule(branch, skip, name=name, chain=chain)


def activation(width: int) -> nn.Sequential:
    """Make batch normalisation and ReLU."""
    return nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(width), relu=nn.ReLU(inplace=True)))


def postactivated(convolutions: list[nn.Conv2d]) -> nn.Sequential:
    """Put batch normalisation after each convolution and ReLU between; the last ReLU follows the junction."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, conv in enumerate(convolutions, start=1):
        parts[f"conv{number}"] = conv
        parts[f"norm{number}"] = nn.BatchNorm2d(conv.out_channels)
        if number < len(convolutions):
            parts[f"relu{number}"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


def conv_layer(n_in: int, n_out: int, *, stride: int = 1, normalisation: bool = True) -> nn.Sequential:
    """Make a 3×3 convolution with its normalisation (or else a bias) and ReLU."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv"] = convolution(n_in, n_out, 3, stride=stride, bias=not normalisation)
    if normalisation:
        parts["norm"] = nn.BatchNorm2d(n_out)
    parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


def linear_layer(n_in: int, n_out: int, *, normalisation: bool = True) -> nn.Sequential:
    """Make a linear layer with its normalisation (or else a bias) and ReLU."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["linear"] = nn.Linear(n_in, n_out, bias=not normalisation)
    if normalisation:
        parts["norm"] = nn.BatchNorm1d(n_out)
    parts["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


def pooling_head(width: int, n_classes: int, *, normalisation: bool) -> nn.Sequential:
    """Make global average pooling and the classifier; pre-activation networks normalise before."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if normalisation:
        parts["norm"] = nn.BatchNorm2d(width)
        parts["relu"] = nn.ReLU(inplace=True)
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["linear"] = nn.Linear(width, n_classes)
    return nn.Sequential(parts)


def initialise(net: nn.Module) -> None:
    """Draw initial weights: Kaiming normal by fan-out for convolutions and hidden linear layers.

    The classifier keeps torch's uniform distribution, with bias zero, as in fb.resnet.torch: by fan-out, ten
    classes would give it a standard deviation of 0.45.
    """
    last = next((module for module in reversed(list(net.modules())) if isinstance(module, nn.Linear)), None)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if module is not last:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def start_at_the_skips(stem: nn.Conv2d, branches: Iterable[nn.Module]) -> None:
    """Let every branch begin at zero, and draw the stem by fan-in, which gives the stream the scale of the images.

    By fan-out a stem that reads one channel is drawn four times as small, and the first branch soon carries the
    stream. Zero branches: Goyal et al. 2017, `zero_init_residual` of torchvision; here it is the last convolution
    that begins at zero, for nothing follows it in a pre-activation branch.
    """
    nn.init.kaiming_normal_(stem.weight, mode="fan_in", nonlinearity="relu")
    for branch in branches:
        *_, last = (layer for layer in branch.modules() if isinstance(layer, nn.Conv2d))
        nn.init.zeros_(last.weight)


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw random numbers from a seed and give the global generator back as it was; None: draw from it."""
    if seed is None:
        yield
        return
    check_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(seed))
        yield
