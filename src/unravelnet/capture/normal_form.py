"""Brings a graph into the form in which residual modules are looked for: every sum is an `add` of two values.

A sum has many spellings: `torch.addmm(x, f, W)`, `torch.lerp(x, f, w)`, `torch.stack([x, f]).sum(0)`, a write
into a slice. Each is replaced by additions and products of the same value, up to rounding, where two or more of
its summands are on the stream. Everything else is left as it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import permutations
from typing import Any

import torch
from torch import fx

from unravelnet.capture.operations import PRODUCTS, is_sum, negated, operation
from unravelnet.capture.side_by_side import read_off_rows, share_rows, size_along
from unravelnet.capture.stream import Stream, attribute, shape_of

aten = torch.ops.aten
_END = torch.iinfo(torch.int64).max
_WHOLE = (0, _END, 1)
_ZEROS = {"zeros", "zeros_like", "new_zeros"}


def in_normal_form(stream: Stream) -> Stream:
    """Rewrite the graph of a stream, and of those of other inputs, in place; give the stream of the new graph."""
    on_stream, n_rewritten = set(stream.nodes).union(*(other.nodes for other in stream.others())), 0
    for rules in (_READ_BACK, _RULES):
        for node in list(stream.graph.nodes):
            rule = rules.get(operation(node))
            is_read = rule is not None and node in on_stream and node.users
            value = rule(_Site(node, on_stream)) if rule is not None and is_read else None
            if value is not None:
                node.replace_all_uses_with(value)
                stream.graph.erase_node(node)
                n_rewritten += 1
    for rewrite in (_merge_repeated_sums, share_rows, read_off_rows):
        n_rewritten += rewrite(stream.graph, on_stream)
    if not n_rewritten:
        return stream
    stream.graph.eliminate_dead_code()
    return Stream(stream.graph, logits_place=stream.logits_place)


@dataclass(frozen=True)
class _Site:
    """A node that may be rewritten, and the place to write at."""

    node: fx.Node
    on_stream: set[fx.Node]

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """Read an argument by its place or by its name."""
        if place < len(self.node.args):
            return self.node.args[place]
        return self.node.kwargs.get(name, default)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arguments that are given by their places."""
        return self.node.args

    def place(self, n_values: int) -> tuple[object, ...]:
        """Where a slice or a selection reads or writes, behind its first values; without the dimension if whole."""
        if operation(self.node) in {"select", "select_scatter"}:
            return self.arguments[n_values:]
        dim, start, end, step = (
            self.argument(n_values + number, name, default)
            for number, (name, default) in enumerate((("dim", 0), ("start", 0), ("end", _END), ("step", 1)))
        )
        extent = (start or 0, _END if end is None else end, step)
        return _WHOLE if extent == _WHOLE else (dim, *extent)

    def are_on_stream(self, *summands: Iterable[object]) -> bool:
        """Whether each summand, given by its factors, depends on the stream."""
        return all(any(factor in self.on_stream for factor in factors) for factors in summands)

    def write(self, target: Any, *args: Any) -> fx.Node:
        """Insert an operator before the node, with the shape of its value."""
        graph = self.node.graph
        with graph.inserting_before(self.node):
            new = graph.call_function(target, args)
        new.meta = {**self.node.meta, "val": target(*map(self._value, args))}
        self.on_stream.add(new)
        return new

    def scaled(self, value: fx.Node, factor: object) -> fx.Node:
        """Multiply a value, unless the factor is one."""
        is_one = isinstance(factor, int | float) and factor == 1
        return value if is_one else self.write(aten.mul.Tensor, value, factor)

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, list):
            return [self._value(item) for item in argument]
        if not isinstance(argument, fx.Node):
            return argument
        value = argument.meta.get("val")
        if value is not None:
            return value
        return self.node.meta["val"].fake_mode.from_tensor(attribute(argument), static_shapes=True)


# -- rules: what to write in the place of a node, or None to leave it --


def _product_added(site: _Site) -> fx.Node | None:
    """`addmm(x, a, b)` and its family: beta x + alpha (a @ b)."""
    x, a, b = site.arguments[:3]
    if not site.are_on_stream([x], [a, b]):
        return None
    product = site.write(_PRODUCT_OF[operation(site.node)], a, b)
    scaled = site.scaled(x, site.argument(3, "beta", 1)), site.scaled(product, site.argument(4, "alpha", 1))
    return site.write(aten.add.Tensor, *scaled)


