"""Reading the table of trained networks: which of them were trained alike, but for their seed.

Figures, sentences and verdicts about trainings all read it here, so that they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.readers.rows import ordered

if TYPE_CHECKING:
    from unravelnet.records.record import Table

ALL_MODULES = "all"
EFFECTIVE_PATHS, STOCHASTIC_DEPTH = "exactly:", "stochastic-depth:"
KEPT = ",keep=downsampling"

_FAMILIES = {
    "preact-resnet": "pre-activation ResNet",
    "resnet": "ResNet",
    "plain": "plain",
    "vgg": "VGG",
}
# What may have been chosen for a training, by the words for it.
RECIPE = {
    "epochs": "epochs",
    "image_sizes": "image sizes",
    "peak_learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "label_smoothing": "label smoothing",
    "batch_size": "batch size",
}
_TEXTS = ("group", "network_name", "zoo_name", "routes", "test_time", "is_as_trained")
_NUMBERS = (
    "n_parameters",
    "train_error_rate",
    "epochs",
    "training_macs",
    "training_seconds",
)


@dataclass(frozen=True, slots=True)
class TrainedGroup:
    """The trainings of one network by one recipe, which differ in nothing but their seed.

    `rows`: one a training, tested as its method tests; `others`: the same tested in other ways, where it was.
    Both have the columns of the table, in the order of the seeds. `neighbours`: the rows of all groups of the table,
    its own among them, for how much trainings differ.
    """

    name: str
    zoo_name: str
    routes: str
    rows: pd.DataFrame
    others: pd.DataFrame
    neighbours: tuple[pd.DataFrame, ...] = ()

    @property
    def network(self) -> str:
        """The network without its recipe, as in a sentence."""
        return network_text(self.zoo_name)

    @property
    def title(self) -> str:
        """The network with its recipe, as beside a mark."""
        return training_text(self.zoo_name, self.routes, self.start)

    @property
    def start(self) -> str:
        """The network whose weights the training began with; empty where they were random."""
        return self.chosen("start")

    @property
    def keeps_downsampling(self) -> bool:
        """Whether its routes always keep the modules that change the shape, and leave out others."""
        return self.routes.startswith(EFFECTIVE_PATHS) and self.routes.endswith(KEPT)

    @property
    def n_modules(self) -> int:
        """Residual modules, or layers where there are no skips."""
        return int(self.rows["n_modules"].iloc[0])

    def chosen(self, column: str) -> str:
        """Write a setting of the recipe, which all trainings of the group share; empty where it is not known."""
        value = self.rows[column].iloc[0] if column in self.rows else None
        if value is None or value != value:
            return ""
        return value if isinstance(value, str) else f"{value:g}"

    def at_test_time(self, test_time: str) -> pd.DataFrame:
        """Give the rows of one way of testing, such as "unscaled" or "scaled"."""
        every = pd.concat([self.rows, self.others])
        return every[every["test_time"] == test_time]


def trained_groups(table: Table) -> list[TrainedGroup]:
    """Sort the rows of a table of trained networks into groups, in the order of the table.

    Raises EvaluationError for a missing column and where no row is left.
    """
    rows = ordered(table, by="training_seed", needs=["error_rate"], wants=_NUMBERS, keeps=_TEXTS)
    groups = []
    for name in dict.fromkeys(str(row["group"]) for row in table):
        members = rows[rows["group"] == name]
        is_as_trained = members["is_as_trained"].astype(bool)
        if is_as_trained.any():
            first = members.iloc[0]
            parts = (members[mask].reset_index(drop=True) for mask in (is_as_trained, ~is_as_trained))
            groups.append(TrainedGroup(name, str(first["zoo_name"]), str(first["routes"]), *parts))
    if not groups:
        raise EvaluationError("No row of the table is_as_trained, so there is nothing to show.")
    rows_of_all = tuple(group.rows for group in groups)
    return [replace(group, neighbours=rows_of_all) for group in groups]


def group_of(groups: Sequence[TrainedGroup], zoo_name: str, routes: str = ALL_MODULES) -> TrainedGroup | None:
    """Find the first group of a network whose routes begin so; None where it was not trained."""
    alike = (group for group in groups if group.zoo_name == zoo_name and group.routes.startswith(routes))
    return next(alike, None)


def pairs_of(groups: Sequence[TrainedGroup], routes: str) -> list[tuple[TrainedGroup, TrainedGroup]]:
    """List the groups whose routes begin so, each behind the same network trained on all modules."""
    pairs = ((group_of(groups, group.zoo_name), group) for group in groups if group.routes.startswith(routes))
    return [(full, group) for full, group in pairs if full is not None]


def family_and_depth(name: str) -> tuple[str, int] | None:
    """Read family and depth from the name of a network of the zoo, or one that begins with it.

    >>> family_and_depth("preact-resnet56-cifar10-seed1"), family_and_depth("plain-20"), family_and_depth("mine")
    (('preact-resnet', 56), ('plain', 20), None)
    """
    found = re.match(rf"({'|'.join(_FAMILIES)})-?(\d+)", name.lower())
    return None if found is None else (found[1], int(found[2]))


def network_text(zoo_name: str) -> str:
    """Write the name of a network of the zoo as in a sentence.

    >>> network_text("preact-resnet110"), network_text("plain20"), network_text("mine")
    ('pre-activation ResNet-110', 'plain-20', 'mine')
    """
    known = family_and_depth(zoo_name)
    return zoo_name if known is None else f"{_FAMILIES[known[0]]}-{known[1]}"


def training_text(zoo_name: str, routes: str, start: str = "") -> str:
    """Write a network with what its training was on.

    >>> training_text("resnet20", "exactly:4"), training_text("resnet20", "stochastic-depth:0.5")
    ('ResNet-20, exactly 4', 'ResNet-20, stochastic depth')
    """
    origin = f", started from {start}" if start else ""
    title = f"{network_text(zoo_name)}{_recipe_text(routes)}{origin}"
    return title[0].upper() + title[1:]


def _recipe_text(routes: str) -> str:
    if routes.startswith(EFFECTIVE_PATHS):
        count = routes.removeprefix(EFFECTIVE_PATHS)
        kept = " with all down-sampling modules" if count.endswith(KEPT) else ""
        return f", exactly {count.removesuffix(KEPT)}{kept}"
    return "" if routes == ALL_MODULES else f", {routes.partition(':')[0].replace('-', ' ')}"
