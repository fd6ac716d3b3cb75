"""Models of torchvision and timm made again with fewer blocks, from a description that is plain data.

A description names a builder of a library and its arguments, among those that are listed here. So a directory that
holds one can be loaded without running anything that is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from unravelnet._extras import require
from unravelnet.errors import CheckpointError, ModelError, first_line
from unravelnet.exporting.blocks import Container
from unravelnet.zoo.store import WEIGHTS_FILE, read_json, read_weights, write_json, write_weights

DESCRIPTION_FILE = "model.json"
_COUNTS_OF_TIMM = ("layers", "depths")
_ARGUMENTS = {
    "torchvision": {
        "ResNet": {"block", "layers", "num_classes", "groups", "width_per_group"},
        "VisionTransformer": {
            "image_size",
            "patch_size",
            "num_layers",
            "num_heads",
            "hidden_dim",
            "mlp_dim",
            "num_classes",
            "representation_size",
        },
    },
    "timm": {"": {"num_classes", "in_chans", "img_size", "global_pool", "depth", *_COUNTS_OF_TIMM}},
}
_BLOCKS = ("BasicBlock", "Bottleneck")


@dataclass(frozen=True)
class Description:
    """How a library makes a model: the name of a class (torchvision) or an architecture (timm), and arguments."""

    library: str
    name: str
    arguments: Mapping[str, Any]

    def make(self) -> nn.Module:
        """Make the model, with random weights. Raises ModelError where the library cannot."""
        package = require(self.library, f"A model of {self.library}")
        try:
            made: nn.Module
            if self.library == "timm":
                made = package.create_model(self.name, pretrained=False, **self.arguments)
            else:
                models = require("torchvision.models", "A model of torchvision")
                blocks = (
                    {"block": getattr(models.resnet, self.arguments["block"])} if self._has_blocks else {}
                )
                made = getattr(models, self.name)(**{**self.arguments, **blocks})
        except Exception as error:  # whatever a builder raises for arguments of this kind
            raise ModelError(f"{self} cannot be made: {first_line(error)}.") from error
        return made

    @property
    def _has_blocks(self) -> bool:
        return "block" in self.arguments

    def __str__(self) -> str:
        given = ", ".join(
            f"{name}={f'torchvision.models.resnet.{value}' if name == 'block' else repr(value)}"
            for name, value in self.arguments.items()
        )
        if self.library == "timm":
            return f"timm.create_model({self.name!r}, {given})"
        return f"torchvision.models.{self.name}({given})"


@dataclass(frozen=True)
class _OfLibrary:
    """A model that a library makes from a description."""

    description: Description
    model: nn.Module

    @property
    def loading(self) -> str:
        return f"{self.description}, then load_state_dict(safetensors.torch.load_file('{WEIGHTS_FILE}'))"

    def save(self, directory: Path) -> None:
        write_weights(directory / WEIGHTS_FILE, self.model.state_dict())
        write_json(directory / DESCRIPTION_FILE, asdict(self.description))

    def load(self, directory: Path) -> nn.Module:
        return load_described(directory)


def load_described(directory: Path) -> nn.Module:
    """Make the model that a directory describes, with the weights in it.

    Raises CheckpointError where a file is damaged or names what is not made here.
    """
    path = directory / DESCRIPTION_FILE
    description = _checked(read_json(path, missing=f"There is no {DESCRIPTION_FILE} in {directory}."), path)
    model = description.make()
    try:
        model.load_state_dict(read_weights(directory / WEIGHTS_FILE))
    except RuntimeError as error:
        raise CheckpointError(
            f"{directory / WEIGHTS_FILE} does not hold the weights of {description}. Export again."
        ) from error
    return model.eval()


def _checked(content: Mapping[str, Any], path: Path) -> Description:
    library, name, arguments = (content.get(key) for key in ("library", "name", "arguments"))
    known = _ARGUMENTS.get(library, {}) if isinstance(library, str) else {}
    allowed = known.get("", known.get(name)) if isinstance(name, str) else None
    is_described = allowed is not None and isinstance(arguments, dict) and set(arguments) <= allowed
    if not is_described or not isinstance(name, str) or not all(map(_is_plain, arguments.items())):  # type: ignore[union-attr]  # a dict, as was asked
        raise CheckpointError(f"{path} describes no model that can be made from a description. Export again.")
    if library == "timm" and not require("timm", "A model of timm").is_model(name):
        raise CheckpointError(f"{path} names {name!r}, which timm does not have. Export again.")
    return Description(str(library), name, arguments)  # type: ignore[arg-type]


def _is_plain(item: tuple[str, Any]) -> bool:
    name, value = item
    if name == "block":
        return value in _BLOCKS
    if name == "global_pool":
        return isinstance(value, str)
    numbers = value if isinstance(value, list | tuple) else [value]
    return all(number is None or type(number) is int for number in numbers)


def remade_of_torchvision(
    model: nn.Module, containers: Sequence[Container], weights: Mapping[str, Tensor]
) -> _OfLibrary:
    """Make a ResNet or VisionTransformer of torchvision with the blocks that stay. Raises ModelError for others."""
    describe = {"ResNet": _resnet, "VisionTransformer": _vision_transformer}.get(type(model).__name__)
    if describe is None:
        raise _cannot_make(model, "torchvision", "its ResNet and VisionTransformer can")
    description = Description("torchvision", type(model).__name__, describe(model, containers))
    return _fitting(model, [description], weights)


def _resnet(model: Any, containers: Sequence[Container]) -> dict[str, Any]:
    stages = ("layer1", "layer2", "layer3", "layer4")
    left = {container.path: len(container.kept) for container in containers}
    return {
        "block": type(model.layer1[0]).__name__,
        "layers": [left.get(stage, len(getattr(model, stage))) for stage in stages],
        "num_classes": model.fc.out_features,
        "groups": model.groups,
        "width_per_group": model.base_width,
    }


def _vision_transformer(model: Any, containers: Sequence[Container]) -> dict[str, Any]:
    layers = model.encoder.layers
    left = {container.path: len(container.kept) for container in containers}
    return {
        "image_size": model.image_size,
        "patch_size": model.patch_size,
        "num_layers": left.get("encoder.layers", len(layers)),
        "num_heads": layers[0].num_heads,
        "hidden_dim": model.hidden_dim,
        "mlp_dim": model.mlp_dim,
        "num_classes": model.num_classes,
        "representation_size": model.representation_size,
    }


def remade_of_timm(
    model: nn.Module, containers: Sequence[Container], weights: Mapping[str, Tensor]
) -> _OfLibrary:
    """Make a model of timm with the blocks that stay. Raises ModelError where its builder takes no such number."""
    settings = getattr(model, "pretrained_cfg", None) or {}
    architecture = settings.get("architecture") if isinstance(settings, Mapping) else None
    if not isinstance(architecture, str) or not require("timm", "A model of timm").is_model(architecture):
        raise _cannot_make(model, "timm", "those that timm.create_model made can")
    tried = [
        Description("timm", architecture, {**shared, **counts})
        for counts in _counts_of_timm(containers)
        for shared in _shared_arguments(model)
    ]
    return _fitting(model, tried, weights)


def _counts_of_timm(containers: Sequence[Container]) -> Iterator[dict[str, Any]]:
    """Say in each of the ways that timm has how many blocks stay; stages are counted, or one row of blocks is."""
    counts = [len(container.kept) for container in containers]
    if all(container.is_whole for container in containers):
        yield {}
    if len(counts) == 1:
        yield {"depth": counts[0]}
    for name in _COUNTS_OF_TIMM:
        yield {name: counts}


def _shared_arguments(model: Any) -> Iterator[dict[str, Any]]:
    """Read off a model what else it was made with; the size of images only where its builder takes one."""
    first = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)
    shared: dict[str, Any] = {"num_classes": model.num_classes}
    if first is not None:
        shared["in_chans"] = first.in_channels
    if isinstance(getattr(model, "global_pool", None), str):
        shared["global_pool"] = model.global_pool
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if size is not None:
        yield {**shared, "img_size": list(size)}
    yield shared


def _fitting(
    model: nn.Module, descriptions: Sequence[Description], weights: Mapping[str, Tensor]
) -> _OfLibrary:
    """Make the first described model that has the tensors that are left, and load them."""
    failure: Exception | None = None
    for description in descriptions:
        try:
            made = description.make()
            made.load_state_dict(weights)
        except (ModelError, RuntimeError) as error:
            failure = error
            continue
        return _OfLibrary(description, made)
    library = descriptions[0].library
    raise _cannot_make(model, library, f"{descriptions[0]} is another model") from failure


def _cannot_make(model: nn.Module, library: str, why: str) -> ModelError:
    return ModelError(
        f"{library} does not make this {type(model).__name__} with the blocks that the route keeps: {why}. Give "
        'make=..., a function without arguments that returns the smaller model, or export as form="directory", "pt2" '
        'or "onnx".'
    )
