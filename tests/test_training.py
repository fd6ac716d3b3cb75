"""Training against torch's optimiser in a loop written out, and against its own interruption."""

from __future__ import annotations

import copy
import errno
import json
import math
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.forked import forked, was_killed
from unravelnet import zoo
from unravelnet.data import Augmentation, ImageData, load
from unravelnet.errors import CheckpointError, DataError, TrainingError, UnknownNameError
from unravelnet.network import ResidualModule, UnraveledNetwork, first_tensor
from unravelnet.records.record import load_table
from unravelnet.training import checkpoint
from unravelnet.training.data import TrainingData
from unravelnet.training.fused_normalisation import FusedBatchNorm2d, load_operator
from unravelnet.training.loop import TrainingStatus, train
from unravelnet.training_plan import TrainingPlan

DIGITS = (1, 8, 8)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(depth=8, seed=0, **options):
    return zoo.preact_resnet(depth, input_shape=DIGITS, widths=(8, 8, 16), seed=seed, **options)


def some_digits(n=96, split="train"):
    return load("digits", split, limit=n)


def weights(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


# -- it learns --


def test_a_small_network_learns_digits():
    net = zoo.preact_resnet(8, input_shape=DIGITS, seed=0)
    history = train(net, "digits", epochs=6, schedule="one-cycle", batch_size=64)
    assert len(history) == 6
    last = history[-1]
    assert last["test_error_rate"] < 0.05
    assert not net.training
    # The rate in the history is that of the network as it was left.
    images, targets = load("digits").batch(torch.arange(450))
    with torch.no_grad():
        wrong = (net(images).argmax(1) != targets).sum().item()
    assert last["test_error_rate"] == pytest.approx(wrong / 450, abs=1.1 / 450)


@pytest.mark.parametrize("routes", ["stochastic-depth:0.5", "exactly:2", "uniform"])
def test_random_routes_learn_too(routes):
    net = zoo.preact_resnet(14, input_shape=DIGITS, seed=0)
    train(net, "digits", epochs=5, schedule="one-cycle", batch_size=64, routes=routes)
    images, targets = load("digits", "train", limit=400).batch(torch.arange(400))
    net.train()  # statistics of the batch: those of the whole network were never collected
    with torch.no_grad():
        assert (net(images).argmax(1) != targets).float().mean() < 0.4  # chance is 0.9


def test_networks_without_normalisation_learn():
    net = zoo.vgg15(normalisation=False, input_shape=DIGITS, seed=0)
    history = train(net, load("digits", "train"), epochs=3, schedule="one-cycle", augment=False)
    # A tenth of the usual rate, and below chance, 2.303, which a network that is dead stays at.
    assert max(row["learning_rate"] for row in history) < 0.0101
    assert history[-1]["train_loss"] < 2.25


def test_bfloat16_learns():
    net = zoo.preact_resnet(8, input_shape=DIGITS, seed=0)
    history = train(net, "digits", epochs=4, schedule="one-cycle", batch_size=64, precision="bfloat16")
    assert history[-1]["test_error_rate"] < 0.15
    assert {tensor.dtype for tensor in net.parameters()} == {torch.float32}


# -- it is what was asked for --


def loop_by_hand(net, data, plan):
    """Write out the training of full routes, without augmentation, with an ordinary optimiser."""
    optimiser = torch.optim.SGD(
        net.parameters(), lr=0.1, momentum=plan.momentum, weight_decay=plan.weight_decay, nesterov=True
    )
    generator = torch.Generator().manual_seed(plan.seed)
    net.train()
    n = len(data)
    for epoch in range(plan.epochs):
        order = torch.randperm(n, generator=generator)
        n_batches = math.ceil(n / plan.batch_size)
        for batch in range(n_batches):
            images, targets = data.batch(order[batch * plan.batch_size : (batch + 1) * plan.batch_size])
            iteration = epoch * n_batches + batch
            optimiser.param_groups[0]["lr"] = plan.learning_rate_at(iteration, plan.epochs * n_batches)
            optimiser.zero_grad()
            loss = F.cross_entropy(net(images), targets, label_smoothing=plan.label_smoothing)
            loss.backward()
            optimiser.step()
    return net


def test_weights_are_those_of_a_loop_with_torchs_optimiser():
    plan = TrainingPlan(
        epochs=2,
        batch_size=20,
        learning_rate=0.05,
        weight_decay=1e-2,
        label_smoothing=0.1,
        augment=False,
        seed=4,
    )
    data = some_digits(70)
    net, by_hand = small(), small()
    train(net, data, plan=plan)
    loop_by_hand(by_hand, data, plan)
    for name, tensor in by_hand.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], tensor, rtol=2e-3, atol=2e-4, msg=name)


