"""The card of a shipped network: what it is, how it was made, how often it errs, what it is not for.

All of it comes from the files beside the card, so that card and files say the same.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from shipping.other_trainings import FACT
from shipping.training_command import plan_of
from unravelnet import zoo
from unravelnet.mathematics.intervals import rate_interval
from unravelnet.records.record import Row, Table, load_table
from unravelnet.training.directory import HISTORY_FILE
from unravelnet.training_plan import TrainingPlan
from unravelnet.wording import counted
from unravelnet.zoo import Description
from unravelnet.zoo.store import WEIGHTS_FILE

CARD_FILE = "card.md"
CHECKPOINTS_FACT = "checkpoints"
_LARGEST_N_ROWS = 12

_CARD = """\
# {name}

{what}

```python
net = unravelnet.zoo.pretrained("{name}")
```

On the command line it is `zoo:{name}`.

## Error

**{error}** of {n_images:,} test images of {data}: {wrong:,} are wrong; the 95 % interval (Wilson) is {low} to {high}.
Measured on the weights as they are stored here, with all residual modules, on one view of each image, in {precision}.
{scaling}
{storing}
{others}
## Training

```bash
{command}
```

| | |
|---|---|
| seed | {seed} |
| epochs | {epochs} |
| minutes | {minutes:.1f}, evaluation after each epoch included |
| images/s | {images_per_second:.0f}, at full size |
| hardware | {hardware} |
| versions | {versions} |
| code | {code} |
{log}| finished | {finished} (UTC) |
| file | {bytes:,} bytes of weights |

The weights are those after the last epoch; no other epoch was chosen by its error. How the recipe was chosen stands
in docs/networks.md. Minutes and images/s are of a machine that did other work, too, at times; speeds that can be
compared are in results/benchmarks.csv. Losses and errors of training are
of images and routes as they were drawn, the mean over an epoch.{pieces}

{history}
{checkpoints}
## Use

For research and teaching on images like those of {data}: {shape}, of {classes}. Its answer for any other image means
nothing, and nothing that matters should be decided by it. MIT licence, as the rest of the project.
"""

_STORED = """\
Tensors of two or more dimensions are stored at half precision (float16), all others as they were. With the weights
of the training {changed}"""
_STORED_OF_HALF = """\
All weights and the statistics of normalisation were rounded to half precision (float16) before they were stored here.
{changed}"""
_CHANGED = """\
{full_wrong:,} images are wrong ({full_error}), so storing changed the error by {change:+.2f} points,
and the loss from {full_loss:.5f} to {loss:.5f}."""
_UNKNOWN = """\
The weights of the training were kept in half precision only, so what storing changed is not known."""
_LOGGED = {"torch": "torch of each epoch", "commit": "commit of each epoch"}
_CHECKPOINTS = """
## Checkpoints

