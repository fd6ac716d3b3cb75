"""Progress is said at once and then every ten seconds, without a terminal too."""

from __future__ import annotations

import pytest

from unravelnet.cli import progress
from unravelnet.cli.progress import Lines, Status, batch_bar, run_bars, time_left, training_bar, working
from unravelnet.reproduction.clock import RunProgress
from unravelnet.training_plan import TrainingStatus


@pytest.fixture
def spoken(monkeypatch):
    """What is said on standard error, where ten seconds go by whenever nobody is looking."""
    said: list[str] = []
    monkeypatch.setattr(progress, "note", said.append)
    return said


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_the_time_that_is_left_is_said_as_soon_as_it_is_known_and_once():
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    lines.show(Status("a training"))
    assert said == []
    clock.now = 2.0
    lines.show(Status("a training", 0.01, 198.0, "epoch 1"))
    lines.show(Status("a training", 0.02, 196.0, "epoch 1"))
    assert said == ["a training: 1%, 3 min 18 s left, epoch 1"]
    clock.now = 10.0
    lines.say()
    assert said[1:] == ["a training: 2%, 3 min 16 s left, epoch 1, 10 s so far"]


def test_what_is_soon_over_says_nothing():
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    lines.show(Status("a study", 0.5, 4.0))
    clock.now = 4.0
    lines.show(Status("a study", 1.0, 0.0))
    assert said == []


def test_what_nothing_is_known_of_says_how_long_it_has_taken():
    said: list[str] = []
    clock = Clock()
    lines = Lines(said.append, clock)
    lines.show(Status("loading \x1b[31mnet"))
    clock.now = 20.0
    lines.say()
    assert said == ["loading \\x1b[31mnet, 20 s so far"]


@pytest.fixture
def _impatient(monkeypatch):
    """Lines every millisecond."""
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.001)


def wait_for_a_line(spoken):
    while not spoken:
        pass


@pytest.mark.usefixtures("_impatient")
def test_lines_come_while_nothing_is_finished(spoken):
    with working("capturing a network"):
        wait_for_a_line(spoken)
    assert spoken[0] == "capturing a network, 0 s so far"
    n = len(spoken)
    with working("nothing more of the first"):
        pass
    assert all(line.startswith("nothing") for line in spoken[n:])


@pytest.mark.usefixtures("_impatient")
def test_batches_are_counted(spoken):
    with batch_bar("delete each") as wrapped:
        assert list(wrapped([1, 2, 3])) == [1, 2, 3]
        spoken.clear()
        wait_for_a_line(spoken)
    assert spoken[0].startswith("delete each: 100%, 0 s left, batch 3 of 3")


@pytest.mark.usefixtures("_impatient")
def test_batches_of_a_stream_are_counted(spoken):
    with batch_bar("delete each") as wrapped:
        assert list(wrapped(iter("ab"))) == ["a", "b"]
        spoken.clear()
        wait_for_a_line(spoken)
    assert spoken[0].startswith("delete each: 2 batches")


def test_a_training_says_its_time_at_its_first_batch(spoken):
    with training_bar("resnet20") as show:
        show(TrainingStatus(1, 15, 1, 10, 2.3, 0.9, 500.0, 149.0))
    assert spoken == ["resnet20: 1%, 2 min 29 s left, epoch 1 of 15, error 90.0%, loss 2.300, 500 images/s"]


def test_a_run_says_its_part_and_its_time(spoken):
    with run_bars() as show:
        show(RunProgress("ResNet-110: delete each", 2, 21, 0.5, 0.1, 170.0, "batch 3"))
    assert spoken == ["part 2 of 21, ResNet-110: delete each: 10%, 2 min 50 s left, this part 50%, batch 3"]


def test_bars_are_for_terminals(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with batch_bar("delete each") as wrapped:
        assert list(wrapped([1, 2])) == [1, 2]
    with working("capturing"):
        pass
    assert "so far" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s left"), (59.6, "1 min 0 s left"), (7322.0, "2 h 2 min left")]
)
def test_times_are_rounded_once(seconds, text):
    assert time_left(seconds) == text
