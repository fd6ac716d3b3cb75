"""The chapter about deleting single modules."""

from __future__ import annotations

from collections.abc import Sequence

from unravelnet import figures
from unravelnet.papers import veit
from unravelnet.reporting.contents import Run, StudiedNetwork, downsampling_of, shared_stages
from unravelnet.reporting.topics.chapter import Chapter, joined
from unravelnet.reporting.topics.lesions.findings import (
    on_plain_deletions,
    on_residual_deletions,
    on_stochastic_depth,
)
from unravelnet.reporting.topics.samples import samples
from unravelnet.reporting.words.sentences import listed

_ON_STOCHASTIC_DEPTH = (
    " Does it help to have trained with stochastic depth, which deletes modules at random all the time?"
)
# What the paper says of each kind of network.
_PAPER = {
    "resnet": f"ResNet: {veit.SINGLE_DELETIONS.said}",
    "vgg": f"VGG: {veit.PLAIN_COLLAPSES.said}",
    "stochastic-depth": f"Stochastic depth: {veit.MORE_RESILIENT.said} {veit.LESS_DEPENDENT.said}",
}


def delete_each(run: Run) -> Chapter:
    """Write the chapter about deleting single modules."""
    chapter = Chapter(
        "delete-each",
        "Deleting each module",
        "What happens if one module is taken out of a trained network, and nothing is trained again?",
    )
    told = {role: paper for role, paper in _PAPER.items() if run.is_reproduction or run.of_role(role)}
    chapter.paper = " ".join(told.values())
    if "stochastic-depth" in told:
        chapter.asked += _ON_STOCHASTIC_DEPTH
    if any(network.is_of_imagenet for network in run.with_table("delete_each")):
        chapter.paper += f" {veit.ON_IMAGENET.said}"
    # That of effective paths is trained to be compared by its error; the paper deletes nothing from it.
    _note_missing(chapter, run, run.of_role("resnet", "stochastic-depth", "vgg"), "delete_each")
    chosen = run.with_table("delete_each")
    ordinary = [network for network in chosen if network.role != "stochastic-depth"]
    residual = [network for network in ordinary if network.role != "vgg"]
    if ordinary:
        caption = f"Error after deleting each module ({_place(ordinary)} of the paper)."
        _show_deletions(chapter, "delete_each", ordinary, caption=caption)
    if residual and len(residual) < len(ordinary) and _largest_error(residual) < _largest_error(ordinary) / 2:
        caption = "The residual networks alone, on their own scale."
        if len(residual) == 1:
            caption = "The residual network alone, on its own scale."
        _show_deletions(chapter, "delete_each_residual", residual, caption=caption)
    for network in ordinary:
        write = on_plain_deletions if network.role == "vgg" else on_residual_deletions
        chapter.find(write, network, network.tables["delete_each"])
    for network in chosen:
        if network.role == "stochastic-depth":
            _add_stochastic_depth(chapter, network, run.base_of(network))
    chapter.how += samples(chosen, "delete_each")
    return chapter


def _place(chosen: Sequence[StudiedNetwork]) -> str:
    """Say which figure of the paper shows such networks."""
    statement = (
        veit.ON_IMAGENET if all(network.is_of_imagenet for network in chosen) else veit.SINGLE_DELETIONS
    )
    return statement.source.place


def _add_stochastic_depth(chapter: Chapter, network: StudiedNetwork, base: StudiedNetwork | None) -> None:
    """Show a network trained with stochastic depth beside one trained without: Fig. 8 of the paper."""
    shown = [network] if base is None else [base, network]
    place = veit.LESS_DEPENDENT.source.place
    caption = f"Error after deleting each module, with and without stochastic depth ({place} of the paper)."
    _show_deletions(chapter, f"stochastic_depth_{network.name}", shown, caption=caption)
    table = network.tables["delete_each"]
    chapter.find(on_residual_deletions, network, table)
    if base is not None:
        chapter.find(on_stochastic_depth, network, table, base, base.tables["delete_each"])


def _show_deletions(chapter: Chapter, name: str, chosen: Sequence[StudiedNetwork], *, caption: str) -> None:
    tables = {network.title: network.tables["delete_each"] for network in chosen}
    alone = f": {chosen[0].title}" if len(chosen) == 1 else ""
    title = f"Error when deleting each module{alone}"
    chapter.show(
        name,
        lambda: figures.figure_delete_each(
            tables,
            downsampling=downsampling_of(chosen),
            stages=shared_stages(chosen),
            n_classes=chosen[0].n_classes,
            title=title,
        ),
        joined(tables),
        caption=caption,
        alt=f"Error over the index of the deleted module for {listed(list(tables))}; the numbers are in the "
        "data.",
    )


def _largest_error(chosen: Sequence[StudiedNetwork]) -> float:
    errors = [row.get("error_rate") for network in chosen for row in network.tables["delete_each"]]
    return max((float(error) for error in errors if isinstance(error, (int, float))), default=0.0)


def _note_missing(chapter: Chapter, run: Run, wanted: Sequence[StudiedNetwork], study: str) -> None:
    lacking = [network.title for network in wanted if study not in network.tables]
    if lacking or not wanted:
        chapter.lacks(run, study, lacking)
