"""Which trainings are too short for the claims of a paper, on numbers whose answer is known."""

import pytest

from tests.figures import tables
from tests.reporting.trainings import trained
from unravelnet.papers import he, huang
from unravelnet.readers.groups import trained_groups
from unravelnet.records.record import Table
from unravelnet.reporting.topics.judged import tally
from unravelnet.reporting.topics.networks.claims import claim_error
from unravelnet.reporting.topics.trainings.claims import claim_effective_training, claim_stochastic_training
from unravelnet.reporting.words.claim import HE, HUANG, OWN, VEIT, Claim
from unravelnet.reporting.words.protocol import compared, is_as_long, is_shorter


@pytest.mark.parametrize(
    ("epochs", "paper", "is_short"),
    [
        ([81], he.EPOCHS, True),
        ([82], he.EPOCHS, False),
        ([164, 35], he.EPOCHS, True),
        ([164], huang.EPOCHS, True),
        ([250], huang.EPOCHS, False),
        ([1000], huang.EPOCHS, False),
    ],
)
def test_less_than_half_of_the_papers_epochs_is_too_short(epochs, paper, is_short):
    assert is_shorter(epochs, paper) == is_short
    assert is_as_long(epochs, paper) != is_short


@pytest.mark.parametrize("epochs", [[None], [0], []])
def test_a_training_of_unknown_length_is_not_called_short(epochs):
    assert compared("agrees", "It is so.", epochs, he.EPOCHS) == ("agrees", "It is so.")
    assert epochs == [] or not is_as_long(epochs, he.EPOCHS)


@pytest.mark.parametrize("verdict", ["agrees", "agrees in kind", "does not agree", "not decided"])
def test_what_a_short_training_would_say_is_told_and_does_not_count(verdict):
    judged = compared(verdict, "It is so.", [24, 35], he.EPOCHS)
    assert judged == (
        "not comparable",
        "Trained for 24 and 35 epochs, the paper's for 164. So short a training does not test the claim. As it "
        "stands: It is so.",
    )
    assert compared(verdict, "It is so.", [164], he.EPOCHS)[0] == verdict


def pair(epochs, errors, **of_second):
    rows = [
        *trained("preact-resnet110", [0.075], n_modules=54, epochs=epochs),
        *trained("preact-resnet110", [errors], n_modules=54, epochs=epochs, **of_second),
        *trained("preact-resnet56", [0.08, 0.081, 0.082]),
    ]
    full, part, _ = trained_groups(Table(rows))
    return full, part


@pytest.mark.parametrize("error", [0.05, 0.075, 0.12])
@pytest.mark.parametrize(
    ("judge", "routes", "least"),
    [
        (claim_effective_training, "exactly:23", 82),
        (claim_stochastic_training, "stochastic-depth:0.5", 250),
    ],
)
def test_the_rule_takes_away_agreement_as_well_as_disagreement(judge, routes, least, error):
    short, long = (judge(*pair(epochs, error, routes=routes)) for epochs in (least - 1, least))
    assert (short.verdict, short.is_as_long) == ("not comparable", False)
    assert (long.verdict == "not comparable", long.is_as_long) == (False, True)


def test_the_error_of_a_short_training_is_not_compared_with_the_papers():
    table = tables.each([0.061], intact=0.061)
    verdicts = [claim_error(table, n_modules=54, epochs=epochs).verdict for epochs in (24, 164, None)]
    assert verdicts == ["not comparable", "agrees", "agrees"]


def test_the_tally_says_how_many_could_be_tested_as_the_paper_trained():
    claims = [
        Claim("t", "p", "m", "agrees", "w", source=VEIT, is_as_long=True),
        Claim("t", "p", "m", "not comparable", "w", source=VEIT),
        Claim("t", "p", "m", "not comparable", "w", source=HE),
        Claim("t", "p", "m", "agrees", "w", source=HUANG, is_as_long=True),
        Claim("t", "p", "m", "agrees", "w", source=OWN),
    ]
    as_long = "could be tested on networks trained at least half as long as the paper's."
    assert tally(claims) == (
        f"Of 2 tests of claims of Veit et al. (2016), 1 agrees and 1 is not comparable; 1 {as_long} Of 1 test of "
        f"claims of He et al. (2015), 1 is not comparable; none {as_long} Of 1 test of claims of Huang et al. (2016), "
        f"1 agrees; 1 {as_long} Of 1 test that this project adds, 1 agrees."
    )
