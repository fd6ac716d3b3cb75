"""The four benchmarks of the engine, this tree against an earlier commit: in turns, each in a process of its own.

python -m benchmarks.against 28bce08 --turns 3

All are in float32, which every processor multiplies itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.engine_cases import CASES
from unravelnet.records import provenance
from unravelnet.records.record import Table, load_table

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure every case in turns, print its row, and keep the rows beside those of other commits."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("commit", help="the commit to compare with")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks_against.csv"))
    options = parser.parse_args()
    facts = provenance.collect()
    flat = {name: value for name, value in facts.items() if isinstance(value, str | int | float)}
    rows = list(load_table(options.out)) if options.out.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        earlier = _sources(options.commit, Path(folder))
        for name in CASES:
            row = _compared(name, earlier, options.turns)
            print("  ".join(f"{column}={value}" for column, value in row.items()), flush=True)
            rows.append({**flat, "earlier_commit": _hash(options.commit), **row})
            Table(rows).save(options.out)


def _compared(name: str, earlier: Path, turns: int) -> dict[str, Any]:
    before, now = [], []
    for _ in range(turns):
        before.append(_in_fresh_process(name, earlier))
        now.append(_in_fresh_process(name, ROOT / "src"))
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(now, before, strict=True)]
    return {
        "benchmark": name,
        "case": CASES[name][0],
        "turns": turns,
        "seconds": median(one["seconds"] for one in now),
        "seconds_before": median(one["seconds"] for one in before),
        "times_before": median(ratios),
        "times_before_low": min(ratios),
        "times_before_high": max(ratios),
        "memory_mib": median(one["memory_mib"] for one in now),
        "memory_mib_before": median(one["memory_mib"] for one in before),
    }


def _in_fresh_process(name: str, source: Path) -> dict[str, float]:
    # The folder above this file comes last: an installed unravelnet must not stand in for the older one.
    path = os.pathsep.join([str(source), str(ROOT)])
    command = [sys.executable, "-c", f"from benchmarks.engine_cases import measure; measure({name!r})"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _sources(commit: str, folder: Path) -> Path:
    archive = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "src"


def _hash(commit: str) -> str:
    found = subprocess.run(["git", "rev-parse", commit], cwd=ROOT, check=True, capture_output=True, text=True)
    return found.stdout.strip()


if __name__ == "__main__":
    main()
