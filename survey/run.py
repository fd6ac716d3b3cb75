"""Measures members one after the other, each in a process of its own, and keeps a row of each."""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from survey.measure import Row, expected, measure
from survey.member import Member
from survey.members import find
from unravelnet.records import provenance
from unravelnet.records.record import Table, load_table

SECONDS = 120
# On a machine that does other work, too, a second of the processor takes longer.
_TIMES_BY_THE_CLOCK = 10
COLUMNS = (
    "library",
    "family",
    "model",
    "verdict",
    "n_modules",
    "n_modules_expected",
    "n_nested",
    "n_nested_expected",
    "junctions",
    "junctions_expected",
    "n_unexplained",
    "difference",
    "capture_seconds",
    "forward_seconds",
    "capture_mib",
    "weights_mib",
    "reason",
    "definition",
    "hardware",
    "versions",
    "commit",
)
_PACKAGES = ("torch", "torchvision", "timm", "transformers")


@dataclass(frozen=True)
class Survey:
    """The members, the file with their rows, and the limit of a member in seconds of the processor."""

    members: Sequence[Member]
    path: Path
    seconds: int = SECONDS

    def run(self, only: str | None, tell: Callable[[Row], None]) -> Table:
        """Measure the members that a pattern fits, or those without a row; return all rows.

        Where the definition of a member has changed, its row is none. Rows are written one by one, so that a run
        that is interrupted goes on from there.
        """
        rows = self._known()
        facts = facts_of_the_machine()
        for member in self.members:
            key = (member.library, member.model)
            path = f"{member.library}/{member.family}/{member.model}"
            is_due = key not in rows if only is None else re.search(only, path)
            if not is_due:
                continue
            rows[key] = dict.fromkeys(COLUMNS) | measured(member, self.seconds) | facts
            tell(rows[key])
            self._table(rows).save(self.path)
        return self._table(rows)

    def _known(self) -> dict[tuple[str, str], Row]:
        known = {(row["library"], row["model"]): row for row in self._read()}
        return {
            key: row
            for member in self.members
            if (row := known.get(key := (member.library, member.model)))
            if all(row[name] == value for name, value in expected(member).items())
        }

    def _read(self) -> Sequence[Row]:
        return list(load_table(self.path)) if self.path.exists() else []

    def _table(self, rows: dict[tuple[str, str], Row]) -> Table:
        keys = [(member.library, member.model) for member in self.members]
        return Table([rows[key] for key in keys if key in rows], COLUMNS)


def measured(member: Member, seconds: int = SECONDS) -> Row:
    """Measure one member in a process of its own, with one thread and a limit of seconds of the processor."""
    # The server imports once; each member is a copy of it, which nothing that another did can reach.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["survey.server"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_row, args=(member.library, member.model, seconds, sender))
    process.start()
    sender.close()
    try:
        if receiver.poll(_TIMES_BY_THE_CLOCK * seconds):
            return dict(receiver.recv())
        return _failed(member, f"It took longer than {_TIMES_BY_THE_CLOCK * seconds} seconds by the clock.")
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGXCPU:
            return _failed(member, f"It took longer than {seconds} seconds of the processor.")
        return _failed(member, f"Its process ended with exit status {process.exitcode}.")
    finally:
        process.kill()
        process.join()


def _send_row(library: str, model: str, seconds: int, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    torch.set_num_threads(1)
    member = find(library, model)
    try:
        row = measure(member)
    except Exception as error:  # whatever a model does, it is one row and does not end the survey
        row = _failed(member, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    sender.send(row)


def _failed(member: Member, reason: str) -> Row:
    return expected(member) | {"verdict": "failed", "reason": reason}


def facts_of_the_machine() -> dict[str, Any]:
    """Say where rows are measured: hardware, versions and commit."""
    facts = provenance.collect()
    packages = [f"{name} {facts['packages'][name]}" for name in _PACKAGES if name in facts["packages"]]
    gigabytes = (facts["memory_bytes"] or 0) / 1e9
    return {
        "hardware": f"{facts['cpu']}, {torch.backends.cpu.get_cpu_capability()}, one thread of {os.cpu_count()} "
        f"cores, {gigabytes:.0f} GB of memory",
        "versions": ", ".join(packages),
        "commit": facts["commit"],
    }
