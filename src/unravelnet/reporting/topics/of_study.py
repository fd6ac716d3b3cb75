"""The chapter of a study, made from what the study says of itself, and the figures that packages add."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unravelnet.errors import ExtensionError, UnknownNameError
from unravelnet.readers.rows import measured
from unravelnet.records.record import Table
from unravelnet.registry import FIGURES, STUDIES
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter, file_name
from unravelnet.reporting.topics.samples import on_shared_sample, samples
from unravelnet.reporting.words.sentences import percent_with_interval
from unravelnet.studies.blocks import UNITS, Unit, table_name
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.figures.plot import Plot
    from unravelnet.studies.study import Study

Findings = Callable[[StudiedNetwork, Table], list[str]]


def study_chapters(run: Run, findings: Mapping[str, Findings], told: Sequence[str]) -> list[Chapter]:
    """Write a chapter for each study that the run has and that no other chapter tells.

    `findings`: what writes the findings of a study, by its name; the extremes are told of others. What was studied in
    whole blocks has a chapter of its own.
    """
    studies, _ = STUDIES.usable()
    return [
        _study_chapter(run, study, unit, findings.get(study.name, on_extremes))
        for study in studies
        for unit in UNITS
        if table_name(study.name, unit) not in told and run.with_table(table_name(study.name, unit))
    ]


def added_figures(run: Run) -> Chapter:
    """Write the chapter with the figures that packages add and that belong to no study of theirs."""
    chapter = Chapter(
        "added-figures", "Figures of installed packages", "What else do the tables of this run show?"
    )
    plots, _ = FIGURES.usable()
    of_studies = {study.figure for study in STUDIES.usable()[0]}
    for plot in plots:
        if plot.name not in FIGURES.own and plot.name not in of_studies:
            show_plot(chapter, run.with_table(plot.table), plot, plot.table)
    return chapter


def on_extremes(network: StudiedNetwork, table: Table) -> list[str]:
    """Say which trials cost least and most."""
    study = measured(table)
    if study.lesions.empty:
        return []
    rows = study.lesions.sort_values("value", kind="stable")
    intact = "" if study.intact is None else f"; intact: {percent_with_interval(study.intact)}"
    least, most = (f"{row['label']} {percent_with_interval(row)}" for _, row in rows.iloc[[0, -1]].iterrows())
    return [
        f"{network.title}: of {counted(len(rows), 'trial')}, the smallest error is that of {least}, the largest that "
        f"of {most}{intact}."
    ]


def _study_chapter(run: Run, study: Study, unit: Unit, write: Findings) -> Chapter:
    name = table_name(study.name, unit)
    title = study.title if unit == "module" else f"{study.title}, in whole {unit}s"
    chapter = Chapter(file_name(name.replace("_", "-")), title, study.question, paper=study.paper)
    chosen = run.with_table(name)
    if study.figure:
        try:
            show_plot(chapter, chosen, FIGURES.find(study.figure), name)
        except (ExtensionError, UnknownNameError) as error:
            chapter.missing.append(str(error))
    for network in chosen:
        chapter.find(write, network, network.tables[name])
    chapter.how += [
        *samples(chosen, name),
        *([on_shared_sample(chosen, name)] if study.is_drawn else []),
    ]
    return chapter


def show_plot(chapter: Chapter, networks: Sequence[StudiedNetwork], plot: Plot, table: str) -> None:
    """Show a figure of one table for each of some networks.

    `table`: its name; the same study in other units has another, and figures of its own.
    """
    for network in networks:
        rows = network.tables[table]
        title = f"{chapter.title if table != plot.table else plot.title}: {network.title}"
        chapter.show(
            f"{plot.name}{table.removeprefix(plot.table)}_{network.name}",
            partial(plot.draw, rows, title=title, n_classes=network.n_classes),
            rows,
            caption=f"{network.title}: {plot.caption[0].lower()}{plot.caption[1:]}",
            alt=plot.alt,
        )
