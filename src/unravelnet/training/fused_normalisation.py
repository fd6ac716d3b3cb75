"""Batch normalisation with the ReLU behind it as one operation, for training on a CPU.

A ResNet-110 has 109 normalisations and as many ReLUs, which do little with much memory: torch goes over a feature
map three times each way. Here it is twice, with the processor's vectors and all threads, and the same result up to
rounding (`fused_normalisation.cpp`; compiled once a machine and kept in the user's cache directory). Where there is
no compiler training goes on without it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from unravelnet.errors import TrainingError, UnravelError
from unravelnet.records.directory_lock import locked
from unravelnet.records.files import cache_directory, replacing

_log = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_suffix(".cpp")
# Channels of a tile in the source: fewer must divide it, more be a multiple of it.
_TILE = 64
_DTYPES = (torch.bfloat16, torch.float32)
# Minutes on a slow machine; what takes longer hangs.
_COMPILE_SECONDS = 600


class FusedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that trains faster on a CPU, and the ReLU behind it where there is one.

    >>> norm = nn.BatchNorm2d(16)
    >>> bool((FusedBatchNorm2d(norm, relu=True)(torch.randn(4, 16, 8, 8)) >= 0).all())
    True

    Parameters and buffers are those of `norm` itself. What the operation does not know (other devices and dtypes,
    evaluation mode, numbers of channels that neither divide 64 nor are a multiple of it) is computed as ever. There
    is no second derivative.
    """

    def __init__(self, norm: nn.BatchNorm2d, *, relu: bool) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.relu = relu
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:
        if not self._is_known(input):
            output = super().forward(input)
            return output.relu_() if self.relu else output
        assert self.num_batches_tracked is not None, "it can be fused only with statistics"
        self.num_batches_tracked.add_(1)
        statistics = (self.running_mean, self.running_var, self.momentum, self.eps)
        output = torch.ops.unravelnet.batch_norm(input, self.weight, self.bias, *statistics, self.relu)
        assert isinstance(output, Tensor)
        return output

    def _is_known(self, x: Tensor) -> bool:
        return (
            self.training
            and _can_be_fused(self)
            and x.device.type == "cpu"
            and x.dtype in _DTYPES
            and x.dim() == 4
            and x.shape[1] == self.num_features
            and x.numel() % _TILE == 0
            and x.numel() > self.num_features
            and load_operator()
        )


@contextlib.contextmanager
def fused_normalisations(net: nn.Module) -> Iterator[None]:
    """Fuse the batch normalisations of a network that stand in an `nn.Sequential`; afterwards it is as it was.

    For networks that call these as a whole: what reads the layers of one by itself would miss the ReLU where it was.
    Layers with hooks stay as they are.

    >>> net = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU())
    >>> with fused_normalisations(net):
    ...     [type(layer).__name__ for layer in net]
    ['FusedBatchNorm2d', 'Identity']
    """
    replaced: list[tuple[nn.Sequential, str, nn.Module]] = []
    try:
        for sequential in [module for module in net.modules() if type(module) is nn.Sequential]:
            replaced += [(sequential, *layer) for layer in _fuse(sequential)]
        yield
    finally:
        for sequential, name, layer in replaced:
            setattr(sequential, name, layer)


def _fuse(sequential: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    """Put fused layers in, and give the name and layer of each that they replace."""
    # Not `named_children`, which leaves out a layer that comes a second time.
    layers: list[tuple[str, nn.Module | None]] = [*sequential._modules.items(), ("", None)]
    for (name, layer), (next_name, following) in pairwise(layers):
        if type(layer) is not nn.BatchNorm2d or not _can_be_fused(layer) or _has_hooks(layer):
            continue
        has_relu = type(following) is nn.ReLU and not _has_hooks(following)
        yield name, layer
        setattr(sequential, name, FusedBatchNorm2d(layer, relu=has_relu))
        if following is not None and has_relu:
            yield next_name, following
            setattr(sequential, next_name, nn.Identity())


def _can_be_fused(norm: nn.BatchNorm2d) -> bool:
    of_channels = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return (
        (_TILE % norm.num_features == 0 or norm.num_features % _TILE == 0)
        and norm.momentum is not None
        and all(t is not None and t.dtype == torch.float32 and t.is_contiguous() for t in of_channels)
    )


def _has_hooks(layer: nn.Module) -> bool:
    return bool(
        layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    )


# -- the operation, compiled where it is used --


@functools.cache
def load_operator() -> bool:
    """Compile the operation or find it compiled, and say whether it is there; if not, a warning tells why."""
    try:
        path = compiled()
        try:
            torch.ops.load_library(path)
        except OSError:  # damaged, or made for another system: once more
            path.unlink()
            torch.ops.load_library(compiled())
    except (UnravelError, OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        _log.warning(
            "Fused normalisation could not be compiled or loaded, and plain layers are used, which are slower. %s",
            detail.strip().partition("\n")[0],
        )
        return False
    return True


def compiled() -> Path:
    """Give the path of the compiled operation, which is made if it is not there."""
    command = _command()
    # Another source, torch, compiler or system is another file: machines may share a cache directory.
    system = ["".join(platform.libc_ver()), platform.machine(), _processor()]
    parts = [_SOURCE.read_text(encoding="utf-8"), *command, torch.__version__, *system]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    path = cache_directory() / f"fused-normalisation-{digest}.so"
    # Processes that start at the same time wait for the first of them, which compiles for all.
    with locked(path.parent, wait_seconds=_COMPILE_SECONDS):
        if not path.exists():
            with replacing(path) as temporary:
                made = [*command, "-o", str(temporary)]
                subprocess.run(made, check=True, capture_output=True, text=True, timeout=_COMPILE_SECONDS)
    return path


def _command() -> list[str]:
    from torch.utils.cpp_extension import include_paths, library_paths

    compiler = shlex.split(os.environ.get("CXX", "")) or [shutil.which("c++") or shutil.which("g++") or ""]
    if not compiler[0]:
        raise TrainingError(
            "There is no C++ compiler; install g++, or name one in the environment variable CXX."
        )
    options = ["-std=c++20", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared"]
    defined = [
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        # Of torch's operators, only those that are included are read.
        "-DAT_PER_OPERATOR_HEADERS",
    ]
    includes = [f"-I{path}" for path in include_paths()]
    libraries = [f"-L{path}" for path in library_paths()]
    linked = [*libraries, "-ltorch", "-ltorch_cpu", "-lc10"]
    return [*compiler, *options, *defined, *includes, str(_SOURCE), *linked]


def _processor() -> str:
    """Say what -march=native means here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
