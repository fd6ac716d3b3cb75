"""Claims about the gradient by path length, and those of papers that built on it.

Thresholds are part of the claim's text. Sources: Veit, Wilber and
Belongie (2016), Fig. 6 and section 2; Littwin and Wolf (2016); Wu, Shen and van den Hengel (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.figures.marks import with_interval
from unravelnet.figures.rows import n_images_text, ordered
from unravelnet.figures.spectrum import (
    PATH_NORM,
    PLACES,
    Spectrum,
    contributions,
    decay_of,
    fact,
    sample_text,
    vector_sums,
)
from unravelnet.papers import littwin, veit, wu
from unravelnet.paths import share_within
from unravelnet.reporting.claims import Claim, not_measured
from unravelnet.reporting.comparisons import newcombe_interval
from unravelnet.reporting.gradient_findings import EXACT, SAMPLED, decay_with_interval, range_text
from unravelnet.reporting.sentences import (
    number,
    number_with_interval,
    percent,
    percent_with_interval,
    points_with_interval,
    threshold,
)
from unravelnet.reporting.verdicts import EQUAL, Verdict, of_all_or_some, rank_correlation
from unravelnet.wording import counted

if TYPE_CHECKING:
    from unravelnet.records.record import Table

ALMOST_ALL = 0.95
"""A share of the gradient of this much is almost all of it."""
STRAIGHT, NEARLY_STRAIGHT = 0.95, 0.80
"""Shares of the variance of log norms (R²) from which a decay is exponential, and is so in kind."""

_LEAST_LENGTHS = 6
_ON_ENSEMBLES = "Not measured. Expected if the paths of a residual network are an ensemble."
_ON_WHOLE = (
    "Not measured. To be expected if the network were no more than the average of its routes; but theirs are other "
    "path lengths, and statistics of normalisation that training did not collect for them."
)
_GRADIENT = "path-gradients"


def claim_decay(table: Table | None, *, network: str = "the residual network") -> Claim:
    """Judge: the gradient norm on a path decays about exponentially with its length (Fig. 6b)."""
    text = (
        f"In {network} the norm of the gradient on a path decays about exponentially with its length: a falling "
        f"straight line explains at least {100 * STRAIGHT:g} % of the variance of the logarithm of the mean norm "
        f"(R²). (In kind: at least {100 * NEARLY_STRAIGHT:g} %.)"
    )
    paper = veit.DECAY.said
    try:
        rows = None if table is None else ordered(table, by="length", needs=[PATH_NORM])
        fit = None if table is None else decay_of(table)
    except EvaluationError:
        rows = fit = None
    if rows is None or fit is None:
        return not_measured(text, paper, SAMPLED, _GRADIENT)
    n_lengths = int((rows[PATH_NORM] > 0).sum())
    found = (
        f"A factor r = {decay_with_interval(fit)} with every module, R² = {fit.r_squared:.3f}; "
        f"{counted(n_lengths, 'length')}, {_sample(rows)}."
    )
    if n_lengths < _LEAST_LENGTHS:
        why = f"A line through {counted(n_lengths, 'length')} says little; {_LEAST_LENGTHS} are needed."
        return Claim(text, paper, found, "not decided", why, _GRADIENT)
    verdict, why = _of_fit(fit.r_squared, falls=fit.high < 1, grows=fit.low > 1)
    return Claim(text, paper, found, verdict, why, _GRADIENT)


def claim_effective_lengths(
    table: Table | None, *, n_modules: int, network: str = "the residual network"
) -> Claim:
    """Judge: almost all of the gradient comes from few and short paths, by the paper's own measure (Fig. 6c)."""
    paper = f"{veit.GRADIENT_IS_SHORT.said} {veit.EFFECTIVE_PATHS.said}"
    measure = "number of paths × their mean norm, the paper's measure"
    text = _text_on_lengths(measure, n_modules, network)
    try:
        spectrum = None if table is None else contributions(table)
    except EvaluationError:
        spectrum = None
    if table is None or spectrum is None:
        return not_measured(text, paper, SAMPLED, _GRADIENT)
    return _on_lengths(text, paper, spectrum, _sample(ordered(table, by="length")))


