"""What a graph is made of: its residual modules, nested and named, or the row of plain layers where it has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from torch import fx

from unravelnet.capture.account import left_out, unexplained
from unravelnet.capture.junctions import Region, junction_regions
from unravelnet.capture.kinds.kind import Operands
from unravelnet.capture.operations import RECURRENT, is_sum, operation
from unravelnet.capture.stream import Stream, common_path, shape_of


@dataclass(frozen=True)
class Structure:
    """The outermost residual modules in execution order, and the sums that look like one and are none.

    `stream`: the one that they are on.
    """

    stream: Stream
    regions: list[Region]
    unexplained: list[str]


def find_structure(streams: Sequence[Stream]) -> Structure:
    """Find the residual modules of a graph; for a network without any, its plain layers.

    `streams`: one of each input with learned layers behind it, the one with most layers first, and one of all of them
    together. The first with most residual modules is taken apart: in (x, t) of a diffusion model, t has most layers
    behind it and x the modules; in an encoder with a decoder, both have some. Those of the others are listed.
    """
    found = {stream: junction_regions(stream) for stream in streams}
    stream, regions = max(found.items(), key=lambda item: len(item[1]))
    behind_others = {region.junction for others in found.values() for region in others}
    elsewhere = sorted(behind_others - stream.nodes, key=stream.position.__getitem__)
    if regions:
        outermost = _nest(regions)
        for level in (outermost, *(region.inner for region in regions)):
            _attach_after(stream, level)
        _name(stream, regions)
        return Structure(stream, outermost, unexplained(stream, regions, elsewhere))
    layers = _plain_regions(stream)
    _name(stream, layers)
    return Structure(stream, layers, left_out(stream, layers, elsewhere))


def _nest(regions: Sequence[Region]) -> list[Region]:
    """Hang each region into the smallest one that holds it; return those that are held by none."""
    outermost: list[Region] = []
    for region in regions:
        holders = [other for other in regions if region.junction in other.interior]
        if holders:
            min(holders, key=lambda other: len(other.interior)).inner.append(region)
        else:
            outermost.append(region)
    return outermost


# -- plain layers --


def _plain_regions(stream: Stream) -> list[Region]:
    """Read a network without junctions as a row of learned layers with what follows them.

    Where most layers stand beside the row, as those of Inception do, it has no such row.
    """
    main_road = stream.main_road
    layers = [node for node in main_road if stream.is_learned(node) and operation(node) not in RECURRENT]
    if 2 * len(layers) < sum(map(stream.is_learned, stream.nodes)):
        return []
    regions = [_plain_region(stream, main_road, layer) for layer in layers if _has_entry(stream, layer)]
    return regions[:-1]


def _has_entry(stream: Stream, layer: fx.Node) -> bool:
    return isinstance(stream.dominator[layer], fx.Node)


def _plain_region(stream: Stream, main_road: Sequence[fx.Node], layer: fx.Node) -> Region:
    """Take a layer with the normalisation and non-linearity that follow it."""
    behind = main_road[main_road.index(layer) + 1 :]
    tail = takewhile(lambda node: _belongs_to_layer(stream, node, layer), behind)
    end = [layer, *tail][-1]
    entry = stream.dominator[layer]
    return Region(entry, end, Operands(None, (end,)), frozenset(stream.between(entry, end)) - {end})


def _belongs_to_layer(stream: Stream, node: fx.Node, layer: fx.Node) -> bool:
    """Whether a node on the main road is normalisation or non-linearity of the layer before it."""
    return (
        shape_of(node) in (shape_of(layer), None)
        and not stream.mixes_positions(node)
        and not any(map(stream.mixes_positions, stream.between(stream.dominator[node], node)))
    )


# -- what follows a junction --


def _attach_after(stream: Stream, regions: Sequence[Region]) -> None:
    """Give each module the nodes behind its junction that belong to it.

    A ReLU in post-activation networks or a normalisation in post-norm transformers follows every junction;
    what follows only one (a last normalisation, a pooling between stages) belongs to the network. So the run
    behind a junction is the module's own where more than half of the modules have the same.
    """
    runs = [_run_behind(stream, region) for region in regions]
    if not runs:
        return
    signatures = [tuple(operations for _, operations in run) for run in runs]
    common, count = Counter(signatures).most_common(1)[0]
    if 2 * count <= len(regions):
        return
    for region, run, signature in zip(regions, runs, signatures, strict=True):
        if signature[: len(common)] == common:
            region.after = tuple(node for nodes, _ in run[: len(common)] for node in nodes)


def _run_behind(stream: Stream, region: Region) -> list[tuple[Sequence[fx.Node], tuple[object, ...]]]:
    """Follow the stream behind a junction through pieces that keep its shape and hold no layer."""
    run: list[tuple[Sequence[fx.Node], tuple[object, ...]]] = []
    start = region.junction
    end = stream.post_dominator.get(start)
    while isinstance(end, fx.Node):
        nodes = stream.between(start, end)
        if any(stream.is_learned(n) or stream.mixes_positions(n) for n in nodes):
            break
        if shape_of(end) == shape_of(region.junction) and stream.dominator.get(end) is start:
            if is_sum(end) and len(stream.operands(end)) == 2:
                break
            run.append((nodes, tuple(operation(n) for n in nodes)))
        else:
            break
        start, end = end, stream.post_dominator.get(end)
    return run


# -- names --


def _name(stream: Stream, regions: Sequence[Region]) -> None:
    """Name each module by the user's submodule that holds it, by its layers where that is not unique."""
    for region in regions:
        region.name = ".".join(common_path([*_branch_nodes(stream, region), region.junction]))
    counts = Counter(region.name for region in regions)
    for region in regions:
        if counts[region.name] > 1 or not region.name:
            nodes = _branch_nodes(stream, region)
            layers = [n for n in nodes if stream.is_learned(n) or stream.mixes_positions(n)]
            region.name = ".".join(common_path(layers)) or region.name
    # Of modules inside one another the outer one, which begins first, gets the first number.
    _number_repeats(sorted(regions, key=lambda region: stream.position[region.entry]))


def _branch_nodes(stream: Stream, region: Region) -> list[fx.Node]:
    ways = [stream.between(region.entry, value) for value in region.operands.branch]
    return [node for way in ways for node in way if node in region.interior or node is region.junction]


def _number_repeats(regions: Sequence[Region]) -> None:
    counts = Counter(region.name for region in regions)
    seen: Counter[str] = Counter()
    for region in regions:
        if counts[region.name] > 1 or not region.name:
            seen[region.name] += 1
            region.name = f"{region.name or 'model'}#{seen[region.name]}"
