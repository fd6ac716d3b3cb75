"""The long trainings go on where they stopped, do not train twice, and say what was trained where."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from shipping import long_trainings as room
from shipping.long_trainings import LOG_FILE, PAPER_RECIPE, PROCESSOR_RECIPE, LongTraining, long_trainings
from unravelnet import zoo
from unravelnet.data import load
from unravelnet.errors import CheckpointError, TrainingError
from unravelnet.records.record import Table, load_table
from unravelnet.training.checkpoint import epochs_done
from unravelnet.training_plan import TrainingPlan

QUICK = TrainingPlan(epochs=3, schedule="one-cycle", batch_size=32, test_every=1)


@pytest.fixture
def small(monkeypatch):
    """A small network in the place of ResNet-110, and a few digits in the place of CIFAR-10."""
    monkeypatch.setattr(room, "NETWORK", "preact-resnet8")
    return load("digits", "train", limit=64), load("digits", "test", limit=64)


def test_what_is_compared_differs_in_its_routes_only():
    for recipe in (PROCESSOR_RECIPE, PAPER_RECIPE):
        plans = {training.name: training.plan for training in long_trainings(recipe)}
        compared = list(plans.values())[:3]
        assert [plan.routes for plan in compared] == ["all", "exactly:23", "stochastic-depth:0.5"]
        assert {plan.changed({"routes": "all"}) for plan in compared} == {recipe}


def test_the_papers_rate_falls_after_82_and_123_epochs():
    rates = [PAPER_RECIPE.learning_rate_at(epoch * 391, 164 * 391) for epoch in (81, 82, 122, 123)]
    assert rates == pytest.approx([0.1, 0.01, 0.01, 0.001])


def test_further_seeds_are_of_the_two_networks_that_are_compared():
    names = [training.name for training in long_trainings(PAPER_RECIPE, 2)]
    assert names[3:5] == ["preact-resnet110-seed1", "preact-resnet110-exactly23-seed1"]


def test_a_second_call_goes_on_and_a_third_trains_nothing(small, tmp_path):
    stopped = [LongTraining("a", QUICK), LongTraining("b", QUICK.changed({"seed": 1}))]
    room.train_long(stopped[:1], small[0], small[1], tmp_path)
    first = (tmp_path / "a" / "history.csv").read_bytes()
    for _ in range(2):
        room.train_long(stopped, small[0], small[1], tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [(line["network"], line["epoch"]) for line in lines] == [(n, e) for n in "ab" for e in (1, 2, 3)]
    assert {line["torch"] for line in lines} == {torch.__version__}
    assert (tmp_path / "a" / "history.csv").read_bytes() == first
    assert len(load_table(tmp_path / "b" / "history.csv")) == 3


class Killed(BaseException):
    """What no handler of the training catches."""


def killed_in_epoch(number, monkeypatch):
    """Let the process be killed in an epoch, before the line of the epoch before is written."""
    calls = itertools.count(1)

    def progress(log, batches):
        if next(calls) == number:
            raise Killed("killed")
        return own(log, batches)

    own = room._Log.progress
    monkeypatch.setattr(room._Log, "progress", progress)


def drop_last_row(history):
    Table(load_table(history)[:-1]).save(history)


def epochs_in(log):
    return [json.loads(line)["epoch"] for line in log.read_text().splitlines()]


def test_epochs_are_numbered_by_the_checkpoint_where_the_history_is_behind(small, tmp_path):
    training, history = LongTraining("a", QUICK), tmp_path / "a" / "history.csv"
    with pytest.MonkeyPatch.context() as patch:
        killed_in_epoch(3, patch)
        with pytest.raises(Killed, match="killed"):
            room.train_long([training], small[0], small[1], tmp_path)
    drop_last_row(history)
    assert len(load_table(history)) == 1
    room.train_long([training], small[0], small[1], tmp_path)
    # The second epoch was on disk, and its line was not written. What was trained afterwards is the third.
    assert epochs_in(tmp_path / LOG_FILE) == [1, 3]
    assert [row["epoch"] for row in load_table(history)] == [1, 2, 3]


def test_a_training_at_its_end_writes_no_line(small, tmp_path):
    training, history = LongTraining("a", QUICK), tmp_path / "a" / "history.csv"
    room.train_long([training], small[0], small[1], tmp_path)
    drop_last_row(history)
    room.train_long([training], small[0], small[1], tmp_path)
    assert epochs_in(tmp_path / LOG_FILE) == [1, 2, 3]
    assert len(load_table(history)) == 3


def test_a_checkpoint_without_an_epoch_is_damaged(tmp_path):
    assert epochs_done(tmp_path) == 0
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "checkpoint.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is not a checkpoint of a training"):
        epochs_done(tmp_path)


LONG = Path(__file__).parents[1] / "results" / "long_trainings"
RUNS = sorted(history.parent for history in LONG.glob("*/history.csv"))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_log_tells_processor_and_gpu_as_the_speeds_do(run):
    # The GPU learnt at least 5,000 images a second, and the processor fewer than 1,000.
    speeds = {row["epoch"]: row["images_per_second"] for row in load_table(run / "history.csv")}
    lines = room.epochs_logged(run)
    assert lines
    assert all((line["device"] == "cpu") == (speeds[line["epoch"]] < 2000) for line in lines)


def test_minutes_of_other_trainings_are_those_of_their_epochs():
    found = 0
    for row in load_table(LONG.parent / "other_trainings.csv"):
        if "keep" in row["routes"]:
            continue  # its row says which epoch held a break, which is left out
        routes = {"all": "", "exactly:23": "-exactly23"}[row["routes"]]
        variant = "warm-start" if "zoo:" in row["start"] else f"epochs{row['epochs']}"
        history = LONG / f"{room.NETWORK}{routes}-{variant}" / "history.csv"
        if history.exists():
            seconds = sum(epoch["seconds"] for epoch in load_table(history))
            assert row["minutes"] == pytest.approx(seconds / 60)
            found += 1
    assert found == 7


def test_none_begins_after_one_that_fails(small, tmp_path):
    room.train_long([LongTraining("a", QUICK)], small[0], small[1], tmp_path)
    other = LongTraining("a", QUICK.changed({"epochs": 4}))
    with pytest.raises(TrainingError, match="holds another training, with epochs = 3"):
        room.train_long([other, LongTraining("b", QUICK)], small[0], small[1], tmp_path)
    assert not (tmp_path / "b").exists()


def test_side_by_side_is_one_after_the_other(small, tmp_path):
    trainings = [
        LongTraining(str(seed), QUICK.changed({"seed": seed, "routes": "exactly:2"})) for seed in range(3)
    ]
    room.train_long(trainings, small[0], small[1], tmp_path / "one")
    room.train_long(trainings, small[0], small[1], tmp_path / "three", at_once=3)
    for training in trainings:
        weights = [
            load_file(tmp_path / way / training.name / "weights.safetensors") for way in ("one", "three")
        ]
        assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def plan_of(name):
    [plan] = [training.plan for training in long_trainings(PROCESSOR_RECIPE) if training.name == name]
    return plan


def test_with_down_sampling_modules_kept_it_is_as_long_as_a_training_without():
    plan = plan_of("preact-resnet110-exactly23-keep-downsampling")
    facts = zoo.read_description(zoo.pretrained_directory("preact-resnet110-exactly23-cifar10")).facts
    trained = [(other["epochs"], other["image_sizes"], other["seed"]) for other in facts["other_trainings"]]
    assert (plan.epochs, plan.image_sizes, plan.seed) in trained
    net = zoo.create(room.NETWORK)
    always = plan.sampler.always_kept(net.residual_modules)
    assert always == net.downsampling == [18, 36]
    plan.sampler.check(len(net.residual_modules), always=always)


def test_shorter_trainings_differ_in_their_length_only():
    for name, epochs in (("epochs50", 50), ("exactly23-epochs24", 24)):
        plan = plan_of(f"preact-resnet110-{name}")
        assert plan.epochs == epochs
        assert plan.changed({"epochs": 100, "routes": "all"}) == PROCESSOR_RECIPE.changed({"keep_epochs": ""})


def test_the_warm_start_goes_on_at_the_rate_of_the_last_tenth():
    plan = plan_of("preact-resnet110-exactly23-warm-start")
    n_batches = 391
    whole = PROCESSOR_RECIPE.learning_rate_at(90 * n_batches, 100 * n_batches)
    own = [plan.learning_rate_at(iteration, 10 * n_batches) for iteration in range(10 * n_batches)]
    assert max(own) == pytest.approx(whole, rel=0.02)
    assert (plan.epochs, plan.routes, plan.start) == (10, "exactly:23", "zoo:preact-resnet110-cifar10")