def claim_exact_lengths(
    table: Table | None, *, n_modules: int, network: str = "the residual network"
) -> Claim:
    """Judge the same by the exact sums over all paths of a length, in which gradients may cancel."""
    paper = (
        "Not measured: the paper adds up norms, to which paths that cancel each other count as much as those that "
        "pull the same way."
    )
    text = _text_on_lengths("the norm of the exact vector sum of all paths of a length", n_modules, network)
    try:
        spectrum = None if table is None else vector_sums(table)
    except EvaluationError:
        spectrum = None
    if table is None or spectrum is None:
        return not_measured(text, paper, EXACT, _GRADIENT)
    return _on_lengths(text, paper, spectrum, n_images_text(ordered(table, by="length")))


def claim_deepening(table: Table | None, *, network: str = "the residual network") -> Claim:
    """Judge: as training progresses the virtual ensemble becomes deeper (Littwin and Wolf)."""
    text = (
        f"As training progresses the virtual ensemble of {network} becomes deeper: the decay r of its path norms is "
        "surely larger at the last checkpoint than at the first, and the mean length by the exact sums surely grows "
        "over the checkpoints (rank correlation). (In kind: one of the two, and the other not surely the opposite.)"
    )
    paper = littwin.DEEPENING.said_by
    try:
        rows = None if table is None else ordered(table, by="epoch", needs=["decay", "mean_length"])
    except EvaluationError:
        rows = None
    if rows is None or len(rows) < 2:
        return not_measured(text, paper, "over_training", "over-training")
    decays = with_interval(rows, "decay")
    first, last = decays.iloc[0], decays.iloc[-1]
    rho, low, high = rank_correlation(rows["epoch"].to_numpy(), rows["mean_length"].to_numpy())
    lengths = [number(rows["mean_length"].iloc[place]) for place in (0, -1)]
    epochs = [int(rows["epoch"].iloc[place]) for place in (0, -1)]
    found = (
        f"r from {number_with_interval(first)} at epoch {epochs[0]} to "
        f"{number_with_interval(last)} at epoch {epochs[1]}; mean length from {lengths[0]} to {lengths[1]} "
        f"modules, rank correlation with the epoch {number(rho)} ({number(low)} to {number(high)}); "
        f"{counted(len(rows), 'checkpoint')}, {n_images_text(rows)}."
    )
    deeper = pd.Series([last["low"] > first["high"], low > 0])
    shallower = pd.Series([last["high"] < first["low"], high < 0])
    verdict, why = of_all_or_some(deeper, shallower, what="surely deeper")
    return Claim(text, paper, found, verdict, f"{why} One training.", "over-training")


def claim_over_deepened(table: Table | None, *, network: str = "the residual network") -> Claim:
    """Judge: the network is deeper than its effective depth (Wu, Shen and van den Hengel)."""
    text = (
        f"{_upper(network)} is deeper than its effective depth: paths through less than half of the modules behind "
        "its first module carry 95 % of that module's gradient, by the norms of the exact sums. (In kind: through less "
        "than all of them.)"
    )
    paper = f"{wu.OVER_DEEPENED.said_by} Measure and threshold are ours."
    try:
        rows = None
        if table is not None:
            rows = ordered(table, by="module", needs=["n_after", "effective_depth", "share", "is_deeper"])
    except EvaluationError:
        rows = None
    if rows is None:
        return not_measured(text, paper, "effective_depths", "effective-depth")
    first = rows.loc[rows["n_after"].idxmax()]
    depth, behind = int(first["effective_depth"]), int(first["n_after"])
    found = (
        f"Paths through at most {depth} of the {counted(behind, 'module')} behind module {int(first['module'])} carry "
        f"{100 * first['share']:g} % of its gradient; "
        f"{int(rows['is_deeper'].sum())} of {counted(len(rows), 'module')} have more behind them than their effective "
        f"depth; {n_images_text(rows)}."
    )
    verdict, why = _of_depth(depth, behind)
    return Claim(text, paper, found, verdict, why, "effective-depth")


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
    found = f"{'; '.join(ends)}; {_routes_text(rows)}."
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
        f"{points_with_interval(difference)} (Newcombe's interval); {_routes_text(rows)}."
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


def _sample(rows: pd.DataFrame) -> str:
    """Say what the norms are of and where: the paper has those of batches, at the input."""
    parts = [sample_text(rows)]
    if fact(rows, "per", otherwise="image") == "image":
        parts.append("norms of single images")
    place = PLACES.get(fact(rows, "at"))
    return ", ".join(parts) + (f" at {place}" if place else "")


