"""The claims of the paper applied to a run: the table that the report opens with."""

from __future__ import annotations

from collections import Counter

from unravelnet.reporting import claims, gradient_claims
from unravelnet.reporting.chapters import base_of, depth_of
from unravelnet.reporting.claims import Claim
from unravelnet.reporting.contents import Run, StudiedNetwork
from unravelnet.reporting.gradient_findings import EXACT, path_norms
from unravelnet.reporting.path_claims import claim_path_lengths, claim_path_survival
from unravelnet.reporting.sentences import counted, listed
from unravelnet.reporting.verdicts import VERDICTS


def all_claims(run: Run) -> list[Claim]:
    """Judge every claim for every network of the role that it is about, in the order of the chapters."""
    residual, plain = run.of_role("resnet"), run.of_role("vgg")
    n_modules = depth_of(run)
    return [
        *(_about_error(network) for network in residual),
        *(claim for network in residual for claim in _about_deletions(network)),
        *(_about_plain(network) for network in plain),
        *(_about_stochastic_depth(run, network) for network in run.of_role("stochastic-depth")),
        *(claim for network in residual for claim in _about_many(network)),
        claim_path_lengths(n_modules),
        claim_path_survival(n_modules),
        *(_about_skips(network) for network in residual),
        *(claim for network in residual for claim in _about_gradients(run, network)),
    ]


def tally(judged: list[Claim]) -> str:
    """Count the verdicts in a sentence.

    >>> tally([])
    'No claim could be judged.'
    """
    numbers = Counter(claim.verdict for claim in judged)
    parts = [
        f"{numbers[verdict]} {_verb(verdict, numbers[verdict])}" for verdict in VERDICTS if numbers[verdict]
    ]
    if not parts:
        return "No claim could be judged."
    return f"Of {counted(len(judged), 'claim')}, {listed(parts)}."


def _verb(verdict: str, number: int) -> str:
    if number == 1:
        return {"not decided": "is not decided"}.get(verdict, verdict)
    plural = {"agrees": "agree", "agrees in kind": "agree in kind", "does not agree": "do not agree"}
    return plural.get(verdict, "are not decided")


def _about_error(network: StudiedNetwork) -> Claim:
    table = network.tables.get("delete_each")
    return claims.claim_error(table, network=network.title, n_modules=network.n_modules)


def _about_deletions(network: StudiedNetwork) -> list[Claim]:
    table, down = network.tables.get("delete_each"), network.downsampling
    return [
        claims.claim_single_deletions(
            table, downsampling=down, n_classes=network.n_classes, network=network.title
        ),
        claims.claim_downsampling_peaks(table, downsampling=down, network=network.title),
    ]


def _about_plain(network: StudiedNetwork) -> Claim:
    table = network.tables.get("delete_each")
    return claims.claim_plain_collapses(table, n_classes=network.n_classes, network=network.title)


def _about_stochastic_depth(run: Run, network: StudiedNetwork) -> Claim:
    base = base_of(run, network)
    return claims.claim_stochastic_depth(
        None if base is None else base.tables.get("delete_each"),
        network.tables.get("delete_each"),
        downsampling=network.downsampling,
    )


def _about_many(network: StudiedNetwork) -> list[Claim]:
    many, n_classes, title = network.tables.get("delete_many"), network.n_classes, network.title
    return [
        claims.claim_delete_many(many, n_classes=n_classes, network=title),
        claims.claim_many_left(many, n_modules=network.n_modules, n_classes=n_classes, network=title),
        claims.claim_reorder(network.tables.get("reorder"), n_classes=n_classes, network=title),
    ]


def _about_skips(network: StudiedNetwork) -> Claim:
    return claims.claim_remove_skip(
        network.tables.get("remove_skip_each"),
        network.tables.get("delete_each"),
        n_classes=network.n_classes,
        network=network.title,
    )


def _about_gradients(run: Run, network: StudiedNetwork) -> list[Claim]:
    """Judge the claims of those studies that any network of the run has: they are asked for one by one."""
    tables, title, n_modules = network.tables, network.title, network.n_modules
    judged = []
    if any(path_norms(other) is not None for other in run.networks):
        norms = path_norms(network)
        judged += [
            gradient_claims.claim_decay(norms, network=title),
            gradient_claims.claim_effective_lengths(norms, n_modules=n_modules, network=title),
        ]
    if run.with_table(EXACT):
        exact = tables.get(EXACT)
        judged.append(gradient_claims.claim_exact_lengths(exact, n_modules=n_modules, network=title))
    for study, judge in (
        ("over_training", gradient_claims.claim_deepening),
        ("effective_depths", gradient_claims.claim_over_deepened),
        ("ensemble", gradient_claims.claim_ensemble),
    ):
        if run.with_table(study):
            judged.append(judge(tables.get(study), network=title))
    return judged