def test_one_step_by_hand():
    # First step of SGD with Nesterov momentum: buffer = g, step = lr (g + m g), with g = gradient + decay · w.
    data, net = some_digits(16), small()
    before = copy.deepcopy(net).train()
    images, targets = data.batch(torch.randperm(16, generator=torch.Generator().manual_seed(0)))
    F.cross_entropy(before(images), targets).backward()
    train(net, data, epochs=1, batch_size=16, learning_rate=0.1, warmup_iterations=0, augment=False)
    for (name, new), old in zip(net.named_parameters(), before.parameters(), strict=True):
        gradient = old.grad + 1e-4 * old.detach()
        expected = old.detach() - 0.1 * 1.9 * gradient
        torch.testing.assert_close(new.detach(), expected, rtol=1e-4, atol=1e-6, msg=name)


def test_a_skipped_branch_is_not_computed_and_its_statistics_stay():
    net = small()
    untouched = weights(net.residual_modules[2].branch)
    train(net, some_digits(), epochs=1, routes="exactly:0", weight_decay=0.0)
    assert_same_weights(weights(net.residual_modules[2].branch), untouched)
    assert net.residual_modules[2].branch.norm1.num_batches_tracked == 0
    assert net.head.norm.num_batches_tracked == 1


def test_a_skipped_branch_still_decays():
    net = small()
    before = net.residual_modules[2].branch.conv1.weight.detach().clone()
    train(
        net, some_digits(), epochs=1, routes="exactly:0", weight_decay=0.1, momentum=0.0, warmup_iterations=0
    )
    after = net.residual_modules[2].branch.conv1.weight.detach()
    torch.testing.assert_close(after, before * (1 - 0.1 * 0.1))


def test_branches_run_as_often_as_the_sampler_says(monkeypatch):
    n_runs = np.zeros(9, dtype=int)
    original = ResidualModule.take_branch

    def counted(self, *arguments):
        n_runs[self.index] += self.training
        return original(self, *arguments)

    monkeypatch.setattr(ResidualModule, "take_branch", counted)
    net = zoo.preact_resnet(20, input_shape=DIGITS, widths=(4, 4, 4), seed=0)
    train(net, some_digits(90), epochs=4, batch_size=10, routes="exactly:4")
    assert n_runs.sum() == 36 * 4
    n_runs[:] = 0
    train(net, some_digits(90), epochs=1, batch_size=10, routes="all")
    assert (n_runs == 9).all()


def test_stochastic_depth_scales_branches_at_test_time_and_saves_the_scales(tmp_path):
    net = small(14)
    train(net, some_digits(), epochs=1, routes="stochastic-depth:0.4", out=tmp_path)
    expected = [1 - module / 6 * 0.6 for module in range(1, 7)]
    assert [module.branch_scale for module in net.residual_modules] == pytest.approx(expected)
    again = zoo.load(tmp_path)
    assert [module.branch_scale for module in again.residual_modules] == pytest.approx(expected)
    train(net, some_digits(), epochs=1)
    assert {module.branch_scale for module in net.residual_modules} == {1.0}


def test_plain_layers_that_change_shape_are_never_skipped_and_none_is_scaled():
    net = zoo.plain(14, input_shape=DIGITS, widths=(4, 8, 8), seed=0)
    train(net, some_digits(), epochs=1, routes="stochastic-depth:0.1", batch_size=10)
    assert {module.branch_scale for module in net.residual_modules} == {1.0}
    with pytest.raises(TrainingError, match="of which 2 cannot be skipped"):
        train(net, some_digits(), epochs=1, routes="exactly:0")


def test_images_are_augmented_as_the_plan_says(monkeypatch):
    used = []
    original = Augmentation.apply

    def noted(self, *arguments, **options):
        used.append(self)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Augmentation, "apply", noted)
    for options in ({}, {"flip": True}, {"pad": 0}, {"augment": False}):
        train(small(), some_digits(), epochs=1, **options)
    assert used == [Augmentation(1, False), Augmentation(1, True), Augmentation(0, False)]


