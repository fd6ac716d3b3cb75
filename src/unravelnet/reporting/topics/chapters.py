"""The chapters of a report, by what its run was made for.

Questions and what the paper says are prose; everything about this run is computed from its tables.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from unravelnet.reporting.contents import REPRODUCE, Run
from unravelnet.reporting.topics.across.chapter import every_training
from unravelnet.reporting.topics.chapter import Chapter, file_name
from unravelnet.reporting.topics.doses.findings import on_doses
from unravelnet.reporting.topics.effective_depth.chapter import effective_depth
from unravelnet.reporting.topics.ensembles.chapter import ensemble
from unravelnet.reporting.topics.gradients.chapter import path_gradients
from unravelnet.reporting.topics.gradients.findings import EXACT, RMS, SAMPLED
from unravelnet.reporting.topics.importance.chapter import importance
from unravelnet.reporting.topics.judged import all_claims, told
from unravelnet.reporting.topics.lesions.chapter import delete_each
from unravelnet.reporting.topics.networks.chapter import networks
from unravelnet.reporting.topics.of_study import added_figures, study_chapters
from unravelnet.reporting.topics.orders.chapter import reorder
from unravelnet.reporting.topics.over_training.chapter import over_training
from unravelnet.reporting.topics.pairs.findings import on_pairs
from unravelnet.reporting.topics.paths.chapter import path_lengths, path_survival, unraveled
from unravelnet.reporting.topics.pruning.chapter import pruning
from unravelnet.reporting.topics.random_lesions.chapter import delete_many
from unravelnet.reporting.topics.responses.chapter import layer_responses
from unravelnet.reporting.topics.skips.chapter import remove_skip
from unravelnet.reporting.topics.trainings.chapter import training_chapters
from unravelnet.reporting.words.claim import Claim
from unravelnet.reporting.words.sentences import listed
from unravelnet.wording import counted

# Studies that chapters of their own tell.
_TOLD = ("delete_each", "delete_many", "delete_many_same_shape", "reorder", "remove_skip_each")
_MOST_NAMES = 3

Writer = Callable[[Run], Iterable[Chapter]]


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a run was made for: it gives the report its title, and its chapters come first.

    `kind`: of the run, in a few words. `title`: of the report; the networks are named behind it. `chapters`: what
    writes its chapters, in their order.
    """

    kind: str
    title: str
    chapters: tuple[Writer, ...]


def kind_of(run: Run) -> str:
    """Say in a few words what a run is."""
    return " · ".join(purpose.kind for purpose in _purposes(run))


def title_of(run: Run, chapters: Iterable[Chapter]) -> str:
    """Give the title of a report: what the run was made for, and its networks.

    `chapters`: those of the run. Where it was made for a single one, this gives the title.
    """
    if run.is_reproduction:
        return _REPRODUCTION.title
    made = [chapter.title for chapter in chapters if chapter.command]
    first, *others = made if len(made) == 1 else [purpose.title for purpose in _purposes(run)]
    return f"{listed([first, *map(_without_capital, others)])}: {_names(run)}"


def all_chapters(run: Run) -> list[Chapter]:
    """Write the chapters of a run, without its summary and provenance: those that it was made for come first.

    The report of a reproduction has the claims of papers before its chapters. In that of another run a chapter has
    the claims that it tests, and one that has nothing to say is left out.
    """
    made = [chapter for command in run.commands for chapter in _made_by(command, run)]
    if run.is_reproduction:
        return made
    others = [chapter for write in _OF_ANY_RUN for chapter in write(run)]
    return _with_claims(run, [chapter for chapter in (*made, *others) if chapter.says_something])


def unfinished(run: Run, chapters: Iterable[Chapter]) -> list[str]:
    """Say which commands have left nothing that a chapter tells."""
    told_by = {chapter.command for chapter in chapters}
    return [
        f"unravelnet {command} has left no table that this report shows. Call the same command again to finish it."
        for command in run.commands
        if command not in told_by
    ]


def _made_by(command: str, run: Run) -> list[Chapter]:
    chapters = [chapter for write in _PURPOSES[command].chapters for chapter in write(run)]
    for chapter in chapters:
        chapter.command = command
    return chapters


