"""Measures many routes on data, sharing what they have in common: `prefix_tree` runs them.

What is kept of a route are sums over predictions; `metrics` says of what, `intervals` what follows from them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unravelnet.costs import MOST_ROUTES, at_most, check_half_width, check_seed
from unravelnet.data import Batches, as_batches, load
from unravelnet.data.batches import StreamedBatches
from unravelnet.data.source import Batch, part_of
from unravelnet.data.targets import IGNORED_TARGET
from unravelnet.errors import EvaluationError, RouteError, UnknownNameError
from unravelnet.mathematics.intervals import Interval, mean_interval, paired_rate_interval, rate_interval
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.ledger import SUMS, Ledger, Tally, precision_begun, settings_by_route
from unravelnet.measuring.metrics import Metric, Outputs, as_outputs, check_outputs, find_metrics, values_of
from unravelnet.measuring.misfit import are_finite, taking
from unravelnet.measuring.reach import changed_in_vain
from unravelnet.measuring.walk import walk
from unravelnet.network import UnraveledNetwork, first_tensor
from unravelnet.network.output import Output, OutputName
from unravelnet.precision import PrecisionChoice, check_precision
from unravelnet.records.record import Row, Table
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route, as_route, as_routes
from unravelnet.studies.trial import Trial
from unravelnet.wording import counted

Progress = Callable[[Iterable[Any]], Iterable[Any]]
_log = logging.getLogger(__name__)

# On two cores, streams of this many images stay near the processor and fill its vectors.
_BATCH_SIZE = {"cpu": 128, "cuda": 1024}


class EvaluationInterrupted(KeyboardInterrupt):
    """An evaluation was interrupted; `table` holds what was measured until then."""

    def __init__(self, table: Table) -> None:
        super().__init__("The evaluation was interrupted.")
        self.table = table


def evaluate(
    net: UnraveledNetwork,
    routes: Iterable[Route | Trial],
    data: Any,
    *,
    metrics: Sequence[str] = ("error_rate",),
    output: OutputName = None,
    precision: PrecisionChoice = "float32",
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    compile: bool = False,
    limit: int | None = None,
    until_ci: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    store: ResultsStore | None = None,
    progress: Progress | None = None,
) -> Table:
    """Measure routes on data: one row a route, in the order given.

    >>> from unravelnet import studies, zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8))
    >>> images, labels = torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)
    >>> table = evaluate(net, studies.delete_each(net), (images, labels))
    >>> [row["route"] for row in table]
    ['0-2', '0s,1-2', '0,1s,2', '0-1,2s']

    `routes`: routes, or trials of a study. `data`: a pair of tensors, a Dataset, an iterable of batches or a
    data specification. `metrics`: names from `registry.METRICS`; each gives a value, the ends of its interval
    and the same for its difference to the intact network on the same predictions. `output`: which tensor of what the
    network returns is measured: its name or place, as in `net.outputs`, with the dimension of its classes as in
    "out:1" where that is to be said; None: the logits, else the first one. The rows name it. `batch_size`: examples
    at a time; chosen automatically if None. `precision`: "float32", with the same numbers on all machines of a kind;
    "bfloat16"; "auto": that in which `store` holds this network, else bfloat16 where the machine multiplies it itself
    and the network gains from it and tolerates it, else float32. The rows say which it was. `limit`: only so many
    examples, drawn by `seed`. `until_ci`: examples come in the random order of `seed`, and a route stops when half the
    width of the interval of the first metric, or of its difference to the intact network, is at most this. `store`:
    finished trials are taken from it and new sums go to it after every batch, so that an interrupted call goes on
    where it was. `progress`: wraps the iteration over batches, as `tqdm` does.

    Raises RouteError where a route does not fit the network, EvaluationError where the intact network gives no
    usable numbers or an output does not fit the metrics, DataError where targets do not;
    EvaluationInterrupted, with the rows so far, on Ctrl-C. Source: the lesion protocol of Veit et al. (2016), section
    4: no retraining, statistics of normalisation unchanged.
    """
    if not isinstance(metrics, Iterable):
        raise EvaluationError(
            f"metrics is {metrics!r}; give a list of names, such as ['error_rate', 'loss']."
        )
    names = (metrics,) if isinstance(metrics, str) else tuple(dict.fromkeys(metrics))
    found = find_metrics(names)
    measured = Output.of(output).chosen_from(net.outputs, net.name)
    check_outputs(found, measured.n_classes(net.outputs), measured)
    _check_options(confidence, until_ci, seed, precision)
    trials = _trials(routes)
    bench = Bench(net, device=device, compile=compile)
    size = _BATCH_SIZE.get(bench.device.type, 256) if batch_size is None else batch_size
    is_random = until_ci is not None or limit is not None
    if isinstance(data, str):
        data = load(data)
    batches = as_batches(data, batch_size=size, limit=limit, shuffle_seed=seed if is_random else None)
    rule = _StoppingRule(until_ci, confidence)
    sweep = _Sweep(bench, _checked(net, trials), found, measured, rule, batches.name)
    network = net.fingerprint()
    begun = None if store is None else precision_begun(store, network)
    used = bench.choose_precision(precision, batches, begun=begun)
    settings = {
        "metrics": list(names),
        "output": str(measured),
        "precision": used,
        "device": bench.device.type,
        "compile": compile,
        "batch_size": int(size),
        "limit": None if limit is None else int(limit),
        "until_ci": until_ci,
        "confidence": confidence if until_ci is not None else None,
        "seed": int(seed) if is_random else None,
    }
    # A stream would have to be read twice, once to name it; only a store needs the name.
    is_named = store is not None or not isinstance(batches, StreamedBatches)
    fingerprint = batches.fingerprint() if is_named else ""
    ledger = Ledger(store, network, fingerprint, settings_by_route(list(sweep.tallies), settings))
    facts: Row = {
        "output": str(measured),
        "seed": seed,
        "precision": used,
        "confidence": confidence,
        "network": ledger.network,
        "network_name": net.name,
        "data": fingerprint,
        "data_name": batches.name,
    }
    try:
        sweep.run(batches, ledger, progress)
    except KeyboardInterrupt:
        raise EvaluationInterrupted(sweep.table(trials, facts, confidence)) from None
    return sweep.table(trials, facts, confidence)


def _check_options(confidence: float, until_ci: float | None, seed: int, precision: PrecisionChoice) -> None:
    if not 0 < confidence < 1:
        raise EvaluationError(f"The confidence is {confidence}; give a number between 0 and 1, such as 0.95.")
    check_half_width(until_ci)
    check_seed(seed)
    check_precision(precision)


def _trials(routes: Iterable[Route | Trial]) -> list[Trial]:
    given = at_most(as_routes(routes), MOST_ROUTES, "routes")
    return [route if isinstance(route, Trial) else Trial(as_route(route)) for route in given]


def _checked(net: UnraveledNetwork, trials: Sequence[Trial]) -> list[Route]:
    """List the distinct routes, the intact one first, after checking that each fits."""
    distinct = dict.fromkeys([net.full_route, *(trial.route for trial in trials)])
    return [net.check(route) for route in distinct]


# -- sums --


@dataclass(frozen=True)
class _StoppingRule:
    """When a route has been measured well enough."""

    until_ci: float | None
    confidence: float

    def is_met(self, metric: Metric, sums: Sequence[float], n: int) -> bool:
        if self.until_ci is None or n == 0:
            return False
        own, paired = _intervals(metric, sums, n, self.confidence)
        return min(own.half_width, paired.half_width) <= self.until_ci


def _intervals(metric: Metric, sums: Sequence[float], n: int, confidence: float) -> tuple[Interval, Interval]:
    """The interval of a metric and of its difference to the intact network, from their sums."""
    total, squares, difference, difference_squares = sums
    if metric.is_rate:
        return (
            rate_interval(total, n, confidence),
            paired_rate_interval(difference, difference_squares, n, confidence),
        )
    return (
        mean_interval(total, squares, n, confidence),
        mean_interval(difference, difference_squares, n, confidence),
    )


class _Sweep:
    """Goes through the batches with all routes that are not finished yet."""

    def __init__(
        self,
        bench: Bench,
        routes: Sequence[Route],
        metrics: Sequence[Metric],
        output: Output,
        rule: _StoppingRule,
        data_name: str,
    ) -> None:
        self.bench = bench
        self.intact = routes[0]
        self.metrics = metrics
        self.output = output
        self.rule = rule
        self.data_name = data_name
        self.tallies = {
            route: Tally(torch.zeros(len(metrics), len(SUMS), dtype=torch.float64)) for route in routes
        }

    def run(self, batches: Batches, ledger: Ledger, progress: Progress | None) -> None:
        ledger.load(self.tallies, self.metrics)
        # Other calls may have brought all others to the point where this one left the intact network.
        self._finish_some()
        unfinished = self._unfinished()
        if not unfinished:
            return
        # All unfinished routes have seen the same batches, unless the list of routes has grown since.
        start = min(tally.n_images for tally in unfinished.values())
        remaining = batches.starting_at(start)
        is_first = True
        with self.bench.running():
            for batch in progress(remaining) if progress else remaining:
                if is_first:
                    self._remark_on_reach(part_of(batch, 0, 1)[0])
                    is_first = False
                start += self._measure(batch, start)
                self._finish_some()
                ledger.save(unfinished, self.metrics)
                if not self._unfinished():
                    break
        if not start:
            raise EvaluationError("The data holds no examples. Give data with at least one batch.")
        if not self.tallies[self.intact].n_predictions:
            raise EvaluationError(
                f"No prediction of {self.data_name} has a target: all targets are {IGNORED_TARGET}, which marks places "
                "without one. Give data with targets."
            )
        for tally in unfinished.values():
            tally.complete = True
        ledger.save(unfinished, self.metrics)

    def _unfinished(self) -> dict[Route, Tally]:
        return {route: tally for route, tally in self.tallies.items() if not tally.complete}

    def _measure(self, batch: Batch, start: int) -> int:
        """Run one batch through the routes that have not seen it; return its number of examples."""
        inputs, targets = batch
        due = [route for route, tally in self._unfinished().items() if tally.n_images <= start]
        inputs = self.bench.place(inputs)
        _check_targets(self.metrics, targets)
        needs_targets = any(metric.needs_targets for metric in self.metrics)
        targets = targets.to(self.bench.device) if targets is not None and needs_targets else None
        n_images = len(first_tensor(inputs))
        with taking(self.bench.net, inputs, self.data_name):
            values, not_finite = self._values(due, inputs, targets)
        intact = values[self.intact].double()
        for route in due:
            own = values[route].double()
            difference = own - intact
            sums = torch.stack([own, own.square(), difference, difference.square()], dim=-1).sum(dim=1)
            self.tallies[route].add(sums.cpu(), own.shape[1], n_images, int(not_finite[route]))
        return n_images

    def _values(
        self, due: Sequence[Route], inputs: Any, targets: Tensor | None
    ) -> tuple[dict[Route, Tensor], dict[Route, Tensor]]:
        """Compute the metrics of each route, one value a prediction: shape (metrics, predictions)."""
        net = self.bench.net
        values: dict[Route, Tensor] = {}
        not_finite: dict[Route, Tensor] = {}
        intact_NC = None
        if any(metric.needs_intact for metric in self.metrics):
            # The others are compared with it: it cannot wait for its turn in the walk.
            intact_NC = self._outputs(net(inputs), targets).logits_NC
        for route, returned in walk(net, [self.intact, *due], inputs):
            outputs = self._outputs(returned, targets, intact_NC)
            not_finite[route] = (~outputs.logits_NC.isfinite()).any(dim=1).sum()
            if route == self.intact and not_finite[route]:
                raise EvaluationError(
                    f"The intact network gives {counted(int(not_finite[route]), 'not finite output')} (NaN or "
                    f"infinite) in one batch: nothing can be compared with it. {_cause_of_infinity(inputs)}"
                )
            values[route] = values_of(self.metrics, outputs)
        return values, not_finite

    def _outputs(self, returned: Any, targets: Tensor | None, intact_NC: Tensor | None = None) -> Outputs:
        try:
            return as_outputs(returned, targets, intact_NC, output=self.output, name=self.data_name)
        except UnknownNameError as error:
            raise EvaluationError(
                f"The output {self.output.key} is not computed on a route: it tells of the inside of a residual module "
                "that the route leaves out. Choose another output, or routes that keep this module."
            ) from error

    def _remark_on_reach(self, inputs: Any) -> None:
        """Say where modules are changed that the measured output does not depend on; one that is alone does."""
        net = self.bench.net
        if len(net.outputs) > 1:
            changed = {
                step.module for route in self.tallies for step in set(route.steps) ^ set(self.intact.steps)
            }
            inputs = self.bench.place(inputs)
            with taking(net, inputs, self.data_name):
                remark = changed_in_vain(net, inputs, self.output.key, changed)
            if remark:
                _log.warning(remark)

    def _finish_some(self) -> None:
        """Stop the routes that are known well enough; the intact network goes on as long as any other does."""
        if self.rule.until_ci is None:
            return
        intact = self.tallies[self.intact]
        others = [tally for tally in self.tallies.values() if tally is not intact]
        for tally in others:
            tally.complete = tally.complete or self._is_known(tally)
        # A store may have known others from the start, and the intact network less well than they are known.
        longest = max((tally.n_images for tally in others), default=0)
        intact.complete = (
            intact.n_images >= longest and all(tally.complete for tally in others)
            if others
            else self._is_known(intact)
        )

    def _is_known(self, tally: Tally) -> bool:
        return self.rule.is_met(self.metrics[0], tally.sums[0].tolist(), tally.n_predictions)

    # -- rows --

    def table(self, trials: Sequence[Trial], facts: Row, confidence: float) -> Table:
        """Make the rows of the trials that have been measured at least in part."""
        measured = [trial for trial in trials if self.tallies[trial.route].n_predictions]
        return Table([{**self._row(trial, confidence, facts), **facts} for trial in measured])

    def _row(self, trial: Trial, confidence: float, facts: Row) -> Row:
        tally, route = self.tallies[trial.route], trial.route
        row: Row = {
            "study": trial.study,
            "label": trial.label,
            "repeat": trial.repeat,
            "route": str(route),
            "module": _lesioned_module(route),
            **dict(trial.facts),
            "n_modules": len(self.intact),
            "n_deleted": route.n_deleted,
            "n_skips_removed": route.n_skips_removed,
            "kendall_tau": _kendall_tau(route, len(self.intact)),
            "n_images": tally.n_images,
            "n_predictions": tally.n_predictions,
            "n_not_finite": tally.n_not_finite,
            "complete": tally.complete,
        }
        for metric, sums in zip(self.metrics, tally.sums.tolist(), strict=True):
            own, paired = _intervals(metric, sums, tally.n_predictions, confidence)
            row[metric.name] = sums[0] / tally.n_predictions
            row[f"{metric.name}_low"], row[f"{metric.name}_high"] = own
            row[f"{metric.name}_difference"] = sums[2] / tally.n_predictions
            row[f"{metric.name}_difference_low"], row[f"{metric.name}_difference_high"] = paired
        return row


def _lesioned_module(route: Route) -> int | None:
    """The module that is deleted, or loses its skip, where it is exactly one."""
    lesioned = [step.module for step in route.steps if step.mode != "both"]
    return lesioned[0] if len(lesioned) == 1 else None


def _kendall_tau(route: Route, n_modules: int) -> float:
    if len(route) != n_modules:
        return math.nan
    try:
        return route.kendall_tau()
    except RouteError:
        return math.nan


def _cause_of_infinity(inputs: Any) -> str:
    if not are_finite(inputs):
        return (
            "The inputs themselves hold NaN or infinite values: mend the data, or leave those examples out."
        )
    return "Check its weights and the range of its inputs; precision='float32' has more room than bfloat16."


def _check_targets(metrics: Iterable[Metric], targets: Tensor | None) -> None:
    needy = [metric.name for metric in metrics if metric.needs_targets]
    if targets is None and needy:
        raise EvaluationError(
            f"{', '.join(needy)} needs targets, and the data has none. Give data as (inputs, targets), or "
            "measure what needs none: agreement, kl_divergence, cosine, squared_error."
        )