def test_images_have_the_sizes_that_the_plan_says():
    net, heights = small(), []
    net.stem.register_forward_pre_hook(
        lambda module, inputs: heights.append(tuple(inputs[0].shape[2:])) if module.training else None
    )
    train(net, some_digits(32), epochs=5, batch_size=16, image_sizes="4,6,8")
    assert heights == [(4, 4)] * 4 + [(6, 6)] * 4 + [(8, 8)] * 2


def test_smaller_images_show_the_same_in_less_detail():
    # A linear ramp, halved: each new pixel is the mean of the two that it covers, but for the edges.
    ramp = torch.arange(8.0).expand(4, 1, 8, 8).contiguous()
    data = TrainingData.open((ramp, torch.zeros(4, dtype=torch.int64)), TrainingPlan(epochs=1))
    halved = first_tensor(data.batch(torch.arange(4), 4)[0])
    torch.testing.assert_close(halved[:, :, :, 1:3], torch.tensor([2.5, 4.5]).expand(4, 1, 4, 2))
    assert torch.equal(first_tensor(data.batch(torch.arange(4), 8)[0]), ramp)


def test_sizes_are_of_images_only():
    flat = (torch.zeros(4, 64), torch.zeros(4, dtype=torch.int64))
    data = TrainingData.open(flat, TrainingPlan(epochs=1))
    with pytest.raises(TrainingError, match=r"image_sizes is for images, and .* holds none\. Leave it out"):
        data.batch(torch.arange(2), 4)


def test_a_last_size_that_is_not_the_datas_is_warned_of(caplog):
    train(small(), some_digits(32), epochs=2, image_sizes="4,8")
    assert not caplog.text
    train(small(), some_digits(32), epochs=2, image_sizes="8,4")
    assert "has 8: the network will be used on others than it learned from" in caplog.text


def test_the_network_is_tested_as_often_as_the_plan_says():
    history = train(small(), some_digits(32), epochs=5, test_every=2, validation=some_digits(40, "test"))
    assert [math.isnan(row["test_error_rate"]) for row in history] == [True, False, True, False, False]


@pytest.mark.parametrize(("n_epochs", "is_fused"), [(1, False), (100_000, True)])
def test_long_trainings_are_fused_and_short_ones_are_not(monkeypatch, n_epochs, is_fused):
    # 10^13 MACs are worth it: the network has 112,288 an image, of which there are 1,000.
    net = small()
    assert (net.total_macs * 1000 * n_epochs > 1e13) == is_fused
    seen = []

    def stop(_):
        seen.append(any(isinstance(module, FusedBatchNorm2d) for module in net.modules()))
        raise Stop

    monkeypatch.setattr("unravelnet.training.acceleration.load_operator", lambda: True)
    with pytest.raises(Stop):
        train(net, some_digits(1000), epochs=n_epochs, on_batch=stop)
    assert seen == [is_fused]


def test_asked_for_and_not_to_be_had(monkeypatch):
    monkeypatch.setattr("unravelnet.training.acceleration.load_operator", lambda: False)
    with pytest.raises(TrainingError, match="fused is True, and the operation could not be compiled"):
        train(small(), some_digits(32), epochs=1, fused=True)


@pytest.mark.skipif(not load_operator(), reason="the fused operation cannot be compiled here")
def test_fused_layers_learn_what_the_plain_ones_do():
    nets = {fused: small(14) for fused in (False, True)}
    for fused, net in nets.items():
        train(net, some_digits(), epochs=2, batch_size=24, fused=fused)
        assert not any(isinstance(module, FusedBatchNorm2d) for module in net.modules())
    start = small(14).state_dict()
    for name, weight in nets[False].state_dict().items():
        if weight.is_floating_point():
            moved = (weight - start[name]).norm()
            assert (weight - nets[True].state_dict()[name]).norm() <= 2e-3 * moved + 1e-6, name


@pytest.mark.parametrize("n", [33, 34])
def test_a_last_batch_of_one_image_is_left_out(n):
    seen: list[TrainingStatus] = []
    train(small(), some_digits(n), epochs=1, batch_size=16, on_batch=seen.append)
    assert seen[-1].n_batches == len(seen) == (2 if n == 33 else 3)


