"""What is measured on: which examples of which data, how many at a time, on what, in which precision."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unravelnet.costs import check_seed
from unravelnet.data import Batches, ChoiceData, as_batches, load
from unravelnet.data.batches import StreamedBatches
from unravelnet.errors import ArgumentError
from unravelnet.network import Inputs, UnraveledNetwork, first_tensor
from unravelnet.network.choosing import ChoosingNetwork
from unravelnet.precision import PrecisionChoice, check_precision

# On two cores, streams of this many images stay near the processor and fill its vectors.
_BATCH_SIZE = {"cpu": 128, "cuda": 1024}

# A quarter of a gibibyte as float32; several copies are made of it.
_MOST_VALUES = 2**26


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Examples of some data, and how a network is run on them: what all measuring functions have in common.

    >>> from unravelnet import zoo
    >>> from unravelnet.measuring.evaluation import evaluate
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> sample = Sample(data="digits", limit=50, seed=1)
    >>> evaluate(net, [net.full_route], sample) == evaluate(net, [net.full_route], "digits", limit=50, seed=1)
    True

    Every measuring function takes one in the place of its data, or the same keywords one by one. `data`: a pair of
    tensors, a Dataset, an iterable of batches or a data specification. `limit`: only so many examples, drawn by
    `seed`; a stream of batches comes in its own order. `batch_size`: examples at a time, chosen automatically if None.
    `device`: chosen automatically if None. `precision`: "float32", "bfloat16" or "auto". `compile`: hand branches to
    torch.compile, which pays for long sweeps only. `max_bytes`: how much memory the gradients of examples at a time may
    take, 2 GiB if None.

    Raises CostError for a seed out of range and UnknownNameError for a precision that there is not.
    """

    data: Any
    limit: int | None = None
    seed: int = 0
    batch_size: int | None = None
    device: torch.device | str | None = None
    precision: PrecisionChoice = "float32"
    compile: bool = False
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_precision(self.precision)

    @classmethod
    def of(cls, data: Any, **keywords: Any) -> Sample:
        """Make a sample of data and keywords; one that is given stays as it is.

        `max_bytes` may stand beside a sample, because it tells of the machine. Raises ArgumentError where other
        keywords do.
        """
        if not isinstance(data, Sample):
            return cls(data=data, **keywords)
        max_bytes = keywords.pop("max_bytes", None)
        defaults = {field.name: field.default for field in fields(cls)}
        beside = [name for name, value in keywords.items() if value is not defaults[name] != value]
        if beside:
            raise ArgumentError(
                f"data is a Sample, and {' and '.join(beside)} stand beside it. Say it once: "
                f"Sample(data=..., {', '.join(f'{name}=...' for name in beside)})."
            )
        return data if max_bytes is None else replace(data, max_bytes=max_bytes)

    def batches(self, size: int, *, is_random: bool = False, needs_order: bool = False) -> Batches:
        """Open the data as batches in a fixed order, that of the seed where examples are drawn.

        `size`: examples at a time where `batch_size` does not say it. `is_random`: shuffle also without a limit.
        `needs_order`: refuse a stream that would have to be shuffled. Raises DataError as `as_batches`.
        """
        data = load(self.data) if isinstance(self.data, str | os.PathLike) else self.data
        size = size if self.batch_size is None else self.batch_size
        batches = as_batches(data, batch_size=size, limit=self.limit)
        is_stream = isinstance(batches, StreamedBatches)
        if not (is_random or self.limit is not None) or (is_stream and not needs_order):
            return batches
        return as_batches(data, batch_size=size, limit=self.limit, shuffle_seed=self.seed)


def network_for(net: UnraveledNetwork, data: Any) -> UnraveledNetwork:
    """Give the network that is measured on data: for questions with options one that chooses among them.

    Raises EvaluationError where the network has no logits of tokens.
    """
    if not isinstance(data, ChoiceData) or isinstance(net, ChoosingNetwork):
        return net
    return ChoosingNetwork.of(net, is_mean=data.is_mean, n_options=data.n_classes)


def forward_batch_size(device: torch.device, n_values: int = 1) -> int:
    """Choose how many examples at a time are fast where nothing but forward passes is needed.

    >>> forward_batch_size(torch.device("cpu")), forward_batch_size(torch.device("cpu"), 64 * 49_152)
    (128, 21)

    `n_values`: how many numbers the outputs of one example are. Those of a large vocabulary fill the memory.
    """
    return max(1, min(_BATCH_SIZE.get(device.type, 256), _MOST_VALUES // max(1, n_values)))


@dataclass(frozen=True, slots=True)
class Shard:
    """A fixed range of a sample, whoever measures it: one batch, with its number and where its examples begin.

    Where data is gone through several times numbers go on, and `first` begins anew. `targets` are None where the data
    has none.
    """

    number: int
    first: int
    inputs: Inputs
    targets: Tensor | None

    @property
    def n_images(self) -> int:
        """How many images (or sequences) it has."""
        return int(first_tensor(self.inputs).shape[0])

    def generator(self, seed: int) -> torch.Generator:
        """Make the random numbers of this shard: those of the seed for the first one, other ones for each later."""
        if self.number:
            seed = int(np.random.SeedSequence([int(seed), self.number]).generate_state(1, np.uint64)[0] >> 1)
        return torch.Generator().manual_seed(int(seed))
