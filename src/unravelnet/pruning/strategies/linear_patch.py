"""A linear map in the place of a span: fitted by least squares on the stream, without training."""

from __future__ import annotations

from collections.abc import Iterator

from unravelnet.data import as_batches
from unravelnet.pruning.angles import Span
from unravelnet.pruning.patch import LeastSquares, LinearPatch, patched
from unravelnet.pruning.strategies.span import best_spans
from unravelnet.pruning.strategy import Cut, Patched, Problem, Strategy
from unravelnet.pruning.streams import channels_of, streams

_BATCH = 32


def _search(problem: Problem) -> Iterator[Cut]:
    for span, _ in best_spans(problem):
        if len(span) < 2:  # a map in the place of one module leaves as many
            continue
        patch, unexplained = fit(problem, span)
        net = patched(problem.net, span, patch)
        known = Patched(net, problem.evidence.of(net))
        yield Cut(problem.full.delete(*span[1:]), span, unexplained, known)


def fit(problem: Problem, span: Span) -> tuple[LinearPatch, float]:
    """Fit a patch for a span; give it with the share of the square change of the stream that it leaves."""
    evidence, squares, channels = problem.evidence, None, 1
    for _, before, behind in streams(evidence.bench, as_batches(evidence.part, batch_size=_BATCH)):
        x, y = before[span[0]], behind[span[-1]]
        channels = channels_of(problem.net.residual_modules[span[0]], x)
        squares = LeastSquares(x.shape[channels]) if squares is None else squares
        squares.add(x, y, channels=channels)
    assert squares is not None, "there are images to choose on"
    return squares.solve(channels=channels), squares.unexplained


LINEAR_PATCH = Strategy(
    "linear_patch",
    "Linear patch",
    _search,
    estimate="the share of the square change of the stream that the linear map does not explain",
    paper="ReplaceMe (Shopkhoev et al. 2025).",
)
