"""The gradient of a network by path length: how much each length carries, three ways.

All of them take each image's own loss and normalisation as in use (evaluation mode), with which every branch is
one linear map an image.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unravelnet.data.source import Batch
from unravelnet.errors import EvaluationError
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
    counts_before,
    norms_of,
)
from unravelnet.gradient.linearised import Recording, record
from unravelnet.gradient.live import Cotangent, plus
from unravelnet.gradient.loss import LossName, LossOfOutput
from unravelnet.gradient.measurement import (
    GradientMeasurement,
    open_ledger_of_gradients,
    open_sample,
    parts_within,
)
from unravelnet.gradient.method import Method, MethodName
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.runner import Progress, identity_of, run
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.options import also_by_name
from unravelnet.records.record import Row, Table
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route

# How far the sum over lengths may be from autograd's gradient, of which it is another way of adding up.
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}


@also_by_name("method", Method)
def path_gradients(
    net: UnraveledNetwork,
    data: Any,
    *,
    method: Method | MethodName = "exact",
    route: Route | None = None,
    loss: LossName = None,
    output: OutputName = None,
    limit: int | None = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    max_bytes: int | None = None,
    store: ResultsStore | None = None,
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

    `data`: as for `evaluate`, a `Sample` too. `route`: modules in its order and modes. `loss`: "cross_entropy",
    "squared_norm" or a function of output and targets that gives one loss an image; None: cross entropy where there are
    targets. `output`: which tensor of what the network returns it is the loss of, as for `evaluate`; a function gets
    that one, else all of them. `limit`: only so many images, drawn by `seed`. `batch_size`: images at a time, 128 if
    None, or fewer where memory would not hold them. `progress`: wraps the iteration over batches, as `tqdm` does.

    `method`: a name, or a `Method` with all that belongs to it. Its other options are also taken one by one: `draws`,
    `at`, `per`, `max_length`, `normalisation`. `max_bytes`: how much memory images at a time may take, 2 GiB if None.
    `store`: sums go to it after every batch, so that an interrupted call goes on where it was.

    In networks with parallel streams, where a path is more than a choice of branches, only the vector sums are
    given, without `path_count`.

    Raises EvaluationError where options do not go together, the gradient is not finite, or the sum over lengths is
    not autograd's gradient; RouteError where the route does not fit. Source: Veit et al. (2016), section 5.
    """
    options = method if isinstance(method, Method) else Method(method)
    route = net.full_route if route is None else net.check(route)
    sample, batches = open_sample(
        data,
        limit=limit,
        seed=seed,
        batch_size=batch_size,
        device=device,
        max_bytes=max_bytes,
        is_shuffled=options.method == "sampled",
    )
    chosen = LossOfOutput.of(net, loss, output)
    bench = Bench(
        with_batch_statistics(net) if options.normalisation == "batch" else net, device=sample.device
    )
    measurement = _PathGradients(
        route, chosen, sample.max_bytes, options, len(net.residual_modules), sample.seed, confidence
    )
    identity = identity_of(net, batches, is_kept=store is not None)
    ledger = open_ledger_of_gradients(store, identity, measurement, sample, bench, **options.settings())
    return run(measurement, bench, batches, identity, ledger=ledger, progress=progress)


