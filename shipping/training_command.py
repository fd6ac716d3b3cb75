"""The command line that trains a network again, made from the settings that its training has kept.

Options and their defaults are read from the command itself, so a new setting is written out as soon as it has one.
"""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from typing import Any

import typer

from unravelnet import zoo
from unravelnet.cli.command_line import app
from unravelnet.errors import TrainingError
from unravelnet.training_plan import TrainingPlan
from unravelnet.zoo import Description

# `train` settles a learning rate that was left open before it keeps the plan.
_SETTLED = replace(TrainingPlan(), learning_rate=TrainingPlan().peak_learning_rate)


def training_command(description: Description, name: str) -> str:
    """Write the `unravelnet train` line that makes a network again, with the options that are not the default.

    Raises TrainingError where no such line exists: the network or a setting is not to be had by options.
    """
    _check_network(description)
    words = ["unravelnet", "train", description.name, "--data", description.data]
    words += [*_options(plan_of(description)), "--out", f"runs/{name}"]
    return shlex.join(words)


def plan_of(description: Description) -> TrainingPlan:
    """Return the plan that a network was trained by; what it does not name has its default.

    Raises TrainingError where the network does not say, and UnknownNameError for a setting that does not exist.
    """
    settings = description.facts.get("training")
    if not isinstance(settings, dict):
        raise TrainingError(
            f"The network {description.name} does not say how it was trained. Give a directory that `unravelnet "
            "train` wrote."
        )
    return TrainingPlan().changed(settings)


def _check_network(description: Description) -> None:
    """Raise where `unravelnet train` would make another network from the name and the data alone."""
    made = zoo.create(description.name, input_shape=description.options["input_shape"])
    usual = {**zoo.recipe_of(made).options, "n_classes": len(description.classes)}
    for option, value in description.options.items():
        if value != usual[option]:
            raise TrainingError(
                f"The {option} of {description.name} is {value}, and `unravelnet train` makes it with {usual[option]}. "
                "Train the network by the command, so that others can."
            )


def _options(plan: TrainingPlan) -> list[str]:
    command: Any = typer.main.get_command(app)
    offered = {option.name: option for option in command.commands["train"].params}
    words = []
    for field in fields(plan):
        value, option = getattr(plan, field.name), offered.get(field.name)
        default = field.default if option is None else option.default
        if value == default or (default is None and value == getattr(_SETTLED, field.name)):
            continue
        if option is None or value is None:
            raise TrainingError(
                f"The training setting {field.name} is {value}, which `unravelnet train` has no option for. Train the "
                "network by the command, so that others can."
            )
        words += _words(option, value)
    return words


def _words(option: Any, value: object) -> list[str]:
    if isinstance(value, bool):
        return [option.opts[0] if value else option.secondary_opts[0]]
    return [option.opts[0], str(value)]
