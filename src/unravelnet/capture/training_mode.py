"""Compares a captured network with its model in training mode, and names what it does not follow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from unravelnet.capture.untouched import left_as_it_was, seed_everything
from unravelnet.errors import one_line
from unravelnet.network import UnraveledNetwork

# Of these, the first draws of torch, Python and NumPy are all below 0.04, or all above 0.97: what happens with a
# small probability happens with the first and not with the second.
_SEEDS = (9024, 31164)


class _SameDraws(TorchDispatchMode):
    """Seeds every draw anew, so that it does not depend on the order of the operators."""

    supports_higher_order_operators = True

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()):
            torch.manual_seed(self.seed)
        return func(*args, **(kwargs or {}))


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
            expected = self._outcome(self.model, self.model.train)
            found = self._outcome(self.net, self.net.train)
        except Exception as error:
            return (
                f"{cannot} it does not run on the example in training mode, so that nothing could be compared there: "
                f"{one_line(error)} Capture it with an example that it can be trained on."
            )
        finally:
            self.net.eval()
        if not self.differ(found, expected):
            return ""
        return (
            f"{cannot} in training mode {self._culprits()} computes what its graph, read in evaluation mode, does not "
            "show. Switch that off if it can be (as a rate of 0) and capture the model again, or train the model by "
            "itself: the network shares its weights."
        )

    def _outcome(self, which: nn.Module, into_mode: Callable[[], object]) -> list[Any]:
        """Run in another mode, once with each seed; give outputs and what became of the buffers, and take all back."""
        outcome = []
        for seed in _SEEDS:
            with left_as_it_was(self.model):
                into_mode()
                seed_everything(seed)
                before = [buffer.clone() for buffer in self.model.buffers()]
                with _SameDraws(seed) if self.watches_draws else contextlib.nullcontext():
                    outcome.append(self.run(which))
                after = [buffer.clone() for buffer in self.model.buffers()]
                # What converges, as the vectors of spectral normalisation, moves less than a comparison tolerates.
                moved = [not torch.equal(b, a) for b, a in zip(before, after, strict=True)]
                outcome.append((after, torch.tensor(moved)))
        return outcome

    def _culprits(self) -> str:
        """Name the classes whose training mode changes something and is not followed."""
        intact = self._outcome(self.model, self.model.eval)
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
            return self.differ(self._outcome(self.model, partial(self._train_only, kind)), intact)
        except Exception:
            return True

    def _train_only(self, kind: type[nn.Module]) -> None:
        self.model.eval()
        for module in self.model.modules():
            module.training = type(module) is kind
