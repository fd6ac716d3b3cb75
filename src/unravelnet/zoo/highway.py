"""Highway networks for small images: a gate of each layer weighs what the layer computes against its input."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from numbers import Real

import torch
from torch import Tensor, nn

from unravelnet.costs import MOST_LAYERS, check_number
from unravelnet.errors import ModelError
from unravelnet.network import Gate, ResidualModule, UnraveledNetwork
from unravelnet.zoo.layout import CIFAR_SHAPE, check_dropout, check_geometry
from unravelnet.zoo.parts import conv_layer, convolution, seeded
from unravelnet.zoo.recipe import Recipe, assemble

HIGHWAY_WIDTHS = (32, 80, 128)
# Channels of the 1×1 convolution before the classifier.
_N_FEATURES = 100


class HighwayBranch(nn.Module):
    """What a highway layer computes, ReLU of a convolution, and its gate, the sigmoid of another, side by side.

    >>> HighwayBranch(4)(torch.zeros(1, 4, 8, 8)).shape
    torch.Size([1, 8, 8, 8])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value = convolution(width, width, 3, bias=True)
        self.gate = convolution(width, width, 3, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.relu(self.value(x)), torch.sigmoid(self.gate(x))], dim=1)


def highway(
    depth: int = 19,
    *,
    gate_bias: float = -2.0,
    dropout: float = 0.0,
    widths: Sequence[int] = HIGHWAY_WIDTHS,
    n_classes: int = 10,
    input_shape: Sequence[int] = CIFAR_SHAPE,
    seed: int | None = None,
) -> UnraveledNetwork:
    """Make a convolutional highway network: a module gives T(x) · H(x) + (1 - T(x)) · x.

    >>> net = highway(19)
    >>> len(net.residual_modules), net.residual_modules[0].junction
    (14, Gate(dim=1))

    H is the ReLU of a 3×3 convolution and T the sigmoid of another; both have biases. `depth`: weight layers, a layer
    with its gate counted once. Five are no highway layers: one at the start of each of three stages, which changes the
    channels, a 1×1 convolution and the classifier. The others are spread over the stages; the first stage has the
    fewest. A maximum over 2×2 pixels leads from stage to stage. `gate_bias`: where the bias of every gate starts; a
    negative one lets the input through. `dropout`: probability that a value of the input, of a pooled map or of the
    last features is dropped in training; the authors use 0.2. Other arguments as for `preact_resnet`.
    Raises ModelError for an impossible depth, width, bias, dropout or input shape.

    Source: Srivastava, Greff and Schmidhuber 2015, "Training Very Deep Networks", and the network of 19 layers in
    their code.
    """
    check_geometry(widths, n_classes, input_shape)
    check_dropout(dropout)
    if not isinstance(gate_bias, Real):
        raise ModelError(f"The bias of the gates is {gate_bias!r}; give a number, such as -2.")
    n_layers = _layers_of_stages(depth, len(widths))
    options = {
        "gate_bias": float(gate_bias),
        "dropout": dropout,
        "widths": list(widths),
        "n_classes": n_classes,
        "input_shape": list(input_shape),
    }
    with seeded(seed):
        net = assemble(
            Recipe(f"highway{depth}", options),
            _entry(input_shape[0], widths[0], dropout),
            [
                ResidualModule(
                    HighwayBranch(width),
                    nn.Identity(),
                    junction=Gate(),
                    name=f"stage{stage + 1}.{number}",
                    chain=stage,
                )
                for stage, (width, n) in enumerate(zip(widths, n_layers, strict=True))
                for number in range(n)
            ],
            _head(widths[-1], n_classes, dropout),
            input_shape=input_shape,
            transitions=[
                nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), _entry(n_in, n_out, dropout))
                for n_in, n_out in pairwise(widths)
            ],
        )
        _initialise(net, gate_bias)
        return net


def _layers_of_stages(depth: int, n_stages: int) -> list[int]:
    """Spread the highway layers over the stages.

    >>> _layers_of_stages(19, 3)
    [4, 5, 5]
    """
    check_number(depth, MOST_LAYERS, "layers")
    n = depth - n_stages - 2
    if n < n_stages:
        raise ModelError(
            f"There is no highway network of depth {depth}: {n_stages} stages have a highway layer each at least, and "
            f"{n_stages + 2} layers are none. Give a depth of {2 * n_stages + 2} or more."
        )
    return [(n + stage) // n_stages for stage in range(n_stages)]


def _entry(n_in: int, width: int, dropout: float) -> nn.Sequential:
    """Lead into a stage: the convolution that changes the channels."""
    layer = conv_layer(n_in, width, normalisation=False)
    return nn.Sequential(OrderedDict(dropout=nn.Dropout(dropout), **dict(layer.named_children())))


def _head(width: int, n_classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=convolution(width, _N_FEATURES, 1, bias=True),
            relu=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(dropout),
            linear=nn.Linear(_N_FEATURES, n_classes),
        )
    )


def _initialise(net: nn.Module, gate_bias: float) -> None:
    """Draw the convolutions as the authors do, uniformly with the variance 1 / fan-in, and let gates start closed."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_uniform_(part.weight, nonlinearity="linear")
        if isinstance(part, HighwayBranch):
            assert part.gate.bias is not None
            nn.init.constant_(part.gate.bias, gate_bias)
