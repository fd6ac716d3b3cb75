"""Running sums over the mini-batches of an epoch."""

from __future__ import annotations

from torch import Tensor


class Sums:
    """Loss and errors so far, on the device where they arise; ratios are taken when somebody looks.

    >>> sums = Sums()
    >>> sums.add(loss=6.0, wrong=1, n=4)
    >>> sums.loss, sums.error_rate
    (1.5, 0.25)
    """

    def __init__(self) -> None:
        self.batch = self.n = 0
        self._wrong: int | Tensor = 0
        self._loss: float | Tensor = 0.0

    def add(self, loss: float | Tensor, wrong: int | Tensor, n: int) -> None:
        """Add a mini-batch: its summed loss, and how many of its n images are taken for another class."""
        self.batch += 1
        self.n += n
        self._wrong = self._wrong + wrong
        self._loss = self._loss + loss

    @property
    def loss(self) -> float:
        """The mean loss of an image."""
        return float(self._loss) / self.n

    @property
    def error_rate(self) -> float:
        """The share of images that are taken for another class."""
        return int(self._wrong) / self.n


def count_wrong(logits_BC: Tensor, targets_B: Tensor) -> int:
    """Count the images whose largest score is not that of their class."""
    return int((logits_BC.argmax(1).cpu() != targets_B).sum())
