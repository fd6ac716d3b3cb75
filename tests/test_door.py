"""An error that nobody foresaw leaves the front door as a sentence; all others leave it as they are."""

import re

import pytest
import torch

import unravelnet as un
from unravelnet.door import guarded, short
from unravelnet.errors import ArgumentError, RouteError, UnforeseenError, UnravelError


class MyOwnError(Exception):
    """As a user writes one, to get out of a callback."""


def fails_with(error):
    def function(net, *, seed=0):
        raise error

    return guarded(function)


@pytest.mark.parametrize(
    "error", [RouteError("No."), MyOwnError("stop"), FileNotFoundError("none"), KeyboardInterrupt()]
)
def test_what_was_meant_passes_as_it_is(error):
    with pytest.raises(type(error)) as caught:
        fails_with(error)("net")
    assert caught.value is error


def test_an_unforeseen_error_says_what_was_done_and_keeps_its_cause():
    error = ZeroDivisionError("by zero\nand more")
    expected = (
        "function(net=Tensor of 2×3, seed=7) met an error that was not foreseen: ZeroDivisionError: by zero."
    )
    with pytest.raises(UnforeseenError, match=f"^{re.escape(expected)}$") as caught:
        fails_with(error)(torch.zeros(2, 3), seed=7)
    assert caught.value.__cause__ is error
    assert isinstance(caught.value, UnravelError)


def test_a_wrong_name_of_an_argument_is_what_it_is_everywhere():
    with pytest.raises(TypeError, match=r"^function\(\): .*unexpected keyword argument 'sed'"):
        fails_with(None)("net", sed=1)


def test_options_that_are_taken_together_are_named_one_by_one():
    net, data = un.zoo.preact_resnet(depth=8, input_shape=(1, 8, 8)), torch.zeros(2, 1, 8, 8)
    with pytest.raises(
        TypeError, match=r"^path_gradients\(\): .*unexpected keyword argument 'drawn'\. help\("
    ):
        un.path_gradients(net, data, drawn=1)
    with pytest.raises(ArgumentError, match=r"^keep is 'half'; give a number\.$"):
        un.ensemble_of_routes(net, data, keep="half")
    with pytest.raises(ArgumentError, match=r"^method is a Method, and draws stand beside it\."):
        un.path_gradients(net, data, method=un.gradient.Method("rms"), draws=2)


def test_a_forgotten_argument_names_its_function():
    with pytest.raises(TypeError, match=r"^evaluate\(\): .*'data'.* help\(unravelnet\.evaluate\)"):
        un.evaluate("net", [])


def test_the_front_door_is_guarded(monkeypatch):
    def broken(*args, **kwargs):
        raise IndexError("list index out of range")

    monkeypatch.setattr("unravelnet.measuring.evaluation.find_metrics", broken)
    net = un.zoo.preact_resnet(depth=8, input_shape=(1, 8, 8))
    with pytest.raises(
        UnforeseenError, match=r"^evaluate\(net=preact-resnet8, routes=1 of Route, data='digits'\)"
    ):
        un.evaluate(net, [net.full_route], "digits")


class Broken:
    @property
    def name(self):
        raise RuntimeError("no name")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 1000, f"'{'x' * 59}..."),
        (Broken(), "Broken"),
        (torch.tensor(1.0), "Tensor"),
        ((), "tuple"),
        (None, "None"),
    ],
)
def test_values_are_named_briefly(value, text):
    assert short(value) == text