@dataclass(frozen=True)
class _PathGradients(GradientMeasurement):
    """Norms by length of all measurements, one after the other.

    Shapes: L lengths, M measurements (images, or batches), D draws for each.
    """

    options: Method
    n_modules: int
    seed: int
    confidence: float

    @property
    def repeats(self) -> bool:  # type: ignore[override]  # computed from a field
        """Random paths are measured until there are enough."""
        return self.options.method == "sampled"

    def is_known(self, sums: Sums) -> bool:
        return self.options.method == "sampled" and self._is_used(sums).sum() >= self.options.n_draws

    def _is_used(self, sums: Sums) -> NDArray[np.bool_]:
        """Tell which measurements count; a batch that is smaller than the first does not.

        The mean loss of fewer images has a larger gradient.
        """
        sizes = sums.appended["sizes"]
        return np.asarray(sizes >= sizes[0])

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> dict[Route, Sums]:
        """Measure one batch, in as many parts as memory asks for."""
        n, is_one = shard.n_images, self.options.per == "batch"
        batch = (shard.inputs, shard.targets)
        is_cut = self.options.normalisation == "running"
        generator = shard.generator(self.seed)
        state = generator.get_state()
        sums = Sums()
        for part in parts_within(self.max_bytes, net, batch, self.route) if is_cut else [batch]:
            if is_one:  # the same path for all parts of the batch
                generator.set_state(state)
            sums += self._measure(net, part, generator, is_first=shard.number == 0)
        if is_one:
            # The gradient of the mean loss: that of each image, divided by their number.
            norms = {
                name: torch.from_numpy(values).square().sum(dim=-1, keepdim=True).sqrt() / n
                for name, values in sums.appended.items()
            }
            about = {"sizes": [n], "subjects": [shard.first]}
        else:
            norms = dict(sums.appended)
            about = {"sizes": [1] * n, "subjects": list(range(shard.first, shard.first + n))}
        return {self.route: Sums(sums.added, {**norms, **about}, sums.facts)}

    def _measure(
        self, net: UnraveledNetwork, batch: Batch, generator: torch.Generator, *, is_first: bool
    ) -> Sums:
        """Measure some images: norms by name, the last dimension counting images."""
        inputs, targets = batch
        name, loss = self.loss.find(has_targets=targets is not None)
        recording = record(net, inputs, self.route)
        _, end = recording.gradient(loss, targets)
        n, options = recording.n_images, self.options
        self._check(net, recording)
        if is_first and options.normalisation == "running":
            check_rows(recording.whole_gradient(loss, targets, only_first=True), n)
        is_parallel = recording.has_parallel_streams
        way = _WayBack(recording, end, options)
        if options.method == "rms":
            joins: list[Join] = [Sum(n, generator) for _ in range(options.n_draws)]
            norms = {"signed": torch.stack([way.norms(join) for join in joins])}
            return Sums({}, norms, way.facts(name))
        n_paths = {"sampled": 1}.get(options.method, 0 if is_parallel else options.n_draws)
        paths = [way.norms(RandomPath(n, generator, options.per)) for _ in range(n_paths)]
        found = {"paths": torch.stack(paths)} if paths else {}
        if options.method == "sampled":
            return Sums({}, found, way.facts(name))
        terms = way.terms(Sum(n))
        whole = way.at(recording.whole_gradient(loss, targets))
        found |= {"sums": norms_of(terms, n), "whole": norms_of([Term(whole) if whole else None], n)}
        longest = options.max_length
        is_truncated = longest is not None and longest < self.route.longest_path
        return Sums({} if is_truncated else way.compared(terms, whole), found, way.facts(name))

    def _check(self, net: UnraveledNetwork, recording: Recording) -> None:
        dtype = recording.start.state.x.dtype
        if dtype not in _TOLERANCE:
            raise EvaluationError(
                f"The stream is {str(dtype).removeprefix('torch.')}, too coarse to split a gradient into parts that "
                "add up again. Measure the network in float32: net.float()."
            )
        if recording.has_parallel_streams and self.options.method != "exact":
            raise EvaluationError(
                f"{net.name or 'The network'} carries its input in several streams side by side, in which "
                "a path is more than a choice of branches, so single paths cannot be drawn. The vector sums by length "
                'are defined: method="exact".'
            )

    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        """Make one row a length."""
        sums = tallies[self.route].sums
        is_used, facts = self._is_used(sums), sums.facts
        norms = {name: np.ascontiguousarray(values[..., is_used]) for name, values in sums.appended.items()}
        counts = [None] * len(facts["counts"]) if facts["is_parallel"] else facts["counts"]
        rows: list[Row] = [{"length": length, "path_count": count} for length, count in enumerate(counts)]
        if "signed" in norms:
            summary.add_root_mean_squares(rows, norms["signed"], self.confidence)
        if "sums" in norms:
            summary.add_sums(rows, norms["sums"], self.confidence, self.seed)
            whole = {"gradient_norm": float(norms["whole"].mean()), "gradient_error": _checked_error(sums)}
            rows = [{**row, **whole} for row in rows]
        firsts, subjects = np.unique(norms["subjects"], return_inverse=True)
        if "paths" in norms:
            paths_LM = norms["paths"].mean(axis=0)
            summary.add_paths(rows, paths_LM, subjects, self.confidence, self.seed)
            if self.options.method == "sampled":
                summary.add_quantiles(rows, paths_LM)
        n_images = int(norms["sizes"][: len(firsts)].sum())
        return [{**row, **self._about(facts, int(is_used.sum()), n_images)} for row in rows]

    def _about(self, facts: Mapping[str, Any], n_measured: int, n_images: int) -> Row:
        # Draws for each measurement, or in all where each measurement is one.
        n_draws = 0 if facts["is_parallel"] else self.options.n_draws
        return {
            "method": self.options.method,
            "n_draws": n_measured if self.options.method == "sampled" else n_draws,
            "at": self.options.at,
            "per": self.options.per,
            "loss_name": facts["loss"],
            "output": self.loss.output_name,
            "route": str(self.route),
            "n_modules": self.n_modules,
            "n_images": n_images,
            "seed": self.seed,
            "confidence": self.confidence,
        }


