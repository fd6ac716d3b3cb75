"""What ran: versions, hardware, commit, seeds and the fingerprints of network and data.

A number without these cannot be checked by anybody else. They stand in `run.json` beside the results and at
the end of every report. Nothing here imports the packages that it names: their metadata is read.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from unravelnet.errors import StoreError
from unravelnet.records.files import usable_path
from unravelnet.records.record import read_json, whole_file

# The packages whose version can change a number.
_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "networkx",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "datasets",
    "scikit-learn",
    "pillow",
    "safetensors",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "ray",
)
FACTS_FILE = "run.json"
_MEND = "Move it away, or run again to write it anew."


def collect(command: Sequence[str] | None = None, **facts: Any) -> dict[str, Any]:
    """Gather what a reader needs to repeat a run.

    >>> run = collect(["unravelnet", "reproduce"], seed=0)
    >>> run["command"], run["seed"]
    (['unravelnet', 'reproduce'], 0)

    `command`: the words of the command line, None in a notebook. `facts`: what only the caller knows (seeds,
    device, precision, fingerprints), stored under their own names. Memory is in bytes, time in UTC; what
    cannot be found out is None.
    """
    return {
        "command": None if command is None else list(command),
        "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "unravelnet": _version("unravelnet"),
        **_state_of_source(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": _cores(),
        "memory_bytes": memory_bytes(),
        **facts,
    }


def write_run(directory: str | os.PathLike[str], facts: Mapping[str, Any]) -> Path:
    """Write facts to `run.json` in a directory, whole or not at all, and return its path.

    Values that JSON does not know, such as paths, are written as text. Raises StoreError where the file
    cannot be written.
    """
    target = usable_path(directory) / FACTS_FILE
    text = json.dumps(dict(facts), indent=2, ensure_ascii=False, default=str)
    with whole_file(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return target


def read_run(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the facts that `write_run` wrote.

    >>> _ = write_run(directory, {"seed": 3})
    >>> read_run(directory)
    {'seed': 3}

    Raises StoreError where there is no `run.json`, or it is damaged.
    """
    source = usable_path(directory) / FACTS_FILE
    try:
        facts = read_json(source)
    except FileNotFoundError as error:
        raise StoreError(
            f"There is no {FACTS_FILE} in {directory}: no run has written there. Give the directory of a run."
        ) from error
    if not isinstance(facts, dict):
        raise StoreError(f"{source} does not hold the facts of a run. {_MEND}")
    return facts


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _state_of_source() -> dict[str, str | bool | None]:
    """Ask once a process: the code that was imported stays as it was, whatever happens to its repository."""
    changes = _git("status", "--porcelain")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "has_uncommitted_changes": None if changes is None else changes != "",
    }


def _git(*arguments: str) -> str | None:
    """Ask git about the source of this package; None where it is not a tracked part of a repository.

    An installed copy may lie inside a repository of its user, which says nothing about this code.
    """
    here = Path(__file__)
    # Without optional locks: looking must not get in the way of whoever uses the repository.
    git = ["git", "--no-optional-locks", "-C", str(here.parent)]
    tracked = _output_of([*git, "ls-files", "--error-unmatch", here.name])
    return None if tracked is None else _output_of([*git, *arguments])


def _output_of(command: Sequence[str]) -> str | None:
    try:
        finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return finished.stdout.strip()


def _cpu() -> str | None:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or None


def _cores() -> int | None:
    """Count the cores that this process may use, which a container or a scheduler may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def memory_bytes() -> int | None:
    """Say how much memory this machine has; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
