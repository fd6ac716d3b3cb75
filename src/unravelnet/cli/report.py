"""`unravelnet report`: the report of a run, made again from its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import JsonOption
from unravelnet.cli.output import print_json, print_line


def report(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A directory that reproduce, or lesion or paths with --out, wrote."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Write DIR/report.html from what a run left in DIR: one file that needs no network.

    \b
    unravelnet report runs/digits
    unravelnet report runs/digits --json
    """
    from unravelnet.reporting import report as write_report

    with interruptible(f"The tables in {directory} are as they were."):
        path = write_report(directory)
    if as_json:
        print_json({"report": str(path)})
    else:
        print_line(f"Report: {path}")
