"""How fast this machine runs a network, so that a run can say at once how long it will take."""

from __future__ import annotations

import time

import torch

from unravelnet.data import ImageData
from unravelnet.measuring.bench import Bench
from unravelnet.network import UnraveledNetwork
from unravelnet.precision import PrecisionChoice

_N_IMAGES = 32


def seconds_per_pass(net: UnraveledNetwork, data: ImageData, *, precision: PrecisionChoice) -> float:
    """Measure how long a forward pass of one image takes, in a batch of several.

    >>> from unravelnet import data, zoo
    >>> net = zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    >>> 0 < seconds_per_pass(net, data.load("digits"), precision="float32") < 1
    True
    """
    inputs, _ = data.batch(torch.arange(min(_N_IMAGES, len(data))))
    bench = Bench(net, precision=precision)
    bench.run(inputs)  # the first pass chooses kernels
    began = time.perf_counter()
    bench.run(inputs)
    return (time.perf_counter() - began) / len(inputs)
