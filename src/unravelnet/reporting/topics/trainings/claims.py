"""Claims about trainings: on effective paths only, with stochastic depth, deeper and shallower, plain and residual.

Sources: Veit, Wilber and Belongie (2016), section 5; Huang et al. (2016); He et al. (2015), Fig. 6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from unravelnet.mathematics.comparisons import Difference, difference_of_trainings
from unravelnet.papers import Number, he, huang, veit
from unravelnet.readers.groups import (
    EFFECTIVE_PATHS,
    RECIPE,
    STOCHASTIC_DEPTH,
    TrainedGroup,
    group_of,
    pairs_of,
)
from unravelnet.readers.rows import n_images_text
from unravelnet.records.record import Table
from unravelnet.reporting.contents import TABLES_DIRECTORY, TRAINED_NETWORKS, Run
from unravelnet.reporting.topics.trainings.findings import errors_text
from unravelnet.reporting.topics.trainings.groups import CHAPTER, COMPARED_DEPTHS, PLAIN, RESIDUAL, groups_of
from unravelnet.reporting.topics.trainings.lengths import on_longer_trainings
from unravelnet.reporting.words.claim import HE, HUANG, OWN, VEIT, Claim, not_measured
from unravelnet.reporting.words.protocol import compared, is_as_long
from unravelnet.reporting.words.sentences import fine_percent, listed, points_with_interval, threshold
from unravelnet.reporting.words.verdict import EQUAL, Verdict, of_all_or_some, of_equal_errors, of_lower
from unravelnet.wording import counted

_TABLE = "trained_networks"


_WAYS = ("scaled", "unscaled")


_SHALLOW, _DEEP = COMPARED_DEPTHS


_EFFECTIVE = "Training on effective paths suffices"
_BELOW = "the 95 % interval of the difference lies below 0"


def claim_effective_training(full: TrainedGroup | None, effective: TrainedGroup | None) -> Claim:
    """Judge: trained on effective paths only, a network errs no more than trained on all (section 5).

    Whether the paper scales branches at the test is not known: the way that errs less is judged.
    """
    paper = veit.EFFECTIVE_TRAINING.said
    if full is None or effective is None:
        text = _text_on_equality("a residual network", "a part of its modules")
        return not_measured(text, paper, _TABLE, CHAPTER)
    if effective.n_modules != veit.N_MODULES.count:
        paper = f"Not measured at {counted(effective.n_modules, 'module')}. {paper}"
    count = effective.routes.removeprefix(EFFECTIVE_PATHS).partition(",")[0]
    kept = ", the down-sampling ones always among them," if effective.keeps_downsampling else ""
    modules = f"exactly {count} of its {counted(effective.n_modules, 'module')}{kept}"
    text = _text_on_equality(full.network, modules)
    ways = {way: rows for way in _WAYS if len(rows := effective.at_test_time(way))}
    if not ways:
        return not_measured(text, paper, _TABLE, CHAPTER)
    better = min(ways, key=lambda way: float(ways[way]["error_rate"].mean()))
    # What seeds do is known of networks that were tested as their method tests.
    is_usual = bool(ways[better]["is_as_trained"].all())
    tested = replace(effective, rows=ways[better], neighbours=effective.neighbours if is_usual else ())
    difference = _difference(tested, full)
    verdict, why = of_equal_errors(difference.row)
    found = _found({f"Effective paths, {better},": tested, "all modules": full}, difference)
    others = [way for way in (*_WAYS, *(f"{way}, re-estimated" for way in _WAYS)) if way != better]
    beside = [f"{way} {errors_text(rows)}" for way in others if len(rows := effective.at_test_time(way))]
    if beside:
        found = (
            f"{found} Tested otherwise: {'; '.join(beside)} (re-estimated: statistics of normalisation anew)."
        )
    settings = f"{_on_training_errors(effective, full)}{_on_trainings(tested, full)}"
    return _compared(text, paper, found, (verdict, why), settings, (tested, full), he.EPOCHS)


def claim_stochastic_training(full: TrainedGroup | None, stochastic: TrainedGroup | None) -> Claim:
    """Judge: training with stochastic depth gives a lower error (Huang et al.)."""
    network = "a residual network" if full is None else full.network
    text = f"Trained with stochastic depth, {network} has a lower test error than trained on all modules: {_BELOW}."
    paper = huang.BETTER.said_by
    if full is None or stochastic is None:
        return not_measured(text, paper, _TABLE, CHAPTER)
    difference = _difference(stochastic, full)
    verdict, why = of_lower(difference.row)
    found = _found({"Stochastic depth": stochastic, "all modules": full}, difference)
    beside = f"{_on_training_errors(stochastic, full)}{_on_trainings(stochastic, full)}"
    return _compared(text, paper, found, (verdict, why), beside, (stochastic, full), huang.EPOCHS)


def claim_degradation(shallow: TrainedGroup | None, deep: TrainedGroup | None) -> Claim:
    """Judge: the deeper plain network errs more, in training too (He et al., Fig. 6)."""
    text = (
        f"Degradation: plain-{_DEEP} has a higher error than plain-{_SHALLOW}, on the test images and on the "
        "training images (last epoch): both intervals of the difference lie above 0. (In kind: one does, and the "
        "other not below.)"
    )
    paper = he.DEGRADATION.said_by
    if shallow is None or deep is None:
        return not_measured(text, paper, _TABLE, CHAPTER)
    columns = {"test": "error_rate", "training": "train_error_rate"}
    differences = {
        name: difference
        for name, column in columns.items()
        if (difference := _difference_in(deep, shallow, column)) is not None
    }
    found = "; ".join(
        f"{name}: plain-{_DEEP} {errors_text(deep.rows, columns[name])}, plain-{_SHALLOW} "
        f"{errors_text(shallow.rows, columns[name])}, {_interval_text(difference)}"
        for name, difference in differences.items()
    )
    found = f"{found[0].upper()}{found[1:]}; {n_images_text(deep.rows)} for the test."
    if len(differences) < len(columns):
        return Claim(text, paper, found, "not decided", "There is no training error.", CHAPTER)
    lows, highs = ([getattr(each.interval, end) for each in differences.values()] for end in ("low", "high"))
    verdict, why = of_all_or_some(
        pd.Series(lows) > 0, pd.Series(highs) < 0, what="differences are surely above 0"
    )
    beside = _on_trainings(deep, shallow)
    return _compared(text, paper, found, (verdict, why), beside, (deep, shallow), he.EPOCHS)


def claim_deeper_residual(shallow: TrainedGroup | None, deep: TrainedGroup | None) -> Claim:
    """Judge: the deeper residual network errs less (He et al., Fig. 6)."""
    text = f"ResNet-{_DEEP} has a lower test error than ResNet-{_SHALLOW}: {_BELOW}."
    paper = he.DEEPER_IS_BETTER.said_by
    return _lower(text, paper, {f"ResNet-{_DEEP}": deep, f"ResNet-{_SHALLOW}": shallow})


def claim_residual_beats_plain(plain: TrainedGroup | None, residual: TrainedGroup | None) -> Claim:
    """Judge: a deep residual network errs less than a plain one as deep (He et al., Fig. 6)."""
    text = f"ResNet-{_DEEP} has a lower test error than plain-{_DEEP}: {_BELOW}."
    paper = he.SKIPS_HELP.said_by
    return _lower(text, paper, {f"ResNet-{_DEEP}": residual, f"plain-{_DEEP}": plain})


def _text_on_equality(network: str, modules: str) -> str:
    return (
        f"Trained on effective paths only, {modules} in each batch, and tested with all of them, branches scaled or "
        f"unscaled, whichever errs less, {network} errs as when trained on all modules: the 95 % interval of the "
        f"difference, effective paths minus all modules, contains 0 and lies within ±{threshold(EQUAL)}. (In kind: it "
        f"lies within that without 0, or wholly below 0. It does not agree if it lies wholly above {threshold(EQUAL)}; "
        "anything else decides nothing.)"
    )


def _lower(text: str, paper: str, networks: Mapping[str, TrainedGroup | None]) -> Claim:
    """Judge that the first of two networks has the lower test error."""
    trained = {name: group for name, group in networks.items() if group is not None}
    if len(trained) < 2:
        return not_measured(text, paper, _TABLE, CHAPTER)
    first, second = trained.values()
    difference = _difference(first, second)
    found = _found(trained, difference)
    beside = _on_trainings(first, second)
    return _compared(text, paper, found, of_lower(difference.row), beside, (first, second), he.EPOCHS)


def _difference(first: TrainedGroup, second: TrainedGroup) -> Difference:
    difference = _difference_in(first, second, "error_rate")
    assert difference is not None, "every group has an error"
    return difference


def _difference_in(first: TrainedGroup, second: TrainedGroup, column: str) -> Difference | None:
    return difference_of_trainings(first.rows, second.rows, column=column, others=first.neighbours)


def _found(networks: Mapping[str, TrainedGroup], difference: Difference) -> str:
    errors = ", ".join(f"{name} {errors_text(group.rows)}" for name, group in networks.items())
    every = pd.concat([group.rows for group in networks.values()])
    return f"{errors}; {_interval_text(difference)}; {n_images_text(every)}."


def _interval_text(difference: Difference) -> str:
    return f"difference {points_with_interval(difference.row, digits=2)}; {difference.how}"


def _on_trainings(first: TrainedGroup, second: TrainedGroup) -> str:
    """Say what a comparison of these two trainings leaves open: the chance of one each, and other settings."""
    unknown = (
        "" if _difference(first, second).knows_seeds else ": how much trainings differ is not in the interval"
    )
    once = f" One training each{unknown}." if len(first.rows) == len(second.rows) == 1 else ""
    return f"{once}{_on_recipes(first, second)}"


def _compared(
    text: str,
    paper: str,
    found: str,
    judged: tuple[Verdict, str],
    beside: str,
    trained: Sequence[TrainedGroup],
    epochs: Number,
) -> Claim:
    """Make a claim of a verdict, if the trainings are as long as the paper's; `beside`: what else is to be known."""
    ours = [float(number) for group in trained for number in group.rows["epochs"] if number > 0]
    verdict, why = compared(*judged, ours, epochs)
    is_long = bool(ours) and is_as_long(ours, epochs)
    return Claim(text, paper, found, verdict, f"{why}{beside}", CHAPTER, is_as_long=is_long)


