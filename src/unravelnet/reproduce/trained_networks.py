"""How well the shipped networks do, all seeds: one row a network and test-time variant.

A network that was trained on random routes is tested twice, with all modules: *unscaled*, each branch as it is, and
*scaled*, each times its probability of survival in training. Huang et al. (2016) scale; Veit et al. (2016) do not say
what they did.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unravelnet import zoo
from unravelnet.data import ImageData
from unravelnet.evaluation import evaluate
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.record import ResultsStore, Row, Table, load_table
from unravelnet.reproduce.clock import Clock
from unravelnet.reproduce.settings import Settings
from unravelnet.route_sampler import RouteSampler, parse_route_sampler
from unravelnet.training import HISTORY_FILE
from unravelnet.zoo.store import Description

TestTime = Literal["unscaled", "scaled"]

_METRICS = ("error_rate", "loss")


@dataclass(frozen=True)
class ShippedNetwork:
    """A shipped network with what is known of its training."""

    name: str
    net: UnraveledNetwork
    description: Description
    last_epoch: Row

    @classmethod
    def load(cls, name: str) -> ShippedNetwork:
        """Load a network by its shipped name."""
        directory = zoo.pretrained_directory(name)
        history = load_table(directory / HISTORY_FILE)
        return cls(name, zoo.pretrained(name), zoo.read_description(directory), history[-1])

    @property
    def training(self) -> Mapping[str, Any]:
        """The settings of its training."""
        training: Mapping[str, Any] = self.description.facts["training"]
        return training

    @property
    def sampler(self) -> RouteSampler:
        """What it was trained on."""
        return parse_route_sampler(self.training["routes"])

    def variants(self) -> dict[TestTime, tuple[float, ...]]:
        """Give the factors of the branches in every variant; networks trained on all modules have one."""
        n_modules = len(self.net.residual_modules)
        unscaled = (1.0,) * n_modules
        scaled = self._where_there_is_a_skip(self.sampler.survival(n_modules))
        return {"unscaled": unscaled} if scaled == unscaled else {"unscaled": unscaled, "scaled": scaled}

    def is_as_trained(self, test_time: TestTime) -> bool:
        """Whether the source of its kind of training tests in this way."""
        scales = self.sampler.branch_scales(len(self.net.residual_modules))
        return self.variants()[test_time] == self._where_there_is_a_skip(scales)

    def _where_there_is_a_skip(self, scales: Sequence[float]) -> tuple[float, ...]:
        # As in training: where a plain layer is left out the identity takes its place, and nothing is scaled.
        modules = self.net.residual_modules
        return tuple(1.0 if m.skip is None else scale for m, scale in zip(modules, scales, strict=True))


def shipped_for(data: ImageData) -> list[ShippedNetwork]:
    """Load all shipped networks that were tested on this data."""
    return [ShippedNetwork.load(name) for name in zoo.pretrained_for(data.fingerprint())]


def costs(networks: Sequence[ShippedNetwork], settings: Settings) -> list[tuple[str, float]]:
    """List the tests with their costs, in multiply-accumulate operations."""
    return [
        (_title(network, test_time), float(network.net.total_macs * settings.images))
        for network in networks
        for test_time in network.variants()
    ]


def trained_networks(
    networks: Sequence[ShippedNetwork],
    data: ImageData,
    settings: Settings,
    store: ResultsStore,
    clock: Clock,
) -> Table:
    """Test every network in every variant; what the store knows is not measured again."""
    return Table(
        _test(network, test_time, data, settings, store, clock)
        for network in networks
        for test_time in network.variants()
    )


def _test(
    network: ShippedNetwork,
    test_time: TestTime,
    data: ImageData,
    settings: Settings,
    store: ResultsStore,
    clock: Clock,
) -> Row:
    clock.begin(_title(network, test_time))
    net, facts = network.net, network.description.facts
    with branches_scaled(net, network.variants()[test_time]):
        measured = evaluate(
            net,
            [net.full_route],
            data,
            metrics=_METRICS,
            precision=settings.precision,
            limit=settings.limit("trained_networks", data),
            seed=settings.seed,
            store=store,
            progress=clock.over,
        )[0]
    return {
        "group": facts["group"],
        "network_name": network.name,
        "zoo_name": network.description.name,
        "routes": str(network.sampler),
        "training_seed": facts["seed"],
        "n_modules": len(net.residual_modules),
        "n_parameters": sum(parameter.numel() for parameter in net.parameters()),
        "test_time": test_time,
        "is_as_trained": network.is_as_trained(test_time),
        **{name: measured[name] for name in ("error_rate", "error_rate_low", "error_rate_high")},
        "wrong": round(measured["error_rate"] * measured["n_predictions"]),
        "n_images": measured["n_images"],
        "loss": measured["loss"],
        "train_error_rate": network.last_epoch["train_error_rate"],
        "train_loss": network.last_epoch["train_loss"],
        "epochs": network.training["epochs"],
        "training_seconds": facts["seconds"],
        "images_per_second": facts["images_per_second"],
        "data_name": measured["data_name"],
        "precision": measured["precision"],
    }


def _title(network: ShippedNetwork, test_time: TestTime) -> str:
    return f"{network.name}: all modules, {test_time}"


@contextlib.contextmanager
def branches_scaled(net: UnraveledNetwork, scales: Sequence[float]) -> Iterator[None]:
    """Give each branch a factor in evaluation mode, and its own one back afterwards."""
    modules: list[ResidualModule] = list(net.residual_modules)
    own = [module.branch_scale for module in modules]
    _set_scales(modules, scales)
    try:
        yield
    finally:
        _set_scales(modules, own)


def _set_scales(modules: Sequence[ResidualModule], scales: Sequence[float]) -> None:
    for module, scale in zip(modules, scales, strict=True):
        module.branch_scale = scale
