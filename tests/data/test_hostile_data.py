"""Data that users hand over from Python and that cannot be measured: a sentence of ours, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import unravelnet as un
from unravelnet.data import as_batches, load
from unravelnet.errors import CostError, DataError, EvaluationError

X = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6)


@pytest.fixture(scope="module")
def net() -> Any:
    return un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0).eval()


class Items(Dataset[Any]):
    """A data set whose items a function makes."""

    def __init__(self, item: Callable[[int], Any], n: int = 6) -> None:
        self.item, self.n = item, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        return self.item(index)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([(X[i], Y[i]) for i in range(6)])


def failing(index: int) -> Any:
    if index == 3:
        raise KeyError("no such picture")
    return X[index], Y[index]


def broken_stream() -> Iterator[Any]:
    yield X, Y
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (X.numpy(), Y.numpy()),
        (X.numpy(), Y),
        Items(lambda i: (X[i], int(Y[i]))),
        Items(lambda i: (X[i].numpy(), np.int16(i))),
        DataLoader(TensorDataset(X, Y), batch_size=4),
        Stream(),
        [(X[:4], Y[:4]), (X[4:], Y[4:])],
        (X, Y[:, None]),
    ],
)
def test_the_same_data_in_every_form_gives_the_same_numbers(net: Any, data: Any) -> None:
    row = un.evaluate(net, [net.full_route], data, metrics=["error_rate", "loss"])[0]
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(net(X), Y)
    assert row["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert row["n_images"] == 6


HOSTILE = {
    "targets too few": ((X, Y[:3]), "Inputs and targets differ in length: inputs 6, targets 3"),
    "nothing": ((X[:0], Y[:0]), "is empty: there is nothing in it"),
    "single numbers": ((torch.tensor(1.0), torch.tensor(1)), "hold a single number"),
    "no tensors": ({}, "hold no tensor"),
    "no inputs": (({}, Y), "hold no tensor"),
    "words": (({"a": "b"}, Y), "hold no tensor"),
    "objects": ((np.array([object()] * 6), Y), "can.t convert np.ndarray of type numpy.object_"),
    "words as labels": ((X, np.array(list("abcdef"))), "An array cannot be read: TypeError"),
    "meta": ((X.to("meta"), Y), "The tensor inputs is meta"),
    "sparse": ((X.to_sparse(), Y), "The tensor inputs is sparse"),
    "no data": (None, "Data cannot be a NoneType"),
    "a number": (3, "Data cannot be a int"),
    "a function": (print, "Data cannot be a builtin"),
    "bytes": (b"abc", "A batch is a int; expected a pair"),
    "three of them": ([(X, Y, Y)], "A batch is a tuple; expected a pair"),
    "no batches": ([], "list is empty: there are no batches in it"),
    "a stream of nothing": (iter([]), "is empty: no batch came from it"),
    "an item that fails": (Items(failing), "Item 3 of Items cannot be read: KeyError: 'no such picture'"),
    "fewer items than said": (Items(lambda i: (X[i], Y[i]), n=9), "Item 6 of Items cannot be read: IndexError"),
    "items of several sizes": (Items(lambda i: (X[i, :, : i + 1], 0)), "stack expects each tensor to be equal size"),
    "items without a label": (Items(lambda i: (X[i], None)), "Items cannot be put together to batches: TypeError"),
    "labels that are words": (Items(lambda i: (X[i], "cat")), "A batch is a list; expected a pair"),
    "labels that are no classes": (Items(lambda i: (X[i], 1.5)), "targets of Items are real numbers .float64"),
    "a stream that breaks": (broken_stream(), "Batch 1 of generator cannot be read: Input/output error"),
    "other channels": ((X.repeat(1, 3, 1, 1), Y), "inputs of 3×8×8 .float32., and it was made with 1×8×8 .float32"),
    "a stream of other channels": ([(X, Y), (X.repeat(1, 2, 1, 1), Y)], "list gives .* inputs of 2×8×8"),
    "rows": ((X.flatten(1), Y), "inputs of 64 .float32., and it was made with 1×8×8"),
    "images without channels": ((X[:, 0], Y), "inputs of 8×8 .float32., and it was made with"),
    "bytes as pixels": (((X * 10).byte(), Y), "inputs of 1×8×8 .uint8., and it was made with 1×8×8 .float32"),
    "double precision": ((X.double(), Y), "inputs of 1×8×8 .float64., and it was made with"),
    "truth values": ((X > 0, Y), "inputs of 1×8×8 .bool"),
    "complex numbers": ((X + 0j, Y), "inputs of 1×8×8 .complex64"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_data_that_cannot_be_measured_is_explained(net: Any, kind: str) -> None:
    data, phrase = HOSTILE[kind]
    with pytest.raises(DataError, match=phrase):
        un.evaluate(net, [net.full_route], data)


@pytest.mark.parametrize(
    "kind", ["targets too few", "an item that fails", "other channels", "bytes as pixels", "rows"]
)
@pytest.mark.parametrize(
    "measure", [un.path_gradients, un.module_measures, un.layer_responses, un.ensemble_of_routes]
)
def test_every_measurement_explains_it(net: Any, measure: Any, kind: str) -> None:
    data, phrase = HOSTILE[kind]
    with pytest.raises(DataError, match=phrase):
        measure(net, data)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_inputs_that_are_not_finite_are_told(net: Any, bad: float) -> None:
    inputs = X.clone()
    inputs[2, 0, 3, 3] = bad
    with pytest.raises(
        EvaluationError, match=r"gives 1 not finite output \(.* The inputs themselves hold NaN"
    ):
        un.evaluate(net, [net.full_route], (inputs, Y))
    with pytest.raises(DataError, match="Inputs of tensors are not finite"):
        un.ensemble_of_routes(net, (inputs, Y), n_routes=2)


MEASUREMENTS = (
    lambda net, **options: un.evaluate(net, [net.full_route], (X, Y), **options),
    lambda net, **options: un.path_gradients(net, (X, Y), **options),
    lambda net, **options: un.ensemble_of_routes(net, (X, Y), n_routes=2, **options),
    lambda net, **options: un.layer_responses(net, (X, Y), **options),
)


@pytest.mark.parametrize("measure", MEASUREMENTS)
@pytest.mark.parametrize(
    ("options", "error", "phrase"),
    [
        ({"batch_size": 0}, DataError, "A batch of 0 images cannot be made; give batch_size=1 or more"),
        ({"batch_size": -3}, DataError, "A batch of -3 images cannot be made"),
        ({"batch_size": 2.5}, DataError, "batch_size is 2.5; give a whole number"),
        ({"batch_size": "3"}, DataError, "batch_size is '3'; give a whole number"),
        ({"batch_size": True}, DataError, "batch_size is True; give a whole number"),
        ({"batch_size": 2**70}, CostError, "1,180,591,620,717,411,303,424 images at a time are too many"),
        ({"limit": 0}, DataError, "0 images were asked for"),
        ({"limit": 7}, DataError, "7 images of tensors were asked for, and it has 6"),
        ({"limit": 2.5}, DataError, "limit is 2.5; give a whole number"),
        ({"limit": 3, "seed": -1}, CostError, "The seed -1 is out of range"),
        ({"limit": 3, "seed": 2**64}, CostError, "is out of range"),
        ({"limit": 3, "seed": 2.5}, CostError, "The seed 2.5 is no int"),
        ({"limit": 3, "seed": True}, CostError, "The seed True is no int"),
    ],
)
def test_numbers_that_cannot_be_are_told(
    net: Any, measure: Any, options: Any, error: Any, phrase: str
) -> None:
    with pytest.raises(error, match=phrase):
        measure(net, **options)


@pytest.mark.parametrize("measure", MEASUREMENTS)
def test_numbers_of_numpy_are_numbers(net: Any, measure: Any) -> None:
    options = {"batch_size": 2, "limit": 3}
    of_numpy = {name: np.int64(value) for name, value in options.items()}
    assert measure(net, **of_numpy).to_pandas().equals(measure(net, **options).to_pandas())


@pytest.mark.parametrize(
    ("options", "error", "phrase"),
    [
        ({"limit": 0}, DataError, "0 images of digits were asked for, and it has 450"),
        ({"limit": 451}, DataError, "451 images of digits were asked for"),
        ({"limit": 2.5}, DataError, "limit is 2.5"),
        ({"limit": 3, "seed": -1}, CostError, "The seed -1 is out of range"),
        ({"limit": 3, "seed": 2**64}, CostError, "is out of range"),
    ],
)
def test_drawing_images_that_cannot_be_drawn_is_told(options: Any, error: Any, phrase: str) -> None:
    with pytest.raises(error, match=phrase):
        load("digits", **options)


def test_a_path_is_a_specification(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert as_batches(Path("digits"), batch_size=50).n_images == 450
    with pytest.raises(DataError, match="There is no directory /nowhere"):
        as_batches(Path("/nowhere"), batch_size=50)
