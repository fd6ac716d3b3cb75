"""Studies that change one module at a time: each deleted, or each without its skip."""

from __future__ import annotations

from unravelnet.papers import veit
from unravelnet.studies.blocks import Unit, in_units
from unravelnet.studies.study import Study
from unravelnet.studies.subject import Network, deletable, full_route
from unravelnet.studies.trial import Trial, intact


def delete_each(net: Network, *, unit: Unit = "module") -> list[Trial]:
    """Plan to delete each module by itself: Figs. 3, 4 and 8 of the paper.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in delete_each(preact_resnet(depth=8))]
    ['0-2', '0s,1-2', '0,1s,2', '0-1,2s']

    A plain layer that changes the shape cannot be deleted and is left out. `unit`: "block" deletes whole blocks of a
    transformer, as in all studies that take it. Raises RouteError where a network has none.
    """
    net, of_modules = in_units(net, unit)
    full, study = full_route(net), "delete_each"
    deleted = [Trial(full.delete(module), study, f"module {module}") for module in deletable(net)]
    return of_modules([intact(full, study), *deleted])


def remove_skip_each(net: Network) -> list[Trial]:
    """Plan to remove the skip of each module by itself.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in remove_skip_each(preact_resnet(depth=8))]
    ['0-2', '0b,1-2', '0,1b,2', '0-1,2b']

    It halves the number of paths exactly as deleting a module does, so a network that is nothing but a
    collection of paths should bear both alike: a control experiment that the paper
    did not do. Plain layers have no skip and are left out.
    """
    full, study = full_route(net), "remove_skip_each"
    with_skip = [module.index for module in net.residual_modules if module.skip is not None]
    removed = [Trial(full.remove_skip(module), study, f"module {module}") for module in with_skip]
    return [intact(full, study), *removed]


DELETE_EACH = Study(
    "delete_each",
    "Deleting each module",
    "What happens if one module is taken out of a trained network, and nothing is trained again?",
    plan=lambda net, _: delete_each(net),
    figure="delete_each",
    columns=("module",),
    paper=f"{veit.SINGLE_DELETIONS.said} {veit.PLAIN_COLLAPSES.said}",
)
REMOVE_SKIP_EACH = Study(
    "remove_skip_each",
    "Removing each skip",
    "Removing the skip of a module leaves as many paths as deleting it. Do both cost alike?",
    plan=lambda net, _: remove_skip_each(net),
    figure="remove_skip_each",
    columns=("module",),
)
