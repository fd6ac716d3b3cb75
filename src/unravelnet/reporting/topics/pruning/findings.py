"""What a search for modules to delete has found, in sentences computed from its tables."""

from __future__ import annotations

from unravelnet.errors import EvaluationError
from unravelnet.readers.pruning import RANDOM, trade_off
from unravelnet.readers.rows import unit_of
from unravelnet.records.record import Row, Table
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.words.sentences import points, points_with_interval
from unravelnet.wording import counted, percent


def on_pruning(network: StudiedNetwork, table: Table) -> list[str]:
    """Say what the result leaves and costs, and how far estimates were from the truth."""
    row = next((row for row in table if row["is_chosen"]), None)
    if row is None:
        return [
            f"{network.title}: nothing was deleted, because the first step costs more than the budget allows."
        ]
    unit = unit_of([table.to_pandas()])
    sentences = [
        f"{network.title}: {row['strategy']} deleted {counted(int(str(row['n_deleted'])), 'module')} of "
        f"{network.n_modules}, chosen on {row['n_selection_images']:,} {unit} by {row['selected_by']}. "
        f"{percent(float(str(row['macs_left'])))} of the MACs and {percent(float(str(row['parameters_left'])))} of the "
        f"parameters are left. The route is {row['route']}."
    ]
    if "error_rate_difference" in table.columns:
        sentences.append(f"{network.title}: {on_error(table, row)}")
    return sentences


def beside_random(network: StudiedNetwork, curve: Table) -> list[str]:
    """Compare the result with random orders of as many modules."""
    found = trade_off(curve)
    own = [name for name in found["strategy"].unique() if name != RANDOM]
    random = found[found["strategy"] == RANDOM]
    if not own or random.empty:
        raise EvaluationError(
            f"The curve of {network.title} has no random orders, so nothing is compared with them."
        )
    searched = found[found["strategy"] == own[0]]
    n_deleted = min(searched["n_deleted"].max(), random["n_deleted"].max())
    mine, other = (part[part["n_deleted"] == n_deleted].iloc[0] for part in (searched, random))
    return [
        f"{network.title}: with {counted(int(n_deleted), 'module')} deleted the error is {percent(mine['value'])}; of "
        f"{counted(int(other['n_draws']), 'random order')} it is {percent(other['value'])} in the median, and "
        f"{percent(other['low'])} to {percent(other['high'])} in 90 % of them."
    ]


def on_overlap(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how much of what is deleted is the same on other calibration sets, and how much would be by chance."""
    return [
        f"{network.title}: of {row['n_deleted']} modules deleted on {row['first_set']} and "
        f"{row['n_deleted_second']} on {row['second_set']}, {row['n_shared']} are the same. The Jaccard index is "
        f"{row['jaccard']:.2f}, and {row['jaccard_by_chance']:.2f} in the mean of random choices."
        for row in table
    ]


def on_error(table: Table, row: Row) -> str:
    """Say what the result costs on data that modules were not chosen on."""
    import pandas as pd

    unit = unit_of([table.to_pandas()])
    ends = {"value": "", "low": "_low", "high": "_high"}
    interval = pd.Series({name: float(str(row[f"error_rate_difference{end}"])) for name, end in ends.items()})
    chosen_on = ""
    if row["selection_error_rate"] is not None:
        optimism = float(str(row["error_rate"])) - float(str(row["selection_error_rate"]))
        chosen_on = f" That is {points(optimism)} points against the {unit} that modules were chosen on."
    return (
        f"on {row['n_images']:,} other {unit} the error is {percent(float(str(row['error_rate'])))}, "
        f"{points_with_interval(interval)} against the intact network.{chosen_on}"
    )
