"""What a source of models gives: a model with all that is known about it, not taken apart yet."""

from __future__ import annotations

import contextlib
import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from unravelnet.capture.export import arguments, left_as_it_was
from unravelnet.errors import UnknownNameError
from unravelnet.network import Inputs, Shape

_log = logging.getLogger("unravelnet.models")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller knows of the inputs and outputs: the shape of one input, the number of classes."""

    input_shape: Shape | None = None
    n_classes: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A model from any source.

    `examples`: batches of inputs to try in turn; the first that the model takes is used. `is_random`: whether
    the weights were drawn just now, so that they have learned nothing.
    """

    model: nn.Module
    name: str
    examples: tuple[Inputs, ...] = ()
    is_random: bool = False


@contextlib.contextmanager
def drawn_from_seed() -> Iterator[None]:
    """Draw random weights from seed 0: the same ones each time, so that results can be gone on with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def say_random(name: str) -> str:
    """Note that a model has random weights, and return the name that says so in every table."""
    _log.info(
        "The weights of %s are random: none were given (--weights FILE), and nothing is downloaded.", name
    )
    return f"{name} (random weights)"


def failure_on(model: nn.Module, example: Inputs) -> Exception | None:
    """Run a model on an example in evaluation mode; return what went wrong, or None."""
    args, kwargs = arguments(example)
    with left_as_it_was(model), torch.no_grad():
        model.eval()
        try:
            model(*args, **kwargs)
        except Exception as error:
            return error
    return None


def image_batch(shape: Shape) -> torch.Tensor:
    """Make a batch of two images to capture a model with."""
    return torch.zeros(2, *shape)


def no_such_model(kind: str, name: str, known: Sequence[str], listing: str) -> UnknownNameError:
    """Make the error for a name that a long list of models does not have.

    >>> str(no_such_model("fruit", "aple", ["apple", "cherry"], "fruits()"))
    "There is no fruit 'aple'. Nearest: apple. `fruits()` lists all 2."
    """
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Nearest: {', '.join(near)}." if near else ""
    return UnknownNameError(f"There is no {kind} {name!r}.{hint} `{listing}` lists all {len(known):,}.")
