"""The chapters of the report, in the order of the paper.

Questions and what the paper says are prose; everything about this run is computed from its tables.
"""

from __future__ import annotations

from collections.abc import Sequence

from unravelnet import columns, figures
from unravelnet.errors import EvaluationError
from unravelnet.figures.rows import chance_error, measured
from unravelnet.papers import veit
from unravelnet.records.record import Table
from unravelnet.reporting import findings, skip_claims
from unravelnet.reporting.chapter import Chapter, ShownTable, joined
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.gradient_chapters import gradient_chapters
from unravelnet.reporting.gradient_findings import WHICH_IMAGES, contributions_of, how_gradients
from unravelnet.reporting.lesion_rows import errors_of
from unravelnet.reporting.path_chapters import path_lengths, path_survival, unraveled
from unravelnet.reporting.sentences import listed, percent, percent_with_interval
from unravelnet.reporting.training_chapter import training_chapters
from unravelnet.wording import counted

_KIND_OF_ROLE = {
    "resnet": "residual",
    "stochastic-depth": "residual, stochastic depth",
    "effective-paths": "residual, effective paths only",
    "vgg": "plain",
}
_ABOUT_SKIPS = ("remove_skip_each", "delete_each")
_RANDOM_STUDIES = ("delete_many", "delete_many_same_shape", "reorder")
_TITLES_OF_STUDIES = {
    "delete_each": "Deleting each module",
    "delete_many": "Deleting many modules",
    "delete_many_same_shape": "Deleting many modules that keep the shape",
    "reorder": "Reordering modules",
    "remove_skip_each": "Removing each skip",
}
_SAME_IMAGES = (
    "All draws of a network take their images from one sample of the test set: how far that lies from the whole set "
    "moves all of them alike."
)


def all_chapters(run: Run) -> list[Chapter]:
    """Write the chapters of a run, without its summary and provenance."""
    n_modules = depth_of(run)
    return [
        networks(run),
        unraveled(run, n_modules),
        *([delete_each(run), delete_many(run), reorder(run)] if run.is_about_lesions else []),
        path_lengths(n_modules),
        path_survival(n_modules),
        *([remove_skip(run)] if run.is_about_lesions else []),
        *gradient_chapters(run),
        *training_chapters(run),
    ]


def depth_of(run: Run) -> int:
    """Give the number of modules that the chapters about paths are for: the first residual network's."""
    residual = run.of_role("resnet", "stochastic-depth", "effective-paths")
    return residual[0].n_modules if residual else veit.N_MODULES.count


def table_of_studied(run: Run) -> ShownTable:
    """Write the networks that were studied as a table."""
    rows = tuple(_network_row(network) for network in run.studied)
    header = (
        *(columns.title("network_name"), "Kind", columns.title("n_modules"), "Structure", "Down-sampling"),
        *map(columns.title, ("n_parameters", "intact_error_rate", "epochs")),
    )
    return ShownTable("The networks of this run.", header, rows)


def how_measured(run: Run) -> list[str]:
    """Say of each study how it was measured, one sentence or more."""
    sentences = []
    for study, title in _TITLES_OF_STUDIES.items():
        chosen = run.with_table(study)
        shared = [_SAME_IMAGES, *_on_intact(chosen, study)] if chosen and study in _RANDOM_STUDIES else []
        sentences += [f"{title}: {' '.join([*_samples(chosen, study), *shared])}"] if chosen else []
    if gradients := how_gradients(run.studied):
        sentences.append(f"Gradients by path length: {' '.join(gradients)} {WHICH_IMAGES}")
    return sentences


def networks(run: Run) -> Chapter:
    """Write the chapter about what was trained."""
    chapter = Chapter(
        "networks",
        "The networks",
        "Which networks were studied, and how well do they do before anything is done to them?",
        paper=f"{veit.NETWORKS.said} {veit.INTACT.said}",
    )
    chapter.tables.append(table_of_studied(run))
    histories = {network.title: network.history for network in run.studied if network.history is not None}
    if histories:
        chapter.show(
            "training",
            lambda: figures.figure_training(histories),
            joined(histories),
            caption="Error and loss over the epochs of training.",
            alt=f"Curves of error and loss over epochs for {listed(list(histories))}.",
        )
    else:
        chapter.lacks("history")
    chapter.findings += [_how_good(network) for network in run.studied if _intact_error(network)]
    chapter.how += _samples(run.studied, "delete_each")
    return chapter


