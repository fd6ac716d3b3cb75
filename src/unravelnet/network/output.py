"""Which part of what a model returns is measured, and which of its dimensions counts classes.

A model may return one tensor, or several in a tuple, a dict or an object. Each has a name: its key, attribute or
place, with a slash between the names of nested ones; a tensor that comes alone is called "output".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unravelnet.errors import EvaluationError, unknown_name

ALONE = "output"
"""The name of a tensor that comes alone."""
# Where libraries keep the logits among other values; else the first tensor is taken.
_USUAL = ("logits", "out")


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of what a model returns, and the dimension of it that counts classes.

    >>> Output.parse("out:-1"), str(Output("out", -1))
    (Output(key='out', class_dim=-1), 'out:-1')
    >>> Output("1").rows((torch.zeros(()), torch.zeros(4, 2, 8, 8))).shape
    torch.Size([256, 2])

    `key`: the name of the tensor; a place in a tuple counts from 0, and -1 is the last one. Empty: the logits where
    there are some by that name, else the first tensor. `class_dim`: None: dimension 1 of images of shape (batch,
    classes, height, width), the last one elsewhere.
    """

    key: str = ""
    class_dim: int | None = None

    @classmethod
    def parse(cls, text: str) -> Output:
        """Read "NAME", "NAME:DIMENSION" or ":DIMENSION". Raises EvaluationError for another form."""
        key, colon, dimension = text.rpartition(":")
        if not colon or not dimension:
            return cls(key if colon else text)
        try:
            return cls(key, int(dimension))
        except ValueError:
            raise EvaluationError(
                f"{text!r} names no output: what is behind the colon is a dimension, such as logits:1 or out:-1. A "
                "name that has a colon itself is written with another one at its end."
            ) from None

    @classmethod
    def of(cls, asked: OutputName) -> Output:
        """Make it of what a user gives: a name, a place in a tuple, or the value itself; None: chosen automatically."""
        if isinstance(asked, Output):
            return asked
        if isinstance(asked, int) and not isinstance(asked, bool):
            return cls(str(asked))
        if asked is None or isinstance(asked, str):
            return cls.parse(asked or "")
        raise EvaluationError(
            f"An output cannot be named by {asked!r}. Give its name, such as 'logits', or its place in a tuple, such "
            "as 0; with the dimension of its classes 'logits:1'."
        )

    def __str__(self) -> str:
        if self.class_dim is None:
            return f"{self.key}:" if ":" in self.key else self.key
        return f"{self.key}:{self.class_dim}"

    def chosen_from(self, outputs: Mapping[str, Tensor], network: str = "") -> Output:
        """Say which of the tensors this is, and which dimension.

        `outputs`: the tensors that a model returns, by name; their values do not matter. `network`: its name, for
        messages. Raises EvaluationError where the tensor is no row of scores an image, and UnknownNameError where
        there is none of that name.
        """
        name = network or "The model"
        if not outputs:
            raise EvaluationError(f"{name} returns no tensor that could be measured.")
        key = self._key_among(outputs)
        tensor = outputs[key]
        fault = _fault_of(tensor)
        if fault:
            raise EvaluationError(
                f"The output {key!r} of {name} is {fault}. Say which one holds the scores of the classes, as in "
                f'output="NAME"; it returns {described(outputs)}.'
            )
        return Output(key, self._class_dim_of(key, tensor))

    def n_classes(self, outputs: Mapping[str, Tensor]) -> int:
        """Count the classes of this output, after `chosen_from`; 1 where it is one number a prediction."""
        return 1 if self.class_dim is None else outputs[self.key].shape[self.class_dim]

    def pick(self, returned: Any) -> Tensor:
        """Take the tensor out of what a model returns. Raises as `chosen_from`."""
        outputs = tensors_of(returned)
        return outputs[self.key] if self.key in outputs else outputs[self.chosen_from(outputs).key]

    def rows(self, returned: Any) -> Tensor:
        """Give one row a prediction: shape (predictions, classes), float32 or float64.

        A tensor of one number an image has one column.
        """
        tensor = self.pick(returned)
        # Half precisions are too coarse to sum up; double stays double.
        return self.flatten(tensor.to(torch.promote_types(tensor.dtype, torch.float32)))

    def flatten(self, tensor: Tensor) -> Tensor:
        """Give a tensor of the shape of this output one row a prediction."""
        if tensor.dim() == 1:
            return tensor[:, None]
        class_dim = self.class_dim or _usual_class_dim(tensor)
        assert class_dim is not None, "there are dimensions behind the batch"
        return tensor.movedim(class_dim, -1).flatten(0, -2)

    def _key_among(self, outputs: Mapping[str, Tensor]) -> str:
        names = list(outputs)
        if not self.key:
            return next((name for name in _USUAL if name in outputs), names[0])
        if self.key in outputs:
            return self.key
        try:
            return names[int(self.key)]
        except (ValueError, IndexError):
            raise unknown_name("output", self.key, names) from None

    def _class_dim_of(self, key: str, tensor: Tensor) -> int | None:
        if self.class_dim is None:
            return _usual_class_dim(tensor)
        class_dim = self.class_dim % tensor.dim() if -tensor.dim() <= self.class_dim < tensor.dim() else 0
        if not class_dim:
            raise EvaluationError(
                f"Classes cannot be in dimension {self.class_dim} of the output {key!r}, which has the shape "
                f"{tuple(tensor.shape)}: dimension 0 is the batch. Give 1 to {tensor.dim() - 1}."
            )
        return class_dim


