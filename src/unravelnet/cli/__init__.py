"""The command line: `unravelnet COMMAND`, one file a command.

Results go to standard output and nothing else does; progress, remarks and errors go to standard error. With
`--json` the output is one JSON value. A mistake of the user ends in one sentence and exit status 2, a failure of
the machine (a full disk, a damaged one) in status 1, Ctrl-C in 130. Rooms that import torch are imported inside
the commands, so that `--help` is quick.
"""

from unravelnet.cli.command_line import app, main

__all__ = ["app", "main"]
