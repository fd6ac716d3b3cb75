"""The claims of the paper applied to a run: the table that the report opens with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from unravelnet.figures.groups import EFFECTIVE_PATHS, STOCHASTIC_DEPTH, TrainedGroup, group_of, pairs_of
from unravelnet.papers import he, huang, littwin, veit, wu, zagoruyko
from unravelnet.reporting import gradient_claims, lesion_claims, random_lesion_claims, training_claims
from unravelnet.reporting.chapters import base_of, depth_of
from unravelnet.reporting.claims import HE, HUANG, LITTWIN, OWN, VEIT, Claim
from unravelnet.reporting.contents import COMPARED, TABLES_DIRECTORY, TRAINED_NETWORKS, Run, StudiedNetwork
from unravelnet.reporting.gradient_findings import EXACT, SAMPLED, contributions_of, path_norms
from unravelnet.reporting.path_claims import (
    claim_effective_share,
    claim_path_lengths,
    claim_path_survival,
)
from unravelnet.reporting.protocol import compared, is_as_long
from unravelnet.reporting.sentences import fine_percent, listed
from unravelnet.reporting.skip_claims import claim_remove_skip
from unravelnet.reporting.training_chapter import RESPONSES, compared_with, groups_of
from unravelnet.reporting.training_claims import COMPARED_DEPTHS, PLAIN, RESIDUAL
from unravelnet.reporting.verdicts import VERDICTS
from unravelnet.wording import counted

# Of networks that `reproduce` has not.
_OF_OTHER_NETWORKS = (
    veit.ON_IMAGENET.said_by,
    he.VERY_DEEP.said_by,
    huang.VERY_DEEP.said_by,
    zagoruyko.WIDE_IS_ENOUGH.said_by,
    wu.LINEAR_GROWTH.said_by,
)
_OF_TRAINED_NETWORKS = (VEIT, HE, HUANG)
_SAME_SHAPE = "delete_many_same_shape"
_DEEPENING = f"{littwin.DEEPENING.said_by} No checkpoints were measured."


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
        *_about_paths(run),
        *(_about_skips(network) for network in lesioned),
        *(claim for network in run.of_role("resnet") for claim in _about_gradients(run, network)),
        *_about_trainings(run),
        *_about_responses(run),
    ]


def tally(judged: list[Claim]) -> str:
    """Count the verdicts, a sentence for each source of claims, and apart those that arithmetic settles.

    >>> tally([])
    'No claim could be judged.'
    """
    computed = [claim for claim in judged if claim.is_computed]
    tested = [claim for claim in judged if not claim.is_computed]
    sentences = []
    for source in dict.fromkeys(claim.source for claim in tested):
        members = [claim for claim in tested if claim.source == source]
        of_source = "that this project adds" if source == OWN else f"of claims of {source}"
        as_long = _on_lengths(members) if source in _OF_TRAINED_NETWORKS else ""
        sentences.append(f"Of {counted(len(members), 'test')} {of_source}, {_verdicts_of(members)}{as_long}.")
    if computed:
        settled = counted(len(computed), "claim")
        sentences.append(
            f"Of {settled} that arithmetic settles, whatever network is measured, {_verdicts_of(computed)}."
        )
    return " ".join(sentences) or "No claim could be judged."


def _on_lengths(members: list[Claim]) -> str:
    """Say how many of the measured claims of a paper could be tested under its protocol."""
    measured = [claim for claim in members if claim.verdict != "not measured"]
    if not measured:
        return ""
    number = sum(claim.is_as_long for claim in measured)
    return f"; {number or 'none'} could be tested on networks trained about as long as the paper's"


def _verdicts_of(judged: list[Claim]) -> str:
    numbers = Counter(claim.verdict for claim in judged)
    return listed(
        [f"{numbers[verdict]} {_verb(verdict, numbers[verdict])}" for verdict in VERDICTS if numbers[verdict]]
    )


def _verb(verdict: str, number: int) -> str:
    if verdict.startswith("not "):
        return f"{'is' if number == 1 else 'are'} {verdict}"
    plural = {"agrees": "agree", "agrees in kind": "agree in kind", "does not agree": "do not agree"}
    return verdict if number == 1 else plural[verdict]


def untested(run: Run) -> list[str]:
    """List what the papers claim, and this run has nothing to say to."""
    over_training = [] if run.with_table("over_training") else [_DEEPENING]
    return [*_OF_OTHER_NETWORKS, *over_training]


def _about_error(network: StudiedNetwork) -> Claim:
    table = network.tables.get("delete_each")
    claim = lesion_claims.claim_error(
        table, network=network.title, n_modules=network.n_modules, epochs=network.epochs
    )
    return _read(claim, (network, "delete_each"))


def _about_deletions(network: StudiedNetwork) -> list[Claim]:
    table, down = network.tables.get("delete_each"), network.downsampling
    judged = [
        lesion_claims.claim_single_deletions(
            table, downsampling=down, n_classes=network.n_classes, network=network.title
        ),
        lesion_claims.claim_downsampling_peaks(
            table, downsampling=down, n_classes=network.n_classes, network=network.title
        ),
    ]
    return [_read(claim, (network, "delete_each")) for claim in judged]


def _about_plain(network: StudiedNetwork) -> Claim:
    table = network.tables.get("delete_each")
    claim = lesion_claims.claim_plain_collapses(table, n_classes=network.n_classes, network=network.title)
    return _read(claim, (network, "delete_each"))


def _about_stochastic_depth(run: Run, network: StudiedNetwork) -> list[Claim]:
    base = base_of(run, network)
    pair = None if base is None else base.tables.get("delete_each"), network.tables.get("delete_each")
    read = [(other, "delete_each") for other in (base, network) if other is not None]
    judged = (
        lesion_claims.claim_more_resilient(*pair, n_classes=network.n_classes),
        lesion_claims.claim_stochastic_depth(
            *pair, downsampling=network.downsampling, n_classes=network.n_classes
        ),
    )
    return [_read(claim, *read) for claim in judged]


def _about_many(network: StudiedNetwork) -> list[Claim]:
    many, same_shape, orders = map(network.tables.get, ("delete_many", _SAME_SHAPE, "reorder"))
    n, classes, title = network.n_modules, network.n_classes, network.title
    growth = random_lesion_claims.claim_delete_many(many, n_classes=classes, network=title)
    left = random_lesion_claims.claim_many_left(
        many, n_modules=n, downsampling=network.downsampling, n_classes=classes, network=title
    )
    later = random_lesion_claims.claim_later_deletions(many, n_modules=n, n_classes=classes, network=title)
    disorder = random_lesion_claims.claim_reorder(orders, n_classes=classes, network=title)
    judged = [_read(claim, (network, "delete_many")) for claim in (growth, left, later)]
    if same_shape is not None:
        claim = random_lesion_claims.claim_many_left(
            same_shape, n_modules=n, keeps_shape=True, n_classes=classes, network=title
        )
        # Another reading of the same sentence of the paper, so not counted as a claim of its own.
        judged.insert(2, _read(claim, (network, _SAME_SHAPE), source=OWN))
    return [*judged, _read(disorder, (network, "reorder"))]


def _about_paths(run: Run) -> list[Claim]:
    n_modules = depth_of(run)
    return [claim_path_lengths(n_modules), claim_effective_share(), _about_survival(run, n_modules)]


def _about_survival(run: Run, n_modules: int) -> Claim:
    """Settle which paths survive, and tell it of the gradient of the first network whose gradient is known."""
    for network in run.of_role("resnet"):
        spectrum = contributions_of(network)
        if spectrum is not None and network.n_modules == n_modules:
            claim = claim_path_survival(n_modules, spectrum, network=network.title)
            return _read(claim, (network, _study_of_norms(network)))
    return claim_path_survival(n_modules)


def _study_of_norms(network: StudiedNetwork) -> str:
    """Name the table that the norms on single paths are read from; empty where there is none."""
    norms = path_norms(network)
    known = (name for name in (SAMPLED, EXACT) if norms is not None and network.tables.get(name) is norms)
    return next(known, "")


def _about_skips(network: StudiedNetwork) -> Claim:
    tables = ((network, "remove_skip_each"), (network, "delete_each"))
    claim = claim_remove_skip(
        *(network.tables.get(study) for _, study in tables),
        n_classes=network.n_classes,
        network=network.title,
    )
    return _read(claim, *tables, source=OWN)


def _about_gradients(run: Run, network: StudiedNetwork) -> list[Claim]:
    """Judge the claims of those studies that any network of the run has: they are asked for one by one."""
    tables, title, n_modules = network.tables, network.title, network.n_modules
    judged = []
    if any(path_norms(other) is not None for other in run.studied):
        norms = path_norms(network)
        study = _study_of_norms(network)
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
        ("effective_depths", gradient_claims.claim_over_deepened, OWN),
        ("ensemble", gradient_claims.claim_ensemble, OWN),
        ("ensemble", gradient_claims.claim_ensemble_is_whole, OWN),
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
        VEIT: [training_claims.claim_effective_training(*pair) for pair in effective if _is_papers(pair[1])],
        OWN: [
            training_claims.claim_effective_training(*pair) for pair in effective if not _is_papers(pair[1])
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


def _is_papers(effective: TrainedGroup | None) -> bool:
    """Tell whether the paper's claim is about such a network; at another depth it is asked by this project."""
    return effective is None or effective.n_modules == veit.N_MODULES.count


