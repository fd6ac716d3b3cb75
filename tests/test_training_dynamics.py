"""What changes over a training, against measurements of each checkpoint by itself and scales set by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

import unravelnet as un
from unravelnet import module_measures, over_training, path_gradients
from unravelnet.errors import CheckpointError, EvaluationError
from unravelnet.paths import path_counts
from unravelnet.records.record import load_table
from unravelnet.reporting.topics.over_training.claims import claim_deepening
from unravelnet.training import checkpoint, dynamics
from unravelnet.training.loop import train

DIGITS = (1, 8, 8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory of a training of three epochs, of which all weights were kept."""
    directory = tmp_path_factory.mktemp("trained")
    net = un.zoo.preact_resnet(14, input_shape=DIGITS, widths=(8, 8, 16), seed=0)
    train(net, "digits", epochs=3, schedule="one-cycle", keep_epochs="all", out=directory)
    return directory


def at_epoch(directory, epoch):
    net = un.zoo.load(directory)
    net.load_weights(checkpoint.read_epoch(directory, epoch))
    return net


def test_each_checkpoint_is_measured_with_its_own_weights(trained):
    found = over_training(trained, "digits", n_images=16, seed=2)
    assert [row["epoch"] for row in found.over_training] == [0, 1, 2, 3]
    for epoch in (1, 3):
        net = at_epoch(trained, epoch)
        row = found.over_training.where(epoch=epoch)[0]
        assert row["network"] == net.fingerprint()
        spectrum = path_gradients(net, "digits", limit=16, seed=2)
        rows = found.spectra_over_training.where(epoch=epoch)
        for name in ("length", "length_gradient_norm", "path_gradient_norm", "length_share", "share"):
            assert [each[name] for each in rows] == [each[name] for each in spectrum]
        for name in ("branch_to_stream", "gradient_gain"):
            values = [each[name] for each in module_measures(net, "digits", limit=16, seed=2)]
            assert row[name] == pytest.approx(np.exp(np.mean(np.log(values))))


def test_what_a_checkpoint_is_summed_up_to(trained):
    found = over_training(trained, "digits", n_images=16)
    for row in found.over_training:
        rows = found.spectra_over_training.where(epoch=row["epoch"])
        norms = np.array([each["path_gradient_norm"] for each in rows])
        slope = np.polyfit(np.arange(7), np.log(norms), 1)[0]
        assert row["decay"] == pytest.approx(np.exp(slope))
        assert row["decay_low"] < row["decay"] < row["decay_high"]
        assert row["predicted_length"] == pytest.approx(6 * row["decay"] / (1 + row["decay"]))
        sums = np.array([each["length_gradient_norm"] for each in rows])
        shares = sums / sums.sum()
        assert row["mean_length"] == pytest.approx(shares @ np.arange(7))
        assert row["dominating_length"] == sums.argmax()
        low, high = row["length_low"], row["length_high"]
        assert shares[low : high + 1].sum() >= 0.9
        # No shorter interval carries as much.
        assert all(shares[start : start + high - low].sum() < 0.9 for start in range(7))
        # The theory: eps_r² ∝ (C(n, r) beta^r)², normalised.
        weights = (np.array(path_counts(6)) * row["decay"] ** np.arange(7)) ** 2
        assert [each["theory_weight"] for each in rows] == pytest.approx(weights / weights.sum())


def test_changes_are_paired_over_groups_of_the_same_images(trained):
    found = over_training(trained, "digits", epochs=(1, 3), n_images=16, seed=2).over_training
    digits = un.data.load("digits")
    # The order of the images is that of the seed.
    images = digits.batch(torch.randperm(len(digits), generator=torch.Generator().manual_seed(2))[:16])
    values = {}
    for epoch in (1, 3):
        net = at_epoch(trained, epoch)
        groups = [(images[0][i : i + 2], images[1][i : i + 2]) for i in range(0, 16, 2)]
        tables = [path_gradients(net, group, seed=2) for group in groups]
        shares = np.array([[row["length_share"] for row in table] for table in tables])
        norms = np.array([[row["path_gradient_norm"] for row in table] for table in tables])
        slopes = np.polyfit(np.arange(7), np.log(norms).T, 1)[0]
        values[epoch] = {"length_change": shares @ np.arange(7), "decay_change": np.exp(slopes)}
    assert (found[0]["length_change"], found[0]["decay_change"]) == (0, 0)
    for name, of in (("length_change", "mean_length"), ("decay_change", "decay")):
        change = found[1][of] - found[0][of]
        paired = values[3][name] - values[1][name]
        margin = stats.t.ppf(0.975, 7) * paired.std(ddof=1) / np.sqrt(8)
        ends = (found[1][f"{name}_low"], found[1][f"{name}_high"])
        assert found[1][name] == pytest.approx(change)
        assert ends == pytest.approx((change - margin, change + margin), rel=1e-4)


