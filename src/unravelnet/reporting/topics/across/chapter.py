"""The chapter about every trained network: its lesions and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from unravelnet import figures
from unravelnet.papers import veit
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.across.claims import CHAPTER
from unravelnet.reporting.topics.across.findings import on_lesions, table_of_lesions
from unravelnet.reporting.topics.across.groups import (
    EACH,
    MANY,
    WITHOUT_SKIP,
    LesionedGroup,
    lesioned_groups,
)
from unravelnet.reporting.topics.across.spectra import on_spectra, table_of_spectra, with_spectra
from unravelnet.reporting.topics.chapter import Chapter, joined
from unravelnet.reporting.topics.gradients.findings import EXACT, how_gradients, which_images
from unravelnet.reporting.topics.samples import samples


def every_training(run: Run) -> list[Chapter]:
    """Write the chapter where the run lesions several trainings, else none."""
    chapters = told_of_every_training(run)
    for chapter in chapters:
        groups = lesioned_groups(run)
        _show_lesions(chapter, groups)
        if measured := with_spectra(groups):
            _show_spectra(chapter, measured)
    return chapters


def told_of_every_training(run: Run) -> list[Chapter]:
    """Write the same without the figures, for a page that shows none."""
    groups = lesioned_groups(run)
    if not groups:
        return []
    chapter = Chapter(
        CHAPTER,
        "Every training: seeds and depths",
        "How much does a result depend on the depth of the network, and on the seed of its training?",
        paper=f"Of one network of {veit.N_MODULES.text}, trained once: {veit.SINGLE_DELETIONS.said} "
        f"{veit.GRADIENT_IS_SHORT.said}",
    )
    chapter.tables.append(table_of_lesions(groups))
    chapter.findings += on_lesions(groups)
    networks = [network for group in groups for network in group.networks]
    for study in (EACH, WITHOUT_SKIP, MANY):
        chapter.how += [how for how in samples(networks, study) if how not in chapter.how]
    if measured := with_spectra(groups):
        chapter.tables.append(table_of_spectra(measured))
        chapter.findings += on_spectra(measured)
        chapter.how += [*how_gradients(networks, [EXACT]), *which_images(run)]
    return [chapter]


def _show_lesions(chapter: Chapter, groups: Sequence[LesionedGroup]) -> None:
    """Show what single lesions do to each training."""
    networks = [network for group in groups for network in group.networks]
    chapter.show(
        "lesions_of_trainings",
        partial(
            figures.figure_lesions_of_trainings,
            {group.title: [network.tables[EACH] for network in group.networks] for group in groups},
            downsampling={group.title: group.networks[0].downsampling for group in groups},
        ),
        joined({network.title: network.tables[EACH] for network in networks}),
        caption="Rise of the error when one module is deleted, in every training of every network.",
        alt="A row of marks for each network; the numbers are in the data.",
    )


def _show_spectra(chapter: Chapter, groups: Sequence[LesionedGroup]) -> None:
    """Show from which path lengths the gradient of each training comes."""
    tables = {group.title: [network.tables[EXACT] for network in group.with_spectrum] for group in groups}
    chapter.show(
        "spectra_of_trainings",
        partial(figures.figure_spectra_of_trainings, tables),
        joined({network.title: network.tables[EXACT] for group in groups for network in group.with_spectrum}),
        caption="Path lengths that the gradient comes from, in every training of every network, by the norms of the "
        "exact sums.",
        alt="A bar for each training beside that of all paths; the numbers are in the data.",
    )
