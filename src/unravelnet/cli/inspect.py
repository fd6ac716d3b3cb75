"""`unravelnet inspect`: what are the residual modules of a model?"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unravelnet.cli.completion import complete_data
from unravelnet.cli.options import (
    DATA_FORMS,
    TEXT_HELP,
    AllowMissingOption,
    JsonOption,
    ModelArgument,
    ShapeOption,
    WeightsKeyOption,
    WeightsOption,
    shape_of,
)
from unravelnet.cli.output import heading, print_json, print_line, print_table
from unravelnet.cli.progress import working

if TYPE_CHECKING:
    from unravelnet.network import ResidualModule, UnraveledNetwork


def inspect(
    model: ModelArgument,
    input_shape: ShapeOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            autocompletion=complete_data,
            help=f"Take the input shape and the number of classes from this data: {DATA_FORMS}. {TEXT_HELP}",
        ),
    ] = None,
    weights: WeightsOption = None,
    weights_key: WeightsKeyOption = None,
    allow_missing: AllowMissingOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the residual modules of a model, with their shapes, parameters, operations and chains.

    Additions that were not understood are listed below them.

    \b
    unravelnet inspect torchvision:resnet50
    unravelnet inspect timm:vit_tiny_patch16_224
    unravelnet inspect hf:path/to/gpt2 --json
    unravelnet inspect my_model.py:make_model --input-shape 3,64,64
    unravelnet inspect my_model.py:make_model --weights trained.safetensors
    """
    from unravelnet.models import load, load_data

    with working(f"opening {model}"):
        net = load(
            model,
            data=None if data is None else load_data(model, data),
            input_shape=shape_of(input_shape),
            weights=weights,
            weights_key=weights_key,
            allow_missing=allow_missing,
        )
    description = describe(net)
    if as_json:
        print_json(description)
    else:
        _print(description)


def describe(net: UnraveledNetwork) -> dict[str, Any]:
    """Say all that is known of a network, as JSON values."""
    chains = groupby(net.residual_modules, key=lambda module: module.chain)
    return {
        "name": net.name,
        "n_modules": len(net.residual_modules),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "macs": net.total_macs,
        "outputs": {name: list(tensor.shape[1:]) for name, tensor in net.outputs.items()},
        "input_shape": list(net.input_shape),
        "input_origin": net.input_origin,
        "verified": _verification(net),
        "chains": [[module.index for module in modules] for _, modules in chains],
        "modules": [
            {**row, "chain": module.chain, "inner": [_inner(part) for part in module.inner]}
            for row, module in zip(net.module_table().to_dict("records"), net.residual_modules, strict=True)
        ],
        "concentration": net.concentration,
        "unexplained": list(net.unexplained),
    }


def _inner(module: ResidualModule) -> dict[str, Any]:
    return {"name": module.name, "kind": module.kind, "inner": [_inner(part) for part in module.inner]}


def _verification(net: UnraveledNetwork) -> str:
    from unravelnet.capture.verify import TOLERANCE
    from unravelnet.network import Segment

    if not isinstance(net.stem, Segment):
        return "This network was built from its parts, so there was no model to compare it with"
    return f"The captured output equals the model's, on two batch sizes (relative difference at most {TOLERANCE:g})"


def _print(description: dict[str, Any]) -> None:
    print_line(
        f"{description['name']}: {description['n_modules']} residual modules, {description['parameters']:,} "
        f"parameters, {_short(description['macs'])} MACs for one input of {_input(description)}"
    )
    print_line(f"{description['verified']}.")
    print_line()
    names, rows = _module_rows(description["modules"])
    print_table("", [heading(name) for name in names], rows)
    print_line()
    chains = _chains(description["chains"])
    print_line(f"Modules of equal shapes may be reordered within a chain. Chains: {chains}.")
    _print_inner(description["modules"])
    if description["concentration"]:
        print_line(description["concentration"])
    if len(description["outputs"]) > 1:
        shapes = {
            name: "×".join(map(str, shape)) or "a number" for name, shape in description["outputs"].items()
        }
        outputs = ", ".join(f"{name} ({shape})" for name, shape in shapes.items())
        print_line(f"The network returns several tensors: {outputs}. --output chooses one.")
    if not description["unexplained"]:
        print_line("Every sum was understood.")
        return
    print_line(
        "These parts were not understood, or were left out. They stay inside the modules or between them:"
    )
    for line in description["unexplained"]:
        print_line(f"  {line}")


def _input(description: dict[str, Any]) -> str:
    shape, origin = description["input_shape"], description["input_origin"]
    sizes = "×".join(map(str, shape))
    return f"{sizes} ({origin})" if origin else sizes


def _chains(chains: list[list[int]]) -> str:
    if all(len(chain) == 1 for chain in chains):
        return "none, because every module stands by itself"
    return ", ".join(f"{chain[0]}-{chain[-1]}" if len(chain) > 1 else f"{chain[0]}" for chain in chains)


def _print_inner(modules: list[dict[str, Any]]) -> None:
    nested = [module for module in modules if module["inner"]]
    if nested:
        print_line("Residual modules inside others:")
    for module in nested:
        print_line(f"  {module['index']} ({module['name']}): {', '.join(_names(module['inner']))}")


def _names(inner: list[dict[str, Any]]) -> list[str]:
    return [name for module in inner for name in (module["name"], *_names(module["inner"]))]


def _module_rows(modules: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Give the columns and rows of the table of modules; junctions are shown where one of them is no sum."""
    names = ["index", "name", "kind", "input_shape", "output_shape", "parameters", "parameters_share"]
    names += ["macs", "macs_share", "chain"]
    rows = [_row(module) for module in modules]
    if any(module["junction"] != "add" for module in modules):
        names.insert(3, "junction")
        for row, module in zip(rows, modules, strict=True):
            row.insert(3, module["junction"])
    return names, rows


def _row(module: dict[str, Any]) -> list[str]:
    return [
        str(module["index"]),
        module["name"],
        module["kind"],
        module["input_shape"],
        module["output_shape"],
        f"{module['parameters']:,}",
        f"{module['parameters_share']:.1%}",
        _short(module["macs"]),
        f"{module['macs_share']:.1%}",
        str(module["chain"]),
    ]


def _short(number: int) -> str:
    """Write a large number with three digits and a prefix.

    >>> [_short(number) for number in (0, 950, 37_748_736, 4_089_184_256)]
    ['0', '950', '37.7 M', '4.09 G']
    """
    value, prefixes = float(number), ["", " k", " M", " G", " T"]
    while value >= 999.5 and len(prefixes) > 1:
        value /= 1000
        prefixes.pop(0)
    return f"{value:.3g}{prefixes[0]}"
