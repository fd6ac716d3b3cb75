"""The layout of zoo networks: which modules of which width stand in which stage, and what can be built.

A network for small images is a stem, stages of equally many modules, and a head, as in He et al. 2015; the first module
of every stage but the first halves the map. Depth counts weight layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

from unravelnet.costs import MOST_CHANNELS, MOST_CLASSES, MOST_LAYERS, check_number, check_shape
from unravelnet.errors import ModelError, unknown_name

WIDTHS = (16, 32, 64)
CIFAR_SHAPE = (3, 32, 32)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module stands: its name, its stage from 1 on, the channels that arrive, its width and its stride."""

    name: str
    stage: int
    n_in: int
    width: int
    stride: int


def places(
    n_per_stage: int | Sequence[int], widths: Sequence[int], *, expansion: int = 1, n_in: int | None = None
) -> list[Place]:
    """List the modules of all stages in order.

    >>> places(1, (16, 32))[1]
    Place(name='stage2.0', stage=2, n_in=16, width=32, stride=2)

    `n_per_stage`: modules in each stage, or in one after the other. `expansion`: channels that leave a module, as a
    multiple of its width. `n_in`: channels that leave the stem, those of the first stage unless given.
    """
    found = []
    n_in = widths[0] if n_in is None else n_in
    counts = [n_per_stage] * len(widths) if isinstance(n_per_stage, int) else n_per_stage
    for stage, (width, count) in enumerate(zip(widths, counts, strict=True), start=1):
        for number in range(count):
            stride = 2 if stage > 1 and number == 0 else 1
            found.append(Place(f"stage{stage}.{number}", stage, n_in, width, stride))
            n_in = width * expansion
    return found


def check_depth(name: str, depth: int, layers_per_step: int, *, n_others: int = 2) -> int:
    """Return how many modules a stage has in a network of this depth: n where depth is layers_per_step·n + n_others.

    >>> check_depth("resnet", 110, 6)
    18

    `n_others`: weight layers that are in no step, such as stem and classifier. Raises ModelError where no whole number
    fits, naming the nearest depths that do.
    """
    check_number(depth, MOST_LAYERS, "layers")
    n, rest = divmod(depth - n_others, layers_per_step)
    if rest or n < 1:
        below = layers_per_step * max(1, n) + n_others
        raise ModelError(
            f"There is no {name} of depth {depth}: with these options depths are {layers_per_step}n + {n_others}. "
            f"The nearest are {below} and {below + layers_per_step}."
        )
    return n


def check_geometry(widths: Sequence[int], n_classes: int, input_shape: Sequence[int]) -> None:
    """Raise ModelError for widths, classes or input shapes that no network can be built for."""
    if not isinstance(widths, Sequence) or not widths or not all(map(_is_positive, widths)):
        raise ModelError(f"The widths {widths!r} do not describe stages; give one channel count each.")
    if not _is_positive(n_classes):
        raise ModelError(f"A network for {n_classes} classes cannot be made; give n_classes=1 or more.")
    if (
        not isinstance(input_shape, Sequence)
        or len(input_shape) != 3
        or not all(map(_is_positive, input_shape))
    ):
        raise ModelError(
            f"The input shape {input_shape!r} is not one of images; give channels, height and width, "
            "such as (3, 32, 32)."
        )
    check_number(max(widths), MOST_CHANNELS, "channels")
    check_number(n_classes, MOST_CLASSES, "classes")
    check_shape(input_shape)


def check_choice(kind: str, value: str, known: Sequence[str]) -> None:
    """Raise UnknownNameError where an option is not one of the known ones."""
    if value not in known:
        raise unknown_name(kind, str(value), known)


def check_dropout(probability: float) -> None:
    """Raise ModelError where a probability of dropout is no number from 0 to below 1."""
    if not isinstance(probability, Real) or isinstance(probability, bool) or not 0 <= probability < 1:
        raise ModelError(
            f"The dropout {probability!r} is no probability. Give a number from 0 to below 1, such as 0.3."
        )


def _is_positive(value: object) -> bool:
    return isinstance(value, Integral) and int(value) > 0
