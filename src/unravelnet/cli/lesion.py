"""`unravelnet lesion`: what happens when modules are deleted, reordered, or lose their skip?"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unravelnet.cli.completion import METRICS, complete_names
from unravelnet.cli.interruption import InterruptionError, interruptible
from unravelnet.cli.lesion_results import show
from unravelnet.cli.options import (
    AllowMissingOption,
    CsvOption,
    DataOption,
    JsonOption,
    LimitOption,
    ModelArgument,
    OutputOption,
    PrecisionName,
    PrecisionOption,
    SeedOption,
    WeightsKeyOption,
    WeightsOption,
    names,
    whole_numbers,
)
from unravelnet.cli.progress import batch_bar, working
from unravelnet.cli.results_directory import ResultsDirectory
from unravelnet.errors import unknown_name
from unravelnet.records.files import writable_directory

if TYPE_CHECKING:
    from unravelnet.data import ImageData, TextData
    from unravelnet.measuring.metrics import Metric
    from unravelnet.network import UnraveledNetwork
    from unravelnet.precision import PrecisionChoice
    from unravelnet.records.record import Table
    from unravelnet.records.store import ResultsStore
    from unravelnet.studies import Trial

STUDIES = {
    "delete-each": "delete_each",
    "delete-many": "delete_many",
    "reorder": "reorder",
    "remove-skip": "remove_skip_each",
}
_COUNTS = (1, 2, 3, 5)
_REPEATS = 10
# Studies with random draws.
_DRAWN = ("delete-many", "reorder")


def lesion(
    model: ModelArgument,
    data: DataOption,
    study: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            autocompletion=complete_names(STUDIES),
            help=f"Studies to run, separated by commas: {', '.join(STUDIES)}.",
        ),
    ] = "delete-each",
    metrics: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            autocompletion=complete_names(METRICS),
            help="Metrics, separated by commas: error_rate, top5_error_rate, loss. These need no labels and compare "
            "with the intact network: agreement, kl_divergence, cosine, squared_error.",
        ),
    ] = "error_rate",
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
            help="Number of random draws for each count, for delete-many and reorder. [default: 10]",
            show_default=False,
            min=1,
        ),
    ] = None,
    counts: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="For delete-many, the numbers of modules to delete; for reorder, the numbers of pairs of modules to "
            "swap; separated by commas. [default: 1,2,3,5, or those of them that the network allows]",
        ),
    ] = None,
    seed: SeedOption = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Number of images in a batch. [default: chosen for the device]", min=1
        ),
    ] = None,
    weights: WeightsOption = None,
    weights_key: WeightsKeyOption = None,
    allow_missing: AllowMissingOption = False,
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
    unravelnet lesion runs/net --data digits --until-ci 0.005 --csv > rows.csv
    unravelnet lesion hf:path/to/gpt2 --data book.txt --metrics loss --limit 100
    unravelnet lesion my_model.py:two_heads --data path/to/images --metrics squared_error --output 1

    With --out, an interrupted run continues when the same command is called again, and unravelnet report DIR writes a
    page about it.
    """
    if as_json and as_csv:
        raise typer.BadParameter("give one of the two", param_hint="--json and --csv")
    form = "json" if as_json else "csv" if as_csv else "table"
    chosen, numbers = _studies(study), None if counts is None else whole_numbers(counts, "--counts")
    _check_used(chosen, {"--counts": counts, "--repeats": repeats})
    with interruptible("Nothing had been measured yet."), working(f"opening {model} and {data}"):
        options: dict[str, Any] = {
            "weights": weights,
            "weights_key": weights_key,
            "allow_missing": allow_missing,
            "output": output,
        }
        subject = _Subject.of(model, data, names(metrics), **options)
        net, data_set = subject.net, subject.data
        plans = {name: _trials(name, net, numbers, repeats=repeats or _REPEATS, seed=seed) for name in chosen}
        results = None
        if out is not None:
            results = ResultsDirectory(
                out, net, command="lesion", specification=model, n_classes=data_set.n_classes
            )
    how = _How(output, precision.value, batch_size, None if limit == len(data_set) else limit, until_ci, seed)
    from unravelnet.measuring.evaluation import EvaluationInterrupted

    tables: dict[str, Table] = {}
    try:
        for name, trials in plans.items():
            with interruptible(_what_is_kept(out)):
                tables[name] = _measure(subject, name, trials, how, out)
                if results is not None:
                    results.save(tables[name], name)
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
    data: ImageData | TextData
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
    from unravelnet.records.store import ResultsStore

    opened: contextlib.AbstractContextManager[ResultsStore | None] = (
        contextlib.nullcontext() if out is None else ResultsStore(out)
    )
    with opened as store, batch_bar(f"{subject.net.name}: {name.replace('_', ' ')}") as bar:
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


def _studies(text: str) -> list[str]:
    chosen = names(text)
    for name in chosen:
        if name not in STUDIES:
            raise unknown_name("study", name, STUDIES)
    if not chosen:
        raise typer.BadParameter(f"give one or several of {', '.join(STUDIES)}", param_hint="--study")
    return [STUDIES[name] for name in dict.fromkeys(chosen)]


def _check_used(chosen: list[str], drawn_only: dict[str, object]) -> None:
    """Raise a usage error for an option that none of the chosen studies uses."""
    if any(STUDIES[study] in chosen for study in _DRAWN):
        return
    for option, value in drawn_only.items():
        if value is not None:
            raise typer.BadParameter(
                f"it does nothing without --study {' or '.join(_DRAWN)}. Add one of them, or leave it out.",
                param_hint=option,
            )


def _trials(
    name: str, net: UnraveledNetwork, counts: list[int] | None, *, repeats: int, seed: int
) -> list[Trial]:
    from unravelnet import studies

    if name == "delete_many":
        most = studies.n_eligible(net)
        counts = counts or [count for count in _COUNTS if count <= most] or [1]
        return studies.delete_many(net, counts, repeats=repeats, seed=seed)
    if name == "reorder":
        return studies.reorder(net, counts or _COUNTS, repeats=repeats, seed=seed)
    return studies.delete_each(net) if name == "delete_each" else studies.remove_skip_each(net)


def _what_is_kept(out: Path | None) -> str:
    if out is None:
        return "The rows above are not saved. With --out DIR, an interrupted run can be continued."
    return f"All that was measured is in {out}; the same command continues from there."
