"""The stream of a network in front of each residual module, and behind the last, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from unravelnet.data.source import Batch
from unravelnet.measuring.bench import Bench
from unravelnet.network import ResidualModule, UnraveledNetwork


def streams(
    bench: Bench, batches: Iterable[Batch]
) -> Iterator[tuple[Batch, dict[int, Tensor], dict[int, Tensor]]]:
    """Give each batch with the stream in front of each module and the stream behind it, by the module's index."""
    net = bench.net
    with bench.running():
        for batch in batches:
            state = net.enter(bench.place(batch[0]))
            before, behind = {}, {}
            for module in net.residual_modules:
                state = net.move_to_chain(state, module.chain)
                before[module.index] = state.x
                state = module.state_behind(state, module(state.x, "both", state.held))
                behind[module.index] = state.x
            yield batch, before, behind


def channels_of(module: ResidualModule, x: Tensor) -> int:
    """Say which dimension of a stream holds the values of one position: dimension 1 of images, else the last.

    >>> import torch
    >>> from torch import nn
    >>> channels_of(ResidualModule(nn.Conv2d(4, 4, 1), nn.Identity()), torch.zeros(2, 4, 8, 8))
    1
    """
    convolves = any(p.dim() >= 4 and x.shape[1] in p.shape[:2] for p in module.branch.parameters())
    return 1 if x.dim() >= 4 and convolves else x.dim() - 1


def spans(net: UnraveledNetwork, parts: Sequence[tuple[int, ...]], length: int) -> list[tuple[int, ...]]:
    """List the modules of so many parts that follow each other, where the output has the shape of the input.

    >>> from unravelnet import zoo
    >>> spans(zoo.preact_resnet(depth=14), [(0,), (1,), (2,), (3,), (4,), (5,)], 2)
    [(0, 1)]

    `parts`: modules that may be deleted together, single ones or blocks.
    """
    modules = net.residual_modules
    found = []
    for start in range(len(parts) - length + 1):
        span = tuple(module for part in parts[start : start + length] for module in part)
        first, last = modules[span[0]], modules[span[-1]]
        if (
            span == tuple(range(first.index, last.index + 1))
            and first.chain == last.chain
            and first.input_shape == last.output_shape
        ):
            found.append(span)
    return found
