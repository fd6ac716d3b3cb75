"""The form .onnx: a file that other runtimes read, compared with torch by onnxruntime before it takes its place."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from unravelnet._extras import require
from unravelnet.capture.untouched import quiet
from unravelnet.capture.verify import TOLERANCE
from unravelnet.errors import CaptureError, StoreError, first_line
from unravelnet.exporting.program import RECEIPT, program_of
from unravelnet.exporting.subject import OF_ONNX, Subject
from unravelnet.network.output import ALONE
from unravelnet.records.record import whole_file

# A file of ONNX is one message of Protocol Buffers, which ends there.
_MOST_BYTES = 2**31
# Of the type of an output: what a network in half precision may differ by where the runtime computes in float32.
_STEPS = 4
_LOADING = f"onnxruntime.InferenceSession(FILE); the receipt is its metadata {RECEIPT}"


def write_onnx(subject: Subject, path: Path) -> None:
    """Write the program of a route as ONNX, with an open batch, and the receipt in its metadata.

    Raises MissingExtraError without the extra onnx, CaptureError where an operator has no form in ONNX, and
    StoreError where the weights do not fit into one file.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, "An export to ONNX")
    _check_size(subject, path)
    program, _ = program_of(subject)
    exported = _translated(subject, program)
    with whole_file(path) as temporary:
        exported.save(temporary)
        subject.check_same(OF_ONNX, _outputs(subject, temporary), _tolerance(subject))
        exported.model.metadata_props[RECEIPT] = json.dumps(
            subject.receipt("onnx", subject.pruned, _LOADING), indent=2
        )
        exported.save(temporary)


def _check_size(subject: Subject, path: Path) -> None:
    n_bytes = sum(tensor.nbytes for tensor in subject.pruned.state_dict().values())
    if n_bytes >= _MOST_BYTES:
        raise StoreError(
            f"{path} would hold {n_bytes / 2**30:.1f} GiB of weights, and one file of ONNX holds less than 2. Export "
            'as form="pt2" or form="directory".'
        )


def _translated(subject: Subject, program: torch.export.ExportedProgram) -> Any:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=_input_names(subject),
                output_names=_output_names(subject),
            )
        except Exception as error:  # whatever the translation of an operator raises
            cause = error.__cause__ or error
            raise CaptureError(
                f"{subject.net.title} cannot be written as ONNX: {first_line(cause)}. Nothing was written. Export as "
                'form="pt2" or form="directory".'
            ) from error


def _input_names(subject: Subject) -> list[str]:
    args, kwargs = subject.batches[0]
    n_given = len(pytree.tree_leaves(args))
    alone = ["input"] if n_given == 1 and not kwargs else [f"input_{place}" for place in range(n_given)]
    return [*alone, *kwargs]


def _output_names(subject: Subject) -> list[str]:
    """Name the tensors that are left on the route as the network names them, where each of its own is left."""
    leaves = [leaf for leaf in pytree.tree_leaves(subject.expected[0]) if isinstance(leaf, Tensor)]
    names = list(subject.net.outputs) or [ALONE]
    return names if len(names) == len(leaves) else [f"output_{place}" for place in range(len(leaves))]


def _tolerance(subject: Subject) -> float:
    """Say how far another runtime may be: one that computes wider than the network rounds otherwise."""
    leaves = [leaf for leaf in pytree.tree_leaves(subject.expected[0]) if isinstance(leaf, Tensor)]
    steps = [torch.finfo(leaf.dtype).eps for leaf in leaves if leaf.is_floating_point()]
    return max([TOLERANCE, *(_STEPS * step for step in steps)])


def _outputs(subject: Subject, path: Path) -> list[list[Tensor]]:
    runtime = require("onnxruntime", "An export to ONNX")
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return _run(session, subject)
    except Exception as error:  # whatever the runtime raises where it has no kernel for a type
        raise CaptureError(
            f"onnxruntime does not run {subject.net.title} as ONNX: {first_line(error)}. Nothing was written. Export "
            'as form="pt2", or unravel the model as float32: model.float().'
        ) from error


def _run(session: Any, subject: Subject) -> list[list[Tensor]]:
    names = [given.name for given in session.get_inputs()]
    found = []
    for args, kwargs in subject.batches:
        tensors = [leaf.cpu() for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        given = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        found.append([torch.as_tensor(value) for value in session.run(None, given)])
    return found
