"""A trial: one route with its place in a study."""

from __future__ import annotations

from dataclasses import dataclass

from unravelnet.routes.route import Route

INTACT = "intact"


@dataclass(frozen=True, slots=True)
class Trial:
    """One measurement to make: a route with its place in a study.

    >>> Trial(Route.full(4).delete(2), "delete_each", "module 2")
    Trial(route=Route('0-1,2s,3'), study='delete_each', label='module 2', repeat=0, facts=())

    `study`: the name of the function that planned it. `label`: what is special about it, for people.
    `repeat`: the number of the draw, from 0. `facts`: names and values of columns that its row has beside the usual
    ones.
    """

    route: Route
    study: str = ""
    label: str = ""
    repeat: int = 0
    facts: tuple[tuple[str, int | float | str], ...] = ()


def intact(full: Route, study: str) -> Trial:
    """Make the trial that every study begins with: the network as it is."""
    return Trial(full, study, INTACT)
