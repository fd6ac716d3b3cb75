"""The gradient by path length of several trainings: closed forms, and seeds as the sample."""

import re
from math import comb

import numpy as np
import pytest
from scipy.stats import binom

from tests.figures import gradient_tables
from tests.reporting.several import RISES, claims_of, network, run_of, several, student, trainings
from unravelnet.records.record import Table
from unravelnet.reporting.pages.markdown import render_markdown
from unravelnet.reporting.topics.across.chapter import every_training
from unravelnet.reporting.topics.across.claims import judge
from unravelnet.reporting.topics.across.groups import lesioned_groups
from unravelnet.reporting.words.sentences import listed
from unravelnet.wording import percent

EXACT = "path_gradients_exact"
SHORT_PATHS = "The gradient comes from short paths, whatever the seed and the depth"


def with_spectra(networks, decays):
    """Give networks tables of coherent paths, whose norm falls by a factor r with every module; None: no table.

    The gradient by path length is then Binomial(n, r / (1 + r)).
    """
    for (entry, studies), decay in zip(networks, decays, strict=True):
        if decay is not None:
            studies[EXACT] = gradient_tables.exact(entry["n_modules"], decay, coherent=True)
    return networks


def carried(n_modules, decay):
    return binom(n_modules, decay / (1 + decay))


def short_shares(n_modules, decays):
    """What is on paths shorter than n / 2, length by length."""
    shorter = [length for length in range(n_modules + 1) if 2 * length < n_modules]
    return [carried(n_modules, decay).pmf(shorter).sum() for decay in decays]


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    """ResNet-110 once, ResNet-56 and the same on random routes with one table less, ResNet-20 three times."""
    decays = [0.15, 0.2, 0.22, 0.25, 0.1, None, 0.12, 0.9, 1.0, 1.1]
    return run_of(tmp_path_factory.mktemp("spectra"), with_spectra(several(), decays))


@pytest.fixture(scope="module")
def chapter(spectra):
    (chapter,) = every_training(spectra)
    return chapter


def test_the_table_of_path_lengths_has_a_number_a_training(chapter):
    table = chapter.tables[1]
    assert [row[:4] for row in table.rows] == [
        ("resnet20", "9", "3", "4.5"),
        ("preact-resnet56", "27", "3", "13.5"),
        ("preact-resnet56-exactly11", "27", "2", "13.5"),
        ("resnet", "54", "1", "27"),
    ]
    assert {len(row) for row in table.rows} == {len(table.header)}
    assert "n = 128 images" in table.caption
    assert not chapter.missing
    for row, n_modules, decays in (
        (table.rows[0], 9, (0.9, 1.0, 1.1)),
        (table.rows[2], 27, (0.1, 0.12)),
        (table.rows[3], 54, (0.15,)),
    ):
        assert row[4] == listed([f"{carried(n_modules, decay).mean():.3g}" for decay in decays])
        assert row[7] == listed([percent(share) for share in short_shares(n_modules, decays)])
        for ends, share, decay in zip(parts(row[5]), parts(row[6]), decays, strict=True):
            low, high = map(int, ends.split(" to "))
            held = carried(n_modules, decay).cdf
            assert held(high) - held(low - 1) >= 0.95
            # No range that is shorter by one holds as much.
            assert all(
                held(end + high - low - 1) - held(end - 1) < 0.95 for end in range(n_modules - high + low + 2)
            )
            assert share == percent(sum(comb(n_modules, k) for k in range(low, high + 1)) / 2**n_modules)


def parts(cell):
    return re.split(", | and ", cell)


def test_mean_lengths_are_told_by_depth_routes_and_seed(chapter):
    by_depth, growth, routes, seeds = chapter.findings[-4:]
    means = [f"{carried(27, decay).mean():.3g}" for decay in (0.2, 0.22, 0.25)]
    assert f"preact-resnet56 (27 modules) {listed(means)}; resnet (54 modules) 7.04." in by_depth
    # 9 r / (1 + r): 4.263, 4.5 and 4.714 are 4.49 in their mean.
    assert "From resnet20 to resnet, the mean length of all paths grows from 4.5 to 27 modules." in growth
    assert "That of the gradient goes from 4.49 to 7.04," in growth
    assert f"preact-resnet56-exactly11 2.45 and 2.89 (on all modules {listed(means)})" in routes
    assert "by at most 0.9 modules (preact-resnet56)" in seeds


def test_how_gradients_were_measured_is_told_once(chapter):
    (how,) = [how for how in chapter.how if "exact:" in how]
    assert "resnet20, seed 1" in how
    assert "n = 128 images" in how


