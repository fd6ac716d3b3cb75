"""The figure of a training. The oracle is the history."""

import pytest

from unravelnet.errors import EvaluationError
from unravelnet.figures import figure_training
from unravelnet.records.record import Table

HISTORY = Table(
    [
        {"epoch": 1, "train_loss": 2.0, "train_error_rate": 0.8, "test_error_rate": 0.7},
        {"epoch": 2, "train_loss": 1.5, "train_error_rate": 0.6, "test_error_rate": 0.5},
    ]
)


def lines(axes):
    """The curves of an axes, in the order they were drawn."""
    return [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axes.lines]


def test_error_and_loss_are_drawn_over_epochs():
    figure = figure_training({"net": HISTORY})
    error, loss = figure.axes
    assert lines(error) == [([1, 2], [0.7, 0.5]), ([1, 2], [0.8, 0.6])]
    assert lines(loss) == [([1, 2], [2.0, 1.5])]
    assert (error.get_ylabel(), loss.get_ylabel()) == ("Error (%)", "Cross-entropy loss (nats)")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["net"]


def test_without_test_data_the_training_curve_is_named():
    rows = [{**row, "test_error_rate": float("nan")} for row in HISTORY]
    figure = figure_training({"net": Table(rows)})
    assert lines(figure.axes[0]) == [([1, 2], [0.8, 0.6])]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["net"]


def test_epochs_without_a_test_leave_no_gap():
    tested = {2: 0.7, 4: 0.5}
    rows = [{"epoch": n, "train_error_rate": 0.9 / n, "test_error_rate": tested.get(n)} for n in (1, 2, 3, 4)]
    test, training = figure_training({"net": Table(rows)}).axes[0].lines
    assert (test.get_xdata().tolist(), test.get_ydata().tolist()) == ([2, 4], [0.7, 0.5])
    assert (test.get_marker(), training.get_marker()) == ("o", "None")


def test_a_table_without_errors_is_refused():
    with pytest.raises(EvaluationError, match="No history has a column"):
        figure_training({"net": Table([{"epoch": 1}])})
