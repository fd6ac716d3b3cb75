"""Studies as the command line names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from unravelnet.cli.options import names
from unravelnet.errors import unknown_name
from unravelnet.registry import STUDIES

if TYPE_CHECKING:
    from unravelnet.studies import Study

# Names of options that are shorter than the study.
_SHORT_NAMES = {"remove_skip_each": "remove-skip"}


def option_names(studies: Iterable[str]) -> list[str]:
    """Write names of studies as options have them.

    >>> option_names(["delete_each", "remove_skip_each"])
    ['delete-each', 'remove-skip']
    """
    return [_SHORT_NAMES.get(name, name.replace("_", "-")) for name in studies]


def every_option_name() -> list[str]:
    """List the names of all studies, those of installed packages last."""
    return option_names(STUDIES.names())


def chosen_studies(text: str) -> list[Study]:
    """Find the studies of a list with commas.

    Raises UnknownNameError for an unknown one, ExtensionError for one that cannot be used, and a usage error for none.
    """
    every = STUDIES.names()
    known = dict(zip(option_names(every), every, strict=True))
    chosen = list(dict.fromkeys(names(text)))
    for name in chosen:
        if name not in known:
            raise unknown_name("study", name, known)
    if not chosen:
        raise typer.BadParameter(f"give one or several of {', '.join(known)}", param_hint="--study")
    return [STUDIES.find(known[name]) for name in chosen]
