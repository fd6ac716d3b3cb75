"""Data sets through the `datasets` package: local directories, image folders and names on the hub.

Local data never touches the network. Nothing is executed that comes with a data set.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unravelnet.data.encoded import EncodedImages
from unravelnet.data.guard import reading
from unravelnet.data.left_out import check_all_read
from unravelnet.errors import DataError, unknown_name
from unravelnet.records.files import usable_path

if TYPE_CHECKING:
    import datasets
    import pyarrow

# Short names that people use, and where the hub keeps them.
HUB_NAMES = {
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "mnist": "ylecun/mnist",
}
_LABEL_COLUMNS = ("label", "labels", "fine_label")
_SPLITS = {"train": ("train",), "test": ("test", "validation", "valid", "val", "dev")}
_HUB_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """One split as it is stored: encoded images, int64 labels and class names."""

    images: EncodedImages
    targets: np.ndarray
    classes: tuple[str, ...]


def read_splits(specification: str) -> dict[str, Labelled]:
    """Open a data set and return its splits "train" and "test", those that it has.

    `specification`: a local directory, or a name on the hub, with the configuration behind a colon where
    there are several ("ufldl-stanford/svhn:cropped_digits"). Raises DataError or UnknownNameError.
    """
    found = open_tables(specification)
    splits = {
        split: _labelled(tables, f"{specification} ({split})")
        for split, tables in _by_split(found).items()
        if tables
    }
    if not splits:
        raise DataError(
            f"{specification} has no split that is called train or test; it has: {', '.join(found)}. Rename "
            "them."
        )
    return splits


def open_tables(specification: str) -> Mapping[str, datasets.Dataset]:
    """Open a data set and give its tables by the names that it has for them. Raises as `read_splits`."""
    is_local = usable_path(specification).is_dir()
    return _open_directory(specification) if is_local else _open_name(specification)


def splits_of(found: Mapping[str, datasets.Dataset]) -> dict[str, datasets.Dataset]:
    """Choose the table of each split that there is, "train" and "test", whatever they are called."""
    return {split: tables[0] for split, tables in _by_split(found).items() if tables}


def _by_split(found: Mapping[str, datasets.Dataset]) -> dict[str, list[datasets.Dataset]]:
    return {split: [found[name] for name in names if name in found] for split, names in _SPLITS.items()}


def looks_like_path(specification: str) -> bool:
    """Whether a specification can only be meant as a path."""
    return specification.startswith(("/", ".", "~")) or specification.endswith("/") or "\\" in specification


def _open_directory(specification: str) -> Mapping[str, datasets.Dataset]:
    import datasets

    path = usable_path(specification)
    _check_links(path)
    way_out = "Give Parquet files with images and labels, or images in one folder a class."
    with _quiet(), reading(f"The directory {specification}", way_out):
        try:
            found = datasets.load_dataset(str(path))
        except FileNotFoundError as error:
            is_pattern = bool(set(path.name) & set("*?[]"))
            why = (
                ": its name has one of the characters * ? [ ], which stand for others in patterns"
                * is_pattern
            )
            raise DataError(f"There are no data files in {specification}{why}. {way_out}") from error
        check_all_read(path, found)
    return dict(found)


def _check_links(path: Path) -> None:
    """Raise DataError where a folder inside is a link: `datasets` would leave its images out without a word."""
    for parent, folders, _ in os.walk(path):
        link = next((Path(parent, name) for name in sorted(folders) if Path(parent, name).is_symlink()), None)
        if link is not None:
            raise DataError(
                f"The folder {link.relative_to(path)} in {path} is a link, and links to folders are not followed. Put "
                "the folder itself there; links to single files are followed."
            )


def _open_name(specification: str) -> Mapping[str, datasets.Dataset]:
    import datasets

    name, _, configuration = specification.partition(":")
    name = HUB_NAMES.get(name, name)
    with _quiet(), reading(f"The data set {specification!r}", "Give another, or a directory."):
        try:
            with _without_waiting(name):
                found = datasets.load_dataset(name, configuration or None)
        except (datasets.exceptions.DatasetNotFoundError, ConnectionError) as error:
            raise _not_found(specification, error) from error
    return dict(found)


def _not_found(specification: str, error: Exception) -> Exception:
    cause = unknown_name("data set", specification, ["digits", *HUB_NAMES])
    reached = (
        "The hub cannot be reached" if isinstance(error, ConnectionError) else "The hub does not have it"
    )
    return type(cause)(f"{cause} {reached}, and there is no directory of that name either.")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let `datasets` work without progress bars and remarks, and give its settings back."""
    import datasets

    had_bars = datasets.are_progress_bars_disabled() is False
    verbosity = datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    # Its errors come as exceptions as well.
    datasets.logging.set_verbosity(logging.CRITICAL + 1)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if had_bars:
            datasets.enable_progress_bars()


