"""`unravelnet train`: a network of the zoo, each mini-batch on a route that a sampler draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unravelnet.cli.completion import complete_data, complete_zoo_network
from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import DATA_FORMS, JsonOption, PrecisionName, PrecisionOption, SeedOption
from unravelnet.cli.output import print_json, print_line
from unravelnet.cli.progress import training_bar, working
from unravelnet.cli.training_options import (
    AugmentOption,
    DeviceOption,
    EpochsOption,
    MiniBatchOption,
    ScheduleName,
    ScheduleOption,
    WeightDecayOption,
)
from unravelnet.errors import ModelError
from unravelnet.records.files import writable_directory
from unravelnet.training_plan import TrainingPlan
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.data import ImageData
    from unravelnet.network import UnraveledNetwork


_PLAN = TrainingPlan()
_SCHEDULE, _PRECISION = ScheduleName(_PLAN.schedule), PrecisionName(_PLAN.precision)


def train(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NET",
            autocompletion=complete_zoo_network,
            help="Name of a zoo network, such as preact-resnet110, resnet20 or vgg15.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            autocompletion=complete_data,
            help=f"Data to train on (its training split) and to test on (its test split): {DATA_FORMS}.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=writable_directory,
            help="Directory for checkpoints, history and the trained network.",
        ),
    ],
    epochs: EpochsOption = _PLAN.epochs,
    routes: Annotated[
        str,
        typer.Option(
            metavar="ROUTES",
            help="Routes of the mini-batches: all, stochastic-depth:0.5, exactly:23, exactly:23,keep=downsampling, "
            "uniform, or one route as route:0-2,3s,4.",
        ),
    ] = _PLAN.routes,
    start: Annotated[
        str,
        typer.Option(
            metavar="NET",
            help="Trained network whose weights the training begins with: zoo:NAME, or a directory that train wrote. "
            "[default: random weights]",
            show_default=False,
        ),
    ] = _PLAN.start,
    schedule: ScheduleOption = _SCHEDULE,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Largest learning rate. [default: 0.1, or 0.01 for a network without normalisation]",
        ),
    ] = _PLAN.learning_rate,
    batch_size: MiniBatchOption = _PLAN.batch_size,
    momentum: Annotated[float, typer.Option(metavar="X", help="Nesterov momentum.")] = _PLAN.momentum,
    weight_decay: WeightDecayOption = _PLAN.weight_decay,
    label_smoothing: Annotated[
        float, typer.Option(metavar="X", help="Label smoothing, from 0 to below 1.")
    ] = _PLAN.label_smoothing,
    precision: PrecisionOption = _PRECISION,
    augment: AugmentOption = _PLAN.augment,
    image_sizes: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Image heights for equal parts of the training, such as 16,24,32. [default: the height of the data]",
            show_default=False,
        ),
    ] = _PLAN.image_sizes,
    test_every: Annotated[
        int,
        typer.Option(
            metavar="N", help="Number of epochs between tests. The last epoch is always tested.", min=1
        ),
    ] = _PLAN.test_every,
    fused: Annotated[
        bool | None,
        typer.Option(
            "--fused/--no-fused",
            help="Compute normalisation and ReLU as one operation. On CUDA, torch then compiles each module before it "
            "is recorded. [default: on a CPU, for trainings of some minutes]",
            show_default=False,
        ),
    ] = _PLAN.fused,
    replayed: Annotated[
        bool | None,
        typer.Option(
            "--replayed/--no-replayed",
            help="Record the work of each module on the GPU once, as a CUDA graph, and replay it in every step. It "
            "needs CUDA. [default: on CUDA]",
            show_default=False,
        ),
    ] = _PLAN.replayed,
    seed: SeedOption = _PLAN.seed,
    device: DeviceOption = _PLAN.device,
    keep_epochs: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Keep the weights after these epochs, or after every epoch with all. Epoch 0 is before the training. "
            "[default: none]",
            show_default=False,
        ),
    ] = _PLAN.keep_epochs,
    as_json: JsonOption = False,
) -> None:
    """Train a zoo network and save it in a directory. Mini-batches can take random routes through it.

    An interrupted training continues from its last full epoch when the same command is called again. A finished
    training is not repeated.

    \b
    unravelnet train resnet20 --data digits --epochs 15 --schedule one-cycle --out runs/resnet20
    unravelnet train preact-resnet110 --data cifar10 --routes stochastic-depth:0.5 --out runs/stochastic
    unravelnet train preact-resnet110 --data cifar10 --routes exactly:23 --precision bfloat16 --out runs/effective
    unravelnet train preact-resnet110 --data cifar10 --start zoo:preact-resnet110-cifar10 --epochs 10 --out runs/longer
    """
    settings = {
        "epochs": epochs,
        "routes": routes,
        "start": start,
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
        "replayed": replayed,
        "seed": seed,
        "device": device,
        "keep_epochs": keep_epochs,
    }
    plan = _PLAN.changed(settings)
    with interruptible(
        f"What was trained up to the last full epoch is in {out}; the same command continues from there."
    ):
        from unravelnet.data import load
        from unravelnet.training.loop import train as run

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
        f"{net.name} after {counted(plan.epochs, 'epoch')} on {images.name}: error {error:.1%} on "
        f"{len(test_images):,} test "
        "images."
    )
    print_line(f"It is saved in {out}. Next: unravelnet lesion {out} --data {data}")


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
