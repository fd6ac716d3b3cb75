"""The chapters about gradients: there when their tables are, truthful, and unseen otherwise."""

import numpy as np
import pytest

from tests.figures import gradient_tables
from tests.reporting import runs
from tests.reporting.pages import Page, reported
from unravelnet.records.record import Table, load_table
from unravelnet.reporting import report
from unravelnet.reporting.contents import StudiedNetwork
from unravelnet.reporting.topics.over_training.findings import on_over_training, on_scales
from unravelnet.reporting.topics.samples import on_plain_sample

CHAPTERS = ["path-gradients", "effective-depth", "layer-responses", "over-training", "ensemble"]


def gradient_studies():
    return {
        "path_gradients_exact": gradient_tables.exact(),
        "path_gradients_rms": gradient_tables.rms(),
        "path_gradients_sampled": gradient_tables.sampled(),
        "effective_depths": gradient_tables.effective_depths(),
        "module_measures": gradient_tables.module_measures(),
        "layer_responses": gradient_tables.layer_responses(),
        "over_training": gradient_tables.over_training(gradient_tables.DECAYS),
        "spectra_over_training": gradient_tables.spectra_over_training(gradient_tables.DECAYS),
        "normalisation_scales": gradient_tables.normalisation_scales(),
        "ensemble": gradient_tables.ensemble([0.3, 0.2, 0.15]),
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    networks = [
        (runs.RESNET, {**runs.resnet_tables(), **gradient_studies()}),
        (runs.VGG, {"layer_responses": gradient_tables.layer_responses(15, scale=2.0)}),
    ]
    return report(runs.write(tmp_path_factory.mktemp("gradients") / "run", networks))


@pytest.fixture(scope="module")
def page(whole):
    return Page(whole.read_text(encoding="utf-8"))


def test_the_chapters_follow_those_of_the_paper(page):
    assert page.values("id", tag="section")[-8:] == ["remove-skip", *CHAPTERS, "measuring", "provenance"]


def test_every_figure_is_there(whole):
    names = {path.stem for path in (whole.parent / "figures").glob("*.svg")}
    assert names >= {
        "path_gradient_resnet",
        "length_contribution_resnet",
        "coherence_resnet",
        "effective_depths_resnet",
        "module_measures",
        "layer_responses",
        "over_training_resnet",
        "spectra_over_training_resnet",
        "normalisation_scales_resnet",
        "ensemble_resnet",
    }


def test_the_data_of_a_figure_are_the_tables(whole):
    figures = whole.parent / "figures"
    assert load_table(figures / "coherence_resnet.csv") == gradient_tables.exact()
    both = load_table(figures / "path_gradient_resnet.csv")
    assert [row["method"] for row in both] == ["sampled"] * 55 + ["rms"] * 55
    assert {row["network_title"] for row in load_table(figures / "layer_responses.csv")} == {
        "ResNet-110",
        "VGG-15",
    }


def test_sentences_come_from_the_numbers(page):
    # Put in: norms of 0.25^k, root mean squares 1.5 times as large, independent directions.
    assert "the mean norm of its gradient changes by a factor r = 0.25 (0.25 to 0.25)" in page.text
    assert "The root mean square over all paths is 1.5 times that mean" in page.text
    # paper_facts: Binomial(54, 0.2) holds 97.5 % in 5 to 17; sums of independent directions peak at 3.
    assert "lengths 5 to 17 hold 97.5 %" in page.text
    assert "the exact sum is largest at length 3" in page.text
    assert "with a relative error of 3·10⁻⁷" in page.text
    independent = 1 / np.sqrt(54 * 53 * 52 / 6)
    assert f"its 24,804 paths is {independent:.3g} times the sum of their norms" in page.text
    sizes = [row["branch_to_stream"] for row in gradient_tables.module_measures()]
    assert f"a branch is {np.median(sizes):.3g} times as large as its stream in the median of 54" in page.text
    assert "54 of 54 branches surely go downhill in the loss, 0 surely uphill" in page.text
    assert "from epoch 0 to epoch 164: the decay r goes from 0.1 (0.095 to 0.105) to 0.26" in page.text
    assert "1: 30.0 % (29.5 to 30.5), 4: 15.0 % (14.5 to 15.5); two of them disagree on 20.0 %" in page.text


def test_surviving_gradient_stands_beside_surviving_paths(page):
    # paper_facts: (1 + r)^-d is 10.7 % for r = 0.25 and d = 10; 34 % of length 5, 8 % of 11 and 1.5 % of 17 are left.
    # The decay that was put in is exact, so that what was measured is what the fit says.
    assert "10 0.098 % 34.3 % 8.0 % 1.5 % 0.035 % 10.7 % 10.7 % (10.7 % to 10.7 %)" in page.text


def test_how_it_was_measured_is_said(page):
    text = page.text.replace("\xa0", " ")
    assert "sampled: n = 128 images of cifar10/test, 1,000 random paths of each length; gradients" in text
    loss = "the cross entropy without smoothing of labels"
    assert f"gradients of {loss} at the stem's output; 95 % intervals; seed 0." in text


def test_claims_are_judged_once_a_network(page):
    verdicts = [value.removeprefix("verdict ") for value in page.values("class", tag="strong")]
    # Nothing was deleted from VGG-15, so nothing is told of that.
    assert len(verdicts) == 12 + 8
    assert verdicts[-8:-1] == ["agrees", "agrees", "agrees", "agrees-in-kind", "agrees", "agrees", "agrees"]
    for start in (
        "In ResNet-110 the norm of the gradient",
        "As training progresses the virtual ensemble becomes deeper. From the first",
    ):
        assert page.text.count(start) == 1


# -- what is missing --


def test_a_run_without_these_tables_has_none_of_the_chapters(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, runs.resnet_tables())])
    assert not set(CHAPTERS) & set(page.values("id", tag="section"))
    assert "Of 7 tests of claims of Veit et al. (2016)" in page.text
    assert "Of 4 claims that arithmetic settles" in page.text
    assert "decay" not in page.text


