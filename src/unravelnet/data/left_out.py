"""Images of a directory that the `datasets` library leaves out without a word.

It does so for names with a line break, for every class but one that is called like a split ("train"), and for more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unravelnet.errors import DataError
from unravelnet.wording import counted

if TYPE_CHECKING:
    import datasets

_FOLDERS_OF_IMAGES = "imagefolder"
_log = logging.getLogger(__name__)


def check_all_read(directory: Path, found: Mapping[str, datasets.Dataset]) -> None:
    """Raise DataError where the images of a whole class were left out, and remark other images that were.

    `found`: what was read of the directory. Hidden files and folders do not count.
    """
    if any(table.info.builder_name != _FOLDERS_OF_IMAGES for table in found.values()):
        return
    read = {os.path.relpath(path, directory) for table in found.values() for path in _paths(table)}
    missing = sorted(set(_images(directory)) - read)
    if not missing:
        return
    if lost := _lost_class(missing, read):
        raise DataError(
            f"The datasets library leaves out the folder {lost!r} of {directory}, a class. It does so where a name has "
            'a line break, "::" or "__" in front, and where another class is called like a split ("train"). Rename '
            "that folder."
        )
    _log.warning(
        "%s in %s cannot be read by the datasets library and %s left out. The first is %r.",
        counted(len(missing), "image"),
        directory,
        "is" if len(missing) == 1 else "are",
        missing[0],
    )


def _paths(table: datasets.Dataset) -> Iterator[str]:
    import datasets

    column = next((name for name, kind in table.features.items() if isinstance(kind, datasets.Image)), None)
    if column is not None:
        cells = table.with_format("arrow").data.column(column)
        yield from (cell["path"] for cell in cells.to_pylist() if cell and cell["path"])


def _images(directory: Path) -> Iterator[str]:
    """List the images by their paths inside the directory."""
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    suffixes = tuple(ImageFolder.EXTENSIONS)
    for parent, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield str(Path(parent, name).relative_to(directory))


def _lost_class(missing: Collection[str], read: Collection[str]) -> str | None:
    """Find a folder of which nothing was read, beside one of which something was."""
    folders_read = {Path(path).parent for path in read}
    beside = {folder.parent for folder in folders_read if folder.name}
    folders = sorted({Path(path).parent for path in missing} - folders_read)
    return next((str(folder) for folder in folders if folder.name and folder.parent in beside), None)
