"""Figures of path mathematics. Oracles: the binomial distribution of scipy, and numbers of the paper."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy.stats import binom, hypergeom

from unravelnet.errors import RouteError
from unravelnet.figures import (
    figure_path_lengths,
    figure_path_survival,
    path_length_rows,
    path_survival_rows,
)


def bars(figure):
    return [
        patch
        for patch in figure.axes[0].patches
        if isinstance(patch, Rectangle) and patch.get_width() == 0.82
    ]


def texts(figure):
    return " ".join([*(text.get_text() for text in figure.legends[0].get_texts()), figure.get_supxlabel()])


@pytest.mark.parametrize("n_modules", [1, 3, 12, 54, 200])
def test_bars_are_the_binomial_distribution(n_modules):
    heights = [bar.get_height() for bar in bars(figure_path_lengths(n_modules))]
    np.testing.assert_allclose(heights, binom.pmf(range(n_modules + 1), n_modules, 0.5), rtol=1e-9)
    assert sum(heights) == pytest.approx(1)


def test_mean_and_standard_deviation_are_marked():
    figure = figure_path_lengths(54)
    (mean,) = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("mean")]
    assert list(mean.get_xdata()) == [27, 27]
    assert "mean 27, standard deviation 3.67" in texts(figure)


def test_the_range_with_95_percent_is_dark():
    # paper_facts: the tightest symmetric interval above 95 % is 20..34, with 95.98 %.
    colours = [bar.get_facecolor() for bar in bars(figure_path_lengths(54))]
    assert [length for length, colour in enumerate(colours) if colour == colours[27]] == list(range(20, 35))
    assert "lengths 20 to 34 hold 96.0 %" in texts(figure_path_lengths(54)).replace("\xa0", " ")


def test_effective_lengths_are_marked_for_the_papers_depth_only():
    assert "0.45 % of all paths" in texts(figure_path_lengths(54))
    assert "effective" not in texts(figure_path_lengths(53))
    assert "effective" in texts(figure_path_survival(54))
    assert "effective" not in texts(figure_path_survival(12))


def test_counts_stay_exact_where_floats_do_not():
    rows = path_length_rows(200)
    assert sum(rows["path_count"]) == 2**200


def test_survival_is_hypergeometric():
    rows = path_survival_rows(54)
    assert list(rows["n_deleted"].unique()) == [1, 10, 20]
    expected = hypergeom.pmf(0, 54, rows["n_deleted"], rows["length"])
    np.testing.assert_allclose(rows["surviving_share"], expected, rtol=1e-6, atol=1e-20)


def test_survival_is_drawn_where_paths_are_left():
    (axes,) = figure_path_survival(54, deleted=[10]).axes
    (line,) = [line for line in axes.lines if line.get_label() == "10 of 54 deleted"]
    assert line.get_xdata().tolist() == list(range(45))
    assert line.get_ydata()[5] == pytest.approx(0.343, abs=5e-4)
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize(
    ("n_modules", "deleted"),
    [(54, [1, 10, 20]), (27, [1, 5, 10]), (12, [1, 2, 4]), (3, [1]), (110, [1, 10, 20])],
)
def test_fewer_are_deleted_of_smaller_networks(n_modules, deleted):
    assert path_survival_rows(n_modules)["n_deleted"].unique().tolist() == deleted
    figure_path_survival(n_modules).draw_without_rendering()


def test_more_deleted_than_there_are_is_refused():
    with pytest.raises(RouteError, match="Of 3 residual modules, 4 cannot be deleted"):
        figure_path_survival(3, deleted=[4])
