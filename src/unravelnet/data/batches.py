"""Batches of inputs and targets, in a fixed order, that can start in the middle.

Data that can be indexed is cut into batches of the size asked for; a stream of batches (a `DataLoader`, a
list, a generator) is passed on as it comes. Both know how many there are, where that can be known, and what
they are.
"""

from __future__ import annotations

import abc
import itertools
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence, Sized

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from unravelnet.costs import MOST_EXAMPLES_AT_A_TIME, check_number
from unravelnet.data.drawing import check_count
from unravelnet.data.guard import reading
from unravelnet.data.loading import load
from unravelnet.data.source import (
    UNKNOWN_UNIT,
    Batch,
    Source,
    hash_batches,
    n_examples,
    open_source,
    part_of,
    split_batch,
)
from unravelnet.errors import DataError
from unravelnet.wording import counted


class Batches(abc.ABC):
    """Batches (inputs, targets) in a fixed order; targets are None where the data has none.

    Iterating anew starts anew. `name`: what the data is called. `n_images`: how many images (or sequences)
    there are in all, None for a stream of unknown length. `unit`: what they are, as a plural noun.
    """

    name: str
    unit: str
    n_images: int | None

    @abc.abstractmethod
    def __len__(self) -> int:
        """Count the batches. Raises TypeError for a stream of unknown length, as `len` does."""

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Batch]:
        """Give the batches in order."""

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Hash all images in their order, whatever the batch size: the identity of the data."""

    @abc.abstractmethod
    def starting_at(self, n_images: int) -> Batches:
        """Give the same batches without those that hold the first `n_images` images.

        Raises DataError where a batch does not start there.
        """


class IndexedBatches(Batches):
    """Batches cut from data that can be indexed."""

    def __init__(self, source: Source, order: Tensor, batch_size: int, start: int = 0) -> None:
        self.source = source
        self.order = order
        self.batch_size = batch_size
        self.start = start
        self.name, self.unit = source.name, source.unit
        self.n_images: int = len(order)
        self._fingerprint = ""

    def __len__(self) -> int:
        return -(-(self.n_images - self.start) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for first in range(self.start, self.n_images, self.batch_size):
            yield self.source.gather(self.order[first : first + self.batch_size])

    def fingerprint(self) -> str:
        if not self._fingerprint:
            self._fingerprint = self.source.fingerprint(self.order)
        return self._fingerprint

    def starting_at(self, n_images: int) -> IndexedBatches:
        is_between = n_images % self.batch_size and n_images < self.n_images
        if is_between or not 0 <= n_images <= self.n_images:
            raise DataError(
                f"No batch of {self.name} starts at image {n_images}: batches have "
                f"{counted(self.batch_size, 'image')}, "
                f"and there are {self.n_images}."
            )
        later = IndexedBatches(self.source, self.order, self.batch_size, n_images)
        later._fingerprint = self._fingerprint
        return later

    def reordered(self, places: Tensor) -> IndexedBatches:
        """Give the same images in another order, which names the place of each once."""
        return IndexedBatches(self.source, self.order[places], self.batch_size)


class StreamedBatches(Batches):
    """Batches as an iterable gives them."""

    def __init__(self, stream: Iterable[object], limit: int | None, skipped: int = 0) -> None:
        self.stream = stream
        self.limit = limit
        self.skipped = skipped
        self.name, self.unit = _stream_name(stream), UNKNOWN_UNIT
        length = _stream_length(stream)
        self.n_images = length if limit is None or length is None else min(length, limit)
        self._fingerprint = ""

    def __len__(self) -> int:
        if self.limit is None and not self.skipped and isinstance(self.stream, Sized):
            return len(self.stream)
        if isinstance(self.stream, Sequence):
            return sum(1 for _ in self)
        raise TypeError(f"the number of batches of {self.name} is not known before they have come")

    def __iter__(self) -> Iterator[Batch]:
        seen = 0
        for item in _items_of(self.stream, self.name):
            batch = split_batch(item)
            if self.limit is not None:
                batch = part_of(batch, 0, self.limit - seen)
            first, seen = seen, seen + n_examples(batch)
            self._check_start(first, seen)
            if first >= self.skipped:
                yield batch
            if self.limit is not None and seen >= self.limit:
                return
        if not seen:
            raise DataError(f"{self.name} is empty: no batch came from it.")
        if self.limit is not None:
            raise DataError(
                f"{counted(self.limit, 'image')} of {self.name} were asked for, and it has {seen}."
            )

    def fingerprint(self) -> str:
        if not self._fingerprint:
            # What can be read only once cannot be hashed first: it gets a name that it shares with nothing.
            self._fingerprint = uuid.uuid4().hex[:16] if self.is_consumed else self._hash()
        return self._fingerprint

    @property
    def is_consumed(self) -> bool:
        """Whether the batches can be read only once."""
        return iter(self.stream) is self.stream

    def starting_at(self, n_images: int) -> StreamedBatches:
        later = StreamedBatches(self.stream, self.limit, n_images)
        later._fingerprint = self._fingerprint
        return later

    def _hash(self) -> str:
        return hash_batches(StreamedBatches(self.stream, self.limit))

    def _check_start(self, first: int, end: int) -> None:
        if first < self.skipped < end:
            raise DataError(
                f"No batch of {self.name} starts at image {self.skipped}: one holds the images {first} to "
                f"{end - 1}. Give the batches in the sizes they had before."
            )


def _items_of(stream: Iterable[object], name: str) -> Iterator[object]:
    """Go through a stream; what its own code raises says which batch it was."""
    items = iter(stream)
    for number in itertools.count():
        with reading(f"Batch {number} of {name}", "Mend the data set, or what makes its batches."):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


def as_batches(
    data: object,
    *,
    batch_size: int,
    limit: int | None = None,
    shuffle_seed: int | None = None,
) -> Batches:
    """Make batches of data in any form.

    >>> batches = as_batches((torch.zeros(10, 3, 8, 8), torch.arange(10)), batch_size=4)
    >>> len(batches), batches.n_images
    (3, 10)

    `data`: a specification as for `load` (its test split), `ImageData`, `TextData`, a pair of tensors (inputs,
    targets), inputs alone (a tensor, or a mapping of tensors), a torch `Dataset`, or an iterable of batches,
    which keeps its own batch sizes. `limit`: use this many images: the first ones, or random ones for a
    specification, which is drawn from by `shuffle_seed` (0 if None). `shuffle_seed`: the seed of a random
    order. Raises DataError where the data is empty, has fewer images than the limit, or cannot be shuffled.
    """
    check_count(batch_size, "batch_size")
    if limit is not None:
        check_count(limit, "limit")
    if batch_size < 1:
        raise DataError(
            f"A batch of {counted(batch_size, 'image')} cannot be made; give batch_size=1 or more."
        )
    check_number(batch_size, MOST_EXAMPLES_AT_A_TIME, "images at a time")
    if limit is not None and limit < 1:
        raise DataError(f"{counted(limit, 'image')} were asked for; give limit=1 or more, or None for all.")
    if isinstance(data, str | os.PathLike):
        data = load(data, "test", limit=limit, seed=shuffle_seed or 0)
    source = open_source(data)
    if source is not None:
        return IndexedBatches(source, _order(source, limit, shuffle_seed), batch_size)
    if not isinstance(data, Iterable):
        raise DataError(
            f"Data cannot be a {type(data).__name__}. Give a pair of tensors, a torch Dataset, an iterable "
            "of batches, or a name such as 'digits'."
        )
    return _streamed(data, batch_size, limit, shuffle_seed)


def _order(source: Source, limit: int | None, shuffle_seed: int | None) -> Tensor:
    n = len(source)
    if limit is not None and limit > n:
        raise DataError(
            f"{limit} {source.unit} of {source.name} were asked for, and it has {n}; ask for 1 to {n}."
        )
    if shuffle_seed is None:
        order = torch.arange(n)
    else:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(int(shuffle_seed)))
    return order[:limit]


def _streamed(
    data: Iterable[object], batch_size: int, limit: int | None, shuffle_seed: int | None
) -> StreamedBatches:
    if shuffle_seed is not None:
        raise DataError(
            f"A stream of batches ({type(data).__name__}) cannot be shuffled. Give data that can be indexed, "
            "or shuffle it before."
        )
    if isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=batch_size)
    if isinstance(data, list | tuple) and not len(data):
        raise DataError(f"{_stream_name(data)} is empty: there are no batches in it.")
    return StreamedBatches(data, limit)


def _stream_name(stream: Iterable[object]) -> str:
    dataset = getattr(stream, "dataset", stream)
    return getattr(dataset, "name", "") or type(dataset).__name__


def _stream_length(stream: Iterable[object]) -> int | None:
    """Count the images of a stream where that costs nothing."""
    if isinstance(stream, list | tuple):
        return sum(n_examples(split_batch(item)) for item in stream)
    if isinstance(stream, DataLoader) and isinstance(stream.dataset, Sized):
        n = len(stream.dataset)
        return min(n, len(stream) * stream.batch_size) if stream.batch_size else None
    return None


def first_batch(batches: Batches) -> Batch:
    """Give the first batch, without the others."""
    return next(itertools.islice(batches, 1))
