"""Models of torchvision and timm, by name.

Nothing is downloaded: models are made from their description, with random weights.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

from unravelnet._extras import require
from unravelnet.models.examples import image_batch
from unravelnet.models.found import Example, Found, Wish, explained, no_such_model
from unravelnet.models.transforms import transform_of_timm, transform_of_torchvision
from unravelnet.network import Shape, shape_text
from unravelnet.network.transform import Transform

_log = logging.getLogger("unravelnet.models")
IMAGENET_SIZE = 224


def from_torchvision(name: str, wish: Wish) -> Found:
    """Make a model of torchvision with random weights, such as "resnet50"."""
    wish.check_takes(f"torchvision:{name}", "images")
    models = require("torchvision.models", f"The model torchvision:{name}")
    if name not in models.list_models():
        raise no_such_model(
            "torchvision model", name, models.list_models(), "torchvision.models.list_models()"
        )
    options: dict[str, Any] = {"weights": None}
    if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        # Its default would be downloaded.
        options["weights_backbone"] = None
    if wish.n_classes is not None:
        options["num_classes"] = wish.n_classes
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": True, "aux_logits": False}
    with explained(f"torchvision:{name} cannot be made"):
        model = models.get_model(name, **options)
    usual = (3, *_torchvision_size(models, name))
    return Found(
        model,
        f"torchvision:{name}",
        (_example(f"torchvision:{name}", usual, wish),),
        is_random=True,
        transform=transform_of_torchvision(models, name, wish.weights_file),
    )


def _torchvision_size(models: Any, name: str) -> tuple[int, int]:
    """Take the image size that the published weights of a model are for."""
    crop = getattr(models.get_model_weights(name).DEFAULT.transforms(), "crop_size", None)
    side = crop[0] if isinstance(crop, list) else IMAGENET_SIZE
    return side, side


def from_timm(name: str, wish: Wish) -> Found:
    """Make a model of timm with random weights, such as "vit_tiny_patch16_224"."""
    wish.check_takes(f"timm:{name}", "images")
    timm = require("timm", f"The model timm:{name}")
    # A tag behind a dot names published weights, of which there are none here; it says how images are prepared.
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise no_such_model("timm model", name, timm.list_models(), "timm.list_models()")
    usual = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    usual_shape = tuple(usual.input_size) if usual else (3, IMAGENET_SIZE, IMAGENET_SIZE)
    shape = wish.input_shape or usual_shape
    options: dict[str, Any] = {} if wish.n_classes is None else {"num_classes": wish.n_classes}
    if shape[0] != usual_shape[0]:
        options["in_chans"] = shape[0]
    if usual and usual.fixed_input_size and shape[1:] != usual_shape[1:]:
        options["img_size"] = shape[1:]
    failing = (
        f"timm:{architecture} cannot be made for inputs of {shape_text(shape)}. It is made for "
        f"{shape_text(usual_shape)}; give data of that size"
    )
    with explained(failing):
        model = timm.create_model(architecture, pretrained=False, **options)
    return Found(
        model,
        f"timm:{architecture}",
        (_example(f"timm:{architecture}", usual_shape, wish),),
        is_random=True,
        transform=_transform_of_tag(timm, name, usual),
    )


def _transform_of_tag(timm: Any, name: str, usual: Any) -> Transform | None:
    """Read the transform of published weights: those of the tag, or else those that timm takes first."""
    settings = timm.get_pretrained_cfg(name) if timm.is_model_pretrained(name) else usual
    return None if settings is None else transform_of_timm(settings.to_dict())


def _example(name: str, usual: Shape, wish: Wish) -> Example:
    """Take the shape that is wished for, and remark where another is usual; else the usual one."""
    if wish.input_shape is None:
        return Example(image_batch(usual), "its usual size")
    if wish.input_shape != usual:
        _log.info(
            "%s is used at inputs of %s, %s; its usual size is %s.",
            name,
            shape_text(wish.input_shape),
            wish.origin,
            shape_text(usual),
        )
    return Example(image_batch(wish.input_shape), wish.origin)
