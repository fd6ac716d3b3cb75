"""Measures many routes on data, sharing what they have in common: `walk` runs them on a batch.

What is kept of a route are sums over predictions; `metrics` says of what, `intervals` what follows from them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unravelnet.costs import MOST_ROUTES, at_most, check_half_width
from unravelnet.data.source import part_of
from unravelnet.data.targets import IGNORED_TARGET
from unravelnet.errors import EvaluationError, RouteError, UnknownNameError
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.estimate import estimate, names_of_sums, sums_of
from unravelnet.measuring.ledger import open_ledger, precision_begun
from unravelnet.measuring.means import hold_means_for
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.metrics import Metric, Outputs, as_outputs, check_outputs, find_metrics, values_of
from unravelnet.measuring.misfit import are_finite
from unravelnet.measuring.reach import changed_in_vain
from unravelnet.measuring.runner import Progress, identity_of, run
from unravelnet.measuring.sample import Sample, Shard, forward_batch_size, network_for
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.measuring.walk import walk
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import Output, OutputName
from unravelnet.precision import PrecisionChoice
from unravelnet.records.record import Row, Table
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route, as_route, as_routes
from unravelnet.studies.trial import Trial
from unravelnet.wording import counted

_log = logging.getLogger(__name__)


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

    `routes`: routes, or trials of a study. `data`: a pair of tensors, a Dataset, an iterable of batches, a data
    specification, or a `Sample` in the place of it and of all options that a sample has. `metrics`: names from
    `registry.METRICS`; each gives a value, the ends of its interval and the same for its difference to the intact
    network on the same predictions. `output`: which tensor of what the network returns is measured: its name or place,
    as in `net.outputs`, with the dimension of its classes as in "out:1" where that is to be said; None: the logits,
    else the first one. The rows name it. `batch_size`: examples at a time; chosen automatically if None. `precision`:
    "float32", with the same numbers on all machines of a kind; "bfloat16"; "auto": that in which `store` holds this
    network, else bfloat16 where the machine multiplies it itself and the network gains from it and tolerates it, else
    float32. The rows say which it was. `limit`: only so many examples, drawn by `seed`; a stream of batches comes in
    its own order. `until_ci`: examples come in the random order of `seed`, and a route stops when half the width of the
    interval of the first metric, or of its difference to the intact network, is at most this. `store`: finished trials
    are taken from it and new sums go to it after every batch, so that an interrupted call goes on where it was.
    `progress`: wraps the iteration over batches, as `tqdm` does.

    Means that routes put in the place of branches, and that the network does not hold, are first computed over up to
    256 of the examples, and it holds them afterwards.

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
    sample = Sample.of(
        data,
        limit=limit,
        seed=seed,
        batch_size=batch_size,
        device=device,
        precision=precision,
        compile=compile,
    )
    net = network_for(net, sample.data)
    measured = Output.of(output).chosen_from(net.outputs, net.name)
    check_outputs(found, measured.n_classes(net.outputs), measured)
    _check_options(confidence, until_ci)
    trials = _trials(routes)
    distinct = _checked(net, trials)
    hold_means_for(net, distinct, sample)
    bench = Bench(net, device=sample.device, compile=sample.compile)
    is_random = until_ci is not None or sample.limit is not None
    size = (
        forward_batch_size(bench.device, net.n_output_values)
        if sample.batch_size is None
        else sample.batch_size
    )
    batches = sample.batches(size, is_random=until_ci is not None, needs_order=until_ci is not None)
    identity = identity_of(net, batches, is_kept=store is not None)
    begun = None if store is None else precision_begun(store, identity["network"])
    used = bench.choose_precision(sample.precision, batches, begun=begun)
    settings = {
        "metrics": list(names),
        "output": str(measured),
        "precision": used,
        "device": bench.device.type,
        "compile": sample.compile,
        "batch_size": int(size),
        "limit": None if sample.limit is None else int(sample.limit),
        "until_ci": until_ci,
        "confidence": confidence if until_ci is not None else None,
        "seed": int(sample.seed) if is_random else None,
    }
    companion = None if until_ci is None else net.full_route
    measurement = _Evaluation(
        distinct, trials, found, measured, _StoppingRule(until_ci, confidence), batches.name, companion
    )
    ledger = open_ledger(store, net, identity, distinct, settings, companion=companion)
    about = {
        "output": str(measured),
        "seed": sample.seed,
        "precision": used,
        "confidence": confidence,
        **identity,
    }
    return run(measurement, bench, batches, about, ledger=ledger, progress=progress)


def _check_options(confidence: float, until_ci: float | None) -> None:
    if not 0 < confidence < 1:
        raise EvaluationError(f"The confidence is {confidence}; give a number between 0 and 1, such as 0.95.")
    check_half_width(until_ci)


def _trials(routes: Iterable[Route | Trial]) -> list[Trial]:
    given = at_most(as_routes(routes), MOST_ROUTES, "routes")
    return [route if isinstance(route, Trial) else Trial(as_route(route)) for route in given]


def _checked(net: UnraveledNetwork, trials: Sequence[Trial]) -> list[Route]:
    """List the distinct routes, the intact one first, after checking that each fits."""
    distinct = dict.fromkeys([net.full_route, *(trial.route for trial in trials)])
    return [net.check(route) for route in distinct]


@dataclass(frozen=True)
class _StoppingRule:
    """When a route has been measured well enough."""

    until_ci: float | None
    confidence: float

    def is_met(self, metric: Metric, sums: Sums) -> bool:
        if self.until_ci is None or not sums.added["n_predictions"]:
            return False
        found = estimate(metric, sums, self.confidence)
        return min(found.interval.half_width, found.difference_interval.half_width) <= self.until_ci


@dataclass(frozen=True)
class _Evaluation(Measurement):
    """Metrics of routes: `trials` are the distinct ones, the intact one first, and `asked` what rows are made of."""

    trials: Sequence[Route]
    asked: Sequence[Trial]
    metrics: Sequence[Metric]
    output: Output
    rule: _StoppingRule
    data_name: str
    companion: Route | None

    @property
    def intact(self) -> Route:
        return self.trials[0]

    def begin(self, net: UnraveledNetwork, shard: Shard) -> None:
        """Say where modules are changed that the measured output does not depend on; one that is alone does."""
        if len(net.outputs) > 1:
            changed = {
                visit.module
                for route in self.trials
                for step in set(route.steps) ^ set(self.intact.steps)
                for visit in step.visits
            }
            inputs = part_of((shard.inputs, None), 0, 1)[0]
            remark = changed_in_vain(net, inputs, self.output.key, changed)
            if remark:
                _log.warning(remark)

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> Mapping[Route, Sums]:
        _check_targets(self.metrics, shard.targets)
        values, not_finite = self._values(net, trials, shard.inputs, shard.targets)
        intact = values[self.intact].double()
        return {route: self._sums(values[route].double(), intact, int(not_finite[route])) for route in trials}

    def _sums(self, own: Tensor, intact: Tensor, n_not_finite: int) -> Sums:
        counts = {"n_predictions": own.shape[1], "n_not_finite": n_not_finite}
        return Sums({**counts, **sums_of(self.metrics, own, intact)})

    @property
    def _names(self) -> list[str]:
        """Name the numbers that are kept of a route, in their order."""
        return ["n_predictions", "n_not_finite", *names_of_sums(self.metrics)]

    def has_form(self, sums: Sums) -> bool:
        return list(sums.added) == self._names

    def is_known(self, sums: Sums) -> bool:
        return self.rule.is_met(self.metrics[0], sums)

    def _values(
        self, net: UnraveledNetwork, due: Sequence[Route], inputs: Any, targets: Tensor | None
    ) -> tuple[dict[Route, Tensor], dict[Route, Tensor]]:
        """Compute the metrics of each route, one value a prediction: shape (metrics, predictions)."""
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
            return as_outputs(
                returned,
                targets,
                intact_NC,
                output=self.output,
                name=self.data_name,
                needs_targets=any(metric.needs_targets for metric in self.metrics),
            )
        except UnknownNameError as error:
            raise EvaluationError(
                f"The output {self.output.key} is not computed on a route: it tells of the inside of a residual module "
                "that the route leaves out. Choose another output, or routes that keep this module."
            ) from error

    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        """Make the rows of the trials that have been measured at least in part."""
        intact = tallies[self.intact]
        if intact.complete and not intact.sums.added["n_predictions"]:
            raise EvaluationError(
                f"No prediction of {self.data_name} has a target: all targets are {IGNORED_TARGET}, which marks places "
                "without one. Give data with targets."
            )
        begun = [trial for trial in self.asked if tallies[trial.route].sums.added.get("n_predictions", 0) > 0]
        return [self._row(trial, tallies[trial.route]) for trial in begun]

    def _row(self, trial: Trial, tally: Tally) -> Row:
        route, added = trial.route, tally.sums.added
        n = int(added["n_predictions"])
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
            "n_predictions": n,
            "n_not_finite": int(added["n_not_finite"]),
            "complete": tally.complete,
        }
        for metric in self.metrics:
            row |= estimate(metric, tally.sums, self.rule.confidence).columns(metric.name)
        return row


def _lesioned_module(route: Route) -> int | None:
    """The module that is visited in another way than it was made for, where it is exactly one."""
    lesioned = [step.module for step in route.visits if not step.is_plain]
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
