"""Zoo networks on disk: a directory with `network.json` and `weights.safetensors`.

The JSON holds the recipe and what is needed to use the network (class names, normalisation of the inputs, the
data it was trained on); the weights hold no code. Both are written whole or not at all. Weights may be kept at
half precision, in half the space; a loaded network computes in float32 either way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from unravelnet.errors import CheckpointError, UnravelError
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.records.files import replacing, usable_path
from unravelnet.zoo.recipe import recipe_of
from unravelnet.zoo.registry import create

DESCRIPTION_FILE = "network.json"
WEIGHTS_FILE = "weights.safetensors"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Description:
    """What `network.json` says: the recipe, and how the network is to be used.

    `branch_scales`: one factor a residual module, applied in evaluation mode (training on random routes). `classes`:
    their names, in the order of the outputs. `mean`, `std`: a channel each, of inputs in [0, 1], used to
    normalise. `data`: the name of the data it was trained on. The last four may be empty.
    """

    name: str
    options: dict[str, Any]
    branch_scales: tuple[float, ...]
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    data: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def save(
    net: UnraveledNetwork,
    directory: str | os.PathLike[str],
    *,
    classes: Sequence[str] = (),
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    data: str = "",
    facts: Mapping[str, Any] | None = None,
    compact: bool = False,
) -> None:
    """Save a zoo network as `network.json` and `weights.safetensors`; `load` makes it again.

    >>> save(create("preact-resnet20"), directory)
    >>> load(directory).name
    'preact-resnet20'

    `classes`, `mean`, `std`, `data`: see `Description`. `facts`: further JSON values to keep. `compact`: round
    tensors of two or more dimensions to float16, about three digits; biases, normalisation and its statistics stay
    as they are. Raises CheckpointError for a network that is not of the zoo, where the directory cannot be written,
    or where a weight is beyond the range of float16.
    """
    recipe = recipe_of(net)
    scales = tuple(module.branch_scale for module in residual_modules_of(net))
    description = Description(
        recipe.name, recipe.options, scales, tuple(classes), tuple(mean), tuple(std), data, dict(facts or {})
    )
    directory = usable_path(directory)
    weights = net.state_dict()
    write_weights(directory / WEIGHTS_FILE, _compacted(weights) if compact else weights)
    write_json(directory / DESCRIPTION_FILE, {"format": _FORMAT, **asdict(description)})


def load(directory: str | os.PathLike[str]) -> UnraveledNetwork:
    """Load a zoo network from the directory that `save` or `train` wrote, in evaluation mode.

    Raises CheckpointError where files are missing, damaged, or of another network.
    """
    directory = usable_path(directory)
    description = read_description(directory)
    try:
        net = create(description.name, **description.options, seed=0)
    except UnravelError as error:
        raise CheckpointError(
            f"{directory / DESCRIPTION_FILE} names a network that cannot be made: {error}"
        ) from error
    net.load_weights(read_weights(directory / WEIGHTS_FILE), source=str(directory / WEIGHTS_FILE))
    modules = residual_modules_of(net)
    if len(description.branch_scales) != len(modules):
        raise CheckpointError(
            f"{directory / DESCRIPTION_FILE} gives {len(description.branch_scales)} branch scales, but "
            f"{description.name} has {len(modules)} residual modules. Restore the file, or save again."
        )
    for module, scale in zip(modules, description.branch_scales, strict=True):
        module.branch_scale = scale
    return net.eval()


def read_description(directory: str | os.PathLike[str]) -> Description:
    """Read what a saved network is, without loading its weights.

    Raises CheckpointError where `network.json` is missing or damaged.
    """
    path = usable_path(directory) / DESCRIPTION_FILE
    content = read_json(path, missing=_missing(path.parent))
    try:
        return Description(
            name=str(content["name"]),
            options=dict(content["options"]),
            branch_scales=tuple(float(scale) for scale in content["branch_scales"]),
            classes=tuple(map(str, content["classes"])),
            mean=tuple(map(float, content["mean"])),
            std=tuple(map(float, content["std"])),
            data=str(content["data"]),
            facts=dict(content["facts"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not the description of a saved network ({type(error).__name__}: {error}). "
            "Restore the file, or save the network again."
        ) from error


def residual_modules_of(net: UnraveledNetwork) -> list[ResidualModule]:
    """Return the residual modules as a list with their own type."""
    return [module for module in net.residual_modules if isinstance(module, ResidualModule)]


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors by name, whole or not at all. Raises CheckpointError where that fails."""
    # Copies: safetensors refuses tensors that share memory or are stored channels last.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    try:
        with replacing(path) as temporary:
            save_file(copies, temporary, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"Cannot write {path}: {error}. Nothing there was changed.") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors by name. Raises CheckpointError where the file is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}; a saved network has its weights there.")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is damaged or not a safetensors file ({error}). Restore it, or train again."
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, whole or not at all. Raises CheckpointError where that fails."""
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"Cannot write {path}: {error}. Nothing there was changed.") from error


def read_json(path: Path, *, missing: str) -> dict[str, Any]:
    """Read a JSON object. Raises CheckpointError with the text `missing` where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(missing) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read as JSON ({error}). Restore it, or save again."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} does not hold a JSON object. Restore it, or save again.")
    return content


def _compacted(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round tensors of two or more dimensions to float16, which hold nearly all of the weights."""
    compacted = {}
    for name, tensor in weights.items():
        is_large = tensor.dim() >= 2 and tensor.is_floating_point()
        compacted[name] = tensor.to(torch.float16) if is_large else tensor
        if is_large and not torch.equal(compacted[name].isfinite(), tensor.isfinite()):
            raise CheckpointError(
                f"The largest weight of {name} is {float(tensor.abs().max()):g}, and float16 ends at 65,504. Save the "
                "network without compact=True."
            )
    return compacted


def _missing(directory: Path) -> str:
    if not directory.is_dir():
        return f"There is no directory {directory}. Give a directory that `train` or `zoo.save` wrote."
    if (directory / "checkpoint").is_dir():
        return (
            f"The training in {directory} has not finished, so {DESCRIPTION_FILE} is not there yet. "
            "Call it again with the same settings to continue."
        )
    return (
        f"There is no {DESCRIPTION_FILE} in {directory}. Give a directory that `train` or `zoo.save` wrote."
    )
