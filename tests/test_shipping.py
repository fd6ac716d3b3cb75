"""A trained network gets into the package with its error measured, its card written, and a command that remakes it."""

from __future__ import annotations

import importlib
import json
import shlex
import shutil
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file

from shipping.__main__ import main
from shipping.add import add
from shipping.card import card as make_card
from shipping.checkpoints import record_checkpoints
from shipping.table import write_table
from shipping.training_command import training_command
from unravelnet import over_training, zoo
from unravelnet.cli.command_line import app
from unravelnet.data import load
from unravelnet.errors import (
    CheckpointError,
    DataError,
    ModelError,
    StoreError,
    TrainingError,
    UnknownNameError,
)
from unravelnet.mathematics.intervals import rate_interval
from unravelnet.records.record import Table, load_table
from unravelnet.training.loop import train
from unravelnet.training_plan import TrainingPlan

PRETRAINED = importlib.import_module("unravelnet.zoo.pretrained")
NAME = "preact-resnet8-digits"
PLAN = TrainingPlan(epochs=2, schedule="one-cycle", batch_size=32)


def trained_with(plan, out):
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=plan.seed)
    train(net, load("digits", "train", limit=64), plan=plan, validation=load("digits", limit=50), out=out)
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained_with(PLAN, tmp_path_factory.mktemp("runs") / "net")


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(PRETRAINED, "SHIPPED_DIRECTORY", tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture
def copy(run, tmp_path):
    """A run that may be changed."""
    return shutil.copytree(run, tmp_path / "copy")


def change(path, **values):
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        *outer, inner = name.split("__")
        place = content
        for key in outer:
            place = place[key]
        place[inner] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def wrong_by_hand(net, data):
    images, labels = data.batch(torch.arange(len(data)))
    with torch.no_grad():
        return int((net(images).argmax(1) != labels).sum())


# -- add --


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The same training, of which weights were kept on its way."""
    return trained_with(replace(PLAN, keep_epochs="0,1"), tmp_path_factory.mktemp("runs") / "kept")


def tables_in(directory):
    return {path.stem: load_table(path) for path in directory.glob("*.csv") if path.stem != "history"}


def test_checkpoints_are_shipped_as_tables(kept, shipped):
    place = add(kept, NAME, "digits")
    # The API that anybody would use, on the weights at full precision.
    assert tables_in(place) == over_training(kept, load("digits", "train")).by_study()
    assert not (place / "epochs").exists()
    card = (place / "card.md").read_text()
    assert "path length after the epochs 0, 1 and 2" in card
    assert "The weights were those of this training." in card


def test_a_repeated_training_brings_the_tables_later(run, kept, shipped):
    place = add(run, NAME, "digits")
    assert not tables_in(place)
    assert "Checkpoints" not in (place / "card.md").read_text()
    before = zoo.read_description(place).facts
    assert main(["checkpoints", str(kept), NAME, "--data", "digits"]) == 0
    assert tables_in(place) == over_training(kept, load("digits", "train")).by_study()
    facts = zoo.read_description(place).facts
    # One seed and one thread: the same weights come out again.
    assert facts["checkpoints"].pop("has_stored_weights")
    assert facts.pop("checkpoints")["epochs"] == [0, 1, 2]
    assert facts == before
    card = (place / "card.md").read_text()
    assert "For that the training was repeated" in card
    assert "It ended with the weights that are stored here." in card


def test_other_weights_of_a_repeated_training_are_admitted(run, kept, shipped, tmp_path):
    place = add(run, NAME, "digits")
    other = shutil.copytree(kept, tmp_path / "other")
    weights = load_file(other / "weights.safetensors")
    save_file({name: 1.5 * tensor for name, tensor in weights.items()}, other / "weights.safetensors")
    record_checkpoints(other, NAME, "digits")
    error = load_table(kept / "history.csv")[-1]["test_error_rate"]
    text = f"other weights than those that are stored here, and with a test error of {100 * error:.2f} %"
    assert text in (place / "card.md").read_text()


def test_checkpoints_of_another_training_are_refused(run, shipped, tmp_path):
    add(run, NAME, "digits")
    other = trained_with(replace(PLAN, keep_epochs="0", weight_decay=0.0), tmp_path / "other")
    with pytest.raises(
        TrainingError, match=r"--weight-decay 0\.0 .*differs in the epochs that are kept alone"
    ):
        record_checkpoints(other, NAME, "digits")


def test_what_is_added_was_measured_as_it_is_stored(run, shipped):
    assert add(run, NAME, "digits") == shipped / NAME
    assert {path.name for path in (shipped / NAME).iterdir()} == {
        "weights.safetensors",
        "network.json",
        "history.csv",
        "card.md",
    }
    test = load("digits")
    net, facts = zoo.pretrained(NAME), zoo.read_description(shipped / NAME).facts
    assert facts["test"]["wrong"] == wrong_by_hand(net, test)
    assert facts["test_at_full_precision"]["wrong"] == wrong_by_hand(zoo.load(run), test)
    assert facts["test"]["n_images"] == len(test) == 450
    assert facts["test"]["error_rate"] == facts["test"]["wrong"] / 450
    assert zoo.pretrained_for(test.fingerprint()) == [NAME]
    rounded = {
        name: tensor.half().float() if tensor.dim() >= 2 else tensor
        for name, tensor in zoo.load(run).state_dict().items()
    }
    assert all(torch.equal(tensor, rounded[name]) for name, tensor in net.state_dict().items())


def test_facts_are_those_of_the_run(run, shipped):
    add(run, NAME, "digits")
    before, after = zoo.read_description(run), zoo.read_description(shipped / NAME)
    assert (after.mean, after.std, after.classes) == (before.mean, before.std, before.classes)
    history = load_table(run / "history.csv")
    assert load_table(shipped / NAME / "history.csv") == history
    facts, ran = after.facts, json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert facts["training"] == before.facts["training"]
    assert (facts["group"], facts["seed"], facts["commit"]) == (NAME, 0, ran["commit"])
    assert facts["seconds"] == pytest.approx(sum(row["seconds"] for row in history))
    # As many images as there were, over the time that they took.
    took = sum(64 / row["images_per_second"] for row in history)
    assert facts["images_per_second"] == pytest.approx(2 * 64 / took)
    assert facts["versions"]["torch"] == ran["packages"]["torch"]


def test_the_card_says_it_all(run, shipped):
    add(run, NAME, "digits")
    facts = zoo.read_description(shipped / NAME).facts
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    low, high = rate_interval(facts["test"]["wrong"], 450)
    n_bytes = (shipped / NAME / "weights.safetensors").stat().st_size
    # Stem, a module in each stage (normalisation and convolution, twice; projection), head.
    modules = (32 + 2304 + 32 + 2304, 32 + 4608 + 64 + 9216 + 512, 64 + 18432 + 128 + 36864 + 2048)
    n_parameters = 144 + sum(modules) + 128 + 650
    for text in (
        "\nunravelnet train preact-resnet8 --data digits --epochs 2 --batch-size 32 --schedule one-cycle "
        "--precision float32 --out runs/",
        f"**{100 * facts['test']['error_rate']:.2f} %** of 450 test images",
        f"the 95 % interval (Wilson) is {100 * low:.2f} % to {100 * high:.2f} %",
        f"3 residual modules, {n_parameters:,} parameters",
        f"{n_bytes:,} bytes",
        "storing changed the error by +0.00 points",
        "| 2 | ",
        "MIT licence",
    ):
        assert text in card, text
    assert card.count("\n|---") == 2
    assert "survival" not in card


def test_the_card_admits_code_that_was_not_committed(copy, shipped):
    change(copy / "run.json", commit="abc123", has_uncommitted_changes=True)
    add(copy, NAME, "digits")
    assert (
        "commit abc123, as found when the training was last started, with changes that were not committed"
        in (shipped / NAME / "card.md").read_text(encoding="utf-8")
    )


def test_a_long_history_is_shown_in_twelve_rows(copy, shipped):
    lines = (copy / "history.csv").read_text(encoding="utf-8").splitlines()
    rows = [f"{epoch},{lines[1].partition(',')[2]}" for epoch in range(1, 165)]
    (copy / "history.csv").write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    change(copy / "network.json", facts__training__epochs=164)
    add(copy, NAME, "digits")
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    shown = [
        int(line.split("|")[1]) for line in card.splitlines() if line.startswith("| ") and line[2].isdigit()
    ]
    assert len(shown) == 12
    assert (shown[0], shown[-1]) == (1, 164)
    assert {b - a for a, b in pairwise(shown)} <= {14, 15, 16}


def test_weights_that_half_precision_ruins_are_refused(copy, shipped):
    description, net = zoo.read_description(copy), zoo.load(copy)
    # Below 6e-8 float16 has only zero: logits this small predict as before, and stored ones all the same class.
    with torch.no_grad():
        for parameter in net.head.linear.parameters():
            parameter.mul_(1e-9)
    about = {
        "classes": description.classes,
        "mean": description.mean,
        "std": description.std,
        "data": "digits",
    }
    zoo.save(net, copy, facts=description.facts, **about)
    with pytest.raises(CheckpointError, match=r"of 450 test images are wrong.* more than 0.05 points apart"):
        add(copy, NAME, "digits")
    assert not shipped.exists()


def test_a_network_that_is_there_is_replaced_whole(run, shipped):
    add(run, NAME, "digits")
    (shipped / NAME / "left-over").touch()
    weights = (shipped / NAME / "weights.safetensors").read_bytes()
    add(run, NAME, "digits")
    assert (shipped / NAME / "weights.safetensors").read_bytes() == weights
    assert not (shipped / NAME / "left-over").exists()


@pytest.mark.parametrize(
    "name",
    [
        "resnet8-digits",  # another network
        "preact-resnet8",  # the name of a new network
        "preact-resnet8-digits-seed1",  # another seed
        "preact-resnet8-/../../digits",
    ],
)
def test_a_name_that_does_not_fit_is_refused(run, name):
    with pytest.raises(ModelError, match=r"with seed 0\. Give one .* such as preact-resnet8-digits\."):
        add(run, name, "digits")


def test_what_is_not_a_finished_training_of_this_data_is_refused(copy, tmp_path):
    change(copy / "network.json", mean=[0.5])
    with pytest.raises(DataError, match=r"trained on digits, whose mean is \(0\.5,\)"):
        add(copy, NAME, "digits")
    change(copy / "network.json", facts__training__epochs=3)
    with pytest.raises(CheckpointError, match="has 2 epochs, and the training 3"):
        add(copy, NAME, "digits")
    (copy / "run.json").unlink()
    change(copy / "network.json", facts__training__epochs=2)
    with pytest.raises(StoreError, match="no run has written there"):
        add(copy, NAME, "digits")
    with pytest.raises(CheckpointError, match="There is no directory"):
        add(tmp_path / "nowhere", NAME, "digits")


def test_statistics_that_differ_by_rounding_are_the_same_data(copy, shipped):
    mean = zoo.read_description(copy).mean
    change(copy / "network.json", mean=[value * (1 + 1e-9) for value in mean])
    add(copy, NAME, "digits")
    change(copy / "network.json", mean=[value * 1.001 for value in mean])
    with pytest.raises(DataError, match="whose mean is"):
        add(copy, NAME, "digits")


def test_the_machines_of_a_long_training_are_named_from_its_log(copy, shipped):
    def line(epoch, device, network=copy.name):
        about = {"torch": f"torch of {device}", "commit": "abc"}
        return json.dumps(
            {"network": network, "epoch": epoch, "device": device, "cpu": "a processor", **about}
        )

    # The second epoch was cut off on the GPU and trained again; the other network is none of ours.
    lines = [line(1, "a GPU"), line(2, "a GPU"), line(2, "cpu"), line(3, "another", network="else")]
    (copy.parent / "log.jsonl").write_text("\n".join(lines) + "\n")
    change(copy / "run.json", unravelnet=None)
    add(copy, NAME, "digits")
    facts = zoo.read_description(shipped / NAME).facts
    assert facts["hardware"] == "1 epoch on a GPU, 1 epoch on a processor"
    assert "unravelnet" not in facts["versions"]
    assert facts["epochs_logged"] == {"torch": {"torch of a GPU": 1, "torch of cpu": 1}, "commit": {"abc": 2}}
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    assert "| torch of each epoch | torch of a GPU (1 epoch), torch of cpu (1 epoch) |" in card
    assert "| commit of each epoch | abc (2 epochs) |" in card
    assert "results/long_trainings/README.md" in card
    write_table(copy.parent)
    page = (copy.parent / "docs" / "networks.md").read_text(encoding="utf-8")
    assert f"interrupted, and went on with other code or on another machine: `{NAME}`." in page


def test_epochs_that_the_log_lacks_are_admitted(copy, shipped):
    processor = json.loads((copy / "run.json").read_text(encoding="utf-8"))["cpu"]
    line = {
        "network": copy.name,
        "epoch": 1,
        "device": "cpu",
        "cpu": processor,
        "torch": "2",
        "commit": "abc",
    }
    (copy.parent / "log.jsonl").write_text(json.dumps(line) + "\n")
    add(copy, NAME, "digits")
    hardware = zoo.read_description(shipped / NAME).facts["hardware"]
    assert hardware == f"1 epoch on {processor}, 1 epoch not recorded"
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    assert "| commit of each epoch | abc (1 epoch), 1 epoch not recorded |" in card


def test_a_run_in_half_precision_is_not_compared_with_itself(copy, shipped):
    add(copy, NAME, "digits")
    assert zoo.read_description(shipped / NAME).facts["is_run_in_half_precision"] is False
    weights = load_file(copy / "weights.safetensors")
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    save_file(half, copy / "weights.safetensors")
    add(copy, NAME, "digits")
    facts = zoo.read_description(shipped / NAME).facts
    assert (facts["is_run_in_half_precision"], facts["test_at_full_precision"]) == (True, None)
    assert facts["test"]["wrong"] == wrong_by_hand(zoo.pretrained(NAME), load("digits"))
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    assert "kept in half precision only, so what storing changed is not known." in card
    assert "all others as they were" not in card
    assert "storing changed the error" not in card
    # Measured later, from the weights of the training: one image of 450 is 0.22 points.
    wrong = facts["test"]["wrong"] - 1
    full = {"error_rate": wrong / 450, "wrong": wrong, "n_images": 450, "loss": 1.0}
    change(shipped / NAME / "network.json", facts__test_at_full_precision=full)
    told = make_card(NAME, shipped / NAME)
    assert f"With the weights of the training {wrong} images are wrong" in told
    assert "storing changed the error by +0.22 points" in told
    assert "all others as they were" not in told


def test_the_device_of_a_training_is_named(copy, shipped):
    change(copy / "run.json", device="a GPU", cpu="a processor")
    add(copy, NAME, "digits")
    hardware = zoo.read_description(shipped / NAME).facts["hardware"]
    assert hardware.startswith("a GPU, beside a processor, ")


@pytest.fixture
def others(tmp_path):
    """A table with one row, which may be changed: the path, and a function that writes it anew."""

    def write(*changes):
        row: dict[str, Any] = {
            "zoo_name": "preact-resnet8",
            "routes": "all",
            "start": "",
            "epochs": 1,
            "image_sizes": "",
            "seed": 0,
            "test_error_rate": 0.75,
            "n_images": 450,
            "precision": "bfloat16",
            "minutes": 0.5,
            "command": "unravelnet train preact-resnet8 --data digits --epochs 1",
        }
        Table([{**row, **change} for change in changes]).save(tmp_path / "others.csv")
        return tmp_path / "others.csv"

    return write


def test_a_network_that_is_replaced_stays_as_a_number(run, shipped, tmp_path, others):
    of_other_data = {"command": "unravelnet train preact-resnet8 --data others --epochs 1"}
    table = others({}, of_other_data, {"zoo_name": "plain8"}, {"routes": "exactly:1"}, {"seed": 1})
    add(run, NAME, "digits", others=table)
    first = zoo.read_description(shipped / NAME).facts
    [named] = first["other_trainings"]
    assert (named["epochs"], named["error_rate"], named["seconds"]) == (1, 0.75, 30)
    longer = trained_with(replace(PLAN, epochs=3), tmp_path / "longer")
    for _ in range(2):  # the second time it takes its own place
        add(longer, NAME, "digits", others=table)
        facts = zoo.read_description(shipped / NAME).facts
        told = [(row["epochs"], row["error_rate"]) for row in facts["other_trainings"]]
        assert told == [(1, 0.75), (2, first["test"]["error_rate"])]
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    error = f"{100 * first['test']['error_rate']:.2f}"
    lengths = "After whole trainings of other lengths the error was, in"
    assert f"{lengths} bfloat16: 1 epoch 75.00 %." in card
    assert f"{lengths} float32: 2 epochs {error} %." in card


def test_a_training_is_no_other_training_than_itself(run, shipped, others):
    add(run, NAME, "digits", others=others({}, {"epochs": 2}))
    assert [row["epochs"] for row in zoo.read_description(shipped / NAME).facts["other_trainings"]] == [1]


def test_a_row_that_was_corrected_is_listed_once(run, shipped, others):
    add(run, NAME, "digits", others=others({}))
    add(run, NAME, "digits", others=others({"minutes": 0.25, "test_error_rate": 0.5}))
    [row] = zoo.read_description(shipped / NAME).facts["other_trainings"]
    assert (row["seconds"], row["error_rate"]) == (15, 0.5)


def test_other_image_sizes_are_told_apart_from_other_lengths(run, shipped, others):
    add(run, NAME, "digits", others=others({}, {"image_sizes": "4,8", "test_error_rate": 0.5}))
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    assert "After whole trainings of other lengths the error was, in bfloat16: 1 epoch 75.00 %." in card
    assert (
        "After whole trainings with images of 4,8 pixels the error was, in bfloat16: 1 epoch 50.00 %." in card
    )


def test_the_table_counts_trainings_that_are_not_shipped(run, shipped, others, tmp_path):
    add(run, NAME, "digits")
    write_table(tmp_path)
    page = tmp_path / "docs" / "networks.md"
    assert "not shipped" not in page.read_text(encoding="utf-8")
    others({}, {"epochs": 3}, {"epochs": 4}).rename(tmp_path / "results" / "other_trainings.csv")
    write_table(tmp_path)
    assert " has 3 whole trainings that are not shipped." in page.read_text(encoding="utf-8")
    assert "interrupted" not in page.read_text(encoding="utf-8")


def test_variants_of_the_routes_are_named_apart(run, shipped, tmp_path, others):
    table = others(
        {"routes": "exactly:2,keep=downsampling", "test_error_rate": 0.25},
        {"routes": "exactly:2", "start": "zoo:preact-resnet8-x", "test_error_rate": 0.5},
    )
    part = trained_with(replace(PLAN, routes="exactly:2"), tmp_path / "part")
    add(part, NAME, "digits", others=table)
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    assert (
        "After whole trainings on `exactly:2,keep=downsampling` the error was, in bfloat16: 1 epoch 25.00 %."
        in card
    )
    start = "After training on `exactly:2` from the weights of `zoo:preact-resnet8-x`"
    assert f"{start} the error was, in bfloat16: 1 epoch 50.00 %." in card


def test_the_card_shows_tested_epochs(copy, shipped):
    lines = (copy / "history.csv").read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    place = lines[0].split(",").index("test_error_rate")
    rows = []
    for epoch in range(1, 101):
        error = cells[place] if epoch % 10 == 0 else "NaN"
        rows.append(",".join([str(epoch), *cells[1:place], error, *cells[place + 1 :]]))
    (copy / "history.csv").write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    change(copy / "network.json", facts__training__epochs=100)
    add(copy, NAME, "digits")
    card = (shipped / NAME / "card.md").read_text(encoding="utf-8")
    shown = [
        line.split("|")[1].strip()
        for line in card.splitlines()
        if line.startswith("| ") and line[2].isdigit()
    ]
    assert shown == [str(epoch) for epoch in range(10, 101, 10)]


# -- the command --


def description_of(plan, **options):
    made = {**zoo.recipe_of(zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)).options, **options}
    classes = tuple("abcdefghij")
    return zoo.Description(
        "preact-resnet8", made, (1.0,) * 3, classes, data="digits", facts={"training": asdict(plan)}
    )


def parsed(command):
    program, name, *words = shlex.split(command)
    assert (program, name) == ("unravelnet", "train")
    commands: Any = typer.main.get_command(app)
    return commands.commands["train"].make_context("train", words).params


@pytest.mark.parametrize(
    "plan",
    [
        TrainingPlan(),
        TrainingPlan(learning_rate=0.1),
        TrainingPlan(learning_rate=0.2, epochs=30, batch_size=64, schedule="one-cycle", weight_decay=5e-4),
        TrainingPlan(
            routes="stochastic-depth:0.5", augment=False, precision="bfloat16", momentum=0.0, seed=2
        ),
        TrainingPlan(routes="exactly:23,keep=downsampling", start="zoo:preact-resnet110-cifar10"),
        TrainingPlan(
            image_sizes="16,24,32", label_smoothing=0.1, device="cpu", keep_epochs="0,2", weight_decay=1e-5
        ),
    ],
)
def test_the_command_gives_the_plan_back(plan):
    given = parsed(training_command(description_of(plan), "some name"))
    assert (given["network"], given["data"], str(given["out"])) == (
        "preact-resnet8",
        "digits",
        "runs/some name",
    )
    again = TrainingPlan().changed({name: value for name, value in given.items() if name in asdict(plan)})
    assert replace(again, learning_rate=again.peak_learning_rate) == replace(
        plan, learning_rate=plan.peak_learning_rate
    )


def test_defaults_are_not_written_out():
    command = training_command(description_of(TrainingPlan(learning_rate=0.1)), "x")
    assert command == "unravelnet train preact-resnet8 --data digits --out runs/x"


@pytest.mark.parametrize(("setting", "value"), [("pad", 2), ("warmup_iterations", 7), ("flip", False)])
def test_a_setting_without_option_is_refused(setting, value):
    description = description_of(replace(TrainingPlan(), **{setting: value}))
    with pytest.raises(
        TrainingError, match=f"{setting} is {value}, which `unravelnet train` has no option for"
    ):
        training_command(description, "x")


def test_a_network_that_the_command_does_not_make_is_refused():
    with pytest.raises(
        TrainingError, match="shortcut of preact-resnet8 is A, and `unravelnet train` makes it with B"
    ):
        training_command(description_of(TrainingPlan(), shortcut="A"), "x")
    with pytest.raises(TrainingError, match=r"n_classes of preact-resnet8 is 7, .* with 10"):
        training_command(description_of(TrainingPlan(), n_classes=7), "x")


def test_a_training_that_is_not_known_is_refused():
    description = description_of(TrainingPlan())
    with pytest.raises(TrainingError, match="does not say how it was trained"):
        training_command(replace(description, facts={}), "x")
    with pytest.raises(UnknownNameError, match="no training setting 'colour'"):
        training_command(replace(description, facts={"training": {"colour": 1}}), "x")


# -- the table --


@pytest.fixture
def two_seeds(run, tmp_path):
    other = trained_with(replace(PLAN, seed=1), tmp_path / "other")
    add(run, NAME, "digits")
    add(other, f"{NAME}-seed1", "digits")


def test_the_table_has_a_row_a_network_and_a_line_a_recipe(two_seeds, shipped, tmp_path):
    write_table(tmp_path)
    table = load_table(tmp_path / "results" / "networks.csv")
    assert [(row["name"], row["seed"], row["group"]) for row in table] == [
        (NAME, 0, NAME),
        (f"{NAME}-seed1", 1, NAME),
    ]
    a, b = (row["error_rate"] for row in table)
    assert table[0]["low"] < a < table[0]["high"]
    assert table[1]["bytes"] == sum(path.stat().st_size for path in (shipped / f"{NAME}-seed1").iterdir())
    page = (tmp_path / "docs" / "networks.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(lines) == 1
    # The standard deviation of two values is their distance over the square root of two.
    assert (
        f"| {50 * (a + b):.2f} ± {100 * abs(a - b) / 2**0.5:.2f} % | 2 | {100 * a:.2f} %, {100 * b:.2f} % |"
        in lines[0]
    )
    assert f'zoo.pretrained("{NAME}")' in page


def test_from_three_seeds_on_a_further_training_has_its_interval(two_seeds, shipped, run, tmp_path):
    third = trained_with(replace(PLAN, seed=2), tmp_path / "third")
    add(third, f"{NAME}-seed2", "digits")
    for seed, wrong in enumerate((40, 45, 50)):
        name = NAME if seed == 0 else f"{NAME}-seed{seed}"
        change(shipped / name / "network.json", facts__test__error_rate=wrong / 500)
    write_table(tmp_path)
    page = (tmp_path / "docs" / "networks.md").read_text(encoding="utf-8")
    # 8, 9 and 10 %: a standard deviation of 1, times 4.303 (Student's t, 2 degrees of freedom) and the root of 4/3.
    assert "| 8.00 %, 9.00 %, 10.00 % | 4.03 % to 13.97 % |" in page


def test_seeds_of_different_recipes_are_refused(two_seeds, shipped, tmp_path):
    change(shipped / f"{NAME}-seed1" / "network.json", facts__training__weight_decay=0.5)
    with pytest.raises(ModelError, match="not of one recipe: they differ in weight_decay"):
        write_table(tmp_path)
    assert not (tmp_path / "results").exists()


def test_networks_that_are_too_large_together_are_refused(run, shipped, tmp_path):
    add(run, NAME, "digits")
    with (shipped / NAME / "history.csv").open("ab") as file:
        file.truncate(41_000_000)  # a hole, which takes no space on disk
    with pytest.raises(ModelError, match=r"take 41\.\d MB together, and may take 40 MB"):
        write_table(tmp_path)


def test_the_command_line_says_what_went_wrong(run, capsys):
    assert main(["add", str(run), NAME, "--data", "digits", "--precision", "bfloat16"]) == 0
    assert zoo.read_description(zoo.pretrained_directory(NAME)).facts["test"]["precision"] == "bfloat16"
    assert main(["add", str(run), "resnet8", "--data", "digits"]) == 2
    assert "shipping: resnet8 is no name for preact-resnet8" in capsys.readouterr().err
