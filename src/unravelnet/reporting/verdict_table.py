"""The claims of the paper applied to a run: the table that the report opens with."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from unravelnet.figures.groups import EFFECTIVE_PATHS, STOCHASTIC_DEPTH, group_of, pairs_of
from unravelnet.reporting import claims, gradient_claims, training_claims
from unravelnet.reporting.chapters import base_of, claim_about_skips, depth_of
from unravelnet.reporting.claims import HE, HUANG, LITTWIN, OWN, VEIT, WU, Claim
from unravelnet.reporting.contents import COMPARED, TABLES_DIRECTORY, TRAINED_NETWORKS, Run, StudiedNetwork
from unravelnet.reporting.gradient_findings import EXACT, SAMPLED, path_norms
from unravelnet.reporting.path_claims import (
    claim_effective_share,
    claim_path_lengths,
    claim_path_survival,
)
from unravelnet.reporting.sentences import counted, listed
from unravelnet.reporting.training_chapter import RESPONSES, compared_with, groups_of
from unravelnet.reporting.training_claims import COMPARED_DEPTHS, PLAIN, RESIDUAL
from unravelnet.reporting.verdicts import VERDICTS


def all_claims(run: Run) -> list[Claim]:
    """Judge every claim for every network of the role that it is about, in the order of the chapters."""
    lesioned, plain, stochastic = (
        run.of_role(role) if run.is_about_lesions else [] for role in ("resnet", "vgg", "stochastic-depth")
    )
    return [
        *(_about_error(network) for network in lesioned),
        *(claim for network in lesioned for claim in _about_deletions(network)),
        *(_about_plain(network) for network in plain),
        *(claim for network in stochastic for claim in _about_stochastic_depth(run, network)),
        *(claim for network in lesioned for claim in _about_many(network)),
        *_about_paths(depth_of(run)),
        *(_about_skips(network) for network in lesioned),
        *(claim for network in run.of_role("resnet") for claim in _about_gradients(run, network)),
        *_about_trainings(run),
        *_about_responses(run),
    ]


def tally(judged: list[Claim]) -> str:
    """Count the verdicts, a sentence for each source of claims.

    >>> tally([])
    'No claim could be judged.'
    """
    sources = dict.fromkeys(claim.source for claim in judged)
    sentences = [_tally_of([c for c in judged if c.source == source], source) for source in sources]
    return " ".join(sentences) or "No claim could be judged."


def _tally_of(judged: list[Claim], source: str) -> str:
    numbers = Counter(claim.verdict for claim in judged)
    parts = [
        f"{numbers[verdict]} {_verb(verdict, numbers[verdict])}" for verdict in VERDICTS if numbers[verdict]
    ]
    of_source = "that this project adds" if source == OWN else f"of claims of {source}"
    return f"Of {counted(len(judged), 'test')} {of_source}, {listed(parts)}."


def _verb(verdict: str, number: int) -> str:
    if verdict.startswith("not "):
        return f"{'is' if number == 1 else 'are'} {verdict}"
    plural = {"agrees": "agree", "agrees in kind": "agree in kind", "does not agree": "do not agree"}
    return verdict if number == 1 else plural[verdict]


def _about_error(network: StudiedNetwork) -> Claim:
    table = network.tables.get("delete_each")
    claim = claims.claim_error(
        table, network=network.title, n_modules=network.n_modules, epochs=network.epochs
    )
    return _read(claim, (network, "delete_each"))


def _about_deletions(network: StudiedNetwork) -> list[Claim]:
    table, down = network.tables.get("delete_each"), network.downsampling
    judged = [
        claims.claim_single_deletions(
            table, downsampling=down, n_classes=network.n_classes, network=network.title
        ),
        claims.claim_downsampling_peaks(table, downsampling=down, network=network.title),
    ]
    return [_read(claim, (network, "delete_each")) for claim in judged]


def _about_plain(network: StudiedNetwork) -> Claim:
    table = network.tables.get("delete_each")
    claim = claims.claim_plain_collapses(table, n_classes=network.n_classes, network=network.title)
    return _read(claim, (network, "delete_each"))


def _about_stochastic_depth(run: Run, network: StudiedNetwork) -> list[Claim]:
    base = base_of(run, network)
    pair = None if base is None else base.tables.get("delete_each"), network.tables.get("delete_each")
    read = [(other, "delete_each") for other in (base, network) if other is not None]
    judged = (
        claims.claim_more_resilient(*pair, n_classes=network.n_classes),
        claims.claim_stochastic_depth(*pair, downsampling=network.downsampling),
    )
    return [_read(claim, *read) for claim in judged]


def _about_many(network: StudiedNetwork) -> list[Claim]:
    many, n_classes, title = network.tables.get("delete_many"), network.n_classes, network.title
    n_modules, orders = network.n_modules, network.tables.get("reorder")
    growth = claims.claim_delete_many(many, n_classes=n_classes, network=title)
    left = claims.claim_many_left(many, n_modules=n_modules, n_classes=n_classes, network=title)
    later = claims.claim_later_deletions(many, n_modules=n_modules, n_classes=n_classes, network=title)
    return [
        *(_read(claim, (network, "delete_many")) for claim in (growth, left, later)),
        _read(claims.claim_reorder(orders, n_classes=n_classes, network=title), (network, "reorder")),
    ]


def _about_paths(n_modules: int) -> list[Claim]:
    return [claim_path_lengths(n_modules), claim_effective_share(), claim_path_survival(n_modules)]


def _about_skips(network: StudiedNetwork) -> Claim:
    tables = ((network, "remove_skip_each"), (network, "delete_each"))
    return _read(claim_about_skips(network), *tables, source=OWN)


def _about_gradients(run: Run, network: StudiedNetwork) -> list[Claim]:
    """Judge the claims of those studies that any network of the run has: they are asked for one by one."""
    tables, title, n_modules = network.tables, network.title, network.n_modules
    judged = []
    if any(path_norms(other) is not None for other in run.studied):
        norms = path_norms(network)
        study = next(
            (name for name in (SAMPLED, EXACT) if norms is not None and tables.get(name) is norms), ""
        )
        for claim in (
            gradient_claims.claim_decay(norms, network=title),
            gradient_claims.claim_effective_lengths(norms, n_modules=n_modules, network=title),
        ):
            judged.append(_read(claim, (network, study)))
    if run.with_table(EXACT):
        claim = gradient_claims.claim_exact_lengths(tables.get(EXACT), n_modules=n_modules, network=title)
        judged.append(_read(claim, (network, EXACT), source=OWN))
    for study, judge, source in (
        ("over_training", gradient_claims.claim_deepening, LITTWIN),
        ("effective_depths", gradient_claims.claim_over_deepened, WU),
        ("ensemble", gradient_claims.claim_ensemble, OWN),
    ):
        if run.with_table(study):
            judged.append(_read(judge(tables.get(study), network=title), (network, study), source=source))
    return judged


def _about_trainings(run: Run) -> list[Claim]:
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
    judged = {
        VEIT: [
            training_claims.claim_effective_training(*pair, test_time=way)
            for pair in effective
            for way in ("unscaled", "scaled")
        ],
        HUANG: [training_claims.claim_stochastic_training(*pair) for pair in stochastic],
        HE: [
            training_claims.claim_degradation(*plain),
            training_claims.claim_deeper_residual(*residual),
            training_claims.claim_residual_beats_plain(plain[1], residual[1]),
        ],
    }
    rows = (f"{TABLES_DIRECTORY}/{TRAINED_NETWORKS}.csv",)
    return [
        replace(claim, rows=rows, source=source) for source, members in judged.items() for claim in members
    ]


def _about_responses(run: Run) -> list[Claim]:
    """Judge what the responses of He's networks say, where the run has those networks."""
    if not run.of_role(COMPARED):
        return []
    networks = compared_with(run, RESPONSES)
    tables = {key: network.tables[RESPONSES] for key, network in networks.items()}
    judged = (training_claims.claim_smaller_responses(tables), training_claims.claim_deeper_responses(tables))
    read = [(network, RESPONSES) for network in networks.values()]
    return [_read(claim, *read, source=HE) for claim in judged]


def _read(claim: Claim, *tables: tuple[StudiedNetwork, str], source: str = VEIT) -> Claim:
    """Add which tables a claim was judged from, and whose claim it is."""
    known = (
        f"{TABLES_DIRECTORY}/{network.name}/{study}.csv"
        for network, study in tables
        if study in network.tables
    )
    return replace(claim, rows=tuple(known), source=source)
