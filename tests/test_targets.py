"""Labels of every type against numpy's own conversion, and sentences for those that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import unravelnet as un
from unravelnet.data import ImageData
from unravelnet.data.targets import class_targets, numbered_classes
from unravelnet.errors import DataError, EvaluationError, TrainingError
from unravelnet.network import ResidualModule, UnraveledNetwork

WHOLE = (
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip


def net_of(n_classes: int) -> UnraveledNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        modules = [
            ResidualModule(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()), torch.nn.Identity())
            for _ in range(2)
        ]
        head = torch.nn.Linear(4, n_classes)
    return UnraveledNetwork(torch.nn.Identity(), modules, head, example=torch.zeros(2, 4), name="net").eval()


@pytest.fixture(scope="module")
def net() -> UnraveledNetwork:
    return net_of(200)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.randn(4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers_of_every_width_are_the_same_labels(
    net: Any, x: torch.Tensor, dtype: torch.dtype
) -> None:
    labels = [3, 100, 7, 0] if dtype == torch.int8 else [3, 156, 7, 0]
    given = torch.from_numpy(np.array(labels, dtype=str(dtype).removeprefix("torch.")))
    wide = torch.tensor(labels)
    for measure in (
        lambda y: un.evaluate(net, un.studies.delete_each(net), (x, y), metrics=["error_rate", "loss"]),
        lambda y: un.path_gradients(net, (x, y)),
        lambda y: un.ensemble_of_routes(net, (x, y), n_routes=2),
    ):
        expected = measure(wide).to_pandas().drop(columns="data")
        assert measure(given).to_pandas().drop(columns="data").equals(expected)
    assert torch.equal(class_targets(given, name="data"), wide)
    images = ImageData.of(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), given, name="blank")
    assert torch.equal(images.targets, wide)


def test_a_byte_of_156_is_no_missing_label(net: Any, x: torch.Tensor) -> None:
    row = un.evaluate(net, [net.full_route], (x, torch.full((4,), 156, dtype=torch.uint8)))[0]
    assert row["n_predictions"] == 4


NO_CLASSES = [
    (torch.tensor([0.5, 1, 2, 3]), "targets of .* are real numbers .float32., and classes are whole numbers"),
    (torch.tensor([0.0, 1, 2, 3]).half(), "Give them as such: targets.long"),
    (torch.tensor([torch.nan, 1, 2, 3]), "float32, 1 of them NaN"),
    (torch.tensor([0, 1j, 2, 3]), "are complex64; expected whole numbers"),
    (torch.tensor([True, False, True, True]), "are bool; expected whole numbers"),
    (
        torch.tensor([0, -1, 2, 3]),
        "label of image 1 of .* is -1; .* a negative one stands for a missing label",
    ),
    (torch.tensor([0, 1, 200, 3]), "label of image 2 of .* is 200; classes are numbered 0 to 199"),
    (torch.tensor([0, 1, 2, 2**40]), "label of image 3 of .* is 1099511627776"),
    (torch.tensor([-(2**63), 1, 2, 3]), "label of image 0 of .* is -9223372036854775808"),
    (torch.from_numpy(np.array([1, 2**64 - 1, 2, 3], dtype=np.uint64)), "label of image 1 of .*"),
]


@pytest.mark.parametrize(("targets", "phrase"), NO_CLASSES)
def test_what_is_no_class_is_told_at_every_door(net: Any, x: torch.Tensor, targets: Any, phrase: str) -> None:
    doors = (
        lambda: un.evaluate(net, [net.full_route], (x, targets)),
        lambda: un.path_gradients(net, (x, targets), loss="cross_entropy"),
        lambda: un.module_measures(net, (x, targets)),
        lambda: un.ensemble_of_routes(net, (x, targets), n_routes=2),
        lambda: un.train(net, (x, targets), epochs=1, batch_size=2),
        lambda: ImageData(
            torch.zeros(4, 1, 2, 2, dtype=torch.uint8),
            targets,
            tuple(map(str, range(200))),
            "i",
            (0.0,),
            (1.0,),
        ),
    )
    for door in doors:
        with pytest.raises(DataError, match=phrase):
            door()


def test_positions_may_have_no_target(net: Any, x: torch.Tensor) -> None:
    row = un.evaluate(net, [net.full_route], (x, torch.tensor([1, -100, 2, -100])))[0]
    assert row["n_predictions"] == 2
    with pytest.raises(DataError, match="is -100"):
        un.train(net, (x, torch.tensor([1, -100, 2, -100])), epochs=1)


def test_data_without_any_target_is_told(net: Any, x: torch.Tensor) -> None:
    with pytest.raises(EvaluationError, match="No prediction of tensors has a target"):
        un.evaluate(net, [net.full_route], (x, torch.full((4,), -100)))


def test_labels_that_would_make_too_many_classes_are_refused() -> None:
    targets = torch.tensor([0, 1, 2**40])
    for make in (
        lambda: numbered_classes(targets, "mine"),
        lambda: ImageData.of(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), targets, name="mine"),
    ):
        with pytest.raises(DataError, match=r"makes 1,099,511,627,777 classes of 3 different labels"):
            make()


def test_a_cross_entropy_of_one_number_is_refused(x: torch.Tensor) -> None:
    with pytest.raises(EvaluationError, match=r'needs two classes or more; .* loss="squared_norm"'):
        un.path_gradients(net_of(1), (x, torch.zeros(4, dtype=torch.int64)))
    with pytest.raises(DataError, match=r'are real numbers .*loss="squared_norm", any other loss=FUNCTION'):
        un.path_gradients(net_of(1), (x, torch.rand(4, 1)))


def test_training_on_more_labels_than_outputs_is_told(x: torch.Tensor) -> None:
    with pytest.raises((DataError, TrainingError), match="classes are numbered 0 to 4"):
        un.train(net_of(5), (x, torch.arange(4) + 2), epochs=1)
