"""On an accelerator: trainings by graphs against plain steps, and the engine against the loop of a user.

python -m benchmarks.accelerator --out results/accelerator.csv
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch

import unravelnet as un
from benchmarks.measure import Row
from unravelnet import zoo
from unravelnet.data import ImageData
from unravelnet.network import UnraveledNetwork
from unravelnet.records import provenance
from unravelnet.records.record import Table

TURNS = 3
# The plain steps come last: they take by far the longest, and the ratios of the others are filled in then.
_TRAININGS: dict[str, dict[str, Any]] = {
    "graphs, bfloat16": {},
    "graphs, bfloat16, exactly:23": {"routes": "exactly:23"},
    "graphs, bfloat16, stochastic-depth:0.5": {"routes": "stochastic-depth:0.5"},
    "graphs, bfloat16, default layout": {"channels_last": False},
    "graphs, float32": {"precision": "float32"},
    "graphs of compiled modules, bfloat16": {"fused": True},
    "plain steps, bfloat16": {"replayed": False},
}


def trainings(images: ImageData, turns: int) -> list[Row]:
    """Train ResNet-110 for three epochs in each way; the speed is that of the last, with everything recorded."""
    rows = []
    for case, settings in _TRAININGS.items():
        histories = [_history(images, turn, settings) for turn in range(turns)]
        speeds = [float(history[-1]["images_per_second"]) for history in histories]
        rows.append(
            {
                "benchmark": "training",
                "case": case,
                "images_per_second": median(speeds),
                "images_per_second_low": min(speeds),
                "images_per_second_high": max(speeds),
                "first_epoch_seconds": median(float(history[0]["seconds"]) for history in histories),
                "train_loss": median(float(history[-1]["train_loss"]) for history in histories),
                "turns": turns,
                "n_images": len(images),
            }
        )
        print(case, speeds, flush=True)
    plain = rows[-1]["images_per_second"]
    return [{**row, "times_plain_steps": row["images_per_second"] / plain} for row in rows]


def _history(images: ImageData, seed: int, settings: dict[str, Any]) -> Table:
    net = zoo.preact_resnet(110, n_classes=images.n_classes, seed=seed)
    plan = {"epochs": 3, "precision": "bfloat16", "device": "cuda", "learning_rate": 0.01, **settings}
    return un.train(net, images, **plan)


def sweep(net: UnraveledNetwork, images: ImageData) -> Iterator[Row]:
    """Delete each module: the engine against one forward pass a route, both on the GPU."""
    trials = un.studies.delete_each(net)
    pixels, targets = images.batch(torch.arange(len(images)))

    def loop(size: int) -> list[float]:
        errors = []
        for trial in trials:
            wrong = 0
            for start in range(0, len(pixels), size):
                logits = net(pixels[start : start + size].cuda(), trial.route)
                wrong += int((logits.argmax(1).cpu() != targets[start : start + size]).sum())
            errors.append(wrong / len(pixels))
        return errors

    net.cuda()
    with torch.no_grad():
        times = {size: _seconds(lambda size=size: loop(size)) for size in (256, 1000)}
    size = min(times, key=lambda size: times[size][0])
    expected = times[size][1]
    yield {"benchmark": "sweep", "case": f"loop, batches of {size}", "seconds": times[size][0]}
    for precision in ("float32", "bfloat16"):
        spent, table = _seconds(
            lambda precision=precision: un.evaluate(net, trials, images, precision=precision, device="cuda")
        )
        gaps = [abs(row["error_rate"] - error) for row, error in zip(table, expected, strict=True)]
        yield {
            "benchmark": "sweep",
            "case": f"engine, {precision}",
            "seconds": spent,
            "times_tuned_loop": times[size][0] / spent,
            "largest_error_rate_gap": max(gaps),
        }


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """The time of the second of two runs."""
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    torch.cuda.synchronize()
    return time.perf_counter() - start, result


def main() -> None:
    """Run the benchmarks on images of noise in the form of CIFAR-10, and keep their rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accelerator", description=__doc__)
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--out", type=Path, default=Path("results/accelerator.csv"))
    options = parser.parse_args()
    facts = provenance.collect(n_images=options.images, device_name=torch.cuda.get_device_name())
    flat = {name: value for name, value in facts.items() if isinstance(value, str | int | float)}
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (options.images, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (options.images,), generator=generator)
    images = ImageData.of(pixels, labels, name="noise")
    net = zoo.preact_resnet(110, seed=0)
    with torch.no_grad():
        net.train()(images.batch(torch.arange(256))[0])
    rows: list[Row] = []
    for row in (*trainings(images, options.turns), *sweep(net.eval(), images)):
        rows.append({**flat, **row})
        print("  ".join(f"{name}={value}" for name, value in row.items()), flush=True)
        Table(rows).save(options.out)


if __name__ == "__main__":
    main()