def _on_training_errors(part: TrainedGroup, full: TrainedGroup) -> str:
    """Say how well both learnt the images that they were trained on."""
    return "".join(
        f" {words.format(*(fine_percent(error) for error in errors))}"
        for column, words in _FITS.items()
        if (errors := [_mean_of(group, column) for group in (part, full)])
        and not any(map(math.isnan, errors))
    )


def _mean_of(group: TrainedGroup, column: str) -> float:
    return float(group.rows[column].mean()) if column in group.rows else math.nan


_FITS = {
    "train_error_rate": "In the last epoch of training it errs in {}, on the modules of each batch; all modules err in "
    "{}.",
    "fit_error_rate": "Of training images as they are, tested with all modules as its method tests, it errs in {}; the "
    "network trained on all modules in {}.",
}


def _on_recipes(first: TrainedGroup, second: TrainedGroup) -> str:
    """Name the settings in which two recipes differ, beside the routes."""
    chosen = [(words, first.chosen(column), second.chosen(column)) for column, words in RECIPE.items()]
    different = [f"{words} ({a} and {b})" for words, a, b in chosen if a and b and a != b]
    return f" Their recipes differ in {listed(different)}." if different else ""


def judge(run: Run) -> list[Claim]:
    """Judge what several trainings say, where the run compared any."""
    if run.trained_networks is None:
        return []
    groups = groups_of(run)
    nothing: list[tuple[None, None]] = [(None, None)]
    effective = pairs_of(groups, EFFECTIVE_PATHS) or nothing
    stochastic = pairs_of(groups, STOCHASTIC_DEPTH) or nothing
    plain, residual = (
        [group_of(groups, f"{family}{depth}") for depth in COMPARED_DEPTHS] for family in (PLAIN, RESIDUAL)
    )
    papers, own = ([pair for pair in effective if _is_papers(pair[1]) is wanted] for wanted in (True, False))
    judged = [
        *(
            (
                VEIT,
                _EFFECTIVE,
                _with_prediction(claim_effective_training(*pair), pair[1], run.whole_trainings),
            )
            for pair in papers
        ),
        *(
            (OWN, f"{_EFFECTIVE}, {listed(_differences(pair[1]))}", claim_effective_training(*pair))
            for pair in own
        ),
        *(
            (HUANG, "Stochastic depth lowers the error", claim_stochastic_training(*pair))
            for pair in stochastic
        ),
        (HE, "Deeper plain networks err more", claim_degradation(*plain)),
        (HE, "Deeper residual networks err less", claim_deeper_residual(*residual)),
        (HE, "Skips lower the error", claim_residual_beats_plain(plain[1], residual[1])),
    ]
    rows = (f"{TABLES_DIRECTORY}/{TRAINED_NETWORKS}.csv",)
    return [replace(claim, rows=rows, source=source, short=short) for source, short, claim in judged]


def _with_prediction(claim: Claim, effective: TrainedGroup | None, whole_trainings: Table | None) -> Claim:
    """Add what is predicted of trainings as long as the paper's, where whole trainings of several lengths say it."""
    if effective is None or whole_trainings is None:
        return claim
    epochs = he.EPOCHS.count
    longer = on_longer_trainings(whole_trainings, effective.zoo_name, effective.routes, epochs)
    return replace(claim, why=f"{claim.why}{longer}")


def _differences(effective: TrainedGroup | None) -> list[str]:
    """Say in what a network that was trained on effective paths differs from the paper's."""
    if effective is None:
        return []
    differences = {
        f"{effective.n_modules} modules": effective.n_modules != veit.N_MODULES.count,
        "down-sampling modules kept": effective.keeps_downsampling,
        "warm start": bool(effective.start),
    }
    return [words for words, is_so in differences.items() if is_so]


def _is_papers(effective: TrainedGroup | None) -> bool:
    """Tell whether the paper's claim is about such a network; of other trainings it is asked by this project."""
    return not _differences(effective)