def _elementwise_added(site: _Site) -> fx.Node | None:
    """`addcmul(x, a, b)` and `addcdiv(x, a, b)`: x + value a b, x + value a / b."""
    x, a, b = site.arguments[:3]
    if not site.are_on_stream([x], [a, b]):
        return None
    product = site.write(_PRODUCT_OF[operation(site.node)], a, b)
    return site.write(aten.add.Tensor, x, site.scaled(product, site.argument(3, "value", 1)))


def _interpolated(site: _Site) -> fx.Node | None:
    """`lerp(x, y, w)`: (1 - w) x + w y, as a highway gate is written by hand."""
    x, y, weight = site.arguments[:3]
    if not site.are_on_stream([x], [y]):
        return None
    is_number = isinstance(weight, int | float)
    rest = 1 - weight if is_number else site.write(aten.rsub.Scalar, weight, 1)
    return site.write(
        aten.add.Tensor, site.write(aten.mul.Tensor, x, rest), site.write(aten.mul.Tensor, y, weight)
    )


def _stack_reduced(site: _Site) -> fx.Node | None:
    """`stack([a, b, ...], d).sum(d)` and its mean: a + b + ..."""
    stack = site.arguments[0]
    dims = site.argument(1, "dim")
    is_plain = not site.argument(2, "keepdim", False) and site.argument(3, "dtype") is None
    if operation(stack) != "stack" or not isinstance(dims, list | tuple) or len(dims) != 1 or not is_plain:
        return None
    summands, dim = (
        _Site(stack, site.on_stream).arguments[0],
        _Site(stack, site.on_stream).argument(1, "dim", 0),
    )
    n_dims = stack.meta["val"].dim()
    if dims[0] % n_dims != dim % n_dims or sum(summand in site.on_stream for summand in summands) < 2:
        return None
    total: fx.Node = reduce(lambda a, b: site.write(aten.add.Tensor, a, b), summands)
    return total if operation(site.node) == "sum" else site.write(aten.div.Tensor, total, len(summands))


def _idle_addition(site: _Site) -> fx.Node | None:
    """`x + 0`, with which Python's `sum([x, ...])` begins, and `x + zeros_like(x)`."""
    for x, other in permutations(site.arguments[:2]):
        is_zero = operation(other) in _ZEROS if isinstance(other, fx.Node) else other == 0
        if is_zero and isinstance(x, fx.Node) and _is_like(x, site.node):
            return x
    return None


def _read_back(site: _Site) -> fx.Node | None:
    """Read what was just written: a slice of a value of which that very slice was replaced.

    `x[:, :4] += f` leaves such pairs, and whole slices.
    """
    source, place = site.arguments[0], site.place(1)
    if place == _WHOLE:
        return source
    if operation(source) != f"{operation(site.node)}_scatter":
        return None
    writing = _Site(source, site.on_stream)
    written = writing.arguments[1]
    return written if place == writing.place(2) and _dtype(written) == _dtype(source) else None


def _written_whole(site: _Site) -> fx.Node | None:
    """A write into all of a value; or of what stands there already, with which `x[:, :4] += f` ends."""
    base, written = site.arguments[:2]
    if operation(base) == operation(site.node) and base.args[1:] == site.node.args[1:]:
        return base
    return written if site.place(2) == _WHOLE and _dtype(base) == _dtype(written) else None


def _added_in_place(site: _Site) -> fx.Node | None:
    """`x[:, :4] += f`: the sum beside the rest of x."""
    base, written = site.arguments[:2]
    change, extent = _added_to(site, base, written), _extent(site, base)
    if change is None or extent is None or _dtype(base) != _dtype(written):
        return None
    dim, start, stop, size = extent
    if operation(site.node) == "select_scatter":
        change = site.write(aten.unsqueeze.default, change, dim)
    before, there, behind = (
        site.write(aten.slice.Tensor, base, dim, first, end) if first < end else None
        for first, end in ((0, start), (start, stop), (stop, size))
    )
    parts = [before, site.write(aten.add.Tensor, there, change), behind]
    return site.write(aten.cat.default, [part for part in parts if part is not None], dim)


def _added_to(site: _Site, base: fx.Node, written: fx.Node) -> fx.Node | None:
    """Find f where what is written into a place of a value is what stands there plus f."""
    for there, change in permutations(written.all_input_nodes) if is_sum(written) else ():
        is_read = f"{operation(there)}_scatter" == operation(site.node) and there.args[0] is base
        is_same = is_read and _Site(there, site.on_stream).place(1) == site.place(2)
        if is_same and shape_of(there) == shape_of(change) and site.are_on_stream([base], [change]):
            return change
    return None


