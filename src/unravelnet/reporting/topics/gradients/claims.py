"""Claims about the gradient by path length.

Source: Veit, Wilber and Belongie (2016), Fig. 6. Thresholds are part of the claim's text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from unravelnet.errors import EvaluationError
from unravelnet.mathematics.decay import Decay, fit_decay
from unravelnet.papers import veit
from unravelnet.paths import share_within
from unravelnet.readers.rows import n_images_text, ordered, unit_of
from unravelnet.readers.spectrum import (
    PATH_NORM,
    PLACES,
    Spectrum,
    contributions,
    decay_of,
    fact,
    sample_text,
    vector_sums,
)
from unravelnet.records.record import Table
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.gradients.findings import (
    EXACT,
    EXACT_MEASURE,
    SAMPLED,
    decay_with_interval,
    path_norms,
    range_text,
    study_of_norms,
)
from unravelnet.reporting.topics.gradients.shape import SHAPE, changes_surely, on_curvature, on_shape
from unravelnet.reporting.words.claim import OWN, Claim, not_measured, with_rows
from unravelnet.reporting.words.sentences import listed, number, percent_with_interval
from unravelnet.reporting.words.verdict import Verdict
from unravelnet.wording import counted, percent

ALMOST_ALL = 0.95
"""A share of the gradient of this much is almost all of it."""


NOTHING = 0.01
"""A share of the gradient below this much is nothing noticeable."""
STRAIGHT, NEARLY_STRAIGHT = 0.95, 0.80
"""Shares of the variance of log norms (R²) from which a decay is exponential, and is so in kind."""


EVEN = 1.25
"""Factors of an exponential decay differ by at most so much between the thirds of the lengths."""

_LEAST_LENGTHS = 6


_GRADIENT = "path-gradients"
_EXACT = "Short paths carry it, summed exactly"


def claim_decay(table: Table | None, *, network: str = "the residual network") -> Claim:
    """Judge: the gradient norm on a path decays about exponentially with its length (Fig. 6b)."""
    text = (
        f"In {network} the norm of the gradient on a path decays about exponentially with its length: a falling "
        f"straight line explains at least {100 * STRAIGHT:g} % of the variance of the logarithm of the mean norm "
        f"(R²), the factors of the three thirds of the lengths lie within {100 * (EVEN - 1):g} % of each other, and "
        "that of a fitted parabola does not surely change by more from the shortest to the longest path. (In kind: at "
        f"least {100 * NEARLY_STRAIGHT:g} %, whatever the factors.)"
    )
    paper = veit.DECAY.said
    try:
        rows = None if table is None else ordered(table, by="length", needs=[PATH_NORM], wants=SHAPE)
        fit = None if table is None else decay_of(table)
    except EvaluationError:
        rows = fit = None
    if rows is None or fit is None:
        return not_measured(text, paper, SAMPLED, _GRADIENT)
    n_lengths, thirds = int((rows[PATH_NORM] > 0).sum()), _thirds(rows)
    found = (
        f"A factor r = {decay_with_interval(fit)} with every module, R² = {fit.r_squared:.3f}; "
        f"{_on_thirds(thirds)}{on_shape(rows)}{counted(n_lengths, 'length')}, {_sample(rows)}."
    )
    if n_lengths < _LEAST_LENGTHS:
        why = f"A line through {counted(n_lengths, 'length')} says little; {_LEAST_LENGTHS} are needed."
        return Claim(text, paper, found, "not decided", why, _GRADIENT)
    verdict, why = _of_fit(fit.r_squared, falls=fit.high < 1, grows=fit.low > 1)
    rates = [third.rate for _, third in thirds]
    if verdict == "agrees" and max(rates) > EVEN * min(rates):
        verdict = "agrees in kind"
        change = 100 * (max(rates) / min(rates) - 1)
        why += f" But the factor changes by {change:.0f} %: R² is near 1 for any curve that falls so far."
    if verdict == "agrees" and changes_surely(rows, by=EVEN):
        verdict = "agrees in kind"
    return Claim(text, paper, found, verdict, f"{why}{on_curvature(rows)}", _GRADIENT)


def claim_effective_lengths(
    table: Table | None, *, n_modules: int, network: str = "the residual network"
) -> Claim:
    """Judge: almost all of the gradient comes from few and short paths, by the paper's own measure (Fig. 6c)."""
    paper = f"{veit.GRADIENT_IS_SHORT.said} {veit.EFFECTIVE_PATHS.said}"
    measure = "number of paths × their mean norm, the paper's measure"
    text = _text_on_lengths(measure, n_modules, network)
    spectrum = _spectrum(table, contributions)
    if table is None or spectrum is None:
        return not_measured(text, paper, SAMPLED, _GRADIENT)
    return _on_lengths(text, paper, spectrum, _sample(ordered(table, by="length")))


