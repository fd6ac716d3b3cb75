"""One process at a time: by real processes, and by killing the one that holds the lock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from unravelnet.errors import StoreError
from unravelnet.records.directory_lock import locked

pytest.importorskip("fcntl", reason="directories are locked on Unix only")

COUNTER = """
import json, sys
from pathlib import Path
from unravelnet.records.directory_lock import locked
directory, name = Path(sys.argv[1]), sys.argv[2]
for i in range(20):
    with locked(directory):
        file = directory / "entries.json"
        entries = json.loads(file.read_text()) if file.exists() else []
        file.write_text(json.dumps([*entries, f"{name}{i}"]))
"""
HOLDER = """
import sys, time
from unravelnet.records.directory_lock import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_what_several_processes_add_is_all_there(tmp_path):
    processes = [subprocess.Popen([sys.executable, "-c", COUNTER, tmp_path, name]) for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    entries = json.loads((tmp_path / "entries.json").read_text())
    assert sorted(entries) == sorted(f"{name}{i}" for name in "abc" for i in range(20))
    assert [path.name for path in tmp_path.iterdir()] == ["entries.json"]


def test_a_busy_directory_is_explained_and_a_killed_process_holds_nothing(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(
            StoreError, match=r"Another process is writing to the directory .* Let that one end"
        ):
            locked(tmp_path, wait_seconds=0).__enter__()
        os.kill(process.pid, signal.SIGKILL)
    with locked(tmp_path, wait_seconds=0):
        pass


def test_a_new_directory_stays_only_if_something_came_into_it(tmp_path):
    with locked(tmp_path / "empty"):
        assert (tmp_path / "empty").is_dir()
    with locked(tmp_path / "used"):
        (tmp_path / "used" / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_a_place_that_is_no_directory_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        locked(tmp_path / "file").__enter__()
