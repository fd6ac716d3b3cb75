"""The engine against running every route by itself, and against sums done by hand."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import unravelnet as un
from unravelnet.errors import DataError, EvaluationError, RouteError, StoreError
from unravelnet.measuring import walk as prefix_tree
from unravelnet.measuring.runner import EvaluationInterrupted
from unravelnet.measuring.walk import walk
from unravelnet.network import ResidualModule, UnraveledNetwork
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route, Step

MODES = ("both", "skip", "branch")


def small_net(n_modules: int = 6, width: int = 4) -> UnraveledNetwork:
    """Modules of all kinds in two chains, with a transition between them and an `after`."""
    generator = torch.Generator().manual_seed(0)

    def layer(inputs: int, outputs: int) -> nn.Linear:
        linear = nn.Linear(inputs, outputs)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(outputs, inputs, generator=generator))
            linear.bias.copy_(torch.randn(outputs, generator=generator))
        return linear

    def module(index: int) -> ResidualModule:
        chain = int(index >= n_modules // 2)
        skip = layer(width, width) if index == 1 else nn.Identity()
        return ResidualModule(
            nn.Sequential(layer(width, width), nn.ReLU(), layer(width, width)),
            skip if index != 4 else None,
            nn.Tanh() if index % 2 else None,
            chain=chain,
        )

    return UnraveledNetwork(
        layer(5, width),
        [module(index) for index in range(n_modules)],
        layer(width, 3),
        transitions=[layer(width, width)],
        example=torch.zeros(2, 5),
    ).eval()


def data(n: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 5, generator=generator), torch.randint(0, 3, (n,), generator=generator)


def test_every_route_of_six_modules_is_what_it_is_by_itself() -> None:
    net, (x, _) = small_net(), data()
    routes = [
        Route(tuple(Step(module, mode) for module, mode in enumerate(modes)))
        for modes in itertools.product(MODES, repeat=6)
    ]
    found = dict(walk(net, routes, x))
    assert len(found) == len(routes) == 3**6
    for route in routes:
        assert torch.equal(found[route], net(x, route)), route


def test_orders_repeats_and_unequal_lengths_share_one_tree() -> None:
    net, (x, _) = small_net(), data()
    full = Route.full(6)
    routes = [
        full.swap(0, 2),
        full.reverse(0, 3),
        full.repeat(1, 3),
        Route.parse("0,3-5"),
        Route.parse("none"),
        full,
    ]
    found = dict(walk(net, routes, x))
    assert set(found) == set(routes)
    for route in routes:
        assert torch.equal(found[route], net(x, route)), route


def count_branches(net: UnraveledNetwork) -> list[int]:
    calls: list[int] = []
    for module in net.residual_modules:
        module.branch.register_forward_hook(lambda *_, index=module.index: calls.append(index))
    return calls


@pytest.mark.parametrize("n_modules", [6, 20])
def test_deleting_each_module_costs_half_a_pass_each(n_modules: int) -> None:
    net, (x, _) = small_net(n_modules), data()
    calls = count_branches(net)
    routes = [trial.route for trial in un.studies.delete_each(net)]
    assert len(list(walk(net, routes, x))) == n_modules + 1
    # The intact network visits n branches; the route without module i only those behind it.
    assert len(calls) == n_modules + n_modules * (n_modules - 1) // 2


def test_one_branch_serves_both_the_sum_and_the_branch_alone() -> None:
    net, (x, _) = small_net(), data()
    calls = count_branches(net)
    list(walk(net, [Route.full(6), Route.full(6).remove_skip(5), Route.full(6).delete(5)], x))
    assert calls == [0, 1, 2, 3, 4, 5]


def test_waiting_streams_grow_with_the_logarithm_of_the_routes() -> None:
    net, (x, _) = small_net(40), data(2)
    most = 0
    streams: set[int] = set()
    original = prefix_tree.children_of

    def counted(*args: Any) -> Iterator[Any]:
        nonlocal most
        for span in original(*args):
            streams.add(id(span.state.x))
            weakref.finalize(span.state.x, streams.discard, id(span.state.x))
            most = max(most, len(streams))
            yield span

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "children_of", counted)
        generator = np.random.default_rng(0)
        routes = {Route.full(40).drop(0.3, generator) for _ in range(200)}
        with torch.no_grad():
            for _ in walk(net, routes, x):
                pass
    assert 2 < most <= 8 + 3, "log2(200) < 8, and the parent and two children of one step"


def test_rows_hold_the_sums_of_a_plain_loop() -> None:
    net, (x, y) = small_net(), data()
    trials = un.studies.delete_each(net)
    table = un.evaluate(net, trials, (x, y), metrics=("error_rate", "top5_error_rate", "loss"), batch_size=7)
    assert len(table) == len(trials)
    intact = net(x).argmax(1) != y
    for row, trial in zip(table, trials, strict=True):
        logits = net(x, trial.route)
        wrong = logits.argmax(1) != y
        assert row["route"] == str(trial.route)
        assert row["error_rate"] == pytest.approx(wrong.double().mean().item())
        assert row["loss"] == pytest.approx(nn.functional.cross_entropy(logits, y).item(), rel=1e-6)
        assert row["top5_error_rate"] == 0.0
        paired = (wrong.double() - intact.double()).mean().item()
        assert row["error_rate_difference"] == pytest.approx(paired)
        assert row["error_rate_low"] <= row["error_rate"] <= row["error_rate_high"]
    assert [row["module"] for row in table] == [None, 0, 1, 2, 3, 4, 5]


def test_label_free_metrics_of_the_intact_network_are_perfect() -> None:
    net, (x, _) = small_net(), data()
    routes = [net.full_route, net.full_route.delete(2)]
    intact, lesioned = un.evaluate(net, routes, x, metrics=("agreement", "kl_divergence", "cosine"))
    assert (intact["agreement"], intact["kl_divergence"]) == (1.0, pytest.approx(0.0, abs=1e-7))
    assert intact["cosine"] == pytest.approx(1.0)
    p, q = net(x).softmax(1), net(x, routes[1]).softmax(1)
    assert lesioned["kl_divergence"] == pytest.approx((p * (p / q).log()).sum(1).mean().item(), rel=1e-5)
    assert lesioned["agreement"] == pytest.approx((p.argmax(1) == q.argmax(1)).float().mean().item())


def test_batch_size_changes_nothing() -> None:
    net, xy = small_net(), data()
    trials, metrics = un.studies.delete_each(net), ("error_rate", "loss")
    tables = [un.evaluate(net, trials, xy, batch_size=size, metrics=metrics) for size in (1, 8, 50)]
    for other in tables[1:]:
        for row, same in zip(tables[0], other, strict=True):
            assert row["error_rate"] == same["error_rate"]
            assert row["loss"] == pytest.approx(same["loss"], rel=1e-6)


def test_label_free_metrics_ask_nothing_of_labels() -> None:
    net, (x, y) = small_net(), data()
    (row,) = un.evaluate(net, [net.full_route], (x, y + 9), metrics=("agreement",))
    assert row["agreement"] == 1.0


def test_a_limit_draws_the_same_images_from_a_name_and_from_its_data() -> None:
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0).eval()
    by_name, by_data = (
        un.evaluate(net, [net.full_route], given, limit=32, metrics=("loss",))[0]
        for given in ("digits", un.data.load("digits"))
    )
    assert (by_name["loss"], by_name["data"]) == (by_data["loss"], by_data["data"])


class Stop:
    """Interrupts an evaluation before a batch, as Ctrl-C does."""

    def __init__(self, before: int) -> None:
        self.before = before

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        for number, batch in enumerate(batches):
            if number == self.before:
                raise KeyboardInterrupt
            yield batch


def test_an_interrupted_evaluation_goes_on_and_gives_the_same_table(tmp_path: Path) -> None:
    net, xy = small_net(), data()
    trials = un.studies.delete_each(net)
    unbroken = un.evaluate(net, trials, xy, batch_size=8, metrics=("error_rate", "loss"))
    with ResultsStore(tmp_path) as store:
        options = {"batch_size": 8, "metrics": ("error_rate", "loss"), "store": store}
        with pytest.raises(EvaluationInterrupted) as caught:
            un.evaluate(net, trials[:4], xy, progress=Stop(3), **options)
        assert [row["n_images"] for row in caught.value.table] == [24] * 4
        assert not any(row["complete"] for row in caught.value.table)
        resumed = un.evaluate(net, trials, xy, **options)
        calls = count_branches(net)
        again = un.evaluate(net, trials, xy, **options)
    assert calls == [], "a finished trial is never measured twice"
    for table in (resumed, again):
        assert table.to_pandas().equals(unbroken.to_pandas())


def commands(net: UnraveledNetwork) -> list[dict[str, Any]]:
    """Studies that share routes, and stop at different points."""
    singles, draws = un.studies.delete_each(net), un.studies.delete_many(net, [2, 3], repeats=2, seed=1)
    return [
        {"routes": singles, "until_ci": 0.1},
        {"routes": [*draws, *singles[1:3]], "until_ci": 0.1},
        {"routes": [singles[0], singles[1]], "until_ci": 0.1},
        {"routes": [singles[2], *draws[:1]], "until_ci": 0.1},
        {"routes": singles[3:], "limit": 30},
    ]


def run(net: UnraveledNetwork, command: dict[str, Any], store: ResultsStore | None, stop: int = 0) -> Any:
    """Run a command, or only `stop` batches of it."""
    progress = Stop(stop) if stop else None
    with contextlib.suppress(EvaluationInterrupted):
        return un.evaluate(net, data=data(200), batch_size=8, store=store, progress=progress, **command)


def test_a_table_depends_on_its_command_and_not_on_what_the_store_holds(tmp_path: Path) -> None:
    net = small_net()
    listed = commands(net)
    alone = [run(net, command, None) for command in listed]
    ends = [row["n_images"] for table in alone for row in table.where(route="0-5")]
    assert len(set(ends)) == 3, "the intact network is measured for different lengths"
    for order in itertools.permutations(range(len(listed)), 2):
        with ResultsStore(tmp_path / "".join(map(str, order))) as store:
            # The first is killed after some batches, and goes on at the end.
            run(net, listed[order[0]], store, stop=1 + sum(order) % 7)
            for place in reversed(order):
                assert run(net, listed[place], store) == alone[place], (order, place)


def in_the_file(store: ResultsStore, statement: str, *values: str) -> list[Any]:
    """Do something to the file of a store that the store does not know of."""
    with closing(sqlite3.connect(store.path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def test_a_damaged_row_is_measured_again_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net, xy = small_net(), data()
    trials = un.studies.delete_each(net)
    with ResultsStore(tmp_path) as store:
        whole = un.evaluate(net, trials, xy, store=store)
        in_the_file(store, "update trials set sums = '{}' where route = ?", str(trials[2].route))
        calls = count_branches(net)
        again = un.evaluate(net, trials, xy, store=store)
        assert len(calls) > 0
        assert again == whole
        assert "holds 1 damaged result, which will be measured again" in caplog.text
        caplog.clear()
        assert un.evaluate(net, trials, xy, store=store) == whole
    assert caplog.text == ""


def test_sums_of_another_form_are_explained(tmp_path: Path) -> None:
    net, xy = small_net(), data()
    with ResultsStore(tmp_path) as store:
        un.evaluate(net, [net.full_route], xy, store=store)
        records = list(store.shards(trial for (trial,) in in_the_file(store, "select trial_id from trials")))
        in_the_file(store, "delete from trials")
        store.commit(replace(one, sums={"n_predictions": 1}) for one in records)
        with pytest.raises(StoreError, match=r"holds other sums for the route 0-5 .* Move the file away"):
            un.evaluate(net, [net.full_route], xy, store=store)


def test_another_network_with_the_same_weights_is_measured_anew(tmp_path: Path) -> None:
    xy = data()
    with ResultsStore(tmp_path) as store:
        un.evaluate(small_net(), [Route.full(6)], xy, store=store)
        other = small_net()
        other.residual_modules[0].branch[1] = nn.Tanh()
        (row,) = un.evaluate(other, [Route.full(6)], xy, store=store)
    assert row["error_rate"] == un.evaluate(other, [Route.full(6)], xy)[0]["error_rate"]


@pytest.mark.parametrize(
    ("options", "phrase"),
    [({"metrics": ()}, "Name at least one metric"), ({"confidence": 95}, "number between 0 and 1")],
)
def test_settings_that_cannot_be_are_told_before_anything_runs(options: dict[str, Any], phrase: str) -> None:
    net, xy = small_net(), data()
    calls = count_branches(net)
    with pytest.raises(EvaluationError, match=phrase):
        un.evaluate(net, [net.full_route], xy, **options)
    assert calls == []


def test_stopping_by_interval_keeps_its_promise_and_sees_less() -> None:
    net, xy = small_net(), data(4000)
    trials = un.studies.delete_each(net)
    table = un.evaluate(net, trials, xy, until_ci=0.03, batch_size=100)
    for row in table:
        own = (row["error_rate_high"] - row["error_rate_low"]) / 2
        paired = (row["error_rate_difference_high"] - row["error_rate_difference_low"]) / 2
        assert min(own, paired) <= 0.03
    assert sum(row["n_images"] for row in table) < 0.6 * 4000 * len(trials)


def test_a_route_that_does_not_fit_is_refused_before_anything_runs() -> None:
    net, xy = small_net(), data()
    calls = count_branches(net)
    with pytest.raises(RouteError, match="its chain has been left"):
        un.evaluate(net, [net.full_route.swap(0, 5)], xy)
    assert calls == []


def test_outputs_that_are_not_finite_are_told() -> None:
    net, (x, y) = small_net(), data()
    with torch.no_grad():
        net.residual_modules[5].branch[2].bias[0] = torch.nan
    with pytest.raises(EvaluationError, match="intact network gives 50 not finite outputs"):
        un.evaluate(net, [net.full_route], (x, y))


@pytest.mark.parametrize(
    ("targets", "error", "phrase"),
    [
        (torch.full((50,), 7), DataError, "label of image 0 of tensors is 7; classes are numbered 0 to 2"),
        (torch.zeros(50, 2).long(), EvaluationError, "do not fit targets"),
    ],
)
def test_targets_that_do_not_fit_are_told(targets: torch.Tensor, error: type[Exception], phrase: str) -> None:
    net, (x, _) = small_net(), data()
    with pytest.raises(error, match=phrase):
        un.evaluate(net, [net.full_route], (x, targets))


def test_modes_come_back_also_after_an_exception() -> None:
    net, (x, y) = small_net().train(), data()
    net.head.eval()
    before = [module.training for module in net.modules()]
    un.evaluate(net, [net.full_route], (x, y))
    with pytest.raises(DataError, match="classes are numbered 0 to 2"):
        un.evaluate(net, [net.full_route], (x, y + 9))
    assert [module.training for module in net.modules()] == before


def test_four_hundred_modules_need_no_recursion() -> None:
    net, xy = small_net(450, width=2), data(4)
    table = un.evaluate(net, un.studies.delete_each(net)[::50], xy)
    assert table[0]["n_modules"] == 450


@pytest.mark.parametrize(
    ("routes", "phrase"),
    [
        (Route.full(3), r"got Route\('0-2'\)\. Put a single route into a list"),
        ("0-2", "got '0-2'"),
        (None, "Routes must be a list; got None"),
        (["0-2"], r"got '0-2'\. Route.parse reads a text"),
        ([3], "must be a Route, or a Trial of a study; got 3"),
    ],
)
def test_what_is_no_list_of_routes_is_told(routes, phrase):
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    with pytest.raises(RouteError, match=phrase):
        un.evaluate(net, routes, (torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.long)))
