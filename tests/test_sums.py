"""Sums against plain arithmetic: they are a monoid, and what a store keeps of them is all of it."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unravelnet.measuring.sums import Sums

# Whole numbers below 2^40: sums of a few are exact in float64, so that the order of adding cannot show.
numbers = st.integers(-(2**40), 2**40)
arrays = st.lists(numbers, min_size=2, max_size=2)
some_sums = st.builds(
    Sums,
    st.fixed_dictionaries({}, optional={"n": numbers, "total": numbers.map(float), "norms": arrays}),
    st.fixed_dictionaries({}, optional={"values": st.lists(numbers.map(float), max_size=3)}),
    st.just({}) | st.just({"loss": "cross_entropy"}),
)


@given(some_sums, some_sums, some_sums)
def test_grouping_changes_nothing(a, b, c):
    assert (a + b) + c == a + (b + c)


@given(some_sums)
def test_no_sums_change_nothing(a):
    assert Sums() + a == a == a + Sums()


@given(st.lists(some_sums, min_size=1))
def test_sums_of_many_are_those_of_their_numbers(parts):
    whole = sum(parts, Sums())
    for name, value in whole.added.items():
        alone = [part.added[name] for part in parts if name in part.added]
        assert value.tolist() == np.sum(alone, axis=0).tolist()
    appended = [number for part in parts for number in part.appended.get("values", ())]
    assert list(whole.appended.get("values", ())) == appended


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(allow_nan=False) | numbers), some_sums)
def test_a_record_gives_equal_sums_back(added, others):
    sums = Sums(added) + others
    assert Sums.of_record(json.loads(json.dumps(sums.as_record()))) == sums


def test_arrays_append_along_their_last_dimension():
    both = Sums({}, {"norms": [[1.0], [2.0]]}) + Sums({}, {"norms": [[3.0, 4.0], [5.0, 6.0]]})
    assert both.appended["norms"].tolist() == [[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]


def test_counts_stay_whole_and_float32_becomes_float64():
    sums = Sums({"n": True, "total": np.float32(0.1)})
    assert sums.added["n"].dtype == np.int64
    assert sums.added["total"].dtype == np.float64