def _purposes(run: Run) -> list[Purpose]:
    return [_PURPOSES[command] for command in run.commands]


def _names(run: Run) -> str:
    names = [network.title for network in run.studied]
    return listed(names) if len(names) <= _MOST_NAMES else counted(len(names), "network")


def _without_capital(text: str) -> str:
    return f"{text[0].lower()}{text[1:]}"


def _with_claims(run: Run, chapters: list[Chapter]) -> list[Chapter]:
    """Put the claims that the tables of a run test into their chapters; a paper is told only beside its claims."""
    anchors = {chapter.anchor for chapter in chapters}
    tested = [(short, claim) for short, claim in told(all_claims(run)) if claim.is_tested]
    for chapter in chapters:
        chapter.claims = [pair for pair in tested if _place(pair[1], anchors) == chapter.anchor]
        if not chapter.claims:
            chapter.paper = ""
    return chapters


def _place(claim: Claim, anchors: Container[str]) -> str:
    """Find the chapter of a claim on a page: its own, else that of the first table that it was judged from."""
    of_tables = (file_name(Path(file).stem.replace("_", "-")) for file in claim.rows)
    return next((anchor for anchor in (claim.chapter, *of_tables) if anchor in anchors), "")


def _one(write: Callable[[Run], Chapter]) -> Writer:
    return lambda run: [write(run)]


def _with_any(write: Callable[[Run], Chapter], *studies: str) -> Writer:
    """Write a chapter where a network of the run has one of these tables."""
    return lambda run: [write(run)] if any(run.with_table(study) for study in studies) else []


def _about_lesions(write: Callable[[Run], Chapter]) -> Writer:
    return lambda run: [write(run)] if run.is_about_lesions else []


def _of_studies(run: Run) -> list[Chapter]:
    return study_chapters(run, {"delete_pairs": on_pairs, "scale_each": on_doses}, told=_TOLD)


def _over_training(run: Run) -> list[Chapter]:
    # Trainings that are only compared have it, too.
    chapter = over_training(run)
    return [chapter] if chapter.says_something else []


def _added(run: Run) -> list[Chapter]:
    added = added_figures(run)
    return [added] if added.figures or added.missing else []


_DELETIONS: tuple[Writer, ...] = tuple(map(_about_lesions, (delete_each, delete_many, reorder)))
_REMOVED: tuple[Writer, ...] = (_about_lesions(remove_skip), _of_studies)
_GRADIENTS: tuple[Writer, ...] = (
    _with_any(path_gradients, EXACT, RMS, SAMPLED),
    _with_any(effective_depth, "effective_depths", "module_measures"),
)
_IMPORTANCE: tuple[Writer, ...] = (_with_any(importance, "importance"),)
_PRUNING: tuple[Writer, ...] = (_with_any(pruning, "pruning"),)
# Behind what a run was made for.
_OF_ANY_RUN: tuple[Writer, ...] = (_one(networks), _added)
# In the order of the paper.
_REPRODUCTION = Purpose(
    "Lesion study of residual networks",
    "Do residual networks behave like ensembles of relatively shallow paths?",
    (
        _one(networks),
        _one(lambda run: unraveled(run, run.depth)),
        *_DELETIONS,
        every_training,
        _one(lambda run: path_lengths(run.depth)),
        _one(lambda run: path_survival(run.depth)),
        *_REMOVED,
        *_GRADIENTS,
        *_IMPORTANCE,
        _with_any(layer_responses, "layer_responses"),
        _over_training,
        _with_any(ensemble, "ensemble"),
        *_PRUNING,
        training_chapters,
        _added,
    ),
)
_PURPOSES: Mapping[str, Purpose] = {
    REPRODUCE: _REPRODUCTION,
    "lesion": Purpose("Lesion study", "Lesions of modules", (*_DELETIONS, *_REMOVED)),
    "paths": Purpose("Path gradients", "The gradient by path length", _GRADIENTS),
    "importance": Purpose("Importance of modules", "Which modules matter", _IMPORTANCE),
    "prune": Purpose("Pruning", "Which modules can go", _PRUNING),
}
