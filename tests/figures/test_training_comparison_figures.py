"""Figures that compare trainings. The oracle is the table that they show."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from scipy.stats import binom

from tests.figures import gradient_tables
from tests.reporting import trainings
from unravelnet.errors import EvaluationError
from unravelnet.figures import figure_degradation, figure_spectra_of_trainings, figure_trained_errors
from unravelnet.records.record import Table


def history(start, end, n_epochs=5):
    return Table(
        {"epoch": epoch, "train_error_rate": float(error) - 0.01, "test_error_rate": float(error)}
        for epoch, error in enumerate(np.linspace(start, end, n_epochs), start=1)
    )


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def caption_of(figure):
    return figure.get_supxlabel().replace("\n", " ").replace("\xa0", " ")


def curves(axes):
    return [
        (line.get_color(), np.asarray(line.get_ydata()).tolist())
        for line in axes.lines
        if len(line.get_xdata())
    ]


def test_depths_have_one_colour_in_both_panels():
    plain = {"20 layers": history(0.7, 0.09), "56 layers": history(0.8, 0.13)}
    residual = {"20 layers": history(0.6, 0.085), "110 layers": history(0.6, 0.07)}
    figure = figure_degradation({"Plain networks": plain, "Residual networks": residual})
    left, right = figure.axes
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["Plain networks", "Residual networks"]
    for axes, tables in ((left, plain), (right, residual)):
        drawn = [values for _, values in curves(axes)]
        expected = [
            [row[f"{of}_error_rate"] for row in table]
            for table in tables.values()
            for of in ("test", "train")
        ]
        assert drawn == expected
    assert curves(left)[0][0] == curves(right)[0][0]
    assert labels(figure) == ["20 layers", "56 layers", "110 layers"]
    colour = {
        label.get_text(): line.get_color()
        for label, line in zip(figure.legends[0].get_texts(), figure.legends[0].get_lines(), strict=True)
    }
    assert colour["110 layers"] == curves(right)[2][0]


def test_the_ends_of_the_curves_are_in_sight():
    figure = figure_degradation(
        {"Plain": {"20 layers": history(0.9, 0.1)}, "Residual": {"20 layers": history(0.9, 0.08)}}
    )
    for axes in figure.axes:
        assert axes.get_ylim() == pytest.approx((0, 0.25))
    assert "Errors above 25 % are not shown" in caption_of(figure)
    whole = figure_degradation({"Plain": {"20 layers": history(0.9, 0.6)}})
    assert whole.axes[0].get_ylim() == pytest.approx((0, 1))
    assert "not shown" not in caption_of(whole)


@pytest.mark.parametrize(
    "panels", [{}, {"Plain": {}}, {"Plain": {"20 layers": Table([{"epoch": 1, "train_error_rate": 0.5}])}}]
)
def test_without_test_errors_there_are_no_depths_to_compare(panels):
    with pytest.raises(EvaluationError, match="No history has a column test_error_rate"):
        figure_degradation(panels)


def test_every_training_is_a_mark_beside_its_name():
    table = trainings.whole_table()
    figure = figure_trained_errors(table)
    (axes,) = figure.axes
    marks = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines]
    assert sorted(error for error, _ in marks) == sorted(row["error_rate"] for row in table)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:2] == ["Pre-activation ResNet-110", "Pre-activation ResNet-110, exactly 23"]
    plain20 = names.index("Plain-20")
    assert [error for error, y in marks if round(y) == plain20] == [0.09, 0.091, 0.092]
    assert "n = 10,000 images" in caption_of(figure)
    figure.draw_without_rendering()


def test_means_stand_where_there_are_several_seeds():
    (axes,) = figure_trained_errors(trainings.whole_table()).axes
    lines = [part.get_segments()[0] for part in axes.collections if isinstance(part, LineCollection)]
    means = [segment[0][0] for segment in lines if segment[0][0] == segment[1][0]]
    assert means == pytest.approx([0.091, 0.085, 0.081, 0.081, 0.13])


def test_the_other_test_time_is_hollow():
    table = Table(trainings.trained("preact-resnet110", [0.09], routes="stochastic-depth:0.5", scaled=[0.06]))
    figure = figure_trained_errors(table)
    as_trained, other = figure.axes[0].lines
    assert (as_trained.get_xdata()[0], as_trained.get_markerfacecolor()) == (0.06, as_trained.get_color())
    assert (other.get_xdata()[0], other.get_markerfacecolor()) == (0.09, "#ffffff")
    assert labels(figure) == ["scaled", "unscaled"]
    assert "hollow: not as the method tests" in caption_of(figure)


def test_every_other_way_of_testing_has_its_mark():
    others = {"unscaled, re-estimated": 0.15, "scaled, re-estimated": 0.11, "random routes": 0.2}
    rows = trainings.trained("preact-resnet110", [0.5], routes="exactly:23", scaled=[0.12], others=others)
    figure = figure_trained_errors(Table(rows))
    marks = figure.axes[0].lines
    assert {(float(mark.get_xdata()[0]), mark.get_markerfacecolor()) for mark in marks} == {
        (0.12, marks[0].get_color()), (0.5, "#ffffff"), (0.15, "#ffffff"), (0.11, "#ffffff"),
        (0.2, "#ffffff"),
    }  # fmt: skip
    assert len({mark.get_marker() for mark in marks}) == len(labels(figure)) == 5


@pytest.mark.parametrize(("largest", "scale"), [(0.2, "linear"), (0.6, "log")])
def test_errors_far_apart_are_drawn_on_a_logarithm(largest, scale):
    table = Table([*trainings.trained("plain20", [0.09]), *trainings.trained("plain56", [largest])])
    (axes,) = figure_trained_errors(table).axes
    assert axes.get_xscale() == scale


@pytest.mark.parametrize(
    ("rows", "phrase"),
    [
        ([], "no column 'training_seed'"),
        ([{**row, "is_as_trained": False} for row in trainings.trained("plain20", [0.09])], "is_as_trained"),
        (
            [{**row, "error_rate": None} for row in trainings.trained("plain20", [0.09])],
            "finite 'error_rate'",
        ),
    ],
)
def test_a_table_without_trainings_is_refused(rows, phrase):
    with pytest.raises(EvaluationError, match=phrase):
        figure_trained_errors(Table(rows))


# -- the gradient by path length of many trainings --


def shortest_range(weights, share=0.95):
    """The shortest range of indices that holds a share, by trying all of them; of several the heaviest."""
    ranges = [(low, high) for low in range(len(weights)) for high in range(low, len(weights))]
    holding = [ends for ends in ranges if sum(weights[ends[0] : ends[1] + 1]) >= share * sum(weights)]
    return min(holding, key=lambda ends: (ends[1] - ends[0], -sum(weights[ends[0] : ends[1] + 1])))


def spectra():
    """Coherent paths whose norm falls by a factor r with every module: Binomial(n, r / (1 + r))."""
    odds = {"shallow": (9, (1.0, 0.5, 0.8)), "deep": (54, (0.2,))}
    tables = {
        name: [gradient_tables.exact(n, r, coherent=True) for r in decays]
        for name, (n, decays) in odds.items()
    }
    expected = [binom(n, r / (1 + r)) for n, decays in odds.values() for r in decays]
    return tables, expected


def test_the_lengths_of_every_training_are_those_of_its_table():
    tables, expected = spectra()
    figure = figure_spectra_of_trainings(tables)
    (axes,) = figure.axes
    lines = {marker: [line for line in axes.lines if line.get_marker() == marker] for marker in "o|"}
    assert [line.get_xdata()[0] for line in lines["o"]] == pytest.approx([one.mean() for one in expected])
    weights = [one.pmf(range(one.args[0] + 1)) for one in expected]
    assert [tuple(line.get_xdata()) for line in lines["|"]] == [shortest_range(part) for part in weights]
    # Three seeds around the first row, one on the second.
    assert [float(line.get_ydata()[0]) for line in lines["o"]] == pytest.approx([-0.2, 0.0, 0.2, 1.0])
    assert "n = 128 images" in caption_of(figure)


def test_all_paths_stand_behind_every_network():
    (axes,) = figure_spectra_of_trainings(spectra()[0]).axes
    ends = [
        (bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches if isinstance(bar, Rectangle)
    ]
    # Of Binomial(54, 1/2), 20 to 34 hold 95 %: the range that the page of path lengths has.
    assert ends == [shortest_range(binom(9, 0.5).pmf(range(10))), (20, 34)]
    assert shortest_range(binom(54, 0.5).pmf(range(55))) == (20, 34)
    lines = [part for part in axes.collections if isinstance(part, LineCollection)]
    means = [segment[0][0] for part in lines for segment in part.get_segments()]
    assert means == [4.5, 27]


def test_another_share_is_named_and_drawn():
    figure = figure_spectra_of_trainings({"deep": [gradient_tables.exact(54, coherent=True)]}, share=0.5)
    weights = binom(54, 0.2).pmf(range(55))
    (bar,) = [line for line in figure.axes[0].lines if line.get_marker() == "|"]
    assert tuple(bar.get_xdata()) == shortest_range(weights, 0.5)
    assert labels(figure) == [
        "50 % of the gradient",
        "mean length of the gradient",
        "mean length of all paths",
        "50 % of all paths",
    ]


@pytest.mark.parametrize(
    ("tables", "phrase"),
    [
        ({}, "No table was given"),
        ({"a": []}, "No table was given"),
        ({"a": [gradient_tables.sampled(3)]}, "no column 'length_share'"),
        ({"a": [Table(list(gradient_tables.exact(9))[:4])]}, "Of a, lengths above 3 were not measured"),
    ],
)
def test_spectra_that_are_not_whole_are_refused(tables, phrase):
    with pytest.raises(EvaluationError, match=phrase):
        figure_spectra_of_trainings(tables)
