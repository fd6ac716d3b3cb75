"""Captures one member, and compares what was found with its definition. Runs in a process of its own.

Seconds are of the processor and not of the clock: other work on the machine does not count.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import unravelnet as un
from survey.member import Member
from unravelnet.errors import CaptureError
from unravelnet.network import ResidualModule
from unravelnet.network.output import Output

Row = dict[str, Any]

# Relative to the largest value: float32 keeps about seven digits, and kernels may sum in another order.
TOLERANCE = 1e-5
_MIB = 2**20
# Another batch than the example's, and than those on which a capture compares by itself.
_NEW_BATCH = 5
_STATUS = Path("/proc/self/status")


def measure(member: Member) -> Row:
    """Capture a member; return its row: what was found, what its definition says, the cost and the verdict."""
    torch.manual_seed(0)
    model, example = member.make().eval(), member.example()
    row = expected(member) | {"weights_mib": _bytes(model) / _MIB}
    # What does not run at all is refused with its reason.
    with contextlib.suppress(Exception):
        row["forward_seconds"] = min(_seconds(lambda: called(model, example))[0] for _ in range(2))
    forget_peak()
    before = _memory_mib("VmRSS")
    try:
        row["capture_seconds"], net = _seconds(lambda: un.unravel(model, example))
    except CaptureError as error:
        return row | _of_refusal(member, str(error))
    row["capture_mib"] = _memory_mib("VmHWM") - before
    row |= found(net.residual_modules, net.unexplained) | {"difference": difference(model, net, example)}
    return row | judged(member, row)


def expected(member: Member) -> Row:
    """Say what the definition of a member says."""
    return {
        "library": member.library,
        "family": member.family,
        "model": member.model,
        "n_modules_expected": member.modules,
        "n_nested_expected": member.nested,
        "junctions_expected": _words(dict(member.kinds) or {"add": member.modules + member.nested}),
        "definition": member.truth,
    }


def found(modules: Iterable[ResidualModule], unexplained: Iterable[str]) -> Row:
    """Count what a capture found: modules in a row, modules inside them, junctions, sums that it lists."""
    row, nested = list(modules), list(_nested(modules))
    kinds = Counter("plain" if m.kind == "plain" else m.junction.kind for m in [*row, *nested])
    return {
        "n_modules": len(row),
        "n_nested": len(nested),
        "junctions": _words(kinds),
        "n_unexplained": len(list(unexplained)),
    }


def judged(member: Member, row: Mapping[str, Any]) -> Row:
    """Hold what was found against the definition."""
    if member.refused:
        return _verdict("wrong", f"It was captured, and expected to be refused with: {member.refused}.")
    pairs = {"modules": "n_modules", "modules inside others": "n_nested", "junctions": "junctions"}
    wrong = [
        f"{words}: {row[name]} instead of {row[name + '_expected']}"
        for words, name in pairs.items()
        if row[name] != row[name + "_expected"]
    ]
    if not row["difference"] <= TOLERANCE:
        wrong.append(f"outputs differ by {row['difference']:.1e} of the largest")
    return _verdict("wrong", f"It was captured with {'; '.join(wrong)}.") if wrong else _verdict("right", "")


def difference(model: nn.Module, net: nn.Module, example: Any) -> float:
    """Measure the largest difference of outputs on new random inputs, relative to the largest output."""
    inputs = pytree.tree_map_only(Tensor, _drawn_like, example)
    with torch.no_grad():
        ours, theirs = Output().pick(net.eval()(inputs)), Output().pick(called(model.eval(), inputs))
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30))


def _drawn_like(leaf: Tensor) -> Tensor:
    """Draw a batch of another size: normal numbers, or whole ones from those of the example."""
    if not leaf.dim():
        return leaf
    shape = (_NEW_BATCH, *leaf.shape[1:])
    if leaf.is_floating_point():
        return torch.randn(shape)
    return leaf.flatten()[torch.randint(leaf.numel(), shape)]


@torch.no_grad()
def called(model: nn.Module, inputs: Any) -> Any:
    """Call a model on inputs in the form of an example: a tensor, a tuple or a dict."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def _of_refusal(member: Member, message: str) -> Row:
    as_expected = bool(member.refused) and member.refused in message
    # The list of all that was looked at is for the user of the model; the row has what is expected of it.
    reason = " ".join(message.partition(" What was looked at:")[0].split())
    if as_expected and member.refused not in reason:
        reason = f"{reason} Among the reasons: {member.refused}."
    return _verdict("refused as expected" if as_expected else "refused", reason)


def _verdict(verdict: str, reason: str) -> Row:
    return {"verdict": verdict, "reason": reason}


def _nested(modules: Iterable[ResidualModule]) -> Iterable[ResidualModule]:
    for module in modules:
        yield from module.inner
        yield from _nested(module.inner)


def _words(counts: Mapping[str, int]) -> str:
    """Write counts in the order of their names: "3 add, 4 gate"."""
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()) if n)


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])


def forget_peak() -> None:
    """Let the peak of memory begin anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def _memory_mib(name: str) -> float:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
