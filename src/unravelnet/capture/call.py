"""How a model is called: the form of its inputs and of its output, and batches of the example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unravelnet.capture.forms import is_plain
from unravelnet.errors import CaptureError, EvaluationError
from unravelnet.network import Inputs, first_tensor
from unravelnet.network.output import Output

# What the inputs of a graph may be.
_LEAVES = (Tensor, bool, int, float, complex, type(None))


@dataclass(frozen=True)
class Call:
    """How a model is called: the form of its inputs, the constants that go along, the form of its output."""

    names: tuple[str, ...]
    constants: Mapping[str, Any]
    spec: pytree.TreeSpec
    output_spec: pytree.TreeSpec
    fixed: Mapping[int, Any]
    guards: nn.Module | None

    def __deepcopy__(self, memo: object) -> Call:
        # It never changes, so that copies of a network may share it.
        return self

    def __reduce__(self) -> str:
        raise CaptureError(
            "A captured network cannot be pickled, because it holds checks of its inputs that torch.export compiled. "
            "Save its weights, torch.save(net.state_dict(), FILE), and load them into the network that unravel makes "
            "of the model again: net.load_weights(torch.load(FILE)). copy.deepcopy(net) works."
        )

    def output(self, leaves: Iterable[Any]) -> Any:
        """Put output values into the model's own form."""
        return pytree.tree_unflatten(list(leaves), self.output_spec)

    def logits_place(self, leaves: list[Any]) -> int | None:
        """Say which of the output values is what is measured unless a user names another one; None: none is."""
        try:
            logits = Output().pick(self.output(leaves))
        except EvaluationError:
            return None
        return next(place for place, leaf in enumerate(leaves) if leaf is logits)

    def leaves(self, inputs: Inputs) -> list[Any]:
        """Flatten inputs into the order of the graph's placeholders.

        Raises CaptureError where their form is not that of the example.
        """
        args, kwargs = arguments(inputs)
        if set(kwargs) == set(self.names):
            kwargs = {name: kwargs[name] for name in self.names}
        leaves, spec = pytree.tree_flatten((args, {**kwargs, **self.constants}))
        if spec != self.spec:
            expected = (
                f"a dict with {list(self.names)}" if self.names else "inputs in the form of the example"
            )
            given = f"a dict with {list(kwargs)}" if kwargs else f"{len(args)} positional input(s)"
            raise CaptureError(
                f"The network was captured for {expected} and got {given}. Give the inputs in the form of the "
                "example, or unravel the model again with an example of the new form."
            )
        strange = [leaf for leaf in leaves if not isinstance(leaf, _LEAVES)]
        if strange:
            raise CaptureError(
                f"The network takes tensors, and was given a {type(strange[0]).__name__}: {strange[0]!r}. Give the "
                "inputs in the form of the example."
            )
        self._check(leaves)
        return leaves

    def _check(self, leaves: list[Any]) -> None:
        """Raise where the graph does not hold for these inputs: it is what the model did with the example."""
        for place, value in self.fixed.items():
            if leaves[place] != value:
                raise CaptureError(
                    f"The network was captured with the value {value!r} for an input that is now {leaves[place]!r}. "
                    "Unravel the model again with an example that has the new value."
                )
        if self.guards is None:
            return
        try:
            self.guards(*leaves)
        except (AssertionError, RuntimeError, ValueError) as error:
            shapes = ", ".join(str(tuple(leaf.shape)) for leaf in leaves if isinstance(leaf, Tensor))
            reason = str(error).strip().partition("\n")[0].removeprefix("Guard failed: ")
            raise CaptureError(
                f"The network was captured from an example that does not stand for inputs of shape {shapes}: the "
                f"model may compute something else for them ({reason}). Unravel it again with an example like them."
            ) from error


def arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Split inputs of any form into positional and keyword arguments."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, tuple | list) else ((inputs,), {})


def check_example(example: Inputs) -> None:
    """Raise CaptureError for an example that is no batch of inputs."""
    if isinstance(example, str) or not isinstance(example, Tensor | tuple | list | Mapping):
        raise CaptureError(
            f"The example is a {type(example).__name__}. Give a tensor, a tuple of positional or a dict of keyword "
            "inputs, as the model takes them."
        )
    for name in _names(example):
        if isinstance(name, str) and not is_plain(name):
            raise CaptureError(
                f"The example has an input with the name {name[:60]!r}, which would be read as code in the graph of "
                "torch.export. Give it a name without quotes, backslashes and unprintable characters."
            )
    first = first_tensor(example)
    if first.layout is not torch.strided or first.is_nested:
        raise CaptureError("The example is a sparse or nested tensor. Give it densely: tensor.to_dense().")
    if first.dim() == 0 or len(first) == 0:
        raise CaptureError(
            f"The example has the shape {tuple(first.shape)}. Its first dimension must be a batch of at least one."
        )


def _names(inputs: object) -> Iterator[object]:
    """Give the keys of all mappings among inputs."""
    if isinstance(inputs, Mapping):
        yield from inputs
        inputs = tuple(inputs.values())
    if isinstance(inputs, tuple | list):
        for part in inputs:
            yield from _names(part)


def with_batch(inputs: Inputs, rows: list[int]) -> Inputs:
    """Take rows of a batch, with repetition, from every tensor that has the batch as its first dimension."""
    return each_with_batch(inputs, lambda leaf: leaf[rows])


def each_with_batch(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """Change every tensor that has the batch as its first dimension."""
    batch_size = first_tensor(inputs).shape[0]

    def changed(leaf: Any) -> Any:
        has_batch = isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == batch_size
        return change(leaf) if has_batch else leaf

    return pytree.tree_map(changed, dict(inputs) if isinstance(inputs, Mapping) else inputs)
