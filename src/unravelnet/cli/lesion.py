"""`unravelnet lesion`: what happens when modules are deleted, reordered, or lose their skip?"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unravelnet.cli.interruption import InterruptionError, interruptible
from unravelnet.cli.options import (
    DATA_HELP,
    JsonOption,
    ModelArgument,
    PrecisionName,
    SeedOption,
    WeightsOption,
    names,
    whole_numbers,
)
from unravelnet.cli.output import print_csv, print_json, print_line, print_table
from unravelnet.cli.progress import batch_bar
from unravelnet.errors import unknown_name

if TYPE_CHECKING:
    from unravelnet.network import UnraveledNetwork
    from unravelnet.record import Row, Table
    from unravelnet.studies import Trial

STUDIES = ("delete-each", "delete-many", "reorder", "remove-skip")
_COUNTS = "1,2,3,5,7,10,15,20"


def lesion(
    model: ModelArgument,
    data: Annotated[str, typer.Option(help=f"Images to measure on: {DATA_HELP}")],
    study: Annotated[
        str, typer.Option(metavar="NAMES", help=f"One or several of {', '.join(STUDIES)}.")
    ] = "delete-each",
    metrics: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="error_rate, top5_error_rate, loss; against the intact network, without labels: agreement, "
            "kl_divergence, cosine.",
        ),
    ] = "error_rate",
    limit: Annotated[
        int | None, typer.Option(help="Measure on this many images, drawn by the seed; all if left out.", min=1)
    ] = None,
    precision: Annotated[PrecisionName, typer.Option(help="Precision of the arithmetic.")] = (
        PrecisionName.float32
    ),
    until_ci: Annotated[
        float | None,
        typer.Option(
            metavar="WIDTH", help="Stop a route once half its interval is this narrow, such as 0.005.", min=0.0
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Random draws for each count.", min=1)] = 10,
    counts: Annotated[
        str, typer.Option(metavar="NUMBERS", help="How many modules to delete, or pairs to swap.")
    ] = _COUNTS,
    seed: SeedOption = 0,
    batch_size: Annotated[int | None, typer.Option(help="Images at a time.", min=1)] = None,
    weights: WeightsOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep tables and sums here, and go on from what is there.")
    ] = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV and nothing else.")] = False,
) -> None:
    """Measure what deleting, reordering and cutting skips does to the error of a model. Nothing is trained.

    \b
    unravelnet lesion runs/net --data digits
    unravelnet lesion runs/net --data digits --study delete-many,reorder --counts 1,5,10 --repeats 20
    unravelnet lesion my_model.py:make_model --weights trained.safetensors --data path/to/cifar10 \\
        --limit 2000 --precision bfloat16 --out runs/mine
    unravelnet lesion timm:resnet18 --weights mine.pt --data path/to/images --metrics error_rate,loss --json
    unravelnet lesion runs/net --data digits --until-ci 0.005 --csv > rows.csv

    With --out, a run that was stopped goes on when it is called again, and `unravelnet report DIR` makes a page.
    """
    if as_json and as_csv:
        raise typer.BadParameter("give one of the two", param_hint="--json and --csv")
    chosen, wanted = _studies(study), whole_numbers(counts, "--counts")
    from unravelnet.data import load
    from unravelnet.evaluation import EvaluationInterrupted, evaluate
    from unravelnet.metrics import find_metrics
    from unravelnet.models import check_fits, load_network
    from unravelnet.record import ResultsStore

    measured = find_metrics(names(metrics))
    images = load(data)
    net = load_network(model, data=images, weights=weights)
    check_fits(net, images, needs_classes=any(metric.needs_targets for metric in measured))
    plans = {name: _trials(name, net, wanted, repeats=repeats, seed=seed) for name in chosen}
    tables: dict[str, Table] = {}
    results = None if out is None else _Results(out, net, model)
    with contextlib.ExitStack() as stack:
        store = None if out is None else stack.enter_context(ResultsStore(out))
        for name, trials in plans.items():
            with batch_bar(f"{net.name}: {name}") as bar:
                try:
                    tables[name] = evaluate(
                        net,
                        trials,
                        images,
                        metrics=[metric.name for metric in measured],
                        precision=precision.value,
                        batch_size=batch_size,
                        limit=limit if limit != len(images) else None,
                        until_ci=until_ci,
                        seed=seed,
                        store=store,
                        progress=bar,
                    )
                except EvaluationInterrupted as error:
                    tables[name] = error.table
                    _show(net, tables, images.name, out, as_json=as_json, as_csv=as_csv)
                    raise InterruptionError(_kept(out)) from error
            if results is not None:
                results.save(name, tables[name], n_classes=images.n_classes)
    _show(net, tables, images.name, out, as_json=as_json, as_csv=as_csv)
