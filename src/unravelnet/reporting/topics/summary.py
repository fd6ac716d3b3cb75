"""What a run found, in one paragraph that a person can repeat. Every sentence is computed from the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from unravelnet.errors import EvaluationError
from unravelnet.readers.rows import unit_of
from unravelnet.reporting.topics.across.groups import lesioned_groups
from unravelnet.reporting.topics.gradients.findings import contributions_of, sums_of
from unravelnet.reporting.topics.importance.findings import on_extremes
from unravelnet.reporting.topics.lesions.rows import errors_of, rises_of
from unravelnet.reporting.words.sentences import listed, points
from unravelnet.reporting.words.verdict import NOTICEABLE
from unravelnet.wording import counted, percent

if TYPE_CHECKING:
    from unravelnet.reporting.contents import Run, StudiedNetwork


def summary(run: Run) -> str:
    """Tell what was found of the first ordinary residual network, or else of the first; empty where there is none."""
    network = next(iter([*run.of_role("resnet"), *run.studied]), None)
    if network is None:
        return ""
    sentences: list[str] = []
    for write in (part for command in run.commands for part in _PARTS[command]):
        try:
            sentences.append(write(run, network))
        except EvaluationError:  # its chapter says what the table lacks
            continue
    return " ".join(filter(None, sentences))


def _on_deletions(run: Run, network: StudiedNetwork) -> str:
    table = network.tables.get("delete_each")
    study, rises = errors_of(table), rises_of(table)
    if study is None or study.intact is None or rises is None:
        return ""
    unit = unit_of([study.rows], of_predictions=True)
    return (
        f"{network.title} errs in {percent(study.intact['value'])} of the {unit}. Deleting one of its "
        f"{counted(network.n_modules, 'module')} changes this by {points(rises['value'].median())} points in the "
        "median."
    )


def _on_depth(run: Run, network: StudiedNetwork) -> str:
    """Say what the same lesion costs networks of other depths, where they were trained alike but for that."""
    groups = [group for group in lesioned_groups(run) if group.is_trained_on_all]
    shallow = [group for group in groups if group.n_modules < network.n_modules and len(group.networks) > 1]
    if not shallow:
        return ""
    parts = [
        f"{points(float(group.rises(lambda one: one.median)['rise'].mean()))} points ({group.title}, "
        f"{counted(group.n_modules, 'module')})"
        for group in shallow
    ]
    return (
        f"In shallower networks, deleting one that keeps the shape changes their error by {listed(parts)}, in the mean "
        "over seeds."
    )


def _on_plain(run: Run, network: StudiedNetwork) -> str:
    for plain in run.lesioned("vgg"):
        study = errors_of(plain.tables.get("delete_each"), needs=["module"])
        if study is not None and study.intact is not None and not study.lesions.empty:
            return (
                f"{plain.title}, which has no skips, errs in {percent(study.intact['value'])}, and in "
                f"{percent(study.lesions['value'].median())} in the median after one layer is deleted."
            )
    return ""


def _on_skips(run: Run, network: StudiedNetwork) -> str:
    skips, branches = (rises_of(network.tables.get(study)) for study in ("remove_skip_each", "delete_each"))
    if skips is None or branches is None:
        return ""
    skip, branch = skips["value"].median(), branches["value"].median()
    told = (
        "Removing the skip of a module leaves as many paths as deleting its branch, and changes the error by "
        f"{points(skip)} points in the median."
    )
    if branch < NOTICEABLE < skip:
        return f"{told} So the network can lose single branches, but not single skips: its paths do not count alike."
    return told


def _on_gradient(run: Run, network: StudiedNetwork) -> str:
    sums, norms = sums_of(network), contributions_of(network)
    if sums is None:
        return ""
    paper = (
        ""
        if norms is None
        else f" By the paper's measure, number of paths × their mean norm, they enter {norms.dominating_length}."
    )
    return (
        f"Most paths enter about {network.n_modules / 2:g} modules, but the paths that the gradient comes from most, "
        f"summed exactly, enter {sums.dominating_length}.{paper}"
    )


def _on_pruning(run: Run, network: StudiedNetwork) -> str:
    table = network.tables.get("pruning")
    row = None if table is None else next((row for row in table if row["is_chosen"]), None)
    if table is None or row is None:
        return ""
    macs, parameters = (percent(float(str(row[name]))) for name in ("macs_left", "parameters_left"))
    told = (
        f"Without {counted(int(str(row['n_deleted'])), 'module')} of {network.n_modules}, {network.title} needs {macs} "
        f"of its multiply-accumulate operations and {parameters} of its parameters"
    )
    if "error_rate_difference" not in table.columns:
        return f"{told}."
    cost = points(float(str(row["error_rate_difference"])))
    return f"{told}. Its error is then {percent(float(str(row['error_rate'])))}, a change by {cost} points."


def _on_importance(run: Run, network: StudiedNetwork) -> str:
    table = network.tables.get("importance")
    return "" if table is None else next(iter(on_extremes(network, table)), "")


Part = Callable[["Run", "StudiedNetwork"], str]
_PARTS: Mapping[str, tuple[Part, ...]] = {
    "reproduce": (_on_deletions, _on_depth, _on_plain, _on_skips, _on_gradient),
    "lesion": (_on_deletions, _on_skips),
    "paths": (_on_gradient,),
    "importance": (_on_importance,),
    "prune": (_on_pruning,),
}