def test_the_page_has_the_table_and_the_figure_its_data(spectra, chapter, tmp_path):
    page = render_markdown(spectra, tmp_path / "page.md")
    section = page.partition("## Every training: seeds and depths")[2].partition("\n## ")[0]
    assert "Mean length of the gradient" in section
    shown = next(figure for figure in chapter.figures if figure.name == "spectra_of_trainings")
    # A row for each length of each training: 3 · 10, 3 · 28, 2 · 28 and 55.
    assert len(shown.data) == 30 + 84 + 56 + 55


def test_short_paths_are_judged_by_seeds(spectra):
    claim = claims_of(spectra)[SHORT_PATHS]
    shares = short_shares(9, (0.9, 1.0, 1.1))
    low, high = student(shares)
    assert (
        f"resnet20, 9 modules: {100 * np.mean(shares):.1f} % ({100 * low:.1f} to {100 * high:.1f}) in the mean of "
        f"3 trainings ({listed([percent(share) for share in shares])})" in claim.measured
    )
    # Those of ResNet-56 end above all that there is, where the interval is cut.
    assert student(short_shares(27, (0.2, 0.22, 0.25)))[1] > 1
    assert "to 100.0) in the mean of 3 trainings (100.0 %" in claim.measured
    assert "exactly11" not in claim.measured
    assert "resnet, 54 modules" not in claim.measured
    assert claim.verdict == "does not agree"
    assert claim.source == "this project"
    assert [row.split("/")[1] for row in claim.rows] == [
        *(f"resnet20-seed{seed}" for seed in range(3)),
        *(f"preact-resnet56-seed{seed}" for seed in range(3)),
    ]
    assert all(row.endswith("path_gradients_exact.csv") for row in claim.rows)


@pytest.mark.parametrize(
    ("shallow", "deep", "verdict"),
    [
        ((0.2, 0.21, 0.22), (0.2, 0.21, 0.22), "agrees"),
        # Two of three trainings of nine modules lie above 95 %, and the interval over seeds reaches both sides.
        ((0.2, 0.3, 0.6), (0.2, 0.21, 0.22), "agrees in kind"),
        ((0.2, 0.3, 0.6), (0.3, 0.5, 0.9), "not decided"),
        ((0.9, 1.0, 1.1), (0.2, 0.21, 0.22), "does not agree"),
    ],
)
def test_verdicts_on_short_paths_follow_from_seeds(tmp_path, shallow, deep, verdict):
    intervals = [student(short_shares(n_modules, decays)) for n_modules, decays in ((9, shallow), (27, deep))]
    holds, fails = [low >= 0.95 for low, _ in intervals], [high < 0.95 for _, high in intervals]
    expected = (
        "agrees"
        if all(holds)
        else "does not agree"
        if any(fails)
        else "agrees in kind"
        if any(holds)
        else "not decided"
    )
    assert expected == verdict
    networks = [
        *trainings("resnet20", 9, RISES["resnet20"]),
        *trainings("preact-resnet56", 27, RISES["preact-resnet56"]),
    ]
    found = claims_of(run_of(tmp_path, with_spectra(networks, [*shallow, *deep])))
    assert found[SHORT_PATHS].verdict == verdict


def test_tables_that_are_missing_or_not_whole_are_passed_over(tmp_path):
    networks = with_spectra(trainings("resnet20", 9, RISES["resnet20"]), [0.5, 0.5, 0.5])
    networks[1][1][EXACT] = Table(list(networks[1][1][EXACT])[:4])
    networks[2][1][EXACT] = gradient_tables.sampled(9)
    run = run_of(tmp_path, networks)
    (chapter,) = every_training(run)
    assert chapter.tables[1].rows[0][2:5] == ("1", "4.5", "3")
    assert not chapter.missing
    # One whole table is no sample of seeds.
    assert SHORT_PATHS not in claims_of(run)


def test_members_of_a_group_may_have_several_roles(tmp_path):
    about = {"group": "exactly23", "routes": "exactly:23", "zoo_name": "preact-resnet110"}
    networks = [
        network("effective-paths", 54, 0.004, title="On 23", role="effective-paths", **about),
        network("effective-paths-seed1", 54, 0.005, title="On 23, seed 1", **about),
    ]
    run = run_of(tmp_path, with_spectra(networks, [0.1, 0.125]))
    (group,) = lesioned_groups(run)
    assert (group.title, [one.role for one in group.networks]) == ("On 23", ["effective-paths", "compared"])
    (chapter,) = every_training(run)
    # 54 r / (1 + r) for r of 1/10 and 1/8.
    assert chapter.tables[1].rows[0][2:5] == ("2", "27", "4.91 and 6")
    assert judge(run) == []
