"""What the benchmarks share: timing, the matrix-multiply rate, memory of a fresh process, rows."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from unravelnet.network import UnraveledNetwork
from unravelnet.routes.route import Route

Row = dict[str, Any]
DTYPE = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def seconds(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Time a piece of work: the shortest of several runs, with the result of the last."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def matmul_flops_per_second(precision: str, size: int = 2048) -> float:
    """Measure how many operations a second a large square matrix product reaches: the floor's speed."""
    a, b = torch.randn(2, size, size).to(DTYPE[precision])
    torch.mm(a, b)
    best, _ = seconds(lambda: torch.mm(a, b), repeats=10)
    return 2 * size**3 / best


def shared_macs(net: UnraveledNetwork, routes: list[Route]) -> int:
    """Count the MACs an image that are left when deletions share their prefixes.

    The intact network runs every branch once; the route without module i runs again what lies behind it.
    """
    assert all(route.n_deleted <= 1 for route in routes)
    deleted = {step.module for route in routes for step in route.steps if step.mode == "skip"}
    again = sum(module.macs for first in deleted for module in net.residual_modules if module.index > first)
    return net.total_macs + again


def in_fresh_process(work: Callable[..., Row], *arguments: Any) -> Row:
    """Run work in a new process; add its peak memory in MiB, beside what the process took before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_with_memory, (work, arguments))


def _with_memory(work: Callable[..., Row], arguments: tuple[Any, ...]) -> Row:
    before = _peak_kib()
    row = work(*arguments)
    return {**row, "memory_mib": (_peak_kib() - before) / 1024}


def _peak_kib() -> int:
    """Read the peak memory of this process (Linux); `getrusage` would count that of its parent, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
