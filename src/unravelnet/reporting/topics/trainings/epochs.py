"""The chapter about the test error over the epochs: within trainings, and of whole trainings of several lengths."""

from __future__ import annotations

from unravelnet import figures
from unravelnet.mathematics.learning_curves import FEWEST, N_FITTED
from unravelnet.readers.groups import training_text
from unravelnet.records.record import Table
from unravelnet.reporting.contents import HISTORY, WHOLE_TRAININGS, Run, StudiedNetwork
from unravelnet.reporting.topics.chapter import Chapter, joined
from unravelnet.reporting.topics.trainings.lengths import (
    on_equal_epochs,
    on_equal_operations,
    on_warm_starts,
    on_whole_trainings,
    tables_of_equal_epochs,
)
from unravelnet.reporting.words.sentences import listed

_HOW = (
    f"Curves over the length of trainings are a floor plus an amplitude times a power of the epochs ({N_FITTED} "
    f"numbers). They are fitted to whole trainings of {FEWEST} lengths or more, all on images of the same sizes; "
    "trainings on others are hollow marks in the figure. Each error has the weight of its variance, which is that of "
    "its images plus that over seeds, pooled from all networks with several. An interval holds all values that raise "
    "chi-square by 3.84 at most. A floor says where the error would end if the curve had this form for ever. Within a "
    "training the error falls with the learning rate, so no curve is fitted there: it would say nothing of longer "
    "trainings."
)


def show_epochs(chapter: Chapter, run: Run) -> None:
    """Add the curves of networks that were trained on all modules and on a part of them, where there are both."""
    networks = _networks(run)
    if not networks:
        return
    histories = {title: [network.tables[HISTORY] for network in seeds] for title, seeds in networks.items()}
    chapter.show(
        "epochs",
        lambda: figures.figure_epochs(histories, run.whole_trainings),
        joined({network.title: network.tables[HISTORY] for seeds in networks.values() for network in seeds}),
        caption="Test error over the epochs, on all modules and on a part of them; within each training, and of whole "
        "trainings where a network has several lengths.",
        alt=f"Falling curves of {listed(list(histories))}; the numbers are in the data.",
    )
    if run.whole_trainings is None:
        chapter.lacks(run, WHOLE_TRAININGS)
        chapter.how.append(_HOW)
    else:
        _tell(chapter, run.whole_trainings)


def told_of_epochs(run: Run) -> list[Chapter]:
    """Write what whole trainings say of the error over the epochs, for a page without figures; none without them."""
    if run.whole_trainings is None or not _networks(run):
        return []
    chapter = Chapter(
        "epochs",
        "Error against epochs",
        "Does a network on a part of its modules come closer to one on all modules with more epochs?",
    )
    _tell(chapter, run.whole_trainings)
    return [chapter]


def _tell(chapter: Chapter, table: Table) -> None:
    chapter.tables += tables_of_equal_epochs(table)
    for find in (on_equal_epochs, on_equal_operations, on_whole_trainings, on_warm_starts):
        chapter.find(find, table)
    chapter.how.append(_HOW)


def _networks(run: Run) -> dict[str, list[StudiedNetwork]]:
    """Give the trainings, one a seed, of networks that were trained on several kinds of routes, by title."""
    known = [network for network in run.studied if network.history is not None and network.zoo_name]
    kinds = {
        name: {network.routes for network in known if network.zoo_name == name}
        for name in {network.zoo_name for network in known}
    }
    networks: dict[str, list[StudiedNetwork]] = {}
    for network in known:
        if len(kinds[network.zoo_name]) > 1 and _is_tested(network.tables[HISTORY]):
            # As whole trainings are called, so that both have one colour.
            networks.setdefault(training_text(network.zoo_name, network.routes), []).append(network)
    return networks


def _is_tested(history: Table) -> bool:
    return "test_error_rate" in history.columns and bool(history.to_pandas()["test_error_rate"].notna().any())
