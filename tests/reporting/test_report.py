"""The report: complete, self-contained, truthful about what is missing, the same for the same run."""

import json
import re
from itertools import pairwise

import pytest

from tests.figures import tables
from tests.reporting import runs
from tests.reporting.pages import Page, reported
from unravelnet.columns import COLUMNS
from unravelnet.errors import StoreError
from unravelnet.reporting import report
from unravelnet.reporting.pages.html import flattened

LOADS = {"src", "srcset", "href", "data", "action", "poster", "xlink:href"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return report(runs.write(tmp_path_factory.mktemp("whole") / "run", runs.whole_run()))


@pytest.fixture(scope="module")
def page(whole):
    return Page(whole.read_text(encoding="utf-8"))


# -- one file --


def test_the_page_needs_nothing_from_elsewhere(whole, page):
    text = whole.read_text(encoding="utf-8")
    assert "http" not in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert not {"script", "link", "iframe", "img", "object", "embed"} & set(page.tags)
    loads = [(tag, value) for tag, name, value in page.attributes if name in LOADS]
    assert all(
        value.startswith("#") or (tag == "a" and value.startswith(("figures/", "tables/")))
        for tag, value in loads
    )


def test_links_inside_the_page_lead_somewhere(page):
    targets = [value[1:] for value in page.values("href") if value.startswith("#")]
    referred = re.findall(r"url\(#([^)]+)\)", " ".join(filter(None, page.values("clip-path"))))
    assert len(page.ids) == len(set(page.ids))
    assert set(targets + referred) <= set(page.ids)


def test_data_links_lead_to_files(whole, page):
    files = [value for value in page.values("href", tag="a") if not value.startswith("#")]
    assert {file.partition("/")[0] for file in files} == {"figures", "tables"}
    assert all((whole.parent / file).is_file() for file in files)


def test_every_figure_is_there(whole, page):
    names = sorted(path.stem for path in (whole.parent / "figures").glob("*.svg"))
    assert names == [
        "delete_each",
        "delete_each_residual",
        "delete_many_resnet",
        "delete_many_stochastic",
        "first_deleting",
        "first_removing",
        "path_lengths",
        "path_survival",
        "remove_skip_each",
        "reorder_resnet",
        "reorder_stochastic",
        "stochastic_depth_stochastic",
        "training",
        "unraveled",
        "unraveled_deleted",
    ]
    ends = {path.suffix for path in (whole.parent / "figures").iterdir()}
    assert ends == {".svg", ".csv"}, "what nothing shows is not drawn"
    assert page.tags.count("figure") == page.tags.count("figcaption") == len(names)
    assert {f"figure-{name}-title" for name in names} <= set(page.ids)


def test_a_figure_comes_before_the_first_table(page):
    assert page.tags.index("figure") < page.tags.index("table")
    assert page.ids.index("figure-first_removing-title") < page.ids.index("claims")


def test_a_run_opens_with_those_figures_that_it_has_tables_for(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, {"delete_each": tables.each(tables.resnet_like())})])
    assert "figure-first_deleting-title" in page.ids
    assert not {"figure-first_removing-title", "figure-first_gradient-title"} & set(page.ids)


def test_every_verdict_leads_into_a_claim_that_opens(whole):
    text = whole.read_text(encoding="utf-8")
    links = re.findall(r'<li><a href="#(claim-\d+)">', text)
    # A browser opens what holds the target of a link, and not what is the target itself.
    opened = re.findall(
        r'<details class="claim">\s*<summary>.*?</summary>\s*<dl id="(claim-\d+)">.*?</details>',
        text,
        re.DOTALL,
    )
    assert links == opened
    assert len(links) == 15