@pytest.mark.parametrize("form", ["tensors", "dataset", "image data"])
def test_data_in_other_forms_gives_the_same_weights(form):
    data = some_digits()
    tensors = data.batch(torch.arange(len(data)))
    forms = {"tensors": tensors, "dataset": TensorDataset(*tensors), "image data": data}
    net, reference = small(), small()
    train(net, forms[form], epochs=1, batch_size=20, augment=False)
    train(reference, data, epochs=1, batch_size=20, augment=False)
    assert_same_weights(weights(net), weights(reference))


def test_without_validation_the_test_error_is_not_a_number():
    history = train(small(), some_digits(), epochs=1)
    assert math.isnan(history[0]["test_error_rate"])
    history = train(small(), some_digits(), epochs=1, validation=some_digits(40, "test"))
    assert 0 <= history[0]["test_error_rate"] <= 1


# -- what the caller sees and gets back --


def test_progress_and_status():
    seen: list[TrainingStatus] = []
    wrapped = []

    def progress(batches):
        wrapped.append(len(batches))
        yield from batches

    train(small(), some_digits(96), epochs=2, batch_size=32, progress=progress, on_batch=seen.append)
    assert wrapped == [3, 3]
    assert [(status.epoch, status.batch) for status in seen] == [(e, b) for e in (1, 2) for b in (1, 2, 3)]
    assert all(isinstance(status, TrainingStatus) and status.images_per_second > 0 for status in seen)
    assert seen[-1].seconds_left == 0 < seen[0].seconds_left
    assert 0 <= seen[-1].error_rate <= 1


def test_the_callers_random_state_and_layout_come_back():
    net = small()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    train(net, some_digits(), epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.is_contiguous() and parameter.grad is None for parameter in net.parameters())


def test_seeds_decide():
    trained = [small() for _ in range(3)]
    for net, seed in zip(trained, (1, 1, 2), strict=True):
        train(net, some_digits(), epochs=1, batch_size=32, seed=seed, routes="uniform")
    assert trained[0].fingerprint() == trained[1].fingerprint() != trained[2].fingerprint()


# -- on disk --


def settings(**changes):
    # Everything that draws random numbers or keeps state.
    return {
        "epochs": 4,
        "batch_size": 24,
        "routes": "stochastic-depth:0.5",
        "schedule": "one-cycle",
        "flip": True,
        **changes,
    }


class Stop(Exception):
    pass


def stop_at(epoch, batch, error=Stop):
    def on_batch(status):
        if (status.epoch, status.batch) == (epoch, batch):
            raise error

    return on_batch


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"channels_last": False},
        pytest.param({"fused": True}, marks=pytest.mark.skipif(not load_operator(), reason="not compiled")),
        {"image_sizes": "4,8"},
    ],
    ids=["usual", "default layout", "fused", "sizes"],
)
@pytest.mark.parametrize(("epoch", "batch"), [(2, 1), (3, 2), (4, 4)])
def test_a_training_that_stopped_ends_with_the_same_weights(tmp_path, epoch, batch, changes):
    options = settings(**changes)
    never_stopped = small(14)
    expected = train(never_stopped, some_digits(), validation=some_digits(40, "test"), **options)
    with pytest.raises(Stop):
        train(
            small(14), some_digits(), validation=some_digits(40, "test"), out=tmp_path,
            on_batch=stop_at(epoch, batch), **options,
        )  # fmt: skip
    net = small(14, seed=9)  # what it holds at first does not matter
    history = train(net, some_digits(), validation=some_digits(40, "test"), out=tmp_path, **options)
    assert_same_weights(weights(net), weights(never_stopped))
    for name in ("train_loss", "train_error_rate", "test_error_rate", "learning_rate"):
        assert [row[name] for row in history] == [row[name] for row in expected]
    assert zoo.load(tmp_path).fingerprint() == never_stopped.fingerprint()


def test_dropout_goes_on_as_it_would_have(tmp_path):
    def make():
        net = small()
        net.head.linear = nn.Sequential(nn.Dropout(0.5), net.head.linear)
        return net

    never_stopped, stopped, again = make(), make(), make()
    train(never_stopped, some_digits(), **settings(), validation=None)
    # A network with a part of the user's own is of the zoo no more.
    for net in (stopped, again):
        del net.recipe
    with pytest.raises(Stop):
        train(stopped, some_digits(), out=tmp_path, on_batch=stop_at(3, 1), **settings())
    train(again, some_digits(), out=tmp_path, **settings())
    assert_same_weights(weights(again), weights(never_stopped))
    assert (tmp_path / "weights.safetensors").exists()
    assert not (tmp_path / "network.json").exists()


