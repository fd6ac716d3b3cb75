"""Claims about valid paths, the first epoch, and what stochastic depth saves: closed forms and numbers put in."""

import pytest

from tests.figures import tables
from tests.reporting import runs, trainings
from unravelnet.readers.draws import deletes_any, halvings
from unravelnet.records.record import Table
from unravelnet.reporting.contents import StudiedNetwork, read_run_directory
from unravelnet.reporting.topics.paths.valid import claim_valid_paths
from unravelnet.reporting.topics.random_lesions.findings import on_many_deletions
from unravelnet.reporting.topics.trainings import early
from unravelnet.routes.route import Route

N = 12
FULL = Route.full(N)


def lesions(study, errors_of_count, change):
    """A study of which each row halves the paths as often as it says, with routes; intact errs in 6 %."""
    rows = [tables.row("intact", 0.06, study=study, route=str(FULL))]
    rows += [
        tables.row(
            f"{count}, draw {draw}",
            error,
            study=study,
            n_deleted=count,
            repeat=draw,
            route=str(change(count, draw)),
        )
        for count, errors in errors_of_count.items()
        for draw, error in enumerate(errors)
    ]
    return Table(rows)


def deleting(count, draw):
    return FULL.delete(*[(draw + step) % N for step in range(count)])


def removing(count, draw):
    return FULL.remove_skip(*[(draw + step) % N for step in range(count)])


def near(error):
    return [error + 0.001 * draw for draw in range(10)]


GROWING = {count: near(0.06 + 0.03 * count) for count in range(1, 8)}


def test_deletions_and_removed_skips_halve_the_paths_as_often():
    # Count the paths of three modules one by one: a path takes skip or branch where both are there.
    rows = lesions("delete_many", {1: [0.1], 2: [0.2]}, deleting).to_pandas()
    assert halvings(rows, N).tolist() == [0, 1, 2]
    rows = lesions("remove_skip_each", {1: [0.1], 3: [0.2]}, removing).to_pandas()
    assert halvings(rows, N).tolist() == [0, 1, 3]
    assert halvings(rows.drop(columns="route"), N) is None


def test_draws_that_hit_a_module_are_told_apart():
    rows = lesions("delete_many", {2: near(0.2)}, deleting).to_pandas().iloc[1:]
    # Draw i deletes i and i + 1.
    assert deletes_any(rows, [4]).tolist() == [draw in (3, 4) for draw in range(10)]
    assert deletes_any(rows, []) is None


@pytest.mark.parametrize(
    ("without_skip", "verdict", "phrase"),
    [
        (0.09, "agrees", "At 0 of 1 number of paths"),
        (0.9, "agrees in kind", "the number of valid paths alone does not tell the error"),
    ],
)
def test_lesions_that_leave_as_many_paths_are_compared(without_skip, verdict, phrase):
    found = claim_valid_paths(
        {
            "delete_many": lesions("delete_many", GROWING, deleting),
            "remove_skip_each": lesions("remove_skip_each", {1: near(without_skip)}, removing),
        },
        n_modules=N,
        n_classes=10,
    )
    assert found.verdict == verdict
    assert phrase in found.why
    assert "2¹¹ of 2¹² paths" in found.measured


def test_images_that_are_easier_for_the_intact_network_change_nothing():
    # One study has other images, of all of which two points fewer are wrong.
    deleted, removed = (
        lesions("delete_many", GROWING, deleting),
        lesions("remove_skip_each", {1: near(0.09)}, removing),
    )
    easier = Table({**row, "error_rate": row["error_rate"] - 0.02} for row in removed)
    claims = [
        claim_valid_paths({"delete_many": deleted, "remove_skip_each": other}, n_modules=N, n_classes=10)
        for other in (removed, easier)
    ]
    assert claims[0] == claims[1]
    assert "+3.5 points" in claims[0].measured


def test_one_kind_of_lesion_agrees_in_kind_at_most():
    found = claim_valid_paths(
        {"delete_many": lesions("delete_many", GROWING, deleting)}, n_modules=N, n_classes=10
    )
    assert found.verdict == "agrees in kind"


