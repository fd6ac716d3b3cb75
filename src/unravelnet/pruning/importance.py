"""Which modules matter: any scores of importance in one table, from passes that they share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unravelnet.data.source import Batch, n_examples
from unravelnet.errors import EvaluationError
from unravelnet.gradient.linearised import fixed
from unravelnet.gradient.loss import Loss, LossName, LossOfOutput
from unravelnet.gradient.measurement import open_sample
from unravelnet.mathematics.intervals import mean_interval
from unravelnet.measuring.bench import Bench
from unravelnet.measuring.measurement import Measurement
from unravelnet.measuring.runner import Progress, identity_of, run
from unravelnet.measuring.sample import Shard
from unravelnet.measuring.sums import Sums
from unravelnet.measuring.tally import Tally
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import OutputName
from unravelnet.pruning.deletions import delete
from unravelnet.pruning.passes import backwards, forwards, parts_that_fit
from unravelnet.pruning.score import ImageBatch, Score
from unravelnet.records.record import Row, Table
from unravelnet.registry import SCORES
from unravelnet.routes.route import Route

_METHODS = ("deletion", "deletion_error_rate", "first_order", "block_influence", "relative_magnitude")


def importance(
    net: UnraveledNetwork,
    data: Any,
    *,
    methods: Sequence[str] = _METHODS,
    loss: LossName = None,
    output: OutputName = None,
    limit: int | None = None,
    batch_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Table:
    """Score how much each residual module matters: one row a module, one column a method.

    >>> from unravelnet import zoo
    >>> net = zoo.preact_resnet(depth=8, input_shape=(1, 8, 8), seed=0)
    >>> table = importance(net, "digits", methods=["deletion", "block_influence"], limit=50)
    >>> table["module"], table.columns[4:7]
    ([0, 1, 2], ('deletion', 'deletion_low', 'deletion_high'))

    `methods`: names from `registry.SCORES`. A score is the mean over images, with the ends of its interval; images on
    which it is not defined are left out, and it is None where none is left, as for a plain layer that cannot be
    deleted. `deletion` is the rise of the loss without the module, and `deletion_error_rate` that of the error: exact,
    on routes. `first_order` estimates the first: minus the gradient of each image's loss at the junction times what the
    branch changes there. `block_influence` and `angular_distance` say how far the stream turns, `relative_magnitude`
    how large the branch is beside the stream, `gradient_cosine` whether it points along the gradient, and
    `path_gradient_share` which share of the gradient goes back through it. All scores that read the stream or the
    gradient share one forward and one backward pass. `loss`, `output`: as for `path_gradients`, in nats for the cross
    entropy. `limit`, `seed`, `batch_size`, `device`: as for `Sample`, which `data` may be.

    Raises UnknownNameError for an unknown method, EvaluationError where the loss is not finite or an output does not
    fit, and ExtensionError where the score of a package cannot be used.
    """
    scores = find_scores(methods)
    sample, batches = open_sample(data, limit=limit, seed=seed, batch_size=batch_size, device=device)
    chosen = LossOfOutput.of(net, loss, output)
    measurement = Scoring(net, scores, chosen, sample.seed, confidence)
    bench = Bench(net, device=sample.device)
    return run(measurement, bench, batches, identity_of(net, batches), progress=progress)


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
        values = self.values(net, (shard.inputs, shard.targets), loss)
        return {self.net.full_route: Sums(appended=values, facts={"loss": name})}

    def values(self, net: UnraveledNetwork, batch: Batch, loss: Loss) -> dict[str, np.ndarray[Any, Any]]:
        """Compute all scores of a batch, each of shape (modules, images)."""
        found: dict[str, Tensor] = {}
        seen = [score for score in self.scores if score.reads in {"stream", "gradient"}]
        if any(score.reads == "gradient" for score in seen):
            parts = [_of_part(net, part, loss, seen) for part in parts_that_fit(net, batch, loss)]
            found |= {score.name: torch.cat([part[score.name] for part in parts], dim=1) for score in seen}
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
        return {score.name: _checked(score.name, found[score.name], shape) for score in self.scores}

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


def _of_part(net: UnraveledNetwork, batch: Batch, loss: Loss, scores: Sequence[Score]) -> dict[str, Tensor]:
    _, modules = backwards(net, batch, loss)
    return _by_name([[score.values(seen).cpu() for score in scores] for seen in modules], scores)


def _by_name(rows: Sequence[Sequence[Tensor]], scores: Sequence[Score]) -> dict[str, Tensor]:
    return {score.name: torch.stack([row[place] for row in rows]) for place, score in enumerate(scores)}


def _checked(name: str, values: Tensor, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    if tuple(values.shape) != shape:
        raise EvaluationError(
            f"The score {name!r} gives values of the shape {tuple(values.shape)}; expected (modules, images), here "
            f"{shape}. Let it give one number an image."
        )
    return values.detach().double().cpu().numpy()
