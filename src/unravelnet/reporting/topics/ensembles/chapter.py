"""The chapter about averaging the predictions of routes."""

from __future__ import annotations

from functools import partial

from unravelnet import figures
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.ensembles.findings import on_ensemble
from unravelnet.reporting.topics.samples import on_plain_sample
from unravelnet.reporting.topics.together import note


def ensemble(run: Run) -> Chapter:
    """Write the chapter about averaging the predictions of routes."""
    chapter = Chapter(
        "ensemble",
        "An ensemble of routes",
        "If a residual network is an ensemble of its paths, averaging the predictions of some of its routes should "
        "err less than one of them. Does it, and how different are the routes?",
        paper="Not measured.",
    )
    for network in run.with_table("ensemble"):
        table = network.tables["ensemble"]
        chapter.show(
            f"ensemble_{network.name}",
            partial(
                figures.figure_ensemble,
                table,
                title=f"Averaging the predictions of random routes: {network.title}",
            ),
            table,
            caption=f"{network.title}: error over the number of averaged members, and how two members differ.",
            alt="Left, points of the error over the number of members; right, bars of how two members differ.",
        )
        chapter.find(on_ensemble, network, table)
        note(chapter, network.title, partial(on_plain_sample, by="n_members"), table)
    return chapter
