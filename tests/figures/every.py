"""Every figure function with tables that fill it: long names, many modules, all panels, all ways of testing."""

from functools import cache, partial

from tests.figures import gradient_tables, tables
from tests.reporting import trainings
from unravelnet import figures
from unravelnet.records.record import Table
from unravelnet.routes.route import Route

_NAMES = ("pre-activation ResNet-110, stochastic depth", "ResNet-110")
_DECAYS = gradient_tables.DECAYS
COLUMN = 3.4
"""Inches: a column of a paper."""
COLOUR = "#123456"


def _history(n_epochs=164):
    return Table(
        {
            "epoch": epoch,
            "train_error_rate": 0.9 / epoch,
            "test_error_rate": 0.95 / epoch,
            "train_loss": 2 / epoch,
        }
        for epoch in range(1, n_epochs + 1)
    )


def _each():
    return {name: tables.each(tables.resnet_like()) for name in _NAMES}


def _down():
    return {name: [18, 36] for name in _NAMES}


EVERY = {
    "delete_each": lambda **look: figures.figure_delete_each(
        _each(), downsampling=_down(), n_classes=10, **look
    ),
    "lesions_of_trainings": lambda **look: figures.figure_lesions_of_trainings(
        {name: [table] * 3 for name, table in _each().items()}, downsampling=_down(), **look
    ),
    "spectra_of_trainings": lambda **look: figures.figure_spectra_of_trainings(
        {name: [gradient_tables.exact()] * 3 for name in _NAMES}, **look
    ),
    "delete_many": partial(
        figures.figure_delete_many,
        tables.many({n: [0.1 * n**0.5, 0.2 * n**0.5] for n in range(1, 21)}),
        n_classes=10,
    ),
    "reorder": partial(
        figures.figure_reorder,
        tables.orders([(1 - 0.01 * n, 0.06 + 0.02 * n) for n in range(40)]),
        n_classes=10,
    ),
    "remove_skip_each": lambda **look: figures.figure_remove_skip_each(
        {name: (table, table) for name, table in _each().items()}, downsampling=_down(), n_classes=10, **look
    ),
    "delete_pairs": partial(figures.figure_delete_pairs, tables.pairs(12)),
    "scale_each": partial(figures.figure_scale_each, tables.doses(6)),
    "pruning": partial(figures.figure_pruning, tables.pruning_curve(9)),
    "cuts": partial(figures.figure_cuts, tables.cuts(12)),
    "spans": partial(figures.figure_spans, tables.spans(12)),
    "path_gradient": partial(
        figures.figure_path_gradient, gradient_tables.sampled(), rms=gradient_tables.rms()
    ),
    "length_contribution": partial(
        figures.figure_length_contribution, gradient_tables.sampled(), exact=gradient_tables.exact()
    ),
    "coherence": partial(figures.figure_coherence, gradient_tables.exact()),
    "effective_depths": partial(figures.figure_effective_depths, gradient_tables.effective_depths()),
    "module_measures": lambda **look: figures.figure_module_measures(
        dict.fromkeys(_NAMES, gradient_tables.module_measures()), **look
    ),
    "importance": partial(figures.figure_importance, tables.importance(54)),
    "layer_responses": lambda **look: figures.figure_layer_responses(
        dict.fromkeys(_NAMES, gradient_tables.layer_responses(109)), **look
    ),
    "over_training": partial(figures.figure_over_training, gradient_tables.over_training(_DECAYS)),
    "spectra_over_training": partial(
        figures.figure_spectra_over_training, gradient_tables.spectra_over_training(_DECAYS)
    ),
    "normalisation_scales": partial(
        figures.figure_normalisation_scales, gradient_tables.normalisation_scales()
    ),
    "ensemble": partial(
        figures.figure_ensemble,
        Table(
            [
                *gradient_tables.ensemble([0.3, 0.25, 0.2, 0.18, 0.17, 0.16, 0.15]),
                *gradient_tables.ensemble([0.1, 0.08], members="networks"),
            ]
        ),
    ),
    "path_lengths": partial(figures.figure_path_lengths, 54),
    "path_survival": partial(figures.figure_path_survival, 54),
    "training": lambda **look: figures.figure_training({name: _history() for name in _NAMES}, **look),
    "degradation": lambda **look: figures.figure_degradation(
        {
            kind: {f"{depth} layers": _history() for depth in (20, 32, 44, 56, 110)}
            for kind in ("Plain networks", "Residual networks")
        },
        **look,
    ),
    "epochs": lambda **look: figures.figure_epochs(
        {name: [_history(), _history(82)] for name in _NAMES}, trainings.whole_trainings(), **look
    ),
    "trained_errors": lambda **look: figures.figure_trained_errors(trainings.whole_table(), **look),
    "unraveled": partial(figures.figure_unraveled, 3, route=Route.full(3).delete(1)),
    "unraveled_five": partial(figures.figure_unraveled, 5),
}


@cache
def in_column(name):
    """One of the figures as wide as a column, in a colour of its own; drawn once for all tests, which only look."""
    return EVERY[name](width=COLUMN, colours=[COLOUR])
