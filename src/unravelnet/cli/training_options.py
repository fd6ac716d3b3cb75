"""Options of commands that train, under the names that `TrainingPlan` has for them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class ScheduleName(StrEnum):
    """Schedules that can be asked for."""

    step = "step"
    cosine = "cosine"
    one_cycle = "one-cycle"


class OptimiserName(StrEnum):
    """Optimisers that can be asked for."""

    sgd = "sgd"
    adamw = "adamw"


EpochsOption = Annotated[
    int, typer.Option(metavar="N", help="Number of passes over the training data.", min=1)
]
ScheduleOption = Annotated[ScheduleName, typer.Option(help="Schedule of the learning rate.")]
MiniBatchOption = Annotated[
    int, typer.Option(metavar="N", help="Number of images or sequences in a mini-batch.")
]
WeightDecayOption = Annotated[float, typer.Option(metavar="X", help="Weight decay of all parameters.")]
AugmentOption = Annotated[
    bool,
    typer.Option(
        "--augment/--no-augment", help="Augment the images by random crops, and colour images by flips."
    ),
]
DeviceOption = Annotated[str, typer.Option(metavar="NAME", help="Device to train on: auto, cpu or cuda.")]
