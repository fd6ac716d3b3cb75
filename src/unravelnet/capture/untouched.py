"""Works with a user's model and leaves it as it was; keeps torch's own notices from the user."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from unravelnet.lending import lent_streams


@contextlib.contextmanager
def left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Give back modes, buffers, attributes and random state at the end, also after an exception."""
    attributes = [(module, _snapshot(vars(module))) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with random_state_kept():
        try:
            yield
        finally:
            for module, saved in attributes:
                _restore(vars(module), saved)
            for parameter, requires_grad in trainable:
                if parameter.requires_grad != requires_grad:
                    parameter.requires_grad_(requires_grad)
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)


@contextlib.contextmanager
def random_state_kept() -> Iterator[None]:
    """Give back the state of every generator that a model may draw from."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def seed_everything(seed: int) -> None:
    """Seed every generator that a model may draw from."""
    seed_torch(seed)
    random.seed(seed)
    np.random.seed(seed)


def random_states() -> tuple[object, ...]:
    """Note where every generator that a model may draw from stands, to tell later whether it drew.

    >>> before = random_states()
    >>> drawn = torch.rand(1)
    >>> random_states() == before
    False
    """
    of_torch = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        of_torch += torch.cuda.get_rng_state_all()
    of_numpy = np.random.get_state(legacy=False)["state"]
    states = [of_numpy["key"].tobytes(), *(state.numpy().tobytes() for state in of_torch)]
    return (random.getstate(), of_numpy["pos"], *states)


def seed_torch(seed: int) -> None:
    """Seed the generators of torch."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        # For devices that may come, torch.manual_seed writes the whole stack down: most of a millisecond.
        torch.default_generator.manual_seed(seed)


def _snapshot(attributes: dict[str, Any]) -> dict[str, tuple[Any, dict[Any, Any] | None]]:
    """Note the attributes of a module, and what stands in those that are dicts (its parameters and buffers)."""
    return {
        name: (value, dict(value) if isinstance(value, dict) else None) for name, value in attributes.items()
    }


def _restore(attributes: dict[str, Any], saved: dict[str, tuple[Any, dict[Any, Any] | None]]) -> None:
    for name in set(attributes) - set(saved):
        del attributes[name]
    for name, (value, content) in saved.items():
        attributes[name] = value
        if content is not None:
            value.clear()
            value.update(content)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the notices of torch.export, which speak of its own internals, from the user.

    They come as warnings, through loggers of torch, and as graphs printed to standard error.
    """
    named = logging.root.manager.loggerDict.items()
    # Those without a level of their own have that of "torch".
    loggers = [
        logger
        for name, logger in named
        if name.startswith("torch.") and isinstance(logger, logging.Logger) and logger.level
    ]
    loggers.append(logging.getLogger("torch"))
    levels = [logger.level for logger in loggers]
    nowhere = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with warnings.catch_warnings(), contextlib.redirect_stderr(nowhere), lent_streams():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
