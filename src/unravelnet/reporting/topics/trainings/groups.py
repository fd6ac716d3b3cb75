"""The trained networks of a run in groups, and the families that are compared."""

from __future__ import annotations

from unravelnet.errors import EvaluationError
from unravelnet.readers.groups import TrainedGroup, trained_groups
from unravelnet.reporting.contents import Run

CHAPTER = "trained-networks"


PLAIN, RESIDUAL = "plain", "resnet"


COMPARED_DEPTHS = (20, 56)


def groups_of(run: Run) -> list[TrainedGroup]:
    """Give the trained networks of a run in groups; none where their table is missing or has no error."""
    if run.trained_networks is None:
        return []
    try:
        return trained_groups(run.trained_networks)
    except EvaluationError:
        return []
