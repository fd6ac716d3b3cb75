"""Labelled images in memory, as bytes, with the statistics that normalise them.

Shapes in this file: image_NCHW are images × channels × height × width; a batch has B images.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from unravelnet.data.drawing import draw
from unravelnet.data.encoded import EncodedImages
from unravelnet.data.targets import class_targets, numbered_classes
from unravelnet.errors import DataError
from unravelnet.wording import counted

# Images at a time where the work does not fit memory at once.
_CHUNK = 4096
# A channel that does not vary is not divided by zero: half a step of a byte.
_SMALLEST_STD = 0.5 / 255


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images with their targets, class names and normalisation.

    >>> images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    >>> ImageData.of(images, torch.tensor([0, 1, 1, 0]), name="blank").classes
    ('0', '1')

    `images`: uint8 [N, channels, height, width], or encoded images that decode to it batch by batch.
    `targets`: [N], indices into `classes`, whole numbers of any type, which become int64. `mean`, `std`: a channel
    each, of the training split, for pixels in [0, 1]. Raises DataError for data that is empty, mislabelled or of
    another form.
    """

    images: Tensor | EncodedImages
    targets: Tensor
    classes: tuple[str, ...]
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: ClassVar[str] = "images"

    def __post_init__(self) -> None:
        if len(self.images.shape) != 4 or (
            isinstance(self.images, Tensor) and self.images.dtype != torch.uint8
        ):
            raise DataError(
                f"The images of {self.name} are {_form(self.images)}; expected uint8 [images, channels, "
                "height, width]."
            )
        if not len(self.images):
            raise DataError(f"{self.name} is empty: there are no images in it.")
        targets = _checked_targets(self.targets, len(self.images), len(self.classes), self.name)
        object.__setattr__(self, "targets", targets)
        if not len(self.mean) == len(self.std) == self.images.shape[1]:
            raise DataError(
                f"{self.name} has {counted(self.images.shape[1], 'channel')}, but "
                f"{counted(len(self.mean), 'mean')} and "
                f"{len(self.std)} standard deviations to normalise them; give one of each a channel."
            )

    @classmethod
    def of(
        cls,
        images: Tensor | EncodedImages,
        targets: Tensor,
        *,
        name: str,
        classes: Sequence[str] = (),
    ) -> ImageData:
        """Make image data that is normalised by its own statistics; classes without names are numbered."""
        if not len(images):
            raise DataError(f"{name} is empty: there are no images in it.")
        if not classes:
            classes = numbered_classes(_checked_targets(targets, len(images), None, name), name)
        mean, std = channel_statistics(images)
        return cls(images, targets, tuple(classes), name, mean, std)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = "×".join(map(str, self.image_shape))
        return f"ImageData({self.name}: {counted(len(self), 'image')} of {size}, {counted(self.n_classes, 'class')})"

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Give images ready for a network, float32 and normalised, with their targets."""
        return self.normalise(self.images[indices]), self.targets[indices]

    def normalise(self, images_BCHW: Tensor) -> Tensor:
        """Turn bytes into float32 with mean 0 and standard deviation 1 over the training split."""
        # x / 255 and the normalisation in one multiplication and one addition.
        factor = torch.tensor([1 / (255 * std) for std in self.std], dtype=torch.float32)
        offset = torch.tensor(
            [-mean / std for mean, std in zip(self.mean, self.std, strict=True)], dtype=torch.float32
        )
        return images_BCHW.float().mul_(factor.view(1, -1, 1, 1)).add_(offset.view(1, -1, 1, 1))

    @property
    def mean_pixel(self) -> Tensor:
        """The mean of each channel as a byte: the colour that normalises to about zero."""
        return torch.tensor([round(255 * mean) for mean in self.mean], dtype=torch.uint8)

    def take(self, indices: Tensor) -> ImageData:
        """Choose images by their positions; the normalisation stays."""
        images = self.images[indices] if isinstance(self.images, Tensor) else self.images.take(indices)
        return replace(self, images=images, targets=self.targets[indices])

    def subset(self, limit: int, *, seed: int = 0) -> ImageData:
        """Draw `limit` images without replacement; they keep their order, and a smaller limit gives a part.

        Raises DataError where there are fewer images.
        """
        return self.take(draw(len(self), limit, seed, unit=self.unit, name=self.name))

    def fingerprint(self) -> str:
        """Hash images, targets and normalisation: the identity of the data in the results store."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        digest.update(json.dumps([list(self.images.shape), self.mean, self.std]).encode())
        if isinstance(self.images, EncodedImages):
            digest.update(self.images.digest().encode())
        else:
            digest.update(self.images.contiguous().numpy().data)
        digest.update(self.targets.contiguous().numpy().data)
        return digest.hexdigest()


def channel_statistics(images: Tensor | EncodedImages) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and standard deviation of each channel, for pixels in [0, 1].

    From counts of the 256 values, in whole numbers until the last division: every processor and every order of
    the images gives the same bits, which the fingerprint of the data rests on. `images`: uint8
    [N, channels, height, width].
    """
    n_channels = images.shape[1]
    counts = torch.zeros(n_channels, 256, dtype=torch.int64)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        for channel in range(n_channels):
            counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256)
    moments = [_mean_and_std(channel) for channel in counts.tolist()]
    return tuple(mean for mean, _ in moments), tuple(max(std, _SMALLEST_STD) for _, std in moments)


def _mean_and_std(counts: list[int]) -> tuple[float, float]:
    """Return the mean and standard deviation of pixels in [0, 1], of which `counts[value]` have value / 255."""
    n_pixels = sum(counts)
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    variance = (n_pixels * squares - total * total) / (255 * n_pixels) ** 2
    return total / (255 * n_pixels), math.sqrt(variance)


def _checked_targets(targets: Tensor, n_images: int, n_classes: int | None, name: str) -> Tensor:
    """Return one class an image, int64. Raises DataError where targets are something else."""
    if tuple(targets.shape) != (n_images,):
        raise DataError(
            f"{name} has {counted(n_images, 'image')} and labels of shape {tuple(targets.shape)}; give one each."
        )
    return class_targets(targets, name=name, n_classes=n_classes)


def _form(images: Tensor | EncodedImages) -> str:
    dtype = images.dtype if isinstance(images, Tensor) else torch.uint8
    return f"{str(dtype).removeprefix('torch.')} {list(images.shape)}"