OutputName = Output | str | int | None
"""What a user may name an output by."""


def tensors_of(returned: Any) -> dict[str, Tensor]:
    """List the tensors that a model returns by name, in order.

    >>> list(tensors_of({"loss": torch.zeros(()), "hidden": (torch.zeros(1), torch.zeros(2))}))
    ['loss', 'hidden/0', 'hidden/1']
    """
    if isinstance(returned, Tensor):
        return {ALONE: returned}
    found = dict(_nested(returned))
    # An attribute may be computed when asked for.
    logits = None if isinstance(returned, Mapping) else getattr(returned, "logits", None)
    attributes = vars(returned) if not found and hasattr(returned, "__dict__") else {}
    return found or {
        **({"logits": logits} if isinstance(logits, Tensor) else {}),
        **dict(_nested(attributes)),
    }


def _nested(value: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield prefix, value
    elif isinstance(value, Mapping | tuple | list):
        fields = getattr(value, "_fields", range(len(value)))
        items = value.items() if isinstance(value, Mapping) else zip(fields, value, strict=True)
        for key, part in items:
            yield from _nested(part, f"{prefix}/{key}" if prefix else str(key))


def described(outputs: Mapping[str, Tensor]) -> str:
    """List outputs with their shapes, for a message.

    >>> described({"loss": torch.zeros(()), "logits": torch.zeros(2, 10)})
    'loss (one number), logits (2×10)'
    """
    shapes = {name: "×".join(map(str, tensor.shape)) or "one number" for name, tensor in outputs.items()}
    return ", ".join(f"{name} ({shape})" for name, shape in shapes.items())


def _usual_class_dim(tensor: Tensor) -> int | None:
    if tensor.dim() < 2:
        return None
    return 1 if tensor.dim() > 3 else tensor.dim() - 1


def _fault_of(tensor: Tensor) -> str:
    """Say why a tensor has no scores of single images; empty where it may."""
    if tensor.dim() == 0:
        return "one number for the whole batch, as a loss is, so it tells nothing of single images"
    if tensor.is_complex():
        return "complex numbers, among which none is the largest"
    if not tensor.is_floating_point():
        return f"{str(tensor.dtype).removeprefix('torch.')} numbers, which are no scores"
    return ""
