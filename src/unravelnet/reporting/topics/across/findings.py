"""What single lesions do to every trained network, in sentences and one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unravelnet import columns
from unravelnet.reporting.topics.across.groups import LesionedGroup
from unravelnet.reporting.topics.chapter import ShownTable
from unravelnet.reporting.words.sentences import listed, points
from unravelnet.wording import counted, percent

_NONE = "–"
_HEADER = (
    columns.title("network_name"),
    columns.title("n_modules"),
    columns.title("epochs"),
    "Trainings",
    columns.title("n_images"),
    columns.title("intact_error_rate"),
    "A usual module deleted, median",
    "The worst usual module",
    "Module 0 deleted",
    "Down-sampling modules deleted, mean",
    "Skip of a usual module removed, median",
)
WHAT_IS_USUAL = (
    "Usual modules are those that keep the shape. Numbers are points that the error rises by, one a training; the "
    "errors of the intact networks are of the same images."
)


def table_of_lesions(groups: Sequence[LesionedGroup]) -> ShownTable:
    """Write what lesions do to every network, one row for trainings that differ in their seed only."""
    return ShownTable(
        f"Single lesions of every trained network. {WHAT_IS_USUAL}", _HEADER, tuple(map(_row, groups))
    )


def on_lesions(groups: Sequence[LesionedGroup]) -> list[str]:
    """Say how lesions that are as large compare between depths, and how much one training differs from the next."""
    full = [group for group in groups if group.is_trained_on_all]
    return [
        sentence
        for sentence in (
            _on_one_module(full),
            _on_a_ninth(full),
            _on_lengths(full),
            *(_on_seeds(group) for group in groups if len(group.networks) > 1),
        )
        if sentence
    ]


def _on_one_module(groups: Sequence[LesionedGroup]) -> str:
    """Say what the error is and how it rises with one usual module deleted, by depth."""
    if len({group.n_modules for group in groups}) < 2:
        return ""
    parts = [
        f"{group.title} ({counted(group.n_modules, 'module')}) {_points_of([one.median for one in group.lesions])}"
        for group in groups
    ]
    return f"One usual module deleted, the error rises in the median by: {'; '.join(parts)} points."


def _on_a_ninth(groups: Sequence[LesionedGroup]) -> str:
    """Say what a lesion of the same share of the modules does, by depth."""
    known = [(group, errors) for group in groups if (errors := group.ninths)]
    if len({group.n_modules for group, _ in known}) < 2:
        return ""
    parts = [
        f"{group.title} (intact {percent(float(np.mean([intact for intact, _ in errors])))}) "
        f"{listed([percent(error) for _, error in errors])}"
        for group, errors in known
    ]
    return (
        f"A ninth of the modules deleted, the error is, in the median of the draws: {'; '.join(parts)}. The intact "
        "error is that of the same images."
    )


def _on_lengths(groups: Sequence[LesionedGroup]) -> str:
    """Say how long networks of several depths were trained, where that differs, too."""
    lengths = sorted({epochs for group in groups if (epochs := group.epochs)})
    if len(lengths) < 2 or len({group.n_modules for group in groups}) < 2:
        return ""
    return (
        f"These networks were trained for {listed([str(epochs) for epochs in lengths])} epochs, so what differs "
        "between depths may also come from the length of the training."
    )


def _on_seeds(group: LesionedGroup) -> str:
    """Say how far trainings lie apart at the first module, where that is further than the interval of one of them."""
    firsts = [lesions.first for lesions in group.lesions]
    rises = [float(row["value"]) for row in firsts]
    widest = max(float(row["high"] - row["low"]) for row in firsts)
    if not max(rises) - min(rises) > widest:
        return ""
    return (
        f"{group.title}: deleting module {int(firsts[0]['module'])} costs {_points_of(rises)} points, by seed. The "
        f"interval of one training, that of its images, is at most {points(widest, signed=False)} points wide: it does "
        "not tell what the next training does."
    )


def _row(group: LesionedGroup) -> tuple[str, ...]:
    return (
        group.title,
        str(group.n_modules),
        str(group.epochs or _NONE),
        str(len(group.networks)),
        f"{group.n_images:,}",
        listed([percent(error) for error in group.intact]),
        _points_of([one.median for one in group.lesions]),
        "; ".join(
            f"{points(one.largest['value'])} (module {int(one.largest['module'])})" for one in group.lesions
        ),
        _points_of([one.first["value"] for one in group.lesions]),
        _points_of([one.peaks["value"].mean() for one in group.lesions if len(one.peaks)]) or _NONE,
        _points_of(group.without_skip) or _NONE,
    )


def _points_of(rises: Sequence[float]) -> str:
    return listed([points(rise) for rise in rises]) if len(rises) else ""
