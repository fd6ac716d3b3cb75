"""Which whole submodules of the user's model a route keeps, and in which order.

A *container* is an nn.Sequential or nn.ModuleList of the model, a *block* one of its submodules. A block may hold
several residual modules, as those of transformers do (attention and MLP). A route says something of blocks where it
passes through all residual modules of a block or through none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from unravelnet.errors import RouteError
from unravelnet.network import UnraveledNetwork
from unravelnet.routes.route import Route
from unravelnet.routes.step import Parallel, Step
from unravelnet.wording import counted

_NUMBERED = re.compile(r"(.*?)(\d+)")
_OTHER_FORMS = 'The forms "pt2", "onnx" and "directory" take every route.'


@dataclass(frozen=True)
class Container:
    """A container of a model, and the places of the blocks that stay in it.

    `path`: its name in the model. `blocks`: the names of its blocks. `kept`: places among them, in the new order.
    """

    path: str
    blocks: tuple[str, ...]
    kept: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it changes."""
        return self.kept == tuple(range(len(self.blocks)))

    def prefix(self, place: int) -> str:
        """Say with what the names of the tensors of a block begin."""
        return f"{self.path}.{self.blocks[place]}." if self.path else f"{self.blocks[place]}."

    def new_prefixes(self) -> list[tuple[str, str]]:
        """Pair the prefixes of the blocks that stay with those they get: numbers count without gaps."""
        numbered = [_NUMBERED.fullmatch(block) for block in self.blocks]
        first = numbered[0]
        is_row = first is not None and all(match is not None and match[1] == first[1] for match in numbered)
        pairs = []
        for place, old in enumerate(self.kept):
            name = f"{first[1]}{int(first[2]) + place}" if is_row and first else self.blocks[old]
            pairs.append((self.prefix(old), f"{self.path}.{name}." if self.path else f"{name}."))
        return pairs

    def renamed(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the tensors of the blocks that stay, under their new names, and all that is elsewhere."""
        prefixes = tuple(self.prefix(place) for place in range(len(self.blocks)))
        kept = {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}
        for old, new in self.new_prefixes():
            of_block = [name for name in weights if name.startswith(old)]
            kept |= {new + name.removeprefix(old): weights[name] for name in of_block}
        return kept


def containers_of(net: UnraveledNetwork, model: nn.Module, route: Route) -> list[Container]:
    """Say of each container of a model which of its blocks a route keeps.

    Raises RouteError where the route does more to a block than to keep it, to leave it out or to move it.
    """
    _check_plain(net, route)
    home = {module.index: _home(net, model, module.name) for module in net.residual_modules}
    members: dict[tuple[str, str], list[int]] = {}
    for index, place in home.items():
        if place is not None:
            members.setdefault(place, []).append(index)
    visited = [visit.module for visit in route.visits if visit.mode == "both"]
    _check_deletions(net, home, set(home) - set(visited))
    _check_halves(net, members, visited)
    order = _order_of_blocks(route, home, members, visited)
    paths = list(dict.fromkeys(path for path, _ in members))
    return [_container(model, path, members, order) for path in paths]


def _check_plain(net: UnraveledNetwork, route: Route) -> None:
    """Raise where a route changes how a module is passed through."""
    for step in route.steps:
        done = _more_than_a_visit(step)
        if done:
            module = net.residual_modules[step.visits[0].module]
            raise RouteError(
                f"The route {route} {done} {module.name} (module {module.index}), which the original class cannot "
                f"do. {_OTHER_FORMS}"
            )
    for visit in route.visits:
        module = net.residual_modules[visit.module]
        if visit.mode == "skip" and module.kind == "projection":
            raise RouteError(
                f"The skip of {module.name} (module {module.index}) is a projection, which stays when the module is "
                f"deleted, so its block cannot be left out. Keep it. {_OTHER_FORMS}"
            )


def _more_than_a_visit(step: Step | Parallel) -> str:
    if isinstance(step, Parallel):
        return "puts others beside"
    if step.inside is not None:
        return "leads into"
    if step.mode == "branch":
        return "removes the skip of"
    if step.mode == "mean":
        return "puts the mean of the branch in the place of the branch of"
    return "scales" if step.scale != 1.0 else ""


def _home(net: UnraveledNetwork, model: nn.Module, name: str) -> tuple[str, str] | None:
    """Find the container and the block that a residual module is in; None where it is in none.

    It is the innermost container whose blocks with residual modules are of one class. If there is none, as in hybrid
    models, it is the outermost.
    """
    parts = name.split(".")
    found = []
    for n_parts in reversed(range(len(parts))):
        path = ".".join(parts[:n_parts])
        try:
            container = model.get_submodule(path)
        except AttributeError:
            continue
        if isinstance(container, nn.Sequential | nn.ModuleList) and parts[n_parts] in container._modules:
            found.append((path, parts[n_parts]))
            names = {other.name for other in net.residual_modules}
            classes = {
                type(block)
                for child, block in container.named_children()
                if any(_is_in(other, path, child) for other in names)
            }
            if len(classes) == 1:
                return found[-1]
    return found[-1] if found else None


def _is_in(name: str, path: str, block: str) -> bool:
    prefix = f"{path}.{block}" if path else block
    return name == prefix or name.startswith(f"{prefix}.")


def _check_deletions(
    net: UnraveledNetwork, home: Mapping[int, tuple[str, str] | None], deleted: set[int]
) -> None:
    for index in sorted(deleted):
        if home[index] is None:
            raise RouteError(
                f"{net.residual_modules[index].name or 'The module'} (module {index}) is no submodule of an "
                f"nn.Sequential or nn.ModuleList, so the original class cannot be without it. {_OTHER_FORMS}"
            )


def _check_halves(
    net: UnraveledNetwork, members: Mapping[tuple[str, str], Sequence[int]], visited: Sequence[int]
) -> None:
    """Raise where some of the residual modules of a block are left out, and others are not."""
    kept = set(visited)
    halves = {block: own for block, own in members.items() if kept & set(own) and not kept.issuperset(own)}
    if not halves:
        return
    told = []
    for (path, child), own in halves.items():
        gone = [net.residual_modules[index] for index in own if index not in kept]
        names = " and ".join(f"{module.name} (module {module.index})" for module in gone)
        told.append(f"{names} of the block {path}.{child}, which also holds {_others(net, own, kept)}")
    in_halves = {index for own in halves.values() for index in own}
    whole = net.full_route.delete(*sorted((set(range(len(net.residual_modules))) - kept) | in_halves))
    more = f"; and {counted(len(told) - 3, 'more block')}" if len(told) > 3 else ""
    raise RouteError(
        f"The route leaves out halves of blocks: {'; '.join(told[:3])}{more}. The original class has whole "
        f"blocks only. The route {whole} leaves these blocks out whole. {_OTHER_FORMS}"
    )


def _others(net: UnraveledNetwork, own: Sequence[int], kept: set[int]) -> str:
    others = [net.residual_modules[index] for index in own if index in kept]
    return " and ".join(f"{module.name} (module {module.index})" for module in others)


def _order_of_blocks(
    route: Route,
    home: Mapping[int, tuple[str, str] | None],
    members: Mapping[tuple[str, str], Sequence[int]],
    visited: Sequence[int],
) -> list[tuple[str, str]]:
    """List the blocks in the order in which the route passes through them, each as a whole."""
    order: list[tuple[str, str]] = []
    place = 0
    while place < len(visited):
        block = home[visited[place]]
        if block is None:
            place += 1
            continue
        own = list(members[block])
        if list(visited[place : place + len(own)]) != own:
            raise RouteError(
                f"The route {route} does not pass through the residual modules of the block {'.'.join(block)} one "
                f"after the other ({', '.join(map(str, own))}), as the original class does. {_OTHER_FORMS}"
            )
        order.append(block)
        place += len(own)
    paths = list(dict.fromkeys(path for path, _ in members))
    ranks = [paths.index(path) for path, _ in order]
    outside = [index for index in visited if home[index] is None]
    if ranks != sorted(ranks) or outside != sorted(set(outside)):
        raise RouteError(
            f"The route {route} moves blocks from one container of the model to another, which the original class "
            f"cannot do. {_OTHER_FORMS}"
        )
    return order


def _container(
    model: nn.Module,
    path: str,
    members: Mapping[tuple[str, str], Sequence[int]],
    order: Sequence[tuple[str, str]],
) -> Container:
    blocks = list(model.get_submodule(path)._modules)
    kept = [blocks.index(block) for container, block in order if container == path]
    beside = [place for place, block in enumerate(blocks) if (path, block) not in members]
    if beside and kept != sorted(set(kept)):
        raise RouteError(
            f"The container {path or 'of the model'} holds more than blocks with residual modules "
            f"({blocks[beside[0]]}), so their order cannot be changed. {_OTHER_FORMS}"
        )
    return Container(path, tuple(blocks), tuple(sorted({*kept, *beside}) if beside else kept))