def delete_each(run: Run) -> Chapter:
    """Write the chapter about deleting single modules."""
    chapter = Chapter(
        "delete-each",
        "Deleting each module",
        "What happens if one module is taken out of a trained network, and nothing is trained again? Does it "
        "help to have trained with stochastic depth, which deletes modules at random all the time?",
        paper=f"ResNet: {veit.SINGLE_DELETIONS.said} VGG: {veit.PLAIN_COLLAPSES.said} Stochastic depth: "
        f"{veit.MORE_RESILIENT.said} {veit.LESS_DEPENDENT.said}",
    )
    # That of effective paths is trained to be compared by its error; the paper deletes nothing from it.
    _note_missing(chapter, run.of_role("resnet", "stochastic-depth", "vgg"), "delete_each")
    chosen = run.with_table("delete_each")
    ordinary = [network for network in chosen if network.role != "stochastic-depth"]
    residual = [network for network in ordinary if network.role != "vgg"]
    if ordinary:
        caption = f"Error after deleting each module ({veit.SINGLE_DELETIONS.source.place} of the paper)."
        _show_deletions(chapter, "delete_each", ordinary, caption=caption)
    if residual and len(residual) < len(ordinary) and _largest_error(residual) < _largest_error(ordinary) / 2:
        caption = "The residual networks alone, on their own scale."
        if len(residual) == 1:
            caption = "The residual network alone, on its own scale."
        _show_deletions(chapter, "delete_each_residual", residual, caption=caption)
    for network in ordinary:
        write = findings.on_plain_deletions if network.role == "vgg" else findings.on_residual_deletions
        chapter.find(write, network, network.tables["delete_each"])
    for network in chosen:
        if network.role == "stochastic-depth":
            _add_stochastic_depth(chapter, network, base_of(run, network))
    chapter.how += _samples(chosen, "delete_each")
    return chapter


def _add_stochastic_depth(chapter: Chapter, network: StudiedNetwork, base: StudiedNetwork | None) -> None:
    """Show a network trained with stochastic depth beside one trained without: Fig. 8 of the paper."""
    shown = [network] if base is None else [base, network]
    place = veit.LESS_DEPENDENT.source.place
    caption = f"Error after deleting each module, with and without stochastic depth ({place} of the paper)."
    _show_deletions(chapter, f"stochastic_depth_{network.name}", shown, caption=caption)
    table = network.tables["delete_each"]
    chapter.find(findings.on_residual_deletions, network, table)
    if base is not None:
        chapter.find(findings.on_stochastic_depth, network, table, base, base.tables["delete_each"])


def delete_many(run: Run) -> Chapter:
    """Write the chapter about deleting several modules at random."""
    chapter = Chapter(
        "delete-many",
        "Deleting many modules",
        "How does the error grow when more and more modules, drawn at random, are deleted at once?",
        paper=f"{veit.MANY_DELETIONS.said} {veit.MANY_LEFT.said}",
    )
    chosen = run.with_table("delete_many")
    if not chosen:
        chapter.lacks("delete_many")
    for network in chosen:
        for study in ("delete_many", "delete_many_same_shape"):
            if study in network.tables:
                _show_many(chapter, network, study)
    chapter.how += _samples(chosen, "delete_many")
    if chosen:
        chapter.how.append(_SAME_IMAGES)
    return chapter


def reorder(run: Run) -> Chapter:
    """Write the chapter about putting modules into another order."""
    chapter = Chapter(
        "reorder",
        "Reordering modules",
        "If modules were steps that build on each other, another order would ruin the network. Does it?",
        paper=veit.REORDERING.said,
    )
    chosen = run.with_table("reorder")
    if not chosen:
        chapter.lacks("reorder")
    for network in chosen:
        _show_orders(chapter, network)
    chapter.how += _samples(chosen, "reorder")
    if chosen:
        chapter.how.append("Modules that change the shape stay where they are; the others move as units.")
        chapter.how.append(_SAME_IMAGES)
    return chapter


def remove_skip(run: Run) -> Chapter:
    """Write the chapter about the experiment that the paper did not do."""
    chapter = Chapter(
        "remove-skip",
        "Removing each skip",
        "Deleting a module leaves half of the paths. Removing its skip instead leaves half too: the other "
        "half. If the number of paths is what counts, both should cost alike. Do they, or does the error "
        "surge?",
        paper="Not measured.",
    )
    chosen = run.with_table(*_ABOUT_SKIPS)
    if not chosen:
        chapter.lacks("remove_skip_each")
        return chapter
    tables = {n.title: (n.tables["remove_skip_each"], n.tables["delete_each"]) for n in chosen}
    chapter.show(
        "remove_skip_each",
        lambda: figures.figure_remove_skip_each(
            tables, downsampling=_downsampling(chosen), n_classes=chosen[0].n_classes
        ),
        joined({title: Table([*both[0], *both[1]]) for title, both in tables.items()}),
        caption="Error after removing each skip, and after deleting each branch.",
        alt="Two rows of points over the index of the module, one for removed skips, one for deleted "
        "branches.",
    )
    for network in chosen:
        skips, branches = network.tables["remove_skip_each"], network.tables["delete_each"]
        chapter.find(findings.on_removed_skips, network, skips, branches)
    chapter.findings += on_surges(run)
    chapter.how += _samples(chosen, "remove_skip_each")
    return chapter


def on_surges(run: Run) -> list[str]:
    """Say of each ordinary residual network whose error surges without some skip what follows."""
    sentences = [_on_surges_of(network) for network in run.of_role("resnet")]
    return [sentence for sentence in sentences if sentence]