# -- how verdicts follow --


def _of_fit(r_squared: float, *, falls: bool, grows: bool) -> tuple[Verdict, str]:
    share = f"The line explains {100 * r_squared:.1f} %"
    if grows:
        return "does not agree", "The norm surely grows with the length."
    if r_squared < NEARLY_STRAIGHT:
        return "does not agree", f"{share}."
    if not falls:
        return "not decided", f"{share}, but its interval does not show that it falls."
    return ("agrees" if r_squared >= STRAIGHT else "agrees in kind"), f"{share}, and it surely falls."


def _text_on_lengths(measure: str, n_modules: int, network: str) -> str:
    low, high = veit.EFFECTIVE_LENGTHS
    short = f"from paths shorter than the mean of all, {n_modules / 2:g} modules"
    if n_modules != veit.N_MODULES.count:
        return (
            f"Almost all of the gradient of {network}, at least {100 * ALMOST_ALL:g} % by {measure}, comes from few "
            f"and short paths. (In kind, which is all that can be judged for another depth than the paper's "
            f"{veit.N_MODULES.count} modules: {short}.)"
        )
    held = percent(share_within(veit.N_MODULES.count, low, high))
    return (
        f"Almost all of the gradient of {network}, at least {100 * ALMOST_ALL:g} % by {measure}, comes from paths of "
        f"{low} to {high} of {counted(n_modules, 'module')}, {held} of all paths. (In kind: {short}.)"
    )


def _on_lengths(text: str, paper: str, spectrum: Spectrum, sample: str) -> Claim:
    """Judge whether the lengths of the paper carry almost all, or at least those below the mean of all paths."""
    if not spectrum.is_complete:
        found = f"Lengths {spectrum.lengths[0]} to {spectrum.lengths[-1]} only; {sample}."
        return Claim(text, paper, found, "not decided", "The other lengths were not measured.", _GRADIENT)
    n_modules = spectrum.n_modules
    of_paper = spectrum.held_by(*veit.EFFECTIVE_LENGTHS) if n_modules == veit.N_MODULES.count else None
    # Strictly shorter than n / 2, which is a length itself where n is even.
    short = spectrum.held_by(0, (n_modules - 1) // 2)
    parts = [f"{range_text(spectrum)}, most from length {spectrum.dominating_length}"]
    if of_paper is not None:
        low, high = veit.EFFECTIVE_LENGTHS
        parts.append(f"lengths {low} to {high} hold {percent_with_interval(of_paper)}")
    parts.append(f"paths shorter than {n_modules / 2:g} modules {percent_with_interval(short)}")
    found = f"{'; '.join(parts)}; {sample}."
    if of_paper is not None and of_paper["low"] >= ALMOST_ALL:
        return Claim(text, paper, found, "agrees", "It is surely so.", _GRADIENT)
    verdict, why = _of_short_paths(short)
    return Claim(text, paper, found, verdict, f"{why}{_on_missed(of_paper)}", _GRADIENT)


def _on_missed(of_paper: pd.Series | None) -> str:
    """Say why the lengths of the paper are not enough."""
    if of_paper is None:
        return ""
    held = percent(of_paper["value"])
    if of_paper["value"] >= ALMOST_ALL:
        return (
            f" The paper's lengths hold {held}, but less than {100 * ALMOST_ALL:g} % if each length lies at the worse "
            "end of its own interval. Lengths are of the same images, so that they may err together."
        )
    return f" The paper's lengths hold only {held}."


def _of_short_paths(short: pd.Series) -> tuple[Verdict, str]:
    if short["low"] >= ALMOST_ALL:
        return "agrees in kind", "Short paths surely carry almost all of it."
    if short["high"] < ALMOST_ALL:
        return "does not agree", "Short paths surely carry less than almost all of it."
    return "not decided", "The interval of what short paths carry reaches both sides of the threshold."


def _of_depth(depth: int, behind: int) -> tuple[Verdict, str]:
    if behind == 0:
        return "not decided", "There is no module behind another."
    if depth < behind / 2:
        return "agrees", f"{depth} is less than half of {behind}. (Whole numbers; there is no interval.)"
    if depth < behind:
        why = f"{depth} is less than {behind}, which hardly any network misses, but not less than half of it."
        return "agrees in kind", why
    return "does not agree", f"All {counted(behind, 'module')} behind are needed."


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


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
