"""The process that those of the members are copies of: what is imported and made once is here already.

torch imports much in the first capture of a process, which is no cost of a model.
"""

from __future__ import annotations

import contextlib

import torch
from torch import nn

import survey.measure
import unravelnet as un
from unravelnet._extras import require
from unravelnet.errors import MissingExtraError

__all__ = ["survey"]

torch.set_num_threads(1)
for _name in ("torchvision", "timm", "transformers"):
    with contextlib.suppress(MissingExtraError):
        require(_name, "The survey")
un.unravel(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 2)), torch.zeros(2, 2))