def _on_surges_of(network: StudiedNetwork) -> str:
    skips, branches = (network.tables.get(study) for study in _ABOUT_SKIPS)
    return skip_claims.on_surges(
        skips,
        branches,
        network.tables.get("delete_many"),
        contributions_of(network),
        n_modules=network.n_modules,
        n_classes=network.n_classes,
        network=network.title,
    )


def base_of(run: Run, network: StudiedNetwork) -> StudiedNetwork | None:
    """Find the ordinary network that one trained with stochastic depth is compared with: the first as
    deep."""
    alike = [other for other in run.of_role("resnet") if other.n_modules == network.n_modules]
    return next((other for other in alike if "delete_each" in other.tables), None)


# -- parts --


def _show_deletions(chapter: Chapter, name: str, chosen: Sequence[StudiedNetwork], *, caption: str) -> None:
    tables = {network.title: network.tables["delete_each"] for network in chosen}
    alone = f": {chosen[0].title}" if len(chosen) == 1 else ""
    title = f"Error when deleting each module{alone}"
    chapter.show(
        name,
        lambda: figures.figure_delete_each(
            tables,
            downsampling=_downsampling(chosen),
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


def _show_many(chapter: Chapter, network: StudiedNetwork, study: str) -> None:
    table = network.tables[study]
    drawn_from = "" if study == "delete_many" else ", only modules that keep the shape"
    chapter.show(
        f"{study}_{network.name}",
        lambda: figures.figure_delete_many(
            table,
            n_classes=network.n_classes,
            title=f"Error when deleting many modules: {network.title}{drawn_from}",
        ),
        table,
        caption=f"{network.title}: error over the number of deleted modules{drawn_from} "
        f"({veit.MANY_DELETIONS.source.place} of the paper).",
        alt="Box plots of the error over random draws, one box for each number of deleted modules.",
    )
    if study == "delete_many":
        chapter.find(findings.on_many_deletions, network, table)


def _show_orders(chapter: Chapter, network: StudiedNetwork) -> None:
    table = network.tables["reorder"]
    chapter.show(
        f"reorder_{network.name}",
        lambda: figures.figure_reorder(
            table, n_classes=network.n_classes, title=f"Error when reordering modules: {network.title}"
        ),
        table,
        caption=f"{network.title}: error over Kendall's τ between the new and the original order "
        f"({veit.REORDERING.source.place} of the paper).",
        alt="Points, one an order, with a line of medians; the original order is at the left.",
    )
    chapter.find(findings.on_orders, network, table)


def _network_row(network: StudiedNetwork) -> tuple[str, ...]:
    return (
        network.title,
        _KIND_OF_ROLE[network.role],
        str(network.n_modules),
        network.structure or "not recorded",
        listed(network.downsampling) if network.downsampling else "none",
        "not recorded" if network.n_parameters is None else f"{network.n_parameters:,}",
        _intact_error(network) or "not measured with lesions",
        "not recorded" if network.epochs is None else str(network.epochs),
    )


def _how_good(network: StudiedNetwork) -> str:
    trained = "" if network.epochs is None else f" after {counted(network.epochs, 'epoch')}"
    chance = chance_error(network.n_classes)
    guessing = (
        ""
        if chance is None or network.n_classes is None
        else f"; guessing among {counted(network.n_classes, 'class')} errs in {percent(chance)}"
    )
    return f"{network.title}: error {_intact_error(network)}{trained}{guessing}."


def _intact_error(network: StudiedNetwork) -> str:
    for study, table in network.tables.items():
        if study != "history":
            try:
                intact = measured(table).intact
            except EvaluationError:
                continue
            if intact is not None:
                return percent_with_interval(intact)
    return ""


def _note_missing(chapter: Chapter, wanted: Sequence[StudiedNetwork], study: str) -> None:
    lacking = [network.title for network in wanted if study not in network.tables]
    if lacking or not wanted:
        chapter.lacks(study, lacking)


def _samples(chosen: Sequence[StudiedNetwork], study: str) -> list[str]:
    """Say for each network how the study was measured; once where it is the same."""
    texts: dict[str, list[str]] = {}
    for network in chosen:
        if study in network.tables:
            try:
                texts.setdefault(findings.on_sample(network.tables[study]), []).append(network.title)
            except EvaluationError:
                continue
    return [text if len(texts) == 1 else f"{listed(titles)}: {text}" for text, titles in texts.items()]


def _on_intact(chosen: Sequence[StudiedNetwork], study: str) -> list[str]:
    """Say what the intact networks err in, of the images of a study."""
    known = [(network.title, errors_of(network.tables[study])) for network in chosen]
    errors = [
        f"{title} errs in {percent(found.intact['value'])} of them"
        for title, found in known
        if found is not None and found.intact is not None
    ]
    return [f"Intact, {listed(errors)}."] if errors else []


def _downsampling(chosen: Sequence[StudiedNetwork]) -> dict[str, Sequence[int]]:
    return {network.title: network.downsampling for network in chosen}
