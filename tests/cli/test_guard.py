"""However a command ends, it ends with its exit status and a sentence."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import unravelnet
from tests.cli.conftest import assert_one_sentence
from unravelnet.cli import interruption, streams
from unravelnet.cli.guard import without_traceback
from unravelnet.cli.interruption import InterruptionError, interruptible

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(unravelnet.__file__).parents[1])}
PROGRAM = [sys.executable, "-m", "unravelnet"]


def in_a_shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which UNRAVELNET stands for the program."""
    program = " ".join(PROGRAM)
    return subprocess.run(
        ["bash", "-c", line.replace("UNRAVELNET", program)], capture_output=True, text=True, env=ENVIRONMENT
    )


def reports_fail_with(monkeypatch, error):
    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr("unravelnet.reporting.report", fails)


# -- unforeseen errors --


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes (3, 4) and (5,)\ndo not match"),
        KeyError("layer1"),
        AssertionError(),
        RecursionError("maximum recursion depth exceeded"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ExceptionGroup("several", [ValueError("one")]),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unforeseen_error_is_a_sentence_and_status_1(call, monkeypatch, error):
    reports_fail_with(monkeypatch, error)
    ran = call("report", "some where")
    assert_one_sentence(ran)
    assert (
        f"`unravelnet report 'some where'` met an error that was not foreseen: {type(error).__name__}"
        in ran.err
    )
    assert ran.err.endswith("Add --traceback to see where it happened.\n")
    assert ran.status == 1


@pytest.mark.parametrize("code", [0, None, 7, "text"])
def test_code_that_ends_the_program_is_no_success(call, monkeypatch, code):
    reports_fail_with(monkeypatch, SystemExit(code))
    ran = call("report", "x")
    assert_one_sentence(ran)
    assert f"report was ended by code that it ran, which called sys.exit({code!r})." in ran.err
    assert ran.status == 1


@pytest.mark.parametrize(
    "words", [("--traceback", "report", "x"), ("report", "--traceback", "x"), ("report", "x", "--traceback")]
)
def test_the_traceback_is_shown_where_it_is_asked_for(call, monkeypatch, words):
    reports_fail_with(monkeypatch, RuntimeError("no"))
    ran = call(*words)
    assert ran.err.startswith("Traceback (most recent call last):")
    assert "in fails" in ran.err
    assert ran.err.splitlines()[-1].startswith("unravelnet: `unravelnet report x` met an error")
    assert ran.status == 1


def test_what_follows_two_dashes_is_no_option():
    assert without_traceback(["a", "--", "--traceback"]) == (["a", "--", "--traceback"], False)


def test_memory_that_is_not_there_is_a_failure(call, monkeypatch):
    reports_fail_with(monkeypatch, MemoryError())
    ran = call("report", "x")
    assert_one_sentence(ran)
    assert (ran.status, ran.err) == (1, "unravelnet: There is not enough memory for `unravelnet report x`.\n")


def test_control_characters_do_not_reach_the_terminal(call):
    ran = call("inspect", "zoo:\x1b[31mred\x07")
    assert_one_sentence(ran)
    assert "\\x1b[31mred\\x07" in ran.err


def test_warnings_of_libraries_are_not_shown(call, monkeypatch, recwarn):
    import logging
    import warnings

    def warns(directory):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("an old function", DeprecationWarning, stacklevel=1)
        logging.getLogger("some.library").warning("raw text")
        return directory / "report.html"

    monkeypatch.setattr("unravelnet.reporting.report", warns)
    ran = call("report", "x")
    assert (ran.status, ran.err) == (0, "")


# -- standard streams --


def test_a_closed_standard_output_is_refused_before_anything_is_done():
    ran = in_a_shell("UNRAVELNET inspect zoo:resnet8 >&-")
    assert ran.returncode == 1
    assert ran.stderr.startswith("unravelnet: Standard output is closed")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("words", ["--help", "inspect zoo:resnet8 --json"])
def test_a_full_standard_output_is_a_failure(words):
    ran = in_a_shell(f"UNRAVELNET {words} > /dev/full")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("unravelnet: ")
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


def test_a_reader_that_stops_ends_a_command_in_silence():
    # `true` ends before anything is printed.
    ran = in_a_shell("UNRAVELNET --help | true; echo ${PIPESTATUS[0]}")
    assert (ran.stdout, ran.stderr) == ("0\n", "")


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_a_standard_error_that_takes_nothing_changes_no_status(where):
    ran = in_a_shell(f"UNRAVELNET lesoin {where}; echo $?")
    assert (ran.stdout, ran.stderr) == ("2\n", "")


def test_characters_that_the_terminal_lacks_are_written_out():
    code = "from unravelnet.cli import streams; streams.prepare(); streams.write('3×3')"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"},
    )
    assert ran.stdout == "3\\xd73"


