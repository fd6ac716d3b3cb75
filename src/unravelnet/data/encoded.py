"""Images as files hold them (PNG, JPEG …), decoded when asked for.

A decoded data set lives in memory as one tensor of bytes. One that does not fit stays in this form, and each
batch is decoded anew: slower, at any size.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from unravelnet.errors import DataError

if TYPE_CHECKING:
    import pyarrow
    from PIL import Image

_GREY_MODES = ("1", "L", "LA")
# Images that one thread decodes at a stretch: small enough to share work, large enough to pay for the call.
_STRETCH = 64


class ColourFoundError(DataError):
    """An image has colours where the first one, and so the form of the data, is grey."""


class EncodedImages:
    """A row of encoded images of one size, with the shape and the indexing of the tensor they decode to.

    `cells`: an Arrow column of structs with the fields `bytes` and `path`, as `datasets` stores images;
    memory mapped where the data set is large. `name`: what the data is called in messages. `is_colour`:
    decode to three channels; None: if the first image has colours.
    """

    def __init__(
        self,
        cells: pyarrow.ChunkedArray,
        *,
        name: str,
        is_colour: bool | None = None,
        order: np.ndarray | None = None,
    ) -> None:
        self.cells = cells
        self.name = name
        self.order = np.arange(len(cells)) if order is None else order
        if not len(self.order):
            raise DataError(f"{name} is empty: there are no images in it.")
        first = self._open(int(self.order[0]))
        self.is_colour = first.mode not in _GREY_MODES if is_colour is None else is_colour
        width, height = first.size
        self.shape = (len(self.order), 3 if self.is_colour else 1, height, width)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, indices: Tensor | slice) -> Tensor:
        """Decode the images at these positions: uint8 [n, channels, height, width]."""
        return self._decode(self.order[_as_numpy(indices)])

    @property
    def n_bytes(self) -> int:
        """The memory that the decoded images need."""
        return int(np.prod(self.shape))

    def take(self, indices: Tensor) -> EncodedImages:
        """Choose images, without decoding them."""
        order = self.order[_as_numpy(indices)]
        return EncodedImages(self.cells, name=self.name, is_colour=self.is_colour, order=order)

    def in_colour(self) -> EncodedImages:
        """Decode to three channels, whatever the first image has."""
        return EncodedImages(self.cells, name=self.name, is_colour=True, order=self.order)

    def content(self) -> Iterator[bytes]:
        """Give what identifies each image: its bytes; for a file its path, size and time of change."""
        for index in self.order:
            cell = self.cells[int(index)].as_py() or {}
            yield cell["bytes"] if cell.get("bytes") else file_stamp(str(cell.get("path")))

    def digest(self) -> str:
        """Hash the content of all images."""
        digest = hashlib.blake2b(digest_size=16)
        for piece in self.content():
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
        return digest.hexdigest()

    def _decode(self, places: np.ndarray) -> Tensor:
        pixels = np.empty((len(places), *self.shape[1:]), dtype=np.uint8)
        starts = range(0, len(places), _STRETCH)

        def fill(start: int) -> None:
            for offset, place in enumerate(places[start : start + _STRETCH], start):
                pixels[offset] = self._pixels(int(place))

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            # A list, so that the first error of a thread is raised here.
            list(threads.map(fill, starts))
        return torch.from_numpy(pixels)

    def _pixels(self, place: int) -> np.ndarray:
        image = self._open(place)
        if image.size != (self.shape[3], self.shape[2]):
            raise DataError(
                f"The images of {self.name} differ in size: number {int(self.order[0])} has "
                f"{self.shape[2]}×{self.shape[3]} pixels and number {place} has "
                f"{image.height}×{image.width}. Bring them to one size first."
            )
        if not self.is_colour and image.mode not in _GREY_MODES:
            raise ColourFoundError(
                f"The images of {self.name} differ in form: the first is grey, number {place} has colours. "
                "Convert them to one form first."
            )
        try:
            decoded = np.asarray(image.convert("RGB" if self.is_colour else "L"))
        except (OSError, ValueError, SyntaxError) as error:
            raise self._damaged(place, error) from error
        return decoded.reshape(*decoded.shape[:2], -1).transpose(2, 0, 1)

    def _open(self, place: int) -> Image.Image:
        from PIL import Image, UnidentifiedImageError

        cell = self.cells[place].as_py()
        if not cell or not (cell.get("bytes") or cell.get("path")):
            raise DataError(f"Image number {place} of {self.name} is missing: its cell is empty.")
        try:
            if cell.get("bytes"):
                return Image.open(io.BytesIO(cell["bytes"]))
            return Image.open(io.BytesIO(Path(cell["path"]).read_bytes()))
        except (OSError, UnidentifiedImageError) as error:
            raise self._damaged(place, error) from error

    def _damaged(self, place: int, error: Exception) -> DataError:
        path = (self.cells[place].as_py() or {}).get("path") or "no file name"
        return DataError(
            f"Image number {place} of {self.name} ({path}) cannot be decoded: {error}. Remove or restore it."
        )


def file_stamp(path: str) -> bytes:
    """Describe a file by path, size and time of change, without reading it."""
    try:
        status = Path(path).stat()
    except OSError:
        return path.encode()
    return f"{path} {status.st_size} {status.st_mtime_ns}".encode()


def _as_numpy(indices: Tensor | slice | Sequence[int]) -> np.ndarray | slice:
    if isinstance(indices, slice):
        return indices
    return np.asarray(indices)
