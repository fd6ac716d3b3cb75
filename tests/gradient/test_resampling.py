"""Intervals of images drawn again: against closed forms, the delta method, and scipy's own bootstrap."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.gradient.networks import some_modules
from unravelnet import path_gradients
from unravelnet.gradient.resampling import add_shape, add_shared
from unravelnet.mathematics.resampling import percentile_interval, resampled_means
from unravelnet.paths import path_counts

N_MODULES, N_IMAGES = 12, 200
LENGTHS = np.arange(N_MODULES + 1)
RNG = np.random.default_rng(4)
SIZES = RNG.lognormal(sigma=0.7, size=N_IMAGES)


def rows_of(norms, *, seed=0, counts=None):
    rows = [{"length": int(length)} for length in LENGTHS[: len(norms)]]
    add_shared(rows, norms, "cumulative_share", counts=counts, seed=seed, confidence=0.95)
    add_shape(rows, norms, seed=seed, confidence=0.95)
    return rows


def test_images_that_differ_in_size_alone_leave_no_doubt_about_shares_and_decay():
    # Every norm of an image is its size times r^k: whatever images are drawn, sizes cancel.
    rows = rows_of(SIZES * 0.25 ** LENGTHS[:, None], counts=path_counts(N_MODULES))
    binomial = stats.binom(N_MODULES, 0.25 / 1.25)
    for row in rows:
        for end in ("", "_low", "_high"):
            assert row[f"cumulative_share{end}"] == pytest.approx(binomial.cdf(row["length"]))
            assert row[f"local_decay{end}"] == pytest.approx(0.25)
            assert row[f"curvature{end}"] == pytest.approx(0, abs=1e-9)


def test_a_parabola_has_its_curvature_and_the_slopes_of_its_chords():
    logs = -0.5 * LENGTHS - 0.03 * LENGTHS**2
    rows = rows_of(SIZES * np.exp(logs)[:, None])
    assert rows[0]["curvature"] == pytest.approx(-0.03)
    # A line through a symmetric window of a parabola has the slope at its middle.
    assert rows[6]["local_decay"] == pytest.approx(math.exp(-0.5 - 2 * 0.03 * 6))
    assert rows[0]["local_decay"] > rows[-1]["local_decay"]


def test_norms_of_forty_decades_are_fitted_as_any_others():
    lengths = np.arange(55)
    rows = [{"length": int(length)} for length in lengths]
    add_shape(rows, SIZES * 0.16 ** lengths[:, None], seed=0, confidence=0.95)
    assert all(row["local_decay_high"] == pytest.approx(0.16) for row in rows)


def test_the_interval_of_a_share_is_that_of_the_delta_method_and_of_scipy():
    norms = SIZES ** (1 + LENGTHS[:, None] / 6) * 0.4 ** LENGTHS[:, None]
    row = rows_of(norms)[2]
    first, whole = norms[:3].sum(axis=0), norms.sum(axis=0)
    share = first.mean() / whole.mean()
    error = (first - share * whole).std(ddof=1) / whole.mean() / math.sqrt(N_IMAGES)
    assert row["cumulative_share"] == pytest.approx(share)
    width = row["cumulative_share_high"] - row["cumulative_share_low"]
    assert width == pytest.approx(2 * 1.96 * error, rel=0.15)
    ratio = stats.bootstrap(
        (first, whole),
        lambda a, b, axis=-1: a.mean(axis=axis) / b.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=2000,
        random_state=np.random.default_rng(1),
    ).confidence_interval
    assert row["cumulative_share_low"] == pytest.approx(ratio.low, abs=0.1 * width)
    assert row["cumulative_share_high"] == pytest.approx(ratio.high, abs=0.1 * width)


def test_intervals_cover_the_truth_as_often_as_they_say():
    # Of log-normal sizes whose exponent grows with the length, means are exp(σ² / 2).
    sigmas = 0.3 + 0.05 * LENGTHS
    truth = np.exp(sigmas**2 / 2) * 0.5**LENGTHS
    wanted = truth[:3].sum() / truth.sum()
    inside = 0
    for seed in range(60):
        normal = np.random.default_rng(seed).normal(size=300)
        rows = [{"length": int(length)} for length in LENGTHS]
        norms = np.exp(sigmas[:, None] * normal) * 0.5 ** LENGTHS[:, None]
        add_shared(rows, norms, "cumulative_share", seed=seed, confidence=0.95)
        inside += rows[2]["cumulative_share_low"] <= wanted <= rows[2]["cumulative_share_high"]
    # 95 % of 60, give or take three standard deviations of a binomial, and what skewed sums take away.
    assert inside >= 51


def test_the_same_seed_draws_the_same_images_for_all_lengths():
    values = RNG.normal(size=(3, 40))
    both, first = resampled_means(values, seed=7), resampled_means(values[:1], seed=7)
    assert np.allclose(both[:, :1], first)
    assert not np.allclose(first, resampled_means(values[:1], seed=8))
    # The variance of a mean of drawn ones is the plain variance divided by their number.
    assert both.var(axis=0) == pytest.approx(values.var(axis=1) / 40, rel=0.2)


def test_what_is_not_finite_has_no_interval():
    low, high = percentile_interval(np.array([[1.0, np.nan], [3.0, 2.0]]), confidence=0.5)
    assert (low[0], high[0]) == (1.5, 2.5)
    assert np.isnan([low[1], high[1]]).all()


def test_one_image_has_no_interval():
    rows = rows_of(SIZES[:1] * 0.25 ** LENGTHS[:, None])
    assert rows[3]["local_decay"] == pytest.approx(0.25)
    assert rows[3]["local_decay_low"] is None is rows[3]["cumulative_share_high"]


@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_the_columns_of_a_table_are_made_from_its_own(method):
    net, data = some_modules("pre-activation")
    table = path_gradients(net, data, method=method, draws=20)
    assert [row["cumulative_share"] for row in table] == pytest.approx(np.cumsum(table["share"]))
    logs = np.log(table["path_gradient_norm"])
    lengths = np.array(table["length"])
    assert table[0]["curvature"] == pytest.approx(np.polyfit(lengths, logs, 2)[0])
    near = lengths <= 4
    assert table[0]["local_decay"] == pytest.approx(math.exp(np.polyfit(lengths[near], logs[near], 1)[0]))
    if method == "exact":
        shares = np.cumsum(table["length_share"])
        assert [row["cumulative_length_share"] for row in table] == pytest.approx(shares)
