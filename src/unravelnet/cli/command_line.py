"""The commands put together, and what becomes of their errors."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from unravelnet.cli.inspect import inspect
from unravelnet.cli.interruption import InterruptionError
from unravelnet.cli.lesion import lesion
from unravelnet.cli.paths import paths
from unravelnet.cli.report import report
from unravelnet.cli.reproduce import reproduce
from unravelnet.cli.train import train
from unravelnet.errors import UnravelError

_MISUSE, _FAILURE, _INTERRUPTED = 2, 1, 130
# What the machine refuses, whatever the user asked for.
_MACHINE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE})
_NO_SPACE = os.strerror(errno.ENOSPC)
_MACHINE_SQLITE_ERRORS = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY})

app = typer.Typer(
    name="unravelnet",
    no_args_is_help=True,
    add_completion=False,
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
    app.command(short_help=short_help)(command)


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


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; errors have become sentences on standard error."""
    _show_remarks()
    try:
        status = app(
            args=None if arguments is None else list(arguments), prog_name="unravelnet", standalone_mode=False
        )
    except typer.TyperException as error:
        return _complain(_usage(error), error.exit_code)
    except typer.Abort:
        return _complain("Interrupted.", _INTERRUPTED)
    except InterruptionError as error:
        return _complain(str(error), _INTERRUPTED)
    except KeyboardInterrupt:
        return _complain("Interrupted.", _INTERRUPTED)
    except UnravelError as error:
        return _complain(str(error), _FAILURE if _is_failure(error) else _MISUSE)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}.", _FAILURE if _is_failure(error) else _MISUSE)
    if status == _INTERRUPTED:
        # Typer turns Ctrl-C into this status without a word.
        return _complain("Interrupted.", _INTERRUPTED)
    return status if isinstance(status, int) else 0


def _complain(sentence: str, status: int) -> int:
    typer.echo(f"unravelnet: {sentence}", err=True)
    return status


def _usage(error: typer.TyperException) -> str:
    """Say in a sentence what is wrong with the words of the command line, and where help is."""
    text = error.format_message()
    if "\n\n" in text:  # the help itself, where no command was given
        return f"No command was given.\n{text}"
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "unravelnet"
    sentence = " ".join(text.replace("Value error, ", "").split())
    return f"{sentence}{'' if sentence.endswith(('.', '?')) else '.'} See: {command} --help."


def _is_failure(error: BaseException | None) -> bool:
    """Whether the machine is to blame: some error behind this one is a full or broken disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _MACHINE_ERRORS:
            return True
        if _NO_SPACE in str(
            error
        ):  # from libraries that are not written in Python, and have no number for it
            return True
        if isinstance(error, sqlite3.Error):
            return getattr(error, "sqlite_errorcode", 0) & 0xFF in _MACHINE_SQLITE_ERRORS
        error = error.__cause__
    return False


class _Remarks(logging.Handler):
    """Prints what the library remarks (that weights are random, for one) to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


def _show_remarks() -> None:
    logger = logging.getLogger("unravelnet")
    if not any(isinstance(handler, _Remarks) for handler in logger.handlers):
        logger.addHandler(_Remarks())
        logger.setLevel(logging.INFO)
