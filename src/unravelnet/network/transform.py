"""How photographs of any size become the inputs of a network: resized, cut out of the middle, normalised.

Pixels are those that the pipelines of torchvision and timm give in testing, which work on Pillow images, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from unravelnet.costs import check_shape
from unravelnet.errors import DataError, unknown_name
from unravelnet.kinds import is_whole

if TYPE_CHECKING:
    from PIL import Image

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_GREY, _COLOUR = 1, 3


@dataclass(frozen=True, slots=True)
class Transform:
    """What is done to an image before a network sees it.

    >>> from PIL import Image
    >>> Transform((224, 224), resize=256).apply(Image.new("RGB", (640, 480))).shape
    (3, 224, 224)

    `size`: height and width of what is cut out of the middle. `resize`: before that, to how many pixels the shorter
    side is brought, or to which height and width the whole image; None: it stays as it is. `mean`, `std`:
    of each channel, for pixels in [0, 1]; one channel makes images grey, three make them coloured. Without arguments it
    is the usual transform of networks for ImageNet. Raises DataError for sizes or numbers of another form, and
    UnknownNameError for an unknown interpolation.
    """

    size: tuple[int, int] = (224, 224)
    resize: int | tuple[int, int] | None = 256
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        before = self.size if self.resize is None else self.resize
        sides = before if isinstance(before, tuple) else (before,)
        if len(self.size) != 2 or not all(is_whole(side) and side > 0 for side in (*self.size, *sides)):
            raise DataError(
                f"Images cannot be brought to {self.resize} and cut to {self.size}. Give whole numbers of pixels, such "
                "as size=(224, 224), resize=256."
            )
        check_shape((_COLOUR, *self.size))
        if self.interpolation not in get_args(Interpolation):
            raise unknown_name("interpolation", str(self.interpolation), get_args(Interpolation))
        if len(self.mean) != len(self.std) or len(self.mean) not in (_GREY, _COLOUR) or min(self.std) <= 0:
            raise DataError(
                f"Images cannot be normalised by the means {self.mean} and the standard deviations {self.std}. Give "
                "one of each for grey images, or three for coloured ones."
            )

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Transform:
        """Make it from its fields as JSON keeps them, with lists in the place of tuples. Raises as the class does."""
        own: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**own)

    def at(self, size: tuple[int, int]) -> Transform:
        """Give the same transform for inputs of another size: as much is cut off.

        >>> Transform((224, 224), resize=256).at((112, 112)).resize
        128
        """
        height, width = (new / old for new, old in zip(size, self.size, strict=True))
        if isinstance(self.resize, tuple):
            return replace(
                self, size=size, resize=(round(self.resize[0] * height), round(self.resize[1] * width))
            )
        resize = None if self.resize is None else round(self.resize * max(height, width))
        return replace(self, size=size, resize=resize)

    @property
    def is_colour(self) -> bool:
        """Whether images get three channels."""
        return len(self.mean) == _COLOUR

    def apply(self, image: Image.Image) -> np.ndarray:
        """Resize and cut an image: uint8 [channels, height, width], not normalised yet.

        Raises DataError for an image that is smaller than what is to be cut out of it.
        """
        from PIL import Image as pillow

        image = image.convert("RGB" if self.is_colour else "L")
        if self.resize is not None:
            filter_ = pillow.Resampling[self.interpolation.upper()]
            image = image.resize(_resized(image.size, self.resize), filter_)
        height, width = self.size
        if image.height < height or image.width < width:
            raise DataError(
                f"An image has {image.height}×{image.width} pixels, and {height}×{width} are to be cut out of it. Give "
                "larger images, or a transform that resizes them: Transform(size, resize=...)."
            )
        left, top = _start(image.width, width), _start(image.height, height)
        cut = np.array(image.crop((left, top, left + width, top + height)))
        return cut.reshape(height, width, -1).transpose(2, 0, 1)


def _resized(size: tuple[int, int], to: int | tuple[int, int]) -> tuple[int, int]:
    """Give width and height after resizing, as torchvision rounds them.

    >>> _resized((500, 375), 256), _resized((500, 375), (224, 200))
    ((341, 256), (200, 224))
    """
    if isinstance(to, tuple):
        return to[1], to[0]
    width, height = size
    return (to, int(to * height / width)) if width <= height else (int(to * width / height), to)


def _start(side: int, cut: int) -> int:
    """Give the first pixel of the middle, as torchvision rounds it.

    >>> _start(256, 224), _start(257, 224), _start(259, 224)
    (16, 16, 18)
    """
    return round((side - cut) / 2)
