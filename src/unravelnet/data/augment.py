"""Random crops and flips of a whole batch at once, as tensor operations.

A batch of 128 images of 32×32 takes about a millisecond, so training needs no workers to prepare it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unravelnet.errors import DataError


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Pad, crop at a random place, and mirror every other image.

    >>> Augmentation.standard((3, 32, 32))
    Augmentation(pad=4, flip=True)

    `pad`: pixels added on every side before cropping back to the old size. `flip`: mirror left and right with
    probability one half. Source: He et al. 2015, section 4.2.
    """

    pad: int
    flip: bool

    def __post_init__(self) -> None:
        if self.pad < 0:
            raise DataError(f"Images cannot be padded by {self.pad} pixels; give pad=0 or more.")

    @classmethod
    def standard(cls, image_shape: Sequence[int]) -> Augmentation:
        """Choose the usual augmentation: an eighth of the size as padding, flips for colour images.

        >>> Augmentation.standard((1, 8, 8))
        Augmentation(pad=1, flip=False)

        Images with one channel are mostly digits and letters, which a mirror changes. `image_shape`:
        channels, height, width.
        """
        channels, height, width = image_shape
        return cls(pad=round(min(height, width) / 8), flip=channels == 3)

    def apply(self, images_BCHW: Tensor, generator: torch.Generator, *, fill: Tensor | None = None) -> Tensor:
        """Augment a batch; every image is cropped and flipped by itself.

        `fill`: the value of padded pixels, one a channel; zero if None. The result has shape and dtype of the
        input.
        """
        if self.pad:
            images_BCHW = self._crop(images_BCHW, generator, fill)
        if self.flip:
            mirrored = torch.rand(len(images_BCHW), generator=generator) < 0.5
            images_BCHW = torch.where(mirrored.view(-1, 1, 1, 1), images_BCHW.flip(3), images_BCHW)
        return images_BCHW

    def _crop(self, images_BCHW: Tensor, generator: torch.Generator, fill: Tensor | None) -> Tensor:
        n, channels, height, width = images_BCHW.shape
        if fill is None:
            fill = torch.zeros(channels)
        border = fill.to(images_BCHW.dtype).view(1, -1, 1, 1)
        padded = border.repeat(n, 1, height + 2 * self.pad, width + 2 * self.pad)
        padded[:, :, self.pad : self.pad + height, self.pad : self.pad + width] = images_BCHW
        # A view of all crops, [B, C, 2·pad + 1, 2·pad + 1, H, W]; choosing one an image copies only that one.
        crops = padded.unfold(2, height, 1).unfold(3, width, 1)
        tops, lefts = torch.randint(0, 2 * self.pad + 1, (2, n), generator=generator)
        return crops[torch.arange(n), :, tops, lefts]
