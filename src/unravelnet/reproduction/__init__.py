"""The paper from end to end: train networks or take shipped ones, take them apart, write the report.

Everything lands in one directory, and every part that is there already is used: trainings go on from their last
full epoch, trials from their last batch, so that a killed run is called again and ends with the same tables.

run.json                     settings and provenance; seconds, where one call did it all
networks.json                the networks, for the report
networks/NETWORK/            checkpoint, weights and history of one training
results.sqlite               sums of every trial, finished or not
tables/NETWORK/STUDY.csv     one row a trial, or a length, a module, an epoch
tables/trained_networks.csv  one row a shipped network and way to test it
tables/whole_trainings.csv   one row a shipped network, and a training of another length that it took the place of
figures/, report.html        made from the tables
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unravelnet import zoo
from unravelnet.data import ImageData, as_batches, load
from unravelnet.errors import RouteError
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.evaluation import evaluate
from unravelnet.network import UnraveledNetwork
from unravelnet.options import also_by_name
from unravelnet.precision import Precision, PrecisionChoice
from unravelnet.records.files import writable_directory
from unravelnet.records.record import whole_file
from unravelnet.records.store import ResultsStore
from unravelnet.registry import STUDIES
from unravelnet.reporting import report
from unravelnet.reproduction import measurements, trained_networks
from unravelnet.reproduction.choice import Choice, choose_model, choose_networks
from unravelnet.reproduction.clock import Clock, RunProgress
from unravelnet.reproduction.directory import (
    default_directory,
    describe_network,
    table_path,
    trained_networks_path,
    whole_trainings_path,
    write_networks,
)
from unravelnet.reproduction.given import NamedModel
from unravelnet.reproduction.plan import NETWORKS, SHIPPED_NETWORKS, GivenModel, NetworkPlan
from unravelnet.reproduction.settings import Effort, Settings, begin, end, limit_of, settle
from unravelnet.reproduction.speed import seconds_per_pass
from unravelnet.studies import Trial
from unravelnet.training.dynamics import CHECKPOINT_STUDIES
from unravelnet.training.loop import TrainingStatus, train

__all__ = ["NETWORKS", "SHIPPED_NETWORKS", "Effort", "GivenModel", "NetworkPlan", "RunProgress", "reproduce"]

_log = logging.getLogger(__name__)

# A step of training against a pass of evaluation: backward, and no folded normalisation.
_COST_OF_TRAINING = 4.0
_HISTORY, _LAST_PART = "history", "report"
# Of the data, to see whether a network tolerates bfloat16.
_IMAGES_TO_TRY = 8
_SECONDS_OF_REPORT = 10.0


@also_by_name("effort", Effort)
def reproduce(
    data: str = "digits",
    out: str | os.PathLike[str] | None = None,
    *,
    effort: Effort | None = None,
    studies: Sequence[str] = (),
    precision: PrecisionChoice = "auto",
    seed: int = 0,
    networks: Sequence[NetworkPlan] | None = None,
    model: GivenModel | str | None = None,
    paper_figures: Sequence[int] = (),
    command: Sequence[str] | None = None,
    on_progress: Callable[[RunProgress], None] | None = None,
) -> Path:
    """Repeat the studies of Veit et al. (2016) and return the path of the report.

    >>> reproduce("digits", epochs=15)  # doctest: +SKIP
    PosixPath('runs/digits/report.html')

    `data`: a specification as for `data.load`. `out`: the directory, runs/NAME-OF-DATA by default; what an earlier
    call left there is used. What is None is as in that earlier call, else chosen by default. `networks`: what to
    study; by default the shipped networks where they were tested on this data and no `epochs` are given, else
    networks that are trained here.

    `effort`: how much is trained and measured, an `Effort`, or its options one by one:
    `epochs`: of each training. `quick`: the same studies on fewer images, draws and counts, with wider intervals.
    `images`: test images for the studies that change one module at a time (random draws, of which there are many,
    use fewer: half where images are small, else an eighth, from 250 to 1,000); `repeats`: draws for each count of
    deletions or swaps; `until_ci`: a draw stops when half the width of the interval of its error rate, or of its
    difference to the intact network, is at most this, and takes as many of the images as that needs.

    `model`: a trained model to study in the place of these networks, a specification as for `models.load`, or a
    `GivenModel` with its weights; images are prepared as those that it was trained for, and its top-5 error is
    measured, too. `paper_figures`: the figures of the paper to repeat, such as [4]; all where none is named.

    `studies`: names from `registry.STUDIES`, more studies of each network that is lesioned. `precision`: of training
    and studies; "auto" is bfloat16 where the machine multiplies it itself and all networks gain from it and tolerate
    it, else float32. `seed`: of weights, order, routes and draws. `command`: words of the command line, for the
    provenance. `on_progress`: called often with how far it is. What was chosen is logged.

    Raises StoreError where `out` holds a run with other settings, UnknownNameError for an unknown study or figure,
    ModelError where a figure shows none of the networks, and what loading, training and evaluating raise.
    """
    began = time.perf_counter()
    effort = Effort() if effort is None else effort
    directory = writable_directory(default_directory(data, quick=bool(effort.quick)) if out is None else out)
    named, chosen = choose_model(directory, model) if networks is None else (None, Choice(tuple(networks)))
    test_data = load(data, "test") if named is None else named.load(data)
    chosen = chosen or choose_networks(directory, test_data, epochs=effort.epochs)
    choice = chosen.for_figures(paper_figures).with_studies(studies)
    measured = choice.networks[0].measurements
    train_data = load(data, "train") if named is None else named.load_for(measured, data, test_data)
    given = {**asdict(effort), "precision": None if precision == "auto" else precision}
    settings = settle(directory, train_data, test_data, given, seed=seed, networks=choice.networks)
    subjects = [_Subject.of(network, settings, test_data, named) for network in choice.networks]
    if settings.precision == "auto":
        settings = replace(settings, precision=_choose_precision(subjects, test_data))
        subjects = [replace(subject, settings=settings) for subject in subjects]
    is_shipped = any(network.pretrained for network in choice.networks) and not paper_figures
    shipped = trained_networks.shipped_for(test_data) if is_shipped else []
    is_new = begin(directory, settings, command)
    for remark in choice.remarks:
        _log.info(remark)
    write_networks(directory, [subject.description(train_data, test_data) for subject in subjects])
    clock = Clock(_expected_seconds(subjects, shipped, settings, train_data), on_progress)
    with ResultsStore(directory) as store:
        for subject in subjects:
            subject.prepare(directory, train_data, test_data, clock)
            for study in subject.trials:
                subject.lesion(study, directory, test_data, store, clock)
            for name in subject.network.measurements:
                subject.measure(name, directory, train_data, test_data, store, clock)
        if shipped:
            table = trained_networks.trained_networks(shipped, train_data, test_data, settings, store, clock)
            table.save(trained_networks_path(directory))
            trained_networks.whole_trainings(shipped, train_data).save(whole_trainings_path(directory))
    clock.begin(_LAST_PART)
    if is_new:
        end(directory, time.perf_counter() - began)
    page = report(directory)
    clock.advance(1.0)
    return page


def _choose_precision(subjects: Sequence[_Subject], data: ImageData) -> Precision:
    """Choose one precision for a run: float32 unless every network takes bfloat16."""
    batches = as_batches(data, batch_size=_IMAGES_TO_TRY)
    chosen: Precision = "float32"
    for subject in subjects:
        chosen = Bench(subject.net).choose_precision("auto", batches)
        if chosen == "float32":
            break
    return chosen


def _expected_seconds(
    subjects: Sequence[_Subject],
    shipped: Sequence[trained_networks.ShippedNetwork],
    settings: Settings,
    train_data: ImageData,
) -> list[tuple[str, float]]:
    """List the parts with the time that they will take, by how long one pass takes now."""
    first = subjects[0].net
    of_pass = seconds_per_pass(first, train_data, precision=settings.precision)
    costs = [
        *(part for subject in subjects for part in subject.costs(len(train_data))),
        *trained_networks.costs(shipped, settings),
    ]
    parts = [(title, macs * of_pass / first.total_macs) for title, macs in costs]
    return [*parts, (_LAST_PART, _SECONDS_OF_REPORT)]


@dataclass(frozen=True)
class _Subject:
    """One network of the run, with what will be done to it."""

    network: NetworkPlan
    net: UnraveledNetwork
    settings: Settings
    trials: dict[str, list[Trial]]
    named: NamedModel | None = None

    @classmethod
    def of(
        cls, network: NetworkPlan, settings: Settings, data: ImageData, named: NamedModel | None
    ) -> _Subject:
        if named is not None:
            net = named.net
        elif network.pretrained:
            net = zoo.pretrained(network.pretrained)
        else:
            net = _untrained(network, settings, data)
        trials = {}
        for study in network.studies:
            try:
                trials[study] = settings.trials(study, network, net)
            except RouteError as error:
                if named is None:
                    raise
                _log.info("%s is left out. %s", STUDIES.find(study).title, error)
        return cls(network, net, settings, trials, named)

    def costs(self, n_train: int) -> list[tuple[str, float]]:
        """List the parts with their costs, in multiply-accumulate operations."""
        parts = [self._cost_of_training(n_train)] if self.network.is_trained_here else []
        for study, trials in self.trials.items():
            passes = STUDIES.find(study).cost(trials)
            parts.append((self._title(study), passes * self.settings.n_images(study, self.network)))
        for name in self.network.measurements:
            passes = measurements.cost(name, len(self.net.residual_modules), self.settings)
            parts.append((self._title(name), passes))
        return [(title, cost * self.net.total_macs) for title, cost in parts]

    def _cost_of_training(self, n_train: int) -> tuple[str, float]:
        plan = self.settings.training(self.network)
        survival = plan.sampler.survival(len(self.net.residual_modules))
        passes = _COST_OF_TRAINING * plan.epochs * n_train
        return self._title("training"), passes * sum(survival) / len(survival)

    def prepare(self, directory: Path, train_data: ImageData, test_data: ImageData, clock: Clock) -> None:
        """Have the network trained, with its history among the tables."""
        if self.network.pretrained:
            self._take_shipped_tables(directory)
        elif self.network.is_trained_here:
            self._train(directory, train_data, test_data, clock)

    def _take_shipped_tables(self, directory: Path) -> None:
        """Copy what was written down of its training: the history, and what was measured of checkpoints."""
        shipped = zoo.pretrained_directory(self.network.pretrained)
        for study in (_HISTORY, *CHECKPOINT_STUDIES):
            if (shipped / f"{study}.csv").exists():
                with whole_file(table_path(directory, self.network.name, study)) as temporary:
                    shutil.copyfile(shipped / f"{study}.csv", temporary)

    def _train(self, directory: Path, train_data: ImageData, test_data: ImageData, clock: Clock) -> None:
        """Train the network, or load it where that has been done."""
        clock.begin(self._title("training"))

        def note(status: TrainingStatus) -> None:
            share = (status.epoch - 1 + status.batch / status.n_batches) / status.n_epochs
            clock.advance(
                share,
                f"epoch {status.epoch} of {status.n_epochs}, error {status.error_rate:.1%}, loss "
                f"{status.loss:.3f}, {status.images_per_second:.0f} images/s",
            )

        history = train(
            self.net,
            train_data,
            plan=self.settings.training(self.network),
            out=directory / "networks" / self.network.name,
            validation=test_data,
            on_batch=note,
        )
        history.save(table_path(directory, self.network.name, _HISTORY))

    def lesion(self, study: str, directory: Path, data: ImageData, store: ResultsStore, clock: Clock) -> None:
        """Run one study and save its table."""
        clock.begin(self._title(study))
        table = evaluate(
            self.net,
            self.trials[study],
            data,
            metrics=tuple(dict.fromkeys([*STUDIES.find(study).metrics, *self.network.metrics])),
            precision=self.settings.precision,
            limit=limit_of(self.settings.n_images(study, self.network), data),
            until_ci=self.settings.until_ci_of(study),
            seed=self.settings.seed,
            store=store,
            progress=clock.over,
        )
        table.save(table_path(directory, self.network.name, study))

    def measure(
        self,
        name: str,
        directory: Path,
        train_data: ImageData,
        test_data: ImageData,
        store: ResultsStore,
        clock: Clock,
    ) -> None:
        """Make one measurement and save its tables, unless they are there; its own comes last."""
        clock.begin(self._title(name))
        last = table_path(directory, self.network.name, name)
        if last.exists():
            return
        training = directory / "networks" / self.network.name
        subject = measurements.Subject(self.net, train_data, test_data, training, self.settings, store)
        tables = dict(measurements.measure(name, subject, clock.over))
        for other in [study for study in tables if study != name]:
            tables.pop(other).save(table_path(directory, self.network.name, other))
        tables[name].save(last)

    def description(self, train_data: ImageData, test_data: ImageData) -> dict[str, Any]:
        """Describe the network for the report."""
        return describe_network(
            self.net,
            name=self.network.name,
            title=self.network.title,
            role=self.network.role,
            n_classes=test_data.n_classes,
            input_shape=list(test_data.image_shape),
            zoo_name=self.network.zoo_name,
            routes=self.network.routes,
            **self._origin(train_data),
        )

    def _origin(self, train_data: ImageData) -> dict[str, Any]:
        """Say how the network was trained, as far as it is known."""
        if self.named is not None:
            return self.named.facts
        if not self.network.pretrained:
            return {
                "epochs": self.settings.epochs,
                "n_train_images": len(train_data),
                "zero_init_residual": self.network.zero_init_residual,
            }
        facts = zoo.read_description(zoo.pretrained_directory(self.network.pretrained)).facts
        return {
            "epochs": facts["training"]["epochs"],
            "pretrained": self.network.pretrained,
            "group": facts["group"],
        }

    def _title(self, part: str) -> str:
        return f"{self.network.title}: {part.replace('_', ' ')}"


def _untrained(network: NetworkPlan, settings: Settings, data: ImageData) -> UnraveledNetwork:
    settings.training(network)  # raises now, and not after the first training, where it cannot be
    start = {"zero_init_residual": True} if network.zero_init_residual else {}
    return zoo.create(
        network.zoo_name, n_classes=data.n_classes, input_shape=data.image_shape, seed=settings.seed, **start
    )
