"""The directory of a training: after a kill at any write it ends as without one; what others left is not touched."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from unravelnet import zoo
from unravelnet.errors import StoreError, TrainingError
from unravelnet.records.directory_lock import locked
from unravelnet.records.record import load_table
from unravelnet.training.loop import train

TIMES = ("seconds", "images_per_second", "time_utc", "started_utc")


class Killed(BaseException):
    """The process ends here: nothing that would mend anything runs after it."""


def trained(directory, **options):
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(12, 1, 8, 8, generator=generator), torch.arange(12) % 10
    net = zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    settings = {"epochs": 2, "batch_size": 6, "keep_epochs": "1", **options}
    return train(net, data, out=directory, validation=data, **settings)


def killed_after(n_writes, monkeypatch):
    """Have the n-th replacing of a file be the last thing that happens."""
    replace, left = Path.replace, [n_writes]

    def last(self, target):
        replace(self, target)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    monkeypatch.setattr(Path, "replace", last)
    return left


def without_times(value):
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if name not in TIMES}
    return [without_times(part) for part in value] if isinstance(value, list) else value


def contents(directory):
    """All files by name; JSON and tables without what differs from one second to the next."""
    found = {}
    for path in sorted(directory.rglob("*.*")):
        name = str(path.relative_to(directory))
        if path.suffix == ".json":
            found[name] = without_times(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            found[name] = without_times(list(load_table(path)))
        else:
            found[name] = path.read_bytes()
    return found


def test_a_training_that_is_killed_after_any_write_ends_like_one_that_is_not(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        left = killed_after(-1, patch)
        history = trained(tmp_path / "whole")
        n_writes = -1 - left[0]
    whole = contents(tmp_path / "whole")
    assert n_writes >= 10
    assert [row["epoch"] for row in load_table(tmp_path / "whole" / "history.csv")] == [1, 2]
    for n in range(1, n_writes + 1):
        directory = tmp_path / str(n)
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            killed_after(n, patch)
            trained(directory)
        resumed = trained(directory)
        assert contents(directory) == whole, n
        assert without_times(list(resumed)) == without_times(list(history))
        assert load_table(directory / "history.csv") == resumed


def test_a_finished_training_lacks_nothing_after_a_file_was_lost(tmp_path):
    trained(tmp_path / "run")
    whole = contents(tmp_path / "run")
    for name in ("history.csv", "network.json", "weights.safetensors"):
        (tmp_path / "run" / name).unlink()
        trained(tmp_path / "run")
        assert contents(tmp_path / "run") == whole, name


def write_lesion(directory):
    directory.mkdir()
    (directory / "run.json").write_text('{"lesion": "zoo:resnet20"}')


def save_network(directory):
    zoo.save(zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=5), directory)


def copy_network(directory):
    trained(directory, epochs=1)
    shutil.rmtree(directory / "checkpoint")


@pytest.mark.parametrize(
    ("prepare", "phrase"),
    [
        (write_lesion, "holds a run of another kind, whose run.json would be lost. Give another directory"),
        (
            save_network,
            r"holds a network that this training has not made \(network.json\). Give another directory",
        ),
        (copy_network, "holds a network that this training has not made"),
    ],
)
def test_what_others_left_is_not_overwritten(prepare, phrase, tmp_path):
    prepare(tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.*")}
    with pytest.raises(TrainingError, match=phrase):
        trained(tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.*")} == before


def test_the_same_training_starts_anew_where_its_checkpoint_was_removed(tmp_path):
    trained(tmp_path / "run")
    whole = contents(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoint")
    trained(tmp_path / "run")
    assert contents(tmp_path / "run") == whole


def test_other_settings_may_be_chosen_as_long_as_nothing_was_trained(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        killed_after(1, patch)
        trained(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
    trained(tmp_path / "run", epochs=1)
    assert len(load_table(tmp_path / "run" / "history.csv")) == 1


def test_a_second_process_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with (
        locked(tmp_path / "run"),
        pytest.raises(StoreError, match="Another process is writing to the directory"),
    ):
        trained(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_directory_that_was_removed_meanwhile_is_no_success(epoch, tmp_path):
    def remove(status):
        if status.epoch == epoch and status.batch == 1:
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(TrainingError, match=r"run.json was removed while the training went on. Train again"):
        trained(tmp_path / "run", on_batch=remove)


def test_settings_that_do_not_fit_leave_no_directory(tmp_path):
    data = torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.long)
    with pytest.raises(TrainingError, match="cannot take the images"):
        train(zoo.preact_resnet(8, input_shape=(1, 8, 8)), data, out=tmp_path / "run", epochs=1)
    assert list(tmp_path.iterdir()) == []
