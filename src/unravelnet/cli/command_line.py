"""The commands put together, and what becomes of their errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from unravelnet.cli.guard import run_guarded, without_traceback
from unravelnet.cli.inspect import inspect
from unravelnet.cli.lesion import lesion
from unravelnet.cli.paths import paths
from unravelnet.cli.remarks import libraries_quiet
from unravelnet.cli.report import report
from unravelnet.cli.reproduce import reproduce
from unravelnet.cli.streams import results_apart
from unravelnet.cli.train import train

app = typer.Typer(
    name="unravelnet",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command, short_help in (
    (reproduce, "The paper, end to end: train, delete, reorder, report."),
    (inspect, "What are the residual modules of a model?"),
    (lesion, "What does it cost to delete, reorder, cut skips?"),
    (paths, "Which lengths of paths carry the gradient?"),
    (train, "Train a network, all of it or random routes."),
    (report, "Write the report of a run again."),
):
    app.command(short_help=short_help)(results_apart()(command))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"unravelnet {version('unravelnet')}")
        except PackageNotFoundError:
            typer.echo("unravelnet, not installed")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option(
            "--traceback", help="Show where an error happened. It may stand anywhere on the command line."
        ),
    ] = False,
) -> None:
    """Open any residual network and see it as a collection of paths of many lengths.

    \b
    unravelnet reproduce                               the paper, end to end, on the digits
    unravelnet inspect torchvision:resnet50            the residual modules of a model
    unravelnet lesion runs/net --data digits           what each module is worth
    unravelnet paths runs/net --data digits            the gradient by path length
    unravelnet train resnet20 --data digits --out runs/net
    unravelnet report runs/digits                      the report of a run, made again

    Each command explains itself: unravelnet COMMAND --help.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; errors have become sentences on standard error."""
    words, with_traceback = without_traceback(sys.argv[1:] if arguments is None else arguments)
    with libraries_quiet():
        return run_guarded(
            lambda: app(args=words, prog_name="unravelnet", standalone_mode=False),
            words,
            with_traceback=with_traceback,
        )
