"""Finds the facts on which the choice of a precision depends; the rule is in `precision`."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from unravelnet.data import Batches
from unravelnet.data.batches import StreamedBatches, first_batch
from unravelnet.data.source import part_of
from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.precision import Machine, Precision, PrecisionChoice, decide

_log = logging.getLogger(__name__)

Run = Callable[[Inputs, Precision], Any]

# Images (or sequences) that a network is tried with.
_N_TRIED = 8
# Of ONEDNN_MAX_CPU_ISA: have 512-bit vectors and no instructions for bfloat16. What is below, oneDNN tells itself.
_ISA_WITHOUT_BFLOAT16 = ("AVX512_CORE", "AVX512_CORE_VNNI")
# NVIDIA's Ampere is the first to multiply bfloat16.
_FIRST_CUDA_CAPABILITY = 8


def machine_of(device: torch.device) -> Machine:
    """Say what a device can do.

    >>> machine_of(torch.device("cpu")).device
    'cpu'
    """
    if device.type == "cpu":
        return Machine("cpu", _processor_multiplies_bfloat16())
    if device.type == "cuda":
        is_new = torch.cuda.get_device_capability(device)[0] >= _FIRST_CUDA_CAPABILITY
        return Machine("cuda", is_new or torch.version.hip is not None)
    return Machine(device.type, multiplies_bfloat16=False)


def _processor_multiplies_bfloat16() -> bool:
    # As oneDNN sees it, which computes the products: it may be held to fewer instructions than there are.
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    # On x86 it also takes for support that there are 512-bit vectors, with which bfloat16 is emulated.
    if _highest_instructions() in _ISA_WITHOUT_BFLOAT16:
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in checks)


def _highest_instructions() -> str:
    """Read up to which instructions oneDNN was told to go; empty where it was not."""
    names = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
    return next((os.environ[name].upper() for name in names if os.environ.get(name)), "")


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Give convolutions in float32 all their bits: on CUDA torch takes the ten of TF32 unless it is told not to."""
    was = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = was


@contextlib.contextmanager
def in_precision(device: torch.device, precision: PrecisionChoice) -> Iterator[None]:
    """Let torch compute in a precision; "auto" is float32 until it has been decided on."""
    with full_float32(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def choose_precision(
    asked: PrecisionChoice,
    net: UnraveledNetwork,
    device: torch.device,
    run: Run,
    inputs: Callable[[], Inputs | None],
    *,
    doing: str,
    begun: Precision | None = None,
) -> Precision:
    """Choose the precision for a network on a device, and say in a remark or a warning why.

    >>> from unravelnet.zoo import preact_resnet
    >>> net, images = preact_resnet(8, input_shape=(1, 8, 8)), torch.zeros(2, 1, 8, 8)
    >>> run = lambda inputs, precision: net(inputs)
    >>> choose_precision("auto", net, torch.device("cpu"), run, lambda: images, doing="measured")
    'float32'

    `run`: runs the network on inputs in a precision. `inputs`: gives a few, where bfloat16 is to be tried; None where
    there are none. `doing`: the participle for the remark. `begun`: the precision of results that are to be gone on
    with. Raises UnknownNameError for a precision that there is not.
    """

    def deviation() -> float | None:
        few = inputs()
        return None if few is None else deviation_in_bfloat16(run, few)

    macs_a_module = net.total_macs / max(1, len(net.residual_modules))
    machine = machine_of(device)
    decision = decide(asked, machine, macs_a_module=macs_a_module, deviation=deviation, begun=begun)
    if decision.reason:
        level = logging.WARNING if decision.is_warning else logging.INFO
        words = (net.name or "The network", doing, decision.precision, decision.reason)
        _log.log(level, "%s is %s in %s: %s.", *words)
    return decision.precision


def few_inputs(batches: Batches) -> Inputs | None:
    """Give the first inputs of data to try a network with; None where that would use them up."""
    if isinstance(batches, StreamedBatches) and batches.is_consumed:
        return None
    return part_of(first_batch(batches), 0, _N_TRIED)[0]


def deviation_in_bfloat16(run: Run, inputs: Inputs) -> float:
    """Measure by how much outputs in bfloat16 differ from those in float32, as a share of their spread.

    >>> layer = torch.nn.Linear(64, 10)
    >>> def run(x, precision):
    ...     with in_precision(x.device, precision):
    ...         return layer(x)
    >>> deviation_in_bfloat16(run, torch.randn(8, 64)) < 0.02
    True

    The spread is that of the last dimension, over classes, so that what all classes share does not count. The largest
    over all tensors of the output; infinite where they are not finite.
    """
    exact, rounded = _outputs(run, inputs, "float32"), _outputs(run, inputs, "bfloat16")
    return max(map(_deviation, exact, rounded), default=0.0)


def _outputs(run: Run, inputs: Inputs, precision: Precision) -> list[Tensor]:
    # Networks with random numbers draw the same ones twice, and those that come later are as they were.
    with torch.random.fork_rng(), torch.no_grad():
        leaves = pytree.tree_leaves(run(inputs, precision))
    return [leaf.double() for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _deviation(exact: Tensor, rounded: Tensor) -> float:
    if exact.dim() > 1 and exact.shape[-1] > 1:
        exact, rounded = (x - x.mean(-1, keepdim=True) for x in (exact, rounded))
    difference, spread = float((rounded - exact).norm()), float(exact.norm())
    if not math.isfinite(difference):
        return math.inf
    return difference / spread if spread else (math.inf if difference else 0.0)