The gradient was split by path length {epochs} (`unravelnet.over_training`, 64 training images). The tables stand
beside this card. {origin}
"""
_OF_THIS_TRAINING = "The weights were those of this training."
_OF_A_REPETITION = """\
For that the training was repeated, with commit {commit}. {end}"""
_SAME_END = "It ended with the weights that are stored here."
_OTHER_END = "It ended with other weights than those that are stored here, and with a test error of {error}."
_PIECES = """
What differs from a training in one piece stands in results/long_trainings/README.md."""


def card(name: str, directory: Path) -> str:
    """Write the card of the network in a directory, as Markdown."""
    description, history = zoo.read_description(directory), load_table(directory / HISTORY_FILE)
    facts, plan = description.facts, plan_of(description)
    return _CARD.format(
        name=name,
        what=_what(directory, description, plan),
        data=description.data,
        **_error(facts),
        scaling=_scaling(description),
        storing=_storing(facts),
        others=_others(facts, plan),
        command=facts["command"],
        seed=plan.seed,
        epochs=plan.epochs,
        minutes=facts["seconds"] / 60,
        images_per_second=facts["images_per_second"],
        hardware=facts["hardware"],
        versions=", ".join(f"{package} {version}" for package, version in facts["versions"].items()),
        code=_code(facts),
        log=_log(facts, plan),
        pieces=_PIECES if facts.get("epochs_logged") else "",
        finished=facts["finished_utc"].removesuffix("+00:00"),
        bytes=(directory / WEIGHTS_FILE).stat().st_size,
        history=_history(history),
        checkpoints=_checkpoints(facts),
        shape="×".join(map(str, description.options["input_shape"])),
        classes=", ".join(description.classes),
    )


def percent(rate: float) -> str:
    """Write a rate in percent with the two decimals that 10,000 images give.

    >>> percent(0.0703)
    '7.03 %'
    """
    return f"{100 * rate:.2f} %"


def _what(directory: Path, description: Description, plan: TrainingPlan) -> str:
    net = zoo.load(directory)
    n_parameters = sum(parameter.numel() for parameter in net.parameters())
    routes = "on all residual modules" if plan.routes == "all" else f"on random routes, `{plan.routes}`"
    return (
        f"The network `{description.name}` of the zoo, trained on {description.data}, each mini-batch {routes}: "
        f"{len(net.residual_modules)} residual modules, {n_parameters:,} parameters."
    )


def _error(facts: dict[str, Any]) -> dict[str, Any]:
    test = facts["test"]
    low, high = rate_interval(test["wrong"], test["n_images"])
    return {
        "error": percent(test["error_rate"]),
        "n_images": test["n_images"],
        "wrong": test["wrong"],
        "low": percent(low),
        "high": percent(high),
        "precision": test["precision"],
    }


def _storing(facts: dict[str, Any]) -> str:
    """Say how weights were rounded, and what that changed as far as it is known."""
    test, full = facts["test"], facts["test_at_full_precision"]
    is_half = facts.get("is_run_in_half_precision", False)
    if full is None:
        return _STORED_OF_HALF.format(changed=_UNKNOWN)
    changed = _CHANGED.format(
        full_wrong=full["wrong"],
        full_error=percent(full["error_rate"]),
        change=100 * (test["wrong"] - full["wrong"]) / test["n_images"],
        full_loss=full["loss"],
        loss=test["loss"],
    )
    if is_half:
        return _STORED_OF_HALF.format(changed=f"With the weights of the training {changed}")
    return _STORED.format(changed=changed)


def _scaling(description: Description) -> str:
    if set(description.branch_scales) == {1.0}:
        return ""
    return "Each branch is multiplied by its probability of survival in training.\n"


def _others(facts: dict[str, Any], plan: TrainingPlan) -> str:
    """Name whole trainings of the same network, of which the weights are not shipped: other lengths, and variants."""
    told: dict[tuple[str, str], list[str]] = {}
    for row in facts.get(FACT, []):
        errors = told.setdefault((_way(row, plan), row["precision"]), [])
        errors.append(f"{counted(row['epochs'], 'epoch')} {percent(row['error_rate'])}")
    return "".join(
        f"\nAfter {way} the error was, in {precision}: {', '.join(errors)}.\n"
        for (way, precision), errors in told.items()
    )


def _way(training: Row, plan: TrainingPlan) -> str:
    """Say how another training differs."""
    images = ""
    if training["image_sizes"] != plan.image_sizes:
        sizes = training["image_sizes"]
        images = f" with images of {sizes} pixels" if sizes else " with images as they are"
    if training["start"]:
        return f"training on `{training['routes']}` from the weights of `{training['start']}`{images}"
    if training["routes"] != plan.routes:
        return f"whole trainings on `{training['routes']}`{images}"
    return f"whole trainings{images}" if images else "whole trainings of other lengths"


def _code(facts: dict[str, Any]) -> str:
    if facts["commit"] is None:
        return "the commit is not known"
    state = {
        True: "with changes that were not committed, so the commit alone does not give the code",
        False: "without other changes",
        None: "with or without other changes, which is not known",
    }[facts["has_uncommitted_changes"]]
    return f"commit {facts['commit']}, as found when the training was last started, {state}"


def _log(facts: dict[str, Any], plan: TrainingPlan) -> str:
    """Write a row a thing that the log tells of every epoch: a training that was interrupted has several of them."""
    rows = []
    for name, counts in facts.get("epochs_logged", {}).items():
        parts = [f"{value} ({counted(n_epochs, 'epoch')})" for value, n_epochs in counts.items()]
        parts += not_recorded(plan.epochs - sum(counts.values()))
        rows.append(f"| {_LOGGED[name]} | {', '.join(parts)} |\n")
    return "".join(rows)


def not_recorded(n_epochs: int) -> list[str]:
    """Say how many epochs the log lacks; an empty list where it has all of them.

    >>> not_recorded(1), not_recorded(0)
    (['1 epoch not recorded'], [])
    """
    return [f"{counted(n_epochs, 'epoch')} not recorded"] if n_epochs else []


def _checkpoints(facts: dict[str, Any]) -> str:
    """Say after which epochs weights were measured, and of which training these were."""
    measured = facts.get(CHECKPOINTS_FACT)
    if measured is None:
        return ""
    *others, last = measured["epochs"]
    epochs = f"after the epochs {', '.join(map(str, others))} and {last}" if others else f"after epoch {last}"
    if measured["finished_utc"] == facts["finished_utc"]:
        origin = _OF_THIS_TRAINING
    else:
        end = _SAME_END if measured["has_stored_weights"] else _OTHER_END
        origin = _OF_A_REPETITION.format(
            commit=measured["commit"], end=end.format(error=percent(measured["error_rate"]))
        )
    return _CHECKPOINTS.format(epochs=epochs, origin=origin)


def _history(history: Table) -> str:
    lines = [
        "| epoch | training loss | training error | test error | learning rate | images/s |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    # Of most epochs of a long training there is no test, and those with one are shown.
    tested = [row for row in history if not math.isnan(row["test_error_rate"])]
    return "\n".join([*lines, *(_line(tested[position]) for position in _shown(len(tested)))])


def _line(row: Row) -> str:
    return (
        f"| {row['epoch']} | {row['train_loss']:.4f} | {percent(row['train_error_rate'])} | "
        f"{percent(row['test_error_rate'])} | {row['learning_rate']:.2g} | {row['images_per_second']:.0f} |"
    )


def _shown(n_epochs: int) -> list[int]:
    """Choose the tested epochs to show, counted from 0: evenly spread, the first and the last among them.

    >>> _shown(3), _shown(23)
    ([0, 1, 2], [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22])
    """
    n_rows = min(n_epochs, _LARGEST_N_ROWS)
    return [round(row * (n_epochs - 1) / max(1, n_rows - 1)) for row in range(n_rows)]
