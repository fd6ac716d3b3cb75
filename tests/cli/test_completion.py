"""The shell is offered what exists, at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.test_guard import ENVIRONMENT, PROGRAM
from unravelnet import zoo
from unravelnet.cli import completion


def test_the_names_are_those_of_the_rooms_that_import_torch():
    assert set(completion.ZOO_NAMES) == set(zoo.names())
    assert completion.shipped_names() == zoo.pretrained_names()


@pytest.fixture
def _somewhere(tmp_path, monkeypatch):
    (tmp_path / "runs" / "net").mkdir(parents=True)
    for name in ("runs/model.py", "book.txt", "notes.md", ".hidden.py"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_somewhere")
@pytest.mark.parametrize(
    ("complete", "incomplete", "offered"),
    [
        (completion.complete_model, "zoo:vgg", ["zoo:vgg15", "zoo:vgg15-cifar10"]),
        (completion.complete_model, "tim", ["timm:"]),
        (completion.complete_model, "r", ["runs/"]),
        (completion.complete_model, "runs/", ["runs/model.py", "runs/net/"]),
        (completion.complete_model, "nowhere/x", []),
        (completion.complete_data, "", ["digits", "book.txt", "runs/"]),
        (completion.complete_zoo_network, "plain2", ["plain20"]),
        (completion.complete_zoo_network, "unet", []),
        (completion.complete_names(lambda: ["exact", "rms"]), "", ["exact", "rms"]),
        (completion.complete_names(lambda: ["exact", "rms"]), "exact,r", ["exact,rms"]),
        (completion.complete_names(lambda: ["exact", "rms"]), "rms,", ["rms,exact"]),
    ],
)
def test_what_exists_is_offered(complete, incomplete, offered):
    assert complete(incomplete) == offered


def test_the_shell_is_answered_without_torch():
    question = {"_UNRAVELNET_COMPLETE": "complete_bash", "COMP_WORDS": "unravelnet lesion zoo:preact-resnet2"}
    code = (
        "import sys\nfrom unravelnet.cli.command_line import run\n"
        "status = run([])\nprint('torch' in sys.modules, status, file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **question, "COMP_CWORD": "2"},
    )
    assert ran.stdout.split() == completion.complete_model("zoo:preact-resnet2")
    assert ran.stderr == "False 0\n"


def test_completion_can_be_shown():
    ran = subprocess.run(
        [*PROGRAM, "--show-completion", "bash"],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "PATH": os.environ["PATH"]},
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "_UNRAVELNET_COMPLETE=complete_bash" in ran.stdout
