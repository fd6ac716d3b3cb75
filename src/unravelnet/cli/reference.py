"""The reference of the command line, made from the commands themselves.

`python -m unravelnet.cli.reference > docs/cli.md` writes it; a test fails where the file differs.
"""

from __future__ import annotations

from typing import Any

import typer

from unravelnet.cli.command_line import app

_WIDTH = 100
_INTRODUCTION = """# Command line

Made from the commands by `python -m unravelnet.cli.reference > docs/cli.md`.

What a command finds goes to standard output, as text or, with `--json`, as one JSON value (what is not a number is
`null` there). Progress, remarks and errors go to standard error, and so does whatever a model or a library
prints. Progress is a bar on a terminal, and elsewhere a line every ten seconds.
Characters in names that a terminal would obey are written out: `\\x1b`. Rows of `--csv` are in the form of table
files, which [the glossary](glossary.md#table-files) describes.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | the machine failed (a full disk, a damaged one, a results store or directory that another process writes to), \
or an error was not foreseen |
| 2 | misuse or bad input; one sentence says what was given, what was expected and how to mend it |
| 130 | interrupted by Ctrl-C; a sentence says what is kept |

With `--traceback`, anywhere on the command line, the traceback of an error stands before its sentence. A reader of
standard output that stops early, such as `head`, ends a command in silence with status 0.
"""


def reference() -> str:
    """Write the reference as Markdown."""
    command: Any = typer.main.get_command(app)
    root = command.make_context("unravelnet", [], resilient_parsing=True, terminal_width=_WIDTH)
    sections = [_INTRODUCTION, _section("unravelnet", command.get_help(root))]
    for name, sub in command.commands.items():
        context = sub.make_context(name, [], parent=root, resilient_parsing=True, terminal_width=_WIDTH)
        sections.append(_section(f"unravelnet {name}", sub.get_help(context)))
    return "\n".join(sections)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```text\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    typer.echo(reference(), nl=False)
