"""Spans of modules that follow each other: passed twice, passed backwards, or put side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from unravelnet.errors import RouteError
from unravelnet.kinds import is_whole
from unravelnet.routes.route import Route
from unravelnet.studies.blocks import Unit, in_units
from unravelnet.studies.study import MOST_TRIALS, Study, checked_most, note_left_out
from unravelnet.studies.subject import Network, full_route
from unravelnet.studies.trial import Trial, intact


def repeat_spans(
    net: Network, *, times: int = 2, most: int = MOST_TRIALS, unit: Unit = "module"
) -> list[Trial]:
    """Plan to pass each span of modules several times.

    >>> from unravelnet.zoo import preact_resnet
    >>> trials = repeat_spans(preact_resnet(depth=14))
    >>> [str(trial.route) for trial in trials if ("first_module", 0) in trial.facts]
    ['0,0-5', '0-1,0-5']

    A span lies in one chain, and gives what it takes: the shape of its output is that of its input. `most`: where there
    are more spans, the longest are left out. The three stages of 18 modules in ResNet-110 have 477 spans, which cost
    as much as 270 forward passes of each image. `unit`: "block" takes spans of whole blocks. Raises RouteError for a
    number that is none.
    """
    net, of_modules = in_units(net, unit)
    if not is_whole(times) or times < 2:
        raise RouteError(f"Spans cannot be passed times={times!r} times. Give a whole number of 2 or more.")
    label = "twice" if times == 2 else f"{times} times"

    def ends(modules: list[Any], first: int) -> Iterator[int]:
        for module in in_chain(modules, first):
            if module.output_shape == modules[first].input_shape:
                yield module.index

    def change(full: Route, first: int, last: int) -> Route:
        return full.repeat(first, last + 1, times=times)

    return of_modules(planned_spans(net, "repeat_spans", most, ends, change, label))


def reverse_spans(net: Network, *, most: int = MOST_TRIALS, unit: Unit = "module") -> list[Trial]:
    """Plan to pass each span of two or more modules backwards.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in reverse_spans(preact_resnet(depth=20))]
    ['0-8', '1,0,2-8', '0,2,1,3-8', '0-3,5,4,6-8', '0-6,8,7', '2-0,3-8']

    The modules of a span are of one chain, and all keep the shape of the stream. `most`: where there are more spans,
    the longest are left out. `unit`: "block" reverses the order of whole blocks. Raises RouteError for a number that is
    none.
    """
    net, of_modules = in_units(net, unit)

    def ends(modules: list[Any], first: int) -> Iterator[int]:
        for module in in_chain(modules, first):
            if not module.keeps_shape:
                return
            if module.index > first:
                yield module.index

    def change(full: Route, first: int, last: int) -> Route:
        return full.reverse(first, last + 1)

    return of_modules(planned_spans(net, "reverse_spans", most, ends, change, "backwards"))


def parallel_spans(net: Network, *, most: int = MOST_TRIALS) -> list[Trial]:
    """Plan to let the modules of each span of two or more read one input, so that their branches are added up.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in parallel_spans(preact_resnet(depth=20))]
    ['0-8', '(0-1),2-8', '0,(1-2),3-8', '0-3,(4-5),6-8', '0-6,(7-8)', '(0-2),3-8']

    The modules of a span are of one chain and shape, their skips are the identity, and the same follows their
    junctions. `most`: where there are more spans, the longest are left out. Raises RouteError for a number that is
    none.
    """
    full = full_route(net)
    # What may stand beside its neighbours may stand beside all modules of a span: the conditions are equalities.
    joins = {first for first in range(len(full) - 1) if _takes(net, full.parallel(first, first + 1))}

    def ends(modules: list[Any], first: int) -> Iterator[int]:
        last = first
        while last in joins:
            last += 1
            yield last

    def change(full: Route, first: int, last: int) -> Route:
        return full.parallel(*range(first, last + 1))

    return planned_spans(net, "parallel_spans", most, ends, change, "side by side")


def _takes(net: Network, route: Route) -> bool:
    try:
        net.check(route)
    except RouteError:
        return False
    return True


def planned_spans(
    net: Network,
    study: str,
    most: int,
    ends: Callable[[list[Any], int], Iterator[int]],
    change: Callable[[Route, int, int], Route],
    label: str,
) -> list[Trial]:
    """Plan the spans of a network, the shortest first. `ends`: gives the last modules of those that begin somewhere."""
    most, modules, full = checked_most(most), list(net.residual_modules), full_route(net)
    every = [(first, last) for first in range(len(modules)) for last in ends(modules, first)]
    spans = sorted(every, key=lambda span: (span[1] - span[0], span))
    if len(spans) > most:
        note_left_out(study, most, len(spans), "spans, the shortest")
    return [
        intact(full, study),
        *(
            Trial(
                change(full, first, last),
                study,
                f"{_named(first, last)} {label}",
                facts=(("first_module", first), ("last_module", last)),
            )
            for first, last in spans[:most]
        ),
    ]


def in_chain(modules: list[Any], first: int) -> Iterator[Any]:
    """Give the modules from the first on, as long as they are of its chain."""
    for module in modules[first:]:
        if module.chain != modules[first].chain:
            return
        yield module


def _named(first: int, last: int) -> str:
    return f"module {first}" if first == last else f"modules {first} to {last}"


REPEAT_SPANS = Study(
    "repeat_spans",
    "Passing spans of modules twice",
    "What happens if the stream passes the same modules a second time?",
    plan=lambda net, _: repeat_spans(net),
    figure="repeat_spans",
    columns=("first_module", "last_module"),
    has_many_trials=True,
)
REVERSE_SPANS = Study(
    "reverse_spans",
    "Passing spans of modules backwards",
    "How far must modules be apart for their order to matter?",
    plan=lambda net, _: reverse_spans(net),
    figure="reverse_spans",
    columns=("first_module", "last_module"),
    has_many_trials=True,
)
PARALLEL_SPANS = Study(
    "parallel_spans",
    "Putting spans of modules side by side",
    "Must a module read what the modules before it wrote?",
    plan=lambda net, _: parallel_spans(net),
    figure="parallel_spans",
    columns=("first_module", "last_module"),
    has_many_trials=True,
)
