"""Provenance: against what the system, git and the packages say of themselves."""

import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy
import pytest

import unravelnet
from unravelnet.errors import StoreError
from unravelnet.records import provenance


def test_versions_are_those_that_run():
    run = provenance.collect()
    assert run["python"] == platform.python_version()
    assert run["packages"]["numpy"] == numpy.__version__
    assert "torch" in run["packages"]


def test_torch_is_not_imported_to_tell_its_version():
    code = "import sys; from unravelnet.records import provenance; provenance.collect(); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_time_is_now_in_utc():
    then = datetime.fromisoformat(provenance.collect()["time_utc"])
    assert abs(datetime.now(UTC) - then) < timedelta(minutes=1)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="the oracle is Linux' own account")
def test_hardware_is_what_linux_says():
    run = provenance.collect()
    kibibytes = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    assert run["memory_bytes"] == pytest.approx(kibibytes * 1024, rel=0.02)
    assert run["cores"] == len(os.sched_getaffinity(0))
    assert run["cpu"]


def test_facts_of_the_caller_stand_under_their_own_names():
    run = provenance.collect(["unravelnet", "lesion"], seed=7, device="cpu")
    assert run["command"] == ["unravelnet", "lesion"]
    assert (run["seed"], run["device"]) == (7, "cpu")
    assert provenance.collect()["command"] is None


def git(directory, *arguments):
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle")
def test_the_commit_is_that_of_this_package_and_of_no_other_repository(tmp_path):
    def collected():
        code = "from unravelnet.records import provenance as p; r = p.collect(); "
        code += "print(r['commit'], r['has_uncommitted_changes'])"
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        said = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        return said.stdout.strip()

    package = tmp_path / "unravelnet"
    without = shutil.ignore_patterns("shipped", "__pycache__")
    shutil.copytree(Path(unravelnet.__file__).parent, package, ignore=without)
    assert collected() == "None None"

    git(tmp_path, "init")
    (tmp_path / "other.txt").write_text("a project of somebody else")
    git(tmp_path, "add", "other.txt")
    git(tmp_path, "commit", "-m", "theirs")
    assert collected() == "None None"

    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "ours")
    assert collected() == f"{git(tmp_path, 'rev-parse', 'HEAD')} False"

    (tmp_path / "other.txt").write_text("changed")
    assert collected() == f"{git(tmp_path, 'rev-parse', 'HEAD')} True"


def test_what_is_written_is_read(tmp_path):
    facts = provenance.collect(["unravelnet"], seed=0, learning_rates=[0.1, 1e-17], note="Kendall's τ")
    path = provenance.write_run(tmp_path / "new" / "run", facts)
    assert provenance.read_run(tmp_path / "new" / "run") == facts
    assert json.loads(path.read_text(encoding="utf-8")) == facts


def test_a_path_is_written_as_text(tmp_path):
    provenance.write_run(tmp_path, {"data": Path("a/b")})
    assert provenance.read_run(tmp_path) == {"data": str(Path("a/b"))}


def test_no_run_and_damaged_runs_are_explained(tmp_path):
    with pytest.raises(StoreError, match=r"no run\.json"):
        provenance.read_run(tmp_path)
    (tmp_path / "run.json").write_text('{"seed": ')
    with pytest.raises(StoreError, match=r"cannot be read.*Move it away, or write it anew"):
        provenance.read_run(tmp_path)
    (tmp_path / "run.json").write_text("[1, 2]")
    with pytest.raises(StoreError, match="does not hold the facts of a run"):
        provenance.read_run(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(StoreError, match="cannot be read"):
        provenance.read_run(tmp_path)


def test_a_value_that_cannot_be_written_leaves_the_old_file(tmp_path):
    provenance.write_run(tmp_path, {"seed": 1})
    endless: dict = {}
    endless["itself"] = endless
    with pytest.raises(ValueError, match="Circular"):
        provenance.write_run(tmp_path, endless)
    assert provenance.read_run(tmp_path) == {"seed": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
