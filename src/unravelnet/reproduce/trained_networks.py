"""How well the shipped networks do, all seeds: one row a network and way to test it, of which `test_time` speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unravelnet import zoo
from unravelnet.data import ImageData
from unravelnet.evaluation import evaluate
from unravelnet.intervals import Interval, mean_interval
from unravelnet.network import UnraveledNetwork
from unravelnet.record import ResultsStore, Row, Table, load_table
from unravelnet.reproduce.clock import Clock
from unravelnet.reproduce.settings import Settings
from unravelnet.reproduce.test_time import (
    N_ROUTES,
    TestTime,
    as_trained,
    prepared_for,
    routes_at,
    test_times_of,
)
from unravelnet.route_sampler import RouteSampler, parse_route_sampler
from unravelnet.training import HISTORY_FILE
from unravelnet.zoo.store import Description

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

    @property
    def test_times(self) -> tuple[TestTime, ...]:
        """The ways to test it; networks trained on all modules have one."""
        return test_times_of(self.net, self.sampler)


def shipped_for(data: ImageData) -> list[ShippedNetwork]:
    """Load all shipped networks that were tested on this data."""
    return [ShippedNetwork.load(name) for name in zoo.pretrained_for(data.fingerprint())]


def costs(networks: Sequence[ShippedNetwork], settings: Settings) -> list[tuple[str, float]]:
    """List the tests with their costs, in multiply-accumulate operations."""
    return [
        (_title(network, test_time), _passes(network, test_time) * network.net.total_macs * settings.images)
        for network in networks
        for test_time in network.test_times
    ]


def _passes(network: ShippedNetwork, test_time: TestTime) -> float:
    if test_time != "random routes":
        return 1.0
    survival = network.sampler.survival(len(network.net.residual_modules))
    return N_ROUTES * sum(survival) / len(survival)


def trained_networks(
    networks: Sequence[ShippedNetwork],
    train_data: ImageData,
    test_data: ImageData,
    settings: Settings,
    store: ResultsStore,
    clock: Clock,
) -> Table:
    """Test every network in every way; what the store knows is not measured again."""
    return Table(
        _test(network, test_time, train_data, test_data, settings, store, clock)
        for network in networks
        for test_time in network.test_times
    )


def _test(
    network: ShippedNetwork,
    test_time: TestTime,
    train_data: ImageData,
    test_data: ImageData,
    settings: Settings,
    store: ResultsStore,
    clock: Clock,
) -> Row:
    clock.begin(_title(network, test_time))
    routes = routes_at(test_time, network.net, network.sampler, settings.seed)
    prepared = prepared_for(
        test_time, network.net, network.sampler, train_data, precision=settings.precision, seed=settings.seed
    )
    with prepared as net:
        measured = evaluate(
            net,
            routes,
            test_data,
            metrics=_METRICS,
            precision=settings.precision,
            limit=settings.limit("trained_networks", test_data),
            seed=settings.seed,
            store=store,
            progress=clock.over,
        )
    return _row(network, test_time, measured)


def _row(network: ShippedNetwork, test_time: TestTime, measured: Table) -> Row:
    """Join what is known of the training and the mean over the routes, which see the same images."""
    net, facts, last = network.net, network.description.facts, network.last_epoch
    errors = [row["error_rate"] for row in measured]
    interval = _interval(measured)
    return {
        "group": facts["group"],
        "network_name": network.name,
        "zoo_name": network.description.name,
        "routes": str(network.sampler),
        "training_seed": facts["seed"],
        "n_modules": len(net.residual_modules),
        "n_parameters": sum(parameter.numel() for parameter in net.parameters()),
        "test_time": test_time,
        "is_as_trained": test_time == as_trained(net, network.sampler),
        "n_routes": len(measured),
        "error_rate": sum(errors) / len(errors),
        "error_rate_low": interval.low,
        "error_rate_high": interval.high,
        "wrong": sum(round(row["error_rate"] * row["n_predictions"]) for row in measured),
        "n_images": measured[0]["n_images"],
        "loss": sum(row["loss"] for row in measured) / len(measured),
        "train_error_rate": last["train_error_rate"],
        "train_loss": last["train_loss"],
        "epochs": network.training["epochs"],
        "training_seconds": facts["seconds"],
        "images_per_second": facts["images_per_second"],
        "data_name": measured[0]["data_name"],
        "precision": measured[0]["precision"],
    }


def _interval(measured: Table) -> Interval:
    """Bound the error: that of one route by its images, the mean over several by how much they differ."""
    errors = [row["error_rate"] for row in measured]
    if len(errors) == 1:
        return Interval(measured[0]["error_rate_low"], measured[0]["error_rate_high"])
    low, high = mean_interval(sum(errors), sum(error**2 for error in errors), len(errors))
    return Interval(max(0.0, low), min(1.0, high))


def _title(network: ShippedNetwork, test_time: TestTime) -> str:
    return f"{network.name}: {'' if test_time == 'random routes' else 'all modules, '}{test_time}"
