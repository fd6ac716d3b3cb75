"""A run from shipped networks: nothing is trained, all seeds are tested, and it goes on like any other."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests import shipped_networks
from tests.shipped_networks import shipped_place
from unravelnet import ResidualModule, UnraveledNetwork, studies, zoo
from unravelnet.data import load
from unravelnet.errors import CostError, StoreError, TrainingError
from unravelnet.mathematics.intervals import rate_interval
from unravelnet.measuring.evaluation import evaluate
from unravelnet.records.record import load_table
from unravelnet.reproduction import SHIPPED_NETWORKS, NetworkPlan, RunProgress, reproduce
from unravelnet.reproduction.at_test_time import N_ROUTES, branches_scaled, with_statistics_of
from unravelnet.reproduction.choice import choose_networks
from unravelnet.reproduction.plan import SMALL_NETWORKS
from unravelnet.reproduction.settings import settle
from unravelnet.reproduction.trained_networks import ShippedNetwork
from unravelnet.routes.route import Route
from unravelnet.routes.sampler import Exactly, StochasticDepth

__all__ = ["shipped_place"]

PLANS = shipped_networks.PLANS
SHIPPED = Path(zoo.__file__).parent / "shipped"
OPTIONS = {"networks": PLANS, "repeats": 3, "seed": 3}
COLUMNS = (
    *("group", "network_name", "zoo_name", "routes", "start", "training_seed", "n_modules", "n_parameters"),
    *("test_time", "is_as_trained", "n_routes", "error_rate", "error_rate_low", "error_rate_high", "wrong"),
    *(
        "n_images",
        "loss",
        "train_error_rate",
        "train_loss",
        "epochs",
        "image_sizes",
        "peak_learning_rate",
        "weight_decay",
        "label_smoothing",
        "batch_size",
        "training_seconds",
        "training_hardware",
    ),
    *("data_name", "precision", "fit_error_rate", "n_fit_images", "training_macs"),
)

WAYS = ("unscaled", "unscaled, re-estimated", "scaled", "scaled, re-estimated", "random routes")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module", autouse=True)
def place(shipped_place):
    return shipped_place


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, place) -> Path:
    directory = tmp_path_factory.mktemp("unbroken")
    reproduce("digits", directory, **OPTIONS)
    return directory


@pytest.fixture(autouse=True)
def _no_report(monkeypatch):
    # Once, for the unbroken run, is enough: it is made from the tables and takes longer than they do.
    monkeypatch.setattr("unravelnet.reproduction.report", lambda directory: directory / "report.html")


def tables_of(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory / "tables")): path.read_text()
        for path in sorted((directory / "tables").rglob("*.csv"))
    }


# -- what it leaves --


def test_every_study_is_there_and_nothing_was_trained(unbroken):
    resnet = ["delete_each", "delete_many", "ensemble", "history", "layer_responses"]
    assert list(tables_of(unbroken)) == [
        *(f"plain8/{name}.csv" for name in ("history", "layer_responses")),
        *(f"resnet/{name}.csv" for name in [*resnet, "path_gradients_exact", "remove_skip_each", "reorder"]),
        *(f"stochastic-depth/{name}.csv" for name in ("delete_each", "history", "module_measures")),
        "stochastic-depth/remove_skip_each.csv",
        "trained_networks.csv",
        "whole_trainings.csv",
    ]
    assert (unbroken / "report.html").exists()
    assert not (unbroken / "networks").exists()


def test_the_history_is_the_shipped_one(unbroken, place):
    for plan in PLANS:
        shipped = (place / plan.pretrained / "history.csv").read_bytes()
        assert (unbroken / "tables" / plan.name / "history.csv").read_bytes() == shipped


def test_what_was_measured_of_checkpoints_is_the_shipped_one(unbroken, place, tmp_path):
    shipped = place / "tiny"
    for number, study in enumerate(("over_training", "normalisation_scales")):
        (shipped / f"{study}.csv").write_text(f"epoch,decay\n{number},0.5\n")
    try:
        reproduce("digits", tmp_path, networks=[replace(PLANS[0], studies=(), measurements=())])
        assert "resnet/spectra_over_training.csv" not in tables_of(tmp_path)
        for study in ("over_training", "normalisation_scales"):
            written = (shipped / f"{study}.csv").read_text()
            assert tables_of(tmp_path)[f"resnet/{study}.csv"] == written
    finally:
        for path in (shipped / "over_training.csv", shipped / "normalisation_scales.csv"):
            path.unlink()


def test_the_tables_are_those_of_the_shipped_networks(unbroken):
    # Slow reference: load each network and measure it without a store.
    for plan in PLANS[:2]:
        net = zoo.pretrained(plan.pretrained)
        table = evaluate(
            net, studies.delete_each(net), load("digits"), metrics=("error_rate", "loss"), seed=3
        )
        assert load_table(unbroken / "tables" / plan.name / "delete_each.csv") == table


def test_networks_are_described_with_their_own_training(unbroken):
    entries = json.loads((unbroken / "networks.json").read_text())
    assert [(entry["role"], entry["epochs"], entry["pretrained"]) for entry in entries] == [
        ("resnet", 2, "tiny"),
        ("stochastic-depth", 2, "tiny-stochastic-depth"),
        ("compared", 2, "tiny-plain"),
    ]


def test_counts_are_those_of_the_plan(unbroken):
    rows = load_table(unbroken / "tables" / "resnet" / "delete_many.csv")
    assert [row["n_deleted"] for row in rows] == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    swaps = load_table(unbroken / "tables" / "resnet" / "reorder.csv")
    # Two stages have but one module that keeps its shape and its place: all swaps are within the first.
    assert len(swaps) == 1 + 2 * 3


# -- all networks and seeds --


def wrong_by_hand(name: str, scales: tuple[float, ...], split: str = "test") -> int:
    """Scale the weights themselves and count errors, without the engine."""
    net = zoo.pretrained(name)
    with torch.no_grad():
        for module, scale in zip(net.residual_modules, scales, strict=True):
            module.branch_scale = 1.0
            if module.skip is not None:
                # The last convolution of a pre-activation branch is linear and has nothing behind it.
                [*_, last] = [part for part in module.branch.modules() if isinstance(part, torch.nn.Conv2d)]
                last.weight *= scale
        data = load("digits", split)
        inputs, targets = data.batch(torch.arange(len(data)))
        return int((net(inputs).argmax(dim=1) != targets).sum())


def test_every_seed_and_variant_has_a_row_with_its_error(unbroken):
    table = load_table(unbroken / "tables" / "trained_networks.csv")
    assert table.columns == COLUMNS
    survival = (11 / 12, 10 / 12, 9 / 12, 8 / 12, 7 / 12, 6 / 12)  # p_l = 1 - l / 6 / 2
    expected = [
        ("tiny", "tiny", 0, "unscaled", True, (1.0,) * 6),
        ("tiny-exactly2", "tiny-exactly2", 0, "unscaled", False, (1.0,) * 6),
        ("tiny-exactly2", "tiny-exactly2", 0, "scaled", True, (2 / 6,) * 6),
        ("tiny-plain", "tiny-plain", 0, "unscaled", True, (1.0,) * 6),
        ("tiny", "tiny-seed1", 1, "unscaled", True, (1.0,) * 6),
        ("tiny-stochastic-depth", "tiny-stochastic-depth", 0, "unscaled", False, (1.0,) * 6),
        ("tiny-stochastic-depth", "tiny-stochastic-depth", 0, "scaled", True, survival),
    ]
    named = ("group", "network_name", "training_seed", "test_time", "is_as_trained", "wrong")
    of_factors = [row for row in table if row["test_time"] in ("unscaled", "scaled")]
    assert [tuple(row[name] for name in named) for row in of_factors] == [
        (*facts, wrong_by_hand(facts[1], scales)) for *facts, scales in expected
    ]
    fitted = [(row["network_name"], row["fit_error_rate"], row["n_fit_images"]) for row in of_factors]
    n = len(load("digits", "train"))
    assert fitted == [
        (facts[1], *((wrong_by_hand(facts[1], scales, "train") / n, n) if facts[4] else (None, None)))
        for *facts, scales in expected
    ]


def test_the_operations_of_a_training_are_those_of_its_routes():
    # Brute force: torch counts every route of two modules of six; a multiplication with its addition is two of its.
    network, data = ShippedNetwork.load("tiny-exactly2"), load("digits", "train")
    net, (inputs, _) = network.net, data.batch(torch.arange(1))
    counts = []
    for kept in itertools.combinations(range(6), 2):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(inputs, net.full_route.delete(*set(range(6)).difference(kept)))
        counts.append(counter.get_total_flops() / 2)
    assert network.training_macs(data) == pytest.approx(2 * len(data) * np.mean(counts), rel=0.02)


def test_smaller_images_cost_their_area():
    network = ShippedNetwork.load("tiny")
    smaller = replace(network, plan=network.plan.changed({"epochs": 4, "image_sizes": "4,8"}))
    data = load("digits", "train")
    # Two epochs of a quarter and two whole ones, against two.
    assert smaller.training_macs(data) == pytest.approx(1.25 * network.training_macs(data))


def test_a_network_trained_on_random_routes_is_tested_in_every_way(unbroken):
    table = load_table(unbroken / "tables" / "trained_networks.csv")
    for name in ("tiny-exactly2", "tiny-stochastic-depth"):
        rows = table.where(network_name=name)
        assert tuple(row["test_time"] for row in rows) == WAYS
        assert [row["n_routes"] for row in rows] == [1, 1, 1, 1, N_ROUTES]


def test_statistics_are_those_of_all_modules(unbroken):
    # Independent reference: mean and variance of what comes to each normalisation, over two batches of 240.
    net = zoo.pretrained("tiny-stochastic-depth")
    for module in net.residual_modules:
        module.branch_scale = 1.0
    before, images = net.fingerprint(), load("digits", "train", limit=480)
    changed = with_statistics_of(net, images)
    seen: dict[str, list[torch.Tensor]] = {}
    for name, layer in changed.named_modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            seen[name] = []
            layer.register_forward_pre_hook(lambda _, given, name=name: seen[name].append(given[0]))
    statistics = {
        name: (layer.running_mean.clone(), layer.running_var.clone())
        for name, layer in changed.named_modules()
        if name in seen
    }
    changed.train()
    with torch.no_grad():
        for batch in torch.arange(480).split(240):
            changed(images.batch(batch)[0])
    assert len(seen) > 6
    for name, batches in seen.items():
        values = [batch.transpose(0, 1).flatten(1) for batch in batches]
        mean = (values[0].mean(1) + values[1].mean(1)) / 2
        variance = (values[0].var(1) + values[1].var(1)) / 2
        torch.testing.assert_close(statistics[name], (mean, variance), rtol=1e-4, atol=1e-5)
    assert net.fingerprint() == before


@pytest.mark.parametrize("scaled", [False, True])
def test_re_estimated_statistics_count_errors_by_hand(unbroken, scaled):
    table = load_table(unbroken / "tables" / "trained_networks.csv")
    way = f"{'scaled' if scaled else 'unscaled'}, re-estimated"
    row = table.where(network_name="tiny-stochastic-depth", test_time=way)[0]
    net = zoo.pretrained("tiny-stochastic-depth")
    for module in net.residual_modules:
        if scaled:
            # The same network, with its factors in the last layer of each branch, where training mode knows them, too.
            layer = [layer for layer in module.branch.modules() if isinstance(layer, torch.nn.Conv2d)][-1]
            layer.weight.data *= module.branch_scale
        module.branch_scale = 1.0
    test = load("digits", "test")
    inputs, targets = test.batch(torch.arange(len(test)))
    train = load("digits", "train")
    wrong = (with_statistics_of(net, train.subset(len(train), seed=3))(inputs).argmax(dim=1) != targets).sum()
    assert row["wrong"] == int(wrong)


def test_random_routes_are_tested_one_by_one(unbroken):
    table = load_table(unbroken / "tables" / "trained_networks.csv")
    row = table.where(network_name="tiny-exactly2", test_time="random routes")[0]
    net = zoo.pretrained("tiny-exactly2")
    for module in net.residual_modules:
        module.branch_scale = 1.0
    generator = np.random.default_rng(3)
    test = load("digits", "test")
    inputs, targets = test.batch(torch.arange(len(test)))
    with torch.no_grad():
        errors = [
            float((net(inputs, Exactly(2).sample(6, generator)).argmax(dim=1) != targets).double().mean())
            for _ in range(N_ROUTES)
        ]
    assert row["error_rate"] == pytest.approx(np.mean(errors))
    mean = np.mean(errors)
    of_routes = scipy.stats.ttest_1samp(errors, 0.0).confidence_interval(0.95)
    of_images = scipy.stats.binomtest(round(mean * 450), 450).proportion_ci(method="wilson")
    low = mean - np.hypot(mean - of_routes.low, mean - of_images.low)
    high = mean + np.hypot(of_routes.high - mean, of_images.high - mean)
    assert (row["error_rate_low"], row["error_rate_high"]) == pytest.approx((low, min(1.0, high)), abs=1e-9)


def test_the_variants_differ(unbroken):
    table = load_table(unbroken / "tables" / "trained_networks.csv")
    for name in ("tiny-exactly2", "tiny-stochastic-depth"):
        assert len({row["loss"] for row in table.where(network_name=name)}) == len(WAYS)


def test_whole_trainings_are_those_of_the_facts(unbroken, place):
    table = load_table(unbroken / "tables" / "whole_trainings.csv")
    # One network names a training that it took the place of.
    others = [row for row in table if not row["is_shipped"]]
    told = ("group", "epochs", "error_rate", "n_images", "precision")
    assert [tuple(row[name] for name in told) for row in others] == [("tiny", 1, 0.75, 450, "bfloat16")]
    assert {row["precision"] for row in table if row["is_shipped"]} == {"float32"}
    # All else is as in the shipped training, which has twice as many epochs.
    [own] = table.where(group="tiny", is_shipped=True, training_seed=0)
    assert own["training_macs"] == 2 * others[0]["training_macs"]
    shipped = [(row["group"], row["training_seed"]) for row in table if row["is_shipped"]]
    assert shipped == [(name.removesuffix("-seed1"), seed) for name, _, _, seed in shipped_networks.SHIPPED]
    assert {row["error_rate"] for row in table if row["is_shipped"]} == {0.5}


def test_rows_say_what_is_known_of_the_training(unbroken):
    table = load_table(unbroken / "tables" / "trained_networks.csv")
    for row in table:
        assert (row["epochs"], row["training_seconds"], row["training_hardware"]) == (2, 12.5, "an abacus")
        assert (row["train_loss"], row["train_error_rate"], row["n_images"]) == (1.0, 0.25, 450)
        assert row["wrong"] / (450 * row["n_routes"]) == pytest.approx(row["error_rate"])
        if row["n_routes"] == 1:
            assert (row["error_rate_low"], row["error_rate_high"]) == rate_interval(row["wrong"], 450)
    assert [row["zoo_name"] for row in table] == [name for _, name in named_rows()]


def named_rows() -> list[tuple[str, str]]:
    return [
        (name, zoo_name)
        for name, zoo_name, routes, _ in shipped_networks.SHIPPED
        for _ in range(1 if routes == "all" else len(WAYS))
    ]


def test_scaling_by_survival_gives_the_mean_over_routes_of_linear_branches():
    # Closed form: the branches of independent modules enter the output linearly, each with its probability.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        branches = [torch.nn.Linear(3, 3, bias=False).double() for _ in range(4)]
        x = torch.randn(5, 3, dtype=torch.float64)
    modules = [ResidualModule(branch, torch.nn.Identity()) for branch in branches]
    net = UnraveledNetwork(torch.nn.Identity(), modules, torch.nn.Identity(), example=x).eval()
    survival = StochasticDepth(0.5).survival(4)
    mean = torch.zeros_like(x)
    for kept in itertools.product((False, True), repeat=4):
        weight = math.prod(p if is_kept else 1 - p for p, is_kept in zip(survival, kept, strict=True))
        route = Route.full(4).keep(*(module for module in range(4) if kept[module]))
        mean += weight * net(x, route)
    with branches_scaled(net, survival):
        assert torch.allclose(net(x), mean, rtol=1e-12)


def test_networks_are_given_back_as_they_were(place):
    network = ShippedNetwork.load("tiny-stochastic-depth")
    before = network.net.fingerprint()

    def fails():
        assert network.net.fingerprint() != before
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"), branches_scaled(network.net, (1.0,) * 6):
        fails()
    assert network.net.fingerprint() == before


def test_a_plain_layer_is_scaled_nowhere(tmp_path):
    directory = tmp_path / "plain"
    shipped_networks.write_network(directory, "plain8", routes="exactly:4", seed=0, group="plain")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(shipped_networks.ROOM, "SHIPPED_DIRECTORY", tmp_path)
        # It has no branch beside a skip, so nothing is scaled.
        assert ShippedNetwork.load("plain").test_times == ("unscaled",)


# -- doing it again --


def test_a_second_call_measures_nothing(unbroken, monkeypatch):
    before = tables_of(unbroken)
    monkeypatch.setattr("unravelnet.measuring.evaluation.walk", None)
    reproduce("digits", unbroken, networks=PLANS, seed=3)
    assert tables_of(unbroken) == before


def test_code_that_goes_on_with_a_run_is_named(unbroken, tmp_path):
    directory = shutil.copytree(unbroken, tmp_path / "run")
    before = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**before, "commit": "other"}))
    for _ in range(2):
        reproduce("digits", directory, seed=3)
        after = json.loads((directory / "run.json").read_text())
        assert list(after.pop("continued").values()) == [before["commit"]]
        assert after == {**before, "commit": "other"}
    assert tables_of(directory) == tables_of(unbroken)


class InterruptedError(Exception):
    """Stands for whatever ends a run."""


def test_interrupted_anywhere_it_ends_with_the_same_tables(tmp_path, unbroken):
    parts = ["ResNet-14: delete many", "ResNet-14: ensemble", "Plain-8: layer responses"]
    ways = ("all modules, scaled", "all modules, scaled, re-estimated", "random routes")
    for part in [*parts, *(f"tiny-exactly2: {way}" for way in ways)]:

        def stop(progress: RunProgress, part: str = part) -> None:
            if progress.part == part and 0 < progress.part_share < 1:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            reproduce("digits", tmp_path, on_progress=stop, **OPTIONS)
    assert "trained_networks.csv" not in tables_of(tmp_path)
    reproduce("digits", tmp_path, **OPTIONS)
    assert tables_of(tmp_path) == tables_of(unbroken)


def test_networks_that_are_shipped_later_join_the_table(tmp_path, unbroken, place):
    copy = tmp_path / "run"
    shutil.copytree(unbroken, copy)
    shipped_networks.write_network(
        place / "tiny-seed2", "preact-resnet14", routes="all", seed=2, group="tiny"
    )
    try:
        reproduce("digits", copy, **OPTIONS)
    finally:
        shutil.rmtree(place / "tiny-seed2")
    rows = load_table(copy / "tables" / "trained_networks.csv")
    earlier = load_table(unbroken / "tables" / "trained_networks.csv")
    assert [row for row in rows if row["network_name"] != "tiny-seed2"] == list(earlier)
    assert len(rows) == len(earlier) + 1


def test_other_weights_under_the_same_name_are_refused(tmp_path, unbroken, place):
    kept = tmp_path / "kept"
    shutil.move(place / "tiny", kept)
    shipped_networks.write_network(place / "tiny", "preact-resnet14", routes="all", seed=9, group="tiny")
    try:
        with pytest.raises(StoreError, match="another setting of networks"):
            reproduce("digits", unbroken, networks=PLANS, seed=3)
    finally:
        shutil.rmtree(place / "tiny")
        shutil.move(kept, place / "tiny")


def test_progress_rises_to_the_end(unbroken, tmp_path):
    heard: list[RunProgress] = []
    reproduce("digits", tmp_path, quick=True, networks=PLANS[2:], on_progress=heard.append)
    shares = [progress.share for progress in heard]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    heard_parts = list(dict.fromkeys(progress.part for progress in heard))
    assert heard_parts[0] == "Plain-8: layer responses"
    tested = [part for part in heard_parts[1:-1] if "training images" not in part]
    assert [part.partition(":")[0] for part in tested] == [name for name, _ in named_rows()]
    assert len(heard_parts[1:-1]) - len(tested) == len(shipped_networks.SHIPPED)


# -- which networks --


def test_shipped_networks_are_taken_for_the_data_they_were_tested_on(tmp_path, monkeypatch):
    missing = NetworkPlan("vgg", "VGG-15", "vgg", "vgg15", pretrained="tiny-vgg")
    monkeypatch.setattr("unravelnet.reproduction.choice.SHIPPED_NETWORKS", (*PLANS, missing))
    test_data = load("digits", "test")
    choice = choose_networks(tmp_path, test_data, epochs=None)
    assert choice.networks == PLANS
    assert "not trained again" in choice.remarks[0]
    assert choice.remarks[1] == "Not shipped, and left out: tiny-vgg."
    trained = choose_networks(tmp_path, test_data, epochs=4)
    assert (trained.networks, trained.remarks) == (
        SMALL_NETWORKS,
        ("Networks are trained for 4 epochs each.",),
    )
    other = choose_networks(tmp_path, test_data.subset(100, seed=0), epochs=None)
    assert other.networks == SMALL_NETWORKS
    assert "trained here" in other.remarks[0]


def test_a_run_goes_on_with_the_networks_it_began_with(unbroken, tmp_path, monkeypatch):
    monkeypatch.setattr("unravelnet.reproduction.choice.SHIPPED_NETWORKS", PLANS[:1])
    monkeypatch.setattr("unravelnet.measuring.evaluation.walk", None)
    assert choose_networks(unbroken, load("digits", "test"), epochs=None).networks == PLANS
    reproduce("digits", unbroken, seed=3)
    with pytest.raises(StoreError, match="another setting of epochs: None there and 4 here"):
        reproduce("digits", unbroken, seed=3, epochs=4)


def test_a_trained_run_goes_on_as_such(tmp_path, monkeypatch):
    own = (NetworkPlan("vgg", "Plain-8", "vgg", "plain8", studies=("delete_each",), measurements=()),)
    reproduce("digits", tmp_path, epochs=1, images=50, networks=own)
    before = tables_of(tmp_path)
    monkeypatch.setattr("unravelnet.reproduction.choice.SHIPPED_NETWORKS", PLANS)
    monkeypatch.setattr("unravelnet.training.loop.Training.run_epoch", None)
    reproduce("digits", tmp_path)
    assert tables_of(tmp_path) == before


def test_a_run_without_networks_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"reproduction": {"networks": [3]}}')
    with pytest.raises(StoreError, match="does not list the networks"):
        choose_networks(tmp_path, load("digits", "test"), epochs=None)


def test_epochs_of_shipped_networks_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="Training for 3 epochs was asked for, and no network is trained"):
        reproduce("digits", tmp_path / "run", networks=PLANS, epochs=3)
    assert not (tmp_path / "run").exists()


def test_the_past_of_a_shipped_network_cannot_be_measured():
    with pytest.raises(TrainingError, match="only the last weights are known"):
        NetworkPlan("a", "A", "resnet", "resnet20", measurements=("over_training",), pretrained="tiny")


def test_the_shipped_networks_are_those_of_the_papers():
    # Veit et al. 2016, section 4: k = 1 … 20 deletions; the rank correlation falls to 0.84 after 15 swaps.
    resnet = SHIPPED_NETWORKS[0]
    assert resnet.deleted_counts == tuple(range(1, 21))
    assert resnet.swap_counts == tuple(range(1, 16))
    assert {plan.role: plan.routes for plan in SHIPPED_NETWORKS} == {
        "resnet": "all",
        "stochastic-depth": "stochastic-depth:0.5",
        "effective-paths": "exactly:23",
        "vgg": "all",
        "compared": "all",
    }
    for plan in SHIPPED_NETWORKS:
        assert plan.pretrained.startswith(plan.zoo_name)
        assert plan.zoo_name in zoo.names()


def test_every_shipped_network_is_compared_and_every_residual_one_is_lesioned():
    shipped = {path.parent.name: zoo.read_description(path.parent) for path in SHIPPED.glob("*/network.json")}
    assert sorted(plan.pretrained for plan in SHIPPED_NETWORKS) == sorted(shipped)
    for plan in SHIPPED_NETWORKS:
        description = shipped[plan.pretrained]
        assert (plan.zoo_name, plan.routes) == (description.name, description.facts["training"]["routes"])
        is_residual = "plain" not in plan.zoo_name
        assert ("delete_each" in plan.studies) is is_residual
        assert ("remove_skip_each" in plan.studies) is (is_residual and plan.role != "vgg")
        assert ("path_gradients_exact" in plan.measurements) is (is_residual and plan.role != "vgg")
    assert len({plan.name for plan in SHIPPED_NETWORKS}) == len(SHIPPED_NETWORKS)


def test_compared_networks_see_as_many_images_as_a_draw():
    train, test = load("digits", "train"), load("digits", "test")
    settings = settle(Path("none"), train, test, {}, seed=0, networks=PLANS)
    few = replace(PLANS[0], few_images=True)
    assert settings.n_images("delete_each", few) == settings.draw_images < settings.images
    assert settings.n_images("delete_many", few) == settings.n_images("delete_many", PLANS[0])


# -- how much --


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (10_000, 1000, 50, 64, 1000)),
        ({"quick": True}, (1000, 250, 10, 16, 100)),
        ({"quick": True, "images": 4000, "repeats": 30}, (4000, 500, 30, 16, 100)),
        ({"images": 500}, (500, 250, 50, 64, 1000)),
    ],
)
def test_a_quick_run_has_fewer_of_everything(tmp_path, monkeypatch, given, expected):
    monkeypatch.setattr("unravelnet.reproduction.settings.is_small", lambda data: False)
    digits = load("digits", "train")
    many = digits.subset(1000, seed=0)
    monkeypatch.setattr(type(many), "__len__", lambda self: 10_000)
    settings = settle(tmp_path / "none", many, many, given, seed=0, networks=PLANS)
    assert expected == (
        *(settings.images, settings.draw_images, settings.repeats),
        *(settings.gradient_images, settings.path_draws),
    )
    assert (settings.quick, settings.epochs) == (given.get("quick", False), None)


def test_a_quick_run_has_eight_counts():
    shape = load("digits").image_shape
    data = load("digits", "test")
    settings = settle(Path("none"), data, data, {"quick": True}, seed=0, networks=SHIPPED_NETWORKS[:0])
    net = zoo.create("preact-resnet110", input_shape=shape, seed=0)
    for study in ("delete_many", "reorder"):
        trials = settings.trials(study, SHIPPED_NETWORKS[0], net)
        assert len({trial.label.partition(",")[0] for trial in trials[1:]}) == 8
        assert len(trials) == 1 + 8 * 10


def test_quick_is_remembered(tmp_path):
    reproduce("digits", tmp_path, quick=True, networks=PLANS[2:])
    reproduce("digits", tmp_path, networks=PLANS[2:])
    with pytest.raises(StoreError, match="another setting of quick: True there and False here"):
        reproduce("digits", tmp_path, quick=False, networks=PLANS[2:])


@pytest.mark.parametrize("until_ci", [0.01, 0.03, 0.2])
def test_a_draw_never_needs_more_images_than_it_may_take(until_ci):
    # The number of images is that of the widest interval: at an error of one half.
    train, test = load("digits", "train"), load("digits", "test")
    settings = settle(Path("none"), train, test, {"until_ci": until_ci}, seed=0, networks=PLANS)
    n = settings.n_images("delete_many", PLANS[0])
    assert n == 450 or rate_interval(n // 2, n).half_width <= until_ci
    assert settings.n_images("delete_each", PLANS[0]) == 450
    assert settings.n_images("delete_pairs", PLANS[0]) == settings.draw_images < 450


def test_draws_stop_by_their_interval(tmp_path):
    plan = replace(PLANS[0], studies=("delete_each", "delete_many"), measurements=())
    reproduce("digits", tmp_path, networks=[plan], repeats=4, until_ci=0.05)
    _intact, *rows = load_table(tmp_path / "tables" / "resnet" / "delete_many.csv")
    for row in rows:
        widths = [
            row[f"error_rate{name}_high"] - row[f"error_rate{name}_low"] for name in ("", "_difference")
        ]
        assert min(widths) / 2 <= 0.05
    assert min(row["n_images"] for row in rows) < 385
    each = load_table(tmp_path / "tables" / "resnet" / "delete_each.csv")
    assert {row["n_images"] for row in each} == {450}


def test_an_interval_that_is_none_is_refused(tmp_path):
    with pytest.raises(CostError, match="half its interval is at most 0"):
        reproduce("digits", tmp_path / "run", networks=PLANS, until_ci=0)
    assert not (tmp_path / "run").exists()


def test_one_figure_of_shipped_networks(tmp_path, monkeypatch):
    monkeypatch.setattr("unravelnet.reproduction.choice.SHIPPED_NETWORKS", PLANS)
    reproduce("digits", tmp_path, paper_figures=[8], quick=True)
    found = {str(path.relative_to(tmp_path / "tables")) for path in (tmp_path / "tables").rglob("*.csv")}
    named = ("resnet", "stochastic-depth")
    assert found == {f"{name}/{table}.csv" for name in named for table in ("delete_each", "history")}
