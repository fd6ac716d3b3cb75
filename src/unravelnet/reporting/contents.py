"""What a run left behind: provenance, the networks, and their tables.

run.json                                  provenance
networks.json                             a list, one entry a network (see `StudiedNetwork`)
tables/NETWORK/STUDY.csv                  delete_each, delete_many, reorder, remove_skip_each ...
tables/NETWORK/history.csv                the training, where there was one
tables/trained_networks.csv               one row a trained network and way to test it, where they were compared
tables/whole_trainings.csv                one row a whole training, also of those that are not shipped
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unravelnet.errors import StoreError
from unravelnet.escaping import shortened
from unravelnet.papers import veit
from unravelnet.records.provenance import read_run
from unravelnet.records.record import Table, load_table, read_json
from unravelnet.registry import STUDIES

NETWORKS_FILE, TABLES_DIRECTORY = "networks.json", "tables"
HISTORY = "history"
TRAINED_NETWORKS = "trained_networks"
WHOLE_TRAININGS = "whole_trainings"
COMPARED = "compared"
REPRODUCE = "reproduce"
MEASURING = ("lesion", "paths", "importance", "prune")
"""The commands that share a directory; each leaves its name in run.json, with the model that it measured."""
IMAGENET_CLASSES = 1000
_OF_WHICH_COMMANDS = (
    f"Give a directory that `unravelnet {REPRODUCE}` wrote, or {', '.join(MEASURING[:-1])} or {MEASURING[-1]} with "
    "--out."
)
ROLES = ("resnet", "stochastic-depth", "effective-paths", "vgg", COMPARED)
_DEFAULTS: Mapping[str, Any] = {
    "downsampling": (),
    "stages": (),
    "n_classes": None,
    "epochs": None,
    "n_train_images": None,
    "input_shape": (),
    "zero_init_residual": False,
    "n_parameters": None,
    "structure": "",
    "group": "",
    "pretrained": "",
    "zoo_name": "",
    "routes": "all",
}


@dataclass(frozen=True, slots=True)
class StudiedNetwork:
    """One network of a run, as `networks.json` describes it, with its tables by study.

    `role`: "resnet"; "stochastic-depth" and "effective-paths", the same trained so; "vgg"; or "compared", of which
    responses, errors and lesions are shown beside those of others. `downsampling`: indices of the modules that change
    the shape. `stages`: indices of the modules that begin a stage. `structure`: its kinds of skips and of
    normalisation. `group`: of the trainings that differ in their seed only; empty for one that stands alone.
    `pretrained`: its name as a shipped network; empty for another. `zoo_name`: the network without its training.
    `routes`: what it was trained on. `input_shape`, `n_train_images`, `zero_init_residual`: of its training.
    """

    name: str
    title: str
    role: str
    n_modules: int
    n_parameters: int | None = None
    downsampling: tuple[int, ...] = ()
    stages: tuple[int, ...] = ()
    n_classes: int | None = None
    epochs: int | None = None
    structure: str = ""
    n_train_images: int | None = None
    input_shape: tuple[int, ...] = ()
    zero_init_residual: bool = False
    group: str = ""
    pretrained: str = ""
    zoo_name: str = ""
    routes: str = "all"
    tables: Mapping[str, Table] = field(default_factory=dict)

    @property
    def is_of_imagenet(self) -> bool:
        """Whether it has the classes of ImageNet, as the networks of Fig. 4."""
        return self.n_classes == IMAGENET_CLASSES

    @property
    def history(self) -> Table | None:
        """The history of its training, where there is one."""
        return self.tables.get(HISTORY)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a report is made from."""

    directory: Path
    provenance: Mapping[str, Any]
    networks: tuple[StudiedNetwork, ...]
    trained_networks: Table | None = None
    whole_trainings: Table | None = None

    @property
    def studied(self) -> list[StudiedNetwork]:
        """List the networks that were studied: all but those that are only compared."""
        return [network for network in self.networks if network.role != COMPARED]

    def of_role(self, *roles: str) -> list[StudiedNetwork]:
        """List the networks of these roles, in the order of `networks.json`."""
        return [network for network in self.networks if network.role in roles]

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that measured it, as run.json names them: what it was made for."""
        return tuple(name for name in MEASURING if name in self.provenance) or (REPRODUCE,)

    @property
    def is_reproduction(self) -> bool:
        """Whether it repeats the experiments of the paper."""
        return self.commands == (REPRODUCE,)

    def owes(self, study: str) -> bool:
        """Tell whether it should have left a table: as a reproduction planned, all where its plan is not known."""
        planned = _planned(self.provenance)
        return self.is_reproduction and (planned is None or study in planned)

    @property
    def is_about_lesions(self) -> bool:
        """Whether lesions belong in its report: not where other studies are all that it has."""
        names = {name for network in self.studied for name in network.tables}
        return not names - {HISTORY} or not names.isdisjoint(STUDIES.names())

    def lesioned(self, role: str) -> list[StudiedNetwork]:
        """List the networks of a role, if this run is about lesions."""
        return self.of_role(role) if self.is_about_lesions else []

    @property
    def depth(self) -> int:
        """The number of modules that the chapters about paths are for: the first residual network's."""
        residual = self.of_role("resnet", "stochastic-depth", "effective-paths")
        return residual[0].n_modules if residual else veit.N_MODULES.count

    def base_of(self, network: StudiedNetwork) -> StudiedNetwork | None:
        """Find the ordinary network that one trained with stochastic depth is compared with: the first as deep."""
        alike = [other for other in self.of_role("resnet") if other.n_modules == network.n_modules]
        return next((other for other in alike if "delete_each" in other.tables), None)

    def with_table(self, *studies: str) -> list[StudiedNetwork]:
        """List the studied networks that have the tables of all these studies."""
        return [network for network in self.studied if all(study in network.tables for study in studies)]


