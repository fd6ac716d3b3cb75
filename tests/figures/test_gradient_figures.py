"""Figures of the gradient by path length. Oracles: the tables they show, made from closed forms.

If every path of length k has the norm A·r^k, the shares of the lengths are Binomial(n, r / (1 + r)).
"""

import math

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from scipy.stats import binom

from tests.figures import gradient_tables as tables
from unravelnet.errors import EvaluationError
from unravelnet.figures import figure_coherence, figure_length_contribution, figure_path_gradient
from unravelnet.paths import effective_lengths, path_counts, share_within
from unravelnet.readers.rows import ordered
from unravelnet.readers.spectrum import contributions, decay_of, vector_sums
from unravelnet.records.record import Table


def line(axes, start):
    """The x and y of the one line whose label starts so."""
    (found,) = [line for line in axes.lines if str(line.get_label()).startswith(start)]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def column(table, name):
    return [row[name] for row in table]


def bars(axes):
    """Heights of the bars by length, and the lengths of those in the darker colour."""
    rectangles = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    found = [patch for patch in rectangles if patch.get_width() == pytest.approx(0.82)]
    by_length = {round(bar.get_x() + 0.41): bar for bar in found}
    heights = [by_length[length].get_height() for length in sorted(by_length)]
    dark = max(by_length.values(), key=lambda bar: bar.get_height()).get_facecolor()
    return heights, [length for length in sorted(by_length) if by_length[length].get_facecolor() == dark]


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def caption_of(figure):
    return figure.get_supxlabel().replace("\n", " ").replace("\xa0", " ")


# -- Fig. 6b --


@pytest.mark.parametrize("n_modules", [3, 9, 54])
def test_mean_norms_are_drawn_with_their_intervals(n_modules):
    table = tables.sampled(n_modules)
    (axes,) = figure_path_gradient(table).axes
    lengths, norms = line(axes, "mean over random paths")
    assert lengths.tolist() == list(range(n_modules + 1))
    assert norms.tolist() == column(table, "path_gradient_norm")
    (intervals,) = [part for part in axes.collections if isinstance(part, LineCollection)]
    ends = [(segment[0][1], segment[1][1]) for segment in intervals.get_segments()]
    assert ends == [(row["path_gradient_norm_low"], row["path_gradient_norm_high"]) for row in table]
    assert axes.get_yscale() == "log"


def test_the_fitted_line_has_the_decay_that_was_put_in():
    figure = figure_path_gradient(tables.sampled(54, 0.26))
    lengths, norms = line(figure.axes[0], "fitted decay, r = 0.26")
    assert lengths.tolist() == [0, 54]
    np.testing.assert_allclose(norms, tables.SCALE * 0.26**lengths, rtol=1e-9)
    assert "r = 0.26 (0.26 to 0.26) with every module, R² = 1.000" in caption_of(figure)
    assert "n = 128 images, 1,000 random paths of each length; bars: 95 % intervals" in caption_of(figure)


def test_bands_are_the_quantiles():
    (axes,) = figure_path_gradient(tables.sampled(9)).axes
    bands = [part for part in axes.collections if isinstance(part, PolyCollection)]
    norm = tables.SCALE * 0.25**9
    for band, (low, high) in zip(bands, (("q05", "q95"), ("q25", "q75")), strict=True):
        corners = np.asarray(band.get_paths()[0].vertices)
        last = corners[corners[:, 0] == 9, 1].tolist()
        expected = (tables.QUANTILES[low] * norm, tables.QUANTILES[high] * norm)
        assert (min(last), max(last)) == pytest.approx(expected)


def test_root_mean_squares_are_drawn_beside_the_means():
    (axes,) = figure_path_gradient(tables.sampled(9), rms=tables.rms(9, factor=2.0)).axes
    lengths, norms = line(axes, "root mean square over all paths")
    np.testing.assert_allclose(norms, 2 * tables.SCALE * 0.25**lengths)


def test_norms_drawn_beside_the_exact_sums_will_do():
    (axes,) = figure_path_gradient(tables.exact(9)).axes
    assert line(axes, "mean over random paths")[1].tolist() == column(tables.exact(9), "path_gradient_norm")


def test_a_norm_of_zero_is_left_out_of_the_logarithm():
    rows = [{**row, "path_gradient_norm": 0.0} if row["length"] == 9 else row for row in tables.sampled(9)]
    figure = figure_path_gradient(Table(rows))
    assert line(figure.axes[0], "mean")[0].tolist() == list(range(9))
    assert "r = 0.25 " in caption_of(figure)
    figure.draw_without_rendering()


