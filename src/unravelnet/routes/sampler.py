"""Random routes for training: which residual modules a mini-batch passes through.

    all                            every module, always
    stochastic-depth:0.5           module l of L is kept with probability 1 - l/L · (1 - 0.5), independently
    exactly:23                     23 modules, drawn anew each time
    exactly:23,keep=downsampling   the same, with those that change the shape among the 23 each time
    uniform                        a number of modules drawn uniformly from 0 to L, then that many at random
    route:0-2,3s,4                 always this route, in training and in tests: what is left of a pruned network

A module that is not kept is passed by its skip only, and its branch is not computed. A module that has no
skip and changes the shape is kept in every route (`always`); `exactly` counts it among its number.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np

from unravelnet.errors import TrainingError, unknown_name
from unravelnet.routes.route import Route
from unravelnet.wording import counted

_KNOWN = ("all", "stochastic-depth:0.5", "exactly:23", "uniform", "route:0-2,3s,4")
_N = TypeVar("_N", int, float)
_TEXT = re.compile(r"([a-z-]+)(?::(.*))?")
_KEEP = ",keep=downsampling"


class Keepable(Protocol):
    """What a sampler asks of a residual module."""

    @property
    def index(self) -> int:
        """Its number, from 0."""

    @property
    def is_deletable(self) -> bool:
        """Whether anything can take its place."""

    @property
    def keeps_shape(self) -> bool:
        """Whether its output has the shape of its input."""


class RouteSampler(abc.ABC):
    """A way to draw routes. `str` gives the text that `parse_route_sampler` reads.

    `tested`: the route that the network is tested on while it is trained; None: all modules.
    """

    tested: ClassVar[Route | None] = None

    def always_kept(self, modules: Iterable[Keepable]) -> list[int]:
        """List the modules that every route keeps, for nothing could take their place: `always`, in what follows."""
        return [module.index for module in modules if not module.is_deletable]

    @abc.abstractmethod
    def sample(
        self, n_modules: int, generator: np.random.Generator, *, always: Collection[int] = ()
    ) -> Route:
        """Draw a route through a network of `n_modules`; the modules in `always` are kept."""

    def survival(self, n_modules: int, *, always: Collection[int] = ()) -> tuple[float, ...]:
        """Give the probability of each module to be kept, 1 for those in `always`."""
        kept = set(always)
        drawn = self._survival(n_modules, len(kept))
        return tuple(1.0 if module in kept else drawn[module] for module in range(n_modules))

    @abc.abstractmethod
    def _survival(self, n_modules: int, n_always: int) -> tuple[float, ...]:
        """Give the probability of each module to be kept if it is none of those that always are."""

    def branch_scales(self, n_modules: int, *, always: Collection[int] = ()) -> tuple[float, ...]:
        """Give the factor of each branch in evaluation mode, when all modules are passed.

        With stochastic depth and with exactly so many modules it is the probability of survival, so that the stream is
        on average what it was in training; else 1.
        """
        return (1.0,) * n_modules

    def check(self, n_modules: int, *, always: Collection[int] = ()) -> None:
        """Raise TrainingError where a network of this size has no such routes; most samplers fit all."""
        return


@dataclass(frozen=True, slots=True)
class AllModules(RouteSampler):
    """Every module, always: ordinary training."""

    def __str__(self) -> str:
        return "all"

    def sample(
        self, n_modules: int, generator: np.random.Generator, *, always: Collection[int] = ()
    ) -> Route:
        return Route.full(n_modules)

    def _survival(self, n_modules: int, n_always: int) -> tuple[float, ...]:
        return (1.0,) * n_modules


@dataclass(frozen=True, slots=True)
class StochasticDepth(RouteSampler):
    """Each module by itself, later ones less often: p_l = 1 - l/L · (1 - p_L) for l = 1 … L.

    >>> StochasticDepth(0.5).survival(4)
    (0.875, 0.75, 0.625, 0.5)

    `last`: p_L, the survival of the last module. Source: Huang et al. 2016, linear decay; 54 modules keep
    40.25 on average with p_L = 0.5.
    """

    last: float

    def __post_init__(self) -> None:
        if not 0 < self.last <= 1:
            raise TrainingError(
                f"The survival of the last module is {self.last}; give a number above 0 and up to 1, such as "
                "stochastic-depth:0.5."
            )

    def __str__(self) -> str:
        return f"stochastic-depth:{self.last}"

    def sample(
        self, n_modules: int, generator: np.random.Generator, *, always: Collection[int] = ()
    ) -> Route:
        kept = generator.random(n_modules) < np.array(self.survival(n_modules))
        return _keeping(np.flatnonzero(kept), n_modules, always)

    def _survival(self, n_modules: int, n_always: int) -> tuple[float, ...]:
        return tuple(1 - module / n_modules * (1 - self.last) for module in range(1, n_modules + 1))

    def branch_scales(self, n_modules: int, *, always: Collection[int] = ()) -> tuple[float, ...]:
        return self.survival(n_modules, always=always)


@dataclass(frozen=True, slots=True)
class Exactly(RouteSampler):
    """The same number of modules each time, all choices equally likely.

    >>> Exactly(2).survival(4)
    (0.5, 0.5, 0.5, 0.5)

    `keeps_downsampling`: whether the modules that change the shape are kept each time; they count among the number.
    Source: training on effective paths only, 23 of 54, in Veit et al. 2016. How such a network is tested is not said
    there. Here with all modules, scaled as those of stochastic depth: on held-out training images that erred less
    than unscaled branches in each of four trials (results/effective_paths/recipe_trials.csv).
    """

    n_kept: int
    keeps_downsampling: bool = False

    def __post_init__(self) -> None:
        if self.n_kept < 0:
            raise TrainingError(
                f"A route cannot keep {counted(self.n_kept, 'module')}; give 0 or more, such as exactly:23."
            )

    def __str__(self) -> str:
        return f"exactly:{self.n_kept}{_KEEP if self.keeps_downsampling else ''}"

    def always_kept(self, modules: Iterable[Keepable]) -> list[int]:
        return [
            module.index
            for module in modules
            if not module.is_deletable or (self.keeps_downsampling and not module.keeps_shape)
        ]

    def sample(
        self, n_modules: int, generator: np.random.Generator, *, always: Collection[int] = ()
    ) -> Route:
        self.check(n_modules, always=always)
        return _draw(self.n_kept, n_modules, generator, always)

    def _survival(self, n_modules: int, n_always: int) -> tuple[float, ...]:
        n_drawn_from = n_modules - n_always
        share = (self.n_kept - n_always) / n_drawn_from if n_drawn_from else 1.0
        return (share,) * n_modules

    def branch_scales(self, n_modules: int, *, always: Collection[int] = ()) -> tuple[float, ...]:
        return self.survival(n_modules, always=always)

    @property
    def _why_kept(self) -> str:
        return "are kept each time" if self.keeps_downsampling else "cannot be skipped"

    def check(self, n_modules: int, *, always: Collection[int] = ()) -> None:
        if not len(set(always)) <= self.n_kept <= n_modules:
            raise TrainingError(
                f"Routes with exactly {counted(self.n_kept, 'module')} do not exist here: the network has {n_modules} "
                f"residual modules, of which {len(set(always))} {self._why_kept}. "
                f"Give a number from {len(set(always))} to {n_modules}."
            )


@dataclass(frozen=True, slots=True)
class Uniform(RouteSampler):
    """A number of modules from 0 to all, each as likely, then that many at random.

    >>> Uniform().survival(2)
    (0.5, 0.5)

    So that the network meets every effective depth equally often.
    """

    def __str__(self) -> str:
        return "uniform"

    def sample(
        self, n_modules: int, generator: np.random.Generator, *, always: Collection[int] = ()
    ) -> Route:
        n_kept = int(generator.integers(len(set(always)), n_modules, endpoint=True))
        return _draw(n_kept, n_modules, generator, always)

    def _survival(self, n_modules: int, n_always: int) -> tuple[float, ...]:
        return (0.5,) * n_modules


@dataclass(frozen=True, slots=True)
class OneRoute(RouteSampler):
    """Always the same route.

    >>> OneRoute(Route.parse("0,1s,2")).survival(3)
    (1.0, 0.0, 1.0)

    The network is tested on it as well, and says whether it fits.
    """

    route: Route

    def __str__(self) -> str:
        return f"route:{self.route}"

    @property
    def tested(self) -> Route:  # type: ignore[override]  # one for each
        """The route itself."""
        return self.route

    def sample(
        self, n_modules: int, generator: np.random.Generator, *, always: Collection[int] = ()
    ) -> Route:
        return self.route

    def _survival(self, n_modules: int, n_always: int) -> tuple[float, ...]:
        kept = {step.module for step in self.route.visits if step.mode != "skip"}
        return tuple(float(module in kept) for module in range(n_modules))


def parse_route_sampler(text: str) -> RouteSampler:
    """Read a route sampler from its text.

    >>> parse_route_sampler("exactly:23,keep=downsampling")
    Exactly(n_kept=23, keeps_downsampling=True)

    Raises UnknownNameError for another name, and TrainingError for a number that is missing or does not fit.
    """
    match = _TEXT.fullmatch(text.strip())
    name, number = (match[1], match[2]) if match else (text, None)
    if name == "stochastic-depth":
        return StochasticDepth(_number(text, number, float))
    if name == "route":
        return OneRoute(Route.parse(number or ""))
    if name == "exactly":
        keeps = (number or "").endswith(_KEEP)
        return Exactly(_number(text, (number or "").removesuffix(_KEEP), int), keeps)
    if name in ("all", "uniform"):
        if number is not None:
            raise TrainingError(f"{text!r} has a number too many; write {name!r}.")
        return AllModules() if name == "all" else Uniform()
    raise unknown_name("route sampler", text, _KNOWN)


def _number(text: str, number: str | None, kind: Callable[[str], _N]) -> _N:
    try:
        return kind(number or "")
    except ValueError:
        example = next(known for known in _KNOWN if known.startswith(text.partition(":")[0]))
        raise TrainingError(f"{text!r} needs a number behind the colon, as in {example!r}.") from None


def _draw(n_kept: int, n_modules: int, generator: np.random.Generator, always: Collection[int]) -> Route:
    free = [module for module in range(n_modules) if module not in always]
    drawn = generator.permutation(free)[: n_kept - (n_modules - len(free))]
    return _keeping(drawn, n_modules, always)


def _keeping(kept: Collection[int] | np.ndarray, n_modules: int, always: Collection[int]) -> Route:
    return Route.full(n_modules).keep(*(int(module) for module in kept), *always)