def downsampling_of(networks: Sequence[StudiedNetwork]) -> dict[str, Sequence[int]]:
    """Give the down-sampling modules of networks by their titles."""
    return {network.title: network.downsampling for network in networks}


def shared_stages(networks: Sequence[StudiedNetwork]) -> tuple[int, ...]:
    """Give the modules that begin the stages of networks; none where networks have others."""
    first, *others = [network.stages for network in networks]
    return first if all(stages == first for stages in others) else ()


def read_run_directory(directory: Path) -> Run:
    """Read what a run left in its directory.

    Raises StoreError where the directory, run.json or networks.json is missing or damaged, or a table cannot
    be read. A missing table is no error.
    """
    if not directory.is_dir():
        raise StoreError(f"There is no directory {directory}. {_OF_WHICH_COMMANDS}")
    networks, provenance = _read_networks_file(directory / NETWORKS_FILE), read_run(directory)
    of_all = _read_tables(directory / TABLES_DIRECTORY)
    return Run(
        directory,
        provenance,
        _told_apart([_read_network(directory, entry) for entry in networks]),
        of_all.get(TRAINED_NETWORKS),
        of_all.get(WHOLE_TRAININGS),
    )


def _read_networks_file(path: Path) -> list[Any]:
    try:
        networks = read_json(path)
    except FileNotFoundError as error:
        raise StoreError(
            f"{path.parent} holds no measurements to report: {path.name} is missing. {_OF_WHICH_COMMANDS}"
        ) from error
    if not isinstance(networks, list):
        raise StoreError(f"{path} does not hold a JSON list of networks.")
    return networks


