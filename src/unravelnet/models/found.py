"""What a source of models gives: a model with all that is known about it, not taken apart yet."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import random
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from unravelnet.capture.call import arguments
from unravelnet.capture.untouched import left_as_it_was
from unravelnet.errors import DataError, ModelError, UnknownNameError, UnravelError
from unravelnet.lending import lent_streams
from unravelnet.network import Inputs, Shape
from unravelnet.network.transform import Transform
from unravelnet.wording import counted

_log = logging.getLogger("unravelnet.models")
_STDOUT, _STDERR = 1, 2
_LONGEST_REASON = 200
_N_SHOWN = 3
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller knows of inputs and outputs.

    `input_shape`: of one image, or the length of one sequence. `n_classes`: of labelled images.
    `vocabulary_size`: of a text. `data_name`: of the images or the text, "" where there are none. `seed`: of weights
    that are drawn. `weights_file`: the name of the file of weights that will be loaded, if any.
    """

    input_shape: Shape | None = None
    n_classes: int | None = None
    vocabulary_size: int | None = None
    data_name: str = ""
    seed: int = 0
    weights_file: str = ""

    @property
    def is_text(self) -> bool:
        """Whether the model is wanted for a text."""
        return self.vocabulary_size is not None

    @property
    def origin(self) -> str:
        """Where the shape of the input comes from."""
        return f"as in {self.data_name}" if self.data_name else "as asked for"

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
class Example:
    """A batch of inputs to try a model with, and where its shape comes from, such as "as in digits"."""

    inputs: Inputs
    origin: str


@dataclass(frozen=True, slots=True)
class Found:
    """A model from any source.

    `examples`: batches of inputs to try in turn; the first that the model takes is used. `is_random`: whether the
    weights were drawn just now, so that they have learned nothing. `missing`: the tensors that the stored weights did
    not have, which were drawn; `unknown`: those that they had beside the model's own. `module_names`: what its
    residual modules were called before it was stored as a graph. `transform`: how the images are prepared that it was
    made for; None where it does not say so.
    """

    model: nn.Module
    name: str
    examples: tuple[Example, ...] = ()
    is_random: bool = False
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    module_names: tuple[str, ...] = ()
    transform: Transform | None = None


@contextlib.contextmanager
def drawn_from_seed(seed: int) -> Iterator[None]:
    """Draw random weights from a seed: the same ones each time, so that results can be gone on with.

    Files of users draw with numpy and Python, too. The generators are as they were afterwards.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed))
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextlib.contextmanager
def explained(sentence: str, kind: type[UnravelError] = ModelError) -> Iterator[None]:
    """Turn whatever code of others raises into an error of ours, and what it prints to standard error.

    >>> with explained("a.py cannot be read"):
    ...     int("three")
    Traceback (most recent call last):
    unravelnet.errors.ModelError: a.py cannot be read: ValueError: invalid literal for int() with base 10: 'three'.
    """
    try:
        with _output_to_standard_error():
            yield
    except (UnravelError, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit and the like are no end of ours
        raise kind(f"{sentence}: {reason_of(error)}.") from error


@contextlib.contextmanager
def _output_to_standard_error() -> Iterator[None]:
    """Send what is printed to standard error, also by libraries and processes that do not print through Python."""
    with lent_streams(), contextlib.redirect_stdout(sys.stderr):
        with contextlib.suppress(OSError):  # one of the two is closed
            os.dup2(_STDERR, _STDOUT)
        yield


def reason_of(error: BaseException) -> str:
    """Give the class and the first line of an error, without the marks of a terminal.

    >>> reason_of(ValueError("no such size.\\nHint: none"))
    'ValueError: no such size'
    >>> reason_of(SystemExit(0))
    'it called sys.exit(0)'
    """
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    first, *rest = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().split("\n")
    # What a first line announces stands in the next.
    text = f"{first} {rest[0].strip()}" if first.endswith(":") and rest else first
    kind = type(error).__name__
    return f"{kind}: {text[:_LONGEST_REASON].rstrip('. ')}" if text else kind


def say_random(name: str) -> str:
    """Note that a model has random weights, and return the name that says so in every table."""
    _log.info(
        "The weights of %s are random: none were given (--weights FILE), and nothing is downloaded.", name
    )
    return f"{name} (random weights)"


def say_missing(name: str, missing: Sequence[str]) -> str:
    """Note that a model lacks stored values of some tensors, and return the name that says so in every table."""
    _log.info(
        "%s: %s missing and %s: %s.",
        name,
        f"{counted(len(missing), 'tensor')} {'was' if len(missing) == 1 else 'were'}",
        "keeps its random values" if len(missing) == 1 else "keep their random values",
        listed(missing),
    )
    return f"{name} ({counted(len(missing), 'tensor')} missing)"


def say_unknown(place: str, unknown: Sequence[str]) -> None:
    """Note that weights are stored for tensors that a model does not have."""
    _log.info("Names in %s that the model does not have are left out: %s.", place, listed(unknown))


def failure_on(model: nn.Module, example: Inputs) -> BaseException | None:
    """Run a model on an example in evaluation mode; return what went wrong, or None."""
    args, kwargs = arguments(example)
    with left_as_it_was(model), torch.no_grad():
        model.eval()
        try:
            model(*args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit and the like are no end of ours
            return error
    return None


def listed(names: Iterable[object]) -> str:
    """List the first few names, and count the others.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    words = [str(name)[:_LONGEST_NAME] for name in names]
    more = f" and {len(words) - _N_SHOWN} more" if len(words) > _N_SHOWN else ""
    return f"{', '.join(words[:_N_SHOWN])}{more}"


def no_such_model(kind: str, name: str, known: Sequence[str], listing: str) -> UnknownNameError:
    """Make the error for a name that a long list of models does not have.

    >>> str(no_such_model("fruit", "aple", ["apple", "cherry"], "fruits()"))
    "There is no fruit 'aple'. Nearest: apple. `fruits()` lists all 2."
    """
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Nearest: {', '.join(near)}." if near else ""
    return UnknownNameError(f"There is no {kind} {name!r}.{hint} `{listing}` lists all {len(known):,}.")
