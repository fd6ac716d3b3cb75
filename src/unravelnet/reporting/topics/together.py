"""Studies of all networks that are shown in one figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from unravelnet.errors import EvaluationError
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter, joined
from unravelnet.reporting.topics.samples import on_plain_sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show_together(
    chapter: Chapter,
    run: Run,
    study: str,
    draw: Callable[[Mapping[str, Table]], Figure],
    *,
    caption: str,
    alt: str,
    write: Callable[[StudiedNetwork, Table], list[str]],
    by: str,
) -> None:
    """Show one study of all networks in one figure."""
    chosen = run.with_table(study)
    if not chosen:
        return
    tables = {network.title: network.tables[study] for network in chosen}
    chapter.show(study, lambda: draw(tables), joined(tables), caption=caption, alt=alt)
    for network in chosen:
        chapter.find(write, network, network.tables[study])
        note(chapter, network.title, partial(on_plain_sample, by=by), network.tables[study])


def note(chapter: Chapter, of: str, write: Callable[[Table], str], table: Table) -> None:
    """Say how a table was measured; one that cannot be read has been said to be so with its figure."""
    with suppress(EvaluationError):
        sentence = f"{of}: {write(table)}"
        if sentence not in chapter.how:
            chapter.how.append(sentence)
