"""`unravelnet prune`: which modules can go, and what is lost without them?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from unravelnet.cli.completion import complete_data, complete_names
from unravelnet.cli.interruption import interruptible
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
)
from unravelnet.cli.progress import batch_bar, working
from unravelnet.cli.prune_results import receipt_of, show
from unravelnet.cli.results_directory import ResultsDirectory
from unravelnet.errors import DataError
from unravelnet.records.files import writable_directory
from unravelnet.registry import METRICS, STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unravelnet.data import Loaded
    from unravelnet.network import UnraveledNetwork
    from unravelnet.pruning.result import PruningResult
    from unravelnet.records.record import Table
    from unravelnet.studies import Unit

STEPS, CURVE, OVERLAP = "pruning", "pruning_curve", "pruning_overlap"


def prune(
    model: ModelArgument,
    data: DataOption,
    strategy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_names(STRATEGIES.names),
            help=f"How to choose modules: {', '.join(STRATEGIES.own)}, or one of an installed package. Some take an "
            "option behind a colon: one_shot:block_influence (a score), beam:8 (a width), evolutionary:200 "
            "(generations).",
        ),
    ] = "greedy",
    n_deleted: Annotated[
        int | None, typer.Option(metavar="N", help="Delete N modules.", min=1, show_default=False)
    ] = None,
    macs: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Delete until at most SHARE of the multiply-accumulate operations is left, such as 0.5.",
        ),
    ] = None,
    parameters: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Delete until at most SHARE of the parameters is left."),
    ] = None,
    latency: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Delete until at most SHARE of the measured time for one input is left."
        ),
    ] = None,
    error_increase: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Add at most POINTS percentage points of error, on the part of the data that modules are chosen on. "
            "[default: 1 if no other budget is given]",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_names(METRICS.names),
            help="Metric to choose modules by, such as loss, error_rate, or, without labels, kl_divergence.",
        ),
    ] = "loss",
    unit: Annotated[
        str,
        typer.Option(
            metavar="UNIT",
            help="What is deleted: module, or block for the blocks of a transformer (attention and MLP together), "
            "which its original class can be without.",
        ),
    ] = "module",
    report_data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            autocompletion=complete_data,
            help="Other data to report on. [default: half of the data, drawn at random with the seed]",
            show_default=False,
        ),
    ] = None,
    compare_data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            autocompletion=complete_data,
            help="Also search on this calibration set, and compare what is deleted. May be given several times.",
            show_default=False,
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(metavar="N", help="Number of random orders to compare the result with.", min=0)
    ] = 10,
    compare: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Other strategies to compare the result with, separated by commas."
        ),
    ] = "",
    output: OutputOption = None,
    limit: LimitOption = None,
    precision: PrecisionOption = PrecisionName.auto,
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
            help="Directory for the tables, the figure, and a receipt with the route.",
        ),
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Find the modules of a model that can be deleted, and measure what is lost without them.

    Nothing is trained. Modules are chosen on one half of the data. Errors are those on the other half.

    \b
    unravelnet prune runs/net --data digits
    unravelnet prune runs/net --data digits --n-deleted 10 --compare one_shot,one_shot:block_influence
    unravelnet prune runs/net --data path/to/cifar10 --macs 0.5 --error-increase 2 --out runs/pruned
    unravelnet prune runs/net --data path/to/cifar10 --compare-data path/to/photographs --n-deleted 6
    unravelnet prune timm:vit_tiny_patch16_224 --data path/to/images --strategy span --n-deleted 4
    unravelnet prune hf:path/to/gpt2 --data book.txt --limit 200 --strategy evolutionary --n-deleted 6
    unravelnet prune hf:path/to/gpt2 --data pairs.jsonl --unit block --n-deleted 6 --batch-size 8

    With --out, unravelnet report DIR writes a page about it.
    """
    if as_json and as_csv:
        raise typer.BadParameter("give one of the two", param_hint="--json and --csv")
    form = "json" if as_json else "csv" if as_csv else "table"
    found_metric = METRICS.find(metric)
    with interruptible("Nothing had been measured yet."), working(f"opening {model} and {data}"):
        from unravelnet.models import load_beside, load_subject
        from unravelnet.pruning.parts import check_alike
        from unravelnet.pruning.strategy import find_strategy

        chosen = find_strategy(strategy)
        options: dict[str, Any] = {
            "weights": weights,
            "weights_key": weights_key,
            "allow_missing": allow_missing,
            "transform": transform.value,
            "output": output,
        }
        net, data_set = load_subject(model, data, needs_classes=found_metric.needs_targets, **options)
        images_for = net if transform == TransformName.model else None
        sets = {data: data_set}
        for name in compare_data or ():
            if name in sets:
                raise DataError(f"The calibration set {name} is given twice. Give each set once.")
            sets[name] = load_beside(model, name, data_set, images_for=images_for)
            check_alike(data_set, sets[name], "compare_data")
        report = None
        if report_data is not None:
            report = load_beside(model, report_data, data_set, images_for=images_for)
        results = None
        if out is not None:
            results = ResultsDirectory(
                out, net, command="prune", specification=model, n_classes=data_set.n_classes
            )
    with interruptible("The search is not finished, so nothing is saved."):
        from unravelnet.pruning.angles import parts_of
        from unravelnet.pruning.calibration import overlap

        asked: dict[str, Any] = {
            "strategy": chosen,
            "n_deleted": n_deleted,
            "macs": macs,
            "parameters": parameters,
            "latency": latency,
            "error_increase": error_increase,
            "metric": metric,
            "unit": unit,
            "report_data": report,
            "n_draws": draws,
            "compare": names(compare),
            "output": output,
            "seed": seed,
            "batch_size": batch_size,
            "precision": precision.value,
        }
        found = _search_on_each(net, sets, limit, asked)
        shared = None
        if len(found) > 1:
            routes = {name: result.route for name, result in found.items()}
            shared = overlap(routes, parts_of(net, cast("Unit", unit)))
        if results is not None and out is not None:
            _save(found, shared, results, out)
    show(found, shared, form, out)


def _search_on_each(
    net: UnraveledNetwork, sets: Mapping[str, Loaded], limit: int | None, asked: dict[str, Any]
) -> dict[str, PruningResult]:
    """Search on each calibration set; only the first result is compared with random orders and other strategies."""
    from unravelnet.pruning.search import prune as search

    found: dict[str, PruningResult] = {}
    for name, data in sets.items():
        about = (
            f"{net.name}: {asked['strategy'].title.lower()} pruning{f' on {name}' if len(sets) > 1 else ''}"
        )
        with batch_bar(about, unit="step") as bar:
            most = None if limit == len(data) else limit
            found[name] = search(net, data, limit=most, progress=bar, **asked)
        asked = {**asked, "n_draws": 0, "compare": ()}
    return found


def _save(
    found: Mapping[str, PruningResult], shared: Table | None, results: ResultsDirectory, out: Path
) -> None:
    """Write tables, figure and receipt."""
    from unravelnet.figures import figure_pruning, save_figure
    from unravelnet.records.record import whole_file

    result = next(iter(found.values()))
    results.save(result.steps, STEPS)
    results.save(result.curve, CURVE)
    if shared is not None:
        results.save(shared, OVERLAP)
    with whole_file(out / f"pruned-{results.name}.json") as path:
        path.write_text(json.dumps(receipt_of(found), indent=2), encoding="utf-8")
    if "error_rate" in result.curve.columns and len(result.curve) > 1:
        save_figure(figure_pruning(result.curve), out / f"pruned-{results.name}.svg", data=result.curve)
