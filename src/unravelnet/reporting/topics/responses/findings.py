"""How strongly layers respond, in sentences computed from the tables; and which networks are compared by it."""

from __future__ import annotations

from unravelnet.readers.groups import family_and_depth
from unravelnet.readers.rows import ordered
from unravelnet.records.record import Table
from unravelnet.reporting.contents import COMPARED, Run, StudiedNetwork
from unravelnet.reporting.topics.trainings.groups import PLAIN, RESIDUAL
from unravelnet.reporting.words.sentences import listed, number

RESPONSES = "layer_responses"


def compared_with(run: Run, study: str) -> dict[tuple[str, int], StudiedNetwork]:
    """Find those of He's networks that have a table, by family and depth; of several seeds the first."""
    found: dict[tuple[str, int], StudiedNetwork] = {}
    for network in run.of_role(COMPARED):
        key = family_and_depth(network.name) or family_and_depth(network.title)
        if key is not None and key[0] in (PLAIN, RESIDUAL) and study in network.tables:
            found.setdefault(key, network)
    return found


def on_layer_responses(network: StudiedNetwork, table: Table) -> list[str]:
    """Say how strong the responses of the layers are, with and without normalisation behind them."""
    rows = ordered(table, by="position", needs=["response_std"], keeps=["measured_after"])
    parts = []
    for kind, part in rows.groupby("measured_after", sort=False):
        where = (
            "after the normalisation that follows" if kind == "normalisation" else "after the layer itself"
        )
        parts.append(f"{number(part['response_std'].median())} for the {len(part)} measured {where}")
    return [f"{network.title}, median standard deviation of a layer's responses: {listed(parts)}."]
