"""The form "directory": what every command takes as MODEL. The graph and its receipt as JSON, the weights beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from unravelnet.capture.modes import follow_every_flag
from unravelnet.errors import CaptureError, CheckpointError, UnravelError
from unravelnet.exporting import graph_text
from unravelnet.exporting.huggingface import write_companions
from unravelnet.exporting.program import RECEIPT, program_of
from unravelnet.exporting.subject import FROM_DISK, Subject
from unravelnet.kinds import is_whole
from unravelnet.network import Inputs
from unravelnet.network.transform import Transform
from unravelnet.records.record import whole_directory
from unravelnet.zoo.store import WEIGHTS_FILE, read_json, read_weights, write_json, write_weights

GRAPH_FILE = "graph.json"
_FORMAT = 1
# What the configuration of a language model says of the texts that it reads.
_LIMITS = ("vocab_size", "max_position_embeddings")
# The types of numbers that a network may take.
_NUMBERS = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype)
}
# Where a model that was read from a directory has its tensors.
_STORED = "stored."
_LOADING = "unravelnet.load(DIRECTORY), or DIRECTORY as the MODEL of a command"


class GraphModel(nn.Module):
    """A stored graph as a model: called as the network was that it came from.

    `names`: of its keyword inputs; none where they are given by place. `form`: that of its output, nested lists and
    dicts with the places of tensors in them.
    """

    def __init__(self, graph: fx.GraphModule, names: tuple[str, ...], form: Any) -> None:
        super().__init__()
        self.stored, self.names, self.form = graph, names, form

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        leaves = self.stored(*args, *(kwargs[name] for name in self.names))
        return _filled(self.form, leaves)


@dataclass(frozen=True)
class Stored:
    """A network that was read from a directory: the model, an example, and what it was called.

    `modules`: the names that its residual modules had. `takes_text`: whether its inputs are tokens. `transform`: how
    images are prepared for it, where that is known.
    """

    model: GraphModel
    example: Inputs
    name: str
    modules: tuple[str, ...]
    takes_text: bool
    transform: Transform | None = None


def write_directory(subject: Subject, path: Path) -> None:
    """Write the graph of a route, its weights and its receipt.

    Raises CaptureError where the network takes or returns what JSON cannot describe, or computes what is not torch's.
    """
    _, graph = program_of(subject)
    names = _tensor_names(subject, graph)
    tensors = {names[target]: _attribute(graph, target) for target in names}
    _check_precision(subject, tensors)
    args, kwargs = subject.batches[0]
    content = {
        "format": _FORMAT,
        "name": f"{subject.net.title}, route {subject.route}",
        "modules": [
            subject.net.residual_modules[visit.module].name
            for visit in subject.route.visits
            if visit.computes_branch
        ],
        "inputs": [_input(name, value) for name, value in _inputs(args, kwargs)],
        "output": _output_form(subject.expected[0]),
        "reads": _limits(subject),
        "transform": None if subject.net.image_transform is None else asdict(subject.net.image_transform),
        "parameters": [name for name, tensor in tensors.items() if isinstance(tensor, nn.Parameter)],
        **graph_text.written(graph.graph, names),
    }
    with whole_directory(path, RECEIPT) as directory:
        write_weights(directory / WEIGHTS_FILE, tensors)
        write_json(directory / GRAPH_FILE, content)
        if subject.net.origin is not None:
            write_companions(subject.net.origin.model, directory)
        device = next(iter(tensors.values()), torch.zeros(())).device
        subject.check_runs_same(FROM_DISK, read_directory(directory, device).model.to(device))
        write_json(directory / RECEIPT, subject.receipt("directory", subject.pruned, _LOADING))


def _check_precision(subject: Subject, tensors: Mapping[str, Tensor]) -> None:
    """Raise CaptureError where `load` would not take the weights: data is float32."""
    dtypes = {tensor.dtype for tensor in tensors.values() if isinstance(tensor, nn.Parameter)}
    others = [str(dtype) for dtype in dtypes if dtype.is_floating_point and dtype != torch.float32]
    if others:
        raise CaptureError(
            f"{subject.net.title} has weights of {', '.join(sorted(others))}, and a directory is read with data of "
            'float32. Nothing was written. Unravel the model as float32 (model.float()), or export as form="pt2".'
        )


def read_directory(directory: Path, device: torch.device = graph_text.CPU) -> Stored:
    """Read a network that `write_directory` wrote; nothing that is stored there is run as code.

    Raises CheckpointError where files are missing or damaged.
    """
    path = directory / GRAPH_FILE
    content = read_json(path, missing=f"There is no {GRAPH_FILE} in {directory}.")
    tensors = read_weights(directory / WEIGHTS_FILE)
    try:
        parameters = set(content["parameters"])
        values = {
            name: nn.Parameter(tensor, requires_grad=tensor.is_floating_point())
            if name in parameters
            else tensor
            for name, tensor in tensors.items()
        }
        names = tuple(str(given["name"]) for given in content["inputs"] if given["name"])
        example = [_example(given) for given in content["inputs"]]
        stored = str(content["name"]), tuple(map(str, content["modules"]))
        form = content["output"]
        transform = Transform.of_json(content["transform"]) if content.get("transform") else None
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, UnravelError) as error:
        raise CheckpointError(f"{path} is not the graph of a network ({error!r}). Export again.") from error
    graph = graph_text.read(content, values, str(path), device)
    follow_every_flag(graph.graph)
    graph.recompile()
    inputs: Any = dict(zip(names, example, strict=True)) if names else tuple(example)
    first = example[0] if len(example) == 1 and not names else inputs
    takes_text = bool(example) and not example[0].is_floating_point()
    return Stored(GraphModel(graph.eval(), names, form), first, *stored, takes_text, transform)


def text_limits(directory: Path) -> tuple[int | None, int | None]:
    """Say how many tokens a stored network knows, and how many it takes at once; None where that is not known."""
    path = directory / GRAPH_FILE
    limits = read_json(path, missing=f"There is no {GRAPH_FILE} in {directory}.").get("reads")
    known = limits if isinstance(limits, dict) else {}
    words, longest = (known.get(name) for name in _LIMITS)
    return words if is_whole(words) else None, longest if is_whole(longest) else None


def _limits(subject: Subject) -> dict[str, Any]:
    origin = subject.net.origin
    config = None if origin is None else getattr(origin.model, "config", None)
    limits = {name: getattr(config, name, None) for name in _LIMITS}
    return {name: value for name, value in limits.items() if is_whole(value)}


def _tensor_names(subject: Subject, graph: fx.GraphModule) -> dict[str, str]:
    """Call the tensors of a graph as the user's model does, and otherwise as the network does."""
    origin = subject.net.origin
    own = {} if origin is None else {place: name for name, place in origin.places.items()}
    targets = dict.fromkeys(str(node.target) for node in graph.graph.nodes if node.op == "get_attr")
    names: dict[str, str] = {}
    for target in targets:
        place = target.removeprefix("net.")
        names[target] = own.get(place, place).removeprefix(_STORED)
    return names


