"""What all measurements of gradients have in common: a sample in float32, images at a time, one route and loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unravelnet.data import Batches
from unravelnet.data.source import Batch, n_examples, part_of
from unravelnet.errors import EvaluationError, RouteError
from unravelnet.gradient.lengths import check_rows
from unravelnet.gradient.linearised import Recording, fixed, record
from unravelnet.gradient.live import Cotangent
from unravelnet.gradient.loss import LossOfOutput
from unravelnet.gradient.stages import flat
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.ledger import Ledger, open_ledger
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.sample import Sample, Shard, forward_batch_size
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import tensors_of
from unravelnet.records.record import Row
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route

_BATCH_SIZE = 128
_MAX_BYTES = 2 * 2**30
# Of what autograd saves at a time, with the products that are made from it.
_WORKING_COPIES = 4


def open_sample(
    data: Any, *, is_shuffled: bool = False, n_values: int = 1, **keywords: Any
) -> tuple[Sample, Batches]:
    """Make a sample of data and keywords, and open it; shuffled by the seed also without a limit if so asked.

    `n_values`: how many numbers the outputs of one example are: of large ones fewer are taken at a time.
    Raises EvaluationError for a sample in bfloat16: parts of a gradient in it do not add up again.
    """
    sample = Sample.of(data, **keywords)
    if sample.precision == "bfloat16":
        raise EvaluationError(
            "The sample asks for bfloat16, and gradients and responses are measured in float32. Give a Sample with "
            'precision="float32".'
        )
    size = min(_BATCH_SIZE, forward_batch_size(torch.device("cpu"), n_values))
    return sample, sample.batches(size, is_random=is_shuffled)


def open_ledger_of_gradients(
    store: ResultsStore | None,
    identity: Row,
    measurement: GradientMeasurement,
    sample: Sample,
    bench: Bench,
    **settings: Any,
) -> Ledger | None:
    """Open the ledger of a measurement of gradients. `settings`: what its sums depend on beside sample and loss.

    Raises EvaluationError for a loss that is a function: another one may have its name.
    """
    loss = measurement.loss
    if store is not None and callable(loss.loss):
        raise EvaluationError(
            "The loss is a function, and a results store knows measurements by the names of losses. Give "
            'loss="cross_entropy" or "squared_norm", or measure without a store.'
        )
    about = {"loss": loss.loss, "output": loss.output_name, "max_bytes": sample.max_bytes, **settings}
    return open_ledger(
        store, bench.net, identity, measurement.trials, settings_of(measurement, sample, bench, **about)
    )


def settings_of(measurement: Measurement, sample: Sample, bench: Bench, **settings: Any) -> dict[str, Any]:
    """Say what the sums of a measurement depend on, with what it takes of its sample; JSON values."""
    return {
        "measurement": type(measurement).__name__.removeprefix("_"),
        "device": bench.device.type,
        "batch_size": _BATCH_SIZE if sample.batch_size is None else int(sample.batch_size),
        "limit": None if sample.limit is None else int(sample.limit),
        "seed": int(sample.seed),
        **settings,
    }


def check_simple(route: Route, doing: str) -> None:
    """Refuse a route with parallel spans, or one that leads into modules, where only single visits are measured.

    >>> check_simple(Route.parse("0,(1,2)"), "path_logits")
    Traceback (most recent call last):
    unravelnet.errors.RouteError: path_logits takes routes of single visits, and the route 0,(1-2) ...
    """
    if any(move.kind != "visit" for move in route.moves):
        raise RouteError(
            f"{doing} takes routes of single visits, and the route {route} holds a parallel span or leads into a "
            "module. path_gradients takes every route."
        )


@dataclass(frozen=True)
class GradientMeasurement(Measurement):
    """A measurement of the gradient of each image's own loss along one route.

    `max_bytes`: how much memory the parts of a shard may take; 2 GiB if None.
    """

    route: Route
    loss: LossOfOutput
    max_bytes: int | None

    @property
    def trials(self) -> list[Route]:  # type: ignore[override]  # computed from a field
        return [self.route]

    def running(self, bench: Bench) -> contextlib.AbstractContextManager[None]:
        return fixed(bench.net)

    def recorded(self, net: UnraveledNetwork, shard: Shard) -> Iterator[tuple[Recording, Cotangent, str]]:
        """Record a shard part by part; give each with the gradient at the end of the route and the name of the loss.

        Raises EvaluationError where the stream does not keep images apart.
        """
        is_checked = shard.number > 0
        for inputs, targets in parts_within(self.max_bytes, net, (shard.inputs, shard.targets), self.route):
            name, loss_of_each = self.loss.find(has_targets=targets is not None)
            recording = record(net, inputs, self.route)
            if not is_checked:
                first = recording.whole_gradient(loss_of_each, targets, only_first=True)
                check_rows(first, recording.n_images)
                is_checked = True
            yield recording, recording.gradient(loss_of_each, targets)[1], name


def parts_within(max_bytes: int | None, net: UnraveledNetwork, batch: Batch, route: Route) -> Iterator[Batch]:
    """Cut a batch into parts whose gradients by length fit into memory (2 GiB if None); the smallest is an image.

    Kept are what was computed at every place of the route, twice, and a term for every length, twice; and at a
    time what autograd saves of one stage, or of the head with its loss. All of it is measured on two images. To be
    called inside `fixed(net)`.
    """
    few = part_of(batch, 0, 2)
    with Saved() as stem:
        recording = record(net, few[0], route)
    saved = []
    for stage in flat(recording.stages):
        with Saved() as of_stage:
            stage.linearise()
        saved.append(of_stage.n_bytes)
    with Saved() as head:
        recording.gradient(lambda returned, _: _squares(returned, n_examples(few)), None)
    n_bytes = [place.n_bytes for place in recording.places]
    at_a_time = _WORKING_COPIES * max(*saved, *n_bytes, head.n_bytes)
    needed = stem.n_bytes + 2 * sum(n_bytes) + 2 * len(n_bytes) * max(n_bytes) + at_a_time
    n = n_examples(batch)
    size = max(1, (_MAX_BYTES if max_bytes is None else max_bytes) * n_examples(few) // needed)
    # Parts of equal size: the last one should not be a straggler.
    size = -(-n // -(-n // size))
    for first in range(0, n, size):
        yield part_of(batch, first, first + size)


def _squares(returned: Any, n_images: int) -> Tensor:
    """Sum the squares of all outputs of each image: it is not known which of them a loss of the user's takes."""
    found = [
        tensor for tensor in tensors_of(returned).values() if tensor.is_floating_point() and tensor.dim()
    ]
    of_images = [tensor.reshape(n_images, -1) for tensor in found if len(tensor) == n_images]
    if not of_images:
        raise EvaluationError(
            "The network returns no tensor with one row an image, so images have no loss of their own. Let it return "
            "its outputs beside the loss."
        )
    return torch.stack([tensor.square().sum(dim=1) for tensor in of_images]).sum(dim=0)


class Saved:
    """Counts the bytes that autograd saves inside a `with`, those of the weights left out."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._count, lambda tensor: tensor)

    def __enter__(self) -> Saved:
        self.hooks.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self.hooks.__exit__(*failure)

    def _count(self, tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            self.n_bytes += tensor.numel() * tensor.element_size()
        return tensor
