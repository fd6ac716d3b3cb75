"""`unravelnet importance`: how much does each module matter, and which score knows?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unravelnet.cli.completion import complete_names
from unravelnet.cli.importance_results import show
from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import (
    AllowMissingOption,
    CsvOption,
    DataOption,
    JsonOption,
    LimitOption,
    ModelArgument,
    OutputOption,
    SeedOption,
    TransformName,
    TransformOption,
    WeightsKeyOption,
    WeightsOption,
    names,
)
from unravelnet.cli.progress import batch_bar, working
from unravelnet.cli.results_directory import ResultsDirectory
from unravelnet.errors import unknown_name
from unravelnet.records.files import writable_directory
from unravelnet.registry import SCORES

_USUAL = "deletion_error_rate,deletion,first_order,first_order_odds,block_influence,relative_magnitude"


def importance(
    model: ModelArgument,
    data: DataOption,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            autocompletion=complete_names(lambda: [name.replace("_", "-") for name in SCORES.names()]),
            help="Scores, separated by commas: deletion and deletion-error-rate (exact effects on loss and error), "
            "first-order, first-order-odds, block-influence, angular-distance, relative-magnitude, gradient-cosine, "
            "path-gradient-share, or the name of a package's own.",
        ),
    ] = _USUAL.replace("_", "-"),
    until_ci: Annotated[
        float | None,
        typer.Option(
            "--until-ci",
            metavar="WIDTH",
            help="Estimate the effects of deletions: stop a module when half the width of the interval of the first "
            "effect is at most this. [default: all images]",
        ),
    ] = None,
    until_decided: Annotated[
        float | None,
        typer.Option(
            "--until-decided",
            metavar="THRESHOLD",
            help="Estimate the effects of deletions: stop a module when its first effect is surely above or below "
            "this, or when all images would not decide it; 0.01 is one point of error. [default: all images]",
        ),
    ] = None,
    output: OutputOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="Number of images in a batch. [default: 128]", min=1)
    ] = None,
    weights: WeightsOption = None,
    weights_key: WeightsKeyOption = None,
    allow_missing: AllowMissingOption = False,
    transform: TransformOption = TransformName.data,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=writable_directory, help="Directory for the tables."),
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Score how much each residual module matters, and compare the scores with what a deletion costs.

    \b
    unravelnet importance runs/net --data digits
    unravelnet importance zoo:preact-resnet56-cifar10 --data path/to/cifar10 --limit 1000 --out runs/importance
    unravelnet importance runs/net --data digits --methods deletion,block-influence,angular-distance
    unravelnet importance runs/net --data digits --until-decided 0.01
    unravelnet importance hf:path/to/gpt2 --data book.txt --limit 32 --methods deletion,block-influence --json

    Everything is measured in float32. With --out, unravelnet report DIR writes a page about it.
    """
    if as_json and as_csv:
        raise typer.BadParameter("give one of the two", param_hint="--json and --csv")
    form = "json" if as_json else "csv" if as_csv else "table"
    chosen = _methods(methods)
    options: dict[str, Any] = {
        "weights": weights,
        "weights_key": weights_key,
        "allow_missing": allow_missing,
        "transform": transform.value,
        "output": output,
    }
    with interruptible("Nothing had been measured yet."), working(f"opening {model} and {data}"):
        from unravelnet.models import load_subject
        from unravelnet.pruning.importance import importance as score

        net, examples = load_subject(model, data, needs_classes=True, **options)
        results = None
        if out is not None:
            results = ResultsDirectory(
                out, net, command="importance", specification=model, n_classes=examples.n_classes
            )
    with interruptible("The measurement was not finished, so nothing is saved."), batch_bar(net.name) as bar:
        table = score(
            net,
            examples,
            methods=chosen,
            output=output,
            limit=None if limit == len(examples) else limit,
            batch_size=batch_size,
            until_ci=until_ci,
            until_decided=until_decided,
            seed=seed,
            progress=bar,
        )
    if results is not None:
        results.save(table, "importance")
        if len(table.correlations):
            results.save(table.correlations, "importance_correlations")
    show(table, net, examples.unit, form)


def _methods(text: str) -> list[str]:
    known = {name.replace("_", "-"): name for name in SCORES.names()}
    chosen = []
    for name in names(text):
        found = known.get(name.replace("_", "-"))
        if found is None:
            raise unknown_name("score", name, known)
        chosen.append(found)
    if not chosen:
        raise typer.BadParameter(f"give one or several of {', '.join(known)}", param_hint="--methods")
    return list(dict.fromkeys(chosen))
