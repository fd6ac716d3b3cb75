"""Claims of the paper about paths, which are settled by arithmetic alone and say nothing of a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from unravelnet.papers import veit
from unravelnet.paths import effective_lengths, path_counts, share_within, surviving_share
from unravelnet.readers.spectrum import Spectrum
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.gradients.findings import contributions_of, study_of_norms
from unravelnet.reporting.words.claim import Claim, with_rows
from unravelnet.reporting.words.verdict import Verdict
from unravelnet.wording import counted, percent

_SURVIVAL = "Deletions leave many effective paths"


def claim_path_lengths(n_modules: int) -> Claim:
    """Judge: most paths are of medium length (Fig. 6a). Exact, so never undecided."""
    low, high = (round(length / veit.N_MODULES.count * n_modules) for length in veit.USUAL_LENGTHS)
    modules = counted(n_modules, "module")
    text = f"More than {veit.USUAL_SHARE.text} of the paths enter {low} to {high} of the {modules}."
    paper = veit.PATH_LENGTHS.said
    share, shortest = share_within(n_modules, low, high), effective_lengths(path_counts(n_modules))
    found = (
        f"Computed exactly: {percent(share)}. The shortest range with 95 % is {shortest[0]} to {shortest[1]}."
    )
    verdict: Verdict = "agrees" if share > veit.USUAL_SHARE.share else "does not agree"
    why = "A property of the binomial distribution, not of the trained network."
    return Claim(text, paper, found, verdict, why, "path-lengths", is_computed=True)


def claim_effective_share() -> Claim:
    """Judge: the effective lengths hold 0.45 % of the paths (section 5). Exact, for the paper's 54 modules."""
    low, high = veit.EFFECTIVE_LENGTHS
    text = (
        f"Paths of the effective lengths, {low} to {high}, are {veit.EFFECTIVE_SHARE.text} of all paths of "
        f"{veit.N_MODULES.text}."
    )
    paper = veit.EFFECTIVE_PATHS.said
    share = percent(share_within(veit.N_MODULES.count, low, high))
    verdict: Verdict = "agrees" if share == veit.EFFECTIVE_SHARE.text else "does not agree"
    why = "A property of the binomial distribution; that these lengths carry the gradient is another claim."
    return Claim(text, paper, f"Computed exactly: {share}.", verdict, why, "path-lengths", is_computed=True)


def claim_sampled_share() -> Claim:
    """Judge: training on 23 modules a batch trains effective paths (section 5). Exact."""
    low, high = veit.EFFECTIVE_LENGTHS
    text = (
        f"Of the paths of {veit.N_SAMPLED.text}, {veit.SAMPLED_SHARE.text} are of the effective lengths, {low} to "
        f"{high}."
    )
    share = percent(share_within(veit.N_SAMPLED.count, low, high))
    verdict: Verdict = "agrees" if share == veit.SAMPLED_SHARE.text else "does not agree"
    why = "A property of the binomial distribution, not of the trained network."
    paper = veit.SAMPLED_PATHS.said
    return Claim(text, paper, f"Computed exactly: {share}.", verdict, why, "path-lengths", is_computed=True)


def claim_path_survival(
    n_modules: int, spectrum: Spectrum | None = None, *, network: str = "the residual network"
) -> Claim:
    """Judge: many of the effective paths survive the deletion of 10 modules (Fig. 7). Exact for 54 modules.

    `spectrum`: the gradient of a network by path length, complete, by the paper's measure; what deletion leaves of it
    is told, not judged.
    """
    low, high = veit.EFFECTIVE_LENGTHS
    text = (
        f"After deleting {veit.FEW_DELETED.count} of {veit.N_MODULES.text} many paths of the effective lengths {low} "
        f"to {high} are left: more than half of each length. (In kind: of the shortest more than a quarter, and less "
        "the longer they are.)"
    )
    paper = veit.SURVIVAL.said
    if n_modules != veit.N_MODULES.count:
        why = f"The lengths are those of {veit.N_MODULES.count} modules; this network has {n_modules}."
        return Claim(text, paper, "Not computed.", "not measured", why, "path-survival", is_computed=True)
    shares = [surviving_share(n_modules, veit.FEW_DELETED.count, length) for length in range(low, high + 1)]
    middle = (low + high) // 2
    found = (
        f"Computed exactly: {percent(shares[0])} at length {low}, {percent(shares[middle - low])} at "
        f"{middle}, {percent(shares[-1])} at {high}."
    )
    if spectrum is not None:
        found += (
            f" Of the gradient of {network}, number of paths × their mean norm as measured, "
            f"{percent(spectrum.left_after(veit.FEW_DELETED.count))} is on paths that are left."
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


def _about_survival(run: Run, n_modules: int) -> Claim:
    """Settle which paths survive, and tell it of the gradient of the first network whose gradient is known."""
    for network in run.of_role("resnet"):
        spectrum = contributions_of(network)
        if spectrum is not None and network.n_modules == n_modules:
            claim = claim_path_survival(n_modules, spectrum, network=network.title)
            return with_rows(claim, (network, study_of_norms(network)), short=_SURVIVAL)
    return replace(claim_path_survival(n_modules), short=_SURVIVAL)


def judge(run: Run) -> list[Claim]:
    """Settle which lengths paths have, and which of them survive."""
    return [
        replace(claim_path_lengths(run.depth), short="Most paths are of medium length"),
        replace(claim_effective_share(), short=f"Effective paths are {veit.EFFECTIVE_SHARE.text} of all"),
        replace(claim_sampled_share(), short=f"Batches of {veit.N_SAMPLED.text} have effective paths"),
        _about_survival(run, run.depth),
    ]
