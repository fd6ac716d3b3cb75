"""Errors are one sentence and a status; help is quick, complete and what the documentation says."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import unravelnet
from tests.cli.conftest import Ran, assert_one_sentence
from unravelnet.cli import command_line, main
from unravelnet.cli.command_line import app
from unravelnet.cli.reference import reference
from unravelnet.errors import StoreError

SOURCE = Path(unravelnet.__file__).parents[1]
ROOT = Path(__file__).parents[2]
ROOT_COMMAND: Any = typer.main.get_command(app)
COMMANDS = ROOT_COMMAND.commands


def in_process_of_its_own(*words: str, **options) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        [sys.executable, "-m", "unravelnet.cli", *words],
        capture_output=True,
        text=True,
        env=environment,
        **options,
    )


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        ("lesoin", "No such command 'lesoin'. Did you mean 'lesion'? See: unravelnet --help."),
        ("inspect", "Missing argument 'MODEL'. See: unravelnet inspect --help."),
        ("inspect zoo:resnet20 --jsn", "No such option: --jsn"),
        ("inspect zoo:resnet20 --input-shape 3,x", "'3,x' is not a list of whole numbers"),
        ("inspect zoo:resnet20 --input-shape 3,0,8", "a side that is not positive"),
        ("inspect zoo:resnet21", "no resnet of depth 21"),
        ("inspect zoo:resnt20", "Did you mean 'resnet20'"),
        ("inspect nothing", "There is no model 'nothing'"),
        ("inspect missing.py:f", "There is no file missing.py"),
        ("lesion zoo:resnet20", "Missing option '--data'"),
        ("lesion zoo:resnet20 --data digts", "Did you mean 'digits'"),
        ("lesion zoo:resnet20 --data ./nowhere", "There is no directory ./nowhere"),
        ("lesion zoo:resnet20 --data digits --study delete-eech", "Did you mean 'delete-each'"),
        ("lesion zoo:resnet20 --data digits --study ,", "give one or several of delete-each"),
        ("lesion zoo:resnet20 --data digits --metrics los", "Did you mean 'loss'"),
        ("lesion zoo:resnet20 --data digits --precision float16", "not one of 'auto', 'float32', 'bfloat16'"),
        ("lesion zoo:resnet20 --data digits --repeats 0", "--repeats"),
        ("lesion zoo:resnet20 --data digits --limit 9999", "9999 images of digits were asked for"),
        ("lesion zoo:resnet20 --data digits --study delete-many --counts 99", "Cannot delete 99 modules"),
        ("lesion zoo:resnet20 --data digits --json --csv", "give one of the two"),
        ("lesion zoo:resnet20 --data digits --weights none.pt", "There is no file none.pt"),
        (
            "lesion zoo:resnet20 --data digits --counts 2",
            "does nothing without --study delete-many, delete-many-same-shape, reorder or shuffle-middle",
        ),
        (
            "lesion zoo:resnet20 --data digits --study delete-each,remove-skip --repeats 2",
            "for --repeats: it does",
        ),
        ("lesion zoo:resnet20 --data digits --weights-key teacher", "none is given: --weights FILE"),
        ("paths zoo:resnet20 --data digits --precision float32", "No such option: --precision"),
        ("train resnet8 --data digits --out runs/x --replayed --device cpu", "on cpu cannot be replayed"),
        ("train resnet20 --data digits", "Missing option '--out'"),
        ("train resnt20 --data digits --out runs/x", "Did you mean 'resnet20'"),
        ("train timm:resnet18 --data digits --out runs/x", "Training makes networks of the zoo"),
        ("train resnet20 --data digits --out runs/x --routes exactly:99", "exactly 99 modules do not exist"),
        ("train resnet20 --data digits --out runs/x --routes some", "There is no route sampler 'some'"),
        ("train resnet20 --data digits --out runs/x --learning-rate -1", "learning_rate is -1"),
        ("train resnet20 --data digits --out /proc/none/such", "/proc/none"),
        ("report nowhere", "There is no directory nowhere"),
        ("reproduce --data digts", "Did you mean 'digits'"),
        ("reproduce --epochs 0", "--epochs"),
        ("reproduce --images 1000", "it has 450; ask for 1 to 450"),
    ],
)
def test_misuse_is_one_sentence_and_status_2(call, words, phrase):
    ran = call(*shlex.split(words))
    assert_one_sentence(ran)
    assert phrase in ran.err
    assert ran.status == 2


def test_one_epoch_is_an_epoch(call):
    ran = call("train", "resnet8", "--data", "digits", "--epochs", 1, "--out", "net")
    assert ran.status == 0, ran.err
    assert "resnet8 after 1 epoch on digits: error" in ran.out


def test_the_check_of_sentences_finds_what_is_none():
    for bad in (
        Ran(2, "", "Traceback\nunravelnet: No."),
        Ran(2, "rows", "unravelnet: No."),
        Ran(2, "", "unravelnet: no end"),
    ):
        with pytest.raises(AssertionError):
            assert_one_sentence(bad)


def test_no_command_shows_the_help(call):
    ran = call()
    assert ran.status == 2
    assert "No command was given" in ran.err
    assert "unravelnet reproduce" in ran.err


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (OSError(errno.EACCES, "Permission denied"), 2),
        (None, 2),
    ],
)
def test_a_full_disk_is_a_failure_and_not_a_misuse(call, monkeypatch, cause, status):
    def fails(*args, **kwargs):
        raise StoreError("The table cannot be written.") from cause

    monkeypatch.setattr("unravelnet.reporting.report", fails)
    ran = call("report", "somewhere")
    assert_one_sentence(ran)
    assert ran.status == status


def test_a_full_database_is_a_failure(call, monkeypatch):
    def fails(*args, **kwargs):
        database = sqlite3.connect(":memory:")
        database.execute("create table t (x)")
        database.execute("pragma max_page_count = 1")
        try:
            database.execute("insert into t values (zeroblob(100000))")
        except sqlite3.Error as error:
            raise StoreError("The store is full.") from error
        finally:
            database.close()

    monkeypatch.setattr("unravelnet.reporting.report", fails)
    assert call("report", "somewhere").status == 1


def test_an_interruption_has_its_status(call, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("unravelnet.reporting.report", interrupted)
    ran = call("report", "somewhere")
    assert_one_sentence(ran)
    assert ran.err == "unravelnet: Interrupted. The tables in somewhere are unchanged.\n"
    assert ran.status == 130


def test_a_closed_pipe_is_no_traceback(trained):
    command = f"{sys.executable} -m unravelnet inspect {trained} --json | head -1; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("{\n0\n", "")


def test_help_is_quick_and_imports_nothing_heavy():
    before = os.times()
    assert in_process_of_its_own("--help").returncode == 0
    after = os.times()
    # The promise is half a second. Time of the processor, which a busy machine takes no more of; old ones are slower.
    assert sum(after[2:4]) - sum(before[2:4]) < 2.0
    code = (
        "import sys, unravelnet.cli.command_line; "
        "print([m for m in ('torch', 'pandas', 'numpy', 'rich', 'matplotlib') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert ran.stdout.strip() == "['numpy']", ran.stderr


def test_a_network_is_studied_without_the_compiler_of_torch(trained):
    # It takes as long to import as torch itself.
    code = (
        "import sys; from unravelnet.cli.command_line import run; "
        f"words = {[str(trained)]}; data = ['--data', 'digits', '--limit', '5']; "
        "assert run(['inspect', *words]) == run(['lesion', *words, *data]) == 0; "
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr


def test_the_version_is_the_packages(call):
    ran = call("--version")
    assert ran.status == 0
    assert (
        re.fullmatch(r"unravelnet (\d+\.\d+\.\d+.*|, not installed)\n", ran.out) or "not installed" in ran.out
    )


# -- help and documentation --


def options_of(command) -> list[str]:
    return [option for parameter in command.params for option in parameter.opts if option.startswith("--")]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_help_has_examples_that_parse(name, tmp_path, monkeypatch):
    # A directory may stand for a route, and what it is called has to be there.
    (tmp_path / "runs" / "pruned").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[name]
    examples = re.findall(rf"^ *unravelnet {name}\b(.*)$", command.help, flags=re.MULTILINE)
    assert len(examples) >= 2
    for example in examples:
        words = shlex.split(example.partition(">")[0])
        # Parsing raises where an option is unknown or a value not allowed; nothing runs.
        command.make_context(name, words)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_explains_itself(name):
    for parameter in COMMANDS[name].params:
        assert parameter.name == "help" or parameter.help, parameter.name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_prints_json(name):
    assert "--json" in options_of(COMMANDS[name])


def test_options_have_the_names_of_arguments():
    # One name through all faces: `limit` of `evaluate` is --limit, and so on.
    import inspect

    from unravelnet.gradient import path_gradients
    from unravelnet.measuring.evaluation import evaluate
    from unravelnet.options import kinds_by_name
    from unravelnet.reproduction import reproduce
    from unravelnet.training_plan import TrainingPlan

    faces = {
        "lesion": (evaluate, {"metrics", "limit", "precision", "until-ci", "seed", "batch-size"}),
        "paths": (
            path_gradients,
            {"method", "draws", "max-length", "at", "per", "loss", "limit", "batch-size", "seed"},
        ),
        "reproduce": (reproduce, {"data", "out", "epochs", "images", "repeats", "precision", "seed"}),
        "train": (
            TrainingPlan,
            {"epochs", "batch-size", "learning-rate", "momentum", "weight-decay", "schedule"}
            | {"label-smoothing", "routes", "precision", "augment", "seed", "device"},
        ),
    }
    for name, (function, shared) in faces.items():
        taken = [*inspect.signature(function).parameters, *kinds_by_name(function)]
        arguments = {argument.replace("_", "-") for argument in taken}
        assert shared <= arguments
        assert {f"--{option}" for option in shared} <= set(options_of(COMMANDS[name]))


def test_the_reference_in_the_documentation_is_current():
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m unravelnet.cli.reference > docs/cli.md"


def test_the_reference_has_every_command_and_option():
    text = reference()
    for name, command in COMMANDS.items():
        section = text.partition(f"## unravelnet {name}\n")[2].partition("\n## ")[0]
        for option in options_of(command):
            assert option in section, f"{name} {option}"


def test_json_has_no_nan():
    from unravelnet.cli.output import plain_values

    value = {"a": [float("nan"), 1.5, {"b": float("inf")}]}
    assert json.dumps(plain_values(value), allow_nan=False) == '{"a": [null, 1.5, {"b": null}]}'


def test_main_exits_with_the_status(monkeypatch):
    monkeypatch.setattr(command_line, "run", lambda arguments: 2)
    with pytest.raises(SystemExit) as exited:
        main(["report", "x"])
    assert exited.value.code == 2
