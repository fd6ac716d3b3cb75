"""`train` makes the network that `train` of the library makes, and never does it twice."""

from __future__ import annotations

import json
import re

from tests.cli.conftest import assert_one_sentence
from unravelnet import zoo
from unravelnet.training.checkpoint import epochs_kept
from unravelnet.training.loop import train

WORDS = ("train", "preact-resnet8", "--data", "digits", "--epochs", 1, "--schedule", "one-cycle", "--out")


def test_the_weights_are_those_of_the_library(call, tmp_path):
    ran = call(*WORDS, tmp_path / "net", "--routes", "stochastic-depth:0.5", "--json")
    assert ran.status == 0
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    history = train(net, "digits", epochs=1, schedule="one-cycle", routes="stochastic-depth:0.5")
    assert zoo.load(tmp_path / "net").fingerprint() == net.fingerprint()
    row = json.loads(ran.out)["history"][0]
    assert row["test_error_rate"] == history[0]["test_error_rate"]
    assert re.fullmatch(r"preact-resnet8 is trained in float32: .*\.\n", ran.err)


def test_a_finished_training_is_not_done_again(call, tmp_path, monkeypatch):
    first = call(*WORDS, tmp_path / "net")
    assert "Next: unravelnet lesion" in first.out

    def never(*args):
        raise AssertionError("trained twice")

    monkeypatch.setattr("unravelnet.training.loop.Training.run_epoch", never)
    assert call(*WORDS, tmp_path / "net").out == first.out


def test_other_settings_in_the_same_directory_are_refused(call, tmp_path):
    call(*WORDS, tmp_path / "net")
    ran = call(*WORDS, tmp_path / "net", "--momentum", 0.5)
    assert_one_sentence(ran)
    assert "holds another training, with momentum = 0.9" in ran.err


def test_weights_of_epochs_are_kept(call, tmp_path):
    assert call(*WORDS, tmp_path / "net", "--keep-epochs", "0").status == 0
    assert epochs_kept(tmp_path / "net") == [0, 1]
    ran = call(*WORDS, tmp_path / "other", "--keep-epochs", "2")
    assert_one_sentence(ran)
    assert "keep_epochs is 2; give epochs from 0 to 1" in ran.err


def test_progress_is_a_bar_on_a_terminal_only(monkeypatch, capsys):
    from unravelnet.cli.progress import training_bar
    from unravelnet.training.loop import TrainingStatus

    status = TrainingStatus(3, 4, 5, 10, 0.5, 0.25, 1234.0, 75.0)
    with training_bar("net") as show:
        show(status)
    line = "net: 62%, 1 min 15 s left, epoch 3 of 4, error 25.0%, loss 0.500, 1234 images/s\n"
    assert capsys.readouterr() == ("", line)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    with training_bar("net") as show:
        show(status)
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("epoch 3 of 4", "error 25.0%", "loss 0.500", "1234 images/s", "1 min 15 s left", "62%"):
        assert part in shown.err