def train_slowly(directory):
    """Train, and leave time to be killed in an epoch behind the second."""
    torch.set_num_threads(1)

    def on_batch(status):
        if status.epoch > 1:
            (directory.parent / "at").write_text(f"{status.epoch}")
            time.sleep(0.05)

    train(small(14), some_digits(), out=directory, on_batch=on_batch, **settings())


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    at = tmp_path / "at"
    with forked(train_slowly, tmp_path / "run") as process:
        while not (at.exists() and at.read_text() == "3"):
            assert process.is_alive()
            time.sleep(0.005)
        time.sleep(0.02)
    assert was_killed(process)
    never_stopped, net = small(14), small(14)
    train(never_stopped, some_digits(), **settings())
    epochs_run = []
    train(
        net, some_digits(), out=tmp_path / "run", on_batch=lambda s: epochs_run.append(s.epoch), **settings()
    )
    assert min(epochs_run) == 3
    assert_same_weights(weights(net), weights(never_stopped))


def test_a_finished_training_is_loaded_at_once(tmp_path):
    first, second = small(), small(seed=1)
    history = train(first, some_digits(), out=tmp_path, **settings())
    changed = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def never(_):
        raise AssertionError("it trains again")

    again = train(second, some_digits(), out=tmp_path, on_batch=never, **settings())
    assert again == history == load_table(tmp_path / "history.csv")
    assert_same_weights(weights(second), weights(first))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == changed


def test_the_directory_of_a_training(tmp_path):
    net = small()
    train(net, some_digits(), out=tmp_path / "run", **settings())
    files = sorted(str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*.*"))
    assert files == [
        "checkpoint/checkpoint.json",
        "checkpoint/state-0004.safetensors",
        "history.csv",
        "network.json",
        "run.json",
        "weights.safetensors",
    ]
    description = zoo.read_description(tmp_path / "run")
    assert description.data == "digits"
    assert description.classes == tuple("0123456789")
    assert description.facts["training"]["routes"] == "stochastic-depth:0.5"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["training"]["seed"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"learning_rate": 0.05},
            "holds another training, with learning_rate = 0.1; learning_rate = 0.05 was given",
        ),
        ({"epochs": 5}, "holds another training, with epochs = 4; epochs = 5 was given"),
        ({"seed": 1}, "holds another training, with seed = 0; seed = 1 was given"),
    ],
)
def test_another_training_in_the_same_directory_is_refused(tmp_path, changes, message):
    train(small(), some_digits(), out=tmp_path, **settings())
    net = small()
    before = weights(net)
    with pytest.raises(TrainingError) as caught:
        train(net, some_digits(), out=tmp_path, **settings(**changes))
    assert message in str(caught.value)
    assert "another directory" in str(caught.value)
    assert_same_weights(weights(net), before)


def test_another_network_or_other_data_in_the_same_directory_is_refused(tmp_path):
    train(small(), some_digits(), out=tmp_path, **settings())
    with pytest.raises(
        TrainingError, match=r"another training, with network = 'preact-resnet8 .*'preact-resnet14"
    ):
        train(small(14), some_digits(), out=tmp_path, **settings())
    with pytest.raises(TrainingError, match="another training, with data = 'digits"):
        train(small(), some_digits(95), out=tmp_path, **settings())


