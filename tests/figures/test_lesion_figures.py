"""Figures of lesion studies show the table and nothing else. The oracle is the table."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from tests.figures import tables
from unravelnet.errors import EvaluationError
from unravelnet.figures import (
    figure_delete_each,
    figure_delete_many,
    figure_remove_skip_each,
    figure_reorder,
)
from unravelnet.records.record import Table


def points(axes, label):
    """The x and y of the markers with this label."""
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line.get_xdata().tolist(), line.get_ydata().tolist()


def bars(axes, place=0):
    """The lower and upper ends of the intervals of one series."""
    collections = [part for part in axes.collections if isinstance(part, LineCollection)]
    return [(segment[0][1], segment[1][1]) for segment in collections[place].get_segments()]


def level_lines(axes):
    """The heights of the lines across the whole axes, in the order they were drawn."""
    across = [line for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    return [float(line.get_ydata()[0]) for line in across]


def caption_of(figure):
    return figure.get_supxlabel().replace("\n", " ").replace("\xa0", " ")


def test_delete_each_draws_the_table():
    errors = tables.resnet_like()
    table = tables.each(errors)
    (axes,) = figure_delete_each({"ResNet": table}, downsampling={"ResNet": [18, 36]}, n_classes=10).axes
    assert points(axes, "ResNet") == (list(range(54)), [r["error_rate"] for r in table][1:])
    assert bars(axes) == [(r["error_rate_low"], r["error_rate_high"]) for r in table][1:]
    assert points(axes, "down-sampling module") == ([18, 36], [errors[18], errors[36]])


def test_delete_each_marks_where_stages_begin():
    figure = figure_delete_each({"ResNet": tables.each(tables.resnet_like())}, stages=[0, 18, 36])
    upright = [line for line in figure.axes[0].lines if list(line.get_ydata()) == [0, 1]]
    assert [float(line.get_xdata()[0]) for line in upright] == [17.5, 35.5]
    assert "Vertical lines: a stage begins." in caption_of(figure)


def test_delete_each_draws_several_networks_with_their_baselines_and_chance():
    vgg = tables.each([0.9] * 14, intact=0.08)
    figure = figure_delete_each({"ResNet": tables.each(tables.resnet_like()), "VGG": vgg}, n_classes=10)
    (axes,) = figure.axes
    assert points(axes, "VGG") == (list(range(14)), [0.9] * 14)
    assert level_lines(axes) == [0.06, 0.08, 0.9]
    assert axes.get_xlabel() == "Module (index)"
    assert axes.get_ylabel() == "Error (%)"
    assert "n = 10,000 images" in caption_of(figure)
    assert "95 % Wilson intervals" in caption_of(figure)
    assert "Chance: 90 %." in caption_of(figure)


def test_far_away_chance_is_said_instead_of_drawn():
    figure = figure_delete_each({"ResNet": tables.each([0.07, 0.08, 0.07])}, n_classes=10)
    assert level_lines(figure.axes[0]) == [0.06]
    assert figure.axes[0].get_ylim()[1] < 0.1
    assert "Chance: 90 %, above this axis" in caption_of(figure)


def test_axis_counts_in_percent():
    figure = figure_delete_each({"ResNet": tables.each([0.9, 0.9])})
    formatter = figure.axes[0].yaxis.get_major_formatter()
    assert [formatter(value, 0) for value in (0, 0.2, 0.125)] == ["0", "20", "12.5"]


def test_rows_without_a_number_are_left_out():
    table = Table(
        [*tables.each([0.1, 0.2]), tables.row("module 2", 0.3, module=2) | {"error_rate": float("nan")}]
    )
    (axes,) = figure_delete_each({"ResNet": table}).axes
    assert points(axes, "ResNet") == ([0, 1], [0.1, 0.2])


def test_other_metrics_have_their_own_unit():
    rows = [
        {"label": "intact", "module": None, "loss": 0.5, "loss_low": 0.4, "loss_high": 0.6},
        {"label": "module 0", "module": 0, "loss": 1.5, "loss_low": float("-inf"), "loss_high": float("inf")},
    ]
    (axes,) = figure_delete_each({"net": Table(rows)}, metric="loss", n_classes=10).axes
    assert axes.get_ylabel() == "Cross-entropy loss (nats)"
    assert points(axes, "net") == ([0], [1.5])
    assert bars(axes) == []
    assert 0.9 not in level_lines(axes)


def test_delete_many_draws_quartiles_and_medians():
    draws = {1: [0.06, 0.07, 0.08, 0.09, 0.10], 5: [0.1, 0.2, 0.3, 0.4, 0.9], 20: [0.5, 0.6, 0.7, 0.8, 0.9]}
    figure = figure_delete_many(tables.many(draws), n_classes=10)
    (axes,) = figure.axes
    assert points(axes, "median of the draws") == ([1, 5, 20], [0.08, 0.3, 0.7])
    values = list(draws.values())
    boxes = [
        (patch.get_y(), patch.get_y() + patch.get_height())
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    ]
    np.testing.assert_allclose(boxes, np.percentile(values, [25, 75], axis=1).T)
    quartiles = np.percentile(values, [0, 25, 75, 100], axis=1)
    np.testing.assert_allclose(
        bars(axes), [*zip(*quartiles[:2], strict=True), *zip(*quartiles[2:], strict=True)]
    )
    assert "5 random draws each" in caption_of(figure)
    assert axes.get_xlabel() == "Number of deleted modules (of 54)"


def test_reorder_draws_every_order_from_one_downwards():
    pairs = [(0.98, 0.1), (0.9, 0.3), (0.85, 0.5), (0.95, 0.2)]
    (axes,) = figure_reorder(tables.orders(pairs), n_classes=10).axes
    expected = sorted(pairs, reverse=True)
    assert points(axes, "one random order") == (
        [tau for tau, _ in expected],
        [error for _, error in expected],
    )
    left, right = axes.get_xlim()
    assert left > 1 > 0.85 > right


def test_reorder_joins_medians_of_groups():
    pairs = [(1 - 0.01 * i, 0.1 + 0.01 * i) for i in range(1, 21)]
    (axes,) = figure_reorder(tables.orders(pairs)).axes
    x, y = points(axes, "median of a group of orders")
    groups = np.array_split(np.array(pairs), 4)
    np.testing.assert_allclose(x, [np.median(group[:, 0]) for group in groups])
    np.testing.assert_allclose(y, [np.median(group[:, 1]) for group in groups])


def test_remove_skip_draws_the_modules_that_both_studies_have():
    skips = tables.each([0.5, 0.6, None, 0.8], study="remove_skip_each")
    branches = tables.each([0.1, 0.2, 0.3, None])
    figure = figure_remove_skip_each({"ResNet": (skips, branches), "other": (skips, branches)})
    assert len(figure.axes) == 2
    for axes, name in zip(figure.axes, ["ResNet", "other"], strict=True):
        assert points(axes, "skip removed") == ([0, 1], [0.5, 0.6])
        assert points(axes, "branch deleted") == ([0, 1], [0.1, 0.2])
        assert axes.get_title(loc="left") == name


@pytest.mark.parametrize(
    ("draw", "phrase"),
    [
        (lambda: figure_delete_each({}), "No table was given"),
        (lambda: figure_delete_each({"ResNet": tables.each([])}), "of ResNet holds no lesion"),
        (lambda: figure_delete_each({"ResNet": Table([{"label": "intact"}])}), "no column 'error_rate'"),
        (lambda: figure_reorder(tables.orders([])), "holds no lesion"),
        (lambda: figure_delete_many(Table([tables.row("x", 0.1)]), metric="loss"), "no column 'loss'"),
        (
            lambda: figure_remove_skip_each({"net": (tables.each([0.5, None]), tables.each([None, 0.5]))}),
            "of net have no module in common",
        ),
        (
            lambda: figure_delete_each({"net": Table([tables.row("intact", 0.1) | {"error_rate": None}])}),
            "no row",
        ),
    ],
)
def test_a_table_that_cannot_be_shown_is_refused(draw, phrase):
    with pytest.raises(EvaluationError, match=phrase):
        draw()


def test_drawing_needs_no_window_system():
    lines = [
        "import io, sys",
        "from tests.figures import tables",
        "from unravelnet.figures import figure_delete_each, figure_delete_many, figure_reorder",
        "figure_delete_each({'net': tables.each([0.1])})",
        "figure_reorder(tables.orders([(0.9, 0.2)]))",
        "figure_delete_many(tables.many({1: [0.1, 0.2]})).savefig(io.BytesIO())",
        "assert 'matplotlib.pyplot' not in sys.modules",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=root, env=environment
    )
    assert ran.returncode == 0, ran.stderr


def test_a_dollar_in_a_name_is_a_dollar(tmp_path):
    figure = figure_delete_each({"a$b$": tables.each([0.1])})
    figure.savefig(tmp_path / "figure.svg")
    assert "a$b$" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_drawing_leaves_the_settings_of_the_caller_alone():
    with matplotlib.rc_context({"font.size": 30.0, "axes.facecolor": "black"}):
        before = dict(matplotlib.rcParams)
        figure = figure_delete_each({"ResNet": tables.each([0.1])})
        assert dict(matplotlib.rcParams) == before
    assert figure.axes[0].xaxis.label.get_fontsize() < 12


def test_draws_that_delete_a_down_sampling_module_have_boxes_of_their_own():
    table = tables.many({1: [0.1, 0.1, 0.3], 2: [0.1, 0.3, 0.3]})
    routes = ["0-3", "0s,1-3", "0,1s,2-3", "0-2,3s", "0s,1s,2-3", "0-1,2s,3s", "0s,1-2,3s"]
    table = Table({**row, "route": route} for row, route in zip(table, routes, strict=True))
    figure = figure_delete_many(table, downsampling=[3])
    (axes,) = figure.axes
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    # Of one deletion the last draw deletes module 3, of two the last two: at 0.3.
    heights = [(round(box.get_y(), 3), round(box.get_y() + box.get_height(), 3)) for box in boxes]
    assert heights == [(0.3, 0.3), (0.3, 0.3), (0.1, 0.1), (0.1, 0.1)]
    assert [text for text in axes.get_legend_handles_labels()[1] if "random draws" in text] == [
        "random draws that delete a down-sampling module",
        "random draws that delete none",
    ]
    # The line is that of all draws.
    assert points(axes, "median of the draws") == ([1, 2], [0.1, 0.3])
    assert len(figure_delete_many(table).axes[0].patches) == 2