def test_only_chapters_with_tables_are_there(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, {"ensemble": gradient_tables.ensemble([0.3, 0.2])})])
    assert [anchor for anchor in page.values("id", tag="section") if anchor in CHAPTERS] == ["ensemble"]


def test_a_network_without_a_table_that_another_has_is_not_decided(tmp_path):
    second = {**runs.RESNET, "name": "second", "title": "another ResNet"}
    page = reported(
        tmp_path, [(runs.RESNET, {"path_gradients_exact": gradient_tables.exact()}), (second, {})]
    )
    assert page.text.count("The table path_gradients_sampled is missing") == 3
    assert page.text.count("The table path_gradients_exact is missing") == 1


def test_the_exact_spectrum_alone_has_its_chapter(tmp_path):
    table = gradient_tables.exact(9, 0.5, with_paths=False)
    page = reported(tmp_path, [({**runs.RESNET, "n_modules": 9}, {"path_gradients_exact": table})])
    assert {"figure-length_contribution_resnet-title"} <= set(page.ids)
    assert "figure-path_gradient_resnet-title" not in page.ids
    assert "figure-coherence_resnet-title" not in page.ids
    assert "decays about exponentially with its length: a falling" not in page.text


def test_squares_alone_are_said_to_be_alone(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, {"path_gradients_rms": gradient_tables.rms()})])
    assert "There is no table path_gradients_sampled of ResNet-110, so this was not measured." in page.text


def test_tables_of_something_else_are_said(tmp_path):
    wrong = {study: Table([{"something": 1, "else": 2}]) for study in gradient_studies()}
    page = reported(tmp_path, [(runs.RESNET, wrong)])
    assert not set(CHAPTERS) & set(page.values("id", tag="section"))
    for lacking in (
        "no column 'module'",
        "no column 'position'",
        "no column 'epoch'",
        "no column 'n_members'",
    ):
        assert f"The table has {lacking}; it has something, else." in page.text
    assert "There is no table path_gradients_sampled of ResNet-110" in page.text


def test_a_small_network_has_a_report(tmp_path):
    small = {**runs.RESNET, "n_modules": 3, "downsampling": [1]}
    studies = {
        "path_gradients_exact": gradient_tables.exact(3, 0.4),
        "path_gradients_sampled": gradient_tables.sampled(3, 0.4),
        "effective_depths": gradient_tables.effective_depths(3, 0.4),
        "module_measures": gradient_tables.module_measures(3, (1,)),
    }
    page = reported(tmp_path, [(small, studies)])
    assert "A line through 4 lengths says little" in page.text
    assert "of 0 to 3" in page.text


