"""Weights from a file into a model, by name; nothing that a file holds is run.

A file is read by what is in it, whatever its suffix. safetensors hold no code. What `torch.save` wrote is read with
torch's `weights_only=True`, and every class or function that a file names beside tensors is replaced by one that does
nothing, so that settings and counters of a training do not stand in the way. `checkpoint_table` chooses among several
sets of weights in one file.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from unravelnet.errors import CheckpointError
from unravelnet.models.checkpoint_file import read_checkpoint
from unravelnet.models.checkpoint_table import choose_table
from unravelnet.models.found import listed, say_unknown

_log = logging.getLogger("unravelnet.models")


def read_weights(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """Read tensors by name from a file.

    `key`: which of several sets of weights, such as "teacher". Entries that are no tensors are left out with a
    remark. Raises CheckpointError where the file is missing, damaged or of another kind, and where it holds several
    sets of weights and none is chosen.
    """
    table = choose_table(read_checkpoint(path), path, key)
    tensors = {name: value for name, value in table.items() if isinstance(value, Tensor)}
    others = [name for name in table if name not in tensors]
    if others:
        _log.info("Entries of %s that are no tensors are left out: %s.", path.name, listed(others))
    return tensors


def load_into(
    model: nn.Module, weights: Mapping[str, Tensor], path: Path, *, allow_missing: bool = False
) -> list[str]:
    """Load weights into a model, and return the names that were missing.

    Names may carry any prefix that they share, as wrappers add it. A tied tensor may be missing if the one that it is
    tied to is there. Names that the model does not have are left out with a remark. `allow_missing`: go on without
    some tensors, which keep the values that they have. Raises CheckpointError with the names, shapes and types that
    do not fit; the model is then as it was.
    """
    own = {
        name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)
    }
    prefix = _shared_prefix(weights, own, path)
    fitting = {name: weights[prefix + name] for name in own if prefix + name in weights}
    unknown = [
        name for name in weights if name.removeprefix(prefix) not in own or not name.startswith(prefix)
    ]
    missing = _missing(own, fitting)
    problems = [problem for name, tensor in fitting.items() if (problem := _misfit(name, tensor, own[name]))]
    is_refused = bool(missing) and not (allow_missing and fitting)
    if problems or is_refused:
        found = {"missing": missing, "of another form": problems, "unknown": unknown if missing else []}
        raise refuse(path, model, found, can_go_on=bool(fitting) and not problems)
    if unknown:
        say_unknown(path.name, unknown)
    model.load_state_dict(fitting, strict=False)
    return missing


def refuse(
    place: object, model: nn.Module, found: Mapping[str, Sequence[str]], *, can_go_on: bool = False
) -> CheckpointError:
    """Make the error for weights that do not fit a model.

    `found`: names by what is wrong with them. `can_go_on`: whether the rest is enough to go on with.
    """
    text = "; ".join(f"{what}: {listed(names)}" for what, names in found.items() if names)
    allowed = " --allow-missing continues without the missing tensors." if can_go_on else ""
    return CheckpointError(
        f"{place} does not hold the weights of this {type(model).__name__}: {text}. Give the file that was saved from "
        f"the same model, with the same number of classes.{allowed}"
    )


def _shared_prefix(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path) -> str:
    """Find what stands in front of the names of a model. Raises CheckpointError where two would do."""
    needed = {name for name in own if not _is_counter(name)}
    counts = Counter(
        name[:start]
        for name in weights
        for start in (0, *(place + 1 for place, letter in enumerate(name) if letter == "."))
        if name[start:] in needed
    )
    most = max(counts.values(), default=0)
    best = sorted((prefix for prefix, count in counts.items() if count == most), key=len)
    # A few names, such as fc.weight, stand in many models; most of them do not by chance.
    if len(best) > 1 and best[0] and 2 * most > len(needed):
        keys = [prefix.rstrip(".") for prefix in best]
        raise CheckpointError(
            f"{path} holds weights of this model more than once, under {listed(keys)}. Name one: "
            f"--weights-key {keys[0]}."
        )
    return best[0] if best else ""


def _missing(own: Mapping[str, Tensor], fitting: Mapping[str, Tensor]) -> list[str]:
    """List the tensors of a model that get no values, neither by name nor by being tied."""
    loaded = {_place_of(own[name]) for name in fitting}
    return [
        name
        for name, tensor in own.items()
        if name not in fitting and _place_of(tensor) not in loaded and not _is_counter(name)
    ]


def _is_counter(name: str) -> bool:
    # It counts batches of a training and changes no output; averaged weights often come without.
    return name.endswith("num_batches_tracked")


def _place_of(tensor: Tensor) -> tuple[int, torch.Size]:
    return tensor.data_ptr(), tensor.shape


def _misfit(name: str, tensor: Tensor, own: Tensor) -> str:
    """Say why a tensor cannot take the place of a model's own, or nothing."""
    kind = _unusual_kind(tensor)
    if kind:
        return f"{name} is a {kind} tensor and should be a dense one"
    if tensor.shape != own.shape:
        return f"{name} is {tuple(tensor.shape)} and should be {tuple(own.shape)}"
    if (tensor.is_floating_point(), tensor.is_complex()) != (own.is_floating_point(), own.is_complex()):
        return f"{name} is {_type_of(tensor)} and should be {_type_of(own)}"
    return ""


def _unusual_kind(tensor: Tensor) -> str:
    if tensor.is_nested:
        return "nested"
    if tensor.is_meta:
        return "meta"
    if tensor.is_quantized:
        return "quantised"
    return "" if tensor.layout == torch.strided else "sparse"


def _type_of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
