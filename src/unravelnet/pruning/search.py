"""Deletes the modules that carry least: chosen on one part of the data, reported on another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from unravelnet.errors import ArgumentError, EvaluationError, RouteError
from unravelnet.measuring.metrics import Metric, check_outputs, find_metrics
from unravelnet.measuring.runner import Progress
from unravelnet.measuring.sample import Sample, network_for
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import Output, OutputName
from unravelnet.options import also_by_name
from unravelnet.precision import PrecisionChoice
from unravelnet.pruning.angles import Span, parts_of
from unravelnet.pruning.budget import USUAL_ERROR_INCREASE, Budget
from unravelnet.pruning.course import ERROR_RATE, follow
from unravelnet.pruning.evidence import Evidence
from unravelnet.pruning.parts import Parts, ReportPlan, divide
from unravelnet.pruning.reported import Reporter
from unravelnet.pruning.result import PruningResult, Spent
from unravelnet.pruning.sizes import Sizes, latency_shares
from unravelnet.pruning.strategy import Problem, Strategy, find_strategy
from unravelnet.routes.route import Route
from unravelnet.studies.blocks import Unit


@also_by_name("budget", Budget)
@also_by_name("report_plan", ReportPlan)
def prune(
    net: UnraveledNetwork,
    data: Any,
    *,
    strategy: str | Strategy = "greedy",
    budget: Budget | None = None,
    metric: str = "loss",
    unit: Unit = "module",
    report_plan: ReportPlan | None = None,
    output: OutputName = None,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    precision: PrecisionChoice = "float32",
    compile: bool = False,
    progress: Progress | None = None,
) -> PruningResult:
    """Find the modules that can be deleted at least cost, within a budget, and measure what is left.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=14, input_shape=(1, 8, 8), seed=0)
    >>> result = prune(net, "digits", n_deleted=2, limit=100)
    >>> result.route.n_deleted, len(result.steps)
    (2, 3)

    The data is divided by `seed`: modules are chosen on one part, and the errors of `steps` and `curve` are those on
    the other. `report_share`: of the data, to report on; `report_data`: other data to report on instead.

    `budget`: a `Budget`, or its options one by one: `n_deleted` modules are to go; at most the share `macs` of the
    multiply-accumulate operations, `parameters` of the parameters and `latency` of the measured time may be left.
    `error_increase`: at most so many percentage points of error are added, on the part to choose on; 1 where no other
    budget is given. What cannot be reached is said in `shortfall`, beside the best that can.

    `report_plan`: a `ReportPlan` in the place of `report_data`, `report_share`, `n_draws` and `compare`.
    `strategy`: a name of `registry.STRATEGIES`, with its option behind a colon as in "one_shot:first_order", or a
    value. `metric`: what to choose by. `unit`: "block" deletes whole blocks of a transformer, as its original class
    takes them; `n_deleted` counts modules all the same. `n_draws`: random orders of deletion that the curve is compared
    with; `compare`: other strategies by name, measured as far as this one came. The other options: as of `evaluate`.
    On questions with options modules are chosen by how well the network chooses among these.

    Raises ArgumentError for a budget that no network can have, DataError where the parts overlap or the data cannot be
    divided, RouteError where no module can be deleted, and UnknownNameError.
    """
    chosen = find_strategy(strategy)
    budget = Budget() if budget is None else budget
    plan = ReportPlan() if report_plan is None else report_plan
    others = [find_strategy(name) for name in plan.compare]
    sample = Sample.of(
        data,
        limit=limit,
        seed=seed,
        batch_size=batch_size,
        device=device,
        precision=precision,
        compile=compile,
    )
    measured_on = network_for(net, sample.data)
    candidates = parts_of(measured_on, unit)
    if not candidates:
        raise RouteError(
            f"{net.title} has no residual {unit} that can be deleted: none has a skip, or the shape of its input. "
            "There is nothing to prune."
        )
    parts = divide(sample, report_data=plan.report_data, report_share=plan.report_share)
    problem = _problem(measured_on, sample, parts, metric, output, budget, candidates)
    course = follow(problem, chosen, progress)
    spent = _spent(problem)
    measured = replace(sample, data=parts.report, limit=None, precision=problem.evidence.bench.precision)
    reporter = Reporter(problem, measured)
    found = course.result
    return PruningResult(
        net if found is None or found.cut.patched is None else found.cut.patched.net,
        problem.full if found is None else found.cut.route,
        reporter.steps(chosen, course),
        reporter.curve(chosen, course, n_draws=plan.n_draws, compare=others),
        chosen,
        problem.budget,
        course.shortfall,
        spent,
        parts.report.unit,
        parts.selection.name,
    )


def _problem(
    net: UnraveledNetwork,
    sample: Sample,
    parts: Parts,
    metric: str,
    output: OutputName,
    budget: Budget,
    candidates: Sequence[Span],
) -> Problem:
    measured = Output.of(output).chosen_from(net.outputs, net.name)
    n_classes = measured.n_classes(net.outputs)
    metrics = _metrics(metric, has_targets=_has_targets(parts), has_classes=n_classes > 1)
    check_outputs(metrics, n_classes, measured)
    knows_errors = any(found.name == ERROR_RATE for found in metrics)
    if not budget.has_target and budget.error_increase is None and knows_errors:
        budget = replace(budget, error_increase=USUAL_ERROR_INCREASE)
    if (budget.error_increase is not None and not knows_errors) or not (budget.has_target or knows_errors):
        raise ArgumentError(
            f"{parts.selection.name} and the output {str(measured)!r} give no errors, so error_increase cannot end the "
            "search. Say how far to go: n_deleted, macs, parameters or latency."
        )
    evidence = Evidence.on(net, parts.selection, metrics, measured, sample)
    bench, example = evidence.bench, evidence.one_example()
    sizes = Sizes(bench.net, example)
    latency_of = None
    if budget.latency is not None:

        def latency_of(route: Route) -> float:
            return latency_shares(bench, [net.full_route, route], example)[1]

    blocks = {part[0]: part for part in candidates}
    return Problem(net, evidence, sizes, budget, tuple(blocks), int(sample.seed), latency_of, blocks)


def _metrics(name: str, *, has_targets: bool, has_classes: bool) -> tuple[Metric, ...]:
    """List the metric to choose by, and error and loss where they can be measured."""
    beside = [ERROR_RATE, "loss"] if has_targets and has_classes else []
    metrics = find_metrics(dict.fromkeys([name, *beside]))
    if metrics[0].is_exponential:
        raise EvaluationError(
            f"Modules are chosen by sums over predictions, and {name} is the exponential of a mean. Choose by loss, "
            "which orders routes as it does."
        )
    return metrics


def _has_targets(parts: Parts) -> bool:
    return all(part.gather(torch.arange(1))[1] is not None for part in (parts.selection, parts.report))


def _spent(problem: Problem) -> Spent:
    evidence = problem.evidence
    n_images = evidence.n_images
    return Spent(
        evidence.n_evaluations / n_images, evidence.n_branches / n_images / len(problem.net.residual_modules)
    )
