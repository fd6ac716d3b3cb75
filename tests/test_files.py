"""A file is the old one or the new one."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from unravelnet.errors import PathError
from unravelnet.records.files import replacing, usable_path, writable_directory, writable_file


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_file_is_replaced_when_all_is_written(tmp_path):
    path = tmp_path / "deep" / "notes.txt"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            assert temporary.suffix == ".txt"
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    assert names_in(path.parent) == ["notes.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_after_an_exception_the_old_file_is_there(tmp_path, error):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("ne")
        raise error
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["notes.txt"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys\nfrom unravelnet.records.files import replacing\n"
        f"with replacing({str(path)!r}) as temporary:\n"
        "    temporary.write_text('ne'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_a_new_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "ours") as temporary:
        temporary.touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


# -- paths --


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("~nosuchuser/runs", "'~nosuchuser/runs' begins with the home directory of an unknown user"),
        ("", "'' names nothing"),
        ("  ", "names nothing"),
        ("a\0b", "names nothing"),
        ("caf\udce9", r"is not written in UTF-8\. Rename"),
        ("x" * 300, "File name too long. Give a shorter name"),
        ("deep/" * 1000, "File name too long. Give a shorter name"),
    ],
)
@pytest.mark.parametrize("use", [usable_path, writable_directory, writable_file])
def test_what_can_be_no_path_is_refused(text, phrase, use):
    with pytest.raises(PathError, match=phrase) as caught:
        use(text)
    assert len(str(caught.value)) < 250


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(PathError, match="leads back to itself"):
        writable_directory(tmp_path / "one" / "runs")


def test_a_home_directory_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert usable_path("~/runs") == tmp_path / "runs"


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("file", "Not a directory"),
        ("file/below", "Not a directory"),
        (f"new/{'x' * 300}/below", "File name too long"),
        ("/proc/none/such", "/proc/none/such' cannot be written to"),
        ("/dev/full/x", "Not a directory"),
    ],
)
def test_directories_that_cannot_be_written_to_are_refused(tmp_path, name, phrase):
    (tmp_path / "file").touch()
    with pytest.raises(PathError, match=phrase):
        writable_directory(tmp_path / name)
    assert names_in(tmp_path) == ["file"]


def test_asking_for_a_directory_makes_none(tmp_path):
    assert writable_directory(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
    assert writable_file(tmp_path / "new" / "page.md") == tmp_path / "new" / "page.md"
    assert names_in(tmp_path) == []
    with pytest.raises(PathError, match=r"is a directory\. Give the name of a file"):
        writable_file(tmp_path)