def claim_long_paths(table: Table | None, *, n_modules: int, network: str = "the residual network") -> Claim:
    """Judge: paths of more than 20 modules contribute nothing to the gradient, by the paper's measure (Fig. 6)."""
    longest = max(1, round(veit.LONGEST_NOTICEABLE.count * n_modules / veit.N_MODULES.count))
    text = (
        f"Paths of more than {longest} of {counted(n_modules, 'module')} carry less than {100 * NOTHING:g} % of the "
        f"gradient of {network}, by number of paths × their mean norm. (In kind: less than "
        f"{100 - 100 * ALMOST_ALL:g} %.)"
    )
    paper = veit.LONG_PATHS_ARE_SILENT.said
    spectrum = _spectrum(table, contributions)
    if table is None or spectrum is None:
        return not_measured(text, paper, SAMPLED, _GRADIENT)
    sample = _sample(ordered(table, by="length"))
    if not spectrum.is_complete:
        why = "The other lengths were not measured."
        return Claim(text, paper, f"{sample}.", "not decided", why, _GRADIENT)
    held = spectrum.held_by(longest + 1, n_modules)
    found = f"{percent_with_interval(held)} is on such paths; {sample}{_on_resampling(spectrum)}."
    verdict, why = _of_nothing(held)
    return Claim(text, paper, found, verdict, why, _GRADIENT)


def _of_nothing(held: pd.Series) -> tuple[Verdict, str]:
    if held["high"] < NOTHING:
        return "agrees", f"It is surely less than {100 * NOTHING:g} %."
    if held["high"] < 1 - ALMOST_ALL:
        return "agrees in kind", f"It is surely less than {100 - 100 * ALMOST_ALL:g} %."
    if held["low"] > 1 - ALMOST_ALL:
        return "does not agree", f"It is surely more than {100 - 100 * ALMOST_ALL:g} %."
    return "not decided", "The interval reaches both sides of the threshold."


def claim_exact_lengths(
    table: Table | None, *, n_modules: int, network: str = "the residual network"
) -> Claim:
    """Judge the same by the exact sums over all paths of a length, in which gradients may cancel."""
    paper = (
        "Not measured: the paper adds up norms, to which paths that cancel each other count as much as those that "
        "pull the same way."
    )
    text = _text_on_lengths(EXACT_MEASURE, n_modules, network)
    spectrum = _spectrum(table, vector_sums)
    if table is None or spectrum is None:
        return not_measured(text, paper, EXACT, _GRADIENT)
    return _on_lengths(text, paper, spectrum, n_images_text(ordered(table, by="length")))


def _spectrum(table: Table | None, read: Callable[[Table], Spectrum]) -> Spectrum | None:
    """Read a spectrum, or give None where there is nothing to read it from."""
    try:
        return None if table is None else read(table)
    except EvaluationError:
        return None


def _sample(rows: pd.DataFrame) -> str:
    """Say what the norms are of and where: the paper has those of batches, at the input."""
    parts = [sample_text(rows)]
    if fact(rows, "per", otherwise="image") == "image":
        parts.append(f"norms of single {unit_of([rows])}")
    place = PLACES.get(fact(rows, "at"))
    return ", ".join(parts) + (f" at {place}" if place else "")


