"""A language model as a network that chooses: its outputs are scores of options, as those of a classifier.

Shapes in this file: B questions with K options of L tokens, V words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self, cast

import torch
from torch import Tensor

from unravelnet.network.inputs import Inputs
from unravelnet.network.module import NOTHING_HELD, Held, State
from unravelnet.network.network import UnraveledNetwork
from unravelnet.network.output import ALONE, Output

TOKENS, TARGETS = "tokens", "targets"
# What an option that is not there gets: less than any that is, and finite.
_ABSENT = -1e4
# As in data that mark positions without a target.
_UNSCORED = -100


class ChoosingNetwork(UnraveledNetwork):
    """A language model that says how likely each of several options is.

    `ChoosingNetwork.of(net)` shares its parameters and modules with `net`, whose routes it takes. Its inputs are
    `tokens` and `targets`, int64 [B, K, L]; what is not scored has the target -100. Its output, [B, K], holds
    for each option the log-probability of the tokens that are scored: the sum, or the mean a token (`is_mean`).
    Shapes and MACs of its modules are those of one option.
    """

    is_mean: bool
    logits_key: str
    _n_logits: int
    _language_model: UnraveledNetwork

    @classmethod
    def of(
        cls, net: UnraveledNetwork, *, is_mean: bool = False, n_options: int = 2, output: str = ""
    ) -> Self:
        """Let a language model choose. `output`: the tensor of its logits, [batch, L, V]; empty: chosen as usual."""
        made = cls.__new__(cls)
        made.__dict__.update(net.__dict__, _language_model=net)  # no part of it: it has the same parts
        made.is_mean = is_mean
        made.logits_key = Output.of(output or None).chosen_from(net.outputs, net.title).key
        form = torch.zeros(2, n_options, net.input_shape[-1], dtype=torch.int64, device="meta")
        made._n_logits = net.n_output_values * n_options
        made.inputs = {TOKENS: form, TARGETS: form}
        made.outputs = {ALONE: torch.zeros(2, n_options, device="meta")}
        return made

    @property
    def language_model(self) -> UnraveledNetwork:
        """The network that was let choose."""
        return self._language_model

    def enter(self, inputs: Inputs, held: Held = NOTHING_HELD) -> State:
        given = cast(Mapping[str, Tensor], inputs)
        return _holding(super().enter(given[TOKENS].flatten(0, 1), held), given[TARGETS])

    def move_to_chain(self, state: State, chain: int) -> State:
        # A transition says what is held from there on, and does not know of targets.
        return _holding(super().move_to_chain(state, chain), state.held[TARGETS])

    def leave(self, state: State) -> Any:
        logits = Output(self.logits_key, -1).pick(super().leave(state))
        return self.scores(logits, state.held[TARGETS])

    @property
    def n_output_values(self) -> int:
        """How many numbers the logits of all options of a question are."""
        return self._n_logits

    def scores(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Add up the log-probabilities of what is scored: [B · K, L, V] and [B, K, L] to [B, K], float32."""
        option, place = (targets.flatten(0, 1) != _UNSCORED).nonzero(as_tuple=True)
        rows = logits[option, place].float()
        chosen = rows.gather(1, targets.flatten(0, 1)[option, place][:, None])[:, 0] - rows.logsumexp(dim=1)
        n_options = targets.shape[0] * targets.shape[1]
        totals = chosen.new_zeros(n_options).index_add(0, option, chosen)
        counts = torch.bincount(option, minlength=n_options)
        scores = totals / counts.clamp(min=1) if self.is_mean else totals
        return scores.masked_fill(counts == 0, _ABSENT).view(targets.shape[:2])


def _holding(state: State, targets: Tensor) -> State:
    return replace(state, held={**state.held, TARGETS: targets})
