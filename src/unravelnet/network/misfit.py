"""Inputs of another form than a network was made with, in a sentence that names both."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unravelnet.errors import DataError, one_line
from unravelnet.network.inputs import shape_text
from unravelnet.network.output import ALONE, tensors_of

MISFITS = (RuntimeError, ValueError, IndexError, TypeError, KeyError, AttributeError, AssertionError)
"""What layers raise on inputs of another form."""


class MisfitError(DataError, RuntimeError):
    """Inputs of another form than a network was made with; a RuntimeError, as most of what layers raise on them."""


def misfit(
    name: str, known: Mapping[str, Tensor], inputs: object, error: Exception, source: str
) -> MisfitError | None:
    """Explain an error of a network by its inputs; None where they have the form that it was made with.

    `known`: the inputs that the network was made with. `source`: what gives the inputs.
    """
    given, expected = _forms(tensors_of(inputs)), _forms(known)
    if given == expected or not expected or isinstance(error, torch.OutOfMemoryError):
        return None
    # The network may have explained it already, without knowing where the inputs come from.
    first = error.__cause__ if isinstance(error, MisfitError) else error
    return MisfitError(
        f"{source} gives {name or 'the network'} inputs of {_text(given)}, and it was made with {_text(expected)}; it "
        f"does not take them ({one_line(first or error)}) Give data of the form that it was made for."
    )


def _forms(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: f"{shape_text(tensor.shape[1:])} ({str(tensor.dtype).removeprefix('torch.')})"
        for name, tensor in tensors.items()
    }


def _text(forms: Mapping[str, str]) -> str:
    named = [form if name == ALONE else f"{name}: {form}" for name, form in forms.items()]
    return ", ".join(named) or "no tensors"
