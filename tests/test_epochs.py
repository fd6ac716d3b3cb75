"""Whole trainings in curves: one recipe a curve, the scatter of their errors known, pairs of equal length."""

import numpy as np
import pytest
from scipy import stats

from unravelnet.readers.epochs import of_equal_length, seed_groups, whole_trainings
from unravelnet.records.record import Table

ROW = {"zoo_name": "resnet20", "routes": "all", "start": "", "image_sizes": "32", "n_images": 10_000}


def rows(*triples, **facts):
    """Whole trainings by epochs, error and sizes of images."""
    return [
        {**ROW, "epochs": epochs, "error_rate": error, "image_sizes": sizes, **facts}
        for epochs, error, sizes in triples
    ]


LENGTHS = rows((10, 0.25, "32"), (20, 0.15, "32"), (40, 0.1, "32"), (80, 0.075, "32"))


def test_a_curve_is_fitted_to_images_of_the_same_sizes():
    (curve,) = whole_trainings(Table([*LENGTHS, *rows((30, 0.5, "16,32"), (80, 0.6, "16,32"))]))
    assert curve.alike.epochs == [10, 20, 40, 80]
    assert (curve.different.epochs, curve.different.errors) == ([30, 80], [0.5, 0.6])
    (alone,) = whole_trainings(Table(LENGTHS))
    assert curve.fit == alone.fit
    assert curve.fit.floor == pytest.approx(0.05, abs=1e-4)  # 0.05 + 2 / epochs was put in
    assert curve.end == alone.end
    assert [each.epochs for each in curve.end] == [80]


def test_of_sizes_with_as_many_lengths_those_of_the_longest_training_are_fitted():
    table = Table(rows((10, 0.2, "16"), (20, 0.15, "16"), (14, 0.2, "32"), (100, 0.1, "32")))
    (curve,) = whole_trainings(table)
    assert curve.alike.epochs == [14, 100]
    assert curve.fit is None
    assert curve.end == []


def test_scatter_is_that_of_the_images_plus_that_of_all_seeds():
    # Seeds of another network: 1 point apart, a variance of half a point squared; of the curve itself there is one.
    others = rows((5, 0.3, "32"), (5, 0.31, "32"), zoo_name="plain20")
    (curve,) = whole_trainings(Table([*LENGTHS, *others]))
    of_images = np.array(curve.errors) * (1 - np.array(curve.errors)) / 10_000
    assert curve.variances == pytest.approx(of_images + 0.01**2 / 2, rel=1e-3)
    (alone,) = whole_trainings(Table(LENGTHS))
    assert alone.seed_variance is None
    # Wilson's interval of scipy, which is that of the normal distribution for so many images.
    wilson = stats.binomtest(2500, 10_000).proportion_ci(method="wilson")
    assert alone.variances[0] == pytest.approx(((wilson.high - wilson.low) / 2 / 1.959964) ** 2)


def test_without_a_number_of_images_nothing_is_fitted():
    (curve,) = whole_trainings(Table({**row, "n_images": None} for row in LENGTHS))
    assert (curve.variances, curve.fit, curve.end) == (None, None, [])


def test_seeds_differ_in_nothing_else():
    table = Table([*LENGTHS, *LENGTHS[:1], *rows((10, 0.3, "16")), {**LENGTHS[0], "start": "zoo:a"}])
    assert sorted(len(group) for group in seed_groups(table)) == [1, 1, 1, 1, 1, 2]


def test_pairs_of_equal_length_are_of_the_same_sizes_where_there_are_such():
    part = rows((10, 0.5, "32"), (10, 0.6, "16"), (20, 0.4, "16"), routes="exactly:4")
    pairs = of_equal_length(Table([*LENGTHS, *part]))
    assert [(epochs, first.errors, second.errors) for epochs, first, second in pairs] == [
        (10, [0.5], [0.25]),
        (20, [0.4], [0.15]),
    ]


def test_what_began_with_another_training_is_no_point():
    started = {**LENGTHS[0], "epochs": 5, "start": "zoo:a"}
    (curve,) = whole_trainings(Table([*LENGTHS, started]))
    assert curve.epochs == [10, 20, 40, 80]
