"""`unravelnet reproduce`: the paper, end to end."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import DATA_HELP, JsonOption, PrecisionName, SeedOption
from unravelnet.cli.output import print_json, print_line, print_table
from unravelnet.cli.progress import run_bars
from unravelnet.cli.streams import note
from unravelnet.escaping import for_terminal
from unravelnet.files import writable_directory

_AS_BEFORE = "[default: as in the run that is in DIR, else by the networks and the size of the images]"


def reproduce(
    data: Annotated[str, typer.Option(metavar="DATA", help=DATA_HELP)] = "digits",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=writable_directory,
            help="Where everything goes. [default: runs/NAME-OF-DATA, for a quick run runs/NAME-OF-DATA-quick]",
        ),
    ] = None,
    quick: Annotated[
        bool | None,
        typer.Option(
            "--quick",
            help="The same studies and the same report with wider intervals: at most 1,000 images, 250 of them a draw, "
            "10 draws for each of 8 counts, a quarter of the gradients. Other options win. [default: as in the run "
            "that is in DIR, else in full]",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train networks, for so many epochs each. [default: as in the run that is in DIR, else shipped "
            "networks where there are some for DATA, and 10 or 30 epochs where there are none]",
            min=1,
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Test images for the studies that change one module at a time. A random draw takes half of them where "
            "they are small. Where they are large, it takes an eighth, from 250 to 1,000: 1,000 give an error rate "
            f"within 2 to 3 points. {_AS_BEFORE}",
            min=1,
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N", help=f"Random draws for each count of deletions or swaps. {_AS_BEFORE}", min=1
        ),
    ] = None,
    until_ci: Annotated[
        float | None,
        typer.Option(
            metavar="WIDTH",
            help="Stop a random draw once half its interval is this narrow, such as 0.03, after as many images as that "
            "needs. [default: as in the run that is in DIR, else each draw takes its images]",
            min=0.0,
        ),
    ] = None,
    precision: Annotated[
        PrecisionName | None, typer.Option(help=f"Of training and studies. {_AS_BEFORE}")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Repeat the lesion studies of "Residual Networks Behave Like Ensembles of Relatively Shallow Networks".

    For CIFAR-10 the networks are shipped, already trained: a pre-activation ResNet-110 (54 residual modules), the
    same trained on 23 of them at a time and with stochastic depth, a VGG-15 and others to compare. For other data, and
    with --epochs, a ResNet-110, one with stochastic depth and a VGG-15 are trained first. Then deletes each module,
    deletes many, reorders, removes each skip, splits gradients by path length; writes one report. Whatever is in DIR
    already is used: a run that was stopped anywhere goes on when it is called again.

    \b
    unravelnet reproduce
    unravelnet reproduce --data path/to/cifar10 --quick
    unravelnet reproduce --data path/to/cifar10 --out runs/c10
    unravelnet reproduce --data cifar10 --epochs 2 --out runs/c10-trained
    unravelnet reproduce --data path/to/images --epochs 60 --images 10000 --repeats 50
    unravelnet reproduce --out runs/digits --json
    """
    # Before torch is imported, which takes seconds.
    note(f"Repeats the paper on {for_terminal(data)}. How long that takes follows when the data is read.")
    from unravelnet.reproduction.directory import default_directory

    directory = out or writable_directory(default_directory(data, quick=bool(quick)))
    kept = f"All that was finished is in {directory}; the same command goes on from there."
    with interruptible(kept):
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
                precision=None if precision is None else precision.value,
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


def _summary(directory: Path) -> list[dict[str, object]]:
    """Say of each network whose modules were deleted one by one what that does to it."""
    from unravelnet.record import load_table
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
                "median_error_rate_one_deleted": median(after),
                "largest_error_rate_one_deleted": max(after),
            }
        )
    return summary


def _print_summary(summary: list[dict[str, object]]) -> None:
    columns = ("network", "modules", "error, intact", "one deleted: median", "largest", "n (images)")
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
