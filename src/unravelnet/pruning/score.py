"""A score: one number a module and image that says how much the module matters.

Scores stand in a registry (`registry.SCORES`), and an installed package adds its own. What they read is made once for
all of them: `passes` goes through the network, `deletions` runs it without each module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from unravelnet.gradient.loss import Loss
from unravelnet.network import Inputs, ResidualModule, UnraveledNetwork

Reads = Literal["stream", "gradient", "deletions", "batch"]


@dataclass(frozen=True)
class Score:
    """A score of importance, as a value.

    `name`: its column in a table. `title`, `question`: what people read. `paper`: where it comes from. `reads`: what
    `values` gets. "stream": a `SeenModule` of one forward pass. "gradient": the same, with the gradient of each image's
    own loss, of one forward and one backward pass. "deletions": `Deletions`, the losses and errors without each module.
    "batch": an `ImageBatch`, to run the network as it likes. `values` gives one number an image, NaN where there is
    none: shape (images) for a module, (modules, images) for all of them. `unit`: of its values, for labels.
    """

    name: str
    title: str
    question: str
    values: Callable[[Any], Tensor]
    reads: Reads
    paper: str = ""
    unit: str = ""


@dataclass(frozen=True)
class SeenModule:
    """What happens at one residual module while a batch passes.

    `x`: the stream before it. `skip`, `branch`: what its junction joins. `change`: what the branch changes of the
    stream that deleting the module would leave; None where nothing can take its place. `deleted`: the stream behind
    the module if it were deleted, or None. `output`: the stream behind it. Where a backward pass was made,
    `gradient` is that of each image's loss at the junction, and `around` and `through` are what of it goes back
    past the skip and through the branch; None where nothing arrives. `losses`: each image's, where it is the cross
    entropy of one prediction. `channels`: the dimension of the stream that holds the values of one position.
    `is_text`: whether the network reads token ids.
    """

    module: ResidualModule
    n_images: int
    x: Tensor
    skip: Tensor | None
    branch: Tensor
    change: Tensor | None
    deleted: Tensor | None
    output: Tensor
    channels: int
    is_text: bool = False
    gradient: Tensor | None = None
    around: Tensor | None = None
    through: Tensor | None = None
    losses: Tensor | None = None


@dataclass(frozen=True)
class Deletions:
    """Each image's loss, and whether it is wrong, of the intact network and without each module.

    `losses`, `errors`: shape (modules, images); NaN where a module cannot be deleted. `intact_losses`,
    `intact_errors`: shape (images). Errors are shares of an image's predictions.
    """

    losses: Tensor
    errors: Tensor
    intact_losses: Tensor
    intact_errors: Tensor


@dataclass(frozen=True)
class ImageBatch:
    """Images, the network, and the loss of each image (of output and targets)."""

    net: UnraveledNetwork
    inputs: Inputs
    targets: Tensor | None
    loss: Loss
