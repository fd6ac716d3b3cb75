"""`unravelnet train`: a network of the zoo, each mini-batch on a route that a sampler draws."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import DATA_HELP, JsonOption, PrecisionName, SeedOption
from unravelnet.cli.output import print_json, print_line
from unravelnet.cli.progress import training_bar, working
from unravelnet.errors import ModelError
from unravelnet.files import writable_directory
from unravelnet.training_plan import TrainingPlan

if TYPE_CHECKING:
    from unravelnet.data import ImageData
    from unravelnet.network import UnraveledNetwork


class ScheduleName(StrEnum):
    """Schedules that can be asked for."""

    step = "step"
    cosine = "cosine"
    one_cycle = "one-cycle"


_PLAN = TrainingPlan()
_SCHEDULE, _PRECISION = ScheduleName(_PLAN.schedule), PrecisionName(_PLAN.precision)


def train(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NET", help="A network of the zoo, such as preact-resnet110, resnet20, vgg15."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA", help=f"Trained on its training split, validated on its test split: {DATA_HELP}"
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", parser=writable_directory, help="Where checkpoints, history and the network go."
        ),
    ],
    epochs: Annotated[
        int, typer.Option(metavar="N", help="Passes over the training data.", min=1)
    ] = _PLAN.epochs,
    routes: Annotated[
        str, typer.Option(metavar="ROUTES", help="all, stochastic-depth:0.5, exactly:23 or uniform.")
    ] = _PLAN.routes,
    schedule: Annotated[ScheduleName, typer.Option(help="Of the learning rate.")] = _SCHEDULE,
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="X", help="The largest one. [default: 0.1, or 0.01 without normalisation]"),
    ] = _PLAN.learning_rate,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Images at a time.")] = _PLAN.batch_size,
    momentum: Annotated[float, typer.Option(metavar="X", help="Of Nesterov.")] = _PLAN.momentum,
    weight_decay: Annotated[float, typer.Option(metavar="X", help="Of all parameters.")] = _PLAN.weight_decay,
    label_smoothing: Annotated[
        float, typer.Option(metavar="X", help="From 0 to below 1.")
    ] = _PLAN.label_smoothing,
    precision: Annotated[PrecisionName, typer.Option(help="Precision of the arithmetic.")] = _PRECISION,
    augment: Annotated[
        bool, typer.Option("--augment/--no-augment", help="Random crops, and flips for colour images.")
    ] = _PLAN.augment,
    image_sizes: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Heights of the images over equal parts of the training, such as 16,24,32. [default: their own]",
            show_default=False,
        ),
    ] = _PLAN.image_sizes,
    test_every: Annotated[
        int, typer.Option(metavar="N", help="Epochs between tests; the last is always tested.", min=1)
    ] = _PLAN.test_every,
    fused: Annotated[
        bool | None,
        typer.Option(
            "--fused/--no-fused",
            help="Normalisation and ReLU as one operation, for a CPU. [default: for trainings of some minutes]",
            show_default=False,
        ),
    ] = _PLAN.fused,
    seed: SeedOption = _PLAN.seed,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = _PLAN.device,
    keep_epochs: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Keep the weights after these epochs, or after all; 0 is before the first. [default: none]",
            show_default=False,
        ),
    ] = _PLAN.keep_epochs,
    as_json: JsonOption = False,
) -> None:
    """Train a network, all of it or random routes through it, and keep it in a directory.

    A training that was stopped goes on from its last full epoch when it is called again; a finished one is done.

    \b
    unravelnet train resnet20 --data digits --epochs 15 --schedule one-cycle --out runs/resnet20
    unravelnet train preact-resnet110 --data cifar10 --routes stochastic-depth:0.5 --out runs/stochastic
    unravelnet train preact-resnet110 --data cifar10 --routes exactly:23 --precision bfloat16 --out runs/effective
    """
    settings = {
        "epochs": epochs,
        "routes": routes,
        "schedule": schedule.value,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "precision": precision.value,
        "augment": augment,
        "image_sizes": image_sizes,
        "test_every": test_every,
        "fused": fused,
        "seed": seed,
        "device": device,
        "keep_epochs": keep_epochs,
    }
    plan = _PLAN.changed(settings)
    with interruptible(
        f"What was trained up to the last full epoch is in {out}; the same command goes on from there."
    ):
        from unravelnet.data import load
        from unravelnet.training import train as run

        with working(f"loading {data}"):
            images, test_images = load(data, "train"), load(data, "test")
        net = _make(network, images, seed)
        with training_bar(net.name) as show:
            history = run(net, images, plan=plan, out=out, validation=test_images, on_batch=show)
    if as_json:
        print_json({"out": str(out), "network": net.name, "history": list(history)})
        return
    error = float(str(history[len(history) - 1]["test_error_rate"]))
    print_line(
        f"{net.name} after {plan.epochs} epochs on {images.name}: error {error:.1%} on {len(test_images):,} test "
        "images."
    )
    print_line(f"It is in {out}. Next: unravelnet lesion {out} --data {data}")


def _make(name: str, images: ImageData, seed: int) -> UnraveledNetwork:
    from unravelnet import zoo

    scheme, colon, rest = name.partition(":")
    if colon and scheme != "zoo":
        raise ModelError(
            f"Training makes networks of the zoo, and {name} is none. Give one of {', '.join(zoo.names())}; a model of "
            "your own is trained by your own code, and taken apart by inspect and lesion."
        )
    options: dict[str, Any] = {"n_classes": images.n_classes, "input_shape": images.image_shape, "seed": seed}
    return zoo.create(rest if colon else name, **options)
