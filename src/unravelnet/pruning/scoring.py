"""Scores of all modules on a sample, from passes that they share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unravelnet.data.source import Batch, n_examples, part_of
from unravelnet.errors import EvaluationError
from unravelnet.gradient.linearised import fixed
from unravelnet.gradient.loss import Loss, LossOfOutput
from unravelnet.mathematics.intervals import mean_interval
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import UnraveledNetwork
from unravelnet.network.macs import Macs
from unravelnet.pruning.deletions import delete, errors_of
from unravelnet.pruning.passes import backwards, forwards, parts_that_fit
from unravelnet.pruning.score import ImageBatch, Score
from unravelnet.records.record import Row
from unravelnet.registry import SCORES
from unravelnet.routes.route import Route

INTACT_LOSS, INTACT_ERROR = "intact_loss", "intact_error"
"""The names of each image's loss and errors among the values that are kept, where a score reads the gradient."""


def find_scores(names: Sequence[str]) -> tuple[Score, ...]:
    """Look scores up by name.

    >>> [score.reads for score in find_scores(["first_order", "block_influence"])]
    ['gradient', 'stream']

    Raises UnknownNameError, ExtensionError, and EvaluationError where none is named.
    """
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    if not names:
        raise EvaluationError(f"No method is named. Name at least one: {', '.join(SCORES.names())}.")
    return tuple(map(SCORES.find, names))


@dataclass(frozen=True)
class Scoring(Measurement):
    """Scores of all modules, each value kept: shape (modules, images). One trial stands for all, the intact route."""

    net: UnraveledNetwork
    scores: Sequence[Score]
    loss: LossOfOutput
    seed: int
    confidence: float

    @property
    def trials(self) -> list[Route]:  # type: ignore[override]  # computed from a field
        return [self.net.full_route]

    def running(self, bench: Bench) -> contextlib.AbstractContextManager[None]:
        return fixed(bench.net)

    def of_shard(self, net: UnraveledNetwork, shard: Shard, trials: Sequence[Route]) -> dict[Route, Sums]:
        name, loss = self.loss.find(has_targets=shard.targets is not None)
        batch = (shard.inputs, shard.targets)
        facts: dict[str, Any] = {"loss": name}
        if shard.number == 0:
            facts["passes"] = self._passes(net, part_of(batch, 0, 1), loss)
        return {self.net.full_route: Sums(appended=self.values(net, batch, loss), facts=facts)}

    def _passes(self, net: UnraveledNetwork, image: Batch, loss: Loss) -> dict[str, float]:
        """Say what each score costs alone, in forward passes of the network, by the MACs of one image."""
        passes = {}
        for score in self.scores:
            with Macs() as macs:
                replace(self, scores=[score]).values(net, image, loss, is_checked=True)
            passes[score.name] = macs.count / max(1, self.net.total_macs)
        return passes

    def values(
        self, net: UnraveledNetwork, batch: Batch, loss: Loss, *, is_checked: bool = False
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Compute all scores of a batch, each of shape (modules, images).

        `is_checked`: whether the batch is known to fit into memory, and to keep images apart.
        """
        found: dict[str, Tensor] = {}
        beside: dict[str, Any] = {}
        seen = [score for score in self.scores if score.reads in {"stream", "gradient"}]
        if any(score.reads == "gradient" for score in seen):
            given = [batch] if is_checked else parts_that_fit(net, batch, loss)
            losses, errors, parts = zip(
                *(self._of_part(net, part, loss, seen) for part in given), strict=True
            )
            found |= {score.name: torch.cat([part[score.name] for part in parts], dim=1) for score in seen}
            for name, values in ((INTACT_LOSS, losses), (INTACT_ERROR, errors)):
                beside[name] = torch.cat(values).double().cpu().numpy()
        elif seen:
            found |= _of_stream(net, batch, seen)
        deleting = [score for score in self.scores if score.reads == "deletions"]
        if deleting:
            deletions = delete(net, batch, loss, self.loss.output)
            found |= {score.name: score.values(deletions) for score in deleting}
        for score in self.scores:
            if score.reads == "batch":
                found[score.name] = score.values(ImageBatch(net, *batch, loss))
        shape = (len(net.residual_modules), n_examples(batch))
        return {
            **beside,
            **{score.name: _checked(score.name, found[score.name], shape) for score in self.scores},
        }

    def _of_part(
        self, net: UnraveledNetwork, batch: Batch, loss: Loss, scores: Sequence[Score]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        errors: list[Tensor] = []

        def watched(returned: Any, targets: Tensor | None) -> Tensor:
            errors.append(errors_of(returned, targets, self.loss.output, n_examples(batch)))
            return loss(returned, targets)

        losses, modules = backwards(net, batch, watched)
        targets = batch[1]
        is_one = targets is not None and targets.numel() == len(losses)
        if is_one and self.loss.find(has_targets=True)[0] == "cross_entropy":
            modules = [replace(seen, losses=losses) for seen in modules]
        return (
            losses,
            errors[0].detach(),
            _by_name([[score.values(seen).cpu() for score in scores] for seen in modules], scores),
        )

    def rows(self, tallies: Mapping[Route, Tally]) -> list[Row]:
        tally = tallies[self.net.full_route]
        about = {
            "loss_name": tally.sums.facts["loss"],
            "output": self.loss.output_name,
            "n_images": tally.n_images,
            "seed": self.seed,
            "confidence": self.confidence,
        }
        return [
            {
                "module": module.index,
                "name": module.name,
                "kind": module.kind,
                "keeps_shape": module.keeps_shape,
                **self._row(module.index, tally.sums.appended),
                **about,
            }
            for module in self.net.residual_modules
        ]

    def _row(self, module: int, values: Mapping[str, Any]) -> Row:
        row: Row = {}
        for score in self.scores:
            own = values[score.name][module]
            known = own[np.isfinite(own)]
            low, high = mean_interval(known.sum(), np.square(known).sum(), len(known), self.confidence)
            row[score.name] = float(known.mean()) if len(known) else None
            row[f"{score.name}_low"] = low if len(known) else None
            row[f"{score.name}_high"] = high if len(known) else None
        return row


def _of_stream(net: UnraveledNetwork, batch: Batch, scores: Sequence[Score]) -> dict[str, Tensor]:
    rows = [[score.values(seen).cpu() for score in scores] for seen in forwards(net, batch[0])]
    return _by_name(rows, scores)


def _by_name(rows: Sequence[Sequence[Tensor]], scores: Sequence[Score]) -> dict[str, Tensor]:
    return {score.name: torch.stack([row[place] for row in rows]) for place, score in enumerate(scores)}


def _checked(name: str, values: Tensor, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    if tuple(values.shape) != shape:
        raise EvaluationError(
            f"The score {name!r} gives values of the shape {tuple(values.shape)}; expected (modules, images), here "
            f"{shape}. Let it give one number an image."
        )
    return values.detach().double().cpu().numpy()
