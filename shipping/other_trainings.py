"""Whole trainings of a network that are not shipped, kept as numbers beside the one that is: other lengths, variants.

A network that takes the place of another one names it, so that the curve *error against epochs* keeps its points.
"""

from __future__ import annotations

from pathlib import Path

from shipping.training_command import plan_of, training_command
from unravelnet import zoo
from unravelnet.records.record import Row, load_table
from unravelnet.zoo import Description
from unravelnet.zoo.store import DESCRIPTION_FILE

FACT = "other_trainings"


def other_trainings(place: Path, description: Description, others: Path | None = None) -> list[Row]:
    """List whole trainings of the same network with the same seed, on the same routes or a variant of them.

    The shortest come first. `place`: where a network is that will be replaced; what it names is named again. `others`:
    a table of trainings, with the columns of results/short_trainings.csv. The training of the description itself is
    left out.
    """
    rows: list[Row] = []
    if (place / DESCRIPTION_FILE).exists():
        replaced = zoo.read_description(place)
        rows += replaced.facts.get(FACT, [])
        if training_command(replaced, "x") != training_command(description, "x"):
            rows.append(_row(replaced))
    plan = plan_of(description)
    if others is not None and not plan.start:
        data = f" --data {description.data} "
        rows += [
            _row_of_table(row)
            for row in load_table(others)
            if _network(row["zoo_name"], row["routes"], row["seed"])
            == _network(description.name, plan.routes, plan.seed)
            and data in row["command"]
        ]
    # A row that was named before is the same one.
    different = {str(row): row for row in rows}
    return sorted(different.values(), key=lambda row: (row["epochs"], row["routes"], row["start"]))


def _network(name: str, routes: str, seed: int) -> tuple[str, str, int]:
    # Behind the comma stands a variant of the routes.
    return name, routes.partition(",")[0], seed


def _row(description: Description) -> Row:
    plan, test = plan_of(description), description.facts["test"]
    return {
        "routes": plan.routes,
        "start": plan.start,
        "epochs": plan.epochs,
        "image_sizes": plan.image_sizes,
        "seed": plan.seed,
        "error_rate": test["error_rate"],
        "n_images": test["n_images"],
        "seconds": description.facts["seconds"],
    }


def _row_of_table(row: Row) -> Row:
    return {
        "routes": row["routes"],
        "start": row["start"] or "",
        "epochs": row["epochs"],
        "image_sizes": row["image_sizes"],
        "seed": row["seed"],
        "error_rate": row["test_error_rate"],
        "n_images": row["n_images"],
        "seconds": 60 * row["minutes"],
    }
