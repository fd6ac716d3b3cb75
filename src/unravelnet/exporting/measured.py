"""Error and latency of a network before and after, for the receipt of an export."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from unravelnet.exporting.subject import OnRoute, Subject
from unravelnet.measuring.evaluation import evaluate

_N_CALLS = 11
_METRICS = ("error_rate", "loss")


def measured(subject: Subject, data: Any, *, limit: int | None = None) -> dict[str, Any]:
    """Measure the intact network and the route on data, and how long each takes for a batch.

    The times are medians of eleven calls that alternate between the two, on the batch of two that is compared.
    """
    routes = [subject.net.full_route, subject.route]
    before, after = evaluate(subject.net, routes, data, metrics=_METRICS, limit=limit)
    kept = [name for name in before if name.startswith(_METRICS) or name in ("data", "n_images", "precision")]
    intact, left = OnRoute(subject.routed.net, subject.net.full_route).eval(), subject.pruned
    times = _seconds(lambda: _call(subject, intact), lambda: _call(subject, left))
    return {
        "before": {name: before[name] for name in kept},
        "after": {name: after[name] for name in kept},
        "latency": {"batch_size": 2, "seconds_before": times[0], "seconds_after": times[1]},
    }


def _call(subject: Subject, program: torch.nn.Module) -> None:
    args, kwargs = subject.batches[0]
    program(*args, **kwargs)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@torch.no_grad()
def _seconds(*calls: Callable[[], None]) -> list[float]:
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(_N_CALLS + 1):
        for call, times in zip(calls, taken, strict=True):
            begun = time.perf_counter()
            call()
            # The first call of each pays for what is made once.
            if number:
                times.append(time.perf_counter() - begun)
    return [median(times) for times in taken]
