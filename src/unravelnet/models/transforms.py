"""How the images were prepared that a model was trained for, as its library, its files or the model itself say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from unravelnet.errors import CheckpointError, DataError
from unravelnet.network import Shape
from unravelnet.network.transform import Interpolation, Transform
from unravelnet.zoo.store import Description

PREPROCESSOR_FILE = "preprocessor_config.json"
# Of the shorter side of a photograph, what is cut out where nothing else is said: 224 of 256 pixels.
_USUAL_SHARE = 0.875
# What Pillow's filters are numbered, as transformers stores them.
_FILTERS: Mapping[int, Interpolation] = {
    0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming",
}  # fmt: skip
_HALF = 0.5
# From here on transformers squashes an image to the inputs of a ConvNeXt.
_LARGE_CONVNEXT = 384
_SETTINGS = ("pretrained_cfg", "default_cfg")


def usual_transform(shape: Shape) -> Transform:
    """Give the transform that is usual for ImageNet, for inputs of a shape.

    >>> usual_transform((3, 224, 224)) == Transform()
    True
    >>> usual_transform((3, 32, 32)).resize
    36

    `shape`: channels, height and width. Of other than three channels, the mean and the deviation are 0.5. Raises
    DataError for inputs that are no images.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataError(
            f"Inputs of the shape {shape} are no grey or coloured images. Give a model for images."
        )
    size = (shape[1], shape[2])
    transform = Transform(size, _before_cutting(size, _USUAL_SHARE))
    return transform if shape[0] == len(transform.mean) else replace(transform, mean=(_HALF,), std=(_HALF,))


def transform_of_timm(settings: Mapping[str, Any]) -> Transform | None:
    """Read the transform off the settings that timm keeps with a model: size, share, interpolation, mean, deviation.

    None for the rare ones that put borders around an image, or cut another form than a square.
    """
    height, width = tuple(settings.get("input_size") or (3, 224, 224))[1:]
    share, mode = settings.get("crop_pct") or _USUAL_SHARE, settings.get("crop_mode") or "center"
    if mode != "squash" and (mode != "center" or height != width):
        return None
    resize = _before_cutting((height, width), share)
    if mode == "squash" and not isinstance(resize, tuple):
        resize = (resize, resize)
    return Transform(
        (height, width),
        resize,
        cast(Interpolation, settings.get("interpolation") or "bicubic"),
        tuple(settings.get("mean") or Transform().mean),
        tuple(settings.get("std") or Transform().std),
    )


def transform_of_torchvision(models: Any, name: str, weights_file: str = "") -> Transform | None:
    """Give the transform of the published weights of a model of torchvision; None where it classifies no images.

    `models`: torchvision.models. `weights_file`: the name of a file of weights; if it is that of a publication, its
    transform is taken, else that of the best.
    """
    published = models.get_model_weights(name)
    chosen = next((one for one in published if one.url.endswith(f"/{weights_file}")), published.DEFAULT)
    preset = chosen.transforms()
    if not all(hasattr(preset, known) for known in ("crop_size", "resize_size", "interpolation")):
        return None
    side, to = preset.crop_size[0], preset.resize_size
    if len(preset.crop_size) > 1:
        return None
    return Transform((side, side), to[0], preset.interpolation.value, tuple(preset.mean), tuple(preset.std))


def transform_of_directory(directory: Path, size: tuple[int, int]) -> Transform | None:
    """Read the transform that transformers saved beside a model; None where it saved none.

    `size`: of the inputs, where the file does not say it. Raises CheckpointError where the file cannot be used.
    """
    path = directory / PREPROCESSOR_FILE
    if not path.is_file():
        return None
    try:
        return _of_preprocessor(json.loads(path.read_text(encoding="utf-8")), size)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, DataError) as error:
        raise CheckpointError(
            f"{path} does not say how images are prepared ({error}). Restore the file, or remove it, and give a "
            "Transform of yours: data.load(..., transform=Transform(...))."
        ) from error


def _of_preprocessor(settings: Mapping[str, Any], size: tuple[int, int]) -> Transform:
    shorter, whole = _read_size(settings.get("size"), size)
    cut = _read_size(settings.get("crop_size"), whole)[1] if settings.get("do_center_crop") else whole
    resize: int | tuple[int, int] | None = shorter or whole
    if shorter and settings.get("crop_pct"):
        # Of ConvNeXt, for which the side is that of the inputs; large ones lose nothing at the border.
        resize = math.floor(shorter / settings["crop_pct"]) if shorter < _LARGE_CONVNEXT else whole
    if not settings.get("do_resize", True):
        resize = None
    is_normalised = settings.get("do_normalize", True)
    return Transform(
        cut,
        resize,
        _FILTERS[settings.get("resample", 2)],
        tuple(settings["image_mean"]) if is_normalised else (0.0,) * 3,
        tuple(settings["image_std"]) if is_normalised else (1.0,) * 3,
    )


def _read_size(named: Any, usual: tuple[int, int]) -> tuple[int | None, tuple[int, int]]:
    """Read a size of transformers: the shorter side, where that is what it names, and height and width.

    >>> _read_size({"shortest_edge": 256}, (8, 8)), _read_size({"height": 3, "width": 4}, (8, 8))
    ((256, (256, 256)), (None, (3, 4)))
    >>> _read_size(224, (8, 8)), _read_size(None, (8, 8))
    ((None, (224, 224)), (None, (8, 8)))
    """
    if named is None:
        return None, usual
    if not isinstance(named, Mapping):
        return None, (int(named), int(named))
    if "shortest_edge" in named:
        return int(named["shortest_edge"]), (int(named["shortest_edge"]),) * 2
    return None, (int(named["height"]), int(named["width"]))


def transform_of_zoo(description: Description, shape: Shape) -> Transform | None:
    """Give the transform of a network that was trained here: images as they are; None where it is not known."""
    if len(description.mean) != shape[0] or len(description.mean) not in (1, 3):
        return None
    return Transform((shape[1], shape[2]), None, mean=description.mean, std=description.std)


def transform_of_model(model: nn.Module) -> Transform | None:
    """Read the transform off a model that carries settings of timm; None where it carries none."""
    found = (getattr(model, name, None) for name in _SETTINGS)
    settings = next((one for one in found if isinstance(one, Mapping) and "mean" in one), None)
    return None if settings is None else transform_of_timm(settings)


def _before_cutting(size: tuple[int, int], share: float) -> int | tuple[int, int]:
    """Say to what images are resized so that the size is this share of them, as timm rounds it."""
    height, width = (math.floor(side / share) for side in size)
    return height if height == width else (height, width)
