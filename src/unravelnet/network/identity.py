"""What a part of a network computes, in words: the identity of a network beside its weights."""

from __future__ import annotations

from torch import fx, nn

# Attributes that say something of a network and change nothing of what it computes.
_WORDS = {"name", "training", "training_obstacle", "unexplained", "input_origin"}
_ROOM = __package__


def computation_of(part: nn.Module) -> str:
    """Describe what a module computes by itself, apart from its tensors and its children."""
    if isinstance(part, fx.GraphModule):
        return part.code
    settings = {
        name: getattr(value, "__qualname__", None) or repr(value)
        for name, value in sorted(vars(part).items())
        if not name.startswith("_") and name not in _WORDS and (_is_plain(value) or callable(value))
    }
    home = type(part).__module__
    # In which file of this room a class stands is no part of what it computes.
    home = _ROOM if home.startswith(f"{_ROOM}.") else home
    return f"{home}.{type(part).__qualname__} {part.extra_repr()} {settings}"


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
