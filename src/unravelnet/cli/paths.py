"""`unravelnet paths`: which lengths of paths carry the gradient?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unravelnet.cli.completion import complete_names
from unravelnet.cli.interruption import InterruptionError, interruptible
from unravelnet.cli.options import (
    AllowMissingOption,
    CsvOption,
    DataOption,
    JsonOption,
    LimitOption,
    ModelArgument,
    OutputOption,
    SeedOption,
    TransformName,
    TransformOption,
    WeightsKeyOption,
    WeightsOption,
    names,
)
from unravelnet.cli.path_results import show
from unravelnet.cli.progress import batch_bar, working
from unravelnet.cli.results_directory import ResultsDirectory, open_store
from unravelnet.errors import unknown_name
from unravelnet.records.files import writable_directory

if TYPE_CHECKING:
    from unravelnet.data import Loaded
    from unravelnet.network import UnraveledNetwork
    from unravelnet.records.record import Table

METHODS = ("exact", "rms", "sampled")


class AtName(StrEnum):
    """Places where the gradient can be measured."""

    stem = "stem"
    input = "input"


class PerName(StrEnum):
    """What one measurement is of."""

    image = "image"
    batch = "batch"


class LossName(StrEnum):
    """Losses whose gradient can be split."""

    cross_entropy = "cross_entropy"
    squared_norm = "squared_norm"


def paths(
    model: ModelArgument,
    data: DataOption,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            autocompletion=complete_names(lambda: METHODS),
            help="Methods, separated by commas: exact (the vector sum of all paths of a length), rms (the root mean "
            "square over all paths), sampled (random paths, as in the paper).",
        ),
    ] = "exact",
    modules: Annotated[
        bool,
        typer.Option(
            "--modules",
            help="Also measure each module: its effective depth, and its branch relative to its stream.",
        ),
    ] = False,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of random draws. For exact: paths per length and image; for rms: sets of random signs; for "
            "sampled: paths per length, at least one per image. [default: 1 for exact, 8 for rms, 1000 for sampled]",
            min=0,
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Leave out paths through more than N modules. [default: no limit]", min=0
        ),
    ] = None,
    at: Annotated[
        AtName, typer.Option(help="Take the gradient at the output of the stem, or at the input.")
    ] = (AtName.stem),
    per: Annotated[
        PerName, typer.Option(help="Take the gradient of each image's loss, or of the mean loss of a batch.")
    ] = PerName.image,
    loss: Annotated[
        LossName | None,
        typer.Option(
            help="Loss whose gradient is split. squared_norm is the squared norm of the output. [default: "
            "cross_entropy if there are targets, else squared_norm]"
        ),
    ] = None,
    output: OutputOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of images in a batch. [default: 128, or fewer if memory is short]",
            min=1,
        ),
    ] = None,
    weights: WeightsOption = None,
    weights_key: WeightsKeyOption = None,
    allow_missing: AllowMissingOption = False,
    transform: TransformOption = TransformName.data,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=writable_directory,
            help="Directory for tables and partial results. Results that are in it already are used.",
        ),
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Split the gradient of a model by path length. Nothing is trained. Gradients are measured in float32.

    \b
    unravelnet paths runs/net --data digits
    unravelnet paths runs/net --data path/to/cifar10 --limit 256 --method exact,sampled --out runs/paths
    unravelnet paths runs/net --data digits --method sampled --per batch --at input --draws 1000
    unravelnet paths torchvision:resnet50 --weights mine.pt --data path/to/images --limit 64 --max-length 8
    unravelnet paths hf:path/to/gpt2 --data book.txt --limit 32 --modules
    unravelnet paths runs/net --data digits --csv > rows.csv

    With --out, an interrupted run continues when the same command is called again, and unravelnet report DIR writes a
    page about it.
    """
    if as_json and as_csv:
        raise typer.BadParameter("give one of the two", param_hint="--json and --csv")
    form = "json" if as_json else "csv" if as_csv else "table"
    chosen = _methods(method)
    with interruptible("Nothing had been measured yet."), working(f"opening {model} and {data}"):
        options: dict[str, Any] = {
            "weights": weights,
            "weights_key": weights_key,
            "allow_missing": allow_missing,
            "transform": transform.value,
            "output": output,
        }
        subject = _Subject.of(model, data, needs_classes=loss != LossName.squared_norm, **options)
        results = None
        if out is not None:
            results = ResultsDirectory(
                out, subject.net, command="paths", specification=model, n_classes=subject.data.n_classes
            )
    how = _How(
        loss=None if loss is None else loss.value,
        output=output,
        limit=None if limit == len(subject.data) else limit,
        batch_size=batch_size,
        seed=seed,
    )
    lengths = {"at": at.value, "per": per.value, "draws": draws, "max_length": max_length}
    tables: dict[str, Table] = {}
    try:
        for name, measure in _measurements(chosen, lengths, with_modules=modules).items():
            with interruptible(_what_is_kept(tables, out)):
                with (
                    open_store(out) as store,
                    batch_bar(f"{subject.net.name}: {name.replace('_', ' ')}") as bar,
                ):
                    table = measure(subject.net, subject.data, **asdict(how), store=store, progress=bar)
                if results is not None:
                    results.save(table, name)
                tables[name] = table
    except InterruptionError:
        if tables:
            show(tables, subject.net, subject.data, form)
        raise
    show(tables, subject.net, subject.data, form)


@dataclass(frozen=True)
class _Subject:
    """What is measured: a network and data that fits it."""

    net: UnraveledNetwork
    data: Loaded

    @classmethod
    def of(cls, model: str, data: str, *, needs_classes: bool, **options: Any) -> _Subject:
        from unravelnet.models import load_subject

        return cls(*load_subject(model, data, needs_classes=needs_classes, **options))


@dataclass(frozen=True)
class _How:
    """How everything is measured: options of all measurements of gradients."""

    loss: str | None
    output: str | None
    limit: int | None
    batch_size: int | None
    seed: int


def _methods(text: str) -> list[str]:
    chosen = names(text)
    for name in chosen:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
    if not chosen:
        raise typer.BadParameter(f"give one or several of {', '.join(METHODS)}", param_hint="--method")
    return list(dict.fromkeys(chosen))


def _measurements(
    methods: list[str], lengths: dict[str, Any], *, with_modules: bool
) -> dict[str, Callable[..., Table]]:
    """List what to measure, by the name of its study."""
    from functools import partial

    from unravelnet import gradient

    of_lengths: Callable[..., Table] = gradient.path_gradients
    found: dict[str, Callable[..., Table]] = {
        f"path_gradients_{method}": partial(of_lengths, method=method, **lengths) for method in methods
    }
    if with_modules:
        found["effective_depths"] = gradient.effective_depths
        found["module_measures"] = gradient.module_measures
    return found


def _what_is_kept(tables: dict[str, Table], out: Path | None) -> str:
    if out is not None:
        return f"All that was measured is in {out}; the same command continues from there."
    if not tables:
        return "No measurement was finished, so nothing is saved."
    return "The results above are not saved. With --out DIR they would be."
