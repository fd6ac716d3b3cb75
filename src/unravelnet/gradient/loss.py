"""Each image's own loss, whose gradient is split by path length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unravelnet.data.targets import IGNORED_TARGET, class_targets
from unravelnet.errors import EvaluationError, unknown_name
from unravelnet.measuring.metrics import as_outputs, find_metrics
from unravelnet.network import UnraveledNetwork
from unravelnet.network.output import Output, OutputName

Loss = Callable[[Any, Tensor | None], Tensor]
LossName = str | Loss | None


_TAKE_REAL_NUMBERS = (
    'a loss of the outputs alone is loss="squared_norm", any other loss=FUNCTION of output and targets'
)


def cross_entropy(returned: Any, targets: Tensor | None, output: Output) -> Tensor:
    """Give the cross entropy of each image in nats, the mean over its positions where it has several."""
    if targets is None:
        raise EvaluationError(
            "The cross entropy needs targets, and the data has none. Give data as (inputs, targets), or "
            'loss="squared_norm".'
        )
    (metric,) = find_metrics(["loss"])
    targets = class_targets(targets, name="the data", may_be_ignored=True, instead=_TAKE_REAL_NUMBERS)
    outputs = as_outputs(returned, targets, output=output)
    if outputs.logits_NC.shape[1] < 2:
        raise EvaluationError(
            f"The output {str(output)!r} is one number a prediction, and a cross entropy needs two classes or more; "
            f"{_TAKE_REAL_NUMBERS}."
        )
    return mean_of_each_image(metric.values(outputs), targets)


def mean_of_each_image(values: Tensor, targets: Tensor) -> Tensor:
    """Average values of predictions over those of each image that have a target; 0 where none has.

    >>> mean_of_each_image(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([[0, 2], [1, -100]]))
    tensor([2., 5.])
    """
    # One row an image: which image does each prediction that has a target belong to?
    image = (targets != IGNORED_TARGET).reshape(len(targets), -1).nonzero()[:, 0]
    n_positions = torch.bincount(image, minlength=len(targets)).clamp(min=1)
    return values.new_zeros(len(targets)).index_add(0, image, values) / n_positions


def squared_norm(returned: Any, targets: Tensor | None, output: Output) -> Tensor:
    """Give half the squared norm of each image's output, the mean over its positions where it has several.

    It needs no targets: its gradient is that of the output along itself.
    """
    values = output.pick(returned)
    positions = output.flatten(values).reshape(len(values), -1, output.n_classes({output.key: values}))
    return positions.square().sum(dim=-1).mean(dim=1) / 2


LOSSES = {"cross_entropy": cross_entropy, "squared_norm": squared_norm}


@dataclass(frozen=True, slots=True)
class LossOfOutput:
    """A loss, and the output that it is of; None: a function that takes all that the network returns."""

    loss: LossName
    output: Output | None

    @classmethod
    def of(cls, net: UnraveledNetwork, loss: LossName, output: OutputName) -> LossOfOutput:
        """Choose the output of a network. Raises UnknownNameError for an unknown loss, and as `chosen_from`."""
        if not (loss is None or callable(loss) or loss in LOSSES):
            raise unknown_name("loss", loss, LOSSES)
        takes_all = callable(loss) and output is None
        return cls(loss, None if takes_all else Output.of(output).chosen_from(net.outputs, net.name))

    def find(self, *, has_targets: bool) -> tuple[str, Loss]:
        """Give the name and the loss; without a name cross entropy where there are targets, else the squared norm.

        >>> LossOfOutput(None, Output("logits", 1)).find(has_targets=False)[0]
        'squared_norm'

        The loss takes what a network returns, and targets, and gives one number an image.
        """
        loss, output = self.loss, self.output
        if callable(loss):
            name = getattr(loss, "__name__", type(loss).__name__)
            if output is None:
                return name, loss
            return name, lambda returned, targets: loss(output.pick(returned), targets)
        assert output is not None, "only a function takes all that a network returns"
        name = loss or ("cross_entropy" if has_targets else "squared_norm")
        return name, lambda returned, targets: LOSSES[name](returned, targets, output)

    @property
    def output_name(self) -> str | None:
        """The name of the output, for a table; None where a function takes all of them."""
        return None if self.output is None else str(self.output)