def test_an_interval_that_reaches_zero_is_drawn_upwards_only():
    rows = [{**row, "path_gradient_norm_low": 0.0} for row in tables.sampled(9)]
    figure = figure_path_gradient(Table(rows))
    (intervals,) = [part for part in figure.axes[0].collections if isinstance(part, LineCollection)]
    ends = [(segment[0][1], segment[1][1]) for segment in intervals.get_segments()]
    assert ends == [(row["path_gradient_norm"], row["path_gradient_norm_high"]) for row in rows]
    assert "(of those that reach 0, the upper half)" in caption_of(figure)
    assert "reach 0" not in caption_of(figure_path_gradient(tables.sampled(9)))


def test_one_length_has_no_line():
    figure = figure_path_gradient(Table([{"length": 0, "path_gradient_norm": 1.0}]))
    assert "Too few norms above 0" in caption_of(figure)
    figure.draw_without_rendering()


def test_the_unit_says_where_and_of_what():
    label = figure_path_gradient(tables.sampled(3)).axes[0].get_ylabel()
    assert label == "Gradient norm on a path\n(nats per unit at the stem's output)"
    other = tables.sampled(3, at="input", loss_name="squared_norm", per="batch")
    assert figure_path_gradient(other).axes[0].get_ylabel().endswith("(loss per unit at the network's input)")
    assert "norms of whole batches" in caption_of(figure_path_gradient(other))


# -- Fig. 6c --


@pytest.mark.parametrize(("n_modules", "decay"), [(3, 0.4), (9, 0.5), (54, 0.25)])
def test_bars_are_the_tilted_binomial_distribution(n_modules, decay):
    figure = figure_length_contribution(tables.sampled(n_modules, decay))
    heights, dark = bars(figure.axes[0])
    expected = binom.pmf(range(n_modules + 1), n_modules, decay / (1 + decay))
    np.testing.assert_allclose(heights, expected, rtol=1e-9)
    low, high = effective_lengths(expected.tolist(), share=0.95)
    assert dark == list(range(low, high + 1))
    assert labels(figure)[0] == f"number of paths × their mean norm (95 %: {low} to {high})"


def test_exact_sums_stand_on_top_with_their_own_range():
    exact = tables.exact(54, 0.26)
    figure = figure_length_contribution(tables.sampled(54, 0.26), exact=exact)
    lengths, shares = line(figure.axes[0], "norm of the sum")
    assert shares.tolist() == column(exact, "length_share")
    assert sum(shares) == pytest.approx(1)
    # paper_facts: with independent directions the peak moves from 11 to 3 at r = 0.26.
    assert lengths[shares.argmax()] == 3
    assert np.argmax(bars(figure.axes[0])[0]) == 11
    low, high = effective_lengths(shares.tolist())
    assert f"norm of the sum of all paths of a length (95 %: {low} to {high})" in labels(figure)


def test_coherent_paths_give_the_papers_shares():
    figure = figure_length_contribution(tables.sampled(54), exact=tables.exact(54, coherent=True))
    np.testing.assert_allclose(line(figure.axes[0], "norm of the sum")[1], bars(figure.axes[0])[0])


def test_shares_have_the_intervals_of_their_norms():
    # Put in: norms known to 5 %, so that a share of the same total is, too.
    (axes,) = figure_length_contribution(tables.sampled(9), exact=tables.exact(9)).axes
    parts = [part for part in axes.collections if isinstance(part, LineCollection)]
    for part, name in zip(parts, ("share", "length_share"), strict=True):
        ends = [(segment[0][1], segment[1][1]) for segment in part.get_segments()]
        shares = column(tables.exact(9), name)
        np.testing.assert_allclose(ends, [(0.95 * share, 1.05 * share) for share in shares])
        assert axes.get_ylim()[1] > max(high for _, high in ends)


def test_intervals_beyond_all_that_there_is_leave_the_ranges_in_sight():
    figure = figure_length_contribution(tables.sampled(half=20.0), exact=tables.exact())
    (axes,) = figure.axes
    notes = [text for text in axes.texts if isinstance(text, Annotation)]
    brackets = [note.xy[1] for note in notes if note.arrow_patch is not None]
    assert len(brackets) == 2
    assert 1 < min(brackets) < max(brackets) < axes.get_ylim()[1] == 1.25


