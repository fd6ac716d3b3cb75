"""A span of neighbours: the one over which the stream turns least."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from unravelnet.data import as_batches
from unravelnet.papers import gromov
from unravelnet.pruning.angles import Span, turns_over
from unravelnet.pruning.strategy import Cut, Problem, Strategy
from unravelnet.pruning.streams import spans

_BATCH = 32


def angular_distances(problem: Problem) -> dict[Span, float]:
    """Measure the angle over each span of candidates, the mean over the images to choose on."""
    parts = [problem.modules(candidate) for candidate in problem.candidates]
    possible = [span for n in range(1, len(parts) + 1) for span in spans(problem.net, parts, n)]
    evidence = problem.evidence
    turned = turns_over(evidence.bench, as_batches(evidence.part, batch_size=_BATCH), possible)
    return {span: _mean(values[np.isfinite(values)]) for span, values in zip(possible, turned, strict=True)}


def _mean(values: np.ndarray[Any, Any]) -> float:
    return float(values.mean()) if len(values) else math.inf


def _search(problem: Problem) -> Iterator[Cut]:
    for span, distance in best_spans(problem):
        yield Cut(problem.full.delete(*span), span, distance)


def best_spans(problem: Problem) -> Iterator[tuple[Span, float]]:
    """Give the span with the smallest distance of each length, the shortest first, and the distance."""
    distances = angular_distances(problem)
    for length in sorted({len(span) for span in distances}):
        of_length = {span: distance for span, distance in distances.items() if len(span) == length}
        best = min(of_length, key=lambda span: of_length[span])
        yield best, of_length[best]


SPAN = Strategy(
    "span",
    "Contiguous span",
    _search,
    estimate="the angular distance between the stream in front of the span and behind it, as a share of pi",
    paper=gromov.ANGULAR_DISTANCE.said_by,
)