def test_what_was_found_can_be_repeated(page):
    # Put in: 6 % intact; 0.2 points and 0.01 a module more after deletion, 64 points more without a skip; VGG at 90 %.
    text = page.text.replace("\u00a0", " ")
    assert (
        "ResNet-110 errs in 6.0 % of the images. Deleting one of its 54 modules changes this by +0.5 points in the "
        "median. VGG-15, which has no skips, errs in 8.0 %, and in 90.0 % in the median after one layer is deleted. "
        "Removing the skip of a module leaves as many paths as deleting its branch, and changes the error by +64.0 "
        "points in the median. So the network can lose single branches, but not single skips: its paths do not count "
        "alike."
    ) in text


def test_skips_that_cost_no_more_make_no_conclusion(tmp_path):
    studies = ("delete_each", "remove_skip_each")
    same = {study: tables.each(tables.resnet_like(), study=study) for study in studies}
    page = reported(tmp_path, [(runs.RESNET, same)])
    assert "changes the error by +0.5 points in the median." in page.text
    assert "So the network can lose" not in page.text


def test_the_page_can_be_heard(page):
    assert page.values("lang", tag="html") == ["en"]
    assert page.tags.count("h1") == 1
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h\d", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.tags.count("caption") == page.tags.count("table")
    named = [
        value.split() for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-labelledby")
    ]
    assert len(named) == page.tags.count("svg") == page.values("role", tag="svg").count("img")
    assert {name for names in named for name in names} <= set(page.ids)


def test_headings_of_a_table_are_titles_of_columns_and_stand_there_once(whole):
    text = whole.read_text(encoding="utf-8")
    headings = [
        re.findall(r'<th scope="col">(.*?)</th>', head)
        for head in re.findall(r"<thead>.*?</thead>", text, flags=re.DOTALL)
    ]
    assert len(headings) > 10
    assert all(len(set(names)) == len(names) for names in headings)
    labels = {"Lesion", "Error (%)", "Error, from (%)", "Error, to (%)", "Error, change (percentage points)"}
    # Below the figure of deleted modules: from 11.2 points at a down-sampling module, in percent as on its axis.
    [numbers] = [names for names in headings if set(names) >= labels and "Network title" in names][:1]
    assert set(numbers) - {member.label for column in COLUMNS for member in column.family()} == set()
    assert re.search(r"<td>11\.2</td>", text)


def test_svg_colours_follow_the_page(whole):
    text = whole.read_text(encoding="utf-8")
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "var(--ink)" in drawings
    assert "#1c2128" not in drawings
    assert "<style" not in drawings


# -- what it says --


def test_chapters_stand_in_the_order_of_the_paper(page):
    titles = [
        "The networks",
        "The unraveled view",
        "Deleting each module",
        "Deleting many modules",
        "Reordering modules",
        "Path lengths",
        "Path survival",
        "Removing each skip",
        "How it was measured",
        "Provenance",
    ]
    anchors = [
        "findings",
        "claims",
        "networks",
        "unraveled",
        "delete-each",
        "delete-many",
        "reorder",
        "path-lengths",
    ]
    anchors += ["path-survival", "remove-skip", "measuring", "provenance"]
    assert page.values("id", tag="section") == anchors
    places = [page.text.rindex(f" {title} ") for title in titles[-2:]]
    assert places == sorted(places)


def test_sentences_come_from_the_numbers(page):
    # Put in: peaks of 11.2 points at modules 18 and 36; elsewhere 0.2 points and 0.01 more a module.
    assert "by at most +11.2 points" in page.text
    assert "at module 18, a down-sampling module" in page.text
    assert "Without the down-sampling modules (18 and 36) it changes by at most +0.7 points" in page.text
    assert "VGG-15: after deleting one of its layers the error is 90.0 % to 90.0 %" in page.text
    assert "1 of its 15 layers cannot be deleted" in page.text
    assert "Down-sampling module 18: +2.0 points" in page.text
    assert "At 54 of 54 modules the skip surely costs more than the branch" in page.text
    assert "19 to 35 hold 98.0 % of the paths, 5 to 17 hold 0.45 %" in page.text
    assert "18,014,398,509,481,984 paths" in page.text