def test_a_run_that_only_splits_gradients_has_no_chapters_about_lesions(tmp_path):
    studies = {"path_gradients_exact": gradient_tables.exact()}
    page = reported(tmp_path, [(runs.RESNET, studies)])
    assert "The gradient by path length" in page.text
    for title in (
        "Deleting each module",
        "Deleting many modules",
        "Reordering modules",
        "Removing each skip",
    ):
        assert title not in page.text
    # The three claims that are computed, and those that are judged from the table.
    assert "not measured" not in page.text.partition("The networks")[2].partition("1 The networks")[0]


def test_trainings_that_are_only_compared_are_judged_together(tmp_path):
    studies = {name: gradient_studies()[name] for name in ("over_training", "spectra_over_training")}
    networks = [
        (
            {
                **runs.RESNET,
                "name": f"net{seed}",
                "title": f"ResNet-20, seed {seed}",
                "role": "compared",
                "group": "resnet20-cifar10",
                "pretrained": f"resnet20-cifar10-seed{seed}",
            },
            studies,
        )
        for seed in range(3)
    ]
    other = {**runs.RESNET, "name": "part", "title": "Part", "role": "compared", "routes": "exactly:4"}
    page = Page(
        report(runs.write(tmp_path / "run", [*networks, (other, studies)])).read_text(encoding="utf-8")
    )
    assert page.text.count("As training progresses the virtual ensemble becomes deeper. From the first") == 1
    assert "3 trainings, two numbers of each." in page.text
    assert all(
        f"ResNet-20, seed {seed}: from epoch 0 to epoch 164, r from 0.1 to 0.26" in page.text
        for seed in range(3)
    )
    # One training of each network is drawn; the theory says nothing of random routes.
    figures = {path.stem for path in (tmp_path / "run" / "figures").glob("*over_training*.csv")}
    assert figures == {"over_training_net0", "spectra_over_training_net0"}
    assert page.text.count("come with it, because the weights of its earlier epochs are not shipped") == 1


def test_a_checkpoint_without_a_decay_is_passed_over():
    # Before training the branches of a network may be 0.
    first = {"decay": None, "mean_length": 0.0, "dominating_length": 0, "predicted_length": None}
    rows = list(gradient_tables.over_training([0.1, 0.2, 0.3]))
    told = on_over_training(StudiedNetwork("a", "A", "resnet", 54), Table([{**rows[0], **first}, *rows[1:]]))
    assert told[0].startswith("A, from epoch 1 to epoch 2: the decay r goes from 0.2 (")
    assert told[1].startswith("A, from epoch 0 to epoch 2: the mean length by the exact sums goes from 0 to ")
    assert told[2].startswith("A, from epoch 1 to epoch 2: by the decay")
    assert not any("nan" in sentence for sentence in told)


def test_where_the_mean_length_turns_is_told():
    rows = gradient_tables.over_training([0.1, 0.2, 0.3], mean_lengths=[5.0, 3.0, 4.0])
    told = on_over_training(StudiedNetwork("a", "A", "resnet", 54), rows)
    assert "goes from 5 to 4 modules" in told[1]
    assert told[1].endswith("The mean length is smallest after epoch 1, 3 modules.")
    straight = gradient_tables.over_training([0.1, 0.2, 0.3], mean_lengths=[3.0, 4.0, 5.0])
    assert "smallest" not in on_over_training(StudiedNetwork("a", "A", "resnet", 54), straight)[1]


def test_scales_that_grow_are_counted():
    # Put in: one layer from 1 to 3, one from 1 to 0.5.
    scales = {0: (1.0, 1.0), 2: (9.0, 9.0), 5: (3.0, 0.5)}
    rows = Table(
        {"epoch": epoch, "position": position, "scale": scale}
        for epoch, of_epoch in scales.items()
        for position, scale in enumerate(of_epoch)
    )
    (told,) = on_scales(StudiedNetwork("a", "A", "resnet", 54), rows)
    assert told.startswith("A, from epoch 0 to epoch 5: the mean |γ| of 1 of 2 normalisation layers grows.")
    assert told.endswith("it goes from 1 to 1.75.")


@pytest.mark.parametrize(
    ("statistics", "said"),
    [
        (["images", "training"], "Where training had collected no statistics of normalisation yet, they are"),
        (["images", "images"], "All statistics of normalisation are those of these images"),
        (["training", "training"], ""),
    ],
)
def test_where_statistics_come_from_is_said(statistics, said):
    rows = gradient_tables.over_training([0.1, 0.2])
    table = Table({**row, "statistics": each} for row, each in zip(rows, statistics, strict=True))
    text = on_plain_sample(table, by="epoch")
    assert said in text
    assert ("statistics" in text) == bool(said)
