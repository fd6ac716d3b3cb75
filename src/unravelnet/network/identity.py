"""What a part of a network computes, in words: the identity of a network beside its weights."""

from __future__ import annotations

import functools
import hashlib
import re
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, fx, nn

from unravelnet.network.junction import Add

# Attributes that say something of a network and change nothing of what it computes.
_WORDS = {"name", "training", "training_obstacle", "unexplained", "input_origin", "origin", "image_transform"}
_ROOM = __package__


def computation_of(part: nn.Module) -> str:
    """Describe what a module computes by itself, apart from its tensors and its children."""
    if isinstance(part, fx.GraphModule):
        return part.code
    settings = {
        name: _value_text(value)
        for name, value in sorted(vars(part).items())
        if not name.startswith("_") and name not in _WORDS and (_is_plain(value) or _is_function(value))
    }
    home = type(part).__module__
    # In which file of this room a class stands is no part of what it computes.
    home = _ROOM if home.startswith(f"{_ROOM}.") else home
    return _without_addresses(f"{home}.{type(part).__qualname__} {part.extra_repr()} {settings}")


def compute_the_same(first: nn.Module, second: nn.Module) -> bool:
    """Whether two parts compute the same, as far as can be seen: the same operations with equal numbers.

    >>> compute_the_same(nn.ReLU(), nn.ReLU()), compute_the_same(nn.ReLU(), nn.GELU())
    (True, False)
    """
    if first is second:
        return True
    is_alike = [_operations_of(part) for part in first.modules()] == [
        _operations_of(part) for part in second.modules()
    ]
    pairs = zip_longest(first.state_dict().values(), second.state_dict().values())
    return is_alike and all(
        a is not None and b is not None and a.shape == b.shape and torch.equal(a, b) for a, b in pairs
    )


def _operations_of(part: nn.Module) -> object:
    """Describe what a part computes without the names that its graph has for its values and parameters."""
    if not isinstance(part, fx.GraphModule):
        return computation_of(part)
    number = {node: str(place) for place, node in enumerate(part.graph.nodes)}
    return [
        (
            node.op,
            node.op == "call_function" and str(node.target),
            *fx.map_arg((node.args, node.kwargs), number.get),
        )
        for node in part.graph.nodes
    ]


def _value_text(value: Any, depth: int = 3) -> str:
    """Describe a setting; a callable without a name by what it holds. The text is the same in every process."""
    text = functools.partial(_value_text, depth=depth - 1)
    if getattr(value, "__qualname__", None):
        return str(value.__qualname__)
    if isinstance(value, Tensor):
        content = value.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().data
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(content).hexdigest()[:16]}"
    if isinstance(value, functools.partial):
        keywords = {name: text(held) for name, held in value.keywords.items()}
        return f"partial {text(value.func)} {[*map(text, value.args)]} {keywords}"
    if repr(value) != object.__repr__(value) or not depth:
        return repr(value)
    held = {name: text(held) for name, held in sorted(getattr(value, "__dict__", {}).items())}
    return f"{type(value).__module__}.{type(value).__qualname__} {held}"


def _without_addresses(text: str) -> str:
    """Take out where objects lie in memory: that is another place in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def _is_function(value: object) -> bool:
    # Junctions add unless it is said, and networks from before there were others keep their identity.
    return callable(value) and not isinstance(value, Add)


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
