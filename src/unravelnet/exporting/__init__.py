"""Writes a network on one route as what others can use: the smaller model that is left when modules are deleted.

Four forms, a file each: `original` (the user's own class with fewer blocks), `program` (a program of `torch.export`),
`onnx_form`, and `directory` (a graph and weights as data, which every command takes as MODEL). `subject` holds the
network on its route and the gates: before anything takes its place, the model that the network was captured from, the
network on its route, what is left of it in memory, what was read back from disk, and what onnxruntime computes are
compared on two batch sizes. Each difference is in the receipt.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from torch import nn

from unravelnet.errors import StoreError, unknown_name
from unravelnet.exporting.directory import write_directory
from unravelnet.exporting.measured import measured
from unravelnet.exporting.onnx_form import write_onnx
from unravelnet.exporting.original import write_original
from unravelnet.exporting.program import RECEIPT, write_program
from unravelnet.exporting.subject import Subject
from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.records.files import usable_path
from unravelnet.routes.route import Route, as_route

__all__ = ["FORMS", "RECEIPT", "export"]

Form = Literal["original", "pt2", "onnx", "directory"]
FORMS: tuple[Form, ...] = get_args(Form)
_SUFFIX_OF_FORM: dict[Form, str] = {"pt2": ".pt2", "onnx": ".onnx"}
_FORM_OF_SUFFIX: dict[str, Form] = {".pt2": "pt2", ".onnx": "onnx", "": "directory"}


def export(
    net: UnraveledNetwork,
    route: Route,
    path: str | os.PathLike[str],
    form: Form | None = None,
    *,
    example: Inputs | None = None,
    data: Any = None,
    limit: int | None = None,
    make: Callable[[], nn.Module] | None = None,
) -> Path:
    """Write a network on one route as a smaller model and return the path.

    >>> import torch
    >>> from unravelnet import load, zoo
    >>> net = zoo.preact_resnet(8, seed=0)
    >>> path = export(net, net.full_route.delete(1), directory / "pruned.pt2")
    >>> torch.export.load(path).module()(torch.zeros(4, 3, 32, 32)).shape
    torch.Size([4, 10])
    >>> len(load(str(export(net, net.full_route.delete(1), directory / "pruned"))).residual_modules)
    2

    `form`: "pt2", a program of `torch.export`; "onnx", a file for other runtimes; "directory", a graph and weights as
    data, which `load` and every command take; "original", a directory with the model that the network was captured
    from, made again by its own library (transformers, timm, torchvision) with fewer blocks. By default it follows from
    the name: .pt2, .onnx, or a directory where there is no suffix. The first three take every route; the original
    class has whole blocks, which a route may leave out, exchange or repeat. A file, or a directory of an earlier
    export, is replaced whole.

    `example`: a batch of inputs, as `unravel` takes it; drawn at random where the network takes one tensor of real
    numbers. `data`, `limit`: what `evaluate` takes; error and latency before and after go into the receipt then.
    `make`: for "original", a function without arguments that makes the smaller model, where none of these libraries
    does. Batches may be of any size, on the device of the network.

    The receipt states route, parameters and MACs before and after, the largest relative differences seen, how the
    export is loaded, and versions. It is receipt.json in a directory,
    `torch.export.load(path, extra_files={"receipt.json": ""})` in a program, and metadata in a file of ONNX.

    Raises RouteError where the route does not fit the network or the form cannot express it, ModelError where the
    original class cannot be made again, DataError where an example is needed, StoreError where the path cannot be
    written, MissingExtraError without the packages of a form, and CaptureError where the export does not give the
    network's output. Nothing is written then.
    """
    path, form = _target(path, form)
    subject = Subject.of(net, as_route(route), example)
    subject.check_original()
    if data is not None:
        subject.measured = measured(subject, data, limit=limit)
    if form == "original":
        write_original(subject, path, make)
    else:
        _WRITERS[form](subject, path)
    return path


def _target(path: str | os.PathLike[str], form: Form | None) -> tuple[Path, Form]:
    """Settle path and form. Raises StoreError where the suffix is that of another form, or of none."""
    path = usable_path(path)
    if form is None:
        if path.suffix not in _FORM_OF_SUFFIX:
            raise StoreError(
                f"{path} ends in {path.suffix}, which is no form of an export. Give a file such as {path.stem}.pt2 or "
                f"{path.stem}.onnx, a name without a suffix for a directory, or form=..."
            )
        return path, _FORM_OF_SUFFIX[path.suffix]
    if form not in FORMS:
        raise unknown_name("form of export", str(form), FORMS)
    suffix = _SUFFIX_OF_FORM.get(form)
    if suffix is not None and path.suffix != suffix:
        raise StoreError(
            f"{path} does not end in {suffix}. Give a file such as {path.stem or 'pruned'}{suffix}."
        )
    return path, form


_WRITERS: dict[str, Callable[[Subject, Path], None]] = {
    "pt2": write_program,
    "onnx": write_onnx,
    "directory": write_directory,
}