def _about_responses(run: Run) -> list[Claim]:
    """Judge what the responses of He's networks say, where the run has those networks."""
    if not run.of_role(COMPARED):
        return []
    networks = compared_with(run, RESPONSES)
    residual = {key: network for key, network in networks.items() if key[0] == RESIDUAL}
    return [
        _about_responses_of(run, networks, training_claims.claim_smaller_responses),
        _about_responses_of(run, residual, training_claims.claim_deeper_responses),
    ]


def _about_responses_of(
    run: Run,
    networks: Mapping[tuple[str, int], StudiedNetwork],
    judge: Callable[[training_claims.Responses], Claim],
) -> Claim:
    """Judge responses, beside how well the networks have learnt."""
    claim = judge({key: network.tables[RESPONSES] for key, network in networks.items()})
    groups = [group_of(groups_of(run), f"{family}{depth}") for family, depth in networks]
    errors = [f"{group.network} {fine_percent(group.rows['error_rate'].mean())}" for group in groups if group]
    verdict, why = claim.verdict, claim.why
    if verdict != "not measured":
        verdict, why = compared(verdict, why, [network.epochs for network in networks.values()], he.EPOCHS)
    why = f"{why} Their test errors: {listed(errors)}." if errors else why
    read = [(network, RESPONSES) for network in networks.values()]
    return _read(replace(claim, verdict=verdict, why=why), *read, source=HE)


def _read(claim: Claim, *tables: tuple[StudiedNetwork, str], source: str = VEIT) -> Claim:
    """Add which tables a claim was judged from, and whose claim it is."""
    known = (
        f"{TABLES_DIRECTORY}/{network.name}/{study}.csv"
        for network, study in tables
        if study in network.tables
    )
    is_long = is_as_long([network.epochs for network, _ in tables], he.EPOCHS)
    return replace(claim, rows=tuple(known), source=source, is_as_long=is_long)
