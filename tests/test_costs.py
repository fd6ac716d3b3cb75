"""Sizes that nobody can mean are refused at once, with a sentence; the largest that somebody used are not."""

import itertools
import re

import pytest
import torch

import unravelnet as un
from unravelnet import costs, paths, studies, zoo
from unravelnet.errors import CostError, DataError, ModelError, RouteError, TrainingError, UnravelError
from unravelnet.routes.route import Route
from unravelnet.training_plan import TrainingPlan

HUGE = 10**5000  # more digits than Python writes out


@pytest.fixture(scope="module")
def net():
    return zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)


IMAGES = torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)


@pytest.mark.parametrize(
    ("ask", "phrase"),
    [
        (
            lambda net: studies.delete_many(net, [1], repeats=10**9, seed=0),
            "1,000,000,000 routes are too many",
        ),
        (lambda net: studies.delete_many(net, [1], repeats=HUGE, seed=0), r"about 10\^5000 routes"),
        (lambda net: studies.delete_many(net, [0, 1, 2], repeats=400_000, seed=0), "1,200,000 routes"),
        (
            lambda net: studies.delete_many(net, itertools.count(), repeats=1, seed=0),
            "more than 1,000,000 counts",
        ),
        (
            lambda net: studies.delete_many(net, range(10**15), repeats=1, seed=0),
            "more than 1,000,000 counts",
        ),
        (lambda net: studies.delete_many(net, [1], repeats=1, seed=2**64), "seed 18,446,744,073,709,551,616"),
        (
            lambda net: studies.reorder(zoo.preact_resnet(20), [10**12], repeats=1, seed=0),
            "swaps in one route",
        ),
        (
            lambda net: studies.reorder(zoo.preact_resnet(20), [HUGE], repeats=1, seed=0),
            r"about 10\^5000 swaps",
        ),
        (lambda net: Route.full(10**12), "1,000,000,000,000 residual modules"),
        (lambda net: Route.full(4).repeat(0, times=10**9), "1,000,000,000 visits"),
        (lambda net: paths.path_counts(10**9), "1,000,000,000 residual modules"),
        (lambda net: paths.path_count(HUGE, 3), r"about 10\^5000 residual modules"),
        (lambda net: paths.share_within(54, 0, 10**12), "1,000,000,000,000 modules entered"),
        (lambda net: paths.surviving_gradient_share(0.2, HUGE), r"about 10\^5000 deleted modules"),
        (lambda net: zoo.preact_resnet(6 * 10**9 + 2), "6,000,000,002 layers"),
        (lambda net: zoo.resnet(20, n_classes=10**12), "1,000,000,000,000 classes"),
        (lambda net: zoo.plain(20, widths=(10**6,)), "1,000,000 channels"),
        (
            lambda net: zoo.vgg15(input_shape=(3, 10**5, 10**5)),
            "3×100000×100000 has 30,000,000,000 values, 111.7 GiB",
        ),
        (
            lambda net: un.evaluate(net, itertools.repeat(net.full_route), IMAGES),
            "more than 1,000,000 routes",
        ),
        (lambda net: un.evaluate(net, [net.full_route], IMAGES, until_ci=1e-300), "at most 1e-300"),
        (lambda net: un.evaluate(net, [net.full_route], IMAGES, until_ci=float("nan")), "at most nan"),
        (lambda net: un.evaluate(net, [net.full_route], IMAGES, seed=2**70), "out of range"),
        (lambda net: un.evaluate(net, [net.full_route], IMAGES, batch_size=10**20), "images at a time"),
        (
            lambda net: un.path_gradients(net, IMAGES, method="sampled", draws=10**12),
            "1,000,000,000,000 draws",
        ),
        (lambda net: un.path_gradients(net, IMAGES, seed=-1), "seed -1"),
        (lambda net: zoo.vgg15(seed=2**70), "out of range"),
        (lambda net: un.ensemble_of_routes(net, IMAGES, n_routes=10**10), "10,000,000,000 routes"),
        (lambda net: un.ensemble_of_routes(net, IMAGES, repeats=10**10), "draws of members"),
        (
            lambda net: un.ensemble_of_routes(net, IMAGES, sizes=itertools.count(1)),
            "more than 1,000,000 sizes",
        ),
    ],
)
def test_what_nobody_can_mean_is_refused(net, ask, phrase):
    with pytest.raises(CostError, match=phrase) as caught:
        ask(net)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("epochs", 10**9, "1 to 100,000"),
        ("batch_size", 10**20, "1 to 16,777,216"),
        ("learning_rate", 1e300, "up to 1,000"),
        ("learning_rate", float("nan"), "up to 1,000"),
        ("weight_decay", float("inf"), "0 to 1,000"),
        ("seed", 2**64, "0 to 9,223,372,036,854,775,807"),
        ("seed", -1, "0 to"),
        ("pad", 10**9, "0 to 16,384"),
        ("image_sizes", "16,100000", "1 to 16,384 pixels"),
    ],
)
def test_settings_of_a_training_have_limits(setting, value, expected):
    with pytest.raises(
        TrainingError, match=f"^The training setting {setting} is .*give .*{re.escape(expected)}"
    ):
        TrainingPlan(**{setting: value})


def test_what_the_papers_used_is_allowed(net):
    # 100 draws of 1 to 20 of 54 modules, 1,202 layers, street scenes, ImageNet-21k.
    costs.check_routes(100 * 54)
    costs.check_number(1202, costs.MOST_LAYERS, "layers")
    costs.check_number(21_843, costs.MOST_CLASSES, "classes")
    costs.check_shape((3, 1024, 2048))
    TrainingPlan(epochs=500, batch_size=8192, learning_rate=12.8)
    assert paths.path_counts(600) == [paths.path_count(600, length) for length in range(601)]


@pytest.mark.parametrize("kind", [CostError, DataError, ModelError, RouteError])
def test_one_except_clause_catches_costs_too(kind):
    assert issubclass(kind, UnravelError)