def test_other_numbers_make_other_sentences(tmp_path):
    changed = {"delete_each": tables.each([0.06 - 0.001 * (i == 3) for i in range(54)])}
    page = reported(tmp_path, [(runs.RESNET, changed)])
    assert (
        "changes the error by 0.0 points in the median of 54 modules, and by at most 0.0 points" in page.text
    )


def test_small_downsampling_modules_are_said_to_be_small(tmp_path):
    study = {"delete_each": tables.each([0.5, *tables.resnet_like(peak=0.01)[1:]])}
    page = reported(tmp_path, [(runs.RESNET, study)])
    assert "by at most +44.0 points" in page.text
    assert (
        "Deleting a down-sampling module changes it by +1.0 points (+0.8 to +1.2) at module 18 and"
        in page.text
    )
    assert "Without the down-sampling modules" not in page.text


def test_the_summary_counts_its_verdicts(page):
    # Put in to agree, but for: errors whose first rise is a point larger than the second, by steps of about a quarter
    # of what was learnt, typical modules alike with and without stochastic depth, and what is known from the arithmetic
    # of paths. All trained as the paper.
    verdicts = [value.removeprefix("verdict ") for value in page.values("class", tag="strong")]
    n = {verdict: verdicts.count(verdict) for verdict in set(verdicts)}
    assert n == {"agrees": 10, "agrees-in-kind": 2, "does-not-agree": 2, "not-decided": 1}
    assert (
        "Of 10 tests of claims of Veit et al. (2016), 7 agree, 1 agrees in kind, 1 does not agree and 1 is not "
        "decided; 10 could be tested on networks trained at least half as long as the paper's. Of 1 test that this "
        "project adds, 1 does not agree. Of 4 claims that arithmetic settles, whatever network is measured, 3 agree "
        "and 1 agrees in kind."
    ) in page.text


def test_networks_are_listed_with_their_error(page):
    # Wilson's interval of 600 in 10,000 is 5.55 to 6.48 %.
    assert (
        "ResNet-110 residual 54 not recorded 18 and 36 1,730,522 6.0 % (5.6 to 6.5), n = 10,000 images 164"
        in page.text
    )


def test_provenance_stands_at_the_end(page):
    end = page.text[page.text.rindex("Provenance") :]
    assert "unravelnet reproduce --out 'a run'" in end
    assert "packages, torch 2.13.0" in end
    assert "seed 7" in end
    assert "commit none" in end
    assert "has uncommitted changes no" in end
    assert "networks resnet" in end


def test_a_list_of_facts_without_names_is_shown_as_json():
    assert list(flattened({"draws": [{"seed": 1}]})) == [("draws", '[{"seed": 1}]')]


def test_chance_is_that_of_the_data(tmp_path):
    two = {**runs.VGG, "n_classes": 2}
    page = reported(tmp_path, [(two, {"delete_each": tables.each([0.5] * 14, intact=0.08)})])
    assert "guessing errs in 50.0 %" in page.text
    assert "Every interval lies above 45.0 %." in page.text


def test_names_are_shown_as_they_are(tmp_path):
    odd = {**runs.RESNET, "title": "<b>R&D</b> $x$"}
    page = reported(tmp_path, [(odd, {"delete_each": tables.each([0.1] * 54)})])
    assert "<b>R&D</b> $x$" in page.text
    assert "b" not in page.tags


# -- what is missing --


def test_missing_tables_are_said(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, {})])
    for study in ("delete_each of ResNet-110", "delete_many", "reorder", "remove_skip_each", "history"):
        assert f"There is no table {study}, so this was not measured." in page.text
    assert (
        "The table delete_many is missing or has no such rows."
        in page.text.partition("What was not tested")[2]
    )


