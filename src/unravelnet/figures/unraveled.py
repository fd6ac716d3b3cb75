"""The unraveled view drawn: a residual network as a chain, and as the tree of all its paths (Fig. 1 of the
paper).

Each visit of a module doubles the paths: y = y' + f(y'). Writing y' out again in both places gives a tree
with 2^n leaves, each of them y0 on its own path to the output. The tree has f1 in it 2^(n-1) times, the last
f once. A parallel span of m modules has y' in it m + 1 times, so it multiplies the paths by m + 1. A visit that leads
inside a module is one branch, in whose box the route inside stands.

Rows are numbered from the top; the digits of row r, the first step last, say which way the path takes through each
step: 0 around its branches, else through one of them. With P_k paths through the first k steps, the subtree that
computes y_k from rows base ... base + P_k - 1 adds its first row (y0, which enters nothing) and, for j = 1 ... k and
each way w = 1, 2 ... of step j, the branch of w of the subtree that computes y_(j-1) from row base + w P_(j-1) on.
With the branches of step j in column j and their sum just left of it, no two lines cross.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from unravelnet.errors import RouteError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.wrapping import inches
from unravelnet.routes.route import AnyStep, Parallel, Route, Step
from unravelnet.wording import counted

MAX_DRAWN_MODULES = 5
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_BOX_WIDTH = 0.46
# Inches, of the chain above the tree.
_CHAIN_HEIGHT = 1.1
# Of a route inside a module, in a box; and how far the boxes of a parallel span stand apart.
_LONGEST_INSIDE = 6
_SPAN_STEP = 0.8
_SUM_AT = -0.40
"""Where the sum for a visit stands, seen from its box, in columns."""


def unraveled_terms(n_modules: int, *, route: Route | None = None) -> list[str]:
    """Write out the terms of the unraveled view; their sum is the network's output.

    >>> unraveled_terms(2)
    ['y₀', 'f₁(y₀)', 'f₂(y₀ + f₁(y₀))']
    >>> unraveled_terms(2, route=Route.full(2).delete(0))
    ['y₀', 'f₂(y₀)']
    >>> unraveled_terms(3, route=Route.full(3).parallel(0, 1))
    ['y₀', 'f₁(y₀)', 'f₂(y₀)', 'f₃(y₀ + f₁(y₀) + f₂(y₀))']

    f₁ is the branch of module 0. Raises RouteError for more than five visits: there are 2^n terms within
    terms.
    """
    steps = _drawable_steps(n_modules, route)
    terms = ["y₀"]
    for step in steps:
        entered = [visit for visit in step.visits if visit.mode != "skip"] if terms else []
        through = [f"{_f(visit)}({' + '.join(terms)})" for visit in entered]
        terms = [*terms, *through] if _takes_skip(step) else through
    return terms


@frame.styled
def figure_unraveled(
    n_modules: int, *, route: Route | None = None, title: str | None = None, **look: Unpack[Look]
) -> Figure:
    """Draw a residual network of up to five modules, and its unraveled view beside it: Fig. 1 of the paper.

    >>> figure = figure_unraveled(3, route=Route.full(3).delete(1))

    `route`: what it deletes, or takes the skip of, is grey, and so are the paths that this breaks. Modules
    are drawn in the order of the route, those of a parallel span below one another. A visit that leads inside a module
    is one branch with the route inside in its box; its own paths are not drawn apart. Raises RouteError for more than
    five visits.
    """
    steps = _drawable_steps(n_modules, route)
    tree = _Tree(tuple(steps))
    height = max(3.2, 1.5 + 0.24 * tree.n_rows)
    title = "A residual network and its unraveled view" if title is None else title
    figure = frame.new_figure(title, height=height, usual_width=_width(len(steps)), **look)
    ratios, heights = (0.85 + 0.06 * len(steps), 1.2), (_CHAIN_HEIGHT, height - 1.3)
    chain, unraveled = frame.panels(figure, 2, columns=2, ratios=ratios, heights=heights)
    for axes in (chain, unraveled):
        axes.set_axis_off()
    # Beside the tree, the arcs keep their proportions however many paths it has.
    lowest = max((len(step.visits) for step in steps), default=1) - 1
    half = max(2.0, 0.7 + _SPAN_STEP * lowest)
    _draw_chain(chain, steps, half=half if frame.is_leftmost(unraveled) else max(half, 0.25 * tree.n_rows))
    _draw_tree(unraveled, tree)
    frame.caption(figure, _sentence(tree, unraveled_terms(n_modules, route=route)))
    return figure


@dataclass(frozen=True, slots=True)
class _Tree:
    """Which paths there are and which are left, by row."""

    steps: tuple[AnyStep, ...]

    @property
    def n_rows(self) -> int:
        return self.n_paths(len(self.steps))

    def n_paths(self, place: int) -> int:
        """Count the paths through the steps before a place."""
        return math.prod(1 + len(step.visits) for step in self.steps[:place])

    def code(self, row: int) -> str:
        """The path as the paper writes it: one digit a step, 0 around its branches, 1 or more through one of them."""
        return "".join(
            str(row // self.n_paths(place) % (1 + len(step.visits))) for place, step in enumerate(self.steps)
        )

    def is_left(self, row: int) -> bool:
        """Tell whether the route leaves this path: it may neither enter a deleted branch nor need a removed
        skip."""
        return all(
            step.visits[int(digit) - 1].mode != "skip" if int(digit) else _takes_skip(step)
            for digit, step in zip(self.code(row), self.steps, strict=True)
        )

    def any_left(self, rows: range) -> bool:
        return any(self.is_left(row) for row in rows)

    @property
    def n_left(self) -> int:
        return sum(self.is_left(row) for row in range(self.n_rows))


def _drawable_steps(n_modules: int, route: Route | None) -> Sequence[AnyStep]:
    route = Route.full(n_modules) if route is None else route
    if route.at_their_mean:
        raise RouteError(
            f"The unraveled view shows paths, and the mean of a branch, as on the route {route}, is none. Delete these "
            "modules to see the paths that are left."
        )
    n_visits = len(route.visits)
    if n_visits > MAX_DRAWN_MODULES:
        raise RouteError(
            f"The unraveled view of {counted(n_visits, 'module')} has up to 2^{n_visits} paths, too many to draw; "
            f"at most {MAX_DRAWN_MODULES} modules can be shown. figure_path_lengths shows how long they are."
        )
    beyond = [visit.module for visit in route.visits if visit.module >= n_modules]
    if beyond:
        raise RouteError(
            f"The route visits module {beyond[0]}, but the network has {n_modules} (0 to {n_modules - 1})."
        )
    return route.steps


def _takes_skip(step: AnyStep) -> bool:
    """Tell whether there is a way around the branches of a step; a parallel span always has one."""
    return isinstance(step, Parallel) or step.mode != "branch"


def _f(visit: Step) -> str:
    scale = "" if visit.scale == 1.0 else f"{visit.scale:g}·"
    inside = "" if visit.inside is None else f"[{_shortened(str(visit.inside))}]"
    return scale + "f" + str(visit.module + 1).translate(_SUBSCRIPTS) + inside


def _shortened(route: str) -> str:
    return route if len(route) <= _LONGEST_INSIDE else "…"


def _y(place: int) -> str:
    return "y" + str(place).translate(_SUBSCRIPTS)


# -- the network as a chain --


def _draw_chain(axes: Axes, steps: Sequence[AnyStep], *, half: float) -> None:
    n_steps, n_visits = len(steps), sum(len(step.visits) for step in steps)
    in_a_row = " in a row" if n_steps == n_visits else ""
    axes.set_title(
        f"{n_visits} residual module{'s' * (n_visits != 1)}{in_a_row}", loc="left", fontsize=style.NORMAL
    )
    axes.set_xlim(-0.35, n_steps + 0.75)
    axes.set_ylim(-half, half)
    _text(axes, -0.12, 0, _y(0), ha="right")
    for place, step in enumerate(steps):
        _draw_chain_module(axes, place, step)
    _line(axes, [n_steps - 0.08, n_steps + 0.22], [0, 0], is_left=True, arrow=True)
    _text(axes, n_steps + 0.3, 0, _y(n_steps), ha="left")


def _draw_chain_module(axes: Axes, place: int, step: AnyStep) -> None:
    start, box, junction = place - 0.08, place + 0.38, place + 0.80
    fork, has_skip = start + 0.10, _takes_skip(step)
    _line(axes, [start, start + 0.14], [0, 0], is_left=True)
    _line(axes, [fork, fork, junction, junction], [0, 0.85, 0.85, 0.12], is_left=has_skip, arrow=has_skip)
    _line(axes, [junction, place + 0.92], [0, 0], is_left=True)
    for number, visit in enumerate(step.visits):
        y, has_branch = -_SPAN_STEP * number, visit.mode != "skip"
        _line(axes, [fork, fork, box], [0, y, y], is_left=has_branch)
        ends = ([box, junction], [y, y]) if not number else ([box, junction, junction], [y, y, -0.12])
        _line(axes, *ends, is_left=has_branch, arrow=has_branch)
        _box(axes, box, y, _f(visit), is_left=has_branch, width=_BOX_WIDTH * 0.9, height=0.62)
    _sum_sign(axes, junction, 0, is_left=True)
    what = {"skip": "deleted", "branch": "skip removed"}.get(step.visits[0].mode)
    if what is not None and len(step.visits) == 1:
        _text(axes, box, -0.62, what, fontsize=style.SMALL, color=style.MUTED)


# -- the tree of all paths --


def _draw_tree(axes: Axes, tree: _Tree) -> None:
    n_steps, n_rows = len(tree.steps), tree.n_rows
    paths = f"{n_rows} path{'s' * (n_rows != 1)}"
    count = paths if tree.n_left == n_rows else f"{tree.n_left} of {paths} left"
    axes.set_title(f"the same, unraveled: {count}", loc="left", fontsize=style.NORMAL)
    axes.set_xlim(-0.35, n_steps + 1.4)
    # A tree of one or two modules is drawn as large as one of three, with room around it.
    middle, half = (n_rows - 1) / 2, max(n_rows, 7) / 2
    axes.set_ylim(middle + half - 0.1, middle - half - 0.2)
    for row in range(n_rows):
        _draw_leaf(axes, tree, row)
    _draw_sum(axes, tree, n_steps, 0)
    end = (n_rows - 1) / 2
    at = _column(n_steps) + _SUM_AT if n_steps else 0.3
    _line(axes, [at, at + 0.45], [end, end], is_left=tree.n_left > 0, arrow=True)
    _text(axes, at + 0.52, end, _y(n_steps), ha="left")


def _draw_leaf(axes: Axes, tree: _Tree, row: int) -> None:
    """Draw the first stretch of one path, from y0 to the first sum that it takes part in."""
    is_left, code = tree.is_left(row), tree.code(row)
    colour = style.INK if is_left else style.FAINT
    _text(axes, 0.0, row, "y₀", ha="right", color=colour)
    digits = {
        "fontsize": _size_of_codes(axes, len(tree.steps)),
        "family": "DejaVu Sans Mono",
        "ha": "left",
        "va": "bottom",
    }
    _text(axes, 0.12, row - 0.02, code, color=style.MUTED if is_left else colour, **digits)
    _line(axes, [0.06, _end_of_leaf(tree, row)], [row, row], is_left=is_left, label=f"_path {code}")


def _size_of_codes(axes: Axes, n_steps: int) -> float:
    """Give the size of the digits with which they fit between the start of a path and the first column."""
    place = axes.get_subplotspec()
    assert place is not None
    ratios = np.asarray(place.get_gridspec().get_width_ratios(), dtype=float)
    figure_width = axes.figure.bbox.width / axes.figure.dpi
    column = 0.95 * figure_width * ratios[-1] / ratios.sum() / (n_steps + 1.75)
    return min(style.SMALL, style.SMALL * 0.6 * column / inches("0" * max(1, n_steps), style.SMALL))


def _end_of_leaf(tree: _Tree, row: int) -> float:
    code = tree.code(row)
    first = next((place for place, digit in enumerate(code) if digit != "0"), len(code))
    if first == 0:
        return _column(0)
    return _column(first) + _SUM_AT if code else 0.3


def _draw_sum(axes: Axes, tree: _Tree, place: int, base: int) -> None:
    """Draw the subtree that computes y_place from the rows that start at `base`, with the sum that ends
    it."""
    if place == 0:
        return
    at = _column(place) + _SUM_AT
    ends = [(float(base), tree.is_left(base))]
    for inner, step in enumerate(tree.steps[:place]):
        for way, visit in enumerate(step.visits, start=1):
            start = base + way * tree.n_paths(inner)
            _draw_sum(axes, tree, inner, start)
            ends.append(_draw_branch(axes, tree, inner, visit, start, at))
    n_rows = tree.n_paths(place)
    centre, rows = base + (n_rows - 1) / 2, range(base, base + n_rows)
    # Upright lines collect the terms; grey ones first, so that a live term is seen all the way.
    for row, is_left in sorted(ends, key=lambda end: end[1]):
        _line(axes, [at, at], [row, centre], is_left=is_left)
    _sum_sign(axes, at, centre, is_left=tree.any_left(rows))


def _draw_branch(
    axes: Axes, tree: _Tree, inner: int, visit: Step, start: int, at: float
) -> tuple[float, bool]:
    """Draw f of one visit, fed by the subtree before it and read by the sum at `at`; return where it
    arrives."""
    n_rows = tree.n_paths(inner)
    row, is_left = start + (n_rows - 1) / 2, tree.any_left(range(start, start + n_rows))
    column = _column(inner)
    if inner:
        _line(axes, [column + _SUM_AT, column], [row, row], is_left=is_left)
    _line(axes, [column, at], [row, row], is_left=is_left)
    _box(axes, column, row, _f(visit), is_left=is_left, width=_BOX_WIDTH, height=0.62)
    return row, is_left


def _width(n_steps: int) -> float:
    return style.WIDTH if n_steps <= 3 else style.WIDTH * 1.25


def _column(place: int) -> float:
    return place + 1.0


# -- parts --


def _line(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    *,
    is_left: bool,
    arrow: bool = False,
    label: str | None = None,
) -> None:
    look: dict[str, Any] = {
        "color": style.INK if is_left else style.FAINT,
        "linewidth": 1.1 if is_left else 0.9,
        "zorder": 2 if is_left else 1,
    }
    axes.plot(x, y, label=label, solid_joinstyle="miter", **look)
    if arrow:
        axes.annotate(
            "", (x[-1], y[-1]), (x[-2], y[-2]), zorder=look["zorder"],
            arrowprops={"arrowstyle": "-|>", "color": look["color"], "linewidth": look["linewidth"],
                        "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _box(axes: Axes, x: float, y: float, text: str, *, is_left: bool, width: float, height: float) -> None:
    corner, colour = (x - width / 2, y - height / 2), frame.colour(axes, "branches")
    box = FancyBboxPatch(
        corner, width, height, boxstyle="round,pad=0,rounding_size=0.06", zorder=3, label=f"_box {text}",
        facecolor=style.tinted(colour, 0.16) if is_left else style.PAPER,
        edgecolor=colour if is_left else style.FAINT,
        linestyle="-" if is_left else (0, (2, 1.5)),
    )  # fmt: skip
    axes.add_patch(box)
    # A scaled branch has more to say in the same box.
    size = style.NORMAL * min(1.0, 4 / len(text))
    _text(axes, x, y, text, color=style.INK if is_left else style.MUTED, fontsize=size)


def _sum_sign(axes: Axes, x: float, y: float, *, is_left: bool) -> None:
    colour = style.INK if is_left else style.FAINT
    axes.plot(
        [x], [y], marker="o", markersize=8, markerfacecolor=style.PAPER, markeredgecolor=colour,
        markeredgewidth=0.9, zorder=3,
    )  # fmt: skip
    axes.plot([x], [y], marker="+", markersize=5, color=colour, markeredgewidth=0.9, zorder=4)


def _text(axes: Axes, x: float, y: float, text: str, **look: Any) -> None:
    centred: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": style.NORMAL, "zorder": 5}
    axes.text(x, y, text, **{**centred, **look})


def _sentence(tree: _Tree, terms: Sequence[str]) -> str:
    """Say what is drawn: the sum, how many paths are left, and how to read the digits."""
    n_steps = len(tree.steps)
    total = f"{_y(n_steps)} = {' + '.join(terms) or '0'}. " if n_steps < MAX_DRAWN_MODULES else ""
    left = f"{tree.n_left} of {tree.n_rows} paths are left, broken ones are grey; "
    if tree.n_left == tree.n_rows:
        left = f"{tree.n_rows} paths; "
    return (
        f"{total}{left}digits say which branches a path enters, in order. "
        f"f₁ is the branch of module 0: modules are counted from 0.{_on_insides(tree)}"
    )


def _on_insides(tree: _Tree) -> str:
    """Say what a box means whose module is entered."""
    entered = [visit for step in tree.steps for visit in step.visits if visit.inside is not None]
    if not entered:
        return ""
    return f" {_f(entered[0])} is one branch: paths inside it are not drawn apart."
