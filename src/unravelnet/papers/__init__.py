"""Papers: each claim and each number of a paper that the product prints, once, with its place and its provenance.

A file holds one paper, or one group of authors: `from unravelnet.papers import veit`, then `veit.FULL_ERROR.text`.
Plain data: nothing here depends on what was measured. `facts` lists all of them.
"""

from __future__ import annotations

from unravelnet.papers import (
    gromov,
    he,
    huang,
    jastrzebski,
    littwin,
    men,
    molchanov,
    sun,
    veit,
    wu,
    zagoruyko,
)
from unravelnet.papers.citation import ON_PROVENANCE, Number, Paper, Provenance, Setting, Source, Statement

__all__ = ["ON_PROVENANCE", "Number", "Paper", "Provenance", "Setting", "Source", "Statement", "facts"]

_FILES = (veit, he, huang, zagoruyko, wu, littwin, jastrzebski, molchanov, men, gromov, sun)


def facts() -> dict[str, Number | Statement]:
    """List every fact by the name that it has in the code.

    >>> facts()["veit.FULL_ERROR"].text
    '6.10 %'
    """
    return {
        f"{file.__name__.rpartition('.')[2]}.{name}": value
        for file in _FILES
        for name, value in vars(file).items()
        if isinstance(value, Number | Statement)
    }
