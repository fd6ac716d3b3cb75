"""Charts of the paper: one function a figure, each from a table to a `matplotlib.figure.Figure`.

A figure for a column of a paper, with fonts that publishers take:

    >>> from unravelnet.records.record import Table
    >>> table = Table([{"label": f"module {i}", "module": i, "error_rate": 0.1 + 0.02 * i} for i in range(9)])
    >>> figure = figure_delete_each(
    ...     {"our network": table},
    ...     width=3.4,
    ...     colours={"our network": "black"},
    ...     labels={"Error (%)": "Test error (%)"},
    ...     title="",
    ...     caption="",
    ... )
    >>> save_figure(figure, directory / "delete_each.pdf", data=table).name
    'delete_each.pdf'

Every figure function takes these options. `width`: in inches, from 3 to 40. Panels that would be too narrow beside
each other go under each other, texts break, and the height follows. `colours`: a mapping from names of series, as the
legend has them, to colours, or a list of colours in the order of the series. `labels`: a mapping from texts of the
figure (of titles, axes, legends and names of rows) to your own. `caption`: the line below the axes. An empty text
leaves out what it stands for. A name that the figure does not have raises FigureError with those that it has.

`save_figure` writes PDF, SVG or PNG by the suffix, and the data beside it; nothing else shows or saves what is drawn.
All figures have one look (`figures.style`). The mathematics of paths is in `unravelnet.paths`, the page that puts the
figures in order in `unravelnet.reporting`.
"""

from unravelnet.figures.cuts import figure_cuts
from unravelnet.figures.doses import figure_scale_each
from unravelnet.figures.ensemble import figure_ensemble
from unravelnet.figures.epochs import figure_epochs
from unravelnet.figures.gradient import (
    figure_coherence,
    figure_length_contribution,
    figure_path_gradient,
)
from unravelnet.figures.importance import figure_importance
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
from unravelnet.figures.pairs import figure_delete_pairs
from unravelnet.figures.path import (
    figure_path_lengths,
    figure_path_survival,
    path_length_rows,
    path_survival_rows,
)
from unravelnet.figures.pruning import figure_pruning
from unravelnet.figures.save import save_figure
from unravelnet.figures.spans import figure_spans
from unravelnet.figures.training import figure_degradation, figure_trained_errors, figure_training
from unravelnet.figures.trainings import figure_lesions_of_trainings, figure_spectra_of_trainings
from unravelnet.figures.unraveled import figure_unraveled, unraveled_terms

__all__ = [
    "figure_coherence",
    "figure_cuts",
    "figure_degradation",
    "figure_delete_each",
    "figure_delete_many",
    "figure_delete_pairs",
    "figure_effective_depths",
    "figure_ensemble",
    "figure_epochs",
    "figure_importance",
    "figure_layer_responses",
    "figure_length_contribution",
    "figure_lesions_of_trainings",
    "figure_module_measures",
    "figure_normalisation_scales",
    "figure_over_training",
    "figure_path_gradient",
    "figure_path_lengths",
    "figure_path_survival",
    "figure_pruning",
    "figure_remove_skip_each",
    "figure_reorder",
    "figure_scale_each",
    "figure_spans",
    "figure_spectra_of_trainings",
    "figure_spectra_over_training",
    "figure_trained_errors",
    "figure_training",
    "figure_unraveled",
    "path_length_rows",
    "path_survival_rows",
    "save_figure",
    "unraveled_terms",
]
