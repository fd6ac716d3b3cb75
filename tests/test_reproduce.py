"""The whole run: complete, the same whatever kills it in between, and never done twice."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch

import unravelnet
from tests.forked import forked, was_killed
from tests.reporting.pages import without_drawings
from unravelnet import studies, zoo
from unravelnet.data import ImageData, load
from unravelnet.errors import DataError, RouteError, StoreError, TrainingError, UnknownNameError
from unravelnet.measuring.evaluation import evaluate
from unravelnet.records.record import load_table
from unravelnet.reproduction import NetworkPlan, RunProgress, reproduce
from unravelnet.reproduction import clock as clocks
from unravelnet.reproduction.choice import choose_networks
from unravelnet.reproduction.clock import Clock
from unravelnet.reproduction.plan import NETWORKS
from unravelnet.reproduction.settings import settle

MEASURED = (
    "path_gradients_exact",
    "path_gradients_rms",
    "path_gradients_sampled",
    "effective_depths",
    "module_measures",
    "layer_responses",
    "ensemble",
)
SMALL = (
    NetworkPlan(
        "resnet",
        "ResNet-14",
        "resnet",
        "preact-resnet14",
        measurements=(*MEASURED, "over_training"),
    ),
    NetworkPlan(
        "stochastic-depth", "ResNet-14 SD", "stochastic-depth", "preact-resnet14", "stochastic-depth:0.5"
    ),
    NetworkPlan(
        "vgg", "Plain-8", "vgg", "plain8", studies=("delete_each",), measurements=("layer_responses",)
    ),
)
OPTIONS = {"quick": True, "epochs": 2, "images": 300, "repeats": 6, "seed": 3}


def run_small(directory: Path) -> None:
    torch.set_num_threads(1)
    reproduce("digits", directory, networks=SMALL, **OPTIONS)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module", autouse=True)
def _drawings_elsewhere():
    # Those of a run are drawn for tests/test_reproduce_shipped.py.
    with without_drawings():
        yield


@pytest.fixture
def _no_report(monkeypatch):
    # It is made from the tables, and takes as long as they do.
    monkeypatch.setattr("unravelnet.reproduction.report", lambda directory: directory / "report.html")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("unbroken")
    began = time.perf_counter()
    reproduce("digits", directory, networks=SMALL, **OPTIONS)
    (directory / "clock").write_text(str(time.perf_counter() - began))
    return directory


def tables_of(directory: Path) -> dict[str, list[dict[str, object]]]:
    """All tables by their path, without the columns that tell the time."""
    clock_columns = {"seconds", "images_per_second"}
    return {
        str(path.relative_to(directory)): [
            {name: value for name, value in row.items() if name not in clock_columns}
            for row in load_table(path)
        ]
        for path in sorted((directory / "tables").glob("*/*.csv"))
    }


# -- what it leaves --


def test_everything_is_there(unbroken):
    residual = ["delete_each", "delete_many", "history", "remove_skip_each", "reorder", *MEASURED]
    dynamics = ["over_training", "spectra_over_training", "normalisation_scales"]
    assert list(tables_of(unbroken)) == [
        *(f"tables/resnet/{study}.csv" for study in sorted([*residual, *dynamics])),
        *(f"tables/stochastic-depth/{study}.csv" for study in sorted(residual)),
        *(f"tables/vgg/{study}.csv" for study in ("delete_each", "history", "layer_responses")),
    ]
    for name in (
        "report.html",
        "run.json",
        "networks.json",
        "results.sqlite",
        "networks/vgg/weights.safetensors",
    ):
        assert (unbroken / name).stat().st_size


def test_the_tables_are_those_of_the_saved_networks(unbroken):
    # Slow reference: load each network from its directory and measure again, without a store.
    for network in SMALL:
        net = zoo.load(unbroken / "networks" / network.name)
        table = evaluate(
            net, studies.delete_each(net), load("digits"), metrics=("error_rate", "loss"), limit=300, seed=3
        )
        assert load_table(unbroken / "tables" / network.name / "delete_each.csv") == table


def test_gradients_are_those_of_training_images_in_the_saved_network(unbroken):
    net = zoo.load(unbroken / "networks" / "resnet")
    table = load_table(unbroken / "tables" / "resnet" / "path_gradients_exact.csv")
    images = load("digits", "train").subset(16, seed=3)
    inputs, targets = images.batch(torch.arange(16))
    x = start = net.stem(inputs).detach().requires_grad_()
    for module in net.residual_modules:
        x = module(x)
    torch.nn.functional.cross_entropy(net.head(x), targets, reduction="sum").backward()
    expected = start.grad.flatten(1).norm(dim=1).mean().item()
    assert table[0]["gradient_norm"] == pytest.approx(expected, rel=1e-4)


def test_the_weights_of_early_epochs_are_measured_too(unbroken):
    rows = load_table(unbroken / "tables" / "resnet" / "over_training.csv")
    assert [row["epoch"] for row in rows] == [0, 1, 2]


def test_the_last_error_of_the_history_is_that_of_the_network(unbroken):
    for network in SMALL:
        history = load_table(unbroken / "tables" / network.name / "history.csv")
        net = zoo.load(unbroken / "networks" / network.name)
        assert history[1]["test_error_rate"] == evaluate(net, [net.full_route], "digits")[0]["error_rate"]
        assert len(history) == 2


def test_networks_are_described(unbroken):
    resnet, stochastic, vgg = json.loads((unbroken / "networks.json").read_text())
    assert (resnet["n_modules"], resnet["downsampling"], resnet["n_classes"]) == (6, [2, 4], 10)
    assert (stochastic["role"], stochastic["epochs"]) == ("stochastic-depth", 2)
    # 6n weight layers between stem and head, two of which halve the map.
    assert (vgg["n_modules"], vgg["downsampling"]) == (6, [2, 4])
    # Where the map is halved the shortcut is a convolution.
    assert resnet["structure"] == "4 identity skips, 2 projecting skips; BatchNorm2d"
    assert vgg["structure"] == "6 without a skip; BatchNorm2d"


def test_how_long_it_took_is_written_down(unbroken):
    whole = float((unbroken / "clock").read_text())
    # But for the report, which shows it, and which may take as long on a busy machine.
    assert 0 < json.loads((unbroken / "run.json").read_text())["seconds"] <= whole


def test_draws_are_as_many_as_asked_for(unbroken):
    rows = load_table(unbroken / "tables" / "resnet" / "delete_many.csv")
    # Six modules: of the counts only 1, 2, 3 and 5 exist.
    assert sorted({row["n_deleted"] for row in rows}) == [0, 1, 2, 3, 5]
    assert len(rows) == 1 + 4 * 6


# -- doing it again --


def test_a_second_call_measures_and_trains_nothing(unbroken, monkeypatch):
    before = tables_of(unbroken)
    page = (unbroken / "report.html").read_text()

    def never(*args, **kwargs):
        raise AssertionError("done twice")

    monkeypatch.setattr("unravelnet.training.loop.Training.run_epoch", never)
    monkeypatch.setattr("unravelnet.measuring.evaluation.walk", never)
    reproduce("digits", unbroken, networks=SMALL, **OPTIONS)
    assert tables_of(unbroken) == before
    assert (unbroken / "report.html").read_text() == page


@pytest.mark.usefixtures("_no_report")
def test_what_is_left_out_is_as_before(unbroken, monkeypatch):
    monkeypatch.setattr("unravelnet.measuring.evaluation.walk", None)
    path = reproduce("digits", unbroken, networks=SMALL, seed=3)
    assert path == unbroken / "report.html"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 3}, "another setting of epochs: 2 there and 3 here"),
        ({"seed": 4}, "another setting of seed: 3 there and 4 here"),
        ({"repeats": 7}, "another setting of repeats"),
        ({"images": 10}, "another setting of images"),
        ({"precision": "bfloat16"}, "another setting of precision"),
        ({"networks": SMALL[:1]}, "another setting of networks"),
    ],
)
def test_other_settings_in_the_same_directory_are_refused(unbroken, change, message):
    before = tables_of(unbroken)
    with pytest.raises(StoreError, match=f"holds a reproduction with {message}"):
        reproduce("digits", unbroken, **{"networks": SMALL, **OPTIONS, **change})
    assert tables_of(unbroken) == before


def test_other_data_in_the_same_directory_is_refused(unbroken, monkeypatch):
    def other(specification, split):
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (400, 1, 8, 8), generator=generator, dtype=torch.uint8)
        return ImageData.of(pixels, torch.arange(400) % 10, name=specification)

    monkeypatch.setattr("unravelnet.reproduction.load", other)
    with pytest.raises(StoreError, match="another setting of data: 'digits' there and 'noise' here"):
        reproduce("noise", unbroken, networks=SMALL, **OPTIONS)


def test_a_directory_of_another_run_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"lesion": "zoo:resnet20"}')
    with pytest.raises(StoreError, match="holds another kind of run"):
        reproduce("digits", tmp_path, networks=SMALL, **OPTIONS)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": 451}, DataError, "ask for 1 to 450"),
        ({"images": 0}, DataError, "ask for 1 to 450"),
        ({"repeats": 0}, RouteError, "repeats of 1 or more"),
        ({"epochs": 0}, TrainingError, "epochs is 0"),
        ({"precision": "float16"}, UnknownNameError, "precision 'float16'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        reproduce("digits", tmp_path / "run", **{"networks": SMALL, **OPTIONS, **change})
    assert not (tmp_path / "run").exists()


# -- killed in the middle --


def trials_in(directory: Path) -> int:
    store = directory / "results.sqlite"
    if not store.exists():
        return 0
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("select count(*) from trials").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def kill_once(directory: Path, is_time: Callable[[], bool]) -> None:
    """Run until it is time, then kill the process without a warning."""
    until = time.monotonic() + 120
    with forked(run_small, directory) as process:
        while not is_time():
            assert process.is_alive()
            assert time.monotonic() < until
            time.sleep(0.005)
    assert was_killed(process)


@pytest.mark.usefixtures("_no_report")
@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_tables(tmp_path, unbroken):
    first = tmp_path / "networks" / "resnet"
    # In the middle of a training; in the middle of a study; while the next network is trained.
    kill_once(tmp_path, lambda: any(first.glob("checkpoint/state-0001*")))
    assert not (first / "network.json").exists()
    kill_once(tmp_path, lambda: trials_in(tmp_path) > 10)
    assert len(tables_of(tmp_path)) < 12
    kill_once(tmp_path, lambda: (tmp_path / "networks" / "stochastic-depth").exists())
    reproduce("digits", tmp_path, networks=SMALL, **OPTIONS)
    assert tables_of(tmp_path) == tables_of(unbroken)
    assert trials_in(tmp_path) == trials_in(unbroken)


# -- plan --


def test_the_networks_are_those_of_the_paper():
    resnet, stochastic, vgg = (zoo.create(network.zoo_name, seed=0) for network in NETWORKS)
    assert len(resnet.residual_modules) == len(stochastic.residual_modules) == 54
    assert len(vgg.residual_modules) + 2 == 15
    assert sum(parameter.numel() for parameter in resnet.parameters()) == 1_730_522


def test_small_images_have_networks_that_start_at_their_skips(tmp_path):
    for side, expected in ((8, [True, True, False]), (32, [False, False, False])):
        found = choose_networks(tmp_path, images(100, side), epochs=3).networks
        assert [network.zero_init_residual for network in found] == expected
        assert [network.zoo_name for network in found] == [network.zoo_name for network in NETWORKS]


@pytest.mark.usefixtures("_no_report")
def test_the_plan_of_a_network_reaches_its_weights_and_its_training(tmp_path):
    plan = NetworkPlan(
        *("resnet", "ResNet-14", "resnet", "preact-resnet14"),
        studies=(),
        measurements=(),
        learning_rate=1e-9,
        zero_init_residual=True,
    )
    reproduce("digits", tmp_path, epochs=1, networks=[plan])
    net = zoo.load(tmp_path / "networks" / "resnet")
    # At such a rate the branches are still as they began: at zero.
    assert all(module.branch.conv2.weight.abs().max() < 1e-6 for module in net.residual_modules)
    assert net.stem.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.2)


def images(n, side) -> ImageData:
    return ImageData.of(torch.zeros(n, 3, side, side, dtype=torch.uint8), torch.arange(n) % 10, name="blank")


@pytest.mark.parametrize(
    ("n", "side", "given", "expected"),
    [
        (450, 8, {}, (8, 200, 100)),
        (450, 8, {"images": 450}, (8, 450, 225)),
        (3000, 32, {}, (30, 2000, 250)),
        (100, 32, {}, (30, 100, 100)),
        (3000, 32, {"images": 2800, "epochs": 2}, (2, 2800, 350)),
    ],
)
def test_defaults_follow_the_size_of_the_images(tmp_path, n, side, given, expected):
    data = images(n, side)
    settings = settle(tmp_path / "none", data, data, given, seed=0, networks=NETWORKS)
    assert (settings.epochs, settings.images, settings.draw_images) == expected


def test_passes_are_counted_as_the_engine_runs_them(monkeypatch):
    net = zoo.preact_resnet(20, input_shape=(1, 8, 8), seed=0)
    assert studies.n_passes(studies.delete_each(net)) == (9 + 1) / 2
    # Slow reference: count the calls of every branch while the engine works.
    trials = studies.delete_many(net, [2, 4], repeats=5, seed=0)
    calls = []
    original = unravelnet.ResidualModule.take_branch

    def counted(*args):
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(unravelnet.ResidualModule, "take_branch", counted)
    evaluate(net, trials, "digits", limit=10)
    assert studies.n_passes(trials) == len(calls) / 9


# -- the clock --


def test_the_clock_counts_only_work_that_is_done(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: now[0])
    heard: list[RunProgress] = []
    clock = Clock([("first", 60.0), ("second", 30.0), ("third", 10.0)], heard.append)
    clock.begin("first")  # was finished by an earlier run: nothing is noted
    clock.begin("second")
    # Nothing is measured yet, so what is left takes what it is expected to.
    assert heard[-1].share == 0.6
    assert heard[-1].seconds_left == pytest.approx(40)
    clock.advance(0.5)  # goes on from its middle
    now[0] = 5.0
    clock.advance(0.75)
    # 7.5 seconds of work took 5; of the run 2 % count as if they had taken what was expected; 7.5 + 10 are left.
    assert heard[-1].seconds_left == pytest.approx(17.5 * (2 + 5) / (2 + 7.5))
    assert heard[-1].share == pytest.approx((60 + 22.5) / 100)
    assert (heard[-1].number, heard[-1].n_parts, heard[-1].part_share) == (2, 3, 0.75)


def test_what_is_left_is_said_at_once_and_then_measured(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: now[0])
    heard: list[RunProgress] = []
    clock = Clock([("only", 100.0)], heard.append)
    clock.begin("only")
    assert heard[-1].seconds_left == 100.0
    # Three times as slow as expected: after a half as much is left as has gone by.
    for percent in range(51):
        now[0] = 3.0 * percent
        clock.advance(percent / 100)
    assert heard[-1].seconds_left == pytest.approx(150, rel=0.03)


@pytest.mark.usefixtures("_no_report")
def test_progress_of_a_run_rises_to_the_end(tmp_path):
    heard: list[RunProgress] = []
    reproduce(
        *("digits", tmp_path),
        **{**OPTIONS, "epochs": 1, "images": 50, "repeats": 1},
        networks=SMALL[:1],
        on_progress=heard.append,
    )
    shares = [progress.share for progress in heard]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert heard[0].seconds_left > 0
    parts = [f"ResNet-14: {part}" for part in ("training", "delete each", "delete many", "reorder")]
    measured = [f"ResNet-14: {name.replace('_', ' ')}" for name in (*MEASURED, "over_training")]
    last = ["ResNet-14: remove skip each", *measured, "report"]
    assert list(dict.fromkeys(progress.part for progress in heard)) == [*parts, *last]
    assert "images/s" in next(progress.detail for progress in heard if progress.detail)
