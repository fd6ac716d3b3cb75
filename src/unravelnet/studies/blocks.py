"""Whole blocks as units of a study: what a library calls a layer, an attention and an MLP of a transformer together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, Literal

from unravelnet.errors import RouteError, unknown_name
from unravelnet.routes.route import Route
from unravelnet.routes.step import AnyStep, Step
from unravelnet.studies.subject import Network
from unravelnet.studies.trial import Trial

Unit = Literal["module", "block"]
UNITS: tuple[Unit, ...] = ("module", "block")
_ENDS = {"first_module": 0, "second_module": 0, "last_module": -1}


def table_name(study: str, unit: Unit) -> str:
    """Name the table of a study that looks at a network in these units.

    >>> table_name("delete_each", "module"), table_name("delete_each", "block")
    ('delete_each', 'delete_each_of_blocks')
    """
    return study if unit == "module" else f"{study}_of_{unit}s"


@dataclass(frozen=True)
class Block:
    """Residual modules that follow each other and belong to one block, as a study looks at them."""

    index: int
    modules: tuple[Any, ...]

    @property
    def chain(self) -> object:
        """The chain of its modules; one of its own where transitions stand between them, so that it stays in place."""
        chains = {module.chain for module in self.modules}
        return chains.pop() if len(chains) == 1 else ("block", self.index)

    @property
    def input_shape(self) -> Any:
        """The shape of what its first module takes."""
        return self.modules[0].input_shape

    @property
    def output_shape(self) -> Any:
        """The shape of what its last module gives."""
        return self.modules[-1].output_shape

    @property
    def keeps_shape(self) -> bool:
        """Whether the two are the same."""
        return bool(self.input_shape == self.output_shape)

    @property
    def is_deletable(self) -> bool:
        """Whether all of its modules can be deleted."""
        return all(module.is_deletable for module in self.modules)

    @property
    def skip(self) -> Any:
        """What leads around it; None where it has several modules, of which each has a skip of its own."""
        return self.modules[0].skip if len(self.modules) == 1 else None


class Blocks:
    """A network as its blocks, for studies: routes name blocks by their numbers.

    Raises RouteError where no two modules form a block.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        modules = list(net.residual_modules)
        groups = blocks_of([module.name for module in modules])
        if len(groups) == len(modules):
            raise RouteError(
                "No two residual modules of this network form a block: blocks are modules that follow each other under "
                "one numbered part, such as blocks.3.attn and blocks.3.mlp. Study its modules: leave the unit out."
            )
        self.residual_modules = [
            Block(number, tuple(modules[index] for index in group)) for number, group in enumerate(groups)
        ]

    @property
    def full_route(self) -> Route:
        """The route of the intact network."""
        return Route.full(len(self.residual_modules))

    def compatible_with(self, index: int) -> list[int]:
        """List the other blocks that may stand in the place of this one: same chain, same shapes."""
        block = self.residual_modules[index]
        form = (block.chain, block.input_shape, block.output_shape)
        return [
            other.index
            for other in self.residual_modules
            if other.index != index and (other.chain, other.input_shape, other.output_shape) == form
        ]

    def check(self, route: Route) -> Route:
        """Return the route if it fits. Raises RouteError where it does not."""
        self.net.check(self.of_modules(route))
        return route

    def of_modules(self, route: Route) -> Route:
        """Write a route of blocks as one of modules."""
        return Route(tuple(step for visited in route.steps for step in self._steps(visited)))

    def expanded(self, trials: Iterable[Trial]) -> list[Trial]:
        """Write trials of blocks as trials of modules."""
        return [self._expanded(trial) for trial in trials]

    def _expanded(self, trial: Trial) -> Trial:
        changed = [visit.module for visit in trial.route.visits if not visit.is_plain]
        facts: dict[str, Any] = {"unit": "block"}
        if len(changed) == 1:
            facts |= {"block": changed[0], "module": self._ends(changed[0])[0]}
        for name, value in trial.facts:
            facts[name] = self._ends(int(value))[_ENDS[name]] if name in _ENDS else value
        label = trial.label.replace("module", "block")
        return replace(trial, route=self.of_modules(trial.route), label=label, facts=tuple(facts.items()))

    def _ends(self, block: int) -> tuple[int, int]:
        modules = self.residual_modules[block].modules
        return modules[0].index, modules[-1].index

    def _steps(self, visited: AnyStep) -> Iterator[AnyStep]:
        is_plain = isinstance(visited, Step) and visited in (
            Step(visited.module),
            Step(visited.module, "skip"),
            Step(visited.module, "mean"),
        )
        for visit in visited.visits:
            modules = self.residual_modules[visit.module].modules
            if len(modules) > 1 and not is_plain:
                raise RouteError(
                    f"Block {visit.module} is {len(modules)} modules, each with a skip of its own, so as a whole it "
                    "can be deleted and moved, and nothing else. Study its modules: leave the unit out."
                )
        if not isinstance(visited, Step):
            places = tuple(visit.at(self._ends(visit.module)[0]) for visit in visited.visits)
            yield replace(visited, steps=places)
        else:
            yield from (visited.at(module.index) for module in self.residual_modules[visited.module].modules)


def in_units(net: Network, unit: Unit) -> tuple[Network, Callable[[Iterable[Trial]], list[Trial]]]:
    """Give a network as its units, and what writes trials of these as trials of modules.

    Raises UnknownNameError for another unit, RouteError where a network has no blocks.
    """
    if unit not in UNITS:
        raise unknown_name("unit", unit, UNITS)
    if unit == "module":
        return net, list
    blocks = Blocks(net)
    return blocks, blocks.expanded


def blocks_of(names: Sequence[str]) -> list[list[int]]:
    """Group modules into blocks by their names, in order.

    >>> blocks_of(["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.1.mlp.2", "head"])
    [[0, 1], [2, 3], [4]]
    >>> blocks_of(["features.1.0", "features.1.1"])
    [[0], [1]]

    A block is what stands under one numbered part in parts that have names; the deepest such part counts. Numbered
    parts under a numbered part are a stage. A module that shares its part with no neighbour is a block by itself.
    """
    shared = [set(_parts(first)) & set(_parts(second)) for first, second in pairwise(names)]
    keys = []
    for place, name in enumerate(names):
        around = set().union(*shared[max(0, place - 1) : place + 1])
        keys.append(max((part for part in _parts(name) if part in around), key=len, default=f"{place} alone"))
    return [[place for place, _ in group] for _, group in groupby(enumerate(keys), key=lambda item: item[1])]


def _parts(name: str) -> list[str]:
    """List the numbered parts that a module stands under, those that are followed by a name.

    >>> _parts("decoder.block.0.layer.1.0")
    ['decoder.block.0']
    """
    words = name.split(".")
    return [
        ".".join(words[: place + 1])
        for place in range(len(words) - 1)
        if words[place].isdigit() and not words[place + 1].isdigit()
    ]
