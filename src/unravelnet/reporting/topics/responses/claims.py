"""Claims about the responses of layers, of He et al. (2015), Fig. 7."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.comparisons import typical_difference
from unravelnet.papers import he
from unravelnet.readers.groups import group_of
from unravelnet.readers.rows import n_images_text, ordered
from unravelnet.records.record import Table
from unravelnet.reporting.contents import COMPARED, Run, StudiedNetwork
from unravelnet.reporting.topics.responses.findings import RESPONSES, compared_with
from unravelnet.reporting.topics.trainings.groups import CHAPTER, PLAIN, RESIDUAL, groups_of
from unravelnet.reporting.words.claim import HE, Claim, not_measured, with_rows
from unravelnet.reporting.words.protocol import compared
from unravelnet.reporting.words.sentences import fine_percent, listed, number, number_with_interval
from unravelnet.reporting.words.verdict import Verdict, of_all_or_some
from unravelnet.wording import counted

_CONVOLUTION, _NORMALISED = "convolution", "normalisation"


Responses = Mapping[tuple[str, int], "Table"]


_STATISTIC = (
    "the median difference between the standard deviations of the responses of a layer of the one and of the other "
    "(Hodges and Lehmann) is surely below 0; convolutions, measured after their normalisation; interval of Mann and "
    "Whitney, layers as the sample"
)


def claim_smaller_responses(tables: Responses) -> Claim:
    """Judge: layers of residual networks respond less than those of plain ones as deep (He et al., Fig. 7).

    `tables`: what `layer_responses` returned, by family and depth of the network.
    """
    text = (
        "Layers of residual networks respond less than those of plain networks as deep, at every depth that was "
        f"measured: {_STATISTIC}. (In kind: at some, and at none surely more.)"
    )
    paper = he.SMALLER_RESPONSES.said_by
    depths = [depth for family, depth in tables if family == PLAIN and (RESIDUAL, depth) in tables]
    pairs = [((RESIDUAL, depth), (PLAIN, depth)) for depth in sorted(depths)]
    return _on_responses(text, paper, tables, pairs)


def claim_deeper_responses(tables: Responses) -> Claim:
    """Judge: layers of the deeper residual network respond less (He et al., Fig. 7)."""
    text = (
        f"Layers of the deepest residual network of {he.PAPER.authors} that was measured respond less than those of "
        f"the shallowest: {_STATISTIC}."
    )
    paper = he.DEEPER_RESPONSES.said_by
    depths = sorted(depth for family, depth in tables if family == RESIDUAL)
    pairs = [((RESIDUAL, depths[-1]), (RESIDUAL, depths[0]))] if len(depths) > 1 else []
    return _on_responses(text, paper, tables, pairs)


def _on_responses(
    text: str, paper: str, tables: Responses, pairs: list[tuple[tuple[str, int], tuple[str, int]]]
) -> Claim:
    """Judge that the layers of the first of each pair respond less than those of the second."""
    responses = {key: _responses(tables[key]) for pair in pairs for key in pair}
    known = [pair for pair in pairs if all(len(responses[key]) for key in pair)]
    if not known:
        return not_measured(text, paper, "layer_responses of two such networks", CHAPTER)
    differences = [typical_difference(responses[less], responses[more]) for less, more in known]
    found = "; ".join(
        f"{_name(less)} {_median_text(responses[less])}, {_name(more)} {_median_text(responses[more])}, median "
        f"difference {number_with_interval(difference.row)}"
        for (less, more), difference in zip(known, differences, strict=True)
    )
    holds = pd.Series([difference.interval.high < 0 for difference in differences])
    opposite = pd.Series([difference.interval.low > 0 for difference in differences])
    verdict, why = _of_pairs(holds, opposite)
    sample = n_images_text(ordered(tables[known[0][0]], by="position"))
    return Claim(text, paper, f"{found}; {sample}, one training each.", verdict, why, CHAPTER)


def _of_pairs(holds: pd.Series, opposite: pd.Series) -> tuple[Verdict, str]:
    if len(holds) > 1:
        return of_all_or_some(holds, opposite, what="pairs surely respond less")
    if holds.all():
        return "agrees", "It surely responds less."
    if opposite.any():
        return "does not agree", "It surely responds more."
    return "not decided", "The interval reaches both sides of 0."


def _responses(table: Table) -> list[float]:
    """List the standard deviations of the convolutions with a normalisation behind them."""
    try:
        rows = ordered(table, by="position", needs=["response_std"], keeps=["layer_kind", "measured_after"])
    except EvaluationError:
        return []
    is_counted = (rows["layer_kind"] == _CONVOLUTION) & (rows["measured_after"] == _NORMALISED)
    return [float(value) for value in rows.loc[is_counted, "response_std"]]


def _median_text(responses: list[float]) -> str:
    return (
        f"{number(float(pd.Series(responses).median()))} in the median of {counted(len(responses), 'layer')}"
    )


def _name(key: tuple[str, int]) -> str:
    family, depth = key
    return f"{'ResNet' if family == RESIDUAL else 'plain'}-{depth}"


def _about_responses_of(
    run: Run,
    networks: Mapping[tuple[str, int], StudiedNetwork],
    judge: Callable[[Responses], Claim],
    short: str,
) -> Claim:
    """Judge responses, beside how well the networks have learnt."""
    claim = judge({key: network.tables[RESPONSES] for key, network in networks.items()})
    groups = [group_of(groups_of(run), f"{family}{depth}") for family, depth in networks]
    errors = [f"{group.network} {fine_percent(group.rows['error_rate'].mean())}" for group in groups if group]
    verdict, why = claim.verdict, claim.why
    if verdict != "not measured":
        verdict, why = compared(verdict, why, [network.epochs for network in networks.values()], he.EPOCHS)
    why = f"{why} Their test errors: {listed(errors)}." if errors else why
    read = [(network, RESPONSES) for network in networks.values()]
    return with_rows(replace(claim, verdict=verdict, why=why), *read, short=short, source=HE)


def judge(run: Run) -> list[Claim]:
    """Judge what the responses of the networks of He et al. say, where the run has those networks."""
    if not run.of_role(COMPARED):
        return []
    networks = compared_with(run, RESPONSES)
    residual = {key: network for key, network in networks.items() if key[0] == RESIDUAL}
    return [
        _about_responses_of(run, networks, claim_smaller_responses, "Residual layers respond less"),
        _about_responses_of(run, residual, claim_deeper_responses, "Deeper networks respond less"),
    ]
