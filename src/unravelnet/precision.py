"""Decides in which precision a network is computed, from what was asked for, the network and the machine.

The rule is plain data here; `machine` finds the facts. bfloat16 has the range of float32 and 8 bits of mantissa for
its 24.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from unravelnet.errors import unknown_name

Precision = Literal["float32", "bfloat16"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
PRECISION_CHOICES: tuple[PrecisionChoice, ...] = ("auto", *PRECISIONS)

# Below, bfloat16 takes as long as float32: ResNet-110 on 8x8 images has 280,000 and gains 5 % at most, on 16x16
# 1,100,000 and gains 40 %.
_FEWEST_MACS_A_MODULE = 500_000
# The networks that come with the package stay below half of it.
_LARGEST_DEVIATION = 0.05
# Measured on convolutions with AVX2, against float32.
_EMULATION = "emulates bfloat16, about 8 times slower than float32"


@dataclass(frozen=True, slots=True)
class Machine:
    """What the choice depends on: the kind of device, and whether it multiplies bfloat16 itself."""

    device: str
    multiplies_bfloat16: bool

    @property
    def name(self) -> str:
        """What sentences call it."""
        return "this processor" if self.device == "cpu" else f"this {self.device} device"


@dataclass(frozen=True, slots=True)
class Decision:
    """The precision to compute in, and the reason where there is something to say; a cost is a warning."""

    precision: Precision
    reason: str = ""
    is_warning: bool = False


def check_precision(asked: str) -> None:
    """Raise UnknownNameError for a precision that there is not.

    >>> check_precision("bfloat16")
    """
    if asked not in PRECISION_CHOICES:
        raise unknown_name("precision", str(asked), PRECISION_CHOICES)


def decide(
    asked: PrecisionChoice,
    machine: Machine,
    *,
    macs_a_module: float,
    deviation: Callable[[], float | None],
    begun: Precision | None = None,
) -> Decision:
    """Decide on a precision.

    >>> old, new = Machine("cpu", multiplies_bfloat16=False), Machine("cpu", multiplies_bfloat16=True)
    >>> [decide("auto", machine, macs_a_module=4e6, deviation=lambda: 0.01).precision for machine in (old, new)]
    ['float32', 'bfloat16']

    `macs_a_module`: multiply-accumulates of one image, mean over modules. `deviation`: by how much outputs in
    bfloat16 differ from those in float32, as a share of their spread; None where it cannot be known; called only
    where it matters. `begun`: the precision of results that are to be gone on with. Raises UnknownNameError.
    """
    check_precision(asked)
    if asked == "auto" and begun is None:
        return _by_rule(machine, macs_a_module, deviation)
    precision = begun if asked == "auto" and begun is not None else asked
    assert precision != "auto"
    reason = "the results that exist already have it" if asked == "auto" else ""
    if precision == "bfloat16" and not machine.multiplies_bfloat16:
        reason = f"{reason}, but " if reason else "it was asked for, but "
        return Decision(precision, f"{reason}{machine.name} {_EMULATION}", is_warning=True)
    return Decision(precision, reason)


def _by_rule(machine: Machine, macs_a_module: float, deviation: Callable[[], float | None]) -> Decision:
    if not machine.multiplies_bfloat16:
        return Decision("float32", f"{machine.name} {_EMULATION}")
    if macs_a_module < _FEWEST_MACS_A_MODULE:
        return Decision("float32", "its modules are too small to gain from bfloat16")
    found = deviation()
    if found is None:
        return Decision("float32", "its data can be read only once, so bfloat16 cannot be tried first")
    differ = f"on a few inputs, outputs in bfloat16 and float32 differ by {found:.1%} of their spread"
    if not found <= _LARGEST_DEVIATION:  # nor NaN
        return Decision("float32", f"{differ}, and at most {_LARGEST_DEVIATION:.0%} is accepted")
    return Decision("bfloat16", f"{machine.name} computes in bfloat16, and {differ}")
