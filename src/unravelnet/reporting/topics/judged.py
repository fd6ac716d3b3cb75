"""Every claim applied to a run, and how the verdicts are counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from unravelnet.errors import UnravelError
from unravelnet.papers import he, huang, littwin, veit, wu, zagoruyko
from unravelnet.registry import CLAIMS, FIGURES, STUDIES
from unravelnet.reporting.contents import Run
from unravelnet.reporting.topics.across import claims as across
from unravelnet.reporting.topics.effective_depth import claims as effective_depth
from unravelnet.reporting.topics.ensembles import claims as ensembles
from unravelnet.reporting.topics.gradients import claims as gradients
from unravelnet.reporting.topics.lesions import claims as lesions
from unravelnet.reporting.topics.lesions import stochastic_depth
from unravelnet.reporting.topics.networks import claims as networks
from unravelnet.reporting.topics.orders import claims as orders
from unravelnet.reporting.topics.over_training import claims as over_training
from unravelnet.reporting.topics.paths import claims as paths
from unravelnet.reporting.topics.paths import valid as valid_paths
from unravelnet.reporting.topics.random_lesions import claims as random_lesions
from unravelnet.reporting.topics.responses import claims as responses
from unravelnet.reporting.topics.skips import claims as skips
from unravelnet.reporting.topics.trainings import claims as trainings
from unravelnet.reporting.topics.trainings import early
from unravelnet.reporting.words.claim import HE, HUANG, OWN, VEIT, Claim
from unravelnet.reporting.words.sentences import listed
from unravelnet.reporting.words.verdict import SIGNS, VERDICTS
from unravelnet.wording import counted

# Of networks that `reproduce` has not.
# In the order in which claims are told.
_TOPICS = (
    networks,
    lesions,
    stochastic_depth,
    across,
    random_lesions,
    orders,
    paths,
    skips,
    valid_paths,
    gradients,
    over_training,
    effective_depth,
    ensembles,
    trainings,
    early,
    responses,
)
_OF_OTHER_NETWORKS = (
    he.VERY_DEEP.said_by,
    huang.VERY_DEEP.said_by,
    zagoruyko.WIDE_IS_ENOUGH.said_by,
    wu.LINEAR_GROWTH.said_by,
)


_OF_TRAINED_NETWORKS = (VEIT, HE, HUANG)


_DEEPENING = f"{littwin.DEEPENING.said_by} No checkpoints were measured."


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
    return f"; {number or 'none'} could be tested on networks trained at least half as long as the paper's"


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


def told(judged: list[Claim]) -> list[tuple[str, Claim]]:
    """Give the claims that something was measured or computed for, each with its few words.

    Claims with the same words, which are about several networks, get the name of their network.
    """
    known = [(claim.short or claim.text, claim) for claim in judged if claim.verdict != "not measured"]
    times = Counter(short for short, _ in known)
    return [
        (short if times[short] == 1 else f"{short} ({_network_of(claim)})", claim) for short, claim in known
    ]


def not_told(judged: list[Claim]) -> list[str]:
    """Say of each claim that nothing was measured for what is missing."""
    return [f"{claim.text} {claim.why}" for claim in judged if claim.verdict == "not measured"]


def counts(judged: list[Claim]) -> list[str]:
    """Count the verdicts of claims, each with its mark.

    >>> counts([Claim("A claim.", "", "", "agrees", "")])
    ['✓ 1 agrees']
    """
    numbers = Counter(claim.verdict for claim in judged)
    return [
        f"{sign} {numbers[verdict]} {_verb(verdict, numbers[verdict])}"
        for verdict, sign in SIGNS.items()
        if numbers[verdict]
    ]


def _network_of(claim: Claim) -> str:
    return ", ".join(dict.fromkeys(Path(path).parent.name for path in claim.rows))


def untested(run: Run) -> list[str]:
    """List what the papers claim and this run has nothing to say to, and what packages add and cannot be used."""
    over_training = [] if run.with_table("over_training") else [_DEEPENING]
    broken = [sentence for registry in (STUDIES, FIGURES) for sentence in registry.usable()[1]]
    on_imagenet = [] if _is_about_imagenet(run) else [veit.ON_IMAGENET.said_by]
    return [*on_imagenet, *_OF_OTHER_NETWORKS, *over_training, *broken, *_added(run)[1]]


def _is_about_imagenet(run: Run) -> bool:
    """Whether Fig. 4 is told with its own network: in the chapter about deleting each module."""
    return any(network.is_of_imagenet for network in run.with_table("delete_each"))


def all_claims(run: Run) -> list[Claim]:
    """Judge every claim for every network of the role that it is about, topic by topic, and those of packages."""
    return [*(claim for topic in _TOPICS for claim in topic.judge(run)), *_added(run)[0]]


def _added(run: Run) -> tuple[list[Claim], list[str]]:
    """Judge the claims that packages add; of those that cannot be judged, give the sentences that say why."""
    judges, sentences = CLAIMS.usable()
    claims = []
    for judge in judges:
        try:
            claims += judge.judge(run)
        except UnravelError as error:
            sentences.append(str(error))
    return claims, sentences
