"""Studies, metrics, figures, claims and scores by name: our own, and those of installed packages.

A registry knows where each value is and loads it when it is first asked for. Our own values are listed below. A
package lists its values in its metadata, as entry points of the registry's group. docs/extending.md shows how.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from unravelnet.errors import ExtensionError, UnravelError, one_line, unknown_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_Value = TypeVar("_Value")
_METRICS, _STUDIES, _FIGURES = "unravelnet.measuring.metrics", "unravelnet.studies", "unravelnet.figures"
_CLAIM, _SCORE = "unravelnet.reporting.words.claim", "unravelnet.pruning.score"


class Registry(Generic[_Value]):
    """Values of one kind, by name.

    >>> STUDIES.find("delete_each").title
    'Deleting each module'

    `word`: what one value is called. `kind`: the place of the class of the values, as "module:Class". `own`: the places
    of our own values by their names. `group`: the last part of the name of the entry points' group. `gives`: the
    function of a value, and the place of the class of what it returns, alone or in a list. A name of our own keeps our
    own value, whatever packages register.
    """

    def __init__(
        self, word: str, group: str, kind: str, own: Mapping[str, str], *, gives: tuple[str, str]
    ) -> None:
        self.word = word
        self.group = f"unravelnet.{group}"
        self.own = own
        self._kind = kind
        self._gives = gives

    def names(self) -> list[str]:
        """List the names of our own values, and behind them those that packages register."""
        return [*self.own, *sorted(self._from_outside().keys() - self.own.keys())]

    def find(self, name: str) -> _Value:
        """Load the value of a name.

        Raises UnknownNameError for an unknown name, and ExtensionError where a package's value cannot be used.
        """
        if name in self.own:
            value: _Value = _at(self.own[name])
            return value
        found = self._from_outside()
        if name not in found:
            raise unknown_name(self.word, name, self.names())
        return self._loaded(name, found[name])

    def __iter__(self) -> Iterator[_Value]:
        return map(self.find, self.names())

    def usable(self) -> tuple[list[_Value], list[str]]:
        """Load all values; of those that cannot be used, give the sentences that say why."""
        values, sentences = [], []
        for name in self.names():
            try:
                values.append(self.find(name))
            except ExtensionError as error:
                sentences.append(str(error))
        return values, sentences

    def _from_outside(self) -> Mapping[str, list[EntryPoint]]:
        return _entry_points(self.group, tuple((place, _time_of(place)) for place in sys.path))

    def _loaded(self, name: str, points: list[EntryPoint]) -> _Value:
        point = points[0]
        package = _package(point)
        subject = f"{package[0].upper()}{package[1:]} registers the {self.word} {name!r}"
        if len(points) > 1:
            raise ExtensionError(
                f"{subject}, and {_package(points[1])} does so too. Uninstall one of the two."
            )
        kind = _at(self._kind)
        try:
            value = point.load()
        except (Exception, SystemExit) as error:
            raise ExtensionError(
                f"{subject}, but {point.value} cannot be loaded: {one_line(error)} Mend the package, or uninstall it."
            ) from error
        if not isinstance(value, kind):
            raise ExtensionError(
                f"{subject}, but {point.value} is of the class {type(value).__name__}. Make it a value of "
                f"{kind.__module__}.{kind.__name__}."
            )
        if value.name != name:
            raise ExtensionError(
                f"{subject}, but {point.value} has the name {value.name!r}. Give both the same name."
            )
        functions = [field.name for field in fields(value) if callable(getattr(value, field.name))]
        guarded: _Value = replace(
            value, **{f: self._guarded(f, getattr(value, f), subject) for f in functions}
        )
        return guarded

    def _guarded(self, name: str, function: Callable[..., Any], subject: str) -> Callable[..., Any]:
        """Let a function of an extension's value blame the package for errors that are not ours."""

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            try:
                given = function(*args, **options)
            except UnravelError:
                raise
            except (Exception, SystemExit) as error:
                raise ExtensionError(
                    f"{subject}, which failed: {one_line(error)} Mend the package, or uninstall it."
                ) from error
            self._check(name, given, subject)
            return given

        return call

    def _check(self, name: str, given: object, subject: str) -> None:
        function, place = self._gives
        parts = given if isinstance(given, list) else [given]
        if name != function or all(isinstance(part, _at(place)) for part in parts):
            return
        wrong = next(part for part in parts if not isinstance(part, _at(place)))
        raise ExtensionError(
            f"{subject}, whose {name} gives a value of the class {type(wrong).__name__}. It must give "
            f"{place.replace(':', '.')}."
        )


