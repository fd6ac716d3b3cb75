"""The chapters of the report, in the order of the paper.

Questions and what the paper says are prose; everything about this run is computed from its tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.across.chapter import every_training
from unravelnet.reporting.topics.chapter import Chapter
from unravelnet.reporting.topics.doses.findings import on_doses
from unravelnet.reporting.topics.effective_depth.chapter import effective_depth
from unravelnet.reporting.topics.ensembles.chapter import ensemble
from unravelnet.reporting.topics.gradients.chapter import path_gradients
from unravelnet.reporting.topics.gradients.findings import EXACT, RMS, SAMPLED
from unravelnet.reporting.topics.importance.chapter import importance
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

# Studies that chapters of their own tell.
_TOLD = ("delete_each", "delete_many", "delete_many_same_shape", "reorder", "remove_skip_each")


def all_chapters(run: Run) -> list[Chapter]:
    """Write the chapters of a run, without its summary and provenance."""
    n_modules = run.depth
    return [
        networks(run),
        unraveled(run, n_modules),
        *([delete_each(run), delete_many(run), reorder(run)] if run.is_about_lesions else []),
        *every_training(run),
        path_lengths(n_modules),
        path_survival(n_modules),
        *([remove_skip(run)] if run.is_about_lesions else []),
        *study_chapters(run, {"delete_pairs": on_pairs, "scale_each": on_doses}, told=_TOLD),
        *gradient_chapters(run),
        *training_chapters(run),
        *([added] if (added := added_figures(run)).figures or added.missing else []),
    ]


def gradient_chapters(run: Run) -> list[Chapter]:
    """Write those of the chapters for which a network of the run has a table."""
    written: Mapping[Callable[[Run], Chapter], Sequence[str]] = {
        path_gradients: (EXACT, RMS, SAMPLED),
        effective_depth: ("effective_depths", "module_measures"),
        importance: ("importance",),
        layer_responses: ("layer_responses",),
        over_training: ("over_training", "spectra_over_training", "normalisation_scales"),
        ensemble: ("ensemble",),
        pruning: ("pruning",),
    }
    return [
        write(run) for write, studies in written.items() if any(run.with_table(study) for study in studies)
    ]
