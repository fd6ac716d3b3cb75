"""Claims about averaging the predictions of routes, which this project asks of the reading as an ensemble."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.comparisons import newcombe_interval
from unravelnet.readers.rows import n_images_text, ordered, with_interval
from unravelnet.readers.spectrum import fact
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run
from unravelnet.reporting.words.claim import OWN, Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import percent_with_interval, points_with_interval, threshold
from unravelnet.reporting.words.verdict import EQUAL, Verdict
from unravelnet.wording import counted, percent

_ON_ENSEMBLES = "Not measured. Expected if the paths of a residual network are an ensemble."


_ONE_DRAW = "The routes are one draw: how much draws differ is not in the interval of many members."
_ON_WHOLE = (
    "Not measured. To be expected if the network were no more than the average of its routes; but theirs are other "
    "path lengths, and statistics of normalisation that training did not collect for them."
)


def claim_ensemble(table: Table | None, *, network: str = "the residual network") -> Claim:
    """Judge: averaging the predictions of random routes helps, as averaging members of an ensemble does."""
    text = (
        f"Averaging the predictions of random routes of {network} helps, as in an ensemble: the error of the largest "
        "number of members is surely below that of one, and at no step does it surely rise. (In kind: only the first.)"
    )
    rows = _rows_of_routes(table)
    if rows is None or len(rows) < 2:
        return not_measured(text, _ON_ENSEMBLES, "ensemble", "ensemble")
    errors = with_interval(rows, "error_rate")
    ends = [_members_text(rows, errors, place) for place in (0, -1)]
    found = f"{'; '.join(ends)}; {_routes_text(rows)}. {_ONE_DRAW}"
    verdict, why = _of_members(errors)
    return Claim(text, _ON_ENSEMBLES, found, verdict, why, "ensemble")


def claim_ensemble_is_whole(table: Table | None, *, network: str = "the residual network") -> Claim:
    """Judge: the average of many random routes is as good as the network that they are routes of."""
    text = (
        f"The average of many random routes of {network} is as good as the network itself: the error of the largest "
        f"number of members lies at most {threshold(EQUAL)} above that of the intact network, by the 95 % interval of "
        "the difference."
    )
    rows = _rows_of_routes(table)
    if rows is None or rows["intact_error_rate"].isna().all():
        return not_measured(text, _ON_WHOLE, "ensemble", "ensemble")
    errors, last = with_interval(rows, "error_rate"), rows.iloc[-1]
    shares = (float(last["error_rate"]), float(last["intact_error_rate"]))
    n = int(last["n_images"])
    low, high = newcombe_interval(shares[0], n, shares[1], n)
    difference = pd.Series({"value": shares[0] - shares[1], "low": low, "high": high})
    found = (
        f"{_members_text(rows, errors, -1)}; intact network: {percent(shares[1])}; difference "
        f"{points_with_interval(difference)} (Newcombe's interval); {_routes_text(rows)}. {_ONE_DRAW}"
    )
    verdict, why = _of_distance(difference)
    return Claim(text, _ON_WHOLE, found, verdict, why, "ensemble")


def _rows_of_routes(table: Table | None) -> pd.DataFrame | None:
    """Give the rows whose members are routes of one network, not networks of their own."""
    if table is None:
        return None
    try:
        wants = ["intact_error_rate"]
        rows = ordered(table, by="n_members", needs=["error_rate"], wants=wants, keeps=["members"])
    except EvaluationError:
        return None
    rows = rows[rows["members"] == "routes"].reset_index(drop=True)
    return None if rows.empty else rows


def _members_text(rows: pd.DataFrame, errors: pd.DataFrame, place: int) -> str:
    return f"{counted(int(rows['n_members'].iloc[place]), 'member')}: {percent_with_interval(errors.iloc[place])}"


def _routes_text(rows: pd.DataFrame) -> str:
    """Say which routes the members are, and of how many images."""
    routes = fact(rows, "routes")
    if not routes:
        return n_images_text(rows)
    kind, _, count = routes.partition(":")
    members = f"members drawn as {routes}"
    if kind == "exactly" and count.isdecimal():
        members = f"members of {counted(int(count), 'module')} each"
    return f"{members}, {n_images_text(rows)}"


def _of_distance(difference: pd.Series) -> tuple[Verdict, str]:
    if difference["high"] <= EQUAL:
        return "agrees", f"It is surely within {threshold(EQUAL)}."
    if difference["low"] > EQUAL:
        return "does not agree", f"It is surely more than {threshold(EQUAL)} above."
    return "not decided", f"The interval reaches both sides of {threshold(EQUAL)}."


def _of_members(errors: pd.DataFrame) -> tuple[Verdict, str]:
    first, last = errors.iloc[0], errors.iloc[-1]
    rises = bool((errors["low"].to_numpy()[1:] > errors["high"].to_numpy()[:-1]).any())
    if first["low"] > last["high"]:
        if rises:
            return "agrees in kind", "It surely falls from first to last, but surely rises in between."
        return "agrees", "It surely falls, and at no step surely rises."
    if last["low"] > first["high"]:
        return "does not agree", "The error surely rises with the number of members."
    gap = np.abs(last["value"] - first["value"])
    return "not decided", f"The intervals of the two, {100 * gap:.1f} points apart, overlap."


def judge(run: Run) -> list[Claim]:
    """Judge the averages of each ordinary residual network, if any network of the run has them."""
    study = "ensemble"
    judges = {
        "Averaging random routes helps": claim_ensemble,
        "Averaged routes match the network": claim_ensemble_is_whole,
    }
    return [
        with_rows(
            claim(network.tables.get(study), network=network.title), (network, study), short=short, source=OWN
        )
        for network in (run.of_role("resnet") if run.with_table(study) else [])
        for short, claim in judges.items()
    ]
