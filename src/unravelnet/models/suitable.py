"""Whether a model can be measured as it is, asked before it is taken apart."""

from __future__ import annotations

import contextlib
import inspect
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from unravelnet.capture.call import arguments
from unravelnet.data import ChoiceData, Loaded, TextData
from unravelnet.errors import CheckpointError, ModelError
from unravelnet.models.found import Example, Found, failure_on, listed, reason_of
from unravelnet.network import first_tensor, shape_text
from unravelnet.wording import counted


def check_kind(found: Found) -> None:
    """Raise ModelError where the parameters of a model hold no values, or are of another precision than inputs."""
    tensors = _tensors(found.model)
    empty = [name for name, tensor in tensors.items() if tensor.is_meta]
    if empty:
        raise ModelError(
            f"{found.name} has tensors on the meta device, which hold no values: {listed(empty)}. Make the model "
            "on the CPU."
        )
    others = [name for name, tensor in tensors.items() if _is_of_other_precision(tensor)]
    if others:
        dtype = str(tensors[others[0]].dtype).removeprefix("torch.")
        raise ModelError(
            f"{found.name} has {dtype} weights ({listed(others)}), and its inputs are float32. Give it as float32: end "
            "its factory with .float()."
        )
    if any(tensor.device.type != "cpu" for tensor in tensors.values()):
        found.model.cpu()  # whoever measures moves it to the device of the measurement


def check_numbers(found: Found) -> None:
    """Raise CheckpointError where weights are not numbers, so that nothing could be measured."""
    spoilt = [
        name
        for name, tensor in _tensors(found.model).items()
        if tensor.is_floating_point() and tensor.isnan().any()
    ]
    if spoilt:
        raise CheckpointError(
            f"{found.name} has weights that are not a number (NaN): {listed(spoilt)}. Its training diverged, or the "
            "file is damaged; give other weights."
        )


def choose_example(found: Found, data: Loaded | None) -> Example:
    """Choose the first example that a model takes. Raises ModelError, with each attempt, where it takes none."""
    failures = []
    for example in found.examples:
        _give_sizes(found.model, example)
        error = failure_on(found.model, example.inputs)
        if error is None:
            return example
        shape = shape_text(tuple(first_tensor(example.inputs).shape[1:]))
        failures.append(f"{shape} ({reason_of(error)})")
    raise ModelError(
        f"{found.name} does not run on inputs of {' nor of '.join(failures)}. {_mending(found.model, data)}"
    )


def _give_sizes(model: nn.Module, example: Example) -> None:
    """Run a model with lazy layers once, which gives them their sizes; what fails is told when it is tried again."""
    if any(isinstance(parameter, UninitializedParameter) for parameter in model.parameters()):
        args, kwargs = arguments(example.inputs)
        with contextlib.suppress(Exception), torch.no_grad():
            model.eval()(*args, **kwargs)


def _mending(model: nn.Module, data: Loaded | None) -> str:
    needed = _needed_inputs(model)
    if len(needed) > 1:
        return (
            f"It takes {len(needed)} inputs ({', '.join(needed)}), and one is given here. In Python, un.unravel(model, "
            "example) takes a tuple of them."
        )
    if any(parameter.is_complex() for parameter in model.parameters()):
        return (
            "It has complex weights, and inputs are float32 here. In Python, un.unravel(model, example) takes complex "
            "ones."
        )
    if isinstance(data, TextData | ChoiceData):
        return (
            f"Give data that it was made for; {data.name} is a text, in sequences of "
            f"{counted(data.length, 'token')}."
        )
    if data is not None:
        return (
            f"Give data that it was made for; the images of {data.name} are {shape_text(data.image_shape)}."
        )
    return (
        "Give the shape of one input that it was made for, such as --input-shape 3,64,64; for a language model the "
        "length of a text, such as --input-shape 64, or a text: --data TEXT."
    )


def _needed_inputs(model: nn.Module) -> list[str]:
    """List the inputs that a model cannot do without."""
    kinds = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    return [
        name
        for name, parameter in inspect.signature(model.forward).parameters.items()
        if parameter.default is inspect.Parameter.empty and parameter.kind in kinds
    ]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict(chain(model.named_parameters(), model.named_buffers()))


def _is_of_other_precision(tensor: Tensor) -> bool:
    # Integers are tables and counters, or quantised weights, which layers of their own read.
    return isinstance(tensor, nn.Parameter) and tensor.is_floating_point() and tensor.dtype != torch.float32
