"""How far a network is to be pruned, and how much worse it may become."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Real

from unravelnet.errors import ArgumentError
from unravelnet.kinds import is_whole
from unravelnet.wording import counted, percent

USUAL_ERROR_INCREASE = 1.0
# A share of operations adds up from parts.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Size:
    """How large a network on a route is: the number of deleted modules, and shares of the intact network's."""

    n_deleted: int
    macs: float
    parameters: float
    latency: float | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search is to reach, and what it may cost.

    >>> Budget(macs=0.5).is_reached(Size(n_deleted=30, macs=0.49, parameters=0.6))
    True
    >>> print(Budget(n_deleted=6, error_increase=1.0))
    6 modules deleted, with at most 1 point more error

    `n_deleted`: how many modules are to go. `macs`, `parameters`, `latency`: the largest share that may be left.
    `error_increase`: the most percentage points of error that may be added. Without anything to reach, a search goes
    on as long as the error allows. Raises ArgumentError for values that no network can have.
    """

    n_deleted: int | None = None
    macs: float | None = None
    parameters: float | None = None
    latency: float | None = None
    error_increase: float | None = None

    def __post_init__(self) -> None:
        if self.n_deleted is not None and not (is_whole(self.n_deleted) and self.n_deleted >= 1):
            raise ArgumentError(
                f"n_deleted is {self.n_deleted!r}; give the number of modules to delete, 1 or more."
            )
        for name in ("macs", "parameters", "latency"):
            share = getattr(self, name)
            if share is not None and not (_is_number(share) and 0 < share < 1):
                raise ArgumentError(
                    f"{name} is {share!r}; give the share that may be left, between 0 and 1, such as 0.5."
                )
        increase = self.error_increase
        if increase is not None and not (_is_number(increase) and 0 <= increase <= 100):
            raise ArgumentError(
                f"error_increase is {increase!r}; give percentage points from 0 to 100, such as 1.0."
            )

    @property
    def has_target(self) -> bool:
        """Whether there is a size to reach, and not only an error to stay below."""
        return any(getattr(self, name) is not None for name in _TARGETS)

    def is_reached(self, size: Size) -> bool:
        """Whether a network is small enough; never where there is nothing to reach."""
        return self.has_target and not self.misses(size)

    def misses(self, size: Size) -> list[str]:
        """Say which targets a network misses, and by what."""
        found = []
        if self.n_deleted is not None and size.n_deleted < self.n_deleted:
            found.append(f"{self.n_deleted} deleted modules, and {size.n_deleted} are deleted")
        for name in ("macs", "parameters", "latency"):
            most, left = getattr(self, name), getattr(size, name)
            if most is not None and (left is None or left > most + _ROUNDING):
                measured = "it was not measured" if left is None else f"{percent(left)} are left"
                found.append(f"at most {percent(most)} of the {_WORDS[name]}, and {measured}")
        return found

    def allows(self, error_increase: float | None) -> bool:
        """Whether an increase of the error, as a share of the predictions, is within the budget."""
        if self.error_increase is None:
            return True
        return error_increase is not None and 100 * error_increase <= self.error_increase + _ROUNDING

    def __str__(self) -> str:
        parts = []
        if self.n_deleted is not None:
            parts.append(f"{counted(self.n_deleted, 'module')} deleted")
        for name in ("macs", "parameters", "latency"):
            share = getattr(self, name)
            if share is not None:
                parts.append(f"at most {percent(share)} of the {_WORDS[name]}")
        text = " and ".join(parts) or "as many modules deleted as the error allows"
        if self.error_increase is None:
            return text
        points = "point" if self.error_increase == 1 else "points"
        return f"{text}, with at most {self.error_increase:g} {points} more error"


_TARGETS = tuple(field.name for field in fields(Budget) if field.name != "error_increase")
_WORDS = {"macs": "MACs", "parameters": "parameters", "latency": "time"}


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(float(value))
