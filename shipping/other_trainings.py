"""Whole trainings of a network that are not shipped, kept as numbers beside the one that is: other lengths, variants.

A network that takes the place of another one names it, so that the curve *error against epochs* keeps its points.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shipping.training_command import plan_of
from unravelnet import zoo
from unravelnet.records.record import Row, load_table
from unravelnet.zoo import Description
from unravelnet.zoo.store import DESCRIPTION_FILE

FACT = "other_trainings"
OTHERS_FILE = "other_trainings.csv"
# Two rows that share these are one training.
_IDENTITY = ("routes", "start", "epochs", "image_sizes", "seed")


def other_trainings(place: Path, description: Description, others: Path | None = None) -> list[Row]:
    """List whole trainings of the same network with the same seed, on the same routes or a variant of them.

    The shortest come first. `place`: where a network is that will be replaced; what it names is named again. `others`:
    a table of trainings, with the columns of results/other_trainings.csv. The training of the description itself is
    left out, and of two rows of one training that of the table counts: it may have been corrected.
    """
    plan = plan_of(description)
    rows: list[Row] = []
    if (place / DESCRIPTION_FILE).exists():
        replaced = zoo.read_description(place)
        rows += [*replaced.facts.get(FACT, []), _row(replaced)]
    if others is not None and not plan.start:
        data = f" --data {description.data} "
        rows += [
            _row_of_table(row)
            for row in load_table(others)
            if _network(row["zoo_name"], row["routes"], row["seed"])
            == _network(description.name, plan.routes, plan.seed)
            and data in row["command"]
        ]
    different = {tuple(row[name] for name in _IDENTITY): row for row in rows}
    different.pop(tuple(getattr(plan, name) for name in _IDENTITY), None)
    return sorted(different.values(), key=lambda row: (row["epochs"], row["routes"], row["start"]))


def _network(name: str, routes: str, seed: int) -> tuple[str, str, int]:
    # Behind the comma stands a variant of the routes.
    return name, routes.partition(",")[0], seed


def _row(description: Description) -> Row:
    plan, test = plan_of(description), description.facts["test"]
    own: dict[str, Any] = {name: getattr(plan, name) for name in _IDENTITY}
    return {
        **own,
        "error_rate": test["error_rate"],
        "n_images": test["n_images"],
        "precision": test["precision"],
        "seconds": description.facts["seconds"],
    }


def _row_of_table(row: Row) -> Row:
    return {
        "routes": row["routes"],
        "start": row["start"] or "",
        "epochs": row["epochs"],
        "image_sizes": row["image_sizes"] or "",
        "seed": row["seed"],
        "error_rate": row["test_error_rate"],
        "n_images": row["n_images"],
        "precision": row["precision"],
        "seconds": 60 * row["minutes"],
    }
