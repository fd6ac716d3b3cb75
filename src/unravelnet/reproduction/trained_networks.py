"""How well the shipped networks do, all seeds: one row a network and way to test it, of which `at_test_time` speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unravelnet import zoo
from unravelnet.data import ImageData
from unravelnet.mathematics.intervals import Interval, joined_interval, mean_interval, rate_interval
from unravelnet.measuring.evaluation import evaluate
from unravelnet.network import UnraveledNetwork
from unravelnet.records.record import Row, Table, load_table
from unravelnet.records.store import ResultsStore
from unravelnet.reproduction.at_test_time import (
    N_ROUTES,
    N_STATISTICS_IMAGES,
    RE_ESTIMATED,
    TestTime,
    as_trained,
    prepared_for,
    routes_at,
    ways_to_test,
)
from unravelnet.reproduction.clock import Clock
from unravelnet.reproduction.settings import Settings, limit_of
from unravelnet.routes.sampler import RouteSampler
from unravelnet.training.directory import HISTORY_FILE
from unravelnet.training_plan import TrainingPlan
from unravelnet.zoo.store import Description

_METRICS = ("error_rate", "loss")
# A pass in float32 with normalisation as it is in training, against one of the engine.
_COST_OF_STATISTICS = 3.0
_N_FIT_IMAGES = 5000
_FIT_COLUMNS = ("fit_error_rate", "n_fit_images")


@dataclass(frozen=True)
class ShippedNetwork:
    """A shipped network with what is known of its training."""

    name: str
    net: UnraveledNetwork
    description: Description
    plan: TrainingPlan
    last_epoch: Row

    @classmethod
    def load(cls, name: str) -> ShippedNetwork:
        """Load a network by its shipped name."""
        directory = zoo.pretrained_directory(name)
        description, history = zoo.read_description(directory), load_table(directory / HISTORY_FILE)
        plan = TrainingPlan().changed(description.facts["training"])
        return cls(name, zoo.pretrained(name), description, plan, history[-1])

    @property
    def sampler(self) -> RouteSampler:
        """What it was trained on."""
        return self.plan.sampler

    def training_macs(self, data: ImageData) -> float:
        """Count the operations of its training: forwards, in the mean over routes; smaller images cost their area."""
        return training_macs_of_image(self.net, self.plan, data.image_shape[1]) * len(data)

    @property
    def survival(self) -> tuple[float, ...]:
        """The probability of each module to be kept in training."""
        modules = self.net.residual_modules
        return self.sampler.survival(len(modules), always=self.sampler.always_kept(modules))

    @property
    def as_trained(self) -> TestTime:
        """The way to test it that its training is for."""
        return as_trained(self.net, self.sampler)

    @property
    def test_times(self) -> tuple[TestTime, ...]:
        """The ways to test it."""
        return ways_to_test(self.net, self.sampler)


def training_macs_of_image(net: UnraveledNetwork, plan: TrainingPlan, height: int) -> float:
    """Count the operations of a training for each image of its data: forwards of all epochs, in the mean over routes.

    `height`: of the images as they are; smaller ones cost their area.
    """
    modules, sampler = net.residual_modules, plan.sampler
    outside = net.total_macs - sum(module.macs for module in modules)
    survival = sampler.survival(len(modules), always=sampler.always_kept(modules))
    of_pass = outside + sum(share * module.macs for share, module in zip(survival, modules, strict=True))
    heights = [plan.image_size_at(epoch) or height for epoch in range(plan.epochs)]
    return of_pass * sum((size / height) ** 2 for size in heights)


def shipped_for(data: ImageData) -> list[ShippedNetwork]:
    """Load all shipped networks that were tested on this data."""
    return [ShippedNetwork.load(name) for name in zoo.pretrained_for(data.fingerprint())]


def costs(networks: Sequence[ShippedNetwork], settings: Settings) -> list[tuple[str, float]]:
    """List the tests with their costs, in multiply-accumulate operations."""
    parts = []
    for network in networks:
        macs = network.net.total_macs
        for test_time in network.test_times:
            parts.append((_title(network, test_time), _passes(network, test_time, settings.images) * macs))
            if test_time == network.as_trained:
                parts.append((_title_of_fit(network, test_time), float(_N_FIT_IMAGES * macs)))
    return parts


def _passes(network: ShippedNetwork, test_time: TestTime, n_images: int) -> float:
    if test_time in RE_ESTIMATED:
        return n_images + _COST_OF_STATISTICS * N_STATISTICS_IMAGES
    if test_time == "random routes":
        # Beside the intact route, against which all are measured.
        return n_images * (1 + N_ROUTES * sum(network.survival) / len(network.survival))
    return n_images


def trained_networks(
    networks: Sequence[ShippedNetwork],
    train_data: ImageData,
    test_data: ImageData,
    settings: Settings,
    store: ResultsStore,
    clock: Clock,
) -> Table:
    """Test every network in every way; trials that the store knows are not measured again."""
    return Table(
        {
            **_test(network, test_time, train_data, test_data, settings, store, clock),
            "training_macs": network.training_macs(train_data),
        }
        for network in networks
        for test_time in network.test_times
    )


def whole_trainings(networks: Sequence[ShippedNetwork], data: ImageData) -> Table:
    """List the errors of whole trainings on some data: of the shipped networks, and of others, known as numbers."""
    rows: list[Row] = []
    for network in networks:
        facts, plan = network.description.facts, network.plan
        own = {
            "routes": str(network.sampler),
            "start": plan.start,
            "epochs": plan.epochs,
            "image_sizes": plan.image_sizes,
            "seed": plan.seed,
            "error_rate": facts["test"]["error_rate"],
            "n_images": facts["test"]["n_images"],
            "precision": facts["test"]["precision"],
            "seconds": facts["seconds"],
        }
        for training in (*facts.get("other_trainings", []), own):
            length = {name: training[name] for name in ("routes", "epochs", "image_sizes")} | {
                "keep_epochs": ""
            }
            rows.append(
                {
                    "group": facts["group"],
                    "zoo_name": network.description.name,
                    "routes": training["routes"],
                    "start": training["start"],
                    "training_seed": training["seed"],
                    "epochs": training["epochs"],
                    "image_sizes": training["image_sizes"] or "as they are",
                    "error_rate": training["error_rate"],
                    "n_images": training["n_images"],
                    "precision": training["precision"],
                    # Other trainings differ from that of the shipped network in what their operations depend on.
                    "training_macs": replace(network, plan=plan.changed(length)).training_macs(data),
                    "training_seconds": training["seconds"],
                    "is_shipped": training is own,
                }
            )
    return Table(rows)


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
    with prepared_for(test_time, network.net, network.sampler, train_data, settings.seed) as net:
        measured = evaluate(
            net,
            routes,
            test_data,
            metrics=_METRICS,
            precision=settings.precision,
            limit=limit_of(settings.images, test_data),
            seed=settings.seed,
            store=store,
            progress=clock.over,
        )
        fitted = _fit(network, net, test_time, train_data, settings, store, clock)
    return {**_row(network, test_time, measured), **fitted}


def _fit(
    network: ShippedNetwork,
    net: UnraveledNetwork,
    test_time: TestTime,
    train_data: ImageData,
    settings: Settings,
    store: ResultsStore,
    clock: Clock,
) -> Row:
    """Measure the error on images of the training as they are, tested in the way that the training is for.

    The error during the training is that of augmented images, on the modules of each batch and before their step.
    """
    if test_time != network.as_trained:
        return dict.fromkeys(_FIT_COLUMNS)
    clock.begin(_title_of_fit(network, test_time))
    [row] = evaluate(
        net,
        [net.full_route],
        train_data,
        metrics=("error_rate",),
        precision=settings.precision,
        limit=limit_of(min(_N_FIT_IMAGES, len(train_data)), train_data),
        seed=settings.seed,
        store=store,
        progress=clock.over,
    )
    return dict(zip(_FIT_COLUMNS, (row["error_rate"], row["n_images"]), strict=True))


def _row(network: ShippedNetwork, test_time: TestTime, measured: Table) -> Row:
    """Join what is known of the training and the mean over the routes, which see the same images."""
    net, facts, last = network.net, network.description.facts, network.last_epoch
    plan = network.plan
    errors = [row["error_rate"] for row in measured]
    interval = _interval(measured)
    return {
        "group": facts["group"],
        "network_name": network.name,
        "zoo_name": network.description.name,
        "routes": str(network.sampler),
        "start": plan.start,
        "training_seed": facts["seed"],
        "n_modules": len(net.residual_modules),
        "n_parameters": sum(parameter.numel() for parameter in net.parameters()),
        "test_time": test_time,
        "is_as_trained": test_time == network.as_trained,
        "n_routes": len(measured),
        "error_rate": sum(errors) / len(errors),
        "error_rate_low": interval.low,
        "error_rate_high": interval.high,
        "wrong": sum(round(row["error_rate"] * row["n_predictions"]) for row in measured),
        "n_images": measured[0]["n_images"],
        "loss": sum(row["loss"] for row in measured) / len(measured),
        "train_error_rate": last["train_error_rate"],
        "train_loss": last["train_loss"],
        "epochs": plan.epochs,
        "image_sizes": plan.image_sizes or "as they are",
        "peak_learning_rate": plan.peak_learning_rate,
        "weight_decay": plan.weight_decay,
        "label_smoothing": plan.label_smoothing,
        "batch_size": plan.batch_size,
        "training_seconds": facts["seconds"],
        "training_hardware": facts.get("hardware", ""),
        "data_name": measured[0]["data_name"],
        "precision": measured[0]["precision"],
    }


def _interval(measured: Table) -> Interval:
    """Bound the error by its images (Wilson), and the mean over several routes by how much they differ, too.

    All routes see the same images, so the differences between routes know nothing of what other images would have
    given.
    """
    errors, n_images = [row["error_rate"] for row in measured], measured[0]["n_images"]
    if len(errors) == 1:
        return Interval(measured[0]["error_rate_low"], measured[0]["error_rate_high"])
    mean = sum(errors) / len(errors)
    parts = (
        mean_interval(sum(errors), sum(error**2 for error in errors), len(errors)),
        rate_interval(mean * n_images, n_images),
    )
    joined = joined_interval(mean, parts)
    return Interval(max(0.0, joined.low), min(1.0, joined.high))


def _title_of_fit(network: ShippedNetwork, test_time: TestTime) -> str:
    return f"{_title(network, test_time)}, on training images"


def _title(network: ShippedNetwork, test_time: TestTime) -> str:
    return f"{network.name}: {'' if test_time == 'random routes' else 'all modules, '}{test_time}"
