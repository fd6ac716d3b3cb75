"""Which precision is chosen, from what was asked for, the network and the machine; said where it matters.

Oracle: the table of decisions, and float64 sums by hand.
"""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from unravelnet import ensemble_of_routes, evaluate, machine, train, zoo
from unravelnet.data import as_batches
from unravelnet.errors import UnknownNameError, UnravelError
from unravelnet.machine import deviation_in_bfloat16, few_inputs, in_precision, machine_of
from unravelnet.measuring.bench import Bench
from unravelnet.precision import Machine, decide
from unravelnet.records.store import ResultsStore
from unravelnet.training.checkpoint import read
from unravelnet.zoo.store import read_json

OLD, NEW = Machine("cpu", multiplies_bfloat16=False), Machine("cpu", multiplies_bfloat16=True)
GPU = Machine("cuda", multiplies_bfloat16=True)
LARGE, SMALL = 4e6, 3e5
DATA = (torch.randn(12, 3, 32, 32), torch.arange(12) % 10)


def never():
    raise AssertionError("the network is tried without need")


# -- the decisions as a table --


@pytest.mark.parametrize(
    ("asked", "on", "macs", "deviation", "begun", "expected", "reason"),
    [
        ("float32", OLD, LARGE, never, None, "float32", ""),
        ("float32", NEW, LARGE, never, None, "float32", ""),
        ("float32", NEW, LARGE, never, "bfloat16", "float32", ""),
        ("bfloat16", NEW, SMALL, never, None, "bfloat16", ""),
        ("bfloat16", GPU, SMALL, never, "float32", "bfloat16", ""),
        ("bfloat16", OLD, LARGE, never, None, "bfloat16", "it was asked for, but this processor emulates"),
        (
            "auto",
            OLD,
            LARGE,
            never,
            None,
            "float32",
            "this processor emulates bfloat16, about 8 times slower",
        ),
        ("auto", NEW, SMALL, never, None, "float32", "too small to gain"),
        ("auto", NEW, LARGE, lambda: 0.012, None, "bfloat16", "differ by 1.2% of their spread"),
        ("auto", GPU, LARGE, lambda: 0.012, None, "bfloat16", "this cuda device computes in bfloat16"),
        ("auto", NEW, LARGE, lambda: 0.2, None, "float32", "differ by 20.0% .* at most 5% is accepted"),
        ("auto", NEW, LARGE, lambda: math.inf, None, "float32", "at most 5% is accepted"),
        ("auto", NEW, LARGE, lambda: math.nan, None, "float32", "at most 5% is accepted"),
        ("auto", NEW, LARGE, lambda: None, None, "float32", "can be read only once"),
        ("auto", NEW, LARGE, never, "float32", "float32", "exist already have it"),
        ("auto", NEW, SMALL, never, "bfloat16", "bfloat16", "exist already have it"),
        (
            "auto",
            OLD,
            LARGE,
            never,
            "bfloat16",
            "bfloat16",
            "exist already have it, but this processor emulates bfloat16",
        ),
    ],
)
def test_decisions(asked, on, macs, deviation, begun, expected, reason):
    decision = decide(asked, on, macs_a_module=macs, deviation=deviation, begun=begun)
    assert decision.precision == expected
    assert decision.is_warning == (expected == "bfloat16" and on is OLD)
    assert re.search(reason, decision.reason)
    assert bool(reason) == bool(decision.reason)


def test_an_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"precision 'float16'.*auto, bfloat16, float32"):
        decide("float16", NEW, macs_a_module=LARGE, deviation=never)


# -- the facts --

FACTS = "import torch; from unravelnet.machine import machine_of; print(machine_of(torch.device('cpu')))"


@pytest.mark.parametrize("value", ["AVX2", "avx2", "SSE41", "AVX512_CORE", "avx512_core_vnni"])
@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_a_processor_held_to_older_instructions_emulates(monkeypatch, name, value):
    # In this process oneDNN has chosen already: 512-bit vectors are as the child below sees them.
    if value.upper().startswith("AVX512"):
        monkeypatch.setenv(name, value)
        assert not machine_of(torch.device("cpu")).multiplies_bfloat16
    elif (name, value) == ("ONEDNN_MAX_CPU_ISA", "AVX2"):
        ran = subprocess.run(
            [sys.executable, "-c", FACTS], env=os.environ | {name: value}, capture_output=True, text=True
        )
        assert ran.stdout == f"{OLD}\n", ran.stderr


