"""The reference of the command line, made from the commands themselves.

`python -m unravelnet.cli.reference > docs/cli.md` writes it; a test fails where the file differs.
"""

from __future__ import annotations

from typing import Any

import typer

from unravelnet.cli.command_line import app

_WIDTH = 100
_INTRODUCTION = """# Command line

This page is generated: `python -m unravelnet.cli.reference > docs/cli.md`.

Results go to standard output, as text or, with `--json`, as one JSON value. NaN and infinity are `null` in JSON.
Progress, remarks and errors go to standard error. Whatever a model or a library prints goes there, too. On a terminal,
progress is a bar. Elsewhere it is a line every ten seconds. Control characters in names are shown as `\\x1b`. `--csv`
prints rows in the format of table files, which [the glossary](glossary.md#table-files) describes.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | the machine failed (such as a full disk, or a directory that another process writes to), or an unexpected error \
occurred |
| 2 | wrong use or bad input; the message says what was given, what was expected and how to correct it |
| 130 | interrupted by Ctrl-C; the message says what is saved |

`--traceback` also prints the traceback of an error. It may stand anywhere on the command line. If a reader of standard
output stops early, as `head` does, the command ends silently with status 0.
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
