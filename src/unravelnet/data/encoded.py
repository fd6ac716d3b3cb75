"""Images as files hold them (PNG, JPEG …), decoded when asked for.

A decoded data set lives in memory as one tensor of bytes. One that does not fit stays in this form, and each
batch is decoded anew: slower, at any size.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unravelnet.data.guard import reading
from unravelnet.errors import DataError
from unravelnet.network.transform import Transform

if TYPE_CHECKING:
    import pyarrow
    from PIL import Image

# What images are made of in practice. Pillow knows many more, and hands PostScript to another program.
_WAY_OUT = "Remove or restore it."
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_GREY_MODES = ("1", "L", "LA")
# Pixels of 16 bits and more, which a conversion to bytes would cut off at 255.
_DEEP_MODES = ("I", "F")
# A quarter of a gibibyte as bytes in colour; larger images are damaged or meant to fill the memory.
_MOST_PIXELS = 2**28 // 3
# Images that one thread decodes at a stretch: small enough to share work, large enough to pay for the call.
_STRETCH = 64


class ColourFoundError(DataError):
    """An image has colours where the first one, and so the form of the data, is grey."""


class EncodedImages:
    """A row of encoded images, with the shape and the indexing of the tensor they decode to.

    `cells`: an Arrow column of structs with the fields `bytes` and `path`, as `datasets` stores images;
    memory mapped where the data set is large. `name`: what the data is called in messages. `is_colour`:
    decode to three channels; None: if the first image has colours. `transform`: bring images of any size to one.
    """

    def __init__(
        self,
        cells: pyarrow.ChunkedArray,
        *,
        name: str,
        is_colour: bool | None = None,
        order: np.ndarray | None = None,
        transform: Transform | None = None,
    ) -> None:
        self.cells = cells
        self.name = name
        self.transform = transform
        self.order = np.arange(len(cells)) if order is None else order
        if not len(self.order):
            raise DataError(f"{name} is empty: there are no images in it.")
        first = self._open(int(self.order[0]))
        self.is_colour = first.mode not in _GREY_MODES if is_colour is None else is_colour
        if transform is not None:
            self.is_colour = transform.is_colour
        height, width = first.size[::-1] if transform is None else transform.size
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
        return self._with(order=order)

    def in_colour(self) -> EncodedImages:
        """Decode to three channels, whatever the first image has."""
        return self._with(is_colour=True)

    def transformed(self, transform: Transform) -> EncodedImages:
        """Bring the images to what a network takes."""
        return self._with(transform=transform)

    def content(self) -> Iterator[bytes]:
        """Give what identifies each image: its bytes; for a file its path, size and time of change."""
        for index in self.order:
            cell = self.cells[int(index)].as_py() or {}
            yield cell["bytes"] if cell.get("bytes") else file_stamp(str(cell.get("path")))

    def digest(self) -> str:
        """Hash the content of all images."""
        digest = hashlib.blake2b(digest_size=16)
        if self.transform is not None:
            digest.update(repr(self.transform).encode())
        for piece in self.content():
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
        return digest.hexdigest()

    def _with(self, **changes: Any) -> EncodedImages:
        own = {"is_colour": self.is_colour, "order": self.order, "transform": self.transform}
        return EncodedImages(self.cells, name=self.name, **{**own, **changes})

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
        if self.transform is not None:
            with self._reading(place):
                return self.transform.apply(image)
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
        with self._reading(place):
            decoded = np.asarray(image.convert("RGB" if self.is_colour else "L"))
        return decoded.reshape(*decoded.shape[:2], -1).transpose(2, 0, 1)

    def _open(self, place: int) -> Image.Image:
        """Read the head of an image: its size and form."""
        from PIL import Image, UnidentifiedImageError

        with self._reading(place):
            content = _content(self.cells[place].as_py() or {}, self._title(place))
            try:
                image = Image.open(io.BytesIO(content), formats=_FORMATS)
            except UnidentifiedImageError:  # which speaks of an address in memory
                raise DataError(
                    f"{self._title(place)} cannot be decoded: it is none of {', '.join(_FORMATS)}. {_WAY_OUT}"
                ) from None
        if image.width * image.height > _MOST_PIXELS:
            raise DataError(
                f"{self._title(place)} has {image.height}×{image.width} pixels; at most {_MOST_PIXELS:,} are "
                "read. Bring the images to the size that a network takes."
            )
        if image.mode.partition(";")[0] in _DEEP_MODES:
            raise DataError(
                f"{self._title(place)} has more than 8 bits a pixel (mode {image.mode}). Convert the images to 8 bits "
                "first, in the way that keeps what is seen in them."
            )
        return image

    def _reading(self, place: int) -> contextlib.AbstractContextManager[None]:
        return reading(self._title(place), _WAY_OUT, cannot="be decoded")

    def _title(self, place: int) -> str:
        path = (self.cells[place].as_py() or {}).get("path") or "no file name"
        return f"Image number {place} of {self.name} ({path})"


def _content(cell: dict[str, Any], title: str) -> bytes:
    """Give the bytes of an image, from its cell or its file."""
    if cell.get("bytes"):
        return bytes(cell["bytes"])
    if not cell.get("path"):
        raise DataError(f"{title} cannot be decoded: its cell is empty. {_WAY_OUT}")
    # A pipe or a device would never end.
    if not Path(cell["path"]).is_file():
        raise DataError(f"{title} cannot be decoded: there is no such file. {_WAY_OUT}")
    return Path(cell["path"]).read_bytes()


def file_stamp(path: str) -> bytes:
    """Describe a file by path, size and time of change, without reading it."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return os.fsencode(path)
    return os.fsencode(f"{path} {status.st_size} {status.st_mtime_ns}")


def _as_numpy(indices: Tensor | slice | Sequence[int]) -> np.ndarray | slice:
    if isinstance(indices, slice):
        return indices
    return np.asarray(indices)
