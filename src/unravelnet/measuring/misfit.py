"""Inputs that a network was not made for, as sentences that name both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.network.misfit import MISFITS, misfit
from unravelnet.network.output import tensors_of


@contextlib.contextmanager
def taking(net: UnraveledNetwork, inputs: Inputs, data_name: str = "The data") -> Iterator[None]:
    """Explain an error inside by the inputs, where they have another form than the network was made with.

    >>> import torch
    >>> from unravelnet.zoo import preact_resnet
    >>> net, digits = preact_resnet(depth=8, input_shape=(3, 32, 32)), torch.zeros(2, 1, 8, 8)
    >>> with taking(net, digits, "digits"):
    ...     net(digits)
    Traceback (most recent call last):
    unravelnet.network.misfit.MisfitError: digits gives preact-resnet8 inputs of 1×8×8 (float32), ...

    `data_name`: what the inputs come from. Raises DataError; an error that the inputs do not explain stays as it is.
    """
    try:
        yield
    except MISFITS as error:
        explained = misfit(net.name, net.inputs, inputs, error, data_name)
        if explained is None:
            raise
        raise explained from error


def are_finite(inputs: Inputs) -> bool:
    """Whether no real number among inputs is NaN or infinite.

    >>> import torch
    >>> are_finite({"ids": torch.tensor([3]), "mask": torch.tensor([torch.inf])})
    False
    """
    real = [tensor for tensor in tensors_of(inputs).values() if tensor.is_floating_point()]
    return all(bool(tensor.isfinite().all()) for tensor in real)
