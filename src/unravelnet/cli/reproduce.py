"""`unravelnet reproduce`: the paper, end to end."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from unravelnet.cli.completion import complete_data, complete_model, complete_names
from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import (
    DATA_FORMS,
    JsonOption,
    PrecisionName,
    PrecisionOption,
    SeedOption,
    WeightsKeyOption,
    WeightsOption,
    whole_numbers,
)
from unravelnet.cli.output import print_json, print_line, print_table
from unravelnet.cli.progress import run_bars
from unravelnet.cli.studies import chosen_studies, every_option_name
from unravelnet.records.files import writable_directory

if TYPE_CHECKING:
    from unravelnet.records.record import Row

_TOP5 = "top5_error_rate"
_AS_BEFORE = "[default: as in the run in DIR, else chosen for the networks and the size of the images]"


def reproduce(
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            autocompletion=complete_data,
            help=f"Data to train and to measure on: {DATA_FORMS}.",
        ),
    ] = "digits",
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="Repeat these figures of the paper only, separated by commas: 3, 4, 5, 6 or 8. Figure 4 needs "
            "--model. [default: all that can be measured]",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            autocompletion=complete_model,
            help="Study this trained model in the place of the networks of the paper, as in inspect. Images are "
            "resized, cut and normalised as those that it was trained for. [default: the networks of the paper]",
        ),
    ] = None,
    weights: WeightsOption = None,
    weights_key: WeightsKeyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=writable_directory,
            help="Directory for all results. [default: runs/NAME-OF-DATA, or runs/NAME-OF-DATA-quick with --quick]",
        ),
    ] = None,
    quick: Annotated[
        bool | None,
        typer.Option(
            "--quick",
            help="Run the same studies with wider intervals, on at most 1,000 images, 250 images per random draw, 10 "
            "draws for each of 8 counts and a quarter of the gradients. Options given explicitly take precedence. "
            "[default: as in the run in DIR, else the full studies]",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train the networks for N epochs each. [default: as in the run in DIR, else the trained networks of "
            "the package if there are some for DATA, else 8 epochs for images smaller than 32x32, and 30 for others]",
            min=1,
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of test images for the studies that change one module at a time. Each random draw uses half "
            "of them if the images are smaller than 32x32, else an eighth, at least 250 and at most 1,000. "
            f"{_AS_BEFORE}",
            min=1,
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=f"Number of random draws for each number of deletions or swaps. {_AS_BEFORE}",
            min=1,
        ),
    ] = None,
    until_ci: Annotated[
        float | None,
        typer.Option(
            metavar="WIDTH",
            help="Stop a random draw when half the width of its 95 % interval is at most WIDTH, such as 0.03. "
            "[default: as in the run in DIR, else every draw uses all its images]",
            min=0.0,
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            autocompletion=complete_names(every_option_name),
            help="More studies of each network whose modules are deleted, separated by commas, such as delete-pairs or "
            "those of installed packages. [default: none]",
        ),
    ] = None,
    precision: PrecisionOption = PrecisionName.auto,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Repeat the lesion studies of "Residual Networks Behave Like Ensembles of Relatively Shallow Networks".

    The networks are a pre-activation ResNet-110 (54 residual modules), the same network trained on random routes, and
    a VGG-15. The package contains these networks trained on CIFAR-10, and others to compare. For other data, and with
    --epochs, the networks are trained first. The studies delete each module, delete several modules, reorder modules,
    remove each skip and split the gradient by path length. One report shows the results. Results that are in DIR
    already are used: a run that was interrupted continues when the same command is called again.

    \b
    unravelnet reproduce
    unravelnet reproduce --data path/to/cifar10 --quick
    unravelnet reproduce --data path/to/cifar10 --out runs/c10
    unravelnet reproduce --data cifar10 --epochs 2 --out runs/c10-trained
    unravelnet reproduce --data path/to/images --epochs 60 --images 10000 --repeats 50
    unravelnet reproduce --figure 4 --model torchvision:resnet50 --weights resnet50.pth --data path/to/imagenet
    unravelnet reproduce --study delete-pairs,repeat-spans --out runs/digits-pairs
    unravelnet reproduce --out runs/digits --json
    """
    from unravelnet.reproduction.directory import default_directory

    _check_model(model, weights=weights, weights_key=weights_key)
    paper_figures = [] if figure is None else whole_numbers(figure, "--figure")

    studies = [] if study is None else [found.name for found in chosen_studies(study)]
    directory = out or writable_directory(default_directory(data, quick=bool(quick)))
    kept = f"All that was finished is in {directory}; the same command continues from there."
    with interruptible(kept):
        from unravelnet.reproduction import GivenModel
        from unravelnet.reproduction import reproduce as run

        with run_bars() as show:
            path = run(
                data,
                directory,
                quick=quick,
                epochs=epochs,
                images=images,
                repeats=repeats,
                until_ci=until_ci,
                studies=studies,
                model=None if model is None else GivenModel(model, str(weights or ""), weights_key or ""),
                paper_figures=paper_figures,
                precision=precision.value,
                seed=seed,
                command=["unravelnet", *sys.argv[1:]],
                on_progress=show,
            )
    summary = _summary(directory)
    if as_json:
        tables = sorted(str(table) for table in (directory / "tables").rglob("*.csv"))
        print_json({"report": str(path), "networks": summary, "tables": tables})
        return
    if summary:
        _print_summary(summary)
        print_line()
    print_line(f"Report: {path}")


def _check_model(model: str | None, **of_weights: object) -> None:
    """Raise a usage error for weights without a model that they could belong to."""
    for name, value in of_weights.items():
        if model is None and value is not None:
            raise typer.BadParameter(
                "it does nothing without --model. Name the model that the weights belong to.",
                param_hint=f"--{name.replace('_', '-')}",
            )


def _summary(directory: Path) -> list[dict[str, object]]:
    """Say of each network whose modules were deleted one by one what that does to it."""
    from unravelnet.records.record import load_table
    from unravelnet.reproduction.directory import read_networks, table_path

    summary = []
    for entry in read_networks(directory):
        path = table_path(directory, entry["name"], "delete_each")
        if not path.exists():
            continue
        rows = load_table(path)
        after = [float(str(row["error_rate"])) for row in rows if row["module"] is not None]
        summary.append(
            {
                "name": entry["name"],
                "title": entry["title"],
                "n_modules": entry["n_modules"],
                "n_images": rows[0]["n_images"],
                "error_rate": rows[0]["error_rate"],
                **_top5(rows[0]),
                "median_error_rate_one_deleted": median(after),
                "largest_error_rate_one_deleted": max(after),
            }
        )
    return summary


def _top5(intact: Row) -> dict[str, object]:
    """Give the top-5 error of the intact network, where it was measured."""
    return {name: intact[name] for name in (_TOP5,) if name in intact}


def _print_summary(summary: list[dict[str, object]]) -> None:
    with_top5 = any(_TOP5 in network for network in summary)
    columns = [
        *("network", "modules", "error, intact"),
        *(["top-5 error, intact"] if with_top5 else []),
        *("one deleted: median", "largest", "n (images)"),
    ]
    rows = [
        [
            str(network["title"]),
            str(network["n_modules"]),
            *(f"{float(str(value)):.1%}" for name, value in network.items() if "error_rate" in name),
            f"{int(str(network['n_images'])):,}",
        ]
        for network in summary
    ]
    print_table("Error rates", columns, rows)
