"""The figure of errors over epochs: within trainings and of whole trainings, kept apart."""

import numpy as np
import pytest

from unravelnet.errors import EvaluationError
from unravelnet.figures import figure_epochs
from unravelnet.readers.epochs import whole_trainings
from unravelnet.records.record import Table

NAN = float("nan")


def history(n=10, floor=0.05):
    return Table(
        {"epoch": epoch, "test_error_rate": floor + 0.5 / epoch if epoch % 2 == 0 else NAN}
        for epoch in range(1, 2 * n + 1)
    )


def whole(**errors):
    """Rows of whole trainings: by routes, errors by epochs."""
    return Table(
        {"zoo_name": "resnet20", "routes": routes, "epochs": epochs, "error_rate": error, "n_images": 10_000}
        for routes, by_epochs in errors.items()
        for epochs, error in by_epochs.items()
    )


def test_tested_epochs_are_marks_and_the_end_has_its_band():
    (axes,) = figure_epochs({"a": history(), "b": history(floor=0.1)}).axes
    curves = {line.get_label(): line for line in axes.lines}
    assert curves["a"].get_xdata().tolist() == list(range(2, 21, 2))
    assert curves["b"].get_ydata() == pytest.approx([0.1 + 0.5 / epoch for epoch in range(2, 21, 2)])
    # Of ten errors the last three are predicted; without scatter the prediction is the curve itself.
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [list(line.get_xdata()) for line in dashed] == [[16, 18, 20]] * 2
    assert dashed[0].get_ydata() == pytest.approx([0.05 + 0.5 / epoch for epoch in (16, 18, 20)], abs=1e-4)
    assert len(axes.collections) == 2


def test_whole_trainings_have_their_own_panel_and_the_same_colours():
    errors = {10: 0.25, 20: 0.15, 40: 0.1, 80: 0.075}
    figure = figure_epochs({"ResNet-20": history()}, whole(all=errors, **{"exactly:4": {10: 0.3}}))
    within, finals = figure.axes
    marks = [line for line in finals.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in marks] == [[10, 20, 40, 80], [10]]
    assert marks[0].get_color() == within.lines[0].get_color() != marks[1].get_color()
    # 0.05 + 2 / epochs is fitted and goes on behind the longest; one length is a mark without a curve.
    (curve,) = [line for line in finals.lines if line.get_marker() != "o"]
    assert curve.get_ydata() == pytest.approx(0.05 + 2 / np.asarray(curve.get_xdata()), abs=1e-3)
    assert np.max(curve.get_xdata()) > 80
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "ResNet-20",
        "ResNet-20, exactly 4",
    ]


def test_networks_of_one_length_have_no_curve():
    table = Table([*whole(all={10: 0.2}), {**whole(all={10: 0.3})[0], "zoo_name": "plain20"}])
    assert whole_trainings(table) == []
    assert len(figure_epochs({"a": history()}, table).axes) == 1


def test_what_began_with_another_training_is_no_point():
    rows = [
        {**row, "start": "zoo:a" if row["epochs"] == 5 else ""}
        for row in whole(all={5: 0.1, 10: 0.2, 20: 0.1})
    ]
    (curve,) = whole_trainings(Table(rows))
    assert curve.epochs == [10, 20]


def test_a_history_without_tests_is_refused():
    with pytest.raises(EvaluationError, match="No history has a test error"):
        figure_epochs({"a": Table([{"epoch": 1, "test_error_rate": NAN}])})
