"""From a specification ("digits", a directory, a name on the hub) to image data.

Both splits are normalised by the statistics of the training split. A data set that comes in one piece is
divided: a quarter of every class is held out for testing, always the same one.
"""

from __future__ import annotations

import functools
import logging
import os
import reprlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unravelnet.data import cache
from unravelnet.data.encoded import ColourFoundError, EncodedImages
from unravelnet.data.guard import reading
from unravelnet.data.image_data import ImageData, channel_statistics
from unravelnet.data.repository import Labelled, looks_like_path, read_splits
from unravelnet.data.targets import numbered_classes
from unravelnet.errors import DataError, unknown_name
from unravelnet.network.transform import Transform
from unravelnet.records.files import usable_path
from unravelnet.wording import counted

Split = Literal["train", "test"]

DIGITS = "digits"
_SPLITS = ("train", "test")
_PURPOSES = {"train": "training", "test": "testing"}
# Of the physical memory; the rest is for activations and everybody else.
_SHARE_OF_MEMORY = 0.25
_MEMORY_IF_UNKNOWN = 8 * 2**30
# Enough for statistics to three digits where decoding all images would take hours.
_N_IMAGES_FOR_STATISTICS = 10_000
_log = logging.getLogger(__name__)


def load(
    specification: str | os.PathLike[str],
    split: Split = "test",
    *,
    limit: int | None = None,
    seed: int = 0,
    max_bytes: int | None = None,
    transform: Transform | None = None,
) -> ImageData:
    """Load labelled images.

    >>> load("digits")
    ImageData(digits: 450 images of 1×8×8, 10 classes)

    `specification`: "digits", a local directory in a layout that `datasets.load_dataset` opens, a folder with
    one sub-folder of images a class, or a name on the hub ("cifar10", "owner/name", "owner/name:config").
    `limit`: draw this many images by `seed`. `max_bytes`: keep decoded images in memory up to this size, and
    decode batch by batch beyond; None: a quarter of the machine's memory. `transform`: bring images of any size to what
    a network takes, in the place of statistics of the training split; `models.transform_of` says which transform a
    model was trained for. Data of one split is then used whole. Raises DataError where the data is missing, empty,
    mislabelled, damaged, or of several sizes without a transform, and UnknownNameError for an unknown name.
    """
    check_split(split)
    if not isinstance(specification, str | os.PathLike):
        raise DataError(
            f"Data is loaded from a directory or by the name of a data set; got a value of type "
            f"{type(specification).__name__}."
        )
    specification = os.fspath(specification)
    if specification == DIGITS:
        data = _digits(split) if transform is None else transformed(_digits(split), transform)
    else:
        with reading(reprlib.repr(specification), "Give another directory, or another data set."):
            data = _load_images(specification, split, max_bytes, transform)
    return data if limit is None else data.subset(limit, seed=seed)


def check_split(split: str) -> None:
    """Raise UnknownNameError unless this is the name of a split."""
    if split not in _SPLITS:
        raise unknown_name("split", split, _SPLITS)


def _digits(split: str) -> ImageData:
    images, targets = _all_digits()
    train, test = divide(targets)
    mean, std = channel_statistics(images[train])
    chosen = train if split == "train" else test
    return ImageData(images[chosen], targets[chosen], tuple(map(str, range(10))), DIGITS, mean, std)


@functools.cache
def _all_digits() -> tuple[Tensor, Tensor]:
    """Read the digits once a process: they are kept as text. What is selected of them is a copy."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # Pixels are counts from 0 to 16.
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))[:, None]
    return images, torch.from_numpy(bunch.target.astype(np.int64))


def divide(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Hold out a quarter of every class: positions for training and for testing, each in rising order.

    >>> [len(part) for part in divide(torch.tensor([0] * 8 + [1] * 4))]
    [9, 3]

    The choice is random and always the same for the same targets.
    """
    generator = np.random.default_rng(0)
    is_test = np.zeros(len(targets), dtype=bool)
    for label in np.unique(targets.numpy()):
        members = np.flatnonzero(targets.numpy() == label)
        drawn = members[np.argsort(generator.random(len(members)), kind="stable")]
        is_test[drawn[: round(len(members) / 4)]] = True
    return torch.from_numpy(np.flatnonzero(~is_test)), torch.from_numpy(np.flatnonzero(is_test))


def _load_images(
    specification: str, split: str, max_bytes: int | None, transform: Transform | None
) -> ImageData:
    path = usable_path(specification)
    _check_exists(specification, path)
    name = path.resolve().name if path.is_dir() else specification
    if transform is not None:
        return _decode_by(transform, read_splits(specification), split, name, _budget(max_bytes))
    splits = None if path.is_dir() else read_splits(specification)
    if splits is None:
        key = cache.directory_key(path)
    else:
        key = cache.content_key(*(part.images.digest() for part in splits.values()))
    # A limit that was asked for is obeyed, also where the whole was decoded once before.
    known = None if max_bytes is not None else cache.read(key, split, name)
    if known is not None:
        return known
    data = _decode(splits or read_splits(specification), split, name, _budget(max_bytes))
    for part, content in data.items():
        cache.write(key, part, content)
    return data[split]


