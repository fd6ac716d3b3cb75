"""Inputs that a network was not made for, as sentences that name both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from unravelnet.errors import DataError, one_line
from unravelnet.network import Inputs, UnraveledNetwork, shape_text
from unravelnet.network.output import ALONE, tensors_of

# What layers raise on inputs of another form.
_MISFITS = (RuntimeError, ValueError, IndexError, TypeError, KeyError, AttributeError, AssertionError)


@contextlib.contextmanager
def taking(net: UnraveledNetwork, inputs: Inputs, data_name: str = "The data") -> Iterator[None]:
    """Explain an error inside by the inputs, where they have another form than the network was made with.

    >>> from unravelnet.zoo import preact_resnet
    >>> net, digits = preact_resnet(depth=8, input_shape=(3, 32, 32)), torch.zeros(2, 1, 8, 8)
    >>> with taking(net, digits, "digits"):
    ...     net(digits)
    Traceback (most recent call last):
    unravelnet.errors.DataError: digits gives preact-resnet8 inputs of 1×8×8 (float32), ...

    `data_name`: what the inputs come from. Raises DataError; an error that the inputs do not explain stays as it is.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except _MISFITS as error:
        given, known = _forms(tensors_of(inputs)), _forms(net.inputs)
        if given == known or not known:
            raise
        raise DataError(
            f"{data_name} gives {net.name or 'the network'} inputs of {_text(given)}, and it was made with "
            f"{_text(known)}; it does not take them ({one_line(error)}) Give data of the form that it was made for."
        ) from error


def are_finite(inputs: Inputs) -> bool:
    """Whether no real number among inputs is NaN or infinite.

    >>> are_finite({"ids": torch.tensor([3]), "mask": torch.tensor([torch.inf])})
    False
    """
    real = [tensor for tensor in tensors_of(inputs).values() if tensor.is_floating_point()]
    return all(bool(tensor.isfinite().all()) for tensor in real)


def _forms(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: f"{shape_text(tensor.shape[1:])} ({str(tensor.dtype).removeprefix('torch.')})"
        for name, tensor in tensors.items()
    }


def _text(forms: Mapping[str, str]) -> str:
    named = [form if name == ALONE else f"{name}: {form}" for name, form in forms.items()]
    return ", ".join(named) or "no tensors"
