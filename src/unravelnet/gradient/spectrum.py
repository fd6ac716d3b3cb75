"""The gradient of a network by path length: how much each length carries, three ways.

All of them take each image's own loss and normalisation as in use (evaluation mode), with which every branch is
one linear map an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unravelnet.costs import MOST_DRAWS, check_number
from unravelnet.data.batches import Batches, StreamedBatches
from unravelnet.data.source import Batch, n_examples
from unravelnet.errors import EvaluationError, unknown_name
from unravelnet.gradient import summary
from unravelnet.gradient.batch_statistics import with_batch_statistics
from unravelnet.gradient.lengths import (
    Join,
    RandomPath,
    Sum,
    Term,
    Terms,
    backwards,
    check_rows,
    norms_of,
)
from unravelnet.gradient.linearised import Cotangent, Recording, fixed, plus, record
from unravelnet.gradient.loss import LossName, LossOfOutput
from unravelnet.gradient.measurement import facts_of, open_batches, parts_within
from unravelnet.kinds import is_whole
from unravelnet.measuring.bench import Bench
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.papers import veit
from unravelnet.records.record import Row, Table
from unravelnet.routes.route import Route

Method = Literal["exact", "rms", "sampled"]
At = Literal["stem", "input"]
Per = Literal["image", "batch"]
Normalisation = Literal["running", "batch"]
Progress = Callable[[Iterable[Any]], Iterable[Any]]

# The paper samples each length so often, in batches as in training.
_DRAWS: dict[str, int] = {"exact": 1, "rms": 8, "sampled": veit.DRAWS.count}
# How far the sum over lengths may be from autograd's gradient, of which it is another way of adding up.
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}


def path_gradients(
    net: UnraveledNetwork,
    data: Any,
    *,
    method: Method = "exact",
    route: Route | None = None,
    loss: LossName = None,
    output: OutputName = None,
    at: At = "stem",
    per: Per = "image",
    draws: int | None = None,
    max_length: int | None = None,
    normalisation: Normalisation = "running",
    limit: int | None = None,
    batch_size: int | None = None,
    max_bytes: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Table:
    """Split the gradient by path length: one row a length, from 0 to the number of modules.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> images, labels = torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)
    >>> table = path_gradients(net, (images, labels))
    >>> [row["path_count"] for row in table]
    [1, 3, 3, 1]
    >>> table[0]["gradient_error"] < 1e-4
    True

    Norms are Euclidean, of the gradient of each image's own loss, and means over images with their intervals.

    exact: `length_gradient_norm`, of the vector sum of all paths of a length; `gradient_error`, how far the sum
    over all lengths is from autograd's gradient; `path_gradient_norm`, of single paths, from `draws` random ones
    of each length and image; `length_contribution`, the number of paths times that norm (Fig. 6c); and
    `coherence`, the norm of the sum over that contribution: 1 if all paths of a length point the same way.
    rms: `path_gradient_rms`, the root mean square over all paths and images, its square unbiased, from `draws`
    random signs of every branch and image; its standard error is that of the draws.
    sampled: the procedure of the paper (Fig. 6b): `draws` measurements of each length, each along one random
    path, with mean, quantiles and interval. With per="batch" each is the gradient of a whole batch along a path of
    its own, as in the paper, which took batches of the training set; without, each is that of one image.

    `route`: modules in its order and modes. `loss`: "cross_entropy", "squared_norm" or a function of output and
    targets that gives one loss an image; None: cross entropy where there are targets. `output`: which tensor of
    what the network returns it is the loss of, as for `evaluate`; a function gets that one, else all of them.
    `at`: the gradient at the stem's output, or at the main input of the network. `per`: "batch" takes the gradient
    of the mean loss of a batch as one measurement; a last batch that is smaller is left out. `max_length`: leave
    longer paths out. `normalisation`: "batch" takes the statistics of each batch, for per="batch" and sampled only.
    `limit`: only so many images, drawn by `seed`. `batch_size`: images at a time, 128 if None, or fewer where
    `max_bytes` (2 GiB if None) would not hold them. `progress`: wraps the iteration over batches, as `tqdm` does.

    In networks with parallel streams, where a path is more than a choice of branches, only the vector sums are
    given, without `path_count`.

    Raises EvaluationError where options do not go together, the gradient is not finite, or the sum over lengths is
    not autograd's gradient; RouteError where the route does not fit. Source: Veit et al. (2016), section 5.
    """
    options = _Options(
        method, at, per, normalisation, max_length, _DRAWS.get(method, 0) if draws is None else draws
    )
    route = net.full_route if route is None else net.check(route)
    batches = open_batches(
        data, batch_size=batch_size, limit=limit, seed=seed, is_shuffled=method == "sampled"
    )
    chosen = LossOfOutput.of(net, loss, output)
    bench = Bench(with_batch_statistics(net) if normalisation == "batch" else net, device=device)
    measured = _Measured(bench, route, chosen, options, seed, max_bytes)
    with fixed(bench.net):
        for batch in progress(batches) if progress else batches:
            measured.add(batch)
        n_images = measured.end_round()
        while not measured.is_complete and not _can_be_read_once(batches):
            for batch in batches:
                measured.add(batch)
    facts = {
        "method": method,
        "n_draws": measured.n_draws,
        "at": at,
        "per": per,
        "loss": measured.loss_name,
        "output": chosen.output_name,
        "route": str(route),
        "n_modules": len(net.residual_modules),
        **facts_of(net, batches, n_images=n_images, seed=seed, confidence=confidence),
    }
    return Table([{**row, **facts} for row in measured.rows(confidence)])


def _can_be_read_once(batches: Batches) -> bool:
    return isinstance(batches, StreamedBatches) and iter(batches.stream) is batches.stream


@dataclass(frozen=True, slots=True)
class _Options:
    """How the gradient is measured; options of `path_gradients`."""

    method: Method
    at: At
    per: Per
    normalisation: Normalisation
    max_length: int | None
    draws: int

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("method", self.method, tuple(_DRAWS)),
            ("place for a gradient", self.at, ("stem", "input")),
            ("kind of measurement", self.per, ("image", "batch")),
            ("normalisation", self.normalisation, ("running", "batch")),
        ):
            if name not in known:
                raise unknown_name(kind, name, known)
        check_number(self.draws, MOST_DRAWS, "draws")
        if self.draws < (0 if self.method == "exact" else 1):
            raise EvaluationError(f"{self.draws} draws cannot be made; give draws=1 or more.")
        if self.max_length is not None and not (is_whole(self.max_length) and self.max_length >= 0):
            raise EvaluationError(f"max_length is {self.max_length}; give max_length=0 or more.")
        if self.normalisation == "batch" and (self.method, self.per) != ("sampled", "batch"):
            raise EvaluationError(
                "With the statistics of the batch images change each other's gradients, so that no image has paths "
                'of its own. Give method="sampled" and per="batch" with normalisation="batch".'
            )


class _Measured:
    """Norms by length of all measurements so far.

    Shapes: L lengths, M measurements (images, or batches), D draws for each.
    """

    def __init__(
        self,
        bench: Bench,
        route: Route,
        loss: LossOfOutput,
        options: _Options,
        seed: int,
        max_bytes: int | None,
    ) -> None:
        self.bench, self.route, self.options, self.max_bytes = bench, route, options, max_bytes
        self.loss, self.loss_name = loss, ""
        self.generator = torch.Generator().manual_seed(int(seed))
        self.norms: dict[str, list[Tensor]] = {}
        self.counts: list[int] = []
        self.error_square = self.whole_square = 0.0
        self.n_images = 0
        self.n_measured = 0
        self.n_in_round = 0
        self.n_in_batch = 0
        self.is_parallel = False
        self.tolerance = 0.0

    @property
    def _is_truncated(self) -> bool:
        return self.options.max_length is not None and self.options.max_length < len(self.route)

    @property
    def is_complete(self) -> bool:
        """Whether there are enough measurements; only random paths are measured until there are."""
        return self.options.method != "sampled" or self.n_measured >= self.options.draws

    @property
    def n_draws(self) -> int:
        """Draws for each measurement, or in all where each measurement is one."""
        if self.options.method == "sampled":
            return self.n_measured
        return 0 if self.is_parallel else self.options.draws

    def end_round(self) -> int:
        """Note that all data has been seen once; return the number of its images."""
        self.n_in_round = self.n_measured
        return self.n_images

    def add(self, batch: Batch) -> None:
        """Measure one batch, in as many parts as memory asks for."""
        if self.n_measured and self.options.method == "sampled" and self.is_complete:
            return
        n, is_one = n_examples(batch), self.options.per == "batch"
        self.n_in_batch = self.n_in_batch or n
        if is_one and n < self.n_in_batch:
            return  # the mean loss of fewer images has a larger gradient
        is_cut = self.options.normalisation == "running"
        state = self.generator.get_state()
        parts = []
        for part in parts_within(self.max_bytes, self.bench, batch, self.route) if is_cut else [batch]:
            if is_one:  # the same path for all parts of the batch
                self.generator.set_state(state)
            parts.append(self._measure(part))
        for name in parts[0]:
            values = torch.cat([part[name] for part in parts], dim=-1)
            # The gradient of the mean loss: that of each image, divided by their number.
            kept = values.square().sum(dim=-1, keepdim=True).sqrt() / n if is_one else values
            self.norms.setdefault(name, []).append(kept)
        self.n_images += n
        self.n_measured += 1 if is_one else n

    def _measure(self, batch: Batch) -> dict[str, Tensor]:
        """Measure some images: norms by name, the last dimension counting images."""
        inputs, targets = batch
        self.loss_name, loss = self.loss.find(has_targets=targets is not None)
        recording = record(self.bench.net, self.bench.place(inputs), self.route)
        targets = None if targets is None else targets.to(self.bench.device)
        _, end = recording.gradient(loss, targets)
        n, options = recording.n_images, self.options
        self._check(recording)
        if not self.n_measured and options.normalisation == "running":
            check_rows(recording.whole_gradient(loss, targets, only_first=True), n)
        if options.method == "rms":
            joins: list[Join] = [Sum(n, self.generator) for _ in range(options.draws)]
            return {"signed": torch.stack([self._norms(recording, end, join) for join in joins])}
        n_paths = {"sampled": 1}.get(options.method, 0 if self.is_parallel else options.draws)
        paths = [
            self._norms(recording, end, RandomPath(n, self.generator, options.per)) for _ in range(n_paths)
        ]
        found = {"paths": torch.stack(paths)} if paths else {}
        if options.method == "sampled":
            return found
        terms = self._terms(recording, end, Sum(n))
        whole = self._at(recording, recording.whole_gradient(loss, targets))
        self._compare(terms, whole)
        found |= {"sums": norms_of(terms, n), "whole": norms_of([Term(whole) if whole else None], n)}
        return found

    def _check(self, recording: Recording) -> None:
        self.is_parallel = recording.has_parallel_streams
        dtype = recording.start.state.x.dtype
        if dtype not in _TOLERANCE:
            raise EvaluationError(
                f"The stream is {str(dtype).removeprefix('torch.')}, too coarse to split a gradient into parts that "
                "add up again. Measure the network in float32: net.float()."
            )
        self.tolerance = _TOLERANCE[dtype]
        if self.is_parallel and self.options.method != "exact":
            raise EvaluationError(
                f"{self.bench.net.name or 'The network'} carries its input in several streams side by side, in which "
                "a path is more than a choice of branches, so single paths cannot be drawn. The vector sums by length "
                'are defined: method="exact".'
            )

    def _norms(self, recording: Recording, end: Cotangent, join: Join) -> Tensor:
        return norms_of(self._terms(recording, end, join), recording.n_images)

    def _terms(self, recording: Recording, end: Cotangent, join: Join) -> Terms:
        for terms, counts in backwards(recording.stages, end, join, self.options.max_length):
            last, self.counts = terms, counts
        return [term and Term(self._at(recording, term.values), term.exponent) for term in last]

    def _at(self, recording: Recording, gradient: Cotangent) -> Cotangent:
        """Carry a gradient from the stem's output to the input, if that is where it is asked for."""
        if self.options.at == "stem":
            return gradient
        if not recording.stem.leaves:
            raise EvaluationError(
                "The inputs are whole numbers, as tokens are, and have no gradient. Measure it at the stem's output "
                '(at="stem").'
            )
        return recording.stem.pull(gradient, around=True, through=False)[0]

    def _compare(self, terms: Terms, whole: Cotangent) -> None:
        """Add up how far the sum over all lengths is from the ordinary gradient."""
        if self._is_truncated:
            return
        total: Cotangent = {}
        for term in terms:
            if term is not None:
                total = plus(total, term.unscaled())
        for name, value in whole.items():
            difference = value - total.get(name, torch.zeros_like(value))
            self.error_square += float(difference.double().square().sum())
            self.whole_square += float(value.double().square().sum())

    # -- rows --

    def rows(self, confidence: float) -> list[Row]:
        """Make one row a length."""
        norms = {name: torch.cat(values, dim=-1).numpy() for name, values in self.norms.items()}
        counts: list[int | None] = [None] * len(self.counts) if self.is_parallel else [*self.counts]
        rows: list[Row] = [{"length": length, "path_count": count} for length, count in enumerate(counts)]
        if "signed" in norms:
            summary.add_root_mean_squares(rows, norms["signed"], confidence)
        if "sums" in norms:
            summary.add_sums(rows, norms["sums"], confidence)
            whole = {"gradient_norm": float(norms["whole"].mean()), "gradient_error": self._checked_error()}
            rows = [{**row, **whole} for row in rows]
        if "paths" in norms:
            paths_LM = norms["paths"].mean(axis=0)
            summary.add_paths(rows, paths_LM, self._subjects(paths_LM.shape[1]), confidence)
            if self.options.method == "sampled":
                summary.add_quantiles(rows, paths_LM)
        return rows

    def _subjects(self, n_measured: int) -> NDArray[np.int64]:
        """Number the image, or batch, that each measurement is of: they come round in the same order."""
        return np.arange(n_measured) % (self.n_in_round or n_measured)

    def _checked_error(self) -> float | None:
        if self._is_truncated:
            return None
        error = math.sqrt(self.error_square / self.whole_square) if self.whole_square else 0.0
        if not error <= self.tolerance:
            raise EvaluationError(
                f"The gradients of all lengths add up to something else than autograd's gradient: the relative "
                f"difference is {error:.1e}, expected at most {self.tolerance:.0e}. The network may not be the same "
                "function twice (dropout, state), or its numbers are too large; try it in float64."
            )
        return error
