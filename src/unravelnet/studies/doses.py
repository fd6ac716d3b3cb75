"""The branch of each module scaled by several factors: dose and response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from numbers import Real

import numpy as np

from unravelnet.costs import MOST_ROUTES, at_most
from unravelnet.errors import RouteError
from unravelnet.studies.study import MOST_TRIALS, Study, checked_most, note_left_out
from unravelnet.studies.subject import Network, full_route
from unravelnet.studies.trial import Trial, intact

_STUDY = "scale_each"
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.25, 1.5, 1.75, 2.0)


def scale_each(net: Network, factors: Sequence[float] = FACTORS, *, most: int = MOST_TRIALS) -> list[Trial]:
    """Plan to multiply the branch of each module by several numbers, one module at a time.

    >>> from unravelnet.zoo import preact_resnet
    >>> [str(trial.route) for trial in scale_each(preact_resnet(depth=8), [0, 0.5])]
    ['0-2', '0s,1-2', '0*0.5,1-2', '0,1s,2', '0,1*0.5,2', '0-1,2s', '0-1,2*0.5']

    0 deletes the module, and 1 is the intact network, which every study has. Plain layers have no skip beside which
    the branch could weigh more or less, and are left out. `most`: where there are more trials, modules at equal
    distances are taken. 54 modules with 8 factors cost as much as 220 forward passes of each image. Raises RouteError
    for a factor or a number that is none.
    """
    most, factors, full = checked_most(most), _checked(factors), full_route(net)
    with_skip = [module.index for module in net.residual_modules if module.skip is not None]
    return [
        intact(full, _STUDY),
        *(
            Trial(
                full.scale(factor, module),
                _STUDY,
                f"module {module} times {factor:g}",
                facts=(("module", module), ("factor", factor)),
            )
            for module in _spread(with_skip, max(1, most // max(1, len(factors))))
            for factor in factors
        ),
    ]


def _spread(modules: list[int], most: int) -> list[int]:
    """Take so many modules at most, at equal distances."""
    if len(modules) <= most:
        return modules
    note_left_out(_STUDY, most, len(modules), "modules, at equal distances")
    return [modules[place] for place in np.linspace(0, len(modules) - 1, most).round().astype(int)]


def _checked(factors: Iterable[float]) -> list[float]:
    """Return the factors, each once and without 1, or say which number cannot be meant."""
    given = at_most(factors, MOST_ROUTES, "factors") if isinstance(factors, Iterable) else [factors]
    for factor in given:
        if not isinstance(factor, Real) or isinstance(factor, bool) or not isfinite(factor):
            raise RouteError(
                f"A branch cannot be multiplied by {factor!r}. Give a list of numbers, such as [0, 0.5, 2]."
            )
    return [factor for factor in dict.fromkeys(map(float, given)) if factor != 1]


SCALE_EACH = Study(
    _STUDY,
    "Scaling each branch",
    "How does the error change when the branch of a module weighs less or more than it was trained to?",
    plan=lambda net, _: scale_each(net),
    figure=_STUDY,
    columns=("module", "factor"),
    has_many_trials=True,
)
