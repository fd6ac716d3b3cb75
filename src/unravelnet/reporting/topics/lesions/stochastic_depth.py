"""Claims about the deletion of modules after training with stochastic depth.

Source: Veit, Wilber and Belongie (2016), Fig. 8; the numbers are those of the paper's text and figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unravelnet.papers import veit
from unravelnet.readers.rows import n_images_text
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.lesions.rows import errors_of, learnt_too_little, rises_of
from unravelnet.reporting.words.claim import Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import listed, percent_with_interval, points, points_with_interval
from unravelnet.reporting.words.verdict import median_with_interval, of_all_or_some, of_lower
from unravelnet.wording import counted, percent

_EACH = "delete-each"


_ONE_EACH = "One training each: how much trainings differ is not in the intervals."


_HOW_TESTED = (
    "branches scaled by their chance to be there in training, as training with stochastic depth asks for"
)


def claim_more_resilient(
    plain: Table | None, stochastic: Table | None, *, n_classes: int | None = None
) -> Claim:
    """Judge: training with stochastic depth makes a network more resilient to the deletion of a module (Fig. 8)."""
    text = (
        "After training with stochastic depth, deleting a module costs less than without: the 95 % interval of the "
        "median difference over the modules lies below 0."
    )
    paper = veit.MORE_RESILIENT.said
    pairs = _pairs(plain, stochastic)
    if pairs is None:
        return not_measured(text, paper, "delete_each", _EACH)
    if pairs.empty:
        return Claim(text, paper, "No module in both.", "not decided", "Nothing to compare.", _EACH)
    change = median_with_interval((pairs["value_stochastic"] - pairs["value_plain"]).to_numpy())
    medians = _median_rises(pairs)
    more = pairs["value_stochastic"] > pairs["value_plain"]
    worst = pairs.loc[(pairs["value_stochastic"] - pairs["value_plain"]).idxmax()]
    found = (
        f"{counted(len(pairs), 'module')}, median rise {medians[0]} points without and {medians[1]} with. Median of "
        "the differences at one module, which is not the difference of the medians: "
        f"{points_with_interval(change, digits=2)}, interval as if these modules were drawn from many. It costs more "
        f"with stochastic depth at {more.sum()}{_on_worst(worst) if more.any() else ''}. "
        f"{_on_errors(plain, stochastic)}Errors without: {_errors_text(plain)}; with ({_HOW_TESTED}): "
        f"{_errors_text(stochastic)}; {n_images_text(pairs)}."
    )
    if little := learnt_too_little(plain, n_classes) or learnt_too_little(stochastic, n_classes):
        return Claim(text, paper, found, "not decided", little, _EACH)
    verdict, why = of_lower(change)
    return Claim(text, paper, found, verdict, f"{why} {_ONE_EACH}", _EACH)


def claim_stochastic_depth(
    plain: Table | None,
    stochastic: Table | None,
    *,
    downsampling: Sequence[int] = (),
    n_classes: int | None = None,
) -> Claim:
    """Judge: training with stochastic depth makes a network depend less on its down-sampling modules (Fig. 8)."""
    text = (
        "After training with stochastic depth, deleting any down-sampling module costs less than without. (In kind: "
        "some do, and none surely more.)"
    )
    paper = veit.LESS_DEPENDENT.said
    pairs = _pairs(plain, stochastic)
    if pairs is None:
        return not_measured(text, paper, "delete_each", _EACH)
    peaks = pairs[pairs["module"].isin(list(downsampling))]
    if peaks.empty:
        return Claim(text, paper, "No down-sampling module.", "not decided", "Nothing to compare.", _EACH)
    found = "; ".join(
        f"module {_index(row)}: {points_with_interval(_part(row, 'plain'))} without, "
        f"{points_with_interval(_part(row, 'stochastic'))} with"
        for _, row in peaks.iterrows()
    )
    medians = listed(_median_rises(pairs))
    found = f"{found[0].upper()}{found[1:]}; median of all modules: {medians} points; {n_images_text(pairs)}."
    smaller = peaks["high_stochastic"] < peaks["low_plain"]
    larger = peaks["low_stochastic"] > peaks["high_plain"]
    if little := learnt_too_little(plain, n_classes) or learnt_too_little(stochastic, n_classes):
        return Claim(text, paper, found, "not decided", little, _EACH)
    verdict, why = of_all_or_some(smaller, larger, what="cost surely less")
    return Claim(text, paper, found, verdict, f"{why} {_ONE_EACH}", _EACH)


def _pairs(plain: Table | None, stochastic: Table | None) -> pd.DataFrame | None:
    """Put the rises of the modules of two networks side by side; None where one was not measured."""
    without, with_it = rises_of(plain), rises_of(stochastic)
    if without is None or with_it is None:
        return None
    return without.merge(with_it.drop(columns="n_images"), on="module", suffixes=("_plain", "_stochastic"))


def _median_rises(pairs: pd.DataFrame) -> list[str]:
    return [points(pairs[f"value_{name}"].median()) for name in ("plain", "stochastic")]


def _errors_text(table: Table | None) -> str:
    """Write the error of the intact network and that of the median deletion."""
    study = errors_of(table, needs=["module"])
    if study is None or study.intact is None:
        return "not measured"
    return f"{percent_with_interval(study.intact)} intact, {percent(study.lesions['value'].median())} in the median"


def _on_errors(plain: Table | None, stochastic: Table | None) -> str:
    """Say at how many modules the error itself, and not its rise, is lower with stochastic depth."""
    both = [errors_of(table, needs=["module"]) for table in (plain, stochastic)]
    if both[0] is None or both[1] is None:
        return ""
    pairs = both[0].lesions.merge(both[1].lesions, on="module", suffixes=("_plain", "_stochastic"))
    lower = int((pairs["value_stochastic"] < pairs["value_plain"]).sum())
    return (
        f"That is about the rise of the error: the error itself is lower with stochastic depth at {lower} of "
        f"{counted(len(pairs), 'module')}. "
    )


def _on_worst(pair: pd.Series) -> str:
    rises = [points_with_interval(_part(pair, suffix)) for suffix in ("stochastic", "plain")]
    return f", most at module {_index(pair)} ({rises[0]} with, {rises[1]} without)"


def _part(row: pd.Series, suffix: str) -> pd.Series:
    return pd.Series({name: row[f"{name}_{suffix}"] for name in ("value", "low", "high")})


def _index(row: pd.Series) -> int:
    return int(row["module"])


def _about_stochastic_depth(run: Run, network: StudiedNetwork) -> list[Claim]:
    base = run.base_of(network)
    pair = None if base is None else base.tables.get("delete_each"), network.tables.get("delete_each")
    read = [(other, "delete_each") for other in (base, network) if other is not None]
    judged = {
        "Stochastic depth makes deletions cost less": claim_more_resilient(
            *pair, n_classes=network.n_classes
        ),
        "Stochastic depth relieves down-sampling modules": claim_stochastic_depth(
            *pair, downsampling=network.downsampling, n_classes=network.n_classes
        ),
    }
    return [with_rows(claim, *read, short=short) for short, claim in judged.items()]


def judge(run: Run) -> list[Claim]:
    """Judge each network trained with stochastic depth beside one trained without."""
    networks = run.lesioned("stochastic-depth")
    return [claim for network in networks for claim in _about_stochastic_depth(run, network)]
