"""Each module with the mean of its branch in the place of the branch: what it does for every input alike stays."""

from __future__ import annotations

from unravelnet.studies.blocks import Unit, in_units
from unravelnet.studies.study import Study
from unravelnet.studies.subject import Network, full_route
from unravelnet.studies.trial import Trial, intact

_STUDY = "mean_ablate_each"


def mean_ablate_each(net: Network, *, unit: Unit = "module") -> list[Trial]:
    """Plan to put the mean of its branch in the place of each branch by itself.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in mean_ablate_each(preact_resnet(depth=8))]
    ['0-2', '0m,1-2', '0,1m,2', '0-1,2m']

    Beside `delete_each` it says what of the harm is a shift of the stream that is the same for every input. The means
    are those that the network holds (`measure_means`), else those of the data that is measured. Plain layers have no
    skip that could stay, and are left out. `unit`: "block" takes the means of whole blocks. Raises RouteError where a
    network has none.
    """
    net, of_modules = in_units(net, unit)
    full = full_route(net)
    with_skip = [module.index for module in net.residual_modules if module.skip is not None]
    return of_modules(
        [intact(full, _STUDY), *(Trial(full.mean_ablate(m), _STUDY, f"module {m}") for m in with_skip)]
    )


MEAN_ABLATE_EACH = Study(
    _STUDY,
    "Each branch at its mean",
    "How much of what a module does depends on the input at all?",
    plan=lambda net, _: mean_ablate_each(net),
    figure=_STUDY,
    columns=("module",),
)