def _check_exists(specification: str, path: Path) -> None:
    if path.is_dir():
        return
    if path.is_file():
        raise DataError(
            f"{specification} is a file. Images are loaded from a directory, or by the name of a data set. If it is a "
            f"text, give unravelnet.data.load_text({specification!r}) to a model that reads bytes. For other models, "
            f"give unravelnet.data.load_text({specification!r}, tokenizer=FILE)."
        )
    if looks_like_path(specification):
        raise DataError(f"There is no directory {specification}. Give one that has data in it.")


def _budget(max_bytes: int | None) -> int:
    if max_bytes is not None:
        return max_bytes
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        physical = _MEMORY_IF_UNKNOWN
    return int(physical * _SHARE_OF_MEMORY)


def _decode(splits: dict[str, Labelled], split: str, name: str, budget: int) -> dict[str, ImageData]:
    """Decode the training split, for its statistics, and the split that is asked for."""
    classes = _class_names(splits, name)
    if len(splits) == 1:
        splits = _divided(*splits.values(), name=name)
    images = {"train": _materialised(splits["train"].images, budget)}
    if split == "test":
        is_colour = images["train"].shape[1] == 3
        images["test"] = _materialised(splits["test"].images, budget, is_colour=is_colour)
    mean, std = _statistics(images["train"])
    return {
        part: ImageData(images[part], torch.tensor(splits[part].targets), classes, name, mean, std)
        for part in images
    }


def _decode_by(
    transform: Transform, splits: dict[str, Labelled], split: str, name: str, budget: int
) -> ImageData:
    """Decode one split by the transform of a network, which needs no statistics of the other."""
    classes = _class_names(splits, name)
    if split not in splits:
        (found,) = splits
        _log.info("%s has no split for %s; its only one, %s, is used whole.", name, _PURPOSES[split], found)
        split = found
    images = _materialised(splits[split].images.transformed(transform), budget)
    return ImageData(
        images, torch.tensor(splits[split].targets), classes, name, transform.mean, transform.std
    )


def transformed(data: ImageData, transform: Transform) -> ImageData:
    """Bring images that are decoded already to what a network takes.

    >>> transformed(load("digits"), Transform((32, 32), resize=32))
    ImageData(digits: 450 images of 3×32×32, 10 classes)
    """
    from PIL import Image

    pixels = (image.permute(1, 2, 0).numpy() for image in data.images[:])
    images = np.stack([transform.apply(Image.fromarray(image.squeeze(-1))) for image in pixels])
    return replace(data, images=torch.from_numpy(images), mean=transform.mean, std=transform.std)


def _class_names(splits: dict[str, Labelled], name: str) -> tuple[str, ...]:
    """Take the names that come with the data, or number the classes."""
    named = next((part.classes for part in splits.values() if part.classes), ())
    return named or numbered_classes(
        torch.cat([torch.tensor(part.targets) for part in splits.values()]), name
    )


def _divided(stored: Labelled, *, name: str) -> dict[str, Labelled]:
    _log.info("%s has one split; a quarter of every class is held out for testing.", name)
    places = dict(zip(_SPLITS, divide(torch.tensor(stored.targets)), strict=True))
    if not all(map(len, places.values())):
        raise DataError(
            f"{name} has one split with {counted(len(stored.targets), 'image')}, too few to hold out "
            "a quarter of every "
            "class for testing. Add images, or a split called test."
        )
    return {
        split: Labelled(stored.images.take(chosen), stored.targets[chosen.numpy()], stored.classes)
        for split, chosen in places.items()
    }


def _materialised(
    images: EncodedImages, budget: int, *, is_colour: bool | None = None
) -> Tensor | EncodedImages:
    """Decode images that fit the budget; in colour if any of them has colours, or if so asked."""
    if is_colour and not images.is_colour:
        images = images.in_colour()
    if images.n_bytes > budget:
        return images
    try:
        return images[:]
    except ColourFoundError:
        if is_colour is False:  # the training split is grey
            raise
        return images.in_colour()[:]


def _statistics(images: Tensor | EncodedImages) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if isinstance(images, EncodedImages) and len(images) > _N_IMAGES_FOR_STATISTICS:
        generator = torch.Generator().manual_seed(0)
        images = images.take(torch.randperm(len(images), generator=generator)[:_N_IMAGES_FOR_STATISTICS])
    return channel_statistics(images)
