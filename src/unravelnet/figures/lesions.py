"""Figures of the lesion studies: deleting, reordering, removing skips (Figs. 3, 5 and 8 of the paper).

Each function takes tables that `evaluate` returned and gives a figure back; none shows or saves it. Values
are drawn as they stand in the table: the axes count in percent, the data stays a share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unravelnet import columns
from unravelnet.errors import EvaluationError
from unravelnet.figures import frame, style
from unravelnet.figures.look import Look
from unravelnet.figures.marks import RING_LABEL, draw_with_bars, ring, set_index_axis
from unravelnet.readers.draws import deletes_any
from unravelnet.readers.rows import (
    Measured,
    chance_error,
    interval_text,
    is_share,
    measured,
    n_images_text,
)

if TYPE_CHECKING:
    from unravelnet.records.record import Table

Downsampling = Mapping[str, Sequence[int]]

_CHANCE_LABEL = "chance"
_INTACT_LABEL = "intact network"
_GROUPS = 10


@frame.styled
def figure_delete_each(
    tables: Mapping[str, Table],
    *,
    downsampling: Downsampling | None = None,
    stages: Sequence[int] = (),
    n_classes: int | None = None,
    metric: str = "error_rate",
    title: str = "Error when deleting each module",
    **look: Unpack[Look],
) -> Figure:
    """Draw what deleting each single module does, for several networks at once: Figs. 3, 4 and 8 of the paper.

    >>> from unravelnet.records.record import Table
    >>> intact, lesion = {"label": "intact", "error_rate": 0.1}, {"label": "module 0", "module": 0}
    >>> table = Table([intact, {**lesion, "error_rate": 0.3}])
    >>> figure = figure_delete_each({"a ResNet": table}, downsampling={"a ResNet": [0]}, n_classes=10)

    `tables`: rows of the study delete_each, by the name of the network. `downsampling`: indices of the
    modules that change the shape, by the same names; they get a ring. `stages`: indices of the modules that begin a
    stage, marked by lines. `n_classes`: draws the error of guessing. Dashed lines are the intact networks. Raises
    EvaluationError for a table without such rows.
    """
    studies = {name: measured(table, metric=metric, needs=["module"]) for name, table in tables.items()}
    _check_not_empty(studies)
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    for place, (name, study) in enumerate(studies.items()):
        _draw_modules(axes, study, name, place)
        _draw_intact(axes, study, frame.colour(axes, name, place))
        _ring(axes, study, (downsampling or {}).get(name, ()))
    note = _finish(axes, studies, n_classes=n_classes, metric=metric, x=columns.label("module"))
    note = f"{_draw_stages(axes, stages)}{note}"
    _set_module_axis(axes, studies)
    _legend(axes)
    frame.caption(figure, f"{_sample_text(studies, metric)}; dashed: nothing deleted.{note}")
    return figure


@frame.styled
def figure_delete_many(
    table: Table,
    *,
    downsampling: Sequence[int] = (),
    n_classes: int | None = None,
    metric: str = "error_rate",
    title: str = "Error when deleting several modules at random",
    **look: Unpack[Look],
) -> Figure:
    """Draw the error over random draws for each number of deleted modules: Fig. 5a of the paper.

    >>> from unravelnet.records.record import Table
    >>> row = {"label": "2 deleted, draw 0", "n_deleted": 2, "error_rate": 0.3}
    >>> figure = figure_delete_many(Table([row, {**row, "error_rate": 0.4}]), n_classes=10)

    `table`: rows of the study delete_many. `downsampling`: indices of the modules that change the shape; draws that
    delete one of them, and the others, have boxes of their own. A box holds the middle half of the draws, its line is
    the median, the whiskers reach the extremes. Raises EvaluationError for a table without such rows.
    """
    study = measured(table, metric=metric, needs=["n_deleted"])
    _check_not_empty({"": study})
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    draws = _by_count(study.lesions)
    is_hit = deletes_any(study.lesions, downsampling)
    if is_hit is None or is_hit.all() or not is_hit.any():
        kinds = {"random draws": (0, draws)}
    else:
        kinds = {
            "random draws that delete a down-sampling module": (2, _by_count(study.lesions[is_hit])),
            "random draws that delete none": (0, _by_count(study.lesions[~is_hit])),
        }
    _draw_boxes(axes, kinds, draws)
    _draw_intact(axes, study, style.INK)
    note = _finish(axes, {"": study}, n_classes=n_classes, metric=metric, x=_count_label(study.lesions))
    _legend(axes)
    n_draws = f"{_range_text([len(values) for values in draws.values()])} random draws"
    boxes = f"Boxes: quartiles of {n_draws} each"
    if len(kinds) > 1:
        boxes = f"{n_draws} of each number; boxes: quartiles of those of a kind"
    frame.caption(
        figure,
        f"{boxes}, whiskers: extremes, line: medians; every draw on {n_images_text(study.lesions)}.{note}",
    )
    return figure


@frame.styled
def figure_reorder(
    table: Table,
    *,
    n_classes: int | None = None,
    metric: str = "error_rate",
    title: str = "Error when reordering modules",
    **look: Unpack[Look],
) -> Figure:
    """Draw the error against Kendall's tau between the new and the original order: Fig. 5b of the paper.

    >>> from unravelnet.records.record import Table
    >>> row = {"label": "1 swap, draw 0", "kendall_tau": 0.98, "error_rate": 0.3}
    >>> figure = figure_reorder(Table([row, {**row, "kendall_tau": 0.9}]), n_classes=10)

    `table`: rows of the study reorder. The order is intact at 1.0, at the left. Each point is one random
    order; the line joins medians of groups of as many orders. Raises EvaluationError for a table without such
    rows.
    """
    study = measured(table, metric=metric, needs=["kendall_tau"])
    _check_not_empty({"": study})
    figure = frame.new_figure(title, **look)
    axes = figure.add_subplot()
    orders = study.lesions.sort_values("kendall_tau", ascending=False, kind="stable")
    name = "one random order"
    draw_with_bars(
        axes, orders["kendall_tau"], orders, colour=frame.colour(axes, name), marker="o", label=name
    )
    size = _draw_medians(axes, orders)
    _draw_intact(axes, study, style.INK)
    note = _finish(axes, {"": study}, n_classes=n_classes, metric=metric, x=columns.label("kendall_tau"))
    span = max(1 - orders["kendall_tau"].min(), 0.01)
    axes.set_xlim(1 + 0.03 * span, orders["kendall_tau"].min() - 0.04 * span)
    _legend(axes)
    sample = _sample_text({"": study}, metric)
    frame.caption(figure, f"{len(orders)} random orders, {sample}; medians of {size} orders each.{note}")
    return figure


@frame.styled
def figure_remove_skip_each(
    tables: Mapping[str, tuple[Table, Table]],
    *,
    downsampling: Downsampling | None = None,
    n_classes: int | None = None,
    metric: str = "error_rate",
    title: str = "Removing each skip against deleting each branch",
    **look: Unpack[Look],
) -> Figure:
    """Draw two ways to lose half of the paths, module by module: without the skip and without the branch.

    >>> from unravelnet.records.record import Table
    >>> row = {"label": "module 0", "module": 0, "error_rate": 0.3}
    >>> remove_skip_each, delete_each = Table([{**row, "error_rate": 0.8}]), Table([row])
    >>> figure = figure_remove_skip_each({"a ResNet": (remove_skip_each, delete_each)})

    `tables`: for each network the rows of the studies remove_skip_each and delete_each; there is one panel a
    network. Only modules that are in both are drawn. Raises EvaluationError where there is none.
    """
    pairs = {name: _common_modules(name, *both, metric=metric) for name, both in tables.items()}
    _check_not_empty({name: pair[0] for name, pair in pairs.items()})
    figure = frame.new_figure(title, height=1.2 + 2.4 * len(pairs), **look)
    panels = frame.panels(figure, len(pairs), sharey=True)
    for axes, (name, (skips, branches)) in zip(panels, pairs.items(), strict=True):
        _draw_modules(axes, skips, "skip removed", 1)
        _draw_modules(axes, branches, "branch deleted", 0)
        _draw_intact(axes, branches if skips.intact is None else skips, style.INK)
        _ring(axes, branches, (downsampling or {}).get(name, ()))
        both = {"skips": skips, "branches": branches}
        note = _finish(axes, both, n_classes=n_classes, metric=metric, x=columns.label("module"))
        _set_module_axis(axes, both)
        frame.title_panel(axes, name)
    panels[0].set_ylim(0, max(axes.dataLim.y1 for axes in panels) * 1.05 or 1)
    _legend(panels[0])
    every = {f"{name} {place}": part for name, pair in pairs.items() for place, part in enumerate(pair)}
    text = "Either leaves half of the paths."
    frame.caption(figure, f"{text} {_sample_text(every, metric)}; dashed: intact network.{note}")
    return figure


def _common_modules(name: str, skips: Table, branches: Table, *, metric: str) -> tuple[Measured, Measured]:
    both = [measured(table, metric=metric, needs=["module"]) for table in (skips, branches)]
    common = set(both[0].lesions["module"]) & set(both[1].lesions["module"])
    if not common:
        raise EvaluationError(
            f"The studies remove_skip_each and delete_each of {name} have no module in common; "
            "measure both on the same network."
        )
    kept = [study.lesions[study.lesions["module"].isin(common)] for study in both]
    first, second = (Measured(metric, rows, study.intact) for rows, study in zip(kept, both, strict=True))
    return first, second


def _draw_modules(axes: Axes, study: Measured, label: str, place: int) -> None:
    rows = study.lesions.sort_values("module", kind="stable")
    colour = frame.colour(axes, label, place)
    axes.plot(rows["module"], rows["value"], color=colour, linewidth=0.8, alpha=0.45)
    marker = style.SERIES_MARKERS[place % len(style.SERIES_MARKERS)]
    draw_with_bars(axes, rows["module"], rows, colour=colour, marker=marker, label=label)


def _draw_intact(axes: Axes, study: Measured, colour: str) -> None:
    if study.intact is not None:
        label = _INTACT_LABEL if colour == style.INK else None
        axes.axhline(study.intact["value"], color=colour, linewidth=1.0, linestyle=(0, (4, 2.5)), label=label)


def _draw_stages(axes: Axes, stages: Sequence[int]) -> str:
    """Draw a line before each stage but the first; return what is to be said of the lines."""
    places = [module - 0.5 for module in stages if module > 0]
    for place in places:
        axes.axvline(place, color=style.MUTED, linewidth=0.7, alpha=0.6, zorder=0)
    return " Vertical lines: a stage begins." if places else ""


def _ring(axes: Axes, study: Measured, modules: Sequence[int]) -> None:
    ring(axes, study.lesions[study.lesions["module"].isin(list(modules))])


def _by_count(draws: pd.DataFrame) -> dict[int, np.ndarray]:
    return {int(count): rows["value"].to_numpy() for count, rows in draws.groupby("n_deleted")}


def _draw_boxes(
    axes: Axes, kinds: Mapping[str, tuple[int, Mapping[int, np.ndarray]]], draws: Mapping[int, np.ndarray]
) -> None:
    """Draw boxes for each kind of draws, beside each other, and the medians of all.

    `kinds`: by name, the place among the colours and the values by count.
    """
    counts = list(draws)
    gap = min((b - a for a, b in pairwise(counts)), default=1)
    width = 0.6 * gap / len(kinds)
    for number, (kind, (place, values)) in enumerate(kinds.items()):
        shift = width * (number - (len(kinds) - 1) / 2)
        label = kind if len(kinds) > 1 else None
        _draw_kind(
            axes, values, colour=frame.colour(axes, kind, place), width=width, shift=shift, label=label
        )
    name = "median of the draws"
    medians = [float(np.median(values)) for values in draws.values()]
    axes.plot(counts, medians, color=frame.colour(axes, name, 1), linewidth=1.1, label=name, zorder=4)
    axes.set_xlim(min(0, counts[0] - gap), counts[-1] + gap)
    axes.set_xticks(_ticks(counts))


def _draw_kind(
    axes: Axes,
    draws: Mapping[int, np.ndarray],
    *,
    colour: str,
    width: float,
    shift: float,
    label: str | None,
) -> None:
    # Not by `axes.boxplot`: it makes matplotlib choose a backend, which may open a window system.
    places = np.array(list(draws)) + shift
    ends = np.array([np.percentile(values, [0, 25, 50, 75, 100]) for values in draws.values()])
    lowest, low, medians, high, highest = ends.T
    edge: dict[str, Any] = {"color": colour, "linewidth": 1.0}
    axes.vlines([*places, *places], [*lowest, *high], [*low, *highest], **edge)
    caps = np.array([*places, *places])
    axes.hlines([*lowest, *highest], caps - width / 4, caps + width / 4, **edge)
    face = f"{style.fainter(colour)}66"
    axes.bar(places, high - low, width, bottom=low, facecolor=face, edgecolor=colour, label=label)
    axes.hlines(medians, places - width / 2, places + width / 2, color=colour, linewidth=1.8)


def _draw_medians(axes: Axes, orders: pd.DataFrame) -> str:
    """Join the medians of groups of neighbours on the x axis, and say how large the groups are."""
    n_groups = max(1, min(_GROUPS, len(orders) // 5))
    groups = [orders.iloc[part] for part in np.array_split(np.arange(len(orders)), n_groups)]
    centres = [float(group["kendall_tau"].median()) for group in groups]
    medians = [float(group["value"].median()) for group in groups]
    name = "median of a group of orders"
    axes.plot(
        centres, medians, color=frame.colour(axes, name, 1), marker="s", markersize=4, linewidth=1.4,
        label=name, zorder=4,
    )  # fmt: skip
    return _range_text([len(group) for group in groups])


def _finish(
    axes: Axes, studies: Mapping[str, Measured], *, n_classes: int | None, metric: str, x: str
) -> str:
    """Label the axes and draw the level of chance; return what is left to say of it in the caption."""
    style.style_axes(axes, x=x, y=columns.label(metric))
    values = np.concatenate(
        [study.rows[["value", "high"]].to_numpy(dtype=float) for study in studies.values()]
    )
    top = float(values[np.isfinite(values)].max())
    if is_share(metric):
        style.show_share_as_percent(axes)
    chance = chance_error(n_classes) if metric == "error_rate" else None
    note = ""
    if chance is not None:
        is_within = top > chance / 2
        note = f" Chance: {chance * 100:.3g} %{'.' if is_within else ', above this axis.'}"
        if is_within:
            _draw_chance(axes, chance)
            top = max(top, chance)
    axes.set_ylim(0, 1.05 * top if top > 0 else 1)
    return note


def _draw_chance(axes: Axes, chance: float) -> None:
    axes.axhline(chance, color=style.MUTED, linewidth=1.0, linestyle=(0, (1, 1.8)), label=_CHANCE_LABEL)


def _set_module_axis(axes: Axes, studies: Mapping[str, Measured]) -> None:
    set_index_axis(axes, max(int(study.lesions["module"].max()) for study in studies.values()))


def _legend(axes: Axes) -> None:
    frame.legend_above(axes, last=(RING_LABEL, _INTACT_LABEL, _CHANCE_LABEL))


def _sample_text(studies: Mapping[str, Measured], metric: str) -> str:
    rows = pd.concat([study.rows for study in studies.values()])
    return f"{n_images_text(rows)} a point; bars: {interval_text(rows, metric)}"


def _count_label(rows: pd.DataFrame) -> str:
    n_modules = pd.to_numeric(rows["n_modules"]).dropna() if "n_modules" in rows else pd.Series(dtype=float)
    of_how_many = f" (of {int(n_modules.iloc[0])})" if len(n_modules) else ""
    return f"{columns.label('n_deleted')}{of_how_many}"


def _ticks(counts: Sequence[int]) -> list[int]:
    step = -(-len(counts) // 20)
    return list(counts[::step])


def _range_text(sizes: Sequence[int]) -> str:
    return str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"


def _check_not_empty(studies: Mapping[str, Measured]) -> None:
    if not studies:
        raise EvaluationError("No table was given; give the rows of at least one network.")
    for name, study in studies.items():
        if study.lesions.empty:
            of_network = f" of {name}" if name else ""
            raise EvaluationError(
                f"The table{of_network} holds no lesion, only the intact network; measure a study first."
            )
