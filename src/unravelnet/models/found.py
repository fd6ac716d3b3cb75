"""What a source of models gives: a model with all that is known about it, not taken apart yet."""

from __future__ import annotations

import contextlib
import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from unravelnet.capture.call import arguments
from unravelnet.capture.untouched import left_as_it_was
from unravelnet.errors import DataError, UnknownNameError
from unravelnet.network import Inputs, Shape

_log = logging.getLogger("unravelnet.models")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller knows of inputs and outputs.

    `input_shape`: of one image, or the length of one sequence. `n_classes`: of labelled images.
    `vocabulary_size`: of a text. `data_name`: of the images or the text, "" where there are none.
    """

    input_shape: Shape | None = None
    n_classes: int | None = None
    vocabulary_size: int | None = None
    data_name: str = ""

    @property
    def is_text(self) -> bool:
        """Whether the model is wanted for a text."""
        return self.vocabulary_size is not None

    def check_takes(self, model_name: str, taken: Literal["images", "text"]) -> None:
        """Raise DataError where a model takes images and a text is given, or the other way round."""
        if self.is_text and taken == "images":
            raise DataError(
                f"{model_name} takes images, and {self.data_name} is a text. Give images, such as digits, or a "
                "language model: hf:NAME-OR-DIR."
            )
        if self.n_classes is not None and taken == "text":
            raise DataError(
                f"{model_name} takes text, and {self.data_name} are images. Give a text file, or a model for images."
            )


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


def token_batch(length: int, vocabulary_size: int) -> torch.Tensor:
    """Make a batch of two sequences of tokens to capture a model with."""
    # The first few tokens are mostly special ones (padding, end), which some models count or forbid.
    first = min(4, vocabulary_size - 1)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(first, vocabulary_size, (2, length), generator=generator)


def no_such_model(kind: str, name: str, known: Sequence[str], listing: str) -> UnknownNameError:
    """Make the error for a name that a long list of models does not have.

    >>> str(no_such_model("fruit", "aple", ["apple", "cherry"], "fruits()"))
    "There is no fruit 'aple'. Nearest: apple. `fruits()` lists all 2."
    """
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Nearest: {', '.join(near)}." if near else ""
    return UnknownNameError(f"There is no {kind} {name!r}.{hint} `{listing}` lists all {len(known):,}.")