def _extent(site: _Site, base: fx.Node) -> tuple[int, int, int, int] | None:
    """Say where a write begins and ends: its dimension, from where, up to where, of how many."""
    place: Any = site.place(2)
    if not all(isinstance(number, int) for number in place):
        return None
    dim = place[0] % base.meta["val"].dim()
    size = size_along(base, dim)
    if dim == 0 or size < 0:
        return None
    if operation(site.node) == "select_scatter":
        return dim, place[1] % size, place[1] % size + 1, size
    start, stop, step = slice(*place[1:]).indices(size)
    return (dim, start, stop, size) if step == 1 and start < stop else None


def _overwritten(site: _Site) -> fx.Node | None:
    """A value all of which is replaced by another one."""
    old, new = site.arguments[:2]
    return new if _is_like(old, new) else None


def _reversed_difference(site: _Site) -> fx.Node | None:
    """`rsub(f, x)`: x - f."""
    f, x = site.arguments[:2]
    if not isinstance(x, fx.Node) or not site.are_on_stream([f], [x]):
        return None
    return site.write(aten.add.Tensor, x, site.scaled(f, -site.argument(2, "alpha", 1)))


def _grown(site: _Site) -> fx.Node | None:
    """`x * (1 + f(x))`: x + x f(x)."""
    for x, factor in permutations(site.arguments[:2]):
        change = _beyond_one(factor)
        if change is None or not site.are_on_stream([x], [change]) or not _is_like(x, site.node):
            continue
        if _is_learned_of(x, change, site.on_stream):
            return site.write(aten.add.Tensor, x, site.write(aten.mul.Tensor, x, change))
    return None


def _beyond_one(factor: object) -> fx.Node | None:
    """Find f where a value is 1 + f, and not 1 - t, as in a gate."""
    pairs = permutations(factor.args) if isinstance(factor, fx.Node) and is_sum(factor) else ()
    return next((f for f, one in pairs if isinstance(f, fx.Node) and one == 1 and negated(f) is None), None)


def _is_learned_of(x: fx.Node, value: fx.Node, on_stream: set[fx.Node]) -> bool:
    """Whether a value is computed from another one, and with learned layers."""
    waiting, seen, learns = [value], set(), False
    while waiting:
        node = waiting.pop()
        if node in seen or node not in on_stream:
            continue
        seen.add(node)
        if node is not x:
            learns |= operation(node) in PRODUCTS and not on_stream.issuperset(node.all_input_nodes)
            waiting += node.all_input_nodes
    return learns and x in seen


def _is_like(node: fx.Node, other: fx.Node) -> bool:
    """Whether two values have one shape and one type."""
    return (shape_of(node), _dtype(node)) == (shape_of(other), _dtype(other))


def _dtype(node: fx.Node) -> object:
    return getattr(node.meta.get("val"), "dtype", None)


def _merge_repeated_sums(graph: fx.Graph, on_stream: set[fx.Node]) -> int:
    """Compute a sum once that is written several times, as in `f(a + b)` and later `a + b + c`."""
    first: dict[object, fx.Node] = {}
    n_merged = 0
    for node in list(graph.nodes):
        if node in on_stream and is_sum(node):
            original = first.setdefault((node.target, node.args), node)
            if original is not node:
                node.replace_all_uses_with(original)
                graph.erase_node(node)
                n_merged += 1
    return n_merged


_PRODUCT_OF: dict[object, Any] = {
    "addmm": aten.mm.default,
    "baddbmm": aten.bmm.default,
    "addmv": aten.mv.default,
    "addcmul": aten.mul.Tensor,
    "addcdiv": aten.div.Tensor,
}
_Rules = dict[object, Callable[[_Site], fx.Node | None]]
_READ_BACK: _Rules = {
    "copy": _overwritten,
    "slice": _read_back,
    "select": _read_back,
    "slice_scatter": _written_whole,
    "select_scatter": _written_whole,
}
_RULES: _Rules = {
    "addmm": _product_added,
    "baddbmm": _product_added,
    "addmv": _product_added,
    "addcmul": _elementwise_added,
    "addcdiv": _elementwise_added,
    "lerp": _interpolated,
    "sum": _stack_reduced,
    "mean": _stack_reduced,
    "add": _idle_addition,
    "rsub": _reversed_difference,
    "slice_scatter": _added_in_place,
    "select_scatter": _added_in_place,
    "mul": _grown,
}
