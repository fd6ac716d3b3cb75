"""The chapters about gradients, single modules, checkpoints and ensembles of routes.

A chapter whose tables no network has is left out: these studies are asked for one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from matplotlib.figure import Figure

from unravelnet import columns, figures
from unravelnet.errors import EvaluationError
from unravelnet.figures.spectrum import decay_of
from unravelnet.mathematics.decay import Decay
from unravelnet.papers import he, jastrzebski, littwin, veit, wu
from unravelnet.paths import surviving_gradient_share, surviving_share
from unravelnet.records.record import Table
from unravelnet.reporting import gradient_findings as findings
from unravelnet.reporting.chapter import Chapter, ShownTable, joined
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.gradient_findings import EXACT, RMS, SAMPLED
from unravelnet.reporting.path_chapters import shown_lengths
from unravelnet.reporting.sentences import percent
from unravelnet.wording import counted


def gradient_chapters(run: Run) -> list[Chapter]:
    """Write those of the chapters for which a network of the run has a table."""
    written: Mapping[Callable[[Run], Chapter], Sequence[str]] = {
        path_gradients: (EXACT, RMS, SAMPLED),
        effective_depth: ("effective_depths", "module_measures"),
        layer_responses: ("layer_responses",),
        over_training: ("over_training", "spectra_over_training", "normalisation_scales"),
        ensemble: ("ensemble",),
    }
    return [
        write(run) for write, studies in written.items() if any(run.with_table(study) for study in studies)
    ]


def path_gradients(run: Run) -> Chapter:
    """Write the chapter about the gradient by path length."""
    chapter = Chapter(
        "path-gradients",
        "The gradient by path length",
        "Backwards a residual network is, exactly, a sum over all its paths. How does the gradient on a path depend "
        "on the length of the path, and from which lengths does the whole come?",
        paper=f"{veit.DECAY.said} {veit.GRADIENT_IS_SHORT.said} {veit.EFFECTIVE_PATHS.said} What the paths of one "
        "length add up to, as vectors, was not measured.",
    )
    for network in run.studied:
        norms, exact, rms = findings.path_norms(network), *map(network.tables.get, (EXACT, RMS))
        if norms is None and rms is not None:
            chapter.lacks(SAMPLED, [network.title])
        if norms is not None:
            _show_norms(chapter, network, norms, rms)
        if norms is not None or exact is not None:
            _show_shares(chapter, network, norms, exact)
        if exact is not None:
            _show_exact(chapter, network, exact)
    chapter.how += [*findings.how_gradients(run.studied), findings.WHICH_IMAGES]
    return chapter


def effective_depth(run: Run) -> Chapter:
    """Write the chapter about effective depth and about single modules."""
    chapter = Chapter(
        "effective-depth",
        "Effective depth, and what modules do",
        "Through how many later modules does the gradient of a module come? And how large is a branch beside the "
        "stream that it is added to: does it go downhill in the loss, and what does it do to the gradient?",
        paper=f"Not measured. {wu.OVER_DEEPENED.said_by} {jastrzebski.DOWNHILL.said_by}",
    )
    for network in run.with_table("effective_depths"):
        table = network.tables["effective_depths"]
        chapter.show(
            f"effective_depths_{network.name}",
            partial(
                figures.figure_effective_depths,
                table,
                title=f"Effective depth of each module: {network.title}",
            ),
            table,
            caption=f"{network.title}: effective depth of each module, and the modules behind it.",
            alt="Points over the index of the module, below a falling line of the modules behind each.",
        )
        chapter.find(findings.on_effective_depths, network, table)
        _note(chapter, network.title, partial(findings.on_plain_sample, by="module"), table)
    _show_together(
        chapter,
        run,
        "module_measures",
        figures.figure_module_measures,
        caption="Size and direction of each branch, and its gain of a gradient, over the index of the module.",
        alt="Four panels of points over the index of the module; the numbers are in the data.",
        write=findings.on_module_measures,
        by="module",
    )
    return chapter


def layer_responses(run: Run) -> Chapter:
    """Write the chapter about how strongly layers respond."""
    chapter = Chapter(
        "layer-responses",
        "Layer responses",
        "How strong is what each layer adds, in the order of the layers and sorted?",
        paper=f"Not measured. {he.SMALLER_RESPONSES.said_by} {he.DEEPER_RESPONSES.said}",
    )
    _show_together(
        chapter,
        run,
        "layer_responses",
        figures.figure_layer_responses,
        caption=f"Standard deviation of the responses of each layer ({he.SMALLER_RESPONSES.source.named}).",
        alt="Two panels of points, above in the order of the layers, below falling; the numbers are in the data.",
        write=findings.on_layer_responses,
        by="position",
    )
    return chapter


def over_training(run: Run) -> Chapter:
    """Write the chapter about the path lengths at the checkpoints of a training."""
    chapter = Chapter(
        "over-training",
        "Path lengths over training",
        "Does the virtual ensemble become deeper while the network is trained?",
        paper=f"Not measured. {littwin.DEEPENING.said_by} {littwin.SCALES_GROW.said}",
    )
    for network in run.studied:
        for study, (draw, title, caption, alt) in _OVER_TRAINING.items():
            if study in network.tables:
                table = network.tables[study]
                chapter.show(
                    f"{study}_{network.name}",
                    partial(draw, table, title=f"{title}: {network.title}"),
                    table,
                    caption=f"{network.title}: {caption}",
                    alt=alt,
                )
        if "over_training" in network.tables:
            table = network.tables["over_training"]
            chapter.find(findings.on_over_training, network, table)
            _note(chapter, network.title, partial(findings.on_plain_sample, by="epoch"), table)
    return chapter


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
        chapter.find(findings.on_ensemble, network, table)
        _note(chapter, network.title, partial(findings.on_plain_sample, by="n_members"), table)
    return chapter


# -- parts --

_OVER_TRAINING: Mapping[str, tuple[Callable[..., Figure], str, str, str]] = {
    "over_training": (
        figures.figure_over_training,
        "Path lengths over training",
        "decay of the path norm, path lengths and branch sizes at the checkpoints.",
        "Panels of points over the epochs; the numbers are in the data.",
    ),
    "spectra_over_training": (
        figures.figure_spectra_over_training,
        "Shares of the path lengths over training",
        "share of each path length at some checkpoints, and the weights of the theory.",
        "Curves in the shape of bells over the path length, one a checkpoint.",
    ),
    "normalisation_scales": (
        figures.figure_normalisation_scales,
        "Scales of normalisation over training",
        "scales of the normalisation layers at some checkpoints.",
        "Curves over the index of the normalisation layer, one a checkpoint.",
    ),
}


def _show_norms(chapter: Chapter, network: StudiedNetwork, norms: Table, rms: Table | None) -> None:
    """Show the norms on single paths, and what a geometric decay means for deletions."""
    chapter.show(
        f"path_gradient_{network.name}",
        lambda: figures.figure_path_gradient(
            norms, rms=rms, title=f"How the gradient falls with path length: {network.title}"
        ),
        norms if rms is None else Table([*norms, *rms]),
        caption=f"{network.title}: norm of the gradient on single paths over their length "
        f"({veit.DECAY.source.place} of the paper).",
        alt="Points that fall with the path length on a logarithmic scale, and the line fitted to them.",
    )
    chapter.find(findings.on_decay, network, norms, rms)
    try:
        fit = decay_of(norms)
    except EvaluationError:
        return
    if network.n_modules:
        chapter.tables.append(_survival(network, fit))


def _show_shares(chapter: Chapter, network: StudiedNetwork, norms: Table | None, exact: Table | None) -> None:
    tables = [table for table in (norms, exact) if table is not None]
    chapter.show(
        f"length_contribution_{network.name}",
        lambda: figures.figure_length_contribution(
            norms, exact=exact, title=f"Which path lengths the gradient comes from: {network.title}"
        ),
        tables[0] if norms is exact or len(tables) == 1 else Table([*tables[0], *tables[1]]),
        caption=f"{network.title}: share of the gradient by path length, by number of paths × mean norm "
        f"({veit.GRADIENT_IS_SHORT.source.place} of the paper) and by the norms of the exact sums.",
        alt="Bars of one share and a line of the other over the path length; the numbers are in the data.",
    )
    if norms is not None:
        chapter.find(findings.on_contributions, network, norms)


def _show_exact(chapter: Chapter, network: StudiedNetwork, exact: Table) -> None:
    chapter.find(findings.on_vector_sums, network, exact)
    if any(row.get("coherence") is not None for row in exact):
        chapter.show(
            f"coherence_{network.name}",
            lambda: figures.figure_coherence(
                exact, title=f"How far paths of one length pull the same way: {network.title}"
            ),
            exact,
            caption=f"{network.title}: coherence of the paths of each length. The paper did not measure it.",
            alt="Points on a logarithmic scale between 1 and a curve that sinks towards the middle lengths.",
        )
        chapter.find(findings.on_coherence, network, exact)


def _survival(network: StudiedNetwork, fit: Decay) -> ShownTable:
    """Set what deletions leave of the gradient beside what they leave of the paths."""
    n_modules = network.n_modules
    lengths = shown_lengths(n_modules)
    counts = figures.path_survival_rows(n_modules)["n_deleted"].unique()
    spectrum = findings.contributions_of(network)
    rows = tuple(
        (
            str(n_deleted),
            percent(2.0**-n_deleted),
            *(percent(surviving_share(n_modules, n_deleted, length)) for length in lengths),
            "not measured" if spectrum is None else percent(spectrum.left_after(n_deleted)),
            f"{_left(fit.rate, n_deleted)} ({_left(fit.high, n_deleted)} to {_left(fit.low, n_deleted)})",
        )
        for n_deleted in map(int, counts)
    )
    of_lengths = (f"of length {length}" for length in lengths)
    header = (columns.title("n_deleted"), "Paths left", *of_lengths, "Gradient left", "by the fitted decay")
    caption = (
        f"{network.title}: what deleting d of {counted(n_modules, 'module')} leaves, of the paths (exact) and of "
        "the gradient, number of paths × their mean norm: as measured length by length, and (1 + r)^−d, which is what "
        "a decay by the same factor with every module would leave, with the interval of r."
    )
    return ShownTable(caption, header, rows)


def _left(decay: float, n_deleted: int) -> str:
    # A line through two lengths has an interval without end.
    return percent(surviving_gradient_share(decay, n_deleted)) if decay < float("inf") else percent(0.0)


def _show_together(
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
        _note(chapter, network.title, partial(findings.on_plain_sample, by=by), network.tables[study])


def _note(chapter: Chapter, of: str, write: Callable[[Table], str], table: Table) -> None:
    """Say how a table was measured; one that cannot be read has been said to be so with its figure."""
    with suppress(EvaluationError):
        sentence = f"{of}: {write(table)}"
        if sentence not in chapter.how:
            chapter.how.append(sentence)