def test_changes_begin_where_branches_are_not_zero(tmp_path):
    net = un.zoo.preact_resnet(8, input_shape=DIGITS, widths=(4, 4, 4), zero_init_residual=True, seed=0)
    train(net, un.data.load("digits", limit=256), epochs=3, keep_epochs="all", out=tmp_path)
    table = over_training(tmp_path, "digits", n_images=16).over_training
    decays = [row["decay"] for row in table]
    assert decays[0] is None
    assert [row["decay_change"] for row in table] == [None, *(decay - decays[1] for decay in decays[1:])]
    assert table[1]["length_change"] == 0
    claim = claim_deepening({"A": table})
    assert "from epoch 1 to epoch 3, r from" in claim.measured
    assert claim.verdict != "not measured"


def test_errors_are_those_of_the_training(trained):
    history = {row["epoch"]: row["test_error_rate"] for row in load_table(trained / "history.csv")}
    found = over_training(trained, "digits", epochs=(0, 3), n_images=8).over_training
    assert [row["error_rate"] for row in found] == [None, history[3]]


def test_epochs_can_be_chosen(trained):
    wrapped = []

    def progress(epochs):
        wrapped.extend(epochs)
        return epochs

    found = over_training(trained, "digits", epochs=[3, 1], n_images=8, progress=progress)
    assert wrapped == [1, 3]
    for table in (found.over_training, found.spectra_over_training, found.normalisation_scales):
        assert {row["epoch"] for row in table} == {1, 3}
        assert {row["n_images"] for row in table} == {8}
        assert {row["data_name"] for row in table} == {"digits"}
    with pytest.raises(CheckpointError, match="no weights after epoch 7: kept are those after 0, 1, 2, 3"):
        over_training(trained, "digits", epochs=[7])


def test_a_network_before_training_is_normalised_by_the_images(trained):
    # The first normalisation sees the stem's response: its statistics are those of the images, by hand.
    images, targets = un.data.load("digits", limit=40).batch(torch.arange(40))
    net = at_epoch(trained, 0)
    found = over_training(trained, (images, targets), epochs=[0, 1], n_images=40, batch_size=20)
    assert [row["statistics"] for row in found.over_training] == ["images", "training"]
    with torch.no_grad():
        response = net.stem(images)
    norm = net.residual_modules[0].branch.norm1
    # The mean over two batches of 20; the order of the images is that of the seed.
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    halves = [response[order[:20]], response[order[20:]]]
    expected_mean = torch.stack([half.mean(dim=(0, 2, 3)) for half in halves]).mean(dim=0)
    expected_variance = torch.stack([half.var(dim=(0, 2, 3)) for half in halves]).mean(dim=0)
    collected = dynamics.collect_statistics(net, [(half, None) for half in images[order].split(20)])
    assert collected == "images"
    torch.testing.assert_close(norm.running_mean, expected_mean)
    torch.testing.assert_close(norm.running_var, expected_variance)
    assert found.over_training[0]["network"] == net.fingerprint()
    assert norm.momentum == 0.1
    assert not any(module.training for module in net.modules())


def test_statistics_of_smaller_images_are_not_used(tmp_path):
    net = un.zoo.preact_resnet(8, input_shape=DIGITS, widths=(2, 2, 2), seed=0)
    train(net, un.data.load("digits", limit=64), epochs=2, image_sizes="4,8", keep_epochs="all", out=tmp_path)
    images, targets = un.data.load("digits", limit=40).batch(torch.arange(40))
    found = over_training(tmp_path, (images, targets), n_images=40).over_training
    assert [row["statistics"] for row in found] == ["images"] * 3
    # As torch does it: one batch in training mode, of which the statistics are the whole mean.
    by_hand = at_epoch(tmp_path, 1)
    for norm in by_hand.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = 1.0
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        by_hand.train()(images[order])
    by_hand.eval()
    expected = path_gradients(by_hand, (images, targets), limit=40)
    shares = np.array([row["length_share"] for row in expected])
    assert found[1]["mean_length"] == pytest.approx(shares @ np.arange(4), rel=1e-5)


# -- scales of normalisation --


def measured_once(net, directory):
    """Keep a network as the only checkpoint of a training that is over, and measure that."""
    un.zoo.save(net, directory)
    checkpoint.write_epoch(directory, 1, net.state_dict())
    (directory / "history.csv").write_text("epoch,test_error_rate\n1,0.5\n")
    for norm in net.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.num_batches_tracked.fill_(1)
    data = (torch.rand(4, *DIGITS), torch.tensor([0, 1, 2, 3]))
    return over_training(directory, data, n_images=4)