def _attribute(graph: fx.GraphModule, target: str) -> Tensor:
    value: Any = graph
    for part in target.split("."):
        value = getattr(value, part)
    assert isinstance(value, Tensor)
    return value


def _inputs(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
    pairs = [*(("", value) for value in args), *kwargs.items()]
    if (args and kwargs) or not all(isinstance(value, Tensor) for _, value in pairs):
        raise CaptureError(
            "The network takes inputs that are no tensors by place or by name, which a directory does not describe. "
            'Export it as form="pt2".'
        )
    return pairs


def _input(name: str, value: Tensor) -> dict[str, Any]:
    """Describe an input, and of tokens the largest one, so that an example can be drawn; it keeps no values."""
    largest = None if value.is_floating_point() or value.is_complex() else int(value.max())
    return {
        "name": name,
        "shape": list(value.shape[1:]),
        "dtype": str(value.dtype).removeprefix("torch."),
        "largest": largest,
    }


def _example(given: Mapping[str, Any]) -> Tensor:
    dtype = _NUMBERS[given["dtype"]]
    shape = (2, *map(int, given["shape"]))
    generator = torch.Generator().manual_seed(0)
    if given["largest"] is None:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.randint(0, int(given["largest"]) + 1, shape, generator=generator).to(dtype)


def _output_form(output: Any) -> Any:
    """Describe the form of an output: a place for each tensor, lists for tuples, dicts for objects with names."""
    leaves, spec = pytree.tree_flatten(output)
    return _form(pytree.tree_unflatten(list(range(len(leaves))), spec))


def _form(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        return {str(name): _form(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_form(part) for part in value]
    raise CaptureError(
        f"The network returns a {type(value).__name__}, which a directory does not describe. Export it as "
        'form="pt2".'
    )


def _filled(form: Any, leaves: Any) -> Any:
    if isinstance(form, Mapping):
        return {name: _filled(part, leaves) for name, part in form.items()}
    if isinstance(form, list):
        return tuple(_filled(part, leaves) for part in form)
    return None if form is None else leaves[form]
