"""What a search for modules to delete has found."""

from __future__ import annotations

from dataclasses import dataclass

from unravelnet.network import UnraveledNetwork
from unravelnet.pruning.budget import Budget
from unravelnet.pruning.strategy import Strategy
from unravelnet.records.record import Row, Table
from unravelnet.routes.route import Route
from unravelnet.wording import counted, percent


@dataclass(frozen=True)
class Spent:
    """What a search took, for each image that modules were chosen on.

    `n_evaluations`: images times routes that were run, over the number of images. `n_passes`: the branches that were
    run, as full forward passes; what routes share counts once.
    """

    n_evaluations: float
    n_passes: float


@dataclass(frozen=True)
class PruningResult:
    """A pruned network, how it was found, and what it is worth.

    `route`: through `net`, which is the network that was given, or one with a linear patch. `steps`: a row of the
    intact network and one of each step: the module, the number that it was chosen by (`estimate`), the truth on the
    images to choose on (`selection_difference`), and errors with intervals on the images to report on. `curve`: error
    over size on the images to report on, of this search, of random orders, and of other strategies. `shortfall`: what
    of the budget could not be reached, and why; empty where all was. `spent`: what the search took. `examples`: what
    the data is counted in: images, sequences or questions. `selection_name`: the data that modules were chosen on.
    """

    net: UnraveledNetwork
    route: Route
    steps: Table
    curve: Table
    strategy: Strategy
    budget: Budget
    shortfall: str
    spent: Spent
    examples: str = "images"
    selection_name: str = ""

    @property
    def chosen(self) -> Row:
        """The row of the result; that of the intact network where nothing was deleted."""
        return next((row for row in self.steps if row["is_chosen"]), self.steps[0])

    def __str__(self) -> str:
        row, intact = self.chosen, self.steps[0]
        left = {"MACs": row["macs_left"], "parameters": row["parameters_left"], "time": row["latency_left"]}
        shares = [f"{_percent(share)} of the {what}" for what, share in left.items() if share is not None]
        lines = [
            f"{self.strategy.title} pruning of {row['network_name'] or 'the network'}, chosen on "
            f"{row['n_selection_images']:,} {self.examples} by {row['selected_by']}. Budget: {self.budget}.",
            f"route: {self.route}",
            f"{counted(int(str(row['n_deleted'])), 'module')} of {row['n_modules']} deleted; "
            f"{', '.join(shares)} are left.",
        ]
        if "error_rate" in self.steps.columns:
            low, high = (100 * float(str(row[f"error_rate_difference_{end}"])) for end in ("low", "high"))
            change = 100 * float(str(row["error_rate_difference"]))
            lines.append(
                f"On {row['n_images']:,} other {self.examples}: error {_percent(intact['error_rate'])} before and "
                f"{_percent(row['error_rate'])} after, {change:+.2f} points [{low:+.2f}, {high:+.2f}]."
            )
        return "\n".join([*lines, *filter(None, [self.shortfall])])


def _percent(share: object) -> str:
    return percent(float(str(share)))
