"""The command line: `unravelnet COMMAND`, one file a command.

Results go to standard output and nothing else does; progress, remarks and errors go to standard error. With
`--json` the output is one JSON value. Every error ends in one sentence: a mistake of the user with exit status 2, a
failure of the machine (a full disk, a damaged one) or an unforeseen error with status 1, Ctrl-C with 130. Rooms that
import torch are imported inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

from unravelnet.cli.interruption import INTERRUPTED, end, interruptions_are_sentences, say

TYPE_CHECKING = False  # without `typing`, so that Ctrl-C is understood a few milliseconds earlier
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    interruptions_are_sentences()
    try:
        from unravelnet.cli.command_line import run
        from unravelnet.cli.streams import prepare

        prepare()
        status = run(arguments)
    except KeyboardInterrupt:
        say("Interrupted.")
        status = INTERRUPTED
    end(status)