def test_an_error_that_falls_does_not_agree():
    falling = {count: near(0.5 - 0.05 * count) for count in range(1, 8)}
    table = lesions("delete_many", falling, deleting)
    assert claim_valid_paths({"delete_many": table}, n_modules=N, n_classes=10).verdict == "does not agree"


def test_tables_without_routes_are_not_measured():
    table = tables.many({1: near(0.1)})
    assert claim_valid_paths({"delete_many": table}, n_modules=N).verdict == "not measured"


def test_the_chapter_on_draws_tells_both_kinds():
    network = StudiedNetwork("net", "Net", "resnet", N, downsampling=(4,), n_classes=10)
    # Of 11 deletions all draws but one hit it, of 2 a fifth does.
    table = lesions("delete_many", {2: near(0.2), 11: near(0.8)}, deleting)
    (sentence,) = [found for found in on_many_deletions(network, table) if "two kinds" in found]
    # Draws 3 and 4 delete module 4, at 20.3 and 20.4 %.
    assert sentence.startswith("Draws are of two kinds. Of 10 draws that delete 2, 2 delete module 4: 20.")


# -- the first epoch --


def compared(name, error, n_modules=9):
    history = Table(
        [{"epoch": epoch, "train_error_rate": error / epoch, "test_error_rate": 0.5} for epoch in (1, 2)]
    )
    entry = {"name": name, "title": name, "role": "compared", "n_modules": n_modules, "epochs": 14}
    return entry, {"history": history}


def claims_of(directory, networks, **options):
    run = read_run_directory(runs.write(directory / "run", networks, **options))
    return {claim.short: claim for claim in early.judge(run)}


@pytest.mark.parametrize(
    ("residual", "plain", "verdict"),
    [
        ((0.65, 0.66, 0.64), (0.73, 0.74, 0.72), "agrees"),
        ((0.73, 0.74, 0.72), (0.65, 0.66, 0.64), "does not agree"),
        ((0.65, 0.70, 0.60), (0.66, 0.71, 0.61), "not decided"),
    ],
)
def test_the_first_epoch_is_compared_by_seed(tmp_path, residual, plain, verdict):
    networks = [
        compared(f"{family}20-seed{seed}", error)
        for family, errors in (("resnet", residual), ("plain", plain))
        for seed, error in enumerate(errors)
    ]
    found = claims_of(tmp_path, networks)["Residual networks converge faster early"]
    assert found.verdict == verdict
    assert "(3 trainings: " in found.measured
    assert "Welch's interval" in found.measured
    assert len(found.rows) == 6


def test_without_a_plain_network_as_deep_nothing_is_said(tmp_path):
    assert claims_of(tmp_path, [compared("resnet20", 0.6), compared("plain56", 0.7, 54)]) == {}


def test_without_seeds_the_first_epoch_decides_nothing(tmp_path):
    found = claims_of(tmp_path, [compared("resnet20", 0.6), compared("plain20", 0.7)])
    assert found["Residual networks converge faster early"].verdict == "not decided"


# -- what stochastic depth saves --


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(None, "agrees"), (0.746, "agrees"), (0.76, "agrees in kind"), (0.9, "does not agree")],
)
def test_what_is_saved_is_a_quarter(share, verdict):
    claim = early.claim_savings(share)
    # Huang et al. (2016): 40.25 of 54 modules are there in the mean.
    assert "25.5 % of the visits of 54 modules" in claim.measured
    assert pytest.approx(0.2546, abs=1e-4) == 1 - 40.25 / 54
    assert (claim.verdict, claim.is_computed) == (verdict, True)


def test_what_was_saved_is_read_from_the_trainings(tmp_path):
    networks = runs.whole_run()
    found = claims_of(tmp_path, networks, trained_networks=trainings.whole_table())
    claim = found["Stochastic depth saves a quarter"]
    assert claim.rows == ("tables/trained_networks.csv",)
    assert claim.source.startswith("Huang")