def test_ctrl_c_leaves_the_last_full_epoch(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(small(), some_digits(), out=tmp_path, on_batch=stop_at(3, 2, KeyboardInterrupt), **settings())
    assert len(load_table(tmp_path / "history.csv")) == 2
    assert [path.name for path in (tmp_path / "checkpoint").glob("*.safetensors")] == [
        "state-0002.safetensors"
    ]
    with pytest.raises(CheckpointError, match="has not finished"):
        zoo.load(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    original = os.fsync

    def full_in_epoch_3(status):
        if status.epoch == 3:

            def fsync(_):
                raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(os, "fsync", fsync)

    with pytest.raises(CheckpointError, match="No space left on device"):
        train(small(14), some_digits(), out=tmp_path, on_batch=full_in_epoch_3, **settings())
    monkeypatch.setattr(os, "fsync", original)
    net, never_stopped = small(14), small(14)
    train(net, some_digits(), out=tmp_path, **settings())
    train(never_stopped, some_digits(), **settings())
    assert_same_weights(weights(net), weights(never_stopped))


@pytest.mark.parametrize("harm", ["state", "index", "tensors"])
def test_a_damaged_checkpoint_is_explained(tmp_path, harm):
    with pytest.raises(Stop):
        train(small(), some_digits(), out=tmp_path, on_batch=stop_at(3, 1), **settings())
    index = tmp_path / "checkpoint" / "checkpoint.json"
    state = tmp_path / "checkpoint" / "state-0002.safetensors"
    if harm == "state":
        state.write_bytes(state.read_bytes()[:-50])
    elif harm == "index":
        content = json.loads(index.read_text())
        del content["epoch"]
        index.write_text(json.dumps(content))
    else:
        zoo.save(small(), tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "weights.safetensors").replace(state)
    net = small()
    with pytest.raises(CheckpointError, match=r"is damaged|KeyError: 'epoch'|does not hold"):
        train(net, some_digits(), out=tmp_path, **settings())


# -- weights kept on the way --


def kept_weights(directory):
    return {epoch: checkpoint.read_epoch(directory, epoch) for epoch in checkpoint.epochs_kept(directory)}


def assert_same_epochs(first, second):
    assert list(first) == list(second)
    for epoch in first:
        assert_same_weights(first[epoch], second[epoch])


def test_the_weights_kept_are_those_that_were_there(tmp_path):
    net, seen = small(14), {}
    seen[0] = weights(net)

    def note(status):
        if status.batch == 1 and status.epoch > 1:  # the first batch has changed the weights already
            seen[status.epoch - 1] = weights(read_state(tmp_path))

    train(net, some_digits(), out=tmp_path, on_batch=note, **settings(keep_epochs="all"))
    seen[4] = weights(net)
    assert_same_epochs(kept_weights(tmp_path), seen)
    assert sorted(path.name for path in (tmp_path / "epochs").iterdir()) == [
        f"000{epoch}.safetensors" for epoch in range(5)
    ]
    # Each of them is a network again.
    again = zoo.load(tmp_path)
    again.load_weights(checkpoint.read_epoch(tmp_path, 4))
    assert again.fingerprint() == net.fingerprint()


def read_state(directory):
    """Give the network of the checkpoint that is there now."""
    net = small(14)
    net.load_weights(checkpoint.read(directory).under("weights."))
    return net


def test_only_the_epochs_asked_for_are_kept(tmp_path):
    train(small(), some_digits(), out=tmp_path, **settings(keep_epochs="2"))
    assert checkpoint.epochs_kept(tmp_path) == [2, 4]
    with pytest.raises(CheckpointError, match="no weights after epoch 3: kept are those after 2, 4"):
        checkpoint.read_epoch(tmp_path, 3)
    with pytest.raises(CheckpointError, match="no weights after epoch 3: none were kept"):
        checkpoint.read_epoch(tmp_path / "elsewhere", 3)


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (3, 1)])
def test_a_training_that_stopped_keeps_the_same_weights(tmp_path, epoch, batch):
    options = settings(keep_epochs="0,1,3")
    train(small(14), some_digits(), out=tmp_path / "never stopped", **options)
    with pytest.raises(Stop):
        train(small(14), some_digits(), out=tmp_path / "stopped", on_batch=stop_at(epoch, batch), **options)
    train(small(14), some_digits(), out=tmp_path / "stopped", **options)
    assert_same_epochs(kept_weights(tmp_path / "stopped"), kept_weights(tmp_path / "never stopped"))


