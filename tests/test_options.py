"""The public interface: no function has many options, and those that belong together are one value."""

import inspect
from dataclasses import fields

import pytest
import torch

import unravelnet as un
from unravelnet.figures.look import Look
from unravelnet.options import kinds_by_name
from unravelnet.pruning.budget import Budget
from unravelnet.pruning.parts import ReportPlan
from unravelnet.reproduction import Effort

MOST = 8
VALUES = {"path_gradients": un.gradient.Method, "ensemble_of_routes": un.Members, "reproduce": Effort}
PRUNE = Budget, ReportPlan


def public_functions():
    """Every function of the public interface: those at the door, of its rooms and of its classes."""
    for name in {*un.__all__, *dir(un)} - {"annotations", "cache", "import_module"}:
        value = getattr(un, name, None)
        if name.startswith("_") or value is None or isinstance(value, bool):
            continue
        if inspect.ismodule(value):
            own = {f"{name}.{part}": getattr(value, part) for part in getattr(value, "__all__", ())}
        elif isinstance(value, type):
            methods = inspect.getmembers(
                value, lambda part: inspect.isfunction(part) or inspect.ismethod(part)
            )
            # Not those of torch.nn.Module.
            own = {
                f"{name}.{part}": method
                for part, method in methods
                if method.__module__.startswith("unravelnet")
            }
        else:
            own = {name: value}
        yield from (
            (title, part)
            for title, part in own.items()
            if inspect.isroutine(part) and not title.rpartition(".")[2].startswith("_")
        )


def own_parameters(function):
    """Leave out what whole rooms share: the fields of a sample, and how a figure looks."""
    shared = {"self", *(field.name for field in fields(un.Sample)), *Look.__annotations__}
    return [name for name in inspect.signature(function).parameters if name not in shared]


@pytest.mark.parametrize("name", sorted(dict(public_functions())))
def test_no_function_has_many_parameters_of_its_own(name):
    function = dict(public_functions())[name]
    assert len(own_parameters(function)) <= MOST, own_parameters(function)


def test_the_count_sees_the_whole_interface():
    found = dict(public_functions())
    assert {
        "evaluate",
        "path_gradients",
        "reproduce",
        "train",
        "zoo.save",
        "studies.delete_each",
    } <= found.keys()
    assert {"figures.figure_delete_each", "Route.parse", "UnraveledNetwork.module_table"} <= found.keys()
    assert own_parameters(lambda a, b, c, d, e, f, g, h, i, limit: None) == list("abcdefghi")


@pytest.mark.parametrize("name", VALUES)
def test_options_taken_by_name_are_the_fields_of_one_value(name):
    names = {field.name for field in fields(VALUES[name])}
    assert names - {"method"} == kinds_by_name(getattr(un, name)).keys()


def test_what_a_pruning_takes_by_name_are_the_fields_of_two_values():
    names = {field.name for value in PRUNE for field in fields(value)}
    assert names == kinds_by_name(un.prune).keys()


def test_a_value_means_what_its_options_mean():
    net = un.zoo.preact_resnet(8, input_shape=(1, 8, 8), seed=0)
    data = torch.rand(6, 1, 8, 8), torch.arange(6)
    method = un.gradient.Method("rms", draws=3, at="input", max_length=2)
    by_name = un.path_gradients(net, data, method="rms", draws=3, at="input", max_length=2)
    assert un.path_gradients(net, data, method=method) == by_name
    members = un.Members(n_routes=2, keep=0.5, sizes=(1, 2), repeats=3)
    by_name = un.ensemble_of_routes(net, data, n_routes=2, keep=0.5, sizes=(1, 2), repeats=3)
    assert un.ensemble_of_routes(net, data, members=members) == by_name
