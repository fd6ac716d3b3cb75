"""The form "original": the user's own class, made again with fewer blocks, as its own library loads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from unravelnet.capture.untouched import random_state_kept
from unravelnet.errors import CaptureError, ModelError, RouteError, first_line
from unravelnet.exporting.blocks import Container, containers_of
from unravelnet.exporting.huggingface import remade_of_transformers
from unravelnet.exporting.libraries import remade_of_timm, remade_of_torchvision
from unravelnet.exporting.program import RECEIPT
from unravelnet.exporting.subject import FROM_DISK, IN_MEMORY, Subject
from unravelnet.network import Origin, ResidualModule, UnraveledNetwork
from unravelnet.records.record import whole_directory
from unravelnet.routes.route import Route
from unravelnet.zoo.store import WEIGHTS_FILE, read_weights, write_weights


class Remade(Protocol):
    """A smaller model of the original class. `loading`: the call that loads what `save` has written."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def loading(self) -> str: ...

    def save(self, directory: Path) -> None: ...

    def load(self, directory: Path) -> nn.Module: ...


def write_original(subject: Subject, path: Path, make: Callable[[], nn.Module] | None = None) -> None:
    """Write the model of the original class that is left on a route, with its receipt.

    `make`: makes the smaller model, where no library is known that does. Raises ModelError where nobody can make it,
    and RouteError where it cannot do what the route does.
    """
    origin, containers = blocks_left(subject.net, subject.route)
    weights = origin.weights(subject.net)
    for container in containers:
        weights = container.renamed(weights)
    with random_state_kept():
        remade = _remade(origin.model, containers, weights, make)
        remade.model.eval().to(next(subject.net.parameters()).device)
        _check_in_memory(subject, remade.model, origin)
        with whole_directory(path, RECEIPT) as directory:
            remade.save(directory)
            again = remade.load(directory).eval().to(next(subject.net.parameters()).device)
            subject.check_runs_same(FROM_DISK, again, origin.constants)
            receipt = subject.receipt("original", remade.model, remade.loading)
            (directory / RECEIPT).write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")


def blocks_left(net: UnraveledNetwork, route: Route) -> tuple[Origin, list[Container]]:
    """Say which blocks of its original class a route leaves. Raises ModelError and RouteError as `write_original`."""
    origin = net.origin
    if origin is None:
        raise ModelError(
            f"{net.title} was built by unravelnet from its parts and has no original class. Export as "
            'form="directory", "pt2" or "onnx".'
        )
    if origin.replaced:
        raise ModelError(
            f"{net.title} holds a {origin.replaced}, which its original class does not have. Export as "
            'form="directory", "pt2" or "onnx".'
        )
    return origin, containers_of(net, origin.model, route)


def _remade(
    model: nn.Module,
    containers: list[Container],
    weights: dict[str, Tensor],
    make: Callable[[], nn.Module] | None,
) -> Remade:
    if make is not None:
        return _OwnClass.of(make, weights)
    for library, remake in _LIBRARIES.items():
        if type(model).__module__.startswith(library):
            return remake(model, containers, weights)
    raise ModelError(
        f"{type(model).__name__} is of none of the libraries that make a smaller one by name (transformers, timm, "
        "torchvision). Give make=..., a function without arguments that returns the smaller model, or export as "
        'form="directory", "pt2" or "onnx".'
    )


def _check_in_memory(subject: Subject, model: nn.Module, origin: Origin) -> None:
    try:
        subject.check_runs_same(IN_MEMORY, model, origin.constants)
    except CaptureError as error:
        kept = _with_what_follows(subject)
        if not kept:
            raise
        # Nothing but the skip of a deleted module is left on its route, and what follows the sum: as in BERT.
        visits = [visit for visit in subject.route.visits if visit.mode != "skip"]
        raise RouteError(
            f"{kept[0].name} (module {kept[0].index}) is deleted and the normalisation behind its sum stays, while the "
            f"original class loses both with the block. The route {Route(tuple(visits))} leaves the block out as a "
            "whole."
        ) from error


def _with_what_follows(subject: Subject) -> list[ResidualModule]:
    deleted = [subject.net.residual_modules[v.module] for v in subject.route.visits if v.mode == "skip"]
    return [module for module in deleted if any(True for _ in module.after.parameters())]


@dataclass(frozen=True)
class _OwnClass:
    """A model of the user's own class, which the user makes and we give its weights."""

    make: Callable[[], nn.Module]
    model: nn.Module
    loading: str = (
        f"make the smaller model, then load_state_dict(safetensors.torch.load_file('{WEIGHTS_FILE}'))"
    )

    @classmethod
    def of(cls, make: Callable[[], nn.Module], weights: dict[str, Tensor]) -> _OwnClass:
        return cls(make, _loaded(make(), weights))

    def save(self, directory: Path) -> None:
        write_weights(directory / WEIGHTS_FILE, self.model.state_dict())

    def load(self, directory: Path) -> nn.Module:
        return _loaded(self.make(), read_weights(directory / WEIGHTS_FILE))


def _loaded(model: object, weights: dict[str, Tensor]) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"make() returned a {type(model).__name__}. It must return the smaller torch.nn.Module."
        )
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split("\n\t")[1:])[:300] or first_line(error)
        raise ModelError(
            f"make() returned a {type(model).__name__} that does not take the weights left on the route: {detail} Give "
            "a function that makes the model with as many blocks as the route keeps."
        ) from error
    return model


_LIBRARIES: dict[str, Callable[[nn.Module, list[Container], dict[str, Tensor]], Remade]] = {
    "transformers.": remade_of_transformers,
    "timm.": remade_of_timm,
    "torchvision.": remade_of_torchvision,
}
