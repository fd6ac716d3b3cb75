"""What papers say: every fact has a place and a provenance, stands once, and agrees with arithmetic."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

import unravelnet
from unravelnet import studies, zoo
from unravelnet.papers import Number, Paper, Provenance, Setting, Source, Statement, facts, he, veit
from unravelnet.paths import share_within
from unravelnet.training_plan import TrainingPlan

SOURCE = Path(unravelnet.__file__).parent
FACTS = facts()
NUMBERS = {name: fact for name, fact in FACTS.items() if isinstance(fact, Number)}
STATEMENTS = {name: fact for name, fact in FACTS.items() if isinstance(fact, Statement)}
# Depths of networks that happen to be a number of epochs.
DEPTHS = {"zoo/registry.py": {he.EPOCHS.value}, "cli/completion.py": {he.EPOCHS.value}}
AUTHORS = re.compile(
    r"\b(Veit|Wilber|Belongie|He et al|Huang|Zagoruyko|Komodakis|Littwin|Wu, Shen|Jastrzebski|Molchanov|Gromov|"
    r"Men et al|Sun et al)\b"
)
PLACE = re.compile(r"\bFigs?\. \d|\bTable \d|\b[Ss]ection \d")


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_every_fact_says_where_it_stands_how_we_know_it_and_what_it_is_of(fact):
    source = fact.source
    assert source.provenance in get_args(Provenance)
    assert re.search(r"\d|code|text|tables", source.place)
    assert source.paper.title
    assert re.fullmatch(r"\d{4}\.\d{5}", source.paper.arxiv)
    assert all((source.of.network, source.of.training, source.of.data))


def test_no_claim_and_no_number_stands_twice():
    texts = [statement.text for statement in STATEMENTS.values()]
    numbers = [(number.source.paper, number.what) for number in NUMBERS.values()]
    assert [each for each, count in Counter([*texts, *numbers]).items() if count > 1] == []


def test_the_kinds_of_provenance_are_all_there():
    assert {fact.source.provenance for fact in FACTS.values()} == set(get_args(Provenance))


def test_a_fact_says_its_provenance_in_a_word():
    paper, of = Paper("A and B", 2016, "Title", "1601.00001"), Setting(network="n", training="t", data="d")
    seen = Statement("It rises", Source(paper, "Fig. 5a", "read off a figure", of), "How far we do not know.")
    heard = Statement("It falls", Source(paper, "section 4", "remembered", of))
    assert seen.said == "It rises (read off Fig. 5a). How far we do not know."
    assert heard.said_by == "A and B (2016): It falls (section 4; remembered)."
    assert seen.source.named == "Fig. 5a of A and B, 2016"


def test_a_number_is_written_as_the_paper_writes_it():
    number = Number("error", "6.10", "%", veit.FULL_ERROR.source)
    assert (number.text, number.value) == ("6.10 %", 6.1)
    assert number.share == pytest.approx(0.061)
    assert he.ITERATIONS.count == 64_000


# -- numbers that arithmetic knows, too --


def test_the_effective_paths_are_as_many_as_the_binomial_distribution_says():
    held = share_within(veit.N_MODULES.count, *veit.EFFECTIVE_LENGTHS)
    assert round(100 * held, 2) == veit.EFFECTIVE_SHARE.value
    assert share_within(veit.N_MODULES.count, *veit.USUAL_LENGTHS) > veit.USUAL_SHARE.share


def test_the_epochs_are_the_batches_over_all_images():
    assert round(he.ITERATIONS.count * he.BATCH_SIZE.count / he.N_TRAIN_IMAGES.count) == he.EPOCHS.count


def test_the_network_of_the_paper_has_its_modules():
    net = zoo.preact_resnet(veit.N_LAYERS.count, seed=0)
    assert len(net.module_table()) == veit.N_MODULES.count
    assert tuple(net.downsampling) == (veit.FIRST_DOWNSAMPLING.count, veit.SECOND_DOWNSAMPLING.count)


def test_as_many_swaps_as_the_paper_has_lead_to_its_smallest_rank_correlation():
    net = zoo.preact_resnet(veit.N_LAYERS.count, seed=0)
    orders = studies.reorder(net, [veit.MOST_SWAPS.count], repeats=200, seed=0)[1:]
    mean = sum(order.route.kendall_tau() for order in orders) / len(orders)
    assert mean == pytest.approx(veit.SMALLEST_TAU.value, abs=0.015)


def test_the_usual_training_is_the_recipe():
    plan = TrainingPlan()
    assert (plan.epochs, plan.batch_size, plan.momentum, plan.weight_decay) == (164, 128, 0.9, 1e-4)
    rates = [plan.learning_rate_at(iteration, 64_000) for iteration in (31_999, 32_000, 48_000)]
    assert rates == pytest.approx([0.1, 0.01, 0.001])


# -- no fact stands elsewhere --


def texts_and_numbers(source):
    """Values in a source that are no docstrings, nor those joined in an f-string."""
    tree = ast.parse(source)
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documents:
            yield node.value


def percentages():
    """Percentages with decimals, which nobody writes for another reason."""
    return [number for number in NUMBERS.values() if number.unit == "%" and "." in number.written]


def facts_in(source, allowed=frozenset()):
    """Give the values of a source that belong into the room of papers."""
    values = {value for number in percentages() if number.value % 1 for value in (number.value, number.share)}
    # Of less than 1 % a number without its unit is nothing special.
    values = {value for value in values | {he.EPOCHS.value} if value > 1 or value < 0.1} - set(allowed)
    written = "|".join(re.escape(number.written.rstrip("0")) for number in percentages())
    percentage = re.compile(rf"(?<![\d.])(?:{written})0* ?%|\b{he.EPOCHS.count} epochs")
    found = []
    for value in texts_and_numbers(source):
        if isinstance(value, str):
            is_fact = any(pattern.search(value) for pattern in (AUTHORS, PLACE, percentage))
        else:
            is_fact = isinstance(value, int | float) and value in values
        if is_fact:
            found.append(value)
    return found


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] != "papers"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_fact_of_a_paper_is_written_elsewhere(path):
    allowed = DEPTHS.get(path.relative_to(SOURCE).as_posix(), set())
    assert facts_in(path.read_text(encoding="utf-8"), allowed) == []


@pytest.mark.parametrize(
    "source",
    [
        'paper = "6.10 % on CIFAR-10"',
        'paper = f"{x} and 6.1 %"',
        "PAPER_ERROR = 0.061",
        "epochs = 164",
        'paper = "trained for 164 epochs"',
        'caption = "Error (Fig. 3 of the paper)."',
        'paper = "Huang et al. say so"',
    ],
)
def test_the_check_finds_a_fact(source):
    assert len(facts_in(source)) == 1


def test_the_check_leaves_docstrings_and_other_numbers_alone():
    source = (
        'def f():\n    """Draw Fig. 3 of Veit et al.: 6.10 %."""\n    return 128, 54, "16.1 % of 1164 epochs"'
    )
    assert facts_in(source) == []
