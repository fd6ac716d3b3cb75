"""The one place that imports optional packages.

Everything else asks here, worker processes included, so that a missing package is explained once and the
torchvision repair below is always in effect before timm, transformers or a user's own file imports it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from unravelnet.errors import MissingExtraError

_EXTRA_OF_PACKAGE = {
    "accelerate": "gguf",
    "efficientnet_lite_pytorch": "efficientnet",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "ray": "cluster",
    "starlette": "web",
    "tokenizers": "transformers",
    "uvicorn": "web",
}
_NEEDS_TORCHVISION = ("torchvision", "timm", "transformers")
_repairs: list[object] = []


def require(package: str, feature: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    `feature`: what needs the package, the subject of the message. Raises MissingExtraError.
    """
    if package.partition(".")[0] in _NEEDS_TORCHVISION:
        repair_torchvision()
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        top = package.partition(".")[0]
        extra = _EXTRA_OF_PACKAGE.get(top, top)
        raise MissingExtraError(
            f"{feature} needs the package {error.name!r}. Install it with: pip install 'unravelnet[{extra}]'."
        ) from error


@contextlib.contextmanager
def quiet_transformers(transformers: Any) -> Iterator[None]:
    """Let transformers work without progress bars and remarks, and give its settings back."""
    logging = transformers.utils.logging
    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()


def repair_torchvision() -> None:
    """Make torchvision importable beside a torch build that its compiled operators do not fit.

    >>> repair_torchvision()  # before `import torchvision`, `import timm`, `import transformers`

    The published wheels of torchvision are linked against CUDA. Beside a CPU-only torch its operators do not
    load, and `import torchvision` then stops where it registers meta kernels for `nms` and `qnms`, although
    no classification model uses either. Declaring the two schemas lets the import go on. Nothing is done
    where torchvision imports by itself, or is not installed.
    """
    if "torchvision" in sys.modules or _repairs:
        return
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declare_torchvision_operators()


def _declare_torchvision_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # noqa: TOR901
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # The schemas live as long as this object does.
    _repairs.append(library)