# -- Ctrl-C --


@pytest.mark.parametrize("seconds", [0.15, 0.5, 1.0])
def test_an_early_interruption_is_a_sentence(seconds, tmp_path):
    process = subprocess.Popen(
        [*PROGRAM, "lesion", "zoo:resnet110", "--data", "digits", "--out", tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    lines = [line for line in err.splitlines() if not line.startswith("The weights of")]
    assert len(lines) == 1
    assert lines[0].startswith("unravelnet: Interrupted.")
    assert out == ""


def interrupted_in_an_import():
    with contextlib.suppress(KeyboardInterrupt):
        interruption.interrupt(signal.SIGINT, None)
    raise ImportError("numpy._core failed to import")


def test_an_error_that_an_interruption_became_is_the_interruption():
    with (
        pytest.raises(InterruptionError, match=r"^Interrupted\. The rows are kept\.$"),
        interruptible("Nothing yet."),
        interruptible("The rows are kept."),
    ):
        interrupted_in_an_import()


def test_an_error_without_an_interruption_stays_one():
    with pytest.raises(ImportError, match="no module"), interruptible("The rows are kept."):
        raise ImportError("no module")


# -- numbers that nobody can mean --


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        ("lesion zoo:resnet8 --data digits --seed 18446744073709551616", "--seed"),
        (f"lesion zoo:resnet8 --data digits --seed {'9' * 5000}", "--seed"),
        ("lesion zoo:resnet8 --data digits --limit 99999999999999999999", "images of digits were asked for"),
        (
            "lesion zoo:resnet8 --data digits --batch-size 99999999999999999999",
            "images at a time are too many",
        ),
        ("lesion zoo:resnet8 --data digits --until-ci nan", "--until-ci"),
        ("lesion zoo:resnet8 --data digits --until-ci 0", "at most 0.0"),
        ("lesion zoo:resnet14 --data digits --study reorder --counts 1000000000000", "swaps in one route"),
        ("lesion zoo:resnet8 --data digits --study delete-many --repeats 1000000000", ",000,000,000 routes"),
        ("lesion zoo:resnet9999999998 --data digits", "resnet9999999998"),
        (f"inspect zoo:resnet{'9' * 5000}", "There is no zoo network"),
        ("inspect zoo:resnet999999998", "999,999,998 layers are too many"),
        ("inspect zoo:resnet8 --input-shape 3,100000,100000", "30,000,000,000 values, 111.7 GiB"),
        ("inspect zoo:resnet8 --input-shape 99999999999999999999,1,1", "99,999,999,999,999,999,999 values"),
        ("paths zoo:resnet8 --data digits --method sampled --draws 1000000000000", "draws are too many"),
        ("train resnet8 --data digits --out x --learning-rate 1e300", "learning_rate is 1e+300"),
        ("train resnet8 --data digits --out x --learning-rate nan", "learning_rate is nan"),
        ("train resnet8 --data digits --out x --epochs 1000000000000", "epochs is 1000000000000"),
        ("train resnet8 --data digits --out x --weight-decay inf", "weight_decay is inf"),
        ("train resnet8 --data digits --out x --seed 99999999999999999999", "--seed"),
        ("reproduce --repeats 1000000000 --out x", "routes are too many"),
        ("reproduce --epochs 1000000000 --out x", "epochs is 1000000000"),
        ("reproduce --until-ci 1e-300 --out x", "at most 1e-300"),
    ],
)
def test_numbers_that_nobody_can_mean_are_misuse(call, tmp_path, words, phrase):
    ran = call(*words.split())
    assert_one_sentence(ran)
    assert phrase in ran.err
    assert ran.status == 2
    assert list(tmp_path.iterdir()) == []


