"""Figures of checkpoints and of ensembles. The oracle is the table that they show."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy.stats import binom

from tests.figures import gradient_tables as tables
from unravelnet.errors import EvaluationError
from unravelnet.figures import (
    figure_ensemble,
    figure_normalisation_scales,
    figure_over_training,
    figure_spectra_over_training,
)
from unravelnet.mathematics.decay import predicted_length, theory_weights
from unravelnet.records.record import Table


def points(axes, label):
    (found,) = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def caption_of(figure):
    return figure.get_supxlabel().replace("\n", " ").replace("\xa0", " ")


def test_panels_show_the_checkpoints():
    figure = figure_over_training(tables.over_training(tables.DECAYS))
    decay, mean, dominating, sizes = figure.axes
    epochs = list(tables.EPOCHS)
    assert points(decay, "decay of the path norm, r") == (epochs, tables.DECAYS)
    assert points(decay, "gain of a branch, mean of modules")[1] == pytest.approx(
        [1.1 * r for r in tables.DECAYS]
    )
    assert points(mean, "mean by the exact sums")[1] == pytest.approx(
        [54 * r / (1 + r) for r in tables.DECAYS]
    )
    predicted = points(dominating, "predicted: n·r / (1 + r)")[1]
    assert predicted == pytest.approx([predicted_length(54, r) for r in tables.DECAYS])
    assert points(sizes, "geometric mean of modules")[1] == pytest.approx([0.8 * r for r in tables.DECAYS])
    (band,) = mean.collections[:1]
    corners = np.asarray(band.get_paths()[0].vertices)
    at_end = corners[corners[:, 0] == epochs[-1], 1].tolist()
    assert (min(at_end), max(at_end)) == binom.interval(0.9, 54, 0.26 / 1.26)
    assert "n = 128 images at each of 9 checkpoints of one training" in caption_of(figure)


def test_checkpoints_that_grow_apart_are_spread():
    many, even = (
        figure_over_training(tables.over_training(tables.DECAYS)),
        figure_over_training(tables.over_training(tables.DECAYS[:3])),
    )
    assert many.axes[0].get_xscale() == "symlog"
    assert many.axes[0].get_xticks().tolist() == [0, 1, 2, 5, 10, 20, 50, 100]
    assert even.axes[0].get_xscale() == "linear"


def test_what_was_not_measured_has_no_panel():
    rows = [{"epoch": row["epoch"], "decay": row["decay"]} for row in tables.over_training(tables.DECAYS)]
    assert len(figure_over_training(Table(rows)).axes) == 1


def test_spectra_stand_beside_the_theory():
    figure = figure_spectra_over_training(tables.spectra_over_training(tables.DECAYS))
    measured, theory = figure.axes
    for epoch in (0, 2, 10, 50, 164):
        decay = tables.DECAYS[tables.EPOCHS.index(epoch)]
        np.testing.assert_allclose(
            points(measured, f"epoch {epoch}")[1], binom.pmf(range(55), 54, decay / (1 + decay))
        )
        np.testing.assert_allclose(points(theory, f"epoch {epoch}")[1], theory_weights(55, decay) ** 2)
    # The panels share their scale, and nothing is cut off.
    assert measured.get_ylim() == theory.get_ylim()
    assert theory.get_ylim()[1] > max(axes.dataLim.y1 for axes in figure.axes)


def test_chosen_epochs_are_drawn():
    figure = figure_spectra_over_training(tables.spectra_over_training(tables.DECAYS), epochs=[1, 5])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["epoch 1", "epoch 5"]


def test_spectra_without_theory_have_one_panel():
    rows = [{**row, "theory_weight": None} for row in tables.spectra_over_training(tables.DECAYS)]
    assert len(figure_spectra_over_training(Table(rows)).axes) == 1


def test_scales_are_drawn_with_those_of_the_branches():
    table = tables.normalisation_scales(7)
    scale, branch = figure_normalisation_scales(table, epochs=[0, 100]).axes
    rows = [row for row in table if row["epoch"] == 100]
    assert points(scale, "epoch 100") == (list(range(7)), [row["scale"] for row in rows])
    assert points(branch, "epoch 100") == (
        [1, 3, 5],
        [row["scaled_norm"] for row in rows if row["scaled_norm"]],
    )
    alone = Table([{**row, "scaled_norm": None} for row in table])
    assert len(figure_normalisation_scales(alone).axes) == 1


# -- ensembles --


def test_errors_fall_over_the_number_of_members():
    routes = tables.ensemble([0.3, 0.2, 0.15])
    networks = tables.ensemble([0.06, 0.05], members="networks")
    figure = figure_ensemble(Table([*routes, *networks]))
    errors, differences = figure.axes
    assert points(errors, "random routes of one network") == ([1, 2, 4], [0.3, 0.2, 0.15])
    assert points(errors, "networks trained separately") == ([1, 2], [0.06, 0.05])
    assert set(points(errors, "intact network")[1]) == {0.06}
    heights = [patch.get_height() for patch in differences.patches if isinstance(patch, Rectangle)]
    assert heights == [0.2, 0.45, 0.08, 0.3]
    assert [text.get_text() for text in differences.texts] == ["0.20", "0.45", "0.08", "0.30"]
    assert "n = 10,000 images, means of 20 sets of members a point; bars: 95 % Wilson" in caption_of(figure)


def test_ensembles_without_differences_have_one_panel():
    rows = [{**row, "disagreement": None, "error_correlation": None} for row in tables.ensemble([0.3, 0.2])]
    assert len(figure_ensemble(Table(rows)).axes) == 1


def test_opposite_errors_are_drawn_below_zero():
    differences = figure_ensemble(tables.ensemble([0.3, 0.2], error_correlation=-0.2)).axes[1]
    assert differences.get_ylim()[0] <= -0.2


@pytest.mark.parametrize(
    ("draw", "phrase"),
    [
        (lambda: figure_over_training(Table([{"epoch": 0}])), "no column decay, mean_length"),
        (lambda: figure_over_training(tables.sampled(3)), "no column 'epoch'"),
        (lambda: figure_spectra_over_training(tables.over_training(tables.DECAYS)), "no column 'length'"),
        (
            lambda: figure_spectra_over_training(tables.spectra_over_training(tables.DECAYS), epochs=[3]),
            "no checkpoint of epoch 3; it has those of 0, 1, 2, 5",
        ),
        (lambda: figure_normalisation_scales(tables.layer_responses(3)), "no column 'epoch'"),
        (lambda: figure_ensemble(tables.over_training(tables.DECAYS)), "no column 'n_members'"),
        (lambda: figure_ensemble(Table([{"n_members": 1, "error_rate": 0.1}])), "no column 'members'"),
    ],
)
def test_a_table_that_lacks_what_it_needs_is_refused(draw, phrase):
    with pytest.raises(EvaluationError, match=phrase):
        draw()
