"""Wide pre-activation networks as anybody would write them, and ways to compare the zoo's with them."""

from __future__ import annotations

import contextlib
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn


def n_parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def shake_normalisations(net):
    """Give every normalisation statistics and weights that are not 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            for tensor in (part.weight.data, part.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (part.bias.data, part.running_mean):
                tensor.uniform_(-0.3, 0.3, generator=generator)
    return net.eval()


def conv(n_in, n_out, size, *, stride=1, dilation=1):
    """A convolution without bias whose padding keeps the map."""
    padding = dilation * (size - 1) // 2
    return nn.Conv2d(n_in, n_out, size, stride, padding, dilation, bias=False)


class Block(nn.Module):
    """A block as its authors write it: the projection, where there is one, reads the activated input."""

    def __init__(self, *convs, projection=None, dropout=0.0):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.in_channels) for layer in convs)
        self.convs = nn.ModuleList(convs)
        self.projects = projection is not None
        self.skip = projection or nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        y = activated = F.relu(self.norms[0](x))
        for norm, layer in zip(self.norms[1:], self.convs[:-1], strict=True):
            y = F.relu(norm(layer(y)))
        y = self.convs[-1](self.dropout(y))
        return self.skip(activated if self.projects else x) + y


class OrdinaryNetwork(nn.Module):
    """A stem, blocks with poolings between them, normalisation, ReLU, average, classifier."""

    def __init__(self, stem, body, width, n_classes):
        super().__init__()
        self.stem, self.body = stem, nn.Sequential(*body)
        self.norm, self.linear = nn.BatchNorm2d(width), nn.Linear(width, n_classes)

    @property
    def blocks(self):
        return [part for part in self.body if isinstance(part, Block)]

    def forward(self, x):
        x = F.relu(self.norm(self.body(self.stem(x))))
        return self.linear(x.mean((2, 3)))


def ordinary_wide_resnet(depth, width, *, n_channels=3, n_classes=10, dropout=0.0):
    """WRN-depth-width of Zagoruyko and Komodakis."""
    blocks, n_in = [], 16
    for base, first_stride in ((16, 1), (32, 2), (64, 2)):
        n_out = base * width
        for number in range((depth - 4) // 6):
            stride = first_stride if number == 0 else 1
            projection = None if n_in == n_out else conv(n_in, n_out, 1, stride=stride)
            first = conv(n_in, n_out, 3, stride=stride)
            blocks.append(Block(first, conv(n_out, n_out, 3), projection=projection, dropout=dropout))
            n_in = n_out
    return OrdinaryNetwork(conv(n_channels, 16, 3), blocks, n_in, n_classes)


def ordinary_model_a(variant):
    """Model A of Wu et al. for 1,000 classes; "A1" has strides for its poolings, "A1-dilated" three of them."""

    def pooling():
        return [nn.MaxPool2d(3, stride=2, padding=1)] if variant == "A" else []

    stride = 1 if variant == "A" else 2
    late_stride = 2 if variant == "A1" else 1
    d5, d6 = (2, 4) if variant == "A1-dilated" else (1, 1)
    body = []
    for n_blocks, n_in, n_out in ((3, 64, 128), (3, 128, 256), (6, 256, 512)):
        first = conv(n_in, n_out, 3, stride=stride)
        projection = conv(n_in, n_out, 1, stride=stride)
        body += [*pooling(), Block(first, conv(n_out, n_out, 3), projection=projection)]
        body += [Block(conv(n_out, n_out, 3), conv(n_out, n_out, 3)) for _ in range(n_blocks - 1)]
    body += [
        *pooling(),
        # The first convolution of a level that is widened by dilation has the dilation of the level before.
        Block(
            conv(512, 512, 3, stride=late_stride, dilation=1),
            conv(512, 1024, 3, dilation=d5),
            projection=conv(512, 1024, 1, stride=late_stride),
        ),
        Block(conv(1024, 512, 3, dilation=d5), conv(512, 1024, 3, dilation=d5)),
        Block(conv(1024, 512, 3, dilation=d5), conv(512, 1024, 3, dilation=d5)),
        *pooling(),
        Block(
            conv(1024, 512, 1, stride=late_stride),
            conv(512, 1024, 3, dilation=d6),
            conv(1024, 2048, 1),
            projection=conv(1024, 2048, 1, stride=late_stride),
        ),
        Block(
            conv(2048, 1024, 1),
            conv(1024, 2048, 3, dilation=d6),
            conv(2048, 4096, 1),
            projection=conv(2048, 4096, 1),
        ),
    ]
    return OrdinaryNetwork(conv(3, 64, 3), body, 4096, 1000)


def with_weights_of(net, make, *sizes, **options):
    """Make an ordinary network that has the very tensors of the zoo's, each of which must be taken once."""
    with torch.device("meta"):
        ordinary = make(*sizes, **options)
    for part, source in _pairs(net, ordinary):
        part.load_state_dict(source.state_dict(), assign=True)
    assert n_parameters(ordinary) == n_parameters(net)
    assert {p.data_ptr() for p in ordinary.parameters()} == {p.data_ptr() for p in net.parameters()}
    return ordinary.train(net.training)


def _pairs(net, ordinary):
    entrances = [net.stem, *net.transitions]
    yield ordinary.stem, net.stem if isinstance(net.stem, nn.Conv2d) else net.stem.conv
    for block, module in zip(ordinary.blocks, net.residual_modules, strict=True):
        parts = dict(module.branch.named_children())
        for number, (norm, layer) in enumerate(zip(block.norms, block.convs, strict=True), start=1):
            yield norm, parts.get(f"norm{number}", getattr(entrances[module.chain], "norm", None))
            yield layer, parts[f"conv{number}"]
        if block.projects:
            yield block.skip, module.skip
    yield ordinary.norm, net.head.norm
    yield ordinary.linear, net.head.linear


@contextlib.contextmanager
def silenced(layer):
    """Let a layer give zeros, by a hook."""
    hook = layer.register_forward_hook(lambda layer, inputs, output: torch.zeros_like(output))
    try:
        yield
    finally:
        hook.remove()


@contextlib.contextmanager
def swapped(ordinary, first, second):
    """Let two blocks change places."""
    body, blocks = ordinary.body, ordinary.blocks
    order = {blocks[first]: blocks[second], blocks[second]: blocks[first]}
    ordinary.body = nn.Sequential(OrderedDict((str(n), order.get(part, part)) for n, part in enumerate(body)))
    try:
        yield
    finally:
        ordinary.body = body
