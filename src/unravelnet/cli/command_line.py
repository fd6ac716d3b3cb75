"""The commands put together, and what becomes of their errors."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from unravelnet.cli.export import export
from unravelnet.cli.guard import run_guarded, without_traceback
from unravelnet.cli.heal import heal
from unravelnet.cli.importance import importance
from unravelnet.cli.inspect import inspect
from unravelnet.cli.lesion import lesion
from unravelnet.cli.paths import paths
from unravelnet.cli.prune import prune
from unravelnet.cli.remarks import libraries_quiet
from unravelnet.cli.report import report
from unravelnet.cli.reproduce import reproduce
from unravelnet.cli.streams import results_apart
from unravelnet.cli.train import train
from unravelnet.errors import UnforeseenError

app = typer.Typer(
    name="unravelnet",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _by_itself(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command end by its own will only, and with nothing but its results on standard output."""

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        with results_apart():
            try:
                command(*args, **options)
            except SystemExit as error:
                raise UnforeseenError(
                    f"{command.__name__} was ended by code that it ran, which called sys.exit({error.code!r})."
                ) from error

    return run


for command, short_help in (
    (reproduce, "Repeat the studies of the paper and write a report."),
    (inspect, "List the residual modules of a model."),
    (lesion, "Delete and reorder modules, remove skips, measure the error."),
    (paths, "Split the gradient by path length."),
    (importance, "Score how much each module matters."),
    (prune, "Find the modules that can be deleted."),
    (heal, "Train what pruning has left of a model."),
    (train, "Train a zoo network, as a whole or on random routes."),
    (export, "Write a model without some of its modules, for others to use."),
    (report, "Write the report of a run again."),
):
    app.command(short_help=short_help)(_by_itself(command))


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
    """Open any residual network and study it as a collection of paths of many lengths.

    \b
    unravelnet reproduce                               the studies of the paper, on the digits
    unravelnet inspect torchvision:resnet50            the residual modules of a model
    unravelnet lesion runs/net --data digits           the error without each module
    unravelnet paths runs/net --data digits            the gradient by path length
    unravelnet prune runs/net --data digits            the modules that can go
    unravelnet heal runs/net --data digits --route runs/pruned --out runs/healed
    unravelnet train resnet20 --data digits --out runs/net
    unravelnet export runs/net --route 0-2,3s,4-8 --out small    a smaller model
    unravelnet report runs/digits                      the report of a run, written again

    unravelnet COMMAND --help explains a command.
    """


@functools.cache
def _command() -> Callable[..., object]:
    # Called by itself, the app reads the signatures of all commands anew.
    return typer.main.get_command(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; errors have become sentences on standard error."""
    words, with_traceback = without_traceback(sys.argv[1:] if arguments is None else arguments)
    with libraries_quiet():
        return run_guarded(
            lambda: _command()(args=words, prog_name="unravelnet", standalone_mode=False),
            words,
            with_traceback=with_traceback,
        )
