"""Data that can be indexed: image data, text data, tensors, a torch `Dataset`, all behind two methods.

`gather` gives any images as one batch, `fingerprint` hashes them. Data that only comes as a stream of batches
is treated in `batches`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Number
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, default_collate

from unravelnet.data.choice_data import ChoiceData
from unravelnet.data.guard import reading
from unravelnet.data.image_data import ImageData
from unravelnet.data.text_data import TextData
from unravelnet.errors import DataError
from unravelnet.network import Inputs, first_tensor

Batch = tuple[Inputs, Tensor | None]
Loaded = ImageData | TextData | ChoiceData
"""Data that is in memory with all that is known about it."""

_HASHED_AT_ONCE = 1024
# Of a batch of images: examples, channels, height and width.
_IMAGE_DIMENSIONS = 4
UNKNOWN_UNIT = "samples"
"""What examples are called of which nothing is known but their tensors."""


class Source(Protocol):
    """Images (or sequences) that can be had in any order. `unit`: what they are, as a plural noun."""

    name: str
    unit: str

    def __len__(self) -> int: ...

    def gather(self, indices: Tensor) -> Batch:
        """Give the inputs and targets at these positions, as one batch."""

    def fingerprint(self, order: Tensor) -> str:
        """Hash what stands at these positions, in this order."""


class LoadedSource:
    """Images, normalised as they are gathered, text, or questions with options."""

    def __init__(self, data: Loaded) -> None:
        self.data = data
        self.name = data.name
        self.unit = data.unit

    def __len__(self) -> int:
        return len(self.data)

    def gather(self, indices: Tensor) -> Batch:
        return self.data.batch(indices)

    def fingerprint(self, order: Tensor) -> str:
        if torch.equal(order, torch.arange(len(self.data))):
            return self.data.fingerprint()
        return self.data.take(order).fingerprint()


class TensorSource:
    """Inputs of any form whose tensors share their first dimension, with targets or without."""

    def __init__(self, inputs: Inputs, targets: Tensor | None, name: str = "tensors") -> None:
        self.inputs = inputs
        self.targets = targets
        self.name = name
        tensors = _tensors({"inputs": inputs, "targets": targets})
        if not tensors or min(tensor.dim() for tensor in tensors.values()) < 1:
            raise DataError(
                f"The inputs, a {type(inputs).__name__}, hold {'a single number' if tensors else 'no tensor'}. Give "
                "tensors, or numpy arrays, whose first dimension counts the images."
            )
        for key, tensor in tensors.items():
            _check_form(tensor, key.strip("/"))
        lengths = {key.strip("/"): len(tensor) for key, tensor in tensors.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{key} {length}" for key, length in lengths.items())
            raise DataError(f"Inputs and targets differ in length: {listed}. Give one target for each input.")
        self.n = next(iter(lengths.values()))
        has_images = isinstance(inputs, Tensor) and inputs.dim() == _IMAGE_DIMENSIONS
        self.unit = "images" if has_images else UNKNOWN_UNIT

    def __len__(self) -> int:
        return self.n

    def gather(self, indices: Tensor) -> Batch:
        targets = None if self.targets is None else self.targets[indices]
        return cast(Inputs, _select(self.inputs, indices)), targets

    def fingerprint(self, order: Tensor) -> str:
        return hash_batches(self.gather(part) for part in order.split(_HASHED_AT_ONCE))


class DatasetSource:
    """A torch `Dataset` with a length: items are (input, target), or inputs only."""

    unit = UNKNOWN_UNIT

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset
        self.name = type(dataset).__name__

    def __len__(self) -> int:
        return len(cast(Sequence[Any], self.dataset))

    def gather(self, indices: Tensor) -> Batch:
        items = []
        for index in indices:
            with reading(f"Item {int(index)} of {self.name}", "Mend the data set, or leave the item out."):
                items.append(self.dataset[int(index)])
        with reading(
            f"The items of {self.name}",
            "Let its transform turn them into tensors of one shape.",
            cannot="be put together to batches",
        ):
            return split_batch(default_collate(items))

    def fingerprint(self, order: Tensor) -> str:
        return hash_batches(self.gather(part) for part in order.split(_HASHED_AT_ONCE))


class PartSource:
    """Some examples of a source, in an order of their own.

    >>> digits = TensorSource(torch.zeros(5, 1, 8, 8), torch.arange(5))
    >>> PartSource(digits, torch.tensor([4, 0])).gather(torch.tensor([0]))[1].tolist()
    [4]
    """

    def __init__(self, source: Source, order: Tensor) -> None:
        self.source = source
        self.order = order
        self.name = source.name
        self.unit = source.unit

    def __len__(self) -> int:
        return len(self.order)

    def gather(self, indices: Tensor) -> Batch:
        return self.source.gather(self.order[indices])

    def fingerprint(self, order: Tensor) -> str:
        return self.source.fingerprint(self.order[order])


def open_source(data: object) -> Source | None:
    """Return data as an indexable source, or None where it is a stream of batches.

    A pair (inputs, targets) is a tuple, or a list whose second tensor holds integers; numpy arrays count as
    tensors. A tensor or a mapping of tensors alone are inputs without targets. Raises DataError for empty
    data.
    """
    source = _open(_with_array_of_targets(data))
    if source is None:
        return None
    with reading(f"{source.name}, whose length is not known,", "Give a data set with a length, or batches."):
        n = len(source)
    if not n:
        raise DataError(f"{source.name} is empty: there is nothing in it to make batches of.")
    return source


def _with_array_of_targets(data: object) -> object:
    """Make an array of targets that stand in a list beside the inputs."""
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], list):
        inputs, targets = data
        if targets and all(isinstance(target, Number | str) for target in targets):
            return inputs, np.asarray(targets)
    return data


def _open(data: object) -> Source | None:
    if isinstance(data, PartSource):
        return data
    if isinstance(data, Loaded):
        return LoadedSource(data)
    if isinstance(data, IterableDataset):
        return None
    if isinstance(data, Dataset):
        return DatasetSource(data)
    if isinstance(data, Tensor | np.ndarray):
        return TensorSource(as_tensors(data), None)
    if isinstance(data, Mapping):
        return TensorSource(as_tensors(data), None)
    if isinstance(data, tuple | list) and _is_pair(data):
        return TensorSource(as_tensors(data[0]), as_tensors(data[1]))
    return None


def as_tensors(value: Any) -> Any:
    """Turn the numpy arrays of nested inputs into tensors. Raises DataError for what holds no numbers."""
    if isinstance(value, np.ndarray):
        with reading("An array", "Give arrays of numbers."):
            return torch.as_tensor(value)
    if isinstance(value, Mapping):
        return {key: as_tensors(part) for key, part in value.items()}
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return type(value)(as_tensors(part) for part in value)
    return value


def _check_form(tensor: Tensor, key: str) -> None:
    """Raise DataError where the images of a tensor cannot be taken out one by one."""
    forms = {"meta": tensor.is_meta, "quantised": tensor.is_quantized, "nested": tensor.is_nested}
    form = next((name for name, is_so in forms.items() if is_so), None)
    if form is not None or tensor.layout != torch.strided:
        raise DataError(
            f"The tensor {key} is {form or 'sparse'}; give an ordinary one, which holds a value at every place."
        )


def _is_pair(data: Sequence[object]) -> bool:
    if len(data) != 2 or not isinstance(data[1], Tensor | np.ndarray):
        return False
    inputs = data[0]
    if isinstance(data, list):
        # [images, labels] is a pair; [images, images] are two batches.
        is_labels = not as_tensors(data[1]).is_floating_point() and data[1].ndim == 1
        return is_labels and isinstance(inputs, Tensor | np.ndarray) and inputs.ndim > 1
    return isinstance(inputs, Tensor | np.ndarray | Mapping) or bool(_tensors({"inputs": inputs}))


def split_batch(batch: object) -> Batch:
    """Take a batch apart into inputs and targets; targets are None where there are none.

    A batch is (inputs, targets), or a tensor or mapping of tensors that is inputs only.
    """
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return cast(Inputs, batch[0]), batch[1]
    if isinstance(batch, tuple | list) and len(batch) == 1:
        return cast(Inputs, batch[0]), None
    if isinstance(batch, Tensor | Mapping):
        return cast(Inputs, batch), None
    raise DataError(
        f"A batch is a {type(batch).__name__}; expected a pair (inputs, targets), or inputs alone as a "
        "tensor or a mapping of tensors."
    )


def n_examples(batch: Batch) -> int:
    """Count the images (or sequences) of a batch."""
    return int(first_tensor(batch[0]).shape[0])


def part_of(batch: Batch, first: int, last: int) -> Batch:
    """Keep the images of a batch from one position to before another."""
    inputs, targets = batch
    if first <= 0 and last >= n_examples(batch):
        return batch
    part = slice(first, last)
    return cast(Inputs, _select(inputs, part)), None if targets is None else targets[part]


def hash_batches(batches: Iterable[Batch]) -> str:
    """Hash inputs and targets, however they are cut into batches."""
    digests: dict[str, Any] = {}
    forms: dict[str, str] = {}
    for inputs, targets in batches:
        for name, tensor in _tensors({"inputs": inputs, "targets": targets}).items():
            forms[name] = f"{tensor.dtype} {tuple(tensor.shape[1:])}"
            digest = digests.setdefault(name, hashlib.blake2b(digest_size=16))
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    total = hashlib.blake2b(digest_size=8)
    for name in sorted(digests):
        total.update(f"{name} {forms[name]} {digests[name].hexdigest()}".encode())
    return total.hexdigest()


def _tensors(value: object, prefix: str = "") -> dict[str, Tensor]:
    """List the tensors of nested inputs by name."""
    if isinstance(value, Tensor):
        return {prefix: value}
    items: Iterator[tuple[object, object]] = iter(())
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, tuple | list):
        items = iter(enumerate(value))
    return {name: tensor for key, part in items for name, tensor in _tensors(part, f"{prefix}/{key}").items()}


def _select(value: object, indices: Tensor | slice) -> object:
    """Index every tensor of nested inputs along its first dimension."""
    if isinstance(value, Tensor):
        return value[indices]
    if isinstance(value, Mapping):
        return {key: _select(part, indices) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_select(part, indices) for part in value)
    return value
