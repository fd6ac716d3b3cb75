"""`unravelnet export`: the smaller model that a route leaves."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from unravelnet.cli.completion import complete_data
from unravelnet.cli.interruption import interruptible
from unravelnet.cli.options import (
    DATA_FORMS,
    TEXT_HELP,
    AllowMissingOption,
    JsonOption,
    LimitOption,
    ModelArgument,
    ShapeOption,
    TransformName,
    TransformOption,
    WeightsKeyOption,
    WeightsOption,
    shape_of,
)
from unravelnet.cli.output import print_json, print_line
from unravelnet.cli.progress import working
from unravelnet.cli.routes import ROUTE_HELP, AskedRoute
from unravelnet.records.files import usable_path


class FormName(StrEnum):
    """Forms that can be asked for."""

    original = "original"
    pt2 = "pt2"
    onnx = "onnx"
    directory = "directory"


def export(
    model: ModelArgument,
    out: Annotated[
        Path,
        typer.Option(metavar="PATH", parser=usable_path, help="File or directory to write."),
    ],
    route: Annotated[
        AskedRoute | None,
        typer.Option(
            metavar="ROUTE",
            parser=AskedRoute.read,
            help=f"{ROUTE_HELP} [default: all modules]",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        FormName | None,
        typer.Option(
            help="original: the model's own class with fewer blocks, for its own library. pt2: a program of "
            "torch.export. onnx: a file for other runtimes. directory: a MODEL for every command. [default: by the "
            "suffix of PATH; a directory where it has none]",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            autocompletion=complete_data,
            help=f"Also measure error and latency before and after on this data: {DATA_FORMS}. {TEXT_HELP}",
        ),
    ] = None,
    limit: LimitOption = None,
    input_shape: ShapeOption = None,
    weights: WeightsOption = None,
    weights_key: WeightsKeyOption = None,
    allow_missing: AllowMissingOption = False,
    transform: TransformOption = TransformName.data,
    as_json: JsonOption = False,
) -> None:
    """Write a model on one route as a smaller model, and check that it gives the same output.

    \b
    unravelnet export runs/net --route 0-2,3s,4-8 --out pruned.pt2
    unravelnet export runs/net --route 0-2,3s,4-8 --out runs/small --data digits
    unravelnet export runs/net --route runs/pruned --out pruned.onnx
    unravelnet export timm:resnet18 --weights mine.pt --route 0-2,3s,4-7 --form original --out resnet16
    unravelnet export hf:path/to/gpt2 --route 0-5,6-7s,8-23 --form original --out gpt2-11
    unravelnet export torchvision:resnet50 --route 0-4,5s,6-15 --out pruned.onnx

    The receipt inside says what was cut and how it was checked. --json prints it.
    """
    from unravelnet.exporting import export as write
    from unravelnet.exporting.receipt import read_receipt
    from unravelnet.models import load, load_subject

    stored: dict[str, Any] = {
        "weights": weights,
        "weights_key": weights_key,
        "allow_missing": allow_missing,
    }
    with interruptible(f"{out} is what it was before."):
        with working(f"opening {model}"):
            if data is None:
                net, measured = load(model, input_shape=shape_of(input_shape), **stored), None
            else:
                net, measured = load_subject(model, data, transform=transform.value, **stored)
        with working(f"writing {out}"):
            asked = net.full_route if route is None else route.of(net)[0]
            path = write(net, asked, out, None if form is None else form.value, data=measured, limit=limit)
    receipt = read_receipt(path)
    if as_json:
        print_json(receipt)
        return
    _print(path, receipt)


def _print(path: Path, receipt: dict[str, Any]) -> None:
    print_line(
        f"{path}: {receipt['n_modules_left']} of {receipt['n_modules']} residual modules, "
        f"{_share(receipt, 'n_parameters')} of the parameters and {_share(receipt, 'macs')} of the MACs are left."
    )
    differences = [f"{gate} {value:.0e}" for gate, value in receipt["relative_differences"].items()]
    print_line(f"Largest relative differences to the network on its route: {', '.join(differences)}.")
    for line in _changes(receipt["measured"]):
        print_line(line)
    print_line(f"Load it by {receipt['loading']}.")


def _share(receipt: dict[str, Any], name: str) -> str:
    return f"{receipt[f'{name}_left'] / max(1, receipt[name]):.1%}"


def _changes(measured: dict[str, Any] | None) -> list[str]:
    """Say error and latency before and after, where they were measured."""
    if measured is None:
        return []
    before, after, latency = measured["before"], measured["after"], measured["latency"]
    seconds = [latency[f"seconds_{when}"] for when in ("before", "after")]
    return [
        f"Error: {before['error_rate']:.2%} before, {after['error_rate']:.2%} after, on {after['n_images']:,}.",
        f"A batch of {latency['batch_size']}: {1000 * seconds[0]:.1f} ms before, {1000 * seconds[1]:.1f} ms after.",
    ]
