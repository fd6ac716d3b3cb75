"""The chapter about the gradient by path length."""

from __future__ import annotations

from unravelnet import columns, figures
from unravelnet.errors import EvaluationError
from unravelnet.mathematics.decay import Decay
from unravelnet.papers import veit
from unravelnet.paths import surviving_gradient_share, surviving_share
from unravelnet.readers.spectrum import decay_of
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter, ShownTable
from unravelnet.reporting.topics.gradients.findings import (
    EXACT,
    RMS,
    SAMPLED,
    contributions_of,
    how_gradients,
    on_coherence,
    on_contributions,
    on_decay,
    on_vector_sums,
    path_norms,
    which_images,
)
from unravelnet.reporting.topics.paths.chapter import shown_lengths
from unravelnet.wording import counted, percent


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
        norms, exact, rms = path_norms(network), *map(network.tables.get, (EXACT, RMS))
        if norms is None and rms is not None:
            chapter.lacks(run, SAMPLED, [network.title])
        if norms is not None:
            _show_norms(chapter, network, norms, rms)
        if norms is not None or exact is not None:
            _show_shares(chapter, network, norms, exact)
        if exact is not None:
            _show_exact(chapter, network, exact)
    chapter.how += [*how_gradients(run.studied), *which_images(run)]
    return chapter


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
    chapter.find(on_decay, network, norms, rms)
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
        chapter.find(on_contributions, network, norms)


def _show_exact(chapter: Chapter, network: StudiedNetwork, exact: Table) -> None:
    chapter.find(on_vector_sums, network, exact)
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
        chapter.find(on_coherence, network, exact)


def _survival(network: StudiedNetwork, fit: Decay) -> ShownTable:
    """Set what deletions leave of the gradient beside what they leave of the paths."""
    n_modules = network.n_modules
    lengths = shown_lengths(n_modules)
    counts = figures.path_survival_rows(n_modules)["n_deleted"].unique()
    spectrum = contributions_of(network)
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