@functools.lru_cache(maxsize=16)
def _entry_points(group: str, places: tuple[tuple[str, int], ...]) -> Mapping[str, list[EntryPoint]]:
    """Read the entry points of a group, from the files of all packages: once, until something is installed.

    `places`: where packages are, each with the time at which one was installed or removed last.
    """
    # Its import takes a tenth of a second, which a command that needs no extension does not spend.
    from importlib.metadata import entry_points

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        if point not in found.setdefault(point.name, []):
            found[point.name].append(point)
    return found


def _time_of(place: str) -> int:
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return 0


def _at(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def _package(point: EntryPoint) -> str:
    distribution = point.dist
    return "an installed package" if distribution is None else f"the package {distribution.name}"


def _in(module: str, *names: str) -> dict[str, str]:
    """Place values in a module, each under its name in capitals."""
    return {name: f"{module}:{name.upper()}" for name in names}


# Their classes are in rooms above this one: of studies `studies.Study`, of metrics
# `measuring.metrics.Metric`, of figures `figures.plot.Plot`, of claims
# `reporting.words.claim.Judge`, of scores `pruning.score.Score`.
STUDIES: Registry[Any] = Registry(
    "study",
    "studies",
    "unravelnet.studies.study:Study",
    {
        **_in(f"{_STUDIES}.single", "delete_each"),
        **_in(f"{_STUDIES}.drawn", "delete_many", "delete_many_same_shape", "reorder"),
        **_in(f"{_STUDIES}.single", "remove_skip_each"),
        **_in(f"{_STUDIES}.pairs", "delete_pairs"),
        **_in(f"{_STUDIES}.spans", "repeat_spans", "reverse_spans", "parallel_spans"),
        **_in(f"{_STUDIES}.doses", "scale_each"),
        **_in(f"{_STUDIES}.means", "mean_ablate_each"),
        **_in(f"{_STUDIES}.cuts", "delete_first", "delete_last", "shuffle_middle"),
    },
    gives=("plan", f"{_STUDIES}.trial:Trial"),
)
METRICS: Registry[Any] = Registry(
    "metric",
    "metrics",
    f"{_METRICS}:Metric",
    _in(
        _METRICS,
        "error_rate",
        "top5_error_rate",
        "accuracy",
        "loss",
        "nll",
        "perplexity",
        "agreement",
        "kl_divergence",
        "cosine",
        "squared_error",
    ),
    gives=("values", "torch:Tensor"),
)
FIGURES: Registry[Any] = Registry(
    "figure",
    "figures",
    f"{_FIGURES}.plot:Plot",
    {
        **_in(f"{_FIGURES}.of_lesions", "delete_each", "delete_many", "delete_many_same_shape", "reorder"),
        **_in(f"{_FIGURES}.of_lesions", "remove_skip_each"),
        **_in(f"{_FIGURES}.pairs", "delete_pairs"),
        **_in(f"{_FIGURES}.spans", "repeat_spans", "reverse_spans", "parallel_spans"),
        **_in(f"{_FIGURES}.doses", "scale_each"),
        **_in(f"{_FIGURES}.of_lesions", "mean_ablate_each", "shuffle_middle"),
        **_in(f"{_FIGURES}.cuts", "delete_first", "delete_last"),
        **_in(f"{_FIGURES}.importance", "importance"),
    },
    gives=("draw", "matplotlib.figure:Figure"),
)
# Our own claims are judged topic by topic, in the order in which they are told.
CLAIMS: Registry[Any] = Registry("claim", "claims", f"{_CLAIM}:Judge", {}, gives=("judge", f"{_CLAIM}:Claim"))
SCORES: Registry[Any] = Registry(
    "score",
    "scores",
    f"{_SCORE}:Score",
    _in(
        "unravelnet.pruning.scores",
        "deletion",
        "deletion_error_rate",
        "first_order",
        "first_order_odds",
        "block_influence",
        "angular_distance",
        "relative_magnitude",
        "gradient_cosine",
        "path_gradient_share",
    ),
    gives=("values", "torch:Tensor"),
)
_STRATEGIES = "unravelnet.pruning.strategies"
STRATEGIES: Registry[Any] = Registry(
    "strategy",
    "strategies",
    "unravelnet.pruning.strategy:Strategy",
    {
        **_in(f"{_STRATEGIES}.one_shot", "one_shot"),
        **_in(f"{_STRATEGIES}.greedy", "greedy"),
        **_in(f"{_STRATEGIES}.beam", "beam"),
        **_in(f"{_STRATEGIES}.evolutionary", "evolutionary"),
        **_in(f"{_STRATEGIES}.span", "span"),
        **_in(f"{_STRATEGIES}.linear_patch", "linear_patch"),
    },
    gives=("search", "collections.abc:Iterator"),
)
