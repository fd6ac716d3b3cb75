"""Weights from a file into a model, by name; nothing is unpickled.

`.safetensors` holds no code. `.pt`, `.pth`, `.bin` and `.ckpt` are read with torch's `weights_only=True`, which
accepts tensors and refuses everything that could run.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from unravelnet.errors import CheckpointError

_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
# Where trainers put the weights in what they save.
_NESTED = ("state_dict", "model_state_dict", "model", "net", "module")
# What wrappers (data parallel, compiled models) put in front of every name.
_PREFIXES = ("module.", "_orig_mod.", "model.")
_N_SHOWN = 3


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a file. Raises CheckpointError where it is missing, damaged or of another kind."""
    if not path.is_file():
        raise CheckpointError(f"There is no file {path} to load weights from.")
    if path.suffix not in (".safetensors", *_TORCH_SUFFIXES):
        raise CheckpointError(
            f"Weights are loaded from .safetensors or {', '.join(_TORCH_SUFFIXES)} files; {path.name} is neither."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            # torch remarks on files that other programs pickled, before it refuses them.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise CheckpointError(
            f"{path} is damaged or holds more than tensors ({type(error).__name__}: {reason}). Save the weights "
            "again, best with safetensors."
        ) from error
    return _tensors(content, path)


def load_into(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a model, all of them and no others.

    Names may carry the prefix of a wrapper. A tied tensor may be missing if the one it is tied to is there.
    Raises CheckpointError with the names and shapes that do not fit; the model is then as it was.
    """
    own = model.state_dict(keep_vars=True)
    weights = _without_prefix(weights, own)
    loaded = {own[name].data_ptr() for name in weights if name in own}
    missing = [
        name
        for name, tensor in own.items()
        if name not in weights
        and tensor.data_ptr() not in loaded
        and not name.endswith("num_batches_tracked")
    ]
    unknown = [name for name in weights if name not in own]
    misshapen = [
        f"{name} is {tuple(weights[name].shape)} and should be {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    problems = [
        _listed("missing", missing),
        _listed("unknown", unknown),
        _listed("of another shape", misshapen),
    ]
    if any(problems):
        raise CheckpointError(
            f"{path} does not hold the weights of this {type(model).__name__}: {'; '.join(filter(None, problems))}. "
            "Give the file that was saved from the same model, with the same number of classes."
        )
    model.load_state_dict(dict(weights), strict=False)


def _without_prefix(weights: Mapping[str, Tensor], own: Mapping[str, Any]) -> Mapping[str, Tensor]:
    for prefix in _PREFIXES:
        is_wrapped = all(name.startswith(prefix) for name in weights)
        if is_wrapped and not any(name.startswith(prefix) for name in own):
            return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    """Find the table of tensors in what was saved."""
    if isinstance(content, Mapping):
        values = content.values()
        if values and all(isinstance(value, Tensor) for value in values):
            return dict(cast(Mapping[str, Tensor], content))
        for key in _NESTED:
            if isinstance(content.get(key), Mapping):
                return _tensors(content[key], path)
    raise CheckpointError(
        f"{path} holds a {type(content).__name__} without a table of tensors by name. Save model.state_dict() there."
    )


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _N_SHOWN} more" if len(names) > _N_SHOWN else ""
    return f"{what}: {', '.join(names[:_N_SHOWN])}{more}"