def _read_network(directory: Path, entry: Any) -> StudiedNetwork:
    source = directory / NETWORKS_FILE
    given = entry if isinstance(entry, dict) else {}
    for key in ("name", "role", "n_modules"):
        if key not in given:
            raise StoreError(f"An entry of {source} has no {key!r}: {str(entry)[:80]}.")
    known = {**_DEFAULTS, "title": str(given["name"]), **given}
    known |= {key: shortened(known[key]) for key in ("title", "structure") if _is_text(known[key])}
    for key, is_valid in _IS_VALID.items():
        if not is_valid(known[key]):
            raise StoreError(f"The {key} of a network in {source} cannot be {str(known[key])[:80]!r}.")
    name, role = known["name"], known["role"]
    if Path(name).name != name or name in (".", "..") or "\0" in name:
        raise StoreError(f"The name {name!r} in {source} cannot be the name of a directory of tables.")
    if role not in ROLES:
        raise StoreError(
            f"The network {name} in {source} has the role {role!r}; expected {', '.join(ROLES)}."
        )
    values: dict[str, Any] = {
        key: tuple(known[key]) if isinstance(known[key], list) else known[key] for key in _IS_VALID
    }
    return StudiedNetwork(**values, tables=_read_tables(directory / TABLES_DIRECTORY / name))


def _told_apart(networks: Sequence[StudiedNetwork]) -> tuple[StudiedNetwork, ...]:
    """Number the titles of networks that are empty or stand twice: the report knows networks by their titles."""
    titles = Counter(network.title for network in networks)
    return tuple(
        network
        if network.title.strip() and titles[network.title] == 1
        else replace(network, title=f"{network.title} (network {number})".strip())
        for number, network in enumerate(networks, start=1)
    )


def _planned(provenance: Mapping[str, Any]) -> set[str] | None:
    """Give the tables that a reproduction planned to leave; None where run.json does not say."""
    settings = provenance.get("reproduction")
    plans = settings.get("networks") if isinstance(settings, Mapping) else None
    if not isinstance(plans, list) or not all(isinstance(plan, Mapping) for plan in plans):
        return None
    lists = [plan[key] for plan in plans for key in _PLANNED if isinstance(plan.get(key), list)]
    # A model that the user names is not trained.
    is_trained = any(plan.get("given") is None for plan in plans)
    return {
        *(str(study) for studies in lists for study in studies),
        TRAINED_NETWORKS,
        WHOLE_TRAININGS,
        *([HISTORY] if is_trained else []),
    }


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_positive(value: object) -> bool:
    return _is_number(value) and value != 0


def _is_number_or_none(value: object) -> bool:
    return value is None or _is_number(value)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _is_list_of_numbers(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_number, value))


_PLANNED = ("studies", "measurements")
_COUNTS = {"module", "n_images", "n_modules", "n_deleted", "repeat"}
# What an entry of networks.json may hold.
_IS_VALID: Mapping[str, Callable[[object], bool]] = {
    "name": _is_text,
    "title": _is_text,
    "role": _is_text,
    "n_modules": _is_positive,
    "n_parameters": _is_number_or_none,
    "downsampling": _is_list_of_numbers,
    "stages": _is_list_of_numbers,
    "n_classes": _is_number_or_none,
    "epochs": _is_number_or_none,
    "structure": _is_text,
    "group": _is_text,
    "pretrained": _is_text,
    "zoo_name": _is_text,
    "routes": _is_text,
    "n_train_images": _is_number_or_none,
    "input_shape": _is_list_of_numbers,
    "zero_init_residual": _is_truth,
}


def _read_tables(directory: Path) -> dict[str, Table]:
    # A directory is that of a network whose name ends so.
    files = [path for path in sorted(directory.glob("*.csv")) if path.name[0] != "." and path.is_file()]
    return {path.stem: _checked(load_table(path), path) for path in files}


def _checked(table: Table, path: Path) -> Table:
    """Return a table whose counts and positions are finite. Raises StoreError for another one."""
    for column in _COUNTS & set(table.columns):
        if any(isinstance(value, float) and math.isinf(value) for value in table[column]):
            raise StoreError(
                f"The column {column} of {path} holds an infinite number; expected whole ones. Restore the file."
            )
    return table
