"""The unraveled view. Oracle: the recursion y_i = y_(i-1) + f_i(y_(i-1)), run with arbitrary functions."""

import itertools
import math
from collections import Counter

import pytest
from matplotlib.patches import FancyBboxPatch

from unravelnet.errors import RouteError
from unravelnet.figures import figure_unraveled, unraveled_terms
from unravelnet.figures.style import FAINT, INK
from unravelnet.routes.route import Route

SUBSCRIPTS = str.maketrans("12345", "₁₂₃₄₅")
PLAIN = str.maketrans("₀₁₂₃₄₅·", "012345*")


def branch(module, x):
    return math.sin(1.7 * x + module) + 0.1 * module * x * x


def run(route, y):
    for step in route.steps:
        through = sum(visit.scale * branch(visit.module, y) for visit in step.visits if visit.mode != "skip")
        y = through if step.visits[0].mode == "branch" else y + through
    return y


def value_of(terms, y0):
    functions = {f"f{i + 1}": lambda x, i=i: branch(i, x) for i in range(6)}
    return sum(eval(term.translate(PLAIN), {"y0": y0, **functions}) for term in terms)


def paths(figure):
    return {
        str(line.get_label()).removeprefix("_path "): line.get_color()
        for line in figure.axes[1].lines
        if str(line.get_label()).startswith("_path ")
    }


def boxes(figure, panel=1):
    return [
        str(patch.get_label()).removeprefix("_box ")
        for patch in figure.axes[panel].patches
        if isinstance(patch, FancyBboxPatch)
    ]


def test_terms_of_three_modules_are_those_of_the_paper():
    assert unraveled_terms(3) == ["y₀", "f₁(y₀)", "f₂(y₀ + f₁(y₀))", "f₃(y₀ + f₁(y₀) + f₂(y₀ + f₁(y₀)))"]


@pytest.mark.parametrize(
    "route",
    [
        *(Route.full(n) for n in range(1, 6)),
        Route.full(3).delete(1),
        Route.full(4).remove_skip(2),
        Route.full(4).delete(0).remove_skip(1).swap(2, 3),
        Route.full(5).delete(0, 1, 2, 3, 4),
        Route.full(4).parallel(1, 2).delete(0),
        Route.parse("(0,1*0.5,2s),3b,4"),
        Route.full(3).scale(0.5, 0, 1).scale(-2, 2).remove_skip(1),
    ],
    ids=str,
)
def test_terms_sum_to_the_output(route):
    n_modules = max(route.modules) + 1
    assert value_of(unraveled_terms(n_modules, route=route), 0.7) == pytest.approx(run(route, 0.7), rel=1e-12)


def test_a_scale_stands_in_the_box_of_its_branch():
    assert set(boxes(figure_unraveled(2, route=Route.full(2).scale(0.5, 1)))) == {"f₁", "0.5·f₂"}


@pytest.mark.parametrize("text", ["0,(1-2)", "(0-1),2s", "(0,1s),2b", "(0-4)", "(0,0),(1,1)"])
def test_a_span_has_one_way_around_and_one_through_each(text):
    route = Route.parse(text)
    figure = figure_unraveled(5, route=route)
    digits = [range(1 + len(step.visits)) for step in route.steps]
    drawn = paths(figure)
    assert set(drawn) == {"".join(map(str, code)) for code in itertools.product(*digits)}
    assert sum(colour == INK for colour in drawn.values()) == route.path_count
    assert sorted(boxes(figure, panel=0)) == sorted(map(f, route.visits))
    # Before step k there are as many trees of it as ways through all later steps.
    later = [math.prod(map(len, digits[place + 1 :])) for place in range(len(digits))]
    times = Counter(
        {
            name: sum(
                later[place]
                for place, step in enumerate(route.steps)
                for visit in step.visits
                if name == f(visit)
            )
            for name in map(f, route.visits)
        }
    )
    assert Counter(boxes(figure)) == times


def f(visit):
    return f"f{visit.module + 1}".translate(SUBSCRIPTS)


def test_a_visit_that_leads_inside_is_one_branch_that_says_so():
    figure = figure_unraveled(2, route=Route.parse("0[0,1s],1"))
    assert set(boxes(figure)) == {"f₁[0,1s]", "f₂"}
    assert len(paths(figure)) == 4
    assert "f₁[0,1s] is one branch: paths inside it are not" in figure.get_supxlabel().replace("\n", " ")
    assert set(boxes(figure_unraveled(1, route=Route.parse("0[0,1s,2,3*0.5]")))) == {"f₁[…]"}


@pytest.mark.parametrize("n_modules", range(6))
def test_every_path_is_drawn_once(n_modules):
    figure = figure_unraveled(n_modules)
    codes = {"".join(code) for code in itertools.product("01", repeat=n_modules)}
    assert set(paths(figure)) == codes
    assert (
        len([line for line in figure.axes[1].lines if str(line.get_label()).startswith("_path ")])
        == 2**n_modules
    )


@pytest.mark.parametrize("n_modules", range(1, 6))
def test_the_tree_repeats_each_branch_as_often_as_the_expansion(n_modules):
    drawn, written = boxes(figure_unraveled(n_modules)), " ".join(unraveled_terms(n_modules))
    names = [f"f{i + 1}".translate(str.maketrans("12345", "₁₂₃₄₅")) for i in range(n_modules)]
    assert [drawn.count(name) for name in names] == [written.count(f"{name}(") for name in names]
    assert written.count("y₀") == 2**n_modules
    assert boxes(figure_unraveled(n_modules), panel=0) == names


@pytest.mark.parametrize(
    "route",
    [
        Route.full(3).delete(1),
        Route.full(3).remove_skip(0),
        Route.full(4).delete(0, 3),
        Route.full(3).swap(0, 2).delete(0),
    ],
    ids=str,
)
def test_broken_paths_are_grey(route):
    def is_left(code):
        return all(
            step.mode == "both" or digit == {"skip": "0", "branch": "1"}[step.mode]
            for digit, step in zip(code, route.steps, strict=True)
        )

    drawn = paths(figure_unraveled(len(route), route=route))
    assert drawn == {code: INK if is_left(code) else FAINT for code in drawn}
    assert sum(colour == INK for colour in drawn.values()) == route.path_count


def test_the_caption_counts_the_paths_that_are_left():
    figure = figure_unraveled(3, route=Route.full(3).delete(1))
    caption = figure.get_supxlabel().replace("\n", " ")
    assert figure.axes[1].get_title(loc="left") == "the same, unraveled: 4 of 8 paths left"
    assert figure_unraveled(3).axes[1].get_title(loc="left") == "the same, unraveled: 8 paths"
    assert "y₃ = y₀ + f₁(y₀) + f₃(y₀ + f₁(y₀))" in caption
    assert "4 of 8 paths are left" in caption


def test_too_many_modules_are_refused():
    with pytest.raises(RouteError, match=r"6 modules has up to 2\^6 paths, too many to draw; at most 5"):
        figure_unraveled(6)


def test_a_route_of_another_network_is_refused():
    with pytest.raises(RouteError, match=r"visits module 3, but the network has 3 \(0 to 2\)"):
        figure_unraveled(3, route=Route.full(5))
