"""Claims of the paper about paths, which are settled by arithmetic alone and say nothing of a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from unravelnet.figures.path import PAPER_EFFECTIVE_LENGTHS, PAPER_N_MODULES
from unravelnet.figures.spectrum import Spectrum
from unravelnet.paths import effective_lengths, path_counts, share_within, surviving_share
from unravelnet.reporting.claims import Claim
from unravelnet.reporting.sentences import percent
from unravelnet.reporting.verdicts import Verdict

_PAPER_SHARE = "0.45 %"


def claim_path_lengths(n_modules: int) -> Claim:
    """Judge: most paths are of medium length (Fig. 6a). Exact, so never undecided."""
    low, high = round(19 / 54 * n_modules), round(35 / 54 * n_modules)
    text = f"More than 95 % of the paths enter {low} to {high} of the {n_modules} modules."
    paper = "More than 95 % of the paths of 54 modules enter 19 to 35 (Fig. 6a)."
    share, shortest = share_within(n_modules, low, high), effective_lengths(path_counts(n_modules))
    found = (
        f"Computed exactly: {percent(share)}. The shortest range with 95 % is {shortest[0]} to {shortest[1]}."
    )
    verdict: Verdict = "agrees" if share > 0.95 else "does not agree"
    why = "A property of the binomial distribution, not of the trained network."
    return Claim(text, paper, found, verdict, why, "path-lengths", is_computed=True)


def claim_effective_share() -> Claim:
    """Judge: the effective lengths hold 0.45 % of the paths (section 5). Exact, for the paper's 54 modules."""
    low, high = PAPER_EFFECTIVE_LENGTHS
    text = (
        f"Paths of the effective lengths, {low} to {high}, are {_PAPER_SHARE} of all paths of {PAPER_N_MODULES} "
        "modules."
    )
    paper = f"{low} to {high} modules, {_PAPER_SHARE} of the paths (section 5)."
    share = percent(share_within(PAPER_N_MODULES, low, high))
    verdict: Verdict = "agrees" if share == _PAPER_SHARE else "does not agree"
    why = "A property of the binomial distribution; that these lengths carry the gradient is another claim."
    return Claim(text, paper, f"Computed exactly: {share}.", verdict, why, "path-lengths", is_computed=True)


def claim_path_survival(
    n_modules: int, spectrum: Spectrum | None = None, *, network: str = "the residual network"
) -> Claim:
    """Judge: many of the effective paths survive the deletion of 10 modules (Fig. 7). Exact for 54 modules.

    `spectrum`: the gradient of a network by path length, complete, by the paper's measure; what deletion leaves of it
    is told, not judged.
    """
    low, high = PAPER_EFFECTIVE_LENGTHS
    text = (
        f"After deleting 10 of 54 modules many paths of the effective lengths {low} to {high} are left: more "
        "than half of each length. (In kind: of the shortest more than a quarter, and less the longer they "
        "are.)"
    )
    paper = "Many of the effective paths are still valid (section 6, Fig. 7)."
    if n_modules != PAPER_N_MODULES:
        why = f"The lengths are those of {PAPER_N_MODULES} modules; this network has {n_modules}."
        return Claim(text, paper, "Not computed.", "not measured", why, "path-survival", is_computed=True)
    shares = [surviving_share(n_modules, 10, length) for length in range(low, high + 1)]
    middle = (low + high) // 2
    found = (
        f"Computed exactly: {percent(shares[0])} at length {low}, {percent(shares[middle - low])} at "
        f"{middle}, {percent(shares[-1])} at {high}."
    )
    if spectrum is not None:
        found += (
            f" Of the gradient of {network}, number of paths × their mean norm as measured, "
            f"{percent(spectrum.left_after(10))} is on paths that are left."
        )
    verdict, why = _of_survival(shares)
    return Claim(text, paper, found, verdict, why, "path-survival", is_computed=True)


def _of_survival(shares: Sequence[float]) -> tuple[Verdict, str]:
    if min(shares) > 0.5:
        return "agrees", "More than half of each length is left."
    if shares[0] > 0.25 and all(after < before for before, after in pairwise(shares)):
        why = "Deletion removes the longer paths first, but of no effective length more than half is left."
        return "agrees in kind", why
    return "does not agree", "Few effective paths are left."