def train_until_killed(directory, moment):
    """Train and keep all weights; die between those of epoch 2 and its checkpoint, or while they are written."""
    torch.set_num_threads(1)
    replace, write = Path.replace, checkpoint.write

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def replace_or_die(written, target):
        if target.name == "0002.safetensors":
            os.truncate(written, written.stat().st_size // 2)
            die()
        return replace(written, target)

    def write_or_die(directory, state):
        return die() if state.epoch == 2 else write(directory, state)

    with pytest.MonkeyPatch.context() as patch:
        if moment == "during":
            patch.setattr(Path, "replace", replace_or_die)
        else:
            patch.setattr(checkpoint, "write", write_or_die)
        train(small(14), some_digits(), out=directory, **settings(keep_epochs="all"))


@pytest.mark.parametrize("moment", ["between", "during"])
def test_a_process_killed_while_it_keeps_weights_loses_nothing(tmp_path, moment):
    options = settings(keep_epochs="all")
    with forked(train_until_killed, tmp_path, moment) as process:
        process.join(120)
    assert was_killed(process)
    # Between the weights of epoch 2 and its checkpoint; or with those weights half-written.
    assert checkpoint.epochs_kept(tmp_path) == ([0, 1, 2] if moment == "between" else [0, 1])
    assert checkpoint.read(tmp_path).epoch == 1
    train(small(14), some_digits(), out=tmp_path, **options)
    train(small(14), some_digits(), out=tmp_path / "never stopped", **options)
    assert_same_epochs(kept_weights(tmp_path), kept_weights(tmp_path / "never stopped"))


def test_a_training_begun_without_keeping_goes_on_and_keeps_what_is_to_come(tmp_path, caplog):
    with pytest.raises(Stop):
        train(small(14), some_digits(), out=tmp_path, on_batch=stop_at(3, 1), **settings())
    # As it was written before there was such a setting.
    assert (
        "keep_epochs" not in json.loads((tmp_path / "checkpoint" / "checkpoint.json").read_text())["identity"]
    )
    train(small(14), some_digits(), out=tmp_path, **settings(keep_epochs="1,2,3"))
    assert "after epoch 1 were not kept" in caplog.text
    train(small(14), some_digits(), out=tmp_path / "kept", **settings(keep_epochs="2,3"))
    assert_same_epochs(kept_weights(tmp_path), kept_weights(tmp_path / "kept"))


def test_keeping_weights_changes_nothing_of_a_training(tmp_path):
    plain, keeping = small(14), small(14)
    train(plain, some_digits(), **settings())
    train(keeping, some_digits(), out=tmp_path, **settings(keep_epochs="all"))
    assert_same_weights(weights(keeping), weights(plain))


def test_a_new_training_forgets_the_weights_of_an_older_one(tmp_path):
    with pytest.raises(Stop):
        train(small(), some_digits(), out=tmp_path, on_batch=stop_at(4, 1), **settings(keep_epochs="all"))
    assert checkpoint.epochs_kept(tmp_path) == [0, 1, 2, 3]
    shutil.rmtree(tmp_path / "checkpoint")
    train(small(), some_digits(), out=tmp_path, **settings(seed=1, keep_epochs="3"))
    assert checkpoint.epochs_kept(tmp_path) == [3, 4]


def test_weights_cannot_be_kept_nowhere():
    with pytest.raises(TrainingError, match="there is no directory to keep them in"):
        train(small(), some_digits(), **settings(keep_epochs="all"))


# -- what cannot be trained --


def test_a_training_that_diverges_names_the_last_good_checkpoint(tmp_path):
    def poison(status):
        if status.epoch == 3:
            with torch.no_grad():
                net.head.linear.bias.fill_(math.nan)

    net = small()
    with pytest.raises(TrainingError) as caught:
        train(net, some_digits(), out=tmp_path, on_batch=poison, **settings())
    message = str(caught.value)
    assert "The loss is nan in batch 2 of epoch 3" in message
    assert f"after epoch 2, is in {tmp_path}" in message
    assert "Lower the learning rate" in message
    kept = zoo.store.read_weights(tmp_path / "checkpoint" / "state-0002.safetensors")
    assert all(tensor.isfinite().all() for tensor in kept.values())


def test_weights_that_break_in_the_last_step_are_not_kept(tmp_path):
    def poison(status):
        if (status.epoch, status.batch) == (2, 4):
            with torch.no_grad():
                net.head.linear.bias.fill_(math.inf)

    net = small()
    with pytest.raises(TrainingError, match="Weights are not finite at the end of epoch 2"):
        train(net, some_digits(), out=tmp_path, on_batch=poison, **settings())
    assert not (tmp_path / "checkpoint" / "state-0002.safetensors").exists()


def tensors(n=8, *, shape=DIGITS, dtype=torch.int64):
    return torch.zeros(n, *shape), torch.zeros(n, dtype=dtype)


def colour_images():
    return ImageData.of(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 2, 0]), name="paint")


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (lambda: colour_images(), TrainingError, "cannot take the images of paint.*channels"),
        (lambda: tensors(1), DataError, "has one image"),
        (
            lambda: tensors(dtype=torch.float32),
            DataError,
            "real numbers .float32., and classes are whole numbers",
        ),
        (lambda: tensors()[0], DataError, "the targets of tensors are none"),
        (
            lambda: (tensors()[0], torch.full((8,), 10)),
            DataError,
            "label of image 0 of tensors is 10; classes are numbered 0 to 9",
        ),
        (lambda: (tensors()[0], torch.full((8,), -1)), DataError, "label of image 0 of tensors is -1"),
        (lambda: DataLoader(TensorDataset(*tensors())), DataError, "cannot be trained on a DataLoader"),
        (lambda: "digts", UnknownNameError, "Did you mean 'digits'"),
    ],
)
def test_data_that_does_not_fit_is_explained(data, error, message, monkeypatch):
    import datasets

    def unreachable(*_):
        raise ConnectionError

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    net = small()
    before = weights(net)
    with pytest.raises(error, match=message):
        train(net, data(), epochs=1)
    assert_same_weights(weights(net), before)


