"""Figures of modules and layers. The oracle is the table that they show."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from scipy.stats import binom

from tests.figures import gradient_tables as tables
from unravelnet.errors import EvaluationError
from unravelnet.figures import figure_effective_depths, figure_layer_responses, figure_module_measures
from unravelnet.records.record import Table

MEASURES = ("branch_to_stream", "branch_stream_cosine", "branch_gradient_cosine", "gradient_gain")


def points(axes, label):
    (found,) = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def caption_of(figure):
    return figure.get_supxlabel().replace("\n", " ").replace("\xa0", " ")


@pytest.mark.parametrize("n_modules", [3, 9, 54])
def test_effective_depths_stand_beside_the_modules_behind(n_modules):
    decay = 0.5
    figure = figure_effective_depths(tables.effective_depths(n_modules, decay))
    (axes,) = figure.axes
    behind = [n_modules - 1 - module for module in range(n_modules)]
    depths = [binom.ppf(0.95, m, decay / (1 + decay)) for m in behind]
    assert points(axes, "modules behind it") == (list(range(n_modules)), behind)
    deeper = [(m, d) for m, d in enumerate(depths) if behind[m] > d]
    if deeper:
        shown = points(axes, "effective depth, less than the modules behind")
        assert list(zip(*shown, strict=True)) == deeper
    # The last module has nothing behind it, and needs nothing.
    assert points(axes, "effective depth, all of the modules behind")[0][-1] == n_modules - 1
    assert f"{len(deeper)} of {n_modules} modules have more behind them" in caption_of(figure)
    assert "carry 95 % of the gradient" in caption_of(figure)


def test_measures_are_drawn_with_intervals_and_rings():
    table = tables.module_measures()
    figure = figure_module_measures({"ResNet": table})
    assert len(figure.axes) == 4
    for axes, measure in zip(figure.axes, MEASURES, strict=True):
        values = [row[measure] for row in table]
        assert points(axes, "ResNet") == (list(range(54)), values)
        assert points(axes, "down-sampling module") == ([18, 36], [values[18], values[36]])
        (bars,) = [part for part in axes.collections if isinstance(part, LineCollection)]
        ends = [(segment[0][1], segment[1][1]) for segment in bars.get_segments()]
        assert ends == [(row[f"{measure}_low"], row[f"{measure}_high"]) for row in table]
    assert "n = 128 images a point; bars: 95 % intervals" in caption_of(figure)


def test_several_networks_share_the_panels():
    figure = figure_module_measures(
        {"deep": tables.module_measures(), "small": tables.module_measures(9, ())}
    )
    assert points(figure.axes[0], "small")[0] == list(range(9))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "deep",
        "small",
        "down-sampling module",
    ]


def test_measures_that_no_table_has_get_no_panel():
    rows = [{"module": module, "gradient_gain": 0.3, "n_images": 8} for module in range(3)]
    figure = figure_module_measures({"net": Table(rows)})
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_visible()] == ["‖Jᵀg‖ / ‖g‖ of the branch"]
    figure.draw_without_rendering()


def test_layer_responses_stand_in_order_and_sorted():
    table = tables.layer_responses(21)
    in_order, by_size = figure_layer_responses({"net": table}).axes
    normalised, alone = ([r for r in table if r["measured_after"] == k] for k in ("normalisation", "layer"))
    x, y = points(in_order, "net")
    assert (x, y) == ([r["position"] for r in normalised], [r["response_std"] for r in normalised])
    hollow = [line for line in in_order.lines if line.get_marker() == "o" and line.get_markeredgewidth() > 0]
    assert np.asarray(hollow[0].get_ydata()).tolist() == [r["response_std"] for r in alone]
    joined = max(by_size.lines, key=lambda line: len(line.get_xdata()))
    assert np.asarray(joined.get_ydata()).tolist() == sorted((r["response_std"] for r in table), reverse=True)


@pytest.mark.parametrize(("classifier", "scale"), [(0.5, "linear"), (4.5, "log")])
def test_a_classifier_that_responds_far_more_does_not_flatten_the_others(classifier, scale):
    rows = [*tables.layer_responses(21)]
    least = min(row["response_std"] for row in rows)
    rows[-1] = {**rows[-1], "response_std": classifier * least * 10}
    every = [{**row, "response_std": min(row["response_std"], 5 * least)} for row in rows[:-1]] + rows[-1:]
    for axes in figure_layer_responses({"net": Table(every)}).axes:
        assert axes.get_yscale() == scale
        assert axes.get_ylim()[1] >= rows[-1]["response_std"]


def test_the_sorted_panel_does_not_depend_on_the_order():
    table = tables.layer_responses(21)
    order = np.random.default_rng(0).permutation(21)
    shuffled = Table([{**table[int(old)], "position": new} for new, old in enumerate(order)])
    curves = [
        max(figure_layer_responses({"net": part}).axes[1].lines, key=lambda line: len(line.get_xdata()))
        for part in (table, shuffled)
    ]
    np.testing.assert_array_equal(curves[0].get_ydata(), curves[1].get_ydata())


@pytest.mark.parametrize(
    ("draw", "phrase"),
    [
        (lambda: figure_effective_depths(tables.module_measures(3)), "no column 'n_after'"),
        (lambda: figure_module_measures({}), "No table has any of the columns"),
        (
            lambda: figure_module_measures({"net": tables.effective_depths(3)}),
            "No table has any of the columns",
        ),
        (lambda: figure_layer_responses({}), "No table was given"),
        (lambda: figure_layer_responses({"net": tables.module_measures(3)}), "no column 'position'"),
    ],
)
def test_a_table_that_lacks_what_it_needs_is_refused(draw, phrase):
    with pytest.raises(EvaluationError, match=phrase):
        draw()
