"""The table of all shipped networks: a row each as CSV, a row a recipe as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from shipping.card import percent
from shipping.other_trainings import OTHERS_FILE
from shipping.training_command import plan_of
from unravelnet import zoo
from unravelnet.errors import ModelError
from unravelnet.mathematics.comparisons import margin_of_seeds
from unravelnet.mathematics.intervals import rate_interval
from unravelnet.records.record import Row, Table, load_table, whole_file
from unravelnet.reproduction.trained_networks import training_macs_of_image
from unravelnet.wording import counted

MOST_BYTES = 40_000_000
# Of two the interval of a third is too wide to say anything.
_FEWEST_SEEDS = 3
# What may differ between the seeds of one recipe: the others say nothing of the weights.
_NOT_OF_THE_RECIPE = ("seed", "keep_epochs")

_PAGE = """\
# Networks

The {n_networks} trained networks that come with the package; made from their files by `python -m shipping table`.
Load one by `unravelnet.zoo.pretrained("{example}")`, or as `zoo:{example}` on the command line; nothing is downloaded.

{table}

Errors are of the weights as they are stored, at half precision, computed in float32 ([reproduction.md](reproduction.md)
tests the same weights in bfloat16, and its errors differ by rounding), with all modules, on one view of each of
{n_images} test images; after training with stochastic depth or on exactly so many modules, branches are scaled by their
probability of survival. They are means over the seeds ± standard deviation, beside the error of each seed. One further
training with another seed lies in the interval beside them with a probability of 95 % (Student's t; from three seeds
on): this is what a network trained again is to be compared with. In bfloat16 the same seed gives the same weights only
on the same machine with as many threads.
GMACs: billions of multiply-accumulate operations of a whole training for each of its images, forwards only, in the mean
over its routes; smaller images count in proportion to their area. Minutes of training, evaluation after each epoch
included, and images/s are means over the seeds, on one core, on two or on a GPU, as far as it was recorded in the card
of each network.
Together the files take {megabytes:.1f} MB. Recipe, versions, history and interval of each network stand in its card;
a row a network is in [results/networks.csv](../results/networks.csv).

How the recipes were chosen: rate and image sizes by four trainings of ResNet-20 with one seed, whose errors on the
test images were seen ([results/recipe_trials.csv](../results/recipe_trials.csv)). A first training on effective paths,
23 of 54 modules with the recipe of the full network, was tested on the test images after every epoch
([its history](../results/effective_paths/first_try_history.csv)); it erred in 49.3 % with unscaled branches, which led
to the other ways of testing. Four trials of its recipe and of these ways used 5,000 held-out training images and no
test images ([results/effective_paths/recipe_trials.csv](../results/effective_paths/recipe_trials.csv)): scaled branches
erred less than unscaled ones each time, and more epochs on smaller images helped. Nothing else was chosen by test
images: no epoch, no seed, no other setting. Trainings shared their machine with other work, so minutes and images/s are
what they took, not what they need; speeds that can be compared are in
[results/benchmarks.csv](../results/benchmarks.csv).{others}

Further seeds of a network have names that end in `-seed1`, `-seed2`. The commands that make the networks again:

{commands}
{interrupted}"""
_OTHERS = """
[results/{file}](../results/{file}) has {trainings} that are not shipped. The second of them was planned when the error
of the first was known."""
_INTERRUPTED = """
The trainings of these networks were interrupted, and went on with other code or on another machine: {names}. Their
commands make networks of the same recipe, not the same networks.
[results/long_trainings](../results/long_trainings/README.md) says what happened.
"""


def write_table(root: Path) -> str:
    """Write `results/networks.csv` and `docs/networks.md` under a directory; return a line on what was written.

    Raises ModelError where there are no shipped networks, where they take more than 40 MB together, or where the
    seeds of one recipe were trained by different ones.
    """
    rows = [_row(name) for name in zoo.pretrained_names()]
    if not rows:
        raise ModelError(
            "There are no shipped networks yet. Add one: python -m shipping add RUN_DIR NAME --data DATA"
        )
    n_bytes = sum(row["bytes"] for row in rows)
    if n_bytes > MOST_BYTES:
        raise ModelError(
            f"The shipped networks take {n_bytes / 1e6:.1f} MB together, and may take {MOST_BYTES / 1e6:.0f} MB. "
            "Remove some of them."
        )
    rows.sort(key=lambda row: (row["group"], row["seed"]))
    groups = [list(seeds) for _, seeds in groupby(rows, key=lambda row: row["group"])]
    for seeds in groups:
        _check_one_recipe(seeds)
    Table(rows).save(root / "results" / "networks.csv")
    with whole_file(root / "docs" / "networks.md") as temporary:
        others = root / "results" / OTHERS_FILE
        n_others = len(load_table(others)) if others.exists() else 0
        temporary.write_text(_page(groups, n_bytes, n_others), encoding="utf-8")
    return f"{len(rows)} networks, {n_bytes / 1e6:.1f} MB: results/networks.csv, docs/networks.md"


def _row(name: str) -> Row:
    directory = zoo.pretrained_directory(name)
    net, description = zoo.pretrained(name), zoo.read_description(directory)
    facts, plan = description.facts, plan_of(description)
    test = facts["test"]
    low, high = rate_interval(test["wrong"], test["n_images"])
    return {
        "name": name,
        "group": facts["group"],
        "seed": facts["seed"],
        "zoo_name": description.name,
        "routes": plan.routes,
        "n_modules": len(net.residual_modules),
        "n_parameters": sum(parameter.numel() for parameter in net.parameters()),
        "epochs": plan.epochs,
        "image_sizes": plan.image_sizes,
        "error_rate": test["error_rate"],
        "low": low,
        "high": high,
        "n_images": test["n_images"],
        "training_macs_of_image": training_macs_of_image(net, plan, description.options["input_shape"][1]),
        "minutes": facts["seconds"] / 60,
        "images_per_second": facts["images_per_second"],
        "hardware": facts["hardware"],
        "torch": facts["versions"]["torch"],
        "commit": facts["commit"],
        "command": facts["command"],
        "bytes": sum(path.stat().st_size for path in directory.iterdir()),
    }


def _check_one_recipe(seeds: Sequence[Row]) -> None:
    first, *others = [_recipe(row["name"]) for row in seeds]
    for row, recipe in zip(seeds[1:], others, strict=True):
        different = [name for name in first if recipe[name] != first[name]]
        if different:
            raise ModelError(
                f"{seeds[0]['name']} and {row['name']} are of one name but not of one recipe: they differ in "
                f"{', '.join(different)}. Give one of them another name, or train it again."
            )


def _recipe(name: str) -> dict[str, Any]:
    """Everything that was chosen for a network, but for its seed."""
    description = zoo.read_description(zoo.pretrained_directory(name))
    settings = asdict(plan_of(description))
    for setting in _NOT_OF_THE_RECIPE:
        del settings[setting]
    return {"network": description.name, "options": description.options, "data": description.data, **settings}


def _page(groups: Sequence[Sequence[Row]], n_bytes: int, n_others: int) -> str:
    rows = [row for seeds in groups for row in seeds]
    lines = [
        "| network | residual modules | parameters | routes in training | epochs | error | seeds | error of each "
        "| a further one | GMACs | minutes | images/s |",
        "|---|---:|---:|---|---:|---:|---:|---|---|---:|---:|---:|",
        *map(_line, groups),
    ]
    return _PAGE.format(
        n_networks=len(rows),
        example=rows[0]["name"],
        table="\n".join(lines),
        n_images=" or ".join(f"{n:,}" for n in sorted({row["n_images"] for row in rows})),
        megabytes=n_bytes / 1e6,
        others=_others(n_others),
        commands="\n".join(["```bash", *(seeds[0]["command"] for seeds in groups), "```"]),
        interrupted=_interrupted(row["name"] for row in rows),
    )


def _others(n_others: int) -> str:
    if not n_others:
        return ""
    return _OTHERS.format(trainings=counted(n_others, "whole training"), file=OTHERS_FILE)


def _interrupted(names: Iterable[str]) -> str:
    """Name the networks whose epochs are of several commits or versions of torch."""
    told = [f"`{name}`" for name in names if _is_in_pieces(name)]
    return _INTERRUPTED.format(names=", ".join(told)) if told else ""


def _is_in_pieces(name: str) -> bool:
    logged = zoo.read_description(zoo.pretrained_directory(name)).facts.get("epochs_logged", {})
    return any(len(counts) > 1 for counts in logged.values())


def _further(errors: Sequence[float]) -> str:
    """Bound the error of one more training: the prediction interval of Student's t."""
    mean = fmean(errors)
    if len(errors) < _FEWEST_SEEDS:
        return "–"
    margin = margin_of_seeds([errors], [1, len(errors)])
    return f"{percent(mean - margin)} to {percent(mean + margin)}"


def _line(seeds: Sequence[Row]) -> str:
    first = seeds[0]
    errors = [row["error_rate"] for row in seeds]
    spread = f" ± {100 * stdev(errors):.2f}" if len(errors) > 1 else ""
    cells = [
        f"`{first['group']}`",
        str(first["n_modules"]),
        f"{first['n_parameters']:,}",
        first["routes"],
        str(first["epochs"]),
        f"{100 * fmean(errors):.2f}{spread} %",
        str(len(seeds)),
        ", ".join(map(percent, errors)),
        _further(errors),
        f"{first['training_macs_of_image'] / 1e9:.2f}",
        f"{fmean(row['minutes'] for row in seeds):.1f}",
        f"{fmean(row['images_per_second'] for row in seeds):.0f}",
    ]
    return f"| {' | '.join(cells)} |"
