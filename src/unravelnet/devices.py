"""Which device is computed on: one that is there and computes, asked by computing a sum on it."""

from __future__ import annotations

import warnings

import torch

from unravelnet.errors import EvaluationError, UnravelError


def usable_device(
    asked: torch.device | str | int,
    *,
    otherwise: str = "Leave the device out to choose one automatically.",
    error: type[UnravelError] = EvaluationError,
) -> torch.device:
    """Find a device by name, and check that it computes.

    >>> usable_device("cpu")
    device(type='cpu')
    >>> usable_device("meta")
    Traceback (most recent call last):
    unravelnet.errors.EvaluationError: The device 'meta' cannot be used: it holds no values. Leave the device out to
    choose one automatically.

    `otherwise`: what to do without it, a sentence. Raises `error` where there is no such device, this build of torch
    does not know it, or it holds no values.
    """
    try:
        with warnings.catch_warnings():
            # torch warns of names that it is about to forget.
            warnings.simplefilter("ignore")
            probe = torch.ones(1, device=asked) + 1
        if probe.is_meta:
            raise error(f"The device {str(asked)!r} cannot be used: it holds no values. {otherwise}")
        probe.cpu()
    except (RuntimeError, AssertionError, ImportError, TypeError) as failure:
        reason = str(failure).strip().partition("\n")[0].partition(". ")[0][:200].rstrip(".")
        raise error(f"The device {str(asked)!r} cannot be used: {reason}. {otherwise}") from failure
    return probe.device
