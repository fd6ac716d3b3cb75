"""The forms that a model comes in: wrappers are taken off, and what is no readable model is refused by name."""

from __future__ import annotations

import keyword
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from unravelnet.errors import CaptureError


def bare_model(model: object) -> nn.Module:
    """Take the wrappers off a model: data parallelism and torch.compile.

    >>> bare_model(nn.DataParallel(nn.Linear(2, 3)))
    Linear(in_features=2, out_features=3, bias=True)

    Raises CaptureError for what holds no Python model with weights that can be read, with the form it has.
    """
    while (inner := _wrapped(model)) is not None:
        model = inner
    if not isinstance(model, nn.Module):
        raise CaptureError(_no_module(model))
    for module in model.modules():
        form = _closed_form(module)
        if form:
            raise CaptureError(
                f"{_place(model, module)} is {form}, whose operations cannot be read. Give the Python model that it "
                "was made from."
            )
        for name in _names(module):
            if keyword.iskeyword(name) or not is_plain(name):
                raise CaptureError(
                    f"{_place(model, module)} has an attribute with the name {name[:60]!r}, which would be read as "
                    "code in the graph of torch.export. Give it a name without quotes, backslashes, line breaks and "
                    "other unprintable characters, which is no keyword of Python."
                )
    for name, tensor in _tensors(model):
        form = _unusable(tensor)
        if form:
            raise CaptureError(f"{type(model).__name__} cannot be captured: its tensor {name} is {form}.")
    return model


def _wrapped(model: object) -> object | None:
    if isinstance(model, DataParallel | DistributedDataParallel):
        return model.module
    # What torch.compile returns has no public class.
    inner = getattr(model, "_orig_mod", None) if isinstance(model, nn.Module) else None
    return inner if isinstance(inner, nn.Module) else None


def _no_module(model: object) -> str:
    name = getattr(model, "__name__", type(model).__name__)
    if isinstance(model, torch.export.ExportedProgram):
        return (
            "The model is an ExportedProgram, a finished graph. Give the Python model that it was made from."
        )
    if isinstance(model, type):
        return f"The model is the class {name}. Give an instance of it, such as {name}()."
    if isinstance(model, str):
        return f"The model is the text {model!r}. Load the model first: unravelnet.load({model!r})."
    if callable(model):
        return f"The model is a function ({name}). Give a torch.nn.Module whose forward method does the same."
    return f"The model is a {name}. Give a torch.nn.Module."


def _closed_form(module: nn.Module) -> str:
    """Name the form of a module that holds finished code instead of Python; "" for any other."""
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript"
    if isinstance(module, fx.GraphModule) and any(
        t.__name__ == "_StatefulGraphModule" for t in type(module).__mro__
    ):
        return "the module of an ExportedProgram"
    if type(module).__module__.startswith(("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")):
        return f"a quantised layer ({type(module).__name__})"
    return ""


def _place(model: nn.Module, module: nn.Module) -> str:
    name = next(name for name, other in model.named_modules() if other is module)
    return f"The part {name} of {type(model).__name__}" if name else "The model"


def _names(module: nn.Module) -> Iterator[str]:
    """Name the parts, weights and other attributes of a module, without those of its parts."""
    for names in (module._modules, module._parameters, module._buffers, vars(module)):
        yield from names


def is_plain(name: str) -> bool:
    """Whether a name cannot end the line or the quotes in which it stands in generated code.

    >>> is_plain("3x3"), is_plain("it's")
    (True, False)
    """
    return name.isprintable() and not set("\"'\\") & set(name)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _unusable(tensor: Tensor) -> str:
    """Say why nothing can be computed with a tensor; "" where it can."""
    if nn.parameter.is_lazy(tensor):
        return "not initialised yet. Run the model once on the example, so that lazy layers learn their sizes"
    if tensor.is_meta:
        return "on the meta device, which holds shapes and no values. Load the weights on a real device first"
    if tensor.is_inference():
        return "an inference tensor. Make or load the model outside of torch.inference_mode()"
    if tensor.is_quantized:
        return "quantised. Give the model in floating point"
    if tensor.is_nested or tensor.layout is not torch.strided:
        layout = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        return f"stored as {layout}. Store it densely first: tensor.to_dense()"
    return ""
