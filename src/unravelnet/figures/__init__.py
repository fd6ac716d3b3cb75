"""Charts of the paper: one function a figure, each from a table to a `matplotlib.figure.Figure`.

    figure = figure_delete_each({"ResNet-110": table}, downsampling={"ResNet-110": [18, 36]}, n_classes=10)
    save_figure(figure, table, "figures", "delete_each")

No function shows or saves what it draws, except `save_figure`. All have one look (`figures.style`). The
mathematics of paths is in `unravelnet.paths`, the page that puts the figures in order in `unravelnet.reporting`.
"""

from unravelnet.figures.ensemble import figure_ensemble
from unravelnet.figures.gradient import (
    figure_coherence,
    figure_length_contribution,
    figure_path_gradient,
)
from unravelnet.figures.lesions import (
    figure_delete_each,
    figure_delete_many,
    figure_remove_skip_each,
    figure_reorder,
)
from unravelnet.figures.modules import (
    figure_effective_depths,
    figure_layer_responses,
    figure_module_measures,
)
from unravelnet.figures.over_training import (
    figure_normalisation_scales,
    figure_over_training,
    figure_spectra_over_training,
)
from unravelnet.figures.path import (
    figure_path_lengths,
    figure_path_survival,
    path_length_rows,
    path_survival_rows,
)
from unravelnet.figures.save import save_figure
from unravelnet.figures.training import figure_degradation, figure_trained_errors, figure_training
from unravelnet.figures.unraveled import figure_unraveled, unraveled_terms

__all__ = [
    "figure_coherence",
    "figure_degradation",
    "figure_delete_each",
    "figure_delete_many",
    "figure_effective_depths",
    "figure_ensemble",
    "figure_layer_responses",
    "figure_length_contribution",
    "figure_module_measures",
    "figure_normalisation_scales",
    "figure_over_training",
    "figure_path_gradient",
    "figure_path_lengths",
    "figure_path_survival",
    "figure_remove_skip_each",
    "figure_reorder",
    "figure_spectra_over_training",
    "figure_trained_errors",
    "figure_training",
    "figure_unraveled",
    "path_length_rows",
    "path_survival_rows",
    "save_figure",
    "unraveled_terms",
]
