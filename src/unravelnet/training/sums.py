"""Running sums over the mini-batches of an epoch."""

from __future__ import annotations

from torch import Tensor

from unravelnet.data.targets import IGNORED_TARGET


class Sums:
    """Loss and errors so far, on the device where they arise; ratios are taken when somebody looks.

    >>> sums = Sums()
    >>> sums.add(loss=6.0, wrong=1, n=4)
    >>> sums.loss, sums.error_rate
    (1.5, 0.25)
    """

    def __init__(self) -> None:
        self.batch = self.n = self.n_images = 0
        self._wrong: int | Tensor = 0
        self._loss: float | Tensor = 0.0

    def add(self, loss: float | Tensor, wrong: int | Tensor, n: int, n_images: int | None = None) -> None:
        """Add a mini-batch: its summed loss, and how many of its n predictions name another class.

        `n_images`: how many images or sequences these are of; as many as predictions if None.
        """
        self.batch += 1
        self.n += n
        self.n_images += n if n_images is None else n_images
        self._wrong = self._wrong + wrong
        self._loss = self._loss + loss

    @property
    def loss(self) -> float:
        """The mean loss of a prediction."""
        return float(self._loss) / self.n

    @property
    def error_rate(self) -> float:
        """The share of predictions that name another class."""
        return int(self._wrong) / self.n


def count_wrong(logits_BC: Tensor, targets_B: Tensor) -> int:
    """Count the predictions whose largest score is not that of their class, where they have one."""
    found = logits_BC.argmax(1).cpu()
    return int(((found != targets_B) & (targets_B != IGNORED_TARGET)).sum())


def count_targets(targets_B: Tensor) -> int:
    """Count the predictions that have a class."""
    return int((targets_B != IGNORED_TARGET).sum())