@contextlib.contextmanager
def _without_waiting(name: str) -> Iterator[None]:
    """Ask the hub once; where it does not answer, let `datasets` look in its own cache only.

    Left alone it asks six times, half a minute in all.
    """
    import datasets
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    was_offline = datasets.config.HF_HUB_OFFLINE
    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=_HUB_SECONDS)
    except (HfHubHTTPError, HFValidationError):
        pass  # it answered; what it said is for `load_dataset` to explain
    except Exception:  # the HTTP library behind the hub, and so its class of error, changes with versions
        datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = was_offline


def _labelled(tables: list[datasets.Dataset], name: str) -> Labelled:
    """Take the first of the tables that has labels: a public test split may have none."""
    first_error: DataError | None = None
    for table in tables:
        try:
            return _read_table(table, name)
        except DataError as error:
            first_error = first_error or error
    assert first_error is not None, "there is at least one table"
    raise first_error


def _read_table(table: datasets.Dataset, name: str) -> Labelled:
    import datasets

    features = table.features
    if not len(table):
        raise DataError(f"{name} is empty: there are no images in it.")
    image_columns = [column for column, kind in features.items() if isinstance(kind, datasets.Image)]
    if not image_columns:
        raise DataError(f"{name} has no column of images. Its columns: {', '.join(features)}.")
    cells = table.with_format("arrow").data.column(image_columns[0])
    targets, classes = _labels(table, name, cells)
    return Labelled(EncodedImages(cells, name=name), targets, classes)


def _why_unlabelled(cells: pyarrow.ChunkedArray) -> str:
    """Say that images are in one folder, where they are: two or more make labels."""
    paths = [cell["path"] for cell in cells.to_pylist() if cell and cell["path"]]
    folders = {Path(path).parent.name for path in paths}
    return f": all images are in one folder, {folders.pop()}" if len(folders) == 1 else ""


def _labels(
    table: datasets.Dataset, name: str, cells: pyarrow.ChunkedArray
) -> tuple[np.ndarray, tuple[str, ...]]:
    import datasets

    features = table.features
    class_columns = [column for column, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    columns = [column for column in (*_LABEL_COLUMNS, *class_columns) if column in features]
    if not columns:
        raise DataError(
            f"{name} has no column of labels{_why_unlabelled(cells)}. Expected one called {', '.join(_LABEL_COLUMNS)}, "
            f"or images in folders, one for each of two classes or more; its columns: {', '.join(features)}."
        )
    column = columns[0]
    labels = table.data.column(column)
    if labels.null_count == len(labels):
        raise DataError(
            f"{name} has no labels: column {column!r} is empty. Put the images of each class in one folder."
        )
    if labels.null_count:
        place = labels.to_pylist().index(None)
        raise DataError(f"The label of image {place} of {name} is missing. Leave such images out.")
    targets = labels.to_numpy()
    if targets.dtype.kind not in "iu":
        raise DataError(
            f"The labels of {name} (column {column!r}) are {labels.type}; expected integers, the index of "
            "the class."
        )
    if (targets < 0).all():  # how the hub marks a test split whose labels are secret
        raise DataError(f"{name} has no labels: they are all {targets[0]}. Take a split that is labelled.")
    names = getattr(features[column], "names", None) or ()
    return targets.astype(np.int64), tuple(names)