def test_a_processor_is_what_its_flags_say():
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        pytest.skip("no /proc/cpuinfo")
    held = any(os.environ.get(name) for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"))
    if held or "flags" not in flags:
        pytest.skip("another processor, or told what to use")
    assert machine_of(torch.device("cpu")).multiplies_bfloat16 == (
        "avx512_bf16" in flags or "amx_bf16" in flags
    )


def test_other_devices_are_not_relied_on():
    assert machine_of(torch.device("meta")) == Machine("meta", multiplies_bfloat16=False)


# -- whether a network tolerates it --


def test_the_deviation_is_that_of_rounded_inputs_and_weights():
    layer = nn.Linear(64, 10)
    x = torch.randn(8, 64)

    def run(inputs, precision):
        with in_precision(torch.device("cpu"), precision):
            return layer(inputs)

    exact, rounded = (
        layer(x).double(),
        (x.bfloat16() @ layer.weight.T.bfloat16() + layer.bias.bfloat16()).double(),
    )
    spread = exact - exact.mean(1, keepdim=True)
    by_hand = ((rounded - rounded.mean(1, keepdim=True) - spread).norm() / spread.norm()).item()
    assert deviation_in_bfloat16(run, x) == pytest.approx(by_hand, rel=0.5)
    assert 0 < by_hand < 0.02


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (([[1.0, 3.0]], [[1.5, 3.5]]), 0.0),  # what all classes share does not count
        (([[1.0, 3.0]], [[1.0, 4.0]]), 0.5),
        (([[1.0, 3.0]], [[1.0, math.inf]]), math.inf),
        (([[2.0, 2.0]], [[2.0, 2.0]]), 0.0),
        (([[2.0, 2.0]], [[2.0, 3.0]]), math.inf),
        (([4.0], [5.0]), 0.25),
    ],
)
def test_deviations_by_hand(outputs, expected):
    exact, rounded = (torch.tensor(output) for output in outputs)
    run = {
        "float32": {"a": exact, "n": torch.tensor([1])},
        "bfloat16": {"a": rounded, "n": torch.tensor([2])},
    }
    assert deviation_in_bfloat16(lambda _, precision: run[precision], exact) == pytest.approx(expected)


def test_random_numbers_are_the_same_in_both_and_are_given_back():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    assert deviation_in_bfloat16(lambda x, _: torch.rand(2, 3), torch.zeros(1)) == 0
    assert torch.equal(torch.rand(3), expected)


def test_a_stream_that_is_read_only_once_is_left_alone():
    stream = iter([DATA, DATA])
    assert few_inputs(as_batches(stream, batch_size=4)) is None
    assert len(list(stream)) == 2
    few = few_inputs(as_batches([DATA, DATA], batch_size=4))
    assert torch.equal(few, DATA[0][:8])


# -- through the front doors --


@pytest.fixture
def on(monkeypatch):
    """Give a function that says on which machine it goes on."""
    return lambda where: monkeypatch.setattr(machine, "machine_of", lambda device: where)


@pytest.fixture(scope="module")
def net():
    return zoo.preact_resnet(8, seed=0)


def spoiled():
    """A network whose outputs are small differences of large numbers."""
    net = zoo.preact_resnet(8, seed=0)
    last = [m for m in net.head.modules() if isinstance(m, nn.Linear)][-1]
    with torch.no_grad():
        last.weight += 1e4
    return net


def precisions(table):
    return {row["precision"] for row in table}


@pytest.mark.parametrize(("where", "expected"), [(OLD, "float32"), (NEW, "bfloat16")])
def test_auto_is_written_into_the_rows(net, on, where, expected, caplog):
    caplog.set_level("INFO")
    on(where)
    routes = [net.full_route, net.full_route.delete(1)]
    table = evaluate(net, routes, DATA, metrics=["loss"], precision="auto")
    assert precisions(table) == {expected}
    assert f"measured in {expected}: this processor" in caplog.text
    exact = evaluate(net, routes, DATA, metrics=["loss"], precision=expected)
    assert list(table) == list(exact)
    assert precisions(ensemble_of_routes(net, DATA, n_routes=2, sizes=[1], precision="auto")) == {expected}


