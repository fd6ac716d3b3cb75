"""The runner: shards give the same table whoever measures them, in any order; samples and keywords mean the same."""

import contextlib
import functools
import sqlite3
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import unravelnet as un
from unravelnet.errors import ArgumentError, CostError, DataError, EvaluationError, UnknownNameError
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.runner import EvaluationInterrupted, here, run
from unravelnet.measuring.sums import Sums
from unravelnet.records.store import ResultsStore

METRICS = ("loss", "error_rate")


@cache
def the_net():
    return un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0).eval()


@cache
def the_data():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(44, 1, 8, 8, generator=generator), torch.randint(0, 10, (44,), generator=generator)


def evaluated(store=None, **options):
    options = {"batch_size": 4, "metrics": METRICS, "limit": 42, "seed": 2, **options}
    return un.evaluate(the_net(), un.studies.delete_each(the_net()), the_data(), store=store, **options)


class Stop:
    def __init__(self, before):
        self.before = before

    def __call__(self, batches):
        for number, batch in enumerate(batches):
            if number == self.before:
                raise KeyboardInterrupt
            yield batch


@pytest.mark.parametrize("k", [0, 1, 4, 10])
def test_a_run_that_goes_on_after_k_shards_gives_the_equal_table(k, tmp_path):
    with ResultsStore(tmp_path) as store:
        with pytest.raises(EvaluationInterrupted) as caught:
            evaluated(store, progress=Stop(k))
        assert [row["n_images"] for row in caught.value.table] == [4 * k] * 4 * bool(k)
        assert evaluated(store) == evaluated()


@pytest.mark.parametrize("until_ci", [None, 0.2])
def test_shards_measured_in_any_groups_and_order_give_the_same_bits(until_ci, tmp_path):
    options = {"until_ci": until_ci, "metrics": ("error_rate", "loss")}
    with ResultsStore(tmp_path / "whole") as store:
        whole = evaluated(store, **options)
        records = list(store.shards(_trials_in(store)))
    generator = np.random.default_rng(0)
    for group in range(3):
        # What some other process has measured, or one that measured other shards first.
        kept = [records[place] for place in generator.permutation(len(records))[: 5 * group + 1]]
        with ResultsStore(tmp_path / str(group)) as store:
            store.commit(kept)
            assert evaluated(store, **options) == whole


def _trials_in(store):
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        return [trial for (trial,) in connection.execute("select distinct trial_id from trials")]


def test_only_the_shards_that_are_missing_are_measured(tmp_path):
    with ResultsStore(tmp_path) as store:
        whole = evaluated(store)
        records = list(store.shards(_trials_in(store)))
    with ResultsStore(tmp_path / "less") as store:
        store.commit(record for record in records if record.shard not in (3, 7))
        seen = []
        hook = the_net().stem.register_forward_hook(lambda *_: seen.append(1))
        again = evaluated(store)
        hook.remove()
        assert again == whole
        assert {record.shard for record in store.shards(_trials_in(store))} == set(range(11))


class CountImages(Measurement):
    """The plainest measurement: how many images each shard has, and the sum of their values."""

    def __init__(self, net):
        self.trials = [net.full_route]
        self.order = []

    def of_shard(self, net, shard, trials):
        self.order.append((shard.number, shard.first))
        return {trial: Sums({"total": shard.inputs.double().sum().item()}) for trial in trials}

    def rows(self, tallies):
        return [
            {"n_images": tally.n_images, "total": float(tally.sums.added["total"])}
            for tally in tallies.values()
        ]


def test_a_measurement_of_ones_own_runs_with_an_executor_of_ones_own():
    """Two workers who hand their shards in last first."""

    def two_at_once(measurement, bench, name, units):
        def pairs():
            pair = []
            for unit in units:
                pair.append(unit)
                if len(pair) == 2:
                    yield from reversed(pair)
                    pair = []
            yield from reversed(pair)

        yield from here(measurement, bench, name, pairs())

    net, (images, targets) = the_net(), the_data()
    batches = un.Sample(data=(images, targets)).batches(8)
    tables = []
    for executor in (here, two_at_once):
        measurement = CountImages(net)
        tables.append(run(measurement, Bench(net), batches, {"seed": 0}, executor=executor))
    assert measurement.order == [(1, 8), (0, 0), (3, 24), (2, 16), (5, 40), (4, 32)]
    assert tables[0] == tables[1]
    (row,) = tables[0]
    assert row == {"n_images": 44, "total": pytest.approx(images.double().sum().item()), "seed": 0}


