"""A span of neighbours: the one over which the stream turns least."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from unravelnet.papers import gromov
from unravelnet.pruning.strategy import Cut, Problem, Strategy
from unravelnet.pruning.streams import channels_of, spans, streams

_BATCH = 32

Span = tuple[int, ...]


def angular_distances(problem: Problem) -> dict[Span, float]:
    """Measure the angle between the stream in front of each span and behind it: arccos of the cosine, by pi.

    In a language model that of the last position, as Gromov et al. (2024) do; in other networks the mean over
    positions.
    """
    net = problem.net
    possible = [
        span for n in range(1, len(net.residual_modules) + 1) for span in spans(net, problem.candidates, n)
    ]
    totals = dict.fromkeys(possible, 0.0)
    evidence = problem.evidence
    for before, behind in streams(evidence.bench, evidence.part, batch_size=_BATCH):
        for span in possible:
            x, y = before[span[0]], behind[span[-1]]
            totals[span] += float(_angle(x, y, channels_of(net.residual_modules[span[0]], x)).sum())
    return {span: total / evidence.n_images for span, total in totals.items()}


def _angle(x: Tensor, y: Tensor, channels: int) -> Tensor:
    """Give the angular distance of each image."""
    if x.dim() == 3 and channels == 2:
        x, y = x[:, -1:], y[:, -1:]
    cosine = functional.cosine_similarity(x.float(), y.float(), dim=channels).clamp(-1, 1)
    return (
        (torch.arccos(cosine) / math.pi).flatten(1).mean(dim=1)
        if cosine.dim() > 1
        else torch.arccos(cosine) / math.pi
    )


def _search(problem: Problem) -> Iterator[Cut]:
    for span, distance in best_spans(problem):
        yield Cut(problem.full.delete(*span), span, distance)


def best_spans(problem: Problem) -> Iterator[tuple[Span, float]]:
    """Give the span with the smallest distance of each length, and the distance."""
    distances = angular_distances(problem)
    for length in range(1, len(problem.candidates) + 1):
        of_length = {span: distance for span, distance in distances.items() if len(span) == length}
        if of_length:
            best = min(of_length, key=lambda span: of_length[span])
            yield best, of_length[best]


SPAN = Strategy(
    "span",
    "Contiguous span",
    _search,
    estimate="the angular distance between the stream in front of the span and behind it, as a share of pi",
    paper=gromov.ANGULAR_DISTANCE.said_by,
)
