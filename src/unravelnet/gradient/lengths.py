"""Gradients by path length: a polynomial whose coefficients are cotangents, carried backwards.

Going back through a residual module with skip Jacobian S and branch Jacobian J, the gradient along all paths
that have entered k branches so far becomes

    G'[k] = S^T G[k] + J^T G[k-1]

and at the end G[k] is the sum over all paths of length k: all 2^n of them for n(n + 1) / 2 products with a
branch. Three ways to join the two terms give three quantities that must not be mixed: their sum; their sum with
a random sign, under which different paths cancel in the mean and each keeps its square; or one of the two, drawn
so that G[k] is the gradient along one random path of length k, as in the sampling of Veit et al. (2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import frexp, inf, isfinite
from typing import Literal, Protocol

import torch
from torch import Tensor

from unravelnet.errors import EvaluationError
from unravelnet.gradient.live import Cotangent, plus
from unravelnet.gradient.stages import Inside, Linear, Stage

# Between these powers of two a cotangent is left as it is; its exact scaling keeps float32 from ending.
_LARGEST_EXPONENT = 24
_LARGEST_DOUBLE_EXPONENT = 1000


@dataclass(frozen=True, slots=True)
class Term:
    """A cotangent, `values` times 2^`exponent`: norms fall by tens of decades over the lengths."""

    values: Cotangent
    exponent: int = 0

    def unscaled(self) -> Cotangent:
        """Give the cotangent itself; what float32 cannot hold becomes 0 or infinite."""
        factor = _power_of_two(self.exponent)
        return {name: value * factor for name, value in self.values.items()}

    def norms(self, n_images: int) -> Tensor:
        """Give the norm of each image's gradient, over all its live values; float64.

        The rows of a value that belong to one image stand together; `check_rows` makes sure of it.
        """
        squares = [
            torch.linalg.vector_norm(value.reshape(n_images, -1), dim=1, dtype=torch.float64).square()
            for value in self.values.values()
        ]
        return torch.stack(squares).sum(dim=0).sqrt() * _power_of_two(self.exponent)


Terms = Sequence[Term | None]
"""One term a length; None where there is no path of this length."""


def norms_of(terms: Terms, n_images: int) -> Tensor:
    """Stack the norms of all terms: lengths × images, float64. A length without paths has the norm 0."""
    zero = torch.zeros(n_images, dtype=torch.float64)
    return torch.stack([zero if term is None else term.norms(n_images).cpu() for term in terms])


class Draw(Protocol):
    """How the ways through one stage are joined. Way 0 goes around all branches, the others through one each."""

    def takes(self, way: int, length: int) -> bool:
        """Whether the gradient of a length before the stage needs this way."""

    def join(self, length: int, ways: Sequence[Term | None]) -> Term | None:
        """Make the term of a length before the stage from those that come by each way."""


class Join(Protocol):
    """A way to make the terms before a stage from those behind it."""

    def draw(self, counts: Sequence[Sequence[int]]) -> Draw:
        """Decide for one stage. `counts`: of each way the number of paths of each length before the stage."""


def backwards(
    stages: Sequence[Stage], end: Cotangent, join: Join, max_length: int | None = None
) -> Iterator[tuple[Terms, list[int]]]:
    """Carry a gradient from the end of a route to its start.

    Gives the terms and the number of paths of each length at the end, and then before each stage, from the last
    to the first. Longer paths than `max_length` are left out.
    """
    yield from _backwards(stages, [_scaled(end, 0) if end else None], [1], join, max_length)


def _backwards(
    stages: Sequence[Stage], terms: Terms, counts: list[int], join: Join, max_length: int | None
) -> Iterator[tuple[Terms, list[int]]]:
    yield terms, counts
    n_kept = None if max_length is None else max_length + 1
    for stage in reversed(stages):
        draw = join.draw(counts_by_way(stage, counts))
        terms = _before(stage, terms, counts, join, draw, max_length)[:n_kept]
        counts = counts_before(stage, counts)[:n_kept]
        yield terms, counts


def _before(
    stage: Stage, terms: Terms, counts: list[int], join: Join, draw: Draw, max_length: int | None
) -> list[Term | None]:
    """Make the terms before a stage from those behind it."""
    linear = stage.linearise()
    entered = {
        place: _from_inside(stage, linear, place, way.inside, terms, counts, join, max_length)
        for place, way in enumerate(stage.ways)
        if way.inside is not None
    }
    longest = max([len(terms) - 1, *(len(found) for found in entered.values())])
    if len(entered) < len(stage.ways):
        longest = max(longest, len(terms))
    before: list[Term | None] = []
    arriving: list[Term | None] = [None] * len(stage.ways)
    for length in range(longest + 1):
        term = terms[length] if length < len(terms) else None
        around: Term | None = None
        through: list[Term | None] = [None] * len(stage.ways)
        if term is not None:
            asked = [
                place not in entered and draw.takes(place + 1, length + 1) for place in range(len(stage.ways))
            ]
            gone, came = linear.pull(
                term.values, around=stage.has_around and draw.takes(0, length), ways=asked
            )
            around = _scaled(gone, term.exponent) if gone else None
            through = [_scaled(value, term.exponent) if value else None for value in came] or through
        for place, found in entered.items():
            arriving[place] = found[length - 1] if 0 < length <= len(found) else None
        before.append(draw.join(length, [around, *arriving]))
        arriving = through
    return before


def _from_inside(
    stage: Stage,
    linear: Linear,
    way: int,
    inside: Inside,
    terms: Terms,
    counts: list[int],
    join: Join,
    max_length: int | None,
) -> Terms:
    """Carry the terms behind a stage into a branch, back through the stages inside and out of it."""
    asked = [place == way for place in range(len(stage.ways))]
    arrived: list[Term | None] = []
    for term in terms:
        came = {} if term is None else linear.pull(term.values, around=False, ways=asked)[1][way]
        arrived.append(_scaled(came, term.exponent) if term is not None and came else None)
    *_, (terms, _) = _backwards(inside.stages, arrived, counts, join, max_length)
    out = [term and (linear.pull_out(way, term.values), term.exponent) for term in terms]
    return [_scaled(*found) if found and found[0] else None for found in out]


def counts_before(stage: Stage, counts: Sequence[int]) -> list[int]:
    """Count the paths of each length before a stage, from those behind it."""
    return [sum(of_length) for of_length in zip(*counts_by_way(stage, counts), strict=True)]


def counts_by_way(stage: Stage, counts: Sequence[int]) -> list[list[int]]:
    """Count the paths of each length before a stage by the way that they take through it, from those behind it."""
    by_way = [[*counts] if stage.has_around else [0] * len(counts)]
    for way in stage.ways:
        inside = [*counts]
        for part in reversed(way.inside.stages if way.inside is not None else ()):
            inside = counts_before(part, inside)
        by_way.append([0, *inside])
    longest = max(map(len, by_way))
    return [[*of_way, *[0] * (longest - len(of_way))] for of_way in by_way]


class Sum:
    """The vector sum of all paths of a length; with a generator, the sum under random signs of their branches.

    Two different paths differ in the signs of some branches, so that in the mean over signs their product
    vanishes: the mean square of the sum is the sum of the squares.
    """

    def __init__(self, n_images: int, signs: torch.Generator | None = None) -> None:
        self.n_images = n_images
        self.signs = signs

    def draw(self, counts: Sequence[Sequence[int]]) -> Draw:
        signs = [None if self.signs is None else self._draw(self.signs) for _ in counts[1:]]
        return _Signs([None, *signs])

    def _draw(self, generator: torch.Generator) -> Tensor:
        return torch.randint(0, 2, (self.n_images,), generator=generator) * 2 - 1


@dataclass(frozen=True, slots=True)
class _Signs:
    """The sign of each way and image; None for ways that keep theirs."""

    signs: Sequence[Tensor | None]

    def takes(self, way: int, length: int) -> bool:
        return True

    def join(self, length: int, ways: Sequence[Term | None]) -> Term | None:
        total: Term | None = None
        for signs, term in zip(self.signs, ways, strict=True):
            if term is not None:
                signed = term if signs is None else _signed(term, signs)
                total = _sum(total, signed)
        return total


def _signed(term: Term, signs: Tensor) -> Term:
    return Term({name: value * _like(signs, value) for name, value in term.values.items()}, term.exponent)


class RandomPath:
    """The gradient along one path of each length, drawn uniformly from all of them.

    `per`: "image" draws another path for each image, "batch" one for all, as the paper does. A path of length k
    takes a way with the share of paths of length k that do. Paths of different lengths share modules.
    """

    def __init__(
        self, n_images: int, generator: torch.Generator, per: Literal["image", "batch"] = "image"
    ) -> None:
        self.n_images = n_images
        self.generator = generator
        self.per = per

    def draw(self, counts: Sequence[Sequence[int]]) -> Draw:
        return _Choice([self._draw(of_length) for of_length in zip(*counts, strict=True)])

    def _draw(self, counts: Sequence[int]) -> Tensor:
        """Draw a way for each image, by the number of paths that take it."""
        n, total = self.n_images if self.per == "image" else 1, sum(counts)
        drawn = torch.rand(n, generator=self.generator, dtype=torch.float64)
        shares = [up_to / total if total else 0.0 for up_to in accumulate(counts[:-1])]
        chosen = torch.zeros(n, dtype=torch.int64)
        for share in shares:
            chosen += drawn >= share
        return chosen


@dataclass(frozen=True, slots=True)
class _Choice:
    """The number of the way that each image takes, by length."""

    chosen: Sequence[Tensor]

    def takes(self, way: int, length: int) -> bool:
        return length < len(self.chosen) and bool((self.chosen[length] == way).any())

    def join(self, length: int, ways: Sequence[Term | None]) -> Term | None:
        term = ways[0]
        for way, other in enumerate(ways[1:], start=1):
            term = _choose(self.chosen[length] < way, term, other)
        return term


def check_rows(gradient_of_first: Cotangent, n_images: int) -> None:
    """Check that the rows of live values belong to images one after the other, from the gradient of the first loss.

    Raises EvaluationError where they do not, as in networks that put positions before images.
    """
    for value in gradient_of_first.values():
        strays = value[len(value) // n_images :]
        # What is not finite is found on the way back.
        if len(value) % n_images or bool((strays.isfinite() & (strays != 0)).any()):
            raise EvaluationError(
                "The stream does not keep images apart: the loss of the first one has a gradient in rows of the "
                f"stream (shape {tuple(value.shape)}) that do not belong to it. Give a model whose first dimension "
                "is the batch and whose images do not change each other, such as batch_first=True in transformers."
            )


def _scaled(values: Cotangent, exponent: int) -> Term:
    """Make a term, moving the size of its values into the exponent where it grows or shrinks far."""
    largest = max((float(value.abs().amax()) for value in values.values() if value.numel()), default=0.0)
    if not isfinite(largest):
        raise EvaluationError(
            "The gradient is not finite on its way back through the network. Check its weights, and whether its "
            "operations have a derivative where they are used (a root at 0 has none)."
        )
    shift = frexp(largest)[1]
    if largest == 0 or abs(shift) <= _LARGEST_EXPONENT:
        return Term(values, exponent)
    # In two steps: one factor for the smallest numbers would itself be too large for float32.
    first, second = 2.0 ** -(shift // 2), 2.0 ** -(shift - shift // 2)
    return Term({name: value * first * second for name, value in values.items()}, exponent + shift)


def _power_of_two(exponent: int) -> float:
    return 2.0**exponent if exponent < _LARGEST_DOUBLE_EXPONENT else inf


def _sum(first: Term | None, second: Term) -> Term:
    if first is None:
        return second
    a, b, exponent = _aligned(first, second)
    return _scaled(plus(a, b), exponent)


def _choose(is_first: Tensor, first: Term | None, second: Term | None) -> Term | None:
    if first is None or second is None:
        return second if first is None else first
    a, b, exponent = _aligned(first, second)
    values = {}
    for name in a.keys() | b.keys():
        present = a.get(name, b.get(name))
        assert present is not None
        zero = torch.zeros_like(present)
        values[name] = torch.where(_like(is_first, present), a.get(name, zero), b.get(name, zero))
    return _scaled(values, exponent)


def _aligned(first: Term, second: Term) -> tuple[Cotangent, Cotangent, int]:
    """Give the values of two terms under the larger of their exponents."""
    exponent = max(first.exponent, second.exponent)
    return _under(first, exponent), _under(second, exponent), exponent


def _under(term: Term, exponent: int) -> Cotangent:
    if term.exponent == exponent:
        return term.values
    factor = 2.0 ** (term.exponent - exponent)
    return {name: value * factor for name, value in term.values.items()}


def _like(values_B: Tensor, value: Tensor) -> Tensor:
    """Give each row of a live value the value of its image.

    Where chains fold positions into the batch the rows of an image stand together. Where rows are not images at all
    one value serves all of them: in the mean over draws nothing changes.
    """
    per_row = (
        values_B.repeat_interleave(len(value) // len(values_B))
        if len(value) % len(values_B) == 0
        else values_B[:1]
    )
    return per_row.to(value.device).view(-1, *[1] * (value.dim() - 1))
