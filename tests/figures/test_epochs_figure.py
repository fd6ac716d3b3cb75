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


def points(axes, marker="o"):
    return [line for line in axes.lines if line.get_marker() == marker and len(line.get_xdata())]


def test_tested_epochs_are_marks_and_further_seeds_thin_lines_of_one_colour():
    figure = figure_epochs({"a": [history(), history(floor=0.06)], "b": [history(floor=0.1)]})
    (axes,) = figure.axes
    a, b = points(axes)
    assert a.get_xdata().tolist() == b.get_xdata().tolist() == list(range(2, 21, 2))
    assert b.get_ydata() == pytest.approx([0.1 + 0.5 / epoch for epoch in range(2, 21, 2)])
    [seed] = [line for line in axes.lines if line not in (a, b)]
    assert seed.get_ydata() == pytest.approx([0.06 + 0.5 / epoch for epoch in range(2, 21, 2)])
    assert seed.get_color() == a.get_color() != b.get_color()
    assert seed.get_linewidth() < a.get_linewidth()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    # No curve is fitted within a training.
    assert not axes.collections


def test_whole_trainings_have_their_own_panel_and_the_same_colours():
    errors = {10: 0.25, 20: 0.15, 40: 0.1, 80: 0.075}
    figure = figure_epochs({"ResNet-20": [history()]}, whole(all=errors, **{"exactly:4": {10: 0.3}}))
    within, finals = figure.axes
    marks = points(finals)
    assert [list(line.get_xdata()) for line in marks] == [[10, 20, 40, 80], [10]]
    assert marks[0].get_color() == within.lines[0].get_color() != marks[1].get_color()
    # 0.05 + 2 / epochs is fitted and goes on behind the longest; one length is a mark without a curve.
    (curve,) = [line for line in finals.lines if line.get_marker() != "o"]
    assert curve.get_ydata() == pytest.approx(0.05 + 2 / np.asarray(curve.get_xdata()), abs=1e-3)
    # The band begins with the longest training, ends with the curve, and holds what the law has there.
    [band] = [each for each in finals.collections if type(each).__name__ == "FillBetweenPolyCollection"]
    x, y = band.get_paths()[0].vertices.T
    assert (x.min(), x.max()) == pytest.approx((80, 320))
    assert np.max(curve.get_xdata()) == pytest.approx(320)
    assert y[x == x.max()].min() < 0.05 + 2 / 320 < y[x == x.max()].max()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "ResNet-20",
        "ResNet-20, exactly 4",
    ]


def test_trainings_on_images_of_other_sizes_are_hollow_and_not_fitted():
    rows = [{**row, "image_sizes": "32"} for row in whole(all={10: 0.25, 20: 0.15, 40: 0.1, 80: 0.075})]
    rows.append({**rows[0], "epochs": 30, "error_rate": 0.9, "image_sizes": "16,32"})
    finals = figure_epochs({"ResNet-20": [history()]}, Table(rows)).axes[1]
    filled, hollow = points(finals)
    assert (list(filled.get_xdata()), list(hollow.get_xdata())) == ([10, 20, 40, 80], [30])
    assert filled.get_markerfacecolor() == filled.get_color() == hollow.get_color()
    assert hollow.get_markerfacecolor() == finals.get_facecolor()
    assert hollow.get_markeredgecolor() == filled.get_color()
    (curve,) = [line for line in finals.lines if line.get_marker() != "o"]
    assert curve.get_ydata() == pytest.approx(0.05 + 2 / np.asarray(curve.get_xdata()), abs=1e-3)


def test_networks_of_one_length_have_no_curve():
    table = Table([*whole(all={10: 0.2}), {**whole(all={10: 0.3})[0], "zoo_name": "plain20"}])
    assert whole_trainings(table) == []
    assert len(figure_epochs({"a": [history()]}, table).axes) == 1


def test_a_history_without_tests_is_refused():
    with pytest.raises(EvaluationError, match="No history has a test error"):
        figure_epochs({"a": [Table([{"epoch": 1, "test_error_rate": NAN}])]})