def with_known_scales(net):
    """Give normalisation number i the scale i + 1, with every second channel negative."""
    norms = [module for name, module in net.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for number, norm in enumerate(norm for norm in norms):
        norm.weight.data.fill_(number + 1)
        norm.weight.data[::2] *= -1
    return net


def test_scales_before_activation_come_with_the_last_convolution(tmp_path):
    net = with_known_scales(un.zoo.preact_resnet(8, input_shape=DIGITS, widths=(2, 2, 2), seed=0))
    for number, module in enumerate(net.residual_modules):
        # One weight: the norm is its size.
        module.branch.conv2.weight.data.zero_()[0, 0, 0, 0] = -10.0 * (number + 1)
    table = measured_once(net, tmp_path).normalisation_scales
    assert [row["position"] for row in table] == list(range(7))
    assert [row["scale"] for row in table] == pytest.approx(range(1, 8))
    assert [row["scaled_norm"] for row in table] == [None, 20, None, 80, None, 180, None]
    assert [row["module"] for row in table] == [0, 0, 1, 1, 2, 2, None]
    assert [row["layer"] for row in table][-2:] == ["residual_modules.2.branch.norm2", "head.norm"]


def test_scales_between_stages_stand_where_they_are_passed(tmp_path):
    # The first module of a stage reads what is normalised already, and deleting it leaves that as it is.
    net = with_known_scales(un.zoo.wide_resnet(10, 2, input_shape=DIGITS, seed=0))
    table = measured_once(net, tmp_path).normalisation_scales
    names = dict(net.named_modules())
    assert [(row["layer"], row["module"]) for row in table] == [
        ("stem.norm", None),
        ("residual_modules.0.branch.norm2", 0),
        ("transitions.0.norm", None),
        ("residual_modules.1.branch.norm2", 1),
        ("transitions.1.norm", None),
        ("residual_modules.2.branch.norm2", 2),
        ("head.norm", None),
    ]
    for row in table:
        assert row["scale"] == pytest.approx(names[row["layer"]].weight.detach().abs().mean().item())
        assert (row["scaled_norm"] is None) == (row["module"] is None)


def test_scales_after_activation_end_the_branch(tmp_path):
    net = with_known_scales(un.zoo.resnet(8, input_shape=DIGITS, widths=(2, 4, 4), shortcut="B", seed=0))
    table = measured_once(net, tmp_path).normalisation_scales
    names = dict(net.named_modules())
    assert [row["layer"] for row in table] == [
        "stem.norm",
        *[f"residual_modules.{module}.branch.norm{norm}" for module in range(3) for norm in (1, 2)],
    ]
    for row in table:
        assert row["scale"] == pytest.approx(names[row["layer"]].weight.detach().abs().mean().item())
        assert row["scaled_norm"] is None


# -- nothing to fit --


@pytest.mark.parametrize("kind", ["branches of 0", "plain"])
def test_without_two_lengths_there_is_no_decay(tmp_path, kind):
    if kind == "plain":
        net, only = un.zoo.plain(8, input_shape=DIGITS, widths=(2, 2, 2), seed=0), 6
    else:
        net, only = un.zoo.preact_resnet(8, input_shape=DIGITS, widths=(2, 2, 2), seed=0), 0
        for module in net.residual_modules:
            module.branch.conv2.weight.data.zero_()
    found = measured_once(net, tmp_path)
    (row,) = found.over_training
    for name in ("decay", "decay_low", "decay_high", "r_squared", "predicted_length"):
        assert row[name] is None
    # All of the gradient is on the paths of one length.
    lengths = [row[name] for name in ("mean_length", "length_low", "length_high", "dominating_length")]
    assert lengths == [only] * 4
    assert {each["theory_weight"] for each in found.spectra_over_training} == {None}
    assert row["gradient_gain"] is None if kind == "branches of 0" else row["gradient_gain"] > 0


# -- what cannot be --


def test_a_training_without_kept_weights_is_explained(tmp_path):
    net = un.zoo.preact_resnet(8, input_shape=DIGITS, seed=0)
    train(net, un.data.load("digits", limit=64), epochs=1, out=tmp_path)
    with pytest.raises(CheckpointError, match=r'were kept on its way: .*Train with keep_epochs="all"'):
        over_training(tmp_path, "digits")


def test_a_training_that_is_not_finished_is_explained(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(CheckpointError, match="has not finished"):
        over_training(tmp_path, "digits")


def test_without_validation_there_is_no_error(tmp_path):
    net = un.zoo.preact_resnet(8, input_shape=DIGITS, seed=0)
    train(net, un.data.load("digits", limit=64), epochs=1, keep_epochs="1", out=tmp_path)
    assert math.isnan(load_table(tmp_path / "history.csv")[0]["test_error_rate"] or math.nan)
    (row,) = over_training(tmp_path, "digits", n_images=4).over_training
    assert row["error_rate"] is None


def test_scales_of_stochastic_depth_stay(tmp_path):
    net = un.zoo.preact_resnet(8, input_shape=DIGITS, seed=0)
    train(net, "digits", epochs=1, routes="stochastic-depth:0.5", keep_epochs="1", out=tmp_path)
    (row,) = over_training(tmp_path, "digits", n_images=4).over_training
    assert json.loads((tmp_path / "network.json").read_text())["branch_scales"][-1] == 0.5
    assert row["network"] == net.fingerprint()


def test_requests_that_cannot_be_met_are_explained(trained):
    with pytest.raises(EvaluationError, match="draws=1 or more"):
        over_training(trained, "digits", draws=0)
    with pytest.raises(EvaluationError, match="a generator, can be read once"):
        over_training(trained, (batch for batch in [None]))
