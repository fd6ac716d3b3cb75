"""What a training step makes small: the cross entropy of the labels, and how far the network is from a teacher's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unravelnet.errors import TrainingError
from unravelnet.measuring.bench import Bench
from unravelnet.network import Inputs, UnraveledNetwork
from unravelnet.wording import counted


@dataclass(frozen=True)
class Teacher:
    """A trained network whose outputs another one learns, beside the labels.

    >>> from unravelnet import zoo
    >>> Teacher(zoo.preact_resnet(depth=8), temperature=2.0).weight
    0.9

    `net`: it is not changed. `weight`: the share of the loss that compares with it; the rest is the labels'.
    `temperature`: both outputs are divided by it, so that the small probabilities count. Raises TrainingError for other
    values. Source: Hinton, Vinyals and Dean 2015; the comparison is multiplied by the square of the temperature, as
    there.
    """

    net: UnraveledNetwork
    weight: float = 0.9
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise TrainingError(
                f"The weight of a teacher is {self.weight}; give a share from 0 to 1, such as 0.9."
            )
        if not 0 < self.temperature < float("inf"):
            raise TrainingError(f"The temperature is {self.temperature}; give a number above 0, such as 4.")

    def identity(self) -> str:
        """Name it and what it counts: the same text means the same lessons."""
        return f"{self.net.name} {self.net.fingerprint()} {self.weight:g} {self.temperature:g}"


class Objective:
    """The loss of a mini-batch.

    >>> objective = Objective(label_smoothing=0.0)
    >>> round(float(objective(torch.zeros(2, 4), torch.tensor([0, 3]), torch.zeros(2, 1))), 4)
    1.3863
    """

    def __init__(
        self, label_smoothing: float, teacher: Teacher | None = None, *, device: torch.device | None = None
    ) -> None:
        self.label_smoothing = label_smoothing
        self.teacher = teacher
        self._bench = None if teacher is None else Bench(teacher.net, device=device)

    def __call__(self, logits: Tensor, targets: Tensor, inputs: Inputs) -> Tensor:
        """Compute the loss, the mean over the predictions that have a target. `inputs`: what the logits are of."""
        if len(logits) != len(targets):
            raise TrainingError(
                f"The network gives {counted(len(logits), 'row')} of scores, and the data has {len(targets)} targets "
                "for them. Give one label an image, or of a text the next token at each position."
            )
        loss = F.cross_entropy(logits, targets.to(logits.device), label_smoothing=self.label_smoothing)
        if self.teacher is None or self._bench is None:
            return loss
        taught = scores_of(self._bench.run(inputs), self.teacher.net.title).float()
        if taught.shape != logits.shape:
            raise TrainingError(
                f"The teacher {self.teacher.net.title} gives {taught.shape[1]} scores an image, and the network "
                f"{logits.shape[1]}. Give a teacher with the same classes."
            )
        heat, weight = self.teacher.temperature, self.teacher.weight
        apart = F.kl_div(
            (logits / heat).log_softmax(1),
            (taught / heat).log_softmax(1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - weight) * loss + weight * heat**2 * apart


def scores_of(output: Any, title: str) -> Tensor:
    """Take the scores of the classes out of what a network returns, one row a prediction.

    Raises TrainingError where there are none.
    """
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", output)
    if not isinstance(logits, Tensor) or logits.dim() not in (2, 3):
        form = f"a tensor {list(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise TrainingError(
            f"{title} gives {form}; training needs one score a class: a tensor [images, classes], or [sequences, "
            "tokens, words]."
        )
    return logits.flatten(0, -2)