# -- paths --

LONG = "x" * 300


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["lesion", "zoo:resnet8", "--data", "digits", "--out", "~nosuchuser/x"], "unknown user"),
        (
            ["lesion", "zoo:resnet8", "--data", "digits", "--out", LONG],
            "File name too long. Give a shorter name.",
        ),
        (["paths", "zoo:resnet8", "--data", "digits", "--out", f"a/{LONG}/b"], "File name too long"),
        (["paths", "zoo:resnet8", "--data", "digits", "--out", "/etc/hostname"], "Not a directory"),
        (["train", "resnet8", "--data", "digits", "--out", "caf\udce9"], "not written in UTF-8"),
        (["train", "resnet8", "--data", "digits", "--out", ""], "'' names nothing"),
        (["reproduce", "--out", "/dev/null/x"], "Not a directory"),
        (["reproduce", "--data", "~nosuchuser/data"], "unknown user"),
        (["reproduce", "--data", LONG], "File name too long"),
        (["report", "~nosuchuser"], "unknown user"),
        (["report", "caf\udce9"], "not written in UTF-8"),
        (["report", "x", "--markdown", f"{LONG}.md"], "File name too long"),
        (["report", "x", "--markdown", "."], "is a directory. Give the name of a file."),
        (["inspect", "~nosuchuser/net"], "unknown user"),
        (["inspect", LONG], "File name too long"),
        (["inspect", "~nosuchuser/my.py:f"], "unknown user"),
        (["inspect", "hf:~nosuchuser/gpt2"], "unknown user"),
        (["inspect", "zoo:resnet8", "--weights", "~nosuchuser/w.pt"], "unknown user"),
        (["lesion", "zoo:resnet8", "--data", "~nosuchuser/images"], "unknown user"),
        (["lesion", "zoo:resnet8", "--data", "caf\udce9"], "not written in UTF-8"),
    ],
)
def test_paths_that_cannot_be_used_are_misuse(call, tmp_path, monkeypatch, words, phrase):
    monkeypatch.setattr("unravelnet.measuring.evaluation.evaluate", None)  # nothing is measured
    ran = call(*words)
    assert_one_sentence(ran)
    assert phrase in ran.err
    assert "space" not in ran.err
    assert ran.status == 2
    assert list(tmp_path.iterdir()) == []


def test_a_home_directory_is_expanded_on_the_command_line(call, monkeypatch, trained, tmp_path):
    monkeypatch.setenv("HOME", str(trained.parent))
    assert call("inspect", "~/net", "--json").status == 0


# -- nothing but results on standard output --

CHATTY = """
import os, sys
from torch import nn

def close_every_stream():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        stream.close()

print("a line while the file is read")
os.system("echo a line of another process")
close_every_stream()


class Chatty(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        print("a line in the forward pass")
        close_every_stream()
        return x + self.layer(x).relu()


def make():
    print("a line of the factory")
    return nn.Sequential(Chatty(), Chatty())
"""


@pytest.fixture
def chatty(tmp_path):
    (tmp_path / "chatty.py").write_text(CHATTY)
    return f"{tmp_path}/chatty.py:make"


def test_what_others_print_is_kept_out_of_the_results_whatever_they_close(chatty):
    ran = in_a_shell(f"UNRAVELNET inspect {chatty} --input-shape 4 --json")
    assert (ran.returncode, json.loads(ran.stdout)["n_modules"]) == (0, 2)
    for line in ("while the file is read", "of another process", "in the forward pass", "of the factory"):
        assert f"a line {line}" in ran.stderr


def test_results_go_where_standard_output_was(call, capsys):
    with streams.results_apart():
        print("said by others")
        streams.write("a result\n")
    print("said later")
    assert capsys.readouterr() == ("a result\nsaid later\n", "said by others\n")


def test_a_model_that_closes_every_stream_silences_no_error(chatty):
    ran = in_a_shell(f"UNRAVELNET inspect {chatty} --input-shape 5 --json")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1].startswith("unravelnet: ")
