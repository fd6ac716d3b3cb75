"""`unravelnet heal`: trains what pruning has left, and writes it as a smaller network."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unravelnet.cli.completion import complete_data
from unravelnet.cli.heal_results import facts_of, show
from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import (
    DATA_FORMS,
    AllowMissingOption,
    JsonOption,
    LimitOption,
    ModelArgument,
    PrecisionName,
    PrecisionOption,
    SeedOption,
    TransformName,
    TransformOption,
    WeightsKeyOption,
    WeightsOption,
)
from unravelnet.cli.progress import training_bar, working
from unravelnet.cli.routes import ROUTE_HELP, AskedRoute
from unravelnet.cli.training_options import (
    AugmentOption,
    DeviceOption,
    EpochsOption,
    MiniBatchOption,
    OptimiserName,
    ScheduleName,
    ScheduleOption,
    WeightDecayOption,
)
from unravelnet.errors import DataError
from unravelnet.records.files import writable_directory
from unravelnet.training_plan import TrainingPlan

if TYPE_CHECKING:
    from unravelnet.data import Loaded
    from unravelnet.network import UnraveledNetwork

_PLAN = TrainingPlan()


class DirectoryForm(StrEnum):
    """Forms of a directory that can be asked for."""

    directory = "directory"
    original = "original"


def heal(
    model: ModelArgument,
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA",
            autocompletion=complete_data,
            help=f"Data to train on (its training split) and to test on (its test split): {DATA_FORMS}. For a language "
            "model, give a text file, whose last tenth is tested on, or text:NAME-OR-DIR for a data set of texts.",
        ),
    ],
    route: Annotated[AskedRoute, typer.Option(metavar="ROUTE", parser=AskedRoute.read, help=ROUTE_HELP)],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=writable_directory,
            help="Directory for the smaller network. Checkpoints go to DIR-training.",
        ),
    ],
    epochs: EpochsOption = 5,
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="X", help="Largest learning rate. [default: 0.01, or 0.0001 with adamw]"),
    ] = None,
    schedule: ScheduleOption = ScheduleName.cosine,
    optimiser: Annotated[
        OptimiserName,
        typer.Option(help="sgd is stochastic gradient descent with momentum. adamw suits transformers."),
    ] = OptimiserName.sgd,
    batch_size: MiniBatchOption = _PLAN.batch_size,
    weight_decay: WeightDecayOption = _PLAN.weight_decay,
    augment: AugmentOption = _PLAN.augment,
    distil: Annotated[
        bool, typer.Option("--distil", help="Learn the outputs of the intact network, too.")
    ] = False,
    distil_weight: Annotated[
        float,
        typer.Option(metavar="X", help="Share of the loss that compares with the intact network, 0 to 1."),
    ] = 0.9,
    distil_temperature: Annotated[
        float,
        typer.Option(
            metavar="X", help="Temperature of the comparison: at a high one small probabilities count more."
        ),
    ] = 4.0,
    report_data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            autocompletion=complete_data,
            help="Other data to test on; for a language model also FILE.jsonl with minimal pairs or multiple choice. "
            "[default: the test split]",
            show_default=False,
        ),
    ] = None,
    limit: LimitOption = None,
    train_limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train on N images or sequences, drawn at random with the seed. [default: all]",
            min=2,
        ),
    ] = None,
    precision: PrecisionOption = PrecisionName.auto,
    seed: SeedOption = 0,
    device: DeviceOption = _PLAN.device,
    form: Annotated[
        DirectoryForm,
        typer.Option(
            help="directory is a MODEL for every command. original is the model's own class with fewer blocks, for "
            "its own library."
        ),
    ] = DirectoryForm.directory,
    weights: WeightsOption = None,
    weights_key: WeightsKeyOption = None,
    allow_missing: AllowMissingOption = False,
    transform: TransformOption = TransformName.data,
    as_json: JsonOption = False,
) -> None:
    """Train what pruning has left of a model, and write it as a smaller network.

    Errors before and after are those on data that was not trained on. An interrupted training continues from its last
    full epoch when the same command is called again.

    \b
    unravelnet heal runs/net --data digits --route runs/pruned --out runs/healed
    unravelnet heal runs/net --data digits --route 0-2,3s,4-8 --epochs 10 --distil --out runs/healed
    unravelnet heal hf:path/to/gpt2 --data book.txt --route 0-5,6-7s,8-23 --optimiser adamw --out gpt2-11
    """
    settings: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "schedule": schedule.value,
        "optimiser": optimiser.value,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "augment": augment,
        "precision": precision.value,
        "seed": seed,
        "device": device,
    }
    _PLAN.changed(settings)  # a setting that cannot be is refused before anything is opened
    begun = Path(f"{out}-training")
    stored = {"weights": weights, "weights_key": weights_key, "allow_missing": allow_missing}
    with interruptible("Nothing had been trained yet."), working(f"opening {model} and {data}"):
        from unravelnet.exporting import RECEIPT, export
        from unravelnet.exporting.original import blocks_left
        from unravelnet.exporting.receipt import read_receipt
        from unravelnet.pruning.healing import before_and_after
        from unravelnet.pruning.healing import heal as run
        from unravelnet.records.provenance import collect
        from unravelnet.records.record import check_replaceable, whole_file

        check_replaceable(out, RECEIPT)
        net, training, tested = _open(model, data, report_data, train_limit, seed, transform, stored)
        asked, search = route.of(net)
        if form is DirectoryForm.original:
            blocks_left(net, net.check(asked))
    with interruptible(
        f"What was trained up to the last full epoch is in {begun}; the same command continues from there."
    ):
        with training_bar(net.name) as bar:
            healed = run(
                net,
                asked,
                training,
                **settings,
                distil=distil,
                weight=distil_weight,
                temperature=distil_temperature,
                out=begun,
                on_batch=bar,
            )
        with working(f"testing on {tested.name}"):
            table = before_and_after(
                net,
                healed,
                tested,
                limit=None if limit == len(tested) else limit,
                seed=seed,
                device=None if device == "auto" else device,
                precision=precision.value,
            )
        with working(f"writing {out}"):
            loading = read_receipt(export(healed.net, healed.route, out, form.value))["loading"]
            facts = {**facts_of(net, healed, table, training, distilled=distil), "loading": loading}
            run_facts = collect(["unravelnet", *sys.argv[1:]])
            with whole_file(out / "healed.json") as path:
                path.write_text(json.dumps({**facts, "run": run_facts}, indent=2), encoding="utf-8")
    show({"out": str(out), **facts}, tested.unit, search, as_json=as_json)


def _open(
    model: str,
    data: str,
    report_data: str | None,
    train_limit: int | None,
    seed: int,
    transform: TransformName,
    stored: dict[str, Any],
) -> tuple[UnraveledNetwork, Loaded, Loaded]:
    """Open the network, the data to train on, and the data to test on, which hold different examples."""
    from unravelnet.data.source import LoadedSource
    from unravelnet.data.text_source import STANDARD_INPUT
    from unravelnet.models import load_beside, load_subject
    from unravelnet.pruning.parts import check_apart

    if data == STANDARD_INPUT:
        raise DataError(
            "Healing reads its data twice, to train and to test, and standard input can be read once. Give a file."
        )
    net, tested = load_subject(model, data, transform=transform.value, **stored)
    images_for = net if transform == TransformName.model else None
    training = load_beside(model, data, tested, split="train", images_for=images_for)
    if train_limit is not None:
        training = training.subset(train_limit, seed=seed)
    if report_data is not None:
        tested = load_beside(model, report_data, tested, images_for=images_for)
    check_apart(
        LoadedSource(training),
        LoadedSource(tested),
        "to test on",
        "those to train on. Give other data to test on: --report-data",
    )
    return net, training, tested
