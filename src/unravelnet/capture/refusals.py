"""Turns what torch says of a model that cannot be captured into a sentence."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import nn
from torch.utils import _pytree as pytree

from unravelnet.capture.untouched import left_as_it_was, quiet
from unravelnet.errors import CaptureError, UnravelError, one_line

_Model = TypeVar("_Model")
_Rest = ParamSpec("_Rest")
_Result = TypeVar("_Result")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

# What each file of this room does, for errors that nobody foresaw.
_STEPS = {
    "forms": "its form was looked at",
    "call": "the example was looked at",
    "export": "its graph was read",
    "stream": "its stream was followed",
    "normal_form": "its sums were rewritten",
    "two_outputs": "its sums were put side by side",
    "junctions": "its residual modules were looked for",
    "structure": "its residual modules were looked for",
    "account": "what is no residual module was listed",
    "assemble": "its graph was cut into modules",
    "verify": "the captured network was compared with it",
}


def in_sentences(
    capture: Callable[Concatenate[_Model, _Rest], _Result],
) -> Callable[Concatenate[_Model, _Rest], _Result]:
    """Let a function that captures a model raise errors of ours only, whatever the model does."""

    @functools.wraps(capture)
    def guarded(model: _Model, *args: _Rest.args, **kwargs: _Rest.kwargs) -> _Result:
        try:
            return capture(model, *args, **kwargs)
        except UnravelError:
            raise
        except Exception as error:
            raise CaptureError(
                f"{type(model).__name__} cannot be captured: while {_step(error)}, an error came up that was not "
                f"foreseen, {one_line(error)} Its cause is in the traceback."
            ) from error

    return guarded


def _step(error: Exception) -> str:
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    steps = [_STEPS[f.stem] for f in files if Path(__file__).parent in f.parents and f.stem in _STEPS]
    return steps[-1] if steps else "it was captured"


def fixed_batch_size(batch_size: int, reason: str) -> CaptureError:
    """Make the error for a model that works for one batch size only."""
    return CaptureError(
        f"The model fixes its batch size: it does not run on a batch of {batch_size} ({reason}). Take the batch "
        "size from the input (x.shape[0], and not len(x)) in its forward method."
    )


def check_runs(model: nn.Module, given: Arguments, part: Arguments) -> None:
    """Raise CaptureError where a model does not run on the example, or not on the part of it that is used."""
    name = type(model).__name__
    error = _failure_on(model, part)
    if error is None:
        return
    if _failure_on(model, given) is None:
        raise CaptureError(
            f"{name} cannot be captured: it runs on the example, but not on two rows of it{_user_frame(error)}: "
            f"{one_line(error)} The first dimension must be a batch of items that stand by themselves. Where it "
            "counts something else, as the nodes of a graph, capture a wrapper that takes a batch of whole graphs."
        ) from error
    raise CaptureError(
        f"{name} cannot be captured: it does not run on the example{_user_frame(error)}: {one_line(error)} "
        f"{_advice_on_example(model, *given)}"
    ) from error


def _failure_on(model: nn.Module, inputs: Arguments) -> Exception | None:
    # The model may change its inputs.
    args, kwargs = pytree.tree_map_only(torch.Tensor, torch.clone, inputs)
    with left_as_it_was(model), quiet(), torch.no_grad():
        try:
            model.eval()
            model(*args, **kwargs)
        except Exception as error:
            return error
    return None


def not_exported(model: nn.Module, error: Exception) -> CaptureError:
    """Say in a sentence why a model that runs could not be exported."""
    return CaptureError(f"{type(model).__name__} cannot be captured: {_obstacle(error)}")


def _advice_on_example(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Say what does not go together, model and example, as far as that can be seen."""
    weights = [p for p in model.parameters() if p.is_floating_point()]
    inputs = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    real = [leaf for leaf in inputs if leaf.is_floating_point()]
    for what, of_model, of_example in (
        ("on the device", {p.device for p in weights}, {leaf.device for leaf in inputs}),
        ("of the type", {p.dtype for p in weights}, {leaf.dtype for leaf in real}),
    ):
        if of_model and of_example and not of_model & of_example:
            return (
                f"Its weights are {what} {_listed(of_model)} and the example is {what} {_listed(of_example)}: move "
                "one to the other with .to()."
            )
    return "Give an example that it takes, with every input of its forward method, in a tuple or a dict."


def _listed(values: set[Any]) -> str:
    return ", ".join(sorted(str(value).removeprefix("torch.") for value in values))


def _obstacle(error: Exception) -> str:
    """Say what torch.export could not follow in a model that runs."""
    text, kind = str(error), type(error).__name__
    place = _user_frame(error)
    if "data-dependent" in text.lower() or "DataDependent" in kind:
        comma = "," if place else ""
        return (
            f"data-dependent control flow{place}{comma} decides by the values of a tensor which operations run. "
            "Replace the decision by torch.where or torch.cond, or unravel a part of the model that has none."
        )
    if "fake tensor in the exported program" in text:
        return (
            "it reads a tensor in a way that torch.export cannot see, as .data does. Write .detach() "
            "instead of .data in its forward methods."
        )
    return (
        f"it runs on the example, and torch.export, which reads its graph, cannot follow it{place}: "
        f"{one_line(error)} Write this place in plain tensor operations, or unravel a part of the model "
        "without it."
    )


def _user_frame(error: BaseException) -> str:
    """Name the last line of the user's own code that an error passed through."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(part in frame.filename for part in ("/torch/", "unravelnet/capture", "<"))
    ]
    return f" in {frames[-1].name}, line {frames[-1].lineno} ({frames[-1].line})" if frames else ""