@pytest.mark.parametrize("n_modules", [53, 54, 55])
def test_the_papers_lengths_are_shaded_for_its_depth_only(n_modules):
    figure = figure_length_contribution(tables.sampled(n_modules))
    is_shaded = any("effective in the paper: 5 to 17, 0.45 % of all paths" in text for text in labels(figure))
    assert is_shaded == (n_modules == 54)


def test_the_caption_says_how_many_of_the_paths_it_is():
    caption = caption_of(figure_length_contribution(tables.sampled(9, 0.5), exact=tables.exact(9, 0.5)))
    low, high = effective_lengths(binom.pmf(range(10), 9, 1 / 3).tolist())
    held = f"{100 * share_within(9, low, high):.1f} %"
    assert f"By paths × mean norm, lengths {low} to {high} hold 95 % of the gradient and {held}" in caption
    assert "not measured" not in caption


def test_lengths_that_were_not_measured_are_said():
    short = Table(list(tables.sampled(54))[:26])
    assert "Lengths above 25 were not measured." in caption_of(figure_length_contribution(short))


def test_the_exact_spectrum_alone_is_drawn():
    figure = figure_length_contribution(exact=tables.exact(9, with_paths=False))
    assert line(figure.axes[0], "norm of the sum")[1].tolist() == column(tables.exact(9), "length_share")


def test_another_share_has_another_range():
    _, dark = bars(figure_length_contribution(tables.sampled(54), share=0.5).axes[0])
    expected = effective_lengths(binom.pmf(range(55), 54, 0.2).tolist(), share=0.5)
    assert (dark[0], dark[-1]) == expected


# -- coherence --


@pytest.mark.parametrize("n_modules", [3, 54, 1202])
def test_independent_directions_lie_on_their_line(n_modules):
    counts = path_counts(n_modules)
    rows = [
        {"length": length, "path_count": count, "coherence": 0.5, "n_images": 8, "n_modules": n_modules}
        for length, count in enumerate(counts)
    ]
    (axes,) = figure_coherence(Table(rows)).axes
    lengths, lower = line(axes, "independent directions")
    # Products, because the counts of 1202 modules are beyond every float.
    for length, value in zip(lengths.astype(int), lower, strict=True):
        digits = len(str(counts[length])) - 1
        assert -2 * np.log10(value) == pytest.approx(digits + np.log10(counts[length] / 10**digits))
    assert set(line(axes, "all paths the same way")[1]) == {1}


def test_measured_coherence_is_the_tables():
    exact = tables.exact(9)
    (axes,) = figure_coherence(exact).axes
    assert line(axes, "measured")[1].tolist() == column(exact, "coherence")
    np.testing.assert_allclose(line(axes, "measured")[1], line(axes, "independent")[1])
    (coherent,) = figure_coherence(tables.exact(9, coherent=True)).axes
    np.testing.assert_allclose(line(coherent, "measured")[1], 1)


# -- what is missing --


@pytest.mark.parametrize(
    ("draw", "phrase"),
    [
        (lambda: figure_path_gradient(Table([])), "no column 'length'"),
        (lambda: figure_path_gradient(tables.rms(3)), "no column 'path_gradient_norm'"),
        (lambda: figure_path_gradient(tables.exact(3, with_paths=False)), "no row with a finite 'path_gra"),
        (
            lambda: figure_path_gradient(tables.sampled(3), rms=tables.sampled(3)),
            "no column 'path_gradient_rms'",
        ),
        (lambda: figure_length_contribution(), "No table was given"),
        (lambda: figure_length_contribution(tables.rms(3)), "no column 'share'"),
        (lambda: figure_length_contribution(exact=tables.sampled(3)), "no column 'length_share'"),
        (lambda: figure_length_contribution(Table(list(tables.sampled(3)) * 2)), "several rows of length 0"),
        (lambda: figure_length_contribution(Table(list(tables.sampled(3))[::2])), "no row for length 1"),
        (lambda: figure_coherence(tables.sampled(3)), "no column 'coherence'"),
        (lambda: figure_coherence(tables.exact(3, with_paths=False)), "no row with a finite 'coherence'"),
    ],
)
def test_a_table_that_lacks_what_it_needs_is_refused(draw, phrase):
    with pytest.raises(EvaluationError, match=phrase):
        draw()


