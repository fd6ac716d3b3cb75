"""The figure of scores beside deletions. The oracle is the table that it shows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.figures.tables import importance
from unravelnet.errors import EvaluationError
from unravelnet.figures import figure_importance
from unravelnet.records.record import Table


def points(axes, label):
    (found,) = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def test_a_panel_a_score_the_best_first():
    figure = figure_importance(importance(12))
    first, second, third = figure.axes
    ranks = [(7 * module) % 12 + 1 for module in range(12)]
    assert points(first, "module") == (ranks, ranks)
    assert points(second, "module") == (list(range(1, 13)), ranks)
    assert points(third, "module") == ([13 - rank for rank in ranks], ranks)
    titles = [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]
    assert titles[0] == "First-order estimate by log odds, ρ = 1.00"
    assert titles[2] == "First-order estimate, ρ = −1.00"
    assert points(first, "down-sampling module")[0] == [ranks[9]]


def test_values_instead_of_ranks():
    table = importance(12)
    figure = figure_importance(table, truth="deletion_error_rate", by_rank=False)
    assert points(figure.axes[0], "module") == (table["first_order_odds"], table["deletion_error_rate"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"module": 0, "block_influence": 0.5}], r"no column 'deletion'.*methods=\['deletion', \.\.\.\]"),
        ([{"module": 0, "deletion": 0.5}], "no score beside 'deletion'"),
    ],
)
def test_what_cannot_be_compared_is_refused(rows, words):
    with pytest.raises(EvaluationError, match=words):
        figure_importance(Table(rows))