def _thirds(rows: pd.DataFrame) -> list[tuple[str, Decay]]:
    """Fit the decay to each third of the lengths; none where there are too few."""
    known = rows[rows[PATH_NORM] > 0]
    if len(known) < _LEAST_LENGTHS:
        return []
    parts = [known.iloc[places] for places in np.array_split(np.arange(len(known)), 3)]
    return [
        (
            f"{int(part['length'].iloc[0])} to {int(part['length'].iloc[-1])}",
            fit_decay(part["length"].tolist(), part[PATH_NORM].tolist()),
        )
        for part in parts
    ]


def _on_thirds(thirds: Sequence[tuple[str, Decay]]) -> str:
    told = [f"{number(third.rate)} over lengths {lengths}" for lengths, third in thirds]
    return f"by thirds {listed(told)}; " if told else ""


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
    short = spectrum.held_by_short_paths
    parts = [f"{range_text(spectrum)}, most from length {spectrum.dominating_length}"]
    if of_paper is not None:
        low, high = veit.EFFECTIVE_LENGTHS
        parts.append(f"lengths {low} to {high} hold {percent_with_interval(of_paper)}")
    parts.append(f"paths shorter than {n_modules / 2:g} modules {percent_with_interval(short)}")
    found = f"{'; '.join(parts)}; {sample}{_on_resampling(spectrum)}."
    if of_paper is not None and of_paper["low"] >= ALMOST_ALL:
        return Claim(text, paper, found, "agrees", "It is surely so.", _GRADIENT)
    verdict, why = _of_short_paths(short)
    missed = _on_missed(of_paper, spectrum)
    return Claim(text, paper, found, verdict, f"{why}{missed}", _GRADIENT)


def _on_resampling(spectrum: Spectrum) -> str:
    is_drawn = spectrum.knows_images
    return f"; intervals of shares are of {spectrum.unit} drawn again (bootstrap)" if is_drawn else ""


def _on_missed(of_paper: pd.Series | None, spectrum: Spectrum) -> str:
    """Say why the lengths of the paper are not enough."""
    if of_paper is None:
        return ""
    held = percent(of_paper["value"])
    if of_paper["value"] >= ALMOST_ALL and spectrum.knows_images:
        return (
            f" The paper's lengths hold {held}, but other {spectrum.unit} may give less than "
            f"{100 * ALMOST_ALL:g} %."
        )
    if of_paper["value"] >= ALMOST_ALL:
        return (
            f" The paper's lengths hold {held}, but less than {100 * ALMOST_ALL:g} % if each length lies at the worse "
            f"end of its own interval. Lengths are of the same {spectrum.unit}, so that they may err together."
        )
    return f" The paper's lengths hold only {held}."


def _of_short_paths(short: pd.Series) -> tuple[Verdict, str]:
    if short["low"] >= ALMOST_ALL:
        return "agrees in kind", "Short paths surely carry almost all of it."
    if short["high"] < ALMOST_ALL:
        return "does not agree", "Short paths surely carry less than almost all of it."
    return "not decided", "The interval of what short paths carry reaches both sides of the threshold."


def judge(run: Run) -> list[Claim]:
    """Judge the gradients of each ordinary residual network, if any network of the run has them."""
    judged = []
    for network in run.of_role("resnet"):
        title, n_modules = network.title, network.n_modules
        if any(path_norms(other) is not None for other in run.studied):
            norms, study = path_norms(network), study_of_norms(network)
            of_norms = {
                "Gradients decay exponentially with path length": claim_decay(norms, network=title),
                "Short paths carry the gradient": claim_effective_lengths(
                    norms, n_modules=n_modules, network=title
                ),
                "Long paths carry no gradient": claim_long_paths(norms, n_modules=n_modules, network=title),
            }
            judged += [with_rows(claim, (network, study), short=short) for short, claim in of_norms.items()]
        if run.with_table(EXACT):
            claim = claim_exact_lengths(network.tables.get(EXACT), n_modules=n_modules, network=title)
            judged.append(with_rows(claim, (network, EXACT), short=_EXACT, source=OWN))
    return judged
