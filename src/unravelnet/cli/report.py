"""`unravelnet report`: the report of a run, made again from its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import JsonOption
from unravelnet.cli.output import print_json, print_line
from unravelnet.cli.progress import working
from unravelnet.records.files import usable_path, writable_file


def report(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            parser=usable_path,
            help="Directory written by reproduce, or by lesion, paths, importance or prune with --out.",
        ),
    ],
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=writable_file,
            help="Also write the report to this Markdown file; of a reproduction, the claims and the trained networks.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write DIR/report.html from the tables in DIR. It is one file that needs no network connection.

    \b
    unravelnet report runs/digits
    unravelnet report results/reproduction --markdown docs/reproduction.md
    unravelnet report runs/digits --json
    """
    from unravelnet.reporting import report as write_report
    from unravelnet.reporting import report_markdown

    with (
        interruptible(f"The tables in {directory} are unchanged."),
        working(f"writing the report of {directory}"),
    ):
        written = {"report": write_report(directory)}
        if markdown is not None:
            written["markdown"] = report_markdown(directory, markdown)
    if as_json:
        print_json({name: str(path) for name, path in written.items()})
    else:
        for name, path in written.items():
            print_line(f"{name.capitalize()}: {path}")
