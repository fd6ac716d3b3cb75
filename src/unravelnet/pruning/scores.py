"""Our scores of importance; each says where it comes from."""

from __future__ import annotations

import torch
from torch import Tensor

from unravelnet.mathematics.log_odds import carried_on
from unravelnet.papers import gromov, jastrzebski, men, molchanov, veit
from unravelnet.pruning.angles import chords, mean_of_positions, turn
from unravelnet.pruning.score import Deletions, Score, SeenModule


def _deletion(deletions: Deletions) -> Tensor:
    return deletions.losses - deletions.intact_losses


def _deletion_error_rate(deletions: Deletions) -> Tensor:
    return deletions.errors - deletions.intact_errors


def _first_order(seen: SeenModule) -> Tensor:
    """Estimate the rise of the loss: minus the gradient at the junction times what the branch changes there."""
    if seen.change is None:
        return _undefined(seen)
    if seen.gradient is None:
        return torch.zeros(seen.n_images, dtype=torch.float64)
    return -_products(seen.gradient, seen.change, seen.n_images)


def _first_order_odds(seen: SeenModule) -> Tensor:
    rises = _first_order(seen)
    if seen.losses is None:
        return rises
    return torch.from_numpy(carried_on(seen.losses.double().cpu().numpy(), rises.cpu().numpy()))


def _block_influence(seen: SeenModule) -> Tensor:
    before = _before(seen)
    if before is None:
        return _undefined(seen)
    # 1 - cos is half the squared distance of the unit vectors, which keeps its digits where they are nearly equal.
    return mean_of_positions(chords(before, seen.output, seen.channels).square() / 2, seen.n_images)


def _angular_distance(seen: SeenModule) -> Tensor:
    before = _before(seen)
    if before is None:
        return _undefined(seen)
    return turn(before, seen.output, channels=seen.channels, n_images=seen.n_images, is_text=seen.is_text)


def _relative_magnitude(seen: SeenModule) -> Tensor:
    if seen.change is None:
        return _undefined(seen)
    stream = seen.x if seen.skip is None else seen.module.junction(seen.skip, None)
    return _norms(seen.change, seen.n_images) / _norms(stream, seen.n_images)


def _gradient_cosine(seen: SeenModule) -> Tensor:
    if seen.change is None or seen.gradient is None:
        return _undefined(seen)
    norms = _norms(seen.change, seen.n_images) * _norms(seen.gradient, seen.n_images)
    return _products(seen.change, seen.gradient, seen.n_images) / norms


def _path_gradient_share(seen: SeenModule) -> Tensor:
    around, through = (
        torch.zeros(seen.n_images, dtype=torch.float64) if part is None else _norms(part, seen.n_images)
        for part in (seen.around, seen.through)
    )
    return through / (around + through)


def _before(seen: SeenModule) -> Tensor | None:
    """Give the stream before the module; where it is no stream of the same kind, what a deletion leaves."""
    is_stream = seen.module.kind != "projection" and seen.x.shape == seen.output.shape
    return seen.x if is_stream else seen.deleted


def _norms(values: Tensor, n_images: int) -> Tensor:
    # float64: the squares of a gradient of 1e-25 end in float32.
    return torch.linalg.vector_norm(values.reshape(n_images, -1), dim=1, dtype=torch.float64)


def _products(first: Tensor, second: Tensor, n_images: int) -> Tensor:
    return (first * second).reshape(n_images, -1).sum(dim=1, dtype=torch.float64)


def _undefined(seen: SeenModule) -> Tensor:
    return torch.full((seen.n_images,), torch.nan, dtype=torch.float64)


DELETION = Score(
    "deletion",
    "Deletion effect",
    "How much does the loss rise without the module?",
    _deletion,
    reads="deletions",
    paper=f"{veit.SINGLE_DELETIONS.said_by} Here it is the loss.",
    unit="nats",
)
DELETION_ERROR_RATE = Score(
    "deletion_error_rate",
    "Deletion effect on the error",
    "How much does the error rise without the module?",
    _deletion_error_rate,
    reads="deletions",
    paper=veit.SINGLE_DELETIONS.said_by,
    unit="percentage points",
)
FIRST_ORDER = Score(
    "first_order",
    "First-order estimate",
    "How much would the loss rise without the module, if it were linear in what the branch changes?",
    _first_order,
    reads="gradient",
    paper=molchanov.FIRST_ORDER.said_by,
    unit="nats",
)
FIRST_ORDER_ODDS = Score(
    "first_order_odds",
    "First-order estimate by log odds",
    "How much would the loss rise without the module, if the log odds were linear in what the branch changes?",
    _first_order_odds,
    reads="gradient",
    paper=f"{molchanov.FIRST_ORDER.said_by} It is carried on here to a loss that is flat where the network is sure.",
    unit="nats",
)
BLOCK_INFLUENCE = Score(
    "block_influence",
    "Block Influence",
    "How much does the module turn the stream at each position?",
    _block_influence,
    reads="stream",
    paper=men.BLOCK_INFLUENCE.said_by,
)
ANGULAR_DISTANCE = Score(
    "angular_distance",
    "Angular distance",
    "By which angle does the module turn the stream, at the last token of a text?",
    _angular_distance,
    reads="stream",
    paper=gromov.ANGULAR_DISTANCE.said_by,
)
RELATIVE_MAGNITUDE = Score(
    "relative_magnitude",
    "Relative magnitude",
    "How large is what the branch adds, beside the stream?",
    _relative_magnitude,
    reads="stream",
    paper=jastrzebski.RATIO_OF_NORMS.said_by,
)
GRADIENT_COSINE = Score(
    "gradient_cosine",
    "Cosine with the gradient",
    "Does the branch point along the gradient of the loss?",
    _gradient_cosine,
    reads="gradient",
    paper=jastrzebski.DOWNHILL.said_by,
)
PATH_GRADIENT_SHARE = Score(
    "path_gradient_share",
    "Share of the path gradient",
    "Which share of the gradient goes back through the branch, and not around it?",
    _path_gradient_share,
    reads="gradient",
    paper=f"{veit.DECAY.said_by} Here it is one module.",
    unit="share",
)