def test_a_network_that_does_not_tolerate_it_stays_in_float32(on, caplog):
    caplog.set_level("INFO")
    on(NEW)
    net = spoiled()
    assert precisions(evaluate(net, [net.full_route], DATA, precision="auto")) == {"float32"}
    assert "of their spread, and at most 5% is accepted" in caplog.text


def test_an_ensemble_has_one_precision_for_all_its_networks(net, on):
    on(NEW)
    table = ensemble_of_routes(net, DATA, n_routes=2, sizes=[1], others=[spoiled()], precision="auto")
    assert precisions(table) == {"float32"}


def test_python_measures_in_float32_without_a_word(net, on, caplog):
    caplog.set_level("INFO")
    on(NEW)
    assert precisions(evaluate(net, [net.full_route], DATA)) == {"float32"}
    assert caplog.text == ""


def test_emulated_bfloat16_is_done_with_a_warning_that_names_the_factor(net, on, caplog):
    on(OLD)
    assert precisions(evaluate(net, [net.full_route], DATA, precision="bfloat16")) == {"bfloat16"}
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "asked for, but this processor emulates bfloat16, about 8 times slower than float32" in caplog.text


@pytest.mark.parametrize(("first", "then", "expected"), [(NEW, OLD, "bfloat16"), (OLD, NEW, "float32")])
def test_a_store_goes_on_in_the_precision_it_was_begun_in(net, on, first, then, expected, tmp_path, caplog):
    caplog.set_level("INFO")
    routes = [net.full_route, net.full_route.delete(1)]
    with ResultsStore(tmp_path) as store:
        on(first)
        begun = evaluate(net, routes[:1], DATA, precision="auto", store=store)
        on(then)
        caplog.clear()
        table = evaluate(net, routes, DATA, precision="auto", store=store)
        assert "the results that exist already have it" in caplog.text
        assert ("8 times slower" in caplog.text) == (then is OLD)
        assert precisions(begun) == precisions(table) == {expected}
        other = zoo.preact_resnet(8, seed=1)
        own = "float32" if then is OLD else "bfloat16"
        assert precisions(evaluate(other, [other.full_route], DATA, precision="auto", store=store)) == {own}


class Stop(Exception):
    pass


def stop(status):
    if status.epoch == 2:
        raise Stop


@pytest.mark.parametrize(("first", "then", "expected"), [(NEW, OLD, "bfloat16"), (OLD, NEW, "float32")])
def test_a_training_goes_on_in_the_precision_it_was_begun_in(on, first, then, expected, tmp_path, caplog):
    caplog.set_level("INFO")
    options = {"epochs": 2, "batch_size": 6}
    on(first)
    with pytest.raises(Stop):
        train(zoo.preact_resnet(8, seed=0), DATA, out=tmp_path, on_batch=stop, **options)
    on(then)
    caplog.clear()
    train(zoo.preact_resnet(8, seed=0), DATA, out=tmp_path, **options)
    assert f"trained in {expected}: the results that exist already have it" in caplog.text
    assert ("8 times slower" in caplog.text) == (then is OLD)
    assert read(tmp_path).identity["precision"] == expected
    assert zoo.read_description(tmp_path).facts["training"]["precision"] == expected
    assert read_json(tmp_path / "run.json", missing="")["training"]["precision"] == expected


def test_trainings_of_small_images_are_in_float32_on_every_machine(on):
    weights = []
    for where in (OLD, NEW):
        on(where)
        net = zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
        train(net, (torch.ones(4, 1, 8, 8), torch.arange(4)), epochs=1, batch_size=4)
        weights.append(net.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_data_that_does_not_fit_is_explained_as_in_float32(net, on):
    on(NEW)
    told = []
    for precision in ("float32", "auto"):
        with pytest.raises(UnravelError, match="does not take them") as raised:
            evaluate(net, [net.full_route], (torch.zeros(4, 5, 32, 32), torch.arange(4)), precision=precision)
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_a_bench_is_in_float32_until_it_is_decided():
    bench = Bench(zoo.preact_resnet(8, seed=0), precision="auto")
    assert bench.run(DATA[0]).dtype == torch.float32
