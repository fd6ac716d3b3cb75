"""The lesioned networks of a run in groups of trainings that differ in their seed only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.readers.single_lesions import SingleLesions, single_lesions
from unravelnet.readers.spectrum import Spectrum
from unravelnet.reporting.contents import COMPARED, Run, StudiedNetwork
from unravelnet.reporting.topics.gradients.findings import sums_of
from unravelnet.reporting.topics.lesions.rows import errors_of, learnt_too_little

EACH, WITHOUT_SKIP, MANY = "delete_each", "remove_skip_each", "delete_many"
_ALL = "all"
# Deleting a ninth of the modules is as large a lesion at every depth: 1 of 9, 3 of 27, 6 of 54.
_NINTH = 9


@dataclass(frozen=True)
class LesionedGroup:
    """Trainings of one network that differ in their seed only, with what single deletions do to each."""

    networks: tuple[StudiedNetwork, ...]
    lesions: tuple[SingleLesions, ...]

    @property
    def title(self) -> str:
        """The name of the network, without a seed."""
        return self.networks[0].title

    @property
    def n_modules(self) -> int:
        """Residual modules."""
        return self.networks[0].n_modules

    @property
    def epochs(self) -> int | None:
        """Epochs of each training; None where they are not known."""
        return self.networks[0].epochs

    @property
    def zoo_name(self) -> str:
        """The network without its training; empty where it is not known."""
        return self.networks[0].zoo_name

    @property
    def is_trained_on_all(self) -> bool:
        """Whether every batch of the training saw all modules."""
        return self.networks[0].routes == _ALL

    def rises(self, read: Callable[[SingleLesions], float]) -> pd.DataFrame:
        """Read one number of each training, in the column rise."""
        return pd.DataFrame({"rise": [read(lesions) for lesions in self.lesions]})

    @property
    def with_spectrum(self) -> list[StudiedNetwork]:
        """The trainings whose gradient was measured by path length, by the exact sums."""
        return [network for network, spectrum in zip(self.networks, self._sums, strict=True) if spectrum]

    @property
    def spectra(self) -> list[Spectrum]:
        """The gradient by path length of each of these trainings."""
        return [spectrum for spectrum in self._sums if spectrum]

    @cached_property
    def _sums(self) -> list[Spectrum | None]:
        # Asked for again and again, and slow to read.
        return [sums_of(network) for network in self.networks]

    @property
    def intact(self) -> list[float]:
        """The error of each intact network, of the images that the lesions were measured on."""
        studies = [errors_of(network.tables[EACH]) for network in self.networks]
        return [float(study.intact["value"]) for study in studies if study and study.intact is not None]

    @property
    def n_images(self) -> int:
        """The test images that the lesions were measured on."""
        return min(
            int(table.to_pandas()["n_images"].min()) for table in (net.tables[EACH] for net in self.networks)
        )

    @property
    def without_skip(self) -> list[float]:
        """The median rise of the error without the skip of a module that keeps the shape, where it was measured."""
        tables = [(network, network.tables.get(WITHOUT_SKIP)) for network in self.networks]
        read = [single_lesions(table, net.downsampling) for net, table in tables if table is not None]
        return [lesions.median for lesions in read]

    @property
    def ninths(self) -> list[tuple[float, float]]:
        """The intact error and the median error of draws that delete a ninth of the modules, on the same images.

        Of each training that has such draws.
        """
        return [errors for network in self.networks if (errors := _without_a_ninth(network))]


def lesioned_groups(run: Run) -> list[LesionedGroup]:
    """Group the residual networks whose modules were deleted one by one, from shallow to deep.

    None where no network is there to be compared with others. One that learnt too little to lose anything is left out.
    """
    if not any(EACH in network.tables for network in run.of_role(COMPARED)):
        return []
    members: dict[str, list[tuple[StudiedNetwork, SingleLesions]]] = {}
    for network in run.of_role("resnet", "stochastic-depth", "effective-paths", COMPARED):
        lesions = _lesions_of(network)
        if lesions is not None:
            members.setdefault(network.group or network.name, []).append((network, lesions))
    groups = [LesionedGroup(*zip(*pairs, strict=True)) for pairs in members.values()]
    return sorted(groups, key=lambda group: group.n_modules)


def pairs_of_trainings(groups: Sequence[LesionedGroup]) -> list[tuple[LesionedGroup, LesionedGroup]]:
    """List the groups that were trained on random routes, each behind the same network trained on all modules."""
    full = {group.zoo_name: group for group in reversed(groups) if group.is_trained_on_all}
    return [
        (full[group.zoo_name], group)
        for group in groups
        if not group.is_trained_on_all and group.zoo_name and group.zoo_name in full
    ]


def _lesions_of(network: StudiedNetwork) -> SingleLesions | None:
    table = network.tables.get(EACH)
    if table is None or learnt_too_little(table, network.n_classes):
        return None
    try:
        return single_lesions(table, network.downsampling)
    except EvaluationError:
        return None


def _without_a_ninth(network: StudiedNetwork) -> tuple[float, float] | None:
    """Give the intact error and the median one without a ninth of the modules; None where it was not measured."""
    number = round(network.n_modules / _NINTH)
    study = errors_of(network.tables.get(EACH if number == 1 else MANY), needs=["n_deleted"])
    if study is None or study.intact is None:
        return None
    draws = study.lesions.loc[study.lesions["n_deleted"] == number, "value"]
    return None if draws.empty else (float(study.intact["value"]), float(draws.median()))