def test_chapters_of_what_was_not_measured_are_not_listed(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, {"delete_each": tables.each(tables.resnet_like())})])
    sections, targets = set(page.values("id", tag="section")), page.values("href", tag="a")
    assert "delete-each" in sections
    assert not {"delete-many", "reorder", "remove-skip"} & sections
    linked = {target[1:] for target in targets if target.startswith("#")}
    assert {target for target in linked if not target.startswith("claim-")} <= sections
    _, _, not_tested = page.text.partition("What was not tested")
    assert "Reordering modules: There is no table reorder, so this was not measured." in not_tested


def test_a_run_without_networks_still_has_a_report(tmp_path):
    assert "Path lengths" in reported(tmp_path, []).text


def test_a_table_with_only_the_intact_row_is_said(tmp_path):
    page = reported(tmp_path, [(runs.RESNET, {"delete_each": tables.each([]), "reorder": tables.orders([])})])
    assert "holds no lesion, only the intact network" in page.text


def test_partial_and_broken_rows_are_said(tmp_path):
    rows = tables.each([0.1, 0.2], complete=False, n_not_finite=3)
    page = reported(tmp_path, [(runs.RESNET, {"delete_each": rows})])
    assert (
        "3 of 3 rows saw only a part of the images. In 3 rows some outputs were not finite numbers."
        in page.text
    )


def test_two_networks_of_a_role_are_both_judged(tmp_path):
    second = {**runs.RESNET, "name": "second", "title": "another ResNet"}
    study = {"delete_each": tables.each(tables.resnet_like())}
    page = reported(tmp_path, [(runs.RESNET, study), (second, study)])
    for title in ("ResNet-110", "another ResNet"):
        assert f"Deleting any one module of {title} that does not down-sample" in page.text
    for name in ("resnet", "second"):
        assert f"Deleting one module changes little ({name})" in page.text


# -- the same again --


def test_the_same_run_gives_the_same_bytes(tmp_path):
    pages = []
    studies = {"delete_each": tables.each(tables.resnet_like()), "history": runs.HISTORY}
    for name in ("one", "two"):
        directory = runs.write(tmp_path / name, [(runs.RESNET, studies)])
        pages.append(report(directory).read_bytes())
    assert pages[0] == pages[1]
    assert report(tmp_path / "one").read_bytes() == pages[0]


def test_nothing_is_left_beside_the_report(whole):
    assert sorted(path.name for path in whole.parent.iterdir()) == [
        "figures",
        "networks.json",
        "report.html",
        "run.json",
        "tables",
    ]


# -- bad input --


def test_a_missing_directory_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match=r"There is no directory .*nowhere"):
        report(tmp_path / "nowhere")


@pytest.mark.parametrize("missing", ["run.json", "networks.json"])
def test_a_directory_without_a_run_is_one_sentence(tmp_path, missing):
    directory = runs.write(tmp_path / "run", [])
    (directory / missing).unlink()
    with pytest.raises(StoreError, match=missing):
        report(directory)
    assert not (directory / "report.html").exists()


@pytest.mark.parametrize(
    ("networks", "phrase"),
    [
        ("{", "cannot be read"),
        ("{}", "does not hold a JSON list"),
        (json.dumps([{"name": "net"}]), "has no 'role'"),
        (json.dumps([3]), "has no 'name'"),
        (
            json.dumps([{**runs.RESNET, "role": "mlp"}]),
            "has the role 'mlp'; expected resnet, stochastic-depth, effective-paths, vgg",
        ),
        (json.dumps([{**runs.RESNET, "name": "../../etc"}]), "cannot be the name of a directory"),
    ],
)
def test_a_damaged_list_of_networks_is_one_sentence(tmp_path, networks, phrase):
    directory = runs.write(tmp_path / "run", [])
    (directory / "networks.json").write_text(networks)
    with pytest.raises(StoreError, match=phrase):
        report(directory)


def test_a_damaged_table_is_one_sentence(tmp_path):
    directory = runs.write(tmp_path / "run", [(runs.RESNET, {"reorder": tables.orders([(0.9, 0.2)])})])
    (directory / "tables" / "resnet" / "reorder.csv").write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(StoreError, match=r"reorder\.csv"):
        report(directory)
