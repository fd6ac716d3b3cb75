"""The figures of Veit et al. (2016) that are measured: each is one value, which says what of which networks it needs.

Figures 1, 2 and 7 and Fig. 6a are drawn from numbers of modules alone, and so are in every report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unravelnet.errors import ModelError, unknown_name
from unravelnet.reproduction.plan import NetworkPlan


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """A figure of the paper.

    `studies`, `measurements`: what is in it, as in a `NetworkPlan`. `roles`: of the networks that it shows, where none
    is named; it is about networks that this package does not have where there is none.
    """

    number: int
    studies: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("resnet",)


PAPER_FIGURES = (
    PaperFigure(3, studies=("delete_each",), roles=("resnet", "vgg")),
    PaperFigure(4, studies=("delete_each",), roles=()),
    PaperFigure(5, studies=("delete_many", "reorder")),
    PaperFigure(6, measurements=("path_gradients_exact", "path_gradients_rms", "path_gradients_sampled")),
    PaperFigure(8, studies=("delete_each",), roles=("resnet", "stochastic-depth")),
)
_NUMBERS = {str(figure.number): figure for figure in PAPER_FIGURES}


def find_figures(numbers: Sequence[int]) -> list[PaperFigure]:
    """Look figures up by their numbers.

    >>> [figure.studies for figure in find_figures([5])]
    [('delete_many', 'reorder')]

    Raises UnknownNameError for a number that no measured figure has.
    """
    unknown = next((number for number in numbers if str(number) not in _NUMBERS), None)
    if unknown is not None:
        raise unknown_name("measured figure of the paper", str(unknown), list(_NUMBERS))
    return [_NUMBERS[str(number)] for number in numbers]


def planned_for(numbers: Sequence[int], networks: Sequence[NetworkPlan]) -> tuple[NetworkPlan, ...]:
    """Keep of the networks, and of what is measured of them, what some figures show; all where no figure is named.

    A model that the user named is in every figure. Raises UnknownNameError for an unknown number, and ModelError where
    a figure shows none of the networks.
    """
    if not numbers:
        return tuple(networks)
    wanted: dict[str, NetworkPlan] = {}
    for figure in find_figures(numbers):
        shown = [network for network in networks if network.given is not None or network.role in figure.roles]
        if not shown:
            raise ModelError(_nothing_shown(figure))
        for network in shown:
            known = wanted.get(network.name, replace(network, studies=(), measurements=()))
            wanted[network.name] = replace(
                known,
                studies=_joined(known.studies, figure.studies),
                measurements=_joined(known.measurements, figure.measurements),
            )
    return tuple(wanted.values())


def _nothing_shown(figure: PaperFigure) -> str:
    if figure.roles:
        return (
            f"Figure {figure.number} of the paper shows networks with the role {' or '.join(figure.roles)}, and this "
            "run has none. Leave the figure out, or name a model: --model MODEL."
        )
    return (
        f"Figure {figure.number} of the paper is about a network for ImageNet, and none comes with the package. Name "
        "one and its data: --model torchvision:resnet50 --weights FILE --data FOLDER."
    )


def _joined(*names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in names for name in part))
