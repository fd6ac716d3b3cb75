"""Which networks a reproduction takes where nothing is said: shipped ones for the data they know, else trained ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unravelnet import zoo
from unravelnet.data import ImageData
from unravelnet.errors import StoreError
from unravelnet.registry import STUDIES
from unravelnet.reproduction.given import NamedModel
from unravelnet.reproduction.paper_figures import planned_for
from unravelnet.reproduction.plan import (
    NETWORKS,
    SHIPPED_NETWORKS,
    SMALL_NETWORKS,
    GivenModel,
    NetworkPlan,
)
from unravelnet.reproduction.settings import found_settings, is_small
from unravelnet.wording import counted


@dataclass(frozen=True, slots=True)
class Choice:
    """The networks of a run, and what there is to say about them, a sentence each."""

    networks: tuple[NetworkPlan, ...]
    remarks: tuple[str, ...] = ()

    def for_figures(self, numbers: Sequence[int]) -> Choice:
        """Keep what some figures of the paper show; all where no number is given. Raises as `planned_for`."""
        return replace(self, networks=planned_for(numbers, self.networks))

    def with_studies(self, studies: Sequence[str]) -> Choice:
        """Add studies to each network that is lesioned, but for those that are only compared.

        Raises UnknownNameError for a study that is not known.
        """
        names = [STUDIES.find(name).name for name in studies]
        networks = (
            replace(network, studies=tuple(dict.fromkeys([*network.studies, *names])))
            if network.studies and network.role != "compared"
            else network
            for network in self.networks
        )
        return replace(self, networks=tuple(networks))


def choice_of_run(directory: Path) -> Choice | None:
    """Give the networks of the run in a directory; None where there is none. Raises StoreError for something else."""
    found = found_settings(directory)
    if not found:
        return None
    kind = "quick run" if found.get("quick") else "run"
    networks = _networks_of(found.get("networks"), directory)
    return Choice(networks, (f"Goes on with the {kind} in {directory}.",))


def choose_model(directory: Path, model: GivenModel | str | None) -> tuple[NamedModel | None, Choice | None]:
    """Open the model that the user names, or that the run in the directory is about, and choose what is measured of it.

    Without such a model nothing is chosen.

    Raises StoreError where the directory holds something else, and as `models.load`.
    """
    going_on = choice_of_run(directory)
    before = going_on.networks[0].given if going_on else None
    given = GivenModel(model) if isinstance(model, str) else model or before
    if given is None:
        return None, None
    named = NamedModel.open(given)
    return named, going_on if going_on and given == before else Choice((named.plan(),))


def choose_networks(directory: Path, test_data: ImageData, *, epochs: int | None) -> Choice:
    """Choose the networks: those of the run in the directory; else shipped ones, or ones to train.

    Shipped networks are taken where they were tested on this very data and no `epochs` are given. Raises StoreError
    where the directory holds something else.
    """
    if going_on := choice_of_run(directory):
        return going_on
    trained = SMALL_NETWORKS if is_small(test_data) else NETWORKS
    if epochs is not None:
        return Choice(trained, (f"Networks are trained for {counted(epochs, 'epoch')} each.",))
    there = set(zoo.pretrained_for(test_data.fingerprint()))
    shipped = tuple(network for network in SHIPPED_NETWORKS if network.pretrained in there)
    if not shipped:
        return Choice(trained, (f"No networks for {test_data.name} are shipped: they are trained here.",))
    remark = (
        f"The networks for {test_data.name} are shipped and not trained again; --epochs N trains new ones."
    )
    missing = [network.pretrained for network in SHIPPED_NETWORKS if network not in shipped]
    left_out = [f"Not shipped, and left out: {', '.join(missing)}."] if missing else []
    return Choice(shipped, (remark, *left_out))


def _networks_of(entries: object, directory: Path) -> tuple[NetworkPlan, ...]:
    try:
        if isinstance(entries, Sequence) and entries:
            return tuple(NetworkPlan.of_json(entry) for entry in entries)
    except (TypeError, AttributeError):
        pass
    raise StoreError(
        f"The run.json in {directory} does not list the networks of its run. Give another directory."
    )
