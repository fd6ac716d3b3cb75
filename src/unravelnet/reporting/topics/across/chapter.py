"""The chapter about lesions of every trained network."""

from __future__ import annotations

from functools import partial

from unravelnet import figures
from unravelnet.papers import veit
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.across.claims import CHAPTER
from unravelnet.reporting.topics.across.findings import on_lesions, table_of_lesions
from unravelnet.reporting.topics.across.groups import EACH, MANY, WITHOUT_SKIP, lesioned_groups
from unravelnet.reporting.topics.chapter import Chapter, joined
from unravelnet.reporting.topics.samples import samples


def every_training(run: Run) -> list[Chapter]:
    """Write the chapter where the run lesions several trainings, else none."""
    groups = lesioned_groups(run)
    if not groups:
        return []
    chapter = Chapter(
        CHAPTER,
        "Lesions of every training",
        "How much does a lesion depend on the depth of the network, and on the seed of its training?",
        paper=f"Of one network of {veit.N_MODULES.text}, trained once: {veit.SINGLE_DELETIONS.said}",
    )
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
    chapter.tables.append(table_of_lesions(groups))
    chapter.findings += on_lesions(groups)
    for study in (EACH, WITHOUT_SKIP, MANY):
        chapter.how += [how for how in samples(networks, study) if how not in chapter.how]
    return [chapter]
