"""Claims of which the sample is trainings: seeds, and pairs of networks that were trained in two ways.

Veit, Wilber and Belongie (2016) lesion one network of one depth, and measure the gradient of one; whether another seed
or depth does the same is asked here.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unravelnet.mathematics.comparisons import difference_of_trainings, mean_interval_of
from unravelnet.papers import veit
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.topics.across.groups import EACH, LesionedGroup, lesioned_groups, pairs_of_trainings
from unravelnet.reporting.topics.gradients.claims import ALMOST_ALL
from unravelnet.reporting.topics.gradients.findings import EXACT, EXACT_MEASURE
from unravelnet.reporting.words.claim import OWN, Claim, with_rows
from unravelnet.reporting.words.sentences import (
    listed,
    percent,
    percent_with_interval,
    points,
    points_with_interval,
    threshold,
)
from unravelnet.reporting.words.verdict import NOTICEABLE, SMALL, Verdict, of_all_or_some
from unravelnet.wording import counted

CHAPTER = "every-training"
_SHORT_PATHS = "The gradient comes from short paths, whatever the seed and the depth"
_ALMOST_ALL = f"{100 * ALMOST_ALL:g} %"
_ONE_NETWORK = f"Of one network of {veit.N_MODULES.text}, trained once."


def claim_usual_modules(groups: Sequence[LesionedGroup]) -> Claim:
    """Judge: deleting one module that keeps the shape changes little, with the seeds of a network as the sample."""
    text = (
        "Deleting one module that does not down-sample raises the error by less than "
        f"{threshold(SMALL)} in the median of the modules, whatever the seed and the depth: in every network that was "
        "trained on all modules with several seeds the 95 % interval of the mean over seeds lies below it. (In kind: "
        f"below {threshold(NOTICEABLE)}.)"
    )
    paper = f"{veit.SINGLE_DELETIONS.said} {_ONE_NETWORK}"
    means = _means_over_seeds(groups, "median")
    found = _found(groups, "median", means)
    verdict, why = _of_means(means)
    return Claim(text, paper, found, verdict, why, CHAPTER)


def claim_peaks(groups: Sequence[LesionedGroup]) -> Claim:
    """Judge: down-sampling modules matter more, with the seeds of a network as the sample."""
    text = (
        "Deleting a down-sampling module, in their mean, raises the error more than deleting a usual one, in their "
        "median, whatever the seed and the depth: in every network that was trained on all modules with several seeds "
        "the 95 % interval of the mean difference over seeds lies above 0. (In kind: in some, and in none below 0.)"
    )
    paper = f"{veit.PEAKS.said} {_ONE_NETWORK}"
    means = _means_over_seeds(groups, "excess")
    found = _found(groups, "excess", means)
    verdict, why = of_all_or_some(
        means["low"] > 0, means["high"] < 0, what="networks surely lose more by a down-sampling module"
    )
    return Claim(text, paper, found, verdict, why, CHAPTER)


def claim_random_routes(
    pairs: Sequence[tuple[LesionedGroup, LesionedGroup]],
) -> Claim | None:
    """Judge: networks that were trained on random routes lose less by a module; trainings are the sample.

    None where no pair was trained with several seeds.
    """
    text = (
        "Trained on random routes, a network loses less by the deletion of one module: the 95 % interval of the "
        "difference of the median rises, random routes minus all modules, with seeds as the sample, lies below 0 in "
        "every pair of networks that were both trained with several. (In kind: in some, and in none above 0.)"
    )
    paper = (
        f"{veit.MORE_RESILIENT.said} Of networks trained with stochastic depth, once each; that it holds for the "
        "training on effective paths is not said."
    )
    if not any(min(len(group.networks) for group in pair) > 1 for pair in pairs):
        return None
    told, differences = [], []
    for full, part in pairs:
        rises = [_rises(group, "median") for group in (part, full)]
        text_of_pair = f"{part.title} {_each_text(rises[0])} against {_each_text(rises[1])}"
        difference = difference_of_trainings(*rises, column="rise")
        if min(map(len, rises)) < 2 or difference is None:
            told.append(f"{text_of_pair}, {_how_often(full, part)}, so this pair is not judged")
            continue
        differences.append(difference.row)
        told.append(f"{text_of_pair}, difference {points_with_interval(difference.row)} ({difference.how})")
    rows = pd.DataFrame(differences)
    verdict, why = of_all_or_some(
        rows["high"] < 0, rows["low"] > 0, what="pairs surely lose less with random routes"
    )
    return Claim(text, paper, f"Points in the median: {'; '.join(told)}.", verdict, why, CHAPTER)


def claim_short_paths(groups: Sequence[LesionedGroup]) -> Claim:
    """Judge: the gradient comes from short paths by the exact sums, with the seeds of a network as the sample."""
    text = (
        f"Almost all of the gradient, at least {_ALMOST_ALL} by {EXACT_MEASURE}, comes from short paths, whatever the "
        "seed and the depth. Short paths are shorter than the mean of all, half of the modules. In every network that "
        "was trained on all modules with several seeds, the 95 % interval of the mean over seeds lies at or above "
        f"{_ALMOST_ALL}. (In kind: in some, and in none below it.)"
    )
    paper = f"{veit.GRADIENT_IS_SHORT.said} {_ONE_NETWORK} Exact sums were not measured."
    shares = [[float(one.held_by_short_paths["value"]) for one in group.spectra] for group in groups]
    means = pd.DataFrame([mean_interval_of(pd.Series(held)).clip(0, 1) for held in shares])
    parts = [
        f"{group.title}, {counted(group.n_modules, 'module')}: {percent_with_interval(row)} in the mean of "
        f"{counted(len(held), 'training')} ({listed(list(map(percent, held)))})"
        for group, held, (_, row) in zip(groups, shares, means.iterrows(), strict=True)
    ]
    found = (
        f"On paths shorter than half of the modules: {'; '.join(parts)}; intervals with the seeds as the sample "
        "(Student's t)."
    )
    verdict, why = of_all_or_some(
        means["low"] >= ALMOST_ALL,
        means["high"] < ALMOST_ALL,
        what=f"networks surely have {_ALMOST_ALL} of it on such paths",
    )
    return Claim(text, paper, found, verdict, why, CHAPTER)


def _how_often(*groups: LesionedGroup) -> str:
    """Say how often networks were trained, where one of them was trained once."""
    numbers = {len(group.networks) for group in groups}
    return "each trained once" if numbers == {1} else "one of them trained once"


def _means_over_seeds(groups: Sequence[LesionedGroup], name: str) -> pd.DataFrame:
    return pd.DataFrame([mean_interval_of(_rises(group, name)["rise"]) for group in groups])


def _rises(group: LesionedGroup, name: str) -> pd.DataFrame:
    return group.rises(lambda lesions: float(getattr(lesions, name)))


def _found(groups: Sequence[LesionedGroup], name: str, means: pd.DataFrame) -> str:
    """Write the mean of each network with its interval, and each of its trainings."""
    parts = [
        f"{group.title}, {counted(group.n_modules, 'module')}: {points_with_interval(row)} in the mean of "
        f"{counted(len(group.networks), 'training')} ({_each_text(_rises(group, name))})"
        for group, (_, row) in zip(groups, means.iterrows(), strict=True)
    ]
    return f"{'; '.join(parts)}; intervals with the seeds as the sample (Student's t)."


def _each_text(rises: pd.DataFrame) -> str:
    return listed([points(rise) for rise in rises["rise"]])


def _of_means(means: pd.DataFrame) -> tuple[Verdict, str]:
    counts = (
        f"Of {counted(len(means), 'network')}, {(means['high'] < SMALL).sum()} surely lose less than "
        f"{threshold(SMALL)}, {(means['high'] < NOTICEABLE).sum()} less than {threshold(NOTICEABLE)}, and "
        f"{(means['low'] > NOTICEABLE).sum()} more than that."
    )
    if (means["high"] < SMALL).all():
        return "agrees", counts
    if (means["high"] < NOTICEABLE).all():
        return "agrees in kind", counts
    return ("does not agree" if (means["low"] > NOTICEABLE).any() else "not decided"), counts


def judge(run: Run) -> list[Claim]:
    """Judge what several trainings say of single lesions and of the gradient, where the run has any."""
    groups = lesioned_groups(run)
    seeds = [group for group in groups if group.is_trained_on_all and len(group.networks) > 1]
    pairs = pairs_of_trainings(groups)
    judged = []
    if seeds:
        usual, peaks = claim_usual_modules(seeds), claim_peaks(seeds)
        judged += [
            _with_rows(usual, seeds, EACH, short="Deleting one module changes little, whatever the seed"),
            _with_rows(peaks, seeds, EACH, short="Down-sampling modules matter more, whatever the seed"),
        ]
    if claim := claim_random_routes(pairs):
        both = [group for group in groups if any(group is one for pair in pairs for one in pair)]
        judged.append(_with_rows(claim, both, EACH, short="Random routes make deletions cost less"))
    if summed := [group for group in seeds if len(group.spectra) > 1]:
        judged.append(_with_rows(claim_short_paths(summed), summed, EXACT, short=_SHORT_PATHS))
    return judged


def _with_rows(claim: Claim, groups: Sequence[LesionedGroup], study: str, *, short: str) -> Claim:
    tables = [(network, study) for group in groups for network in _networks_with(study, group)]
    return with_rows(claim, *tables, short=short, source=OWN)


def _networks_with(study: str, group: LesionedGroup) -> Sequence[StudiedNetwork]:
    return group.with_spectrum if study == EXACT else group.networks
