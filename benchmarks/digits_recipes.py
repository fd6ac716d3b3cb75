"""How the networks of a run on small images may be trained, and what each way gives: rows of one table.

python -m benchmarks.digits_recipes     into results/digits_recipes.csv; a quarter of an hour on one core
"""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from benchmarks.measure import Row
from unravelnet import ensemble_of_routes, evaluate, studies, train, zoo
from unravelnet.data import ImageData, load
from unravelnet.network import UnraveledNetwork
from unravelnet.records import provenance
from unravelnet.records.record import Table

_OUT = Path("results/digits_recipes.csv")
_DRAWS, _DRAW_IMAGES, _ROUTES = 12, 200, 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train; `scale`: how many times as high and wide the images are made."""

    depth: int
    epochs: int
    learning_rate: float = 0.1
    zero_init_residual: bool = False
    weight_decay: float = 1e-4
    scale: int = 1


RECIPES = (
    Recipe(110, 15),
    Recipe(110, 8),
    Recipe(110, 8, learning_rate=0.05, zero_init_residual=True),
    Recipe(110, 8, zero_init_residual=True),
    Recipe(110, 8, learning_rate=0.05),
    Recipe(56, 15, learning_rate=0.05, zero_init_residual=True),
    Recipe(56, 15),
    Recipe(32, 15, scale=2),
    Recipe(32, 40),
    Recipe(32, 15, weight_decay=1e-3),
    Recipe(32, 15),
)


def main() -> None:
    """Measure every recipe with two seeds, and keep each row at once."""
    torch.set_num_threads(1)
    facts = provenance.collect(["python", "-m", "benchmarks.digits_recipes"])
    machine = {"torch": facts["packages"]["torch"], "cpu": facts["cpu"]}
    rows: list[Row] = []
    for seed, recipe in itertools.product((0, 1), RECIPES):
        rows.append({**asdict(recipe), "seed": seed, **_measured(recipe, seed), "threads": 1, **machine})
        rows[-1] |= {"command": " ".join(facts["command"]), "date": facts["time_utc"][:10]}
        print(rows[-1], flush=True)
        Table(rows).save(_OUT)


def _measured(recipe: Recipe, seed: int) -> Row:
    train_data, test_data = (_enlarged(load("digits", split), recipe.scale) for split in ("train", "test"))
    net = zoo.preact_resnet(
        recipe.depth,
        input_shape=train_data.image_shape,
        zero_init_residual=recipe.zero_init_residual,
        seed=seed,
    )
    began = time.process_time()
    options = {"weight_decay": recipe.weight_decay, "learning_rate": recipe.learning_rate, "seed": seed}
    train(net, train_data, epochs=recipe.epochs, schedule="one-cycle", **options)
    return {"cpu_seconds": round(time.process_time() - began, 1), **_lesions(net, test_data, seed)}


def _lesions(net: UnraveledNetwork, data: ImageData, seed: int) -> Row:
    intact, *deleted = evaluate(net, studies.delete_each(net), data, metrics=["error_rate"])
    rises = [row["error_rate"] - intact["error_rate"] for row in deleted]
    trials = studies.delete_many(net, [10], repeats=_DRAWS, seed=seed)
    _, *tens = evaluate(net, trials, data, metrics=["error_rate"], limit=_DRAW_IMAGES)
    averaged = ensemble_of_routes(net, data, n_routes=_ROUTES, limit=_DRAW_IMAGES, seed=seed)[-1]
    return {
        "n_modules": len(rises),
        "n_images": len(data),
        "error_rate": intact["error_rate"],
        "median_rise": statistics.median(rises),
        "largest_rise": max(rises),
        "rise_module_0": rises[0],
        "largest_rise_down_sampling": max(
            rise for rise, module in zip(rises, net.residual_modules, strict=True) if not module.keeps_shape
        ),
        "n_draw_images": _DRAW_IMAGES,
        "ten_deleted_draws": _DRAWS,
        "ten_deleted_median_error_rate": statistics.median(row["error_rate"] for row in tens),
        "one_route_error_rate": averaged["member_error_rate"],
        "n_routes": averaged["n_members"],
        "averaged_routes_error_rate": averaged["error_rate"],
    }


def _enlarged(data: ImageData, scale: int) -> ImageData:
    if scale == 1:
        return data
    assert isinstance(data.images, torch.Tensor)
    larger = interpolate(data.images.float(), scale_factor=scale, mode="bilinear").round().to(torch.uint8)
    return replace(data, images=larger)


if __name__ == "__main__":
    main()
