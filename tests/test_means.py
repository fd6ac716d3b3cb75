"""Branches at their mean, against hooks that put the mean in the place of what a branch gives, and closed forms."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch
from torch import nn

import unravelnet as un
from unravelnet import studies, unravel, zoo
from unravelnet._extras import require
from unravelnet.cli.command_line import run
from unravelnet.data import load
from unravelnet.errors import ModelError, RouteError
from unravelnet.gradient import path_gradients, path_logits
from unravelnet.measuring.evaluation import evaluate
from unravelnet.measuring.means import measure_means
from unravelnet.network import Add, Concatenate, Gate, ResidualModule, UnraveledNetwork
from unravelnet.records.store import ResultsStore
from unravelnet.routes.route import Route

IMAGES = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def small_resnet():
    net = zoo.preact_resnet(depth=14, input_shape=(1, 8, 8), widths=(4, 6, 8), seed=0)
    return net.eval()


def with_hook(net, module, change, inputs, route=None):
    """Run a network with what a branch gives replaced, as people do without unravelnet."""
    handle = net.residual_modules[module].branch.register_forward_hook(lambda m, args, output: change(output))
    try:
        with torch.no_grad():
            return net(inputs, route)
    finally:
        handle.remove()


# -- texts --


@pytest.mark.parametrize("text", ["0,1m,2", "0-5m", "(0,1m)", "2[0m,1]", "0m,1s,2b"])
def test_texts_are_canonical_both_ways(text):
    assert str(Route.parse(text)) == text


def test_a_mean_is_one_more_way_to_take_a_module():
    route = Route.full(5).mean_ablate(1, 3)
    assert (str(route), route.at_their_mean, route.n_deleted) == ("0,1m,2,3m,4", frozenset({1, 3}), 0)
    # What does not depend on the input is no path.
    assert (route.path_count, route.longest_path) == (8, 3)
    assert route.delete(1).at_their_mean == {3}


@pytest.mark.parametrize("text", ["3m*0.5", "3m*0", "3[0]m"])
def test_a_mean_has_no_scale_and_nothing_inside(text):
    with pytest.raises(RouteError, match="has its mean in the place of its branch"):
        Route.parse(text)


# -- the engine --


@pytest.mark.parametrize("module", range(6))
def test_the_mean_is_that_of_hooks(module):
    net, seen = small_resnet(), []
    handle = net.residual_modules[module].branch.register_forward_hook(
        lambda m, a, output: seen.append(output)
    )
    with torch.no_grad():
        net(IMAGES)
    handle.remove()
    mean = seen[0].double().mean((0, 2, 3))[None, :, None, None].float()
    table = measure_means(net, (IMAGES, torch.zeros(12, dtype=torch.long)), batch_size=5)
    torch.testing.assert_close(net.residual_modules[module].branch_mean, mean[0], rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        found = net(IMAGES, net.full_route.mean_ablate(module))
    expected = with_hook(net, module, lambda output: mean.expand_as(output), IMAGES)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    share = mean.square().mean() / seen[0].square().mean()
    assert table[module]["mean_share"] == pytest.approx(float(share), rel=1e-3)


def test_evaluate_walks_means_as_single_runs_do():
    net = small_resnet()
    data = load("digits").batch(torch.arange(40))
    measure_means(net, data)
    full = net.full_route
    routes = [
        *(trial.route for trial in studies.mean_ablate_each(net)),
        *(trial.route for trial in studies.delete_each(net)),
        full.mean_ablate(0, 1).remove_skip(3),
        full.mean_ablate(1).parallel(0, 1),
    ]
    table = evaluate(net, routes, data, metrics=("loss",), batch_size=16)
    for route, row in zip(routes, table, strict=True):
        with torch.no_grad():
            loss = nn.functional.cross_entropy(net(data[0], route), data[1])
        assert row["loss"] == pytest.approx(float(loss), rel=1e-4), str(route)


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
def test_the_mean_of_tokens_is_over_all_positions():
    transformers = require("transformers", "this test")
    config = transformers.GPT2Config(
        vocab_size=50, n_layer=2, n_embd=16, n_head=2, bos_token_id=0, eos_token_id=1
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    tokens = torch.randint(0, 50, (6, 9), generator=torch.Generator().manual_seed(0))
    net, seen = unravel(model, tokens[:2], name="gpt2"), []
    branch = model.transformer.h[1].mlp
    handle = branch.register_forward_hook(lambda m, a, output: seen.append(output.detach()))
    with torch.no_grad():
        model(tokens)
    handle.remove()
    measure_means(net, tokens, batch_size=4)
    handle = branch.register_forward_hook(lambda m, a, output: seen[0].mean((0, 1)).expand_as(output))
    with torch.no_grad():
        expected = model(tokens[:, :5]).logits
        found = net(tokens[:, :5], net.full_route.mean_ablate(3)).logits
    handle.remove()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("junction", "width"), [(Add(), 4), (Concatenate(n_skip=4, n_branch=3), 3), (Gate(), 8)]
)
def test_every_junction_joins_the_mean_as_it_joins_a_branch(junction, width):
    module = ResidualModule(nn.Linear(4, width), nn.Identity(), junction=junction)
    head = nn.Identity()
    net = UnraveledNetwork(nn.Identity(), [module], head, example=torch.zeros(2, 4))
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    measure_means(net, x)
    with torch.no_grad():
        expected = junction(x, module.branch(x).mean(0).expand(7, -1))
        torch.testing.assert_close(net(x, net.full_route.mean_ablate(0)), expected)


# -- gradients --


@pytest.mark.parametrize("text", ["0,1m,2-5", "(0,1m),2-3,4m,5", "0-2,3m,4s,5"])
def test_a_constant_has_no_gradient(text):
    net, data = small_resnet(), load("digits").batch(torch.arange(6))
    measure_means(net, data)
    route = Route.parse(text)
    spectrum = path_gradients(net, data, route=route)
    # The sum over all lengths is autograd's own gradient on this route, which knows the constant as one.
    assert spectrum[0]["gradient_error"] < 1e-4
    assert len(spectrum) == route.longest_path + 1
    assert sum(row["path_count"] for row in spectrum) == route.path_count


def test_means_that_are_lacking_are_those_of_the_data():
    first, second = small_resnet(), small_resnet()
    routes = [trial.route for trial in studies.mean_ablate_each(first)]
    measure_means(second, "digits", limit=30, seed=2)
    tables = [evaluate(net, routes, "digits", metrics=("loss",), limit=30, seed=2) for net in (first, second)]
    assert tables[0] == tables[1]


def test_paths_of_logits_are_refused():
    net = small_resnet()
    measure_means(net, IMAGES)
    with pytest.raises(RouteError, match=r"the mean of a branch, as on the route 0m,1-5, is none"):
        path_logits(net, IMAGES, route=Route.parse("0m,1-5"))
    with pytest.raises(RouteError, match=r"is none\. Delete these modules"):
        un.figures.figure_unraveled(3, route=Route.full(3).mean_ablate(0))


# -- identity, files, refusals --


def test_a_store_tells_samples_apart_and_other_routes_do_not_notice(tmp_path):
    net = small_resnet()
    data = load("digits").batch(torch.arange(40))
    routes = [net.full_route.delete(1), net.full_route.mean_ablate(1)]
    before = net.fingerprint()
    found = []
    with ResultsStore(tmp_path) as store:
        for limit in (10, 20, 10):
            measure_means(net, data, limit=limit)
            found.append([row["error_rate"] for row in evaluate(net, routes, data, store=store)])
            with torch.no_grad():
                wrong = (net(data[0], routes[1]).argmax(1) != data[1]).float().mean()
            assert found[-1][1] == pytest.approx(float(wrong))
        # Intact, deleted, and the mean over two samples.
        assert len(list(store.settings_of(net.fingerprint()))) >= 1
    assert net.fingerprint() == before
    assert found[0] == found[2]


def test_what_a_pruned_program_computes_is_that_of_the_route(tmp_path):
    net = small_resnet()
    measure_means(net, IMAGES)
    route = net.full_route.mean_ablate(1).delete(4)
    path = un.export(net, route, tmp_path / "pruned.pt2")
    program = torch.export.load(path).module()
    with torch.no_grad():
        torch.testing.assert_close(program(IMAGES), net(IMAGES, route), rtol=1e-4, atol=1e-5)
    names = [name for name, _ in program.named_parameters()]
    assert not any(
        "residual_modules.1.branch" in name or "residual_modules_1_branch" in name for name in names
    )


def test_a_mean_that_is_not_known_or_of_another_form_is_refused():
    net = small_resnet()
    with pytest.raises(
        RouteError, match=r"The mean of the branch of module 2 .* un\.measure_means\(net, data\)"
    ):
        net(IMAGES, net.full_route.mean_ablate(2))
    with pytest.raises(RouteError, match="is a stream, and the means of branches are measured before"):
        evaluate(net, [net.full_route.mean_ablate(2)], iter([IMAGES]), metrics=("agreement",))
    with pytest.raises(ModelError, match=r"has the shape \(3,\) .* Give real numbers in 3 dimensions"):
        net.residual_modules[2].hold_mean(torch.zeros(3))
    net.residual_modules[2].hold_mean(torch.zeros(6, 1, 1))
    with torch.no_grad():
        # A mean of zero is a deletion.
        found = net(IMAGES, net.full_route.mean_ablate(2))
        torch.testing.assert_close(found, net(IMAGES, net.full_route.delete(2)))


def test_a_plain_layer_has_no_skip_that_could_stay():
    net = zoo.plain(depth=8, input_shape=(1, 8, 8), seed=0)
    assert [str(trial.route) for trial in studies.mean_ablate_each(net)] == [str(net.full_route)]
    with pytest.raises(RouteError, match="is a plain layer: with its mean in its place"):
        net.check(net.full_route.mean_ablate(1))


def test_the_command_line_computes_the_means_that_a_study_needs(tmp_path, capsys):
    zoo.save(small_resnet(), tmp_path / "net")
    arguments = [
        "lesion",
        str(tmp_path / "net"),
        "--data",
        "digits",
        "--study",
        "mean-ablate-each",
        "--limit",
        "50",
    ]
    assert run([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert "The means of branches are those over 50 examples of digits." in captured.err
    rows = json.loads(captured.out)["studies"]["mean_ablate_each"]
    assert [row["module"] for row in rows] == [None, *range(6)]
