"""Routes: the text form against itself, Kendall's tau against its closed form and the paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unravelnet.errors import RouteError
from unravelnet.routes.route import Route, Step

modes = st.sampled_from(["both", "skip", "branch"])
steps = st.builds(Step, st.integers(0, 12), modes)
any_routes = st.lists(steps, max_size=30).map(lambda chosen: Route(tuple(chosen)))
orders = st.integers(2, 60).flatmap(lambda n: st.permutations(range(n)))

# -- text --


@given(any_routes)
def test_the_text_parses_back_to_the_route(route):
    assert Route.parse(str(route)) == route


@given(any_routes)
def test_the_text_is_canonical(route):
    assert str(Route.parse(str(route))) == str(route)


@given(any_routes)
def test_different_routes_have_different_texts(route):
    changed = Route((*route.steps, Step(13)))
    assert str(changed) != str(route)


@given(any_routes)
def test_spaces_do_not_matter(route):
    assert Route.parse(str(route).replace(",", " , ")) == route


@pytest.mark.parametrize(
    ("text", "visits"),
    [
        ("none", []),
        ("0", ["0"]),
        ("0-3", ["0", "1", "2", "3"]),
        ("3-1", ["3", "2", "1"]),
        ("0-1s,2b", ["0s", "1s", "2b"]),
        ("4,4,4", ["4", "4", "4"]),
    ],
)
def test_what_a_text_means(text, visits):
    # The visits written one by one say the same.
    assert Route.parse(text) == Route.parse(",".join(visits) or "none")
    assert len(Route.parse(text)) == len(visits)
    assert str(Route.parse(text)) == text


@pytest.mark.parametrize("text", ["", ",", "1,", "a", "3-", "-3", "3x", "1.5", "0-3bs", "3 4x", "²"])
def test_a_text_that_is_no_route_is_refused(text):
    with pytest.raises(RouteError, match="is not a step"):
        Route.parse(text)


def test_routes_are_values():
    route = Route.full(5).delete(2)
    assert {route: 1}[Route.parse("0-1,2s,3-4")] == 1
    with pytest.raises(AttributeError, match="cannot assign"):
        setattr(route, "steps", ())  # noqa: B010  a type checker refuses the plain assignment


# -- what the methods do, by hand --


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (Route.full(5).delete(1, 3), "0,1s,2,3s,4"),
        (Route.full(5).keep(1, 3), "0s,1,2s,3,4s"),
        (Route.full(5).remove_skip(4), "0-3,4b"),
        (Route.full(5).swap(0, 4), "4,1-3,0"),
        (Route.full(5).delete(0).swap(0, 4), "4,1-3,0s"),
        (Route.full(5).permute([1, 0, 2, 4, 3]), "1,0,2,4,3"),
        (Route.full(5).repeat(2), "0-2,2-4"),
        (Route.full(5).repeat(1, 3, times=3), "0-2,1-2,1-4"),
        (Route.full(5).reverse(), "4-0"),
        (Route.full(5).reverse(2), "0-1,4-2"),
        (Route.full(5).drop([0, 1, 0, 1, 0], np.random.default_rng(0)), "0,1s,2,3s,4"),
    ],
)
def test_methods_by_hand(route, text):
    assert str(route) == text


@given(orders, st.data())
def test_swapping_twice_changes_nothing(order, data):
    route = Route.full(len(order)).permute(order)
    first, second = data.draw(st.sampled_from(order)), data.draw(st.sampled_from(order))
    assert route.swap(first, second).swap(first, second) == route
    assert route.swap(first, first) == route


@given(st.integers(1, 40), st.data())
def test_each_lesion_halves_the_number_of_paths(n_modules, data):
    deleted = data.draw(st.sets(st.integers(0, n_modules - 1)))
    assert Route.full(n_modules).delete(*deleted).path_count == 2 ** (n_modules - len(deleted))
    assert Route.full(n_modules).remove_skip(*deleted).path_count == 2 ** (n_modules - len(deleted))
    assert Route.full(n_modules).delete(*deleted).n_deleted == len(deleted)
    assert Route.full(n_modules).remove_skip(*deleted).n_skips_removed == len(deleted)


def test_stochastic_depth_keeps_as_many_modules_as_expected():
    survival = 1 - np.arange(1, 55) / 54 * 0.5
    generator = np.random.default_rng(0)
    kept = [54 - Route.full(54).drop(1 - survival, generator).n_deleted for _ in range(2000)]
    # 40.25 of 54 on average; five standard errors.
    assert np.mean(kept) == pytest.approx(40.25, abs=5 * np.std(kept) / np.sqrt(2000))


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda: Route.full(3).delete([0, 1]), "give the indices of modules one by one, as in delete"),
        (lambda: Route.full(3).keep(range(2)), "give the indices of modules one by one"),
        (lambda: Route.full(3).delete(3), "Cannot delete module 3: the route 0-2 does not visit it"),
        (lambda: Route.full(3).keep(5), "Cannot keep module 5"),
        (lambda: Route.full(3).remove_skip(-1), "Cannot remove the skip of module -1"),
        (lambda: Route.full(3).swap(0, 7), "Cannot swap module 7"),
        (lambda: Route.full(3).permute([0, 1]), "not a permutation"),
        (lambda: Route.full(3).permute([0, 1, 1]), "not a permutation"),
        (lambda: Route.full(3).repeat(2, 9), "must lie within 0 to 3"),
        (lambda: Route.full(3).repeat(0, 1, times=0), "cannot be passed 0 times"),
        (lambda: Route.full(3).reverse(2, 1), "a span is half-open"),
        (lambda: Route.full(3).drop(1.5, np.random.default_rng(0)), "must lie in"),
        (lambda: Step(-1), "indices of modules start at 0"),
        (lambda: Step(0, "left"), "expected 'both', 'skip', 'branch' or 'mean'"),
        (lambda: Route.full(3).repeat(0).kendall_tau(), "visit each module once"),
    ],
)
def test_what_cannot_be_is_refused(call, phrase):
    with pytest.raises(RouteError, match=phrase):
        call()


# -- Kendall's tau --


def tau_by_inversions(order):
    """Closed form: 1 - 4 * inversions / (n (n - 1))."""
    n = len(order)
    inversions = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
    return 1 - 4 * inversions / (n * (n - 1))


@given(orders)
def test_tau_is_the_count_of_inversions(order):
    route = Route.full(len(order)).permute(order)
    assert route.kendall_tau() == pytest.approx(tau_by_inversions(order), abs=1e-12)


@given(st.integers(2, 80), st.data())
def test_tau_of_one_swap(n_modules, data):
    first = data.draw(st.integers(0, n_modules - 2))
    second = data.draw(st.integers(first + 1, n_modules - 1))
    inversions = 2 * (second - first) - 1
    expected = 1 - 4 * inversions / (n_modules * (n_modules - 1))
    assert Route.full(n_modules).swap(first, second).kendall_tau() == pytest.approx(expected, abs=1e-12)


def test_tau_of_the_same_and_of_the_reverse_order():
    assert Route.full(54).kendall_tau() == pytest.approx(1, abs=1e-12)
    assert Route.full(54).reverse().kendall_tau() == pytest.approx(-1, abs=1e-12)
    assert Route.full(1).kendall_tau() == 1
    assert Route.full(0).kendall_tau() == 1


def test_tau_does_not_see_deletions():
    assert Route.full(54).delete(3, 9).kendall_tau() == Route.full(54).kendall_tau()


STAGES = [range(0, 18), range(19, 36), range(37, 54)]  # what may be swapped among 54 modules in 3 stages


def test_tau_of_every_stage_reversed():
    order = np.arange(54)
    for stage in STAGES:
        order[list(stage)] = order[list(stage)][::-1]
    assert Route.full(54).permute(order.tolist()).kendall_tau() == pytest.approx(0.41, abs=0.005)


def test_tau_of_stages_shuffled():
    generator = np.random.default_rng(0)
    taus = []
    for _ in range(200):
        order = np.arange(54)
        for stage in STAGES:
            order[list(stage)] = generator.permutation(list(stage))
        taus.append(Route.full(54).permute(order.tolist()).kendall_tau())
    assert np.mean(taus) == pytest.approx(0.70, abs=0.01)
    assert min(taus) > 0.58
    assert max(taus) < 0.83


@pytest.mark.parametrize("probabilities", [[0.1, 0.2], [[0.1] * 4], []])
def test_drop_probabilities_fit_the_route(probabilities):
    with pytest.raises(RouteError, match="one for each of the 4 visits"):
        Route.full(4).drop(probabilities, np.random.default_rng(0))


def test_a_network_has_no_negative_number_of_modules():
    with pytest.raises(RouteError, match="A network of -3 residual modules cannot exist"):
        Route.full(-3)