def test_too_few_outputs_are_explained():
    with pytest.raises(TrainingError, match=r"gives 4 outputs, but digits has 10 classes.*n_classes=10"):
        train(small(n_classes=4), some_digits(), epochs=1)


def test_settings_that_do_not_exist_are_explained():
    with pytest.raises(UnknownNameError, match="Did you mean 'epochs'"):
        train(small(), some_digits(), epoch=1)
    with pytest.raises(TrainingError, match="device 'gpu' cannot be used"):
        train(small(), some_digits(), epochs=1, device="gpu")
    with pytest.raises(TrainingError, match="exactly 23 modules do not exist"):
        train(small(), some_digits(), routes="exactly:23")


def test_an_output_that_is_no_score_is_explained():
    module = ResidualModule(nn.Identity(), nn.Identity())
    stem = nn.Conv2d(1, 4, 3)
    net = UnraveledNetwork(stem, [module], nn.Identity(), example=torch.zeros(1, *DIGITS))
    with pytest.raises(TrainingError, match=r"gives a tensor .2, 4, 6, 6.; training needs one score a class"):
        train(net, some_digits(), epochs=1)


# -- it starts from a trained network --


def test_a_start_is_that_networks_weights_and_nothing_else(tmp_path):
    data, settings = some_digits(), {"epochs": 1, "batch_size": 32, "routes": "exactly:2"}
    train(small(), data, epochs=1, batch_size=32, out=tmp_path / "first")
    by_hand = small(seed=3)
    by_hand.load_state_dict(load_file(tmp_path / "first" / "weights.safetensors"))
    expected = train(by_hand, data, **settings)
    net = small(seed=3)
    history = train(net, data, start=str(tmp_path / "first"), out=tmp_path / "second", **settings)
    assert [row["train_loss"] for row in history] == [row["train_loss"] for row in expected]
    assert_same_weights(weights(net), weights(by_hand))


def test_a_start_counts_once_and_belongs_to_the_training(tmp_path):
    data, settings = some_digits(), {"epochs": 2, "batch_size": 32}
    train(small(), data, epochs=1, batch_size=32, out=tmp_path / "first")
    start, out = str(tmp_path / "first"), tmp_path / "second"
    whole = small(seed=3)
    train(whole, data, start=start, **settings)

    def stop(status):
        if status.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small(seed=3), data, start=start, out=out, on_batch=stop, **settings)
    resumed = small(seed=3)
    train(resumed, data, start=start, out=out, **settings)
    assert_same_weights(weights(resumed), weights(whole))
    with pytest.raises(TrainingError, match=r"holds another training, with start = .*first [0-9a-f]{16}'"):
        train(small(seed=3), data, out=out, **settings)


def test_a_training_from_before_there_were_starts_goes_on(tmp_path):
    data, settings = some_digits(), {"epochs": 1, "batch_size": 32}
    train(small(), data, out=tmp_path, **settings)
    index = tmp_path / checkpoint.INDEX_FILE
    content = json.loads(index.read_text())
    del content["identity"]["start"]
    index.write_text(json.dumps(content))
    assert len(train(small(), data, out=tmp_path, **settings)) == 1


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        ("zoo:nothing", UnknownNameError, "shipped network"),
        ("nowhere", CheckpointError, "There is no directory nowhere"),
        ("zoo:resnet20-cifar10", TrainingError, "which is resnet20-cifar10, do not fit preact-resnet8"),
    ],
)
def test_a_start_that_does_not_fit_changes_nothing(start, error, message):
    net = small()
    before = weights(net)
    with pytest.raises(error, match=message):
        train(net, some_digits(), start=start, epochs=1)
    assert_same_weights(weights(net), before)