@dataclass(frozen=True, slots=True)
class _WayBack:
    """The ways back from the end of a recorded route to where its gradient is asked for."""

    recording: Recording
    end: Cotangent
    options: Method

    def norms(self, join: Join) -> Tensor:
        """Give the norm of each length and image."""
        return norms_of(self.terms(join), self.recording.n_images)

    def terms(self, join: Join) -> Terms:
        """Carry the gradient back, its terms joined in some way."""
        # The last ones only, so that memory does not hold those of every stage.
        way = deque(backwards(self.recording.stages, self.end, join, self.options.max_length), maxlen=1)
        arrived, _ = way.pop()
        return [term and Term(self.at(term.values), term.exponent) for term in arrived]

    def at(self, gradient: Cotangent) -> Cotangent:
        """Carry a gradient from the stem's output to the input, if that is where it is asked for."""
        if self.options.at == "stem":
            return gradient
        if not self.recording.stem.leaves:
            raise EvaluationError(
                "The inputs are whole numbers, as tokens are, and have no gradient. Measure it at the stem's output "
                '(at="stem").'
            )
        return self.recording.stem.pull(gradient)[0]

    def facts(self, loss_name: str) -> dict[str, Any]:
        """Say what all images share: the number of paths of each length, and how exact sums must be."""
        counts = [1]
        for stage in reversed(self.recording.stages):
            counts = counts_before(stage, counts)
        longest = self.options.max_length
        return {
            "loss": loss_name,
            "counts": counts if longest is None else counts[: longest + 1],
            "is_parallel": self.recording.has_parallel_streams,
            "tolerance": _TOLERANCE[self.recording.start.state.x.dtype],
        }

    def compared(self, terms: Terms, whole: Cotangent) -> dict[str, float]:
        """Square how far the sum over all lengths is from the ordinary gradient."""
        total: Cotangent = {}
        for term in terms:
            if term is not None:
                total = plus(total, term.unscaled())
        squares = {"error_square": 0.0, "whole_square": 0.0}
        for name, value in whole.items():
            difference = value - total.get(name, torch.zeros_like(value))
            squares["error_square"] += float(difference.double().square().sum())
            squares["whole_square"] += float(value.double().square().sum())
        return squares


def _checked_error(sums: Sums) -> float | None:
    """Give the relative difference between the sum over all lengths and autograd's gradient; None if not compared."""
    if "error_square" not in sums.added:
        return None
    square, whole = float(sums.added["error_square"]), float(sums.added["whole_square"])
    error = math.sqrt(square / whole) if whole else 0.0
    if not error <= sums.facts["tolerance"]:
        raise EvaluationError(
            f"The gradients of all lengths add up to something else than autograd's gradient: the relative "
            f"difference is {error:.1e}, expected at most {sums.facts['tolerance']:.0e}. The network may not be the "
            "same function twice (dropout, state), or its numbers are too large; try it in float64."
        )
    return error