# -- all measurements --

GRADIENTS = {
    "modules": un.gradient.module_measures,
    "depths": un.gradient.effective_depths,
    "responses": un.gradient.layer_responses,
    "exact": functools.partial(un.path_gradients, draws=2),
    "rms": functools.partial(un.path_gradients, method="rms", draws=2),
    "sampled": functools.partial(un.path_gradients, method="sampled", draws=50),
}
MEASUREMENTS = {**GRADIENTS, "ensemble": functools.partial(un.ensemble_of_routes, keep=0.5, sizes=(1, 2))}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_what_is_interrupted_gives_the_table_of_the_batches_so_far(name):
    images, targets = the_data()
    batches = list(zip(images.split(8), targets.split(8), strict=True))
    with pytest.raises(EvaluationInterrupted) as caught:
        MEASUREMENTS[name](the_net(), batches, progress=Stop(2))
    options = {"method": "sampled", "draws": 16} if name == "sampled" else {}
    assert caught.value.table == MEASUREMENTS[name](the_net(), batches[:2], **options)
    with pytest.raises(EvaluationInterrupted) as caught:
        MEASUREMENTS[name](the_net(), batches, progress=Stop(0))
    assert len(caught.value.table) == 0


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_an_interrupted_measurement_with_a_store_goes_on_to_the_same_bits(name, tmp_path):
    options = {"limit": 20, "seed": 3, "batch_size": 8}
    whole = MEASUREMENTS[name](the_net(), the_data(), **options)
    seen: list[object] = []
    for _ in range(2):
        with ResultsStore(tmp_path) as store, pytest.raises(EvaluationInterrupted, match="was interrupted"):
            MEASUREMENTS[name](the_net(), the_data(), store=store, progress=Stop(1), **options)
    with ResultsStore(tmp_path) as store:
        assert (
            MEASUREMENTS[name](the_net(), the_data(), store=store, progress=counted_in(seen), **options)
            == whole
        )
        n_left, seen[:] = len(seen), []
        assert (
            MEASUREMENTS[name](the_net(), the_data(), store=store, progress=counted_in(seen), **options)
            == whole
        )
    # One batch is left for the third call, and none for the fourth.
    assert (n_left, seen) == (1, [])


@pytest.mark.parametrize("n_kept", [2, 3, 5, 7])
def test_what_goes_through_the_data_several_times_goes_on_in_any_round(n_kept, tmp_path):
    options = {"limit": 20, "seed": 3, "batch_size": 8, "method": "sampled", "draws": 50}
    with ResultsStore(tmp_path / "whole") as store:
        whole = un.path_gradients(the_net(), the_data(), store=store, **options)
        records = list(store.shards(_trials_in(store)))
    assert [record.n_seen for record in records] == [8, 8, 4, 8, 8, 4, 8, 8]
    with ResultsStore(tmp_path / "part") as store:
        store.commit(records[:n_kept])
        assert un.path_gradients(the_net(), the_data(), store=store, **options) == whole


def counted_in(seen):
    def progress(batches):
        for batch in batches:
            seen.append(batch)
            yield batch

    return progress


def test_a_store_tells_measurements_and_their_options_apart(tmp_path):
    with ResultsStore(tmp_path) as store:
        for measure in MEASUREMENTS.values():
            for options in ({"limit": 12}, {"limit": 12, "seed": 1}, {"limit": 12, "batch_size": 8}):
                assert measure(the_net(), the_data(), store=store, **options) == measure(
                    the_net(), the_data(), **options
                )
        many = un.path_gradients(the_net(), the_data(), limit=12, draws=3, store=store)
        assert many == un.path_gradients(the_net(), the_data(), limit=12, draws=3)
        # Measured in float32, they say nothing of the precision in which evaluations began.
        row, _ = un.evaluate(
            the_net(),
            [the_net().full_route, the_net().full_route.delete(1)],
            the_data(),
            precision="auto",
            store=store,
        )
        assert row["precision"] == "float32"


