"""What a route is made of: visits of single modules, and parallel spans of several that read one input."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

from unravelnet.errors import RouteError

if TYPE_CHECKING:
    from unravelnet.routes.route import Route

Mode = Literal["both", "skip", "branch", "mean"]
MODES: tuple[Mode, ...] = ("both", "skip", "branch", "mean")


def computes_branch(mode: Mode) -> bool:
    """Whether the branch is computed in a mode: not where it is missing, or its mean stands in its place."""
    return mode in ("both", "branch")


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """One visit of one residual module.

    >>> Step(3, "skip")
    Step(module=3, mode='skip')
    >>> Step(3, scale=0) == Step(3, "skip")
    True

    `module`: index of the residual module. `mode`: "both" (skip + branch), "skip" (module deleted), "branch" (skip
    removed) or "mean" (skip + the mean of the branch over a sample). `scale`: what the branch is multiplied by; a scale
    of 0 deletes the module. `inside`: the route that is taken through the residual modules inside the branch; None
    visits all of them.
    """

    module: int
    mode: Mode = "both"
    scale: float = 1.0
    inside: Route | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.module, Integral):
            raise RouteError(f"A step names module {self.module!r}; give its index, a whole number.")
        if self.module < 0:
            raise RouteError(f"A step names module {self.module}; indices of modules start at 0.")
        if self.mode not in MODES:
            raise RouteError(f"A step has mode {self.mode!r}; expected 'both', 'skip', 'branch' or 'mean'.")
        if self.scale != 1.0 or type(self.scale) is not float:
            self._settle_scale()
        if not self.computes_branch and self.inside is not None:
            what = "is deleted" if self.mode == "skip" else "has its mean in the place of its branch"
            raise RouteError(
                f"Module {self.module} {what}, so no route leads into it. Take one of the two out."
            )

    def _settle_scale(self) -> None:
        if not isinstance(self.scale, Real) or not isfinite(self.scale):
            raise RouteError(
                f"The branch of module {self.module} is scaled by {self.scale!r}; give a finite number."
            )
        if self.mode == "mean" and self.scale != 1:
            raise RouteError(
                f"Module {self.module} has its mean in the place of its branch, which is not scaled by {self.scale}. "
                "Take one of the two out."
            )
        if self.scale == 0 and self.mode == "branch":
            raise RouteError(
                f"Module {self.module} has no skip in this step and its branch is scaled by 0, so nothing is left. "
                "Keep the skip, or give another number."
            )
        if self.scale != 0 and self.mode == "skip" and self.scale != 1:
            raise RouteError(
                f"Module {self.module} is deleted, so it has no branch to scale by {self.scale}. Take one of the "
                "two out."
            )
        is_deleted = self.scale == 0
        object.__setattr__(self, "scale", 1.0 if is_deleted else float(self.scale))
        if is_deleted:
            object.__setattr__(self, "mode", "skip")
            object.__setattr__(self, "inside", None)

    @property
    def visits(self) -> tuple[Step, ...]:
        """The visits of single modules: this one."""
        return (self,)

    @property
    def is_plain(self) -> bool:
        """Whether the module is visited as it is: with skip and branch, unscaled, and all that is inside."""
        return self.mode == "both" and self.scale == 1.0 and self.inside is None

    @property
    def computes_branch(self) -> bool:
        """Whether the branch is computed."""
        return computes_branch(self.mode)

    @property
    def path_count(self) -> int:
        """The number of ways from its input to its output: around the branch, and through it."""
        own = 1 if self.inside is None else self.inside.path_count
        through = own if self.computes_branch else 0
        return (self.mode != "branch") + through

    @property
    def longest_path(self) -> int:
        """The most branches that a way from its input to its output enters."""
        inside = 0 if self.inside is None else self.inside.longest_path
        return 1 + inside if self.computes_branch else 0

    def at(self, module: int) -> Step:
        """Visit another module in the same way."""
        return Step(module, self.mode, self.scale, self.inside)

    def __repr__(self) -> str:
        more = f", scale={self.scale}" if self.scale != 1.0 else ""
        more += f", inside={self.inside!r}" if self.inside is not None else ""
        return f"Step(module={self.module}, mode={self.mode!r}{more})"


@dataclass(frozen=True, slots=True)
class Parallel:
    """Visits that read one input: x + f4(x) + f5(x) + f6(x). Their order says nothing, so they are sorted.

    >>> Parallel((Step(5), Step(4))).steps
    (Step(module=4, mode='both'), Step(module=5, mode='both'))

    Raises RouteError for fewer than two visits, and for one without skip: they share one skip.
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if len(self.steps) < 2:
            raise RouteError(f"A parallel span has two visits or more; got {len(self.steps)}.")
        for step in self.steps:
            if step.mode == "branch":
                raise RouteError(
                    f"Module {step.module} is in a parallel span, whose modules share one skip, so it cannot lose its "
                    "own. Delete it, or take it out of the span."
                )
        object.__setattr__(self, "steps", tuple(sorted(self.steps, key=_order)))

    @property
    def visits(self) -> tuple[Step, ...]:
        """The visits of single modules."""
        return self.steps

    @property
    def path_count(self) -> int:
        """The number of ways from its input to its output: one around all branches, and those through each."""
        return 1 + sum(step.path_count - 1 for step in self.steps)

    @property
    def longest_path(self) -> int:
        """The most branches that a way from its input to its output enters."""
        return max(step.longest_path for step in self.steps)


AnyStep = Step | Parallel


def _order(step: Step) -> tuple[Any, ...]:
    return step.module, step.mode, step.scale, str(step.inside or "")
