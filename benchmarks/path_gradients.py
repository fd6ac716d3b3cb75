"""The gradient by path length: exact against one backward pass, and against sampling as in the paper; memory."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean, median, stdev

import torch
from torch import Tensor
from torch.nn import functional as F

import unravelnet as un
from benchmarks.measure import Row, in_fresh_process, seconds
from unravelnet import zoo
from unravelnet.network import UnraveledNetwork

N_IMAGES = 64
BATCH = 128
PAPER_DRAWS = 1000
REPEATS = 8


def run(net: UnraveledNetwork, images: Tensor, labels: Tensor) -> Iterator[Row]:
    """Measure time against a backward pass and against sampling, then memory."""
    data = images[:N_IMAGES], labels[:N_IMAGES]
    yield from _against_one_backward_pass(net, *data)
    yield from _against_sampling(net, images, labels)
    for n_images, depth in ((16, 110), (64, 110), (256, 110), (64, 38), (64, 218)):
        yield in_fresh_process(_exact, n_images, depth)


def _against_one_backward_pass(net: UnraveledNetwork, images: Tensor, labels: Tensor) -> Iterator[Row]:
    net.to(memory_format=torch.channels_last)
    laid = images.contiguous(memory_format=torch.channels_last)

    def forward_and_backward() -> None:
        net.zero_grad()
        F.cross_entropy(net(laid), labels).backward()

    forward_and_backward()
    once, _ = seconds(forward_and_backward, repeats=5)
    net.to(memory_format=torch.contiguous_format)
    yield {"benchmark": "path_gradients", "case": "one forward and backward pass", "seconds": once}
    for draws, case in ((0, "exact"), (1, "exact, with coherence")):
        spent, table = seconds(lambda d=draws: un.path_gradients(net, (images, labels), draws=d), repeats=2)
        yield {
            "benchmark": "path_gradients",
            "case": f"{case}, {len(images)} images",
            "seconds": spent,
            "times_one_pass": spent / once,
            "gradient_error": table[0]["gradient_error"],
        }


def _against_sampling(net: UnraveledNetwork, images: Tensor, labels: Tensor) -> Iterator[Row]:
    """Compare with 1,000 measurements a length; those of whole batches are timed for one and multiplied."""
    data = images[:PAPER_DRAWS], labels[:PAPER_DRAWS]
    batch, sampled_batch = seconds(
        lambda: un.path_gradients(net, data, method="sampled", per="batch", draws=2, batch_size=BATCH)
    )
    exact, _ = seconds(lambda: un.path_gradients(net, (data[0][:BATCH], data[1][:BATCH]), draws=0))
    yield {
        "benchmark": "path_gradients",
        "case": f"sampled, {PAPER_DRAWS} batches of {BATCH} for each length (timed for {sampled_batch[0]['n_draws']})",
        "seconds": batch * PAPER_DRAWS / 2,
        "times_exact_of_one_batch": batch * PAPER_DRAWS / 2 / exact,
    }
    yield from _errors_in_the_same_time(net, (images[:BATCH], labels[:BATCH]))


def _errors_in_the_same_time(net: UnraveledNetwork, data: tuple[Tensor, Tensor]) -> Iterator[Row]:
    """Draw paths and signs for the same images, as often: what is the error that the draws leave?"""
    spent, tables = seconds(
        lambda: [
            un.path_gradients(net, data, method="sampled", draws=BATCH, seed=seed) for seed in range(REPEATS)
        ]
    )
    means = [
        [table[length]["path_gradient_norm"] for table in tables] for length in range(1, len(tables[0]) - 1)
    ]
    yield {
        "benchmark": "path_gradients",
        "case": f"sampled, {REPEATS} paths of each length for each of {BATCH} images",
        "seconds": spent,
        "median_relative_standard_error": median(stdev(m) / REPEATS**0.5 / mean(m) for m in means),
    }
    spent, rms = seconds(lambda: un.path_gradients(net, data, method="rms", draws=REPEATS))
    # The first and the last length have one path each, and no error.
    yield {
        "benchmark": "path_gradients",
        "case": f"rms, {REPEATS} draws of signs for each of {BATCH} images",
        "seconds": spent,
        "median_relative_standard_error": median(
            row["path_gradient_rms_se"] / row["path_gradient_rms"] for row in list(rms)[1:-1]
        ),
    }


def _exact(n_images: int, depth: int) -> Row:
    net = zoo.preact_resnet(depth=depth, seed=0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_images, 3, 32, 32, generator=generator)
    labels = torch.randint(0, 10, (n_images,), generator=generator)
    spent, _ = seconds(lambda: un.path_gradients(net, (images, labels), draws=0, batch_size=n_images))
    n_modules = len(net.residual_modules)
    return {
        "benchmark": "path_gradients",
        "case": f"exact in a fresh process: {n_modules} modules, {n_images} images",
        "seconds": spent,
    }