# -- reading tables --


def test_shares_within_a_range_have_the_interval_of_their_ends():
    # Two lengths with shares 0.8 and 0.2, each 10 % to either side: 0.72 / 0.94 to 0.88 / 1.06.
    facts = {"n_modules": 1, "path_count": 1}
    rows = [
        {**facts, "length": k, "share": s, **tables.around("path_gradient_norm", s, 0.1)}
        for k, s in ((0, 0.8), (1, 0.2))
    ]
    held = contributions(Table(rows)).held_by(0, 0)
    assert held.tolist() == pytest.approx([0.8, 0.72 / 0.94, 0.88 / 1.06])
    assert contributions(Table(rows)).held_by(0, 1).tolist() == pytest.approx([1, 1, 1])


def test_shares_within_a_range_have_the_interval_of_images_where_these_were_drawn_again():
    # Up to length 1 are 0.7 (0.6 to 0.9), below it 0.2 (0.1 to 0.25): ends are joined by the sum of squares.
    facts = {
        "n_modules": 2,
        "path_gradient_norm": 1.0,
        "path_gradient_norm_low": 0.5,
        "path_gradient_norm_high": 2.0,
    }
    shares = ((0.2, 0.1, 0.25), (0.5, 0.6, 0.9), (0.3, 1.0, 1.0))
    rows = [
        {**facts, "length": k, "path_count": math.comb(2, k), "share": s, "cumulative_share_low": low,
         "cumulative_share_high": high}
        for k, (s, low, high) in enumerate(shares)
    ]  # fmt: skip
    spectrum = contributions(Table(rows))
    assert spectrum.knows_images
    assert spectrum.held_by(1, 1).tolist() == pytest.approx(
        [0.5, 0.5 - math.hypot(0.1, 0.05), 0.5 + math.hypot(0.2, 0.1)]
    )
    assert spectrum.held_by(0, 1).tolist() == pytest.approx([0.7, 0.6, 0.9])
    assert spectrum.held_by(2, 2).tolist() == pytest.approx([0.3, 0.1, 0.4])
    assert spectrum.held_by(0, 2).tolist() == pytest.approx([1, 1, 1])


def test_an_interval_without_end_leaves_the_share_without_one():
    rows = [{**row, "path_gradient_norm_high": float("inf")} for row in tables.sampled(3)]
    held = contributions(Table(rows)).held_by(0, 1)
    assert np.isnan(held["low"])
    assert np.isnan(held["high"])


def test_counts_are_those_of_the_route():
    spectrum = vector_sums(tables.exact(3))
    assert (spectrum.n_paths, spectrum.is_complete) == (8, True)
    # With module 1 deleted, paths of two modules are left.
    rows = [{**row, "route": "0,1s,2", "n_modules": 3} for row in tables.exact(2)]
    spectrum = vector_sums(Table(rows))
    assert (spectrum.n_paths, spectrum.is_complete) == (4, True)
    assert spectrum.share_of_paths(0, 1) == 0.75


@pytest.mark.parametrize("decay", [0.2, 1.0, 3.0])
def test_shares_of_a_branch_and_of_what_is_left_are_those_of_a_geometric_decay(decay):
    spectrum = contributions(tables.sampled(54, decay))
    assert spectrum.share_through_branch == pytest.approx(decay / (1 + decay))
    for n_deleted in (0, 1, 10, 54):
        assert spectrum.left_after(n_deleted) == pytest.approx((1 + decay) ** -n_deleted)


def test_mean_and_peak_of_a_spectrum():
    spectrum = contributions(tables.sampled(54, 0.25))
    assert spectrum.mean_length == pytest.approx(54 * 0.2)
    assert spectrum.dominating_length in (10, 11)


def test_the_decay_is_the_one_put_in():
    fit = decay_of(tables.sampled(54, 0.3))
    assert (fit.rate, fit.norm_at_0) == pytest.approx((0.3, tables.SCALE))


def test_rows_come_in_order_with_numbers_only():
    rows = [{"length": 2, "x": 1.0, "name": "c"}, {"length": 0, "x": None}, {"length": 1, "x": float("inf")}]
    frame = ordered(Table(rows), by="length", needs=["x"], wants=["y"], keeps=["name"])
    assert frame["length"].tolist() == [2]
    assert frame["name"].tolist() == ["c"]
    assert frame[["y", "x_low", "n_images"]].isna().all(axis=None)
