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
from math import frexp, inf, isfinite
from typing import Literal, Protocol

import torch
from torch import Tensor

from unravelnet.errors import EvaluationError
from unravelnet.gradient.linearised import Cotangent, Linear, Stage, plus

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


class Join(Protocol):
    """A way to make the terms before a stage from those behind it."""

    def __call__(
        self, stage: Stage, linear: Linear, terms: Terms, counts: Sequence[int]
    ) -> list[Term | None]:
        """Go back through one stage. `counts`: the number of paths of each length behind it."""


def backwards(
    stages: Sequence[Stage], end: Cotangent, join: Join, max_length: int | None = None
) -> Iterator[tuple[Terms, list[int]]]:
    """Carry a gradient from the end of a route to its start.

    Gives the terms and the number of paths of each length at the end, and then before each stage, from the last
    to the first. Longer paths than `max_length` are left out.
    """
    terms: Terms = [_scaled(end, 0) if end else None]
    counts = [1]
    yield terms, counts
    for stage in reversed(stages):
        longest = len(terms) if max_length is None else min(len(terms), max_length)
        terms = join(stage, stage.linearise(), terms, counts)[: longest + 1]
        counts = counts_before(stage, counts)[: longest + 1]
        yield terms, counts


def counts_before(stage: Stage, counts: Sequence[int]) -> list[int]:
    """Count the paths of each length before a stage, from those behind it."""
    around = [*counts, 0] if stage.has_around else [0] * (len(counts) + 1)
    through = [0, *counts] if stage.has_through else [0] * (len(counts) + 1)
    total = [a + t for a, t in zip(around, through, strict=True)]
    return total if stage.has_through else total[:-1]


class Sum:
    """The vector sum of all paths of a length; with a generator, the sum under random signs of their branches.

    Two different paths differ in the signs of some branches, so that in the mean over signs their product
    vanishes: the mean square of the sum is the sum of the squares.
    """

    def __init__(self, n_images: int, signs: torch.Generator | None = None) -> None:
        self.n_images = n_images
        self.signs = signs

    def __call__(
        self, stage: Stage, linear: Linear, terms: Terms, counts: Sequence[int]
    ) -> list[Term | None]:
        before: list[Term | None] = [None] * (len(terms) + stage.has_through)
        signs = self._draw() if stage.has_through and self.signs is not None else None
        for length, term in enumerate(terms):
            if term is None:
                continue
            around, through = linear.pull(term.values, around=stage.has_around, through=stage.has_through)
            if around:
                before[length] = _sum(before[length], _scaled(around, term.exponent))
            if through:
                if signs is not None:
                    through = {name: value * _like(signs, value) for name, value in through.items()}
                before[length + 1] = _scaled(through, term.exponent)
        return before

    def _draw(self) -> Tensor:
        return torch.randint(0, 2, (self.n_images,), generator=self.signs) * 2 - 1


class RandomPath:
    """The gradient along one path of each length, drawn uniformly from all of them.

    `per`: "image" draws another path for each image, "batch" one for all, as the paper does. A path of length k
    goes around a module with the share of paths of length k that do. Paths of different lengths share modules.
    """

    def __init__(
        self, n_images: int, generator: torch.Generator, per: Literal["image", "batch"] = "image"
    ) -> None:
        self.n_images = n_images
        self.generator = generator
        self.per = per

    def __call__(
        self, stage: Stage, linear: Linear, terms: Terms, counts: Sequence[int]
    ) -> list[Term | None]:
        n_before = counts_before(stage, counts)
        n_around = [*counts, 0] if stage.has_around else [0] * (len(counts) + 1)
        goes_around = [
            self._draw(around / total if total else 0.0)
            for around, total in zip(n_around, n_before, strict=False)
        ]
        before: list[Term | None] = []
        arriving_through: Term | None = None
        for length in range(len(n_before)):
            term = terms[length] if length < len(terms) else None
            stays = bool(goes_around[length].any())
            continues = stage.has_through and length + 1 < len(n_before) and not goes_around[length + 1].all()
            gone_around: Term | None = None
            gone_through: Term | None = None
            if term is not None:
                around, through = linear.pull(term.values, around=stays, through=bool(continues))
                gone_around = _scaled(around, term.exponent) if around else None
                gone_through = _scaled(through, term.exponent) if through else None
            before.append(_choose(goes_around[length], gone_around, arriving_through))
            arriving_through = gone_through
        return before

    def _draw(self, share: float) -> Tensor:
        n = self.n_images if self.per == "image" else 1
        return torch.rand(n, generator=self.generator, dtype=torch.float64) < share


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
