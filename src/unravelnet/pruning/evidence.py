"""What is known of routes on the part of the data that modules are chosen on: one value an image, each measured once.

A search asks for the same routes again and again, on more and more of the images. So values are kept by route, and a
call measures what is missing: all routes that lack the same images in one walk of their prefix tree.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unravelnet.data import as_batches
from unravelnet.data.source import PartSource, n_examples
from unravelnet.data.targets import IGNORED_TARGET
from unravelnet.errors import EvaluationError
from unravelnet.mathematics.strata import StratifiedOrder, StratifiedSample
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.metrics import Metric, Outputs, as_outputs, values_of
from unravelnet.measuring.misfit import taking
from unravelnet.measuring.sample import Sample, forward_batch_size
from unravelnet.measuring.walk import walk
from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.network.output import Output
from unravelnet.routes.route import Route
from unravelnet.studies.study import n_branches_run

Values = NDArray[np.float64]

# What says of each image how unsure the network is of it, the best first.
_OF_UNSURENESS = ("loss", "nll", "perplexity", "error_rate")
# In the place of what is not finite: worse than anything that is, and small enough to be added up.
_BEYOND = 1e9


class Evidence:
    """Metrics of routes on images, as far as they have been measured.

    `part`: the images, in the order in which they are taken: by strata, those first that deletions may change much.
    `strata`: the stratum of each. `metrics`: measured together, since outputs are computed
    once; the first is the one to choose by. `n_evaluations`: images times routes that were run, and `n_branches`:
    images times branches, what routes share counted once.
    """

    def __init__(
        self, bench: Bench, part: PartSource, metrics: Sequence[Metric], output: Output, *, batch_size: int
    ) -> None:
        self.bench = bench
        self.part = part
        self.metrics = tuple(metrics)
        self.output = output
        self.batch_size = batch_size
        self.n_evaluations = 0
        self.n_branches = 0
        self._sums: dict[Route, Values] = {}
        self._counts = np.zeros(0)
        self._intact_NC = torch.zeros(0)
        self.measure([bench.net.full_route], self.n_images)
        self.strata = self._sort()
        if not self._counts.sum():
            raise EvaluationError(
                f"No prediction of {part.name} has a target: all targets are {IGNORED_TARGET}. Give data with targets."
            )

    @property
    def n_images(self) -> int:
        """How many images there are to choose on."""
        return len(self.part)

    def of(self, net: UnraveledNetwork) -> Evidence:
        """Begin to collect evidence of another network on the same images, compared with the same intact one."""
        other = copy.copy(self)
        other.bench = Bench(net, precision=self.bench.precision, device=self.bench.device)
        other._sums = {}
        return other

    @classmethod
    def on(
        cls,
        net: UnraveledNetwork,
        part: PartSource,
        metrics: Sequence[Metric],
        output: Output,
        sample: Sample,
    ) -> Evidence:
        """Begin to collect evidence of a network on a part of a sample, run as the sample says."""
        bench = Bench(net, device=sample.device, compile=sample.compile)
        usual = forward_batch_size(bench.device, net.n_output_values)
        size = usual if sample.batch_size is None else sample.batch_size
        bench.choose_precision(sample.precision, as_batches(part, batch_size=size))
        return cls(bench, part, metrics, output, batch_size=size)

    def first(self, n_images: int) -> StratifiedSample:
        """Give the first images as a sample of all of them."""
        return StratifiedSample.of(self.strata, n_images)

    def n_known(self, route: Route) -> int:
        """How many images a route has been measured on: the first ones."""
        return self._sums[route].shape[1] if route in self._sums else 0

    def measure(self, routes: Iterable[Route], n_images: int) -> None:
        """Measure what is missing of routes on the first `n_images` images."""
        lacking = sorted(
            {route for route in routes if self.n_known(route) < n_images},
            key=lambda route: (self.n_known(route), route.moves),
        )
        for first, group in groupby(lacking, key=self.n_known):
            together = list(group)
            for start in range(first, n_images, self.batch_size):
                self._measure_batch(together, start, min(n_images, start + self.batch_size))

    def values(self, route: Route, place: int = 0) -> Values:
        """Give a metric of a route on the images where it is known, so that the mean over all images is the metric's.

        `place`: of the metric. Large is bad, whatever the metric.
        """
        mean_count = self._counts.sum() / len(self._counts)
        return self._sums[route][place] / mean_count

    def mean(self, route: Route, place: int = 0) -> float:
        """Give a metric of a route over all images, as the metric itself counts; measured where it is not known."""
        self.measure([route], self.n_images)
        value = float(self._sums[route][place].sum() / self._counts.sum())
        return -value if self.metrics[place].more_is_better else value

    def cost(self, route: Route, place: int = 0) -> float:
        """Give a metric of a route over all images, large being bad."""
        value = self.mean(route, place)
        return -value if self.metrics[place].more_is_better else value

    def place_of(self, name: str) -> int | None:
        """Give the place of a metric by its name; None where it is not measured."""
        return next((place for place, metric in enumerate(self.metrics) if metric.name == name), None)

    def one_example(self) -> Inputs:
        """Give the first example as a batch on the device."""
        return self.bench.place(self.part.gather(torch.arange(1))[0])

    def _sort(self) -> NDArray[np.int64]:
        """Put the images into an order by strata, by how unsure the intact network is of each; give the strata.

        The loss of an image changes the more the larger it is, about as its root. Where no metric says it, the order is
        random.
        """
        places = [place for name in _OF_UNSURENESS if (place := self.place_of(name)) is not None]
        full = self.bench.net.full_route
        values = self._sums[full][places[0]] if places else np.zeros(self.n_images)
        order = StratifiedOrder.of(np.sqrt(np.abs(values)), seed=0)
        ends = np.cumsum(self._counts).astype(int)
        rows = [range(end - int(n), end) for end, n in zip(ends, self._counts, strict=True)]
        if len(self._intact_NC):
            self._intact_NC = self._intact_NC[[row for image in order.places for row in rows[image]]]
        self.part = PartSource(self.part.source, self.part.order[torch.from_numpy(order.places)])
        self._counts, self._sums[full] = self._counts[order.places], self._sums[full][:, order.places]
        return order.strata

    def _measure_batch(self, routes: Sequence[Route], start: int, stop: int) -> None:
        given, targets = self.part.gather(torch.arange(start, stop))
        inputs = self.bench.place(given)
        if targets is not None:
            targets = targets.to(self.bench.device)
        with self.bench.running(), taking(self.bench.net, inputs, self.part.name):
            intact_NC = self._intact_outputs(inputs, targets, start, stop)
            for route, returned in walk(self.bench.net, routes, inputs):
                outputs = self._outputs(returned, targets, intact_NC)
                sums, counts = self._by_image(outputs, targets, n_examples((given, None)))
                self._keep(route, sums, counts)
        self.n_evaluations += (stop - start) * len(routes)
        self.n_branches += (stop - start) * n_branches_run(routes)

    def _intact_outputs(self, inputs: Inputs, targets: Tensor | None, start: int, stop: int) -> Tensor | None:
        """Give the intact network's outputs on a batch, where a metric compares with them; each computed once."""
        if not any(metric.needs_intact for metric in self.metrics):
            return None
        if stop > len(self._counts):  # it is the intact network that is being measured
            logits_NC = self._outputs(self.bench.net(inputs), targets).logits_NC
            self._intact_NC = logits_NC.cpu() if not start else torch.cat([self._intact_NC, logits_NC.cpu()])
            return logits_NC
        first, last = (int(self._counts[:end].sum()) for end in (start, stop))
        return self._intact_NC[first:last].to(self.bench.device)

    def _outputs(self, returned: object, targets: Tensor | None, intact_NC: Tensor | None = None) -> Outputs:
        needed = targets if any(metric.needs_targets for metric in self.metrics) else None
        if needed is None and any(metric.needs_targets for metric in self.metrics):
            names = ", ".join(metric.name for metric in self.metrics if metric.needs_targets)
            raise EvaluationError(
                f"{names} needs targets, and {self.part.name} has none. Give data as (inputs, targets), or choose by "
                'what needs none: metric="kl_divergence".'
            )
        return as_outputs(returned, needed, intact_NC, output=self.output, name=self.part.name)

    def _by_image(self, outputs: Outputs, targets: Tensor | None, n_images: int) -> tuple[Values, Values]:
        """Add the metrics up over the predictions of each image, and count these."""
        values = torch.nan_to_num(
            values_of(self.metrics, outputs), nan=_BEYOND, posinf=_BEYOND, neginf=_BEYOND
        )
        signs = torch.tensor([-1.0 if metric.more_is_better else 1.0 for metric in self.metrics])
        values = values.double() * signs.to(values.device)[:, None]
        image_of = self._image_of(outputs, targets, n_images).to(values.device)
        sums = torch.zeros(len(self.metrics), n_images, dtype=torch.float64, device=values.device)
        sums.index_add_(1, image_of, values)
        counts = torch.bincount(image_of, minlength=n_images)
        return sums.cpu().numpy(), counts.double().cpu().numpy()

    @staticmethod
    def _image_of(outputs: Outputs, targets: Tensor | None, n_images: int) -> Tensor:
        """Say which image each prediction is of: an image has as many as any other, but for targets left out."""
        if outputs.targets_N is None or targets is None:
            return torch.arange(n_images).repeat_interleave(len(outputs.logits_NC) // n_images)
        every = torch.arange(n_images).repeat_interleave(targets.numel() // n_images)
        return every[(targets.reshape(-1) != IGNORED_TARGET).cpu()]

    def _keep(self, route: Route, sums: Values, counts: Values) -> None:
        if route in self._sums:
            sums = np.concatenate([self._sums[route], sums], axis=1)
        self._sums[route] = sums
        if sums.shape[1] > len(self._counts):
            self._counts = np.concatenate([self._counts, counts])
