"""Compares a captured network with its model in training mode, and names what it does not follow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from unravelnet.capture.untouched import left_as_it_was, random_states, seed_everything, seed_torch
from unravelnet.errors import one_line
from unravelnet.network import UnraveledNetwork

# Of these, the first draws of torch, Python and NumPy are all below 0.04, or all above 0.97: what happens with a
# small probability happens with the first and not with the second.
_SEEDS = (9024, 31164)


class SameDraws(TorchDispatchMode):
    """Seeds every draw anew, so that it does not depend on the order of the operators; notes what memory they write."""

    supports_higher_order_operators = True

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.written: set[int] = set()
        self.has_drawn = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()):
            seed_torch(self.seed)
            self.has_drawn = True
        if isinstance(func, torch._ops.OpOverload):
            self.written |= set(map(_memory, _written_by(func, args, kwargs or {})))
        return func(*args, **(kwargs or {}))


def _written_by(func: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    given = {
        **dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)),
        **kwargs,
    }
    written = [a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return [
        leaf for name in written for leaf in pytree.tree_leaves(given.get(name)) if isinstance(leaf, Tensor)
    ]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class _State:
    """The parameters and buffers of a model at one time, to tell later what became of them.

    Values alone would not tell: what has converged, as the vectors of spectral normalisation or a running maximum,
    is written and keeps its value, on one processor and not on the other.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        # The aliases keep the memory, so that no other tensor gets its address.
        self.before = {
            name: (tensor.detach(), tensor._version) for name, tensor in _tensors_of(model).items()
        }
        self.values = _values(model)

    def now(self, written: set[int]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Give the present values of the buffers, and of each tensor whether it was written, by name.

        `written`: memory that operators wrote, where they were watched.
        """
        values = _values(self.model)
        moved = {
            name for name, value in values.items() if not torch.equal(value, self.values.get(name, value))
        }
        touched = {
            name: torch.tensor(name in moved or self._is_touched(name, tensor, written))
            for name, tensor in _tensors_of(self.model).items()
        }
        return values, touched

    def _is_touched(self, name: str, tensor: Tensor, written: set[int]) -> bool:
        if name not in self.before:
            return True
        before, version = self.before[name]
        return _memory(tensor) != _memory(before) or tensor._version != version or _memory(tensor) in written


def _tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _values(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


@dataclass(frozen=True)
class TrainingComparison:
    """A model and its captured network, to be compared in training mode.

    `run` gives the output of either for one batch; `differ` compares two outputs. `followed`: the parts of the model
    that the network follows. `watches_draws`: control flow as torch.cond forbids it to watch single operators.
    """

    model: nn.Module
    net: UnraveledNetwork
    run: Callable[[nn.Module], Any]
    differ: Callable[[Any, Any], bool]
    followed: set[str]
    watches_draws: bool

    def obstacle(self) -> str:
        """Say what the network does not follow of its model in training mode; "" where it follows everything."""
        cannot = f"{type(self.model).__name__} cannot be trained as a captured network:"
        try:
            # A model may make buffers at its first call, which are no state of training.
            if self._agrees() or self._agrees(after_one_run=True):
                return ""
        except Exception as error:
            return (
                f"{cannot} it does not run on the example in training mode, so that nothing could be compared there: "
                f"{one_line(error)} Capture it with an example that it can be trained on."
            )
        finally:
            self.net.eval()
        return (
            f"{cannot} in training mode {self._culprits()} computes what its graph, read in evaluation mode, does not "
            "show. Switch that off if it can be (as a rate of 0) and capture the model again, or train the model by "
            "itself: the network shares its weights."
        )

    def _agrees(self, *, after_one_run: bool = False) -> bool:
        """Whether network and model give the same with every seed; one is enough where nothing is drawn."""
        with left_as_it_was(self.model):
            if after_one_run:
                self.model.eval()
                seed_everything(_SEEDS[0])
                self.run(self.model)
            for seed in _SEEDS:
                expected, model_draws = self._outcome(self.model, self.model.train, seed)
                found, net_draws = self._outcome(self.net, self.net.train, seed)
                if self.differ(found, expected):
                    return False
                if not (model_draws or net_draws):
                    break
        return True

    def _outcome(
        self, which: nn.Module, into_mode: Callable[[], object], seed: int
    ) -> tuple[list[Any], bool]:
        """Run in another mode; give the output and what became of the buffers, take all back; say whether it drew."""
        with left_as_it_was(self.model):
            into_mode()
            seed_everything(seed)
            before, watch, states = _State(self.model), SameDraws(seed), random_states()
            with watch if self.watches_draws else contextlib.nullcontext():
                output = self.run(which)
            has_drawn = watch.has_drawn or random_states() != states
            return [output, before.now(watch.written)], has_drawn

    def _outcomes(self, into_mode: Callable[[], object]) -> list[Any]:
        """Give the outcomes of the model with all seeds."""
        return [self._outcome(self.model, into_mode, seed)[0] for seed in _SEEDS]

    def _culprits(self) -> str:
        """Name the classes whose training mode changes something and is not followed."""
        intact = self._outcomes(self.model.eval)
        places_of: dict[type[nn.Module], list[str]] = {}
        for name, module in self.model.named_modules():
            places_of.setdefault(type(module), []).append(name)
        described = [
            f"{kind.__name__} ({', '.join(places[:3])})".removesuffix(" ()")
            for kind, places in places_of.items()
            if self.followed.isdisjoint(places) and self._changes(kind, intact)
        ]
        return " and ".join(described) or "something in it"

    def _changes(self, kind: type[nn.Module], intact: list[Any]) -> bool:
        """Whether modules of one class, in training mode by themselves, change anything."""
        try:
            return self.differ(self._outcomes(partial(self._train_only, kind)), intact)
        except Exception:
            return True

    def _train_only(self, kind: type[nn.Module]) -> None:
        self.model.eval()
        for module in self.model.modules():
            module.training = type(module) is kind
