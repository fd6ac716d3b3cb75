"""Runs the benchmarks, prints their rows, and keeps them with where they were measured.

python -m benchmarks --data ../shared/data/cifar10 --network runs/c10/networks/preact-resnet110
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import (
    capture,
    growth,
    importance,
    lesion_sweep,
    neighbours,
    path_gradients,
    pruning,
    training,
)
from benchmarks.measure import Row
from unravelnet import zoo
from unravelnet.data import as_batches, load
from unravelnet.network import UnraveledNetwork
from unravelnet.records import provenance
from unravelnet.records.record import Table, load_table

_PRUNED = ("preact-resnet110-cifar10", "preact-resnet56-cifar10")


def main() -> None:
    """Run the chosen benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--data", default="../shared/data/cifar10", help="CIFAR-10, as for the command line")
    parser.add_argument(
        "--network",
        help="a directory that `unravelnet train` wrote; random weights if left out. Of pruning, a shipped network",
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument(
        "--only",
        choices=(
            "sweep",
            "training",
            "growth",
            "capture",
            "gradients",
            "importance",
            "neighbours",
            "pruning",
        ),
    )
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks.csv"))
    options = parser.parse_args()
    facts = provenance.collect(n_images=options.images, network=options.network or "random weights")
    flat = {name: value for name, value in facts.items() if isinstance(value, str | int | float)}
    earlier = list(load_table(options.out)) if options.out.exists() else []
    rows: list[Row] = []
    for row in _rows(options):
        rows.append({**flat, **row})
        print("  ".join(f"{name}={_text(value)}" for name, value in row.items()), flush=True)
        measured = {row["benchmark"] for row in rows}
        others = [row for row in earlier if row["benchmark"] not in measured]
        # After each of them: a quarter of an hour should not be lost to the last minute.
        Table(others + rows).save(options.out)


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    if options.only in (None, "sweep", "gradients"):
        images, labels = next(
            iter(as_batches(load(options.data, limit=options.images), batch_size=options.images))
        )
        net = _network(options, images)
    if options.only in (None, "sweep"):
        yield from lesion_sweep.run(net, images, labels)
    if options.only in (None, "gradients"):
        yield from path_gradients.run(net, images, labels)
    if options.only in (None, "training"):
        yield from training.run(zoo.preact_resnet(depth=110, seed=0), load(options.data, "train"))
    if options.only in (None, "growth"):
        yield from growth.run()
    if options.only in (None, "capture"):
        yield from capture.run()
    if options.only in (None, "importance"):
        name, data = "preact-resnet56-cifar10", load(options.data)
        batches = as_batches(data, batch_size=128, shuffle_seed=0)
        for row in importance.run(zoo.pretrained(name), batches):
            yield {**row, "network": name, "n_images": len(data)}
    # A quarter of an hour by itself, so only where it is asked for.
    if options.only == "pruning":
        data = load(options.data, limit=options.images)
        # To measure every candidate as well takes 40 minutes on 2,048 images, and hours on all of them.
        is_checked = options.images <= 2048
        for name in [options.network] if options.network else _PRUNED:
            net = zoo.pretrained(name)
            half = (len(net.residual_modules) + 1) // 2
            for row in pruning.run(net, data, n_deleted=half, checked_steps=half if is_checked else 0):
                yield {**row, "network": name}
    if options.only in (None, "neighbours"):
        yield from neighbours.run()


def _network(options: argparse.Namespace, images: torch.Tensor) -> UnraveledNetwork:
    if options.network:
        return zoo.load(options.network).eval()
    net = zoo.preact_resnet(depth=110, seed=0)
    with torch.no_grad():
        # Statistics of normalisation that fit the data: else every prediction is the same.
        net.train()(images[:256])
    return net.eval()


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