def test_a_loss_that_is_a_function_is_not_kept(tmp_path):
    def mine(output, targets):
        return output.square().sum(dim=1)

    with (
        ResultsStore(tmp_path) as store,
        pytest.raises(EvaluationError, match="a results store knows measurements by"),
    ):
        un.path_gradients(the_net(), the_data(), loss=mine, store=store)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_sample_is_the_same_for_all_measurements(name):
    options = {"limit": 12, "seed": 3, "batch_size": 8}
    by_keywords = MEASUREMENTS[name](the_net(), the_data(), **options)
    assert MEASUREMENTS[name](the_net(), un.Sample(data=the_data(), **options)) == by_keywords
    assert by_keywords[0]["n_images"] == 12


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_in_bfloat16_are_refused(name):
    with pytest.raises(EvaluationError, match=r"The sample asks for bfloat16, and gradients .* in float32"):
        GRADIENTS[name](the_net(), un.Sample(data=the_data(), precision="bfloat16"))


# -- samples --


def test_a_sample_means_what_its_keywords_mean():
    sample = un.Sample(data=the_data(), limit=42, seed=2, batch_size=4)
    trials = un.studies.delete_each(the_net())
    assert un.evaluate(the_net(), trials, sample, metrics=METRICS) == evaluated()


def test_a_sample_is_a_frozen_value_that_shows_itself():
    sample = un.Sample(data="digits", limit=10)
    with pytest.raises(AttributeError, match="cannot assign to field 'limit'"):
        sample.limit = 20
    assert "limit=10" in repr(sample)


def test_what_stands_beside_a_sample_is_told():
    with pytest.raises(
        ArgumentError, match=r"^data is a Sample, and limit and seed stand beside it\. Say it once"
    ):
        un.evaluate(the_net(), [the_net().full_route], un.Sample(data=the_data()), limit=3, seed=1)


@pytest.mark.parametrize(
    ("options", "error", "phrase"),
    [
        ({"seed": -1}, CostError, "The seed -1 is out of range"),
        ({"precision": "float8"}, UnknownNameError, "float8"),
    ],
)
def test_samples_that_cannot_be_are_refused(options, error, phrase):
    with pytest.raises(error, match=phrase):
        un.Sample(data="digits", **options)


def test_how_much_memory_there_is_may_stand_beside_a_sample():
    sample = un.Sample(data=the_data(), limit=6, max_bytes=1)
    one_by_one = un.path_gradients(the_net(), the_data(), limit=6, max_bytes=1)
    assert un.path_gradients(the_net(), sample) == one_by_one
    assert un.path_gradients(the_net(), un.Sample(data=the_data(), limit=6), max_bytes=1) == one_by_one


def test_a_stream_with_a_limit_comes_in_its_own_order():
    images, targets = the_data()
    stream = list(zip(images.split(4), targets.split(4), strict=True))
    (row,) = un.evaluate(the_net(), [the_net().full_route], stream, limit=8, metrics=("loss",))
    with torch.no_grad():
        expected = nn.functional.cross_entropy(the_net()(images[:8]), targets[:8]).item()
    assert row["n_images"] == 8
    assert row["loss"] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(DataError, match="cannot be shuffled"):
        un.evaluate(the_net(), [the_net().full_route], stream, until_ci=0.1)


def test_data_without_examples_is_told_by_the_data():
    class Nothing:
        def __iter__(self):
            yield torch.zeros(0, 1, 8, 8)

    with pytest.raises(DataError, match="Nothing is empty: no batch came from it"):
        run(CountImages(the_net()), Bench(the_net()), un.Sample(data=Nothing()).batches(8), {})
