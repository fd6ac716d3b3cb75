"""Effective depths against closed forms and the spectrum of the whole network."""

import math

import pytest
import torch

import unravelnet as un
from tests.gradient.networks import linear_network
from unravelnet import effective_depths, path_gradients
from unravelnet.errors import EvaluationError

DATA = (
    torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
    torch.tensor([0, 1, 3]),
)


def smallest_depth(n_after, rate, share):
    """Multiples of the identity: the gradient of length k is C(n, k) rate^k times that of length 0."""
    weights = [math.comb(n_after, k) * rate**k for k in range(n_after + 1)]
    carried = 0.0
    for length, weight in enumerate(weights):
        carried += weight
        if carried >= share * sum(weights) * (1 - 1e-12):
            return length
    raise AssertionError


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_depths_of_multiples_of_the_identity(share):
    net = linear_network([0.4 * torch.eye(4, dtype=torch.float64)] * 9)
    table = effective_depths(net, DATA, share=share)
    assert [row["n_after"] for row in table] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert [row["effective_depth"] for row in table] == [
        smallest_depth(n, 0.4, share) for n in range(8, -1, -1)
    ]
    assert [row["mean_length"] for row in table] == pytest.approx([n * 0.4 / 1.4 for n in range(8, -1, -1)])
    assert [row["is_deeper"] for row in table] == [row["n_after"] > row["effective_depth"] for row in table]


def test_the_first_module_sees_what_the_network_behind_it_carries():
    net = un.zoo.preact_resnet(20, input_shape=(1, 8, 8), seed=0)
    data = (torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 3]))
    # With the first module deleted the gradient at the stem is that at its output.
    norms = [
        row["length_gradient_norm"]
        for row in path_gradients(net, data, route=net.full_route.delete(0), draws=0)
    ]
    row = effective_depths(net, data, route=net.full_route.delete(0))[0]
    expected = sum(k * norm for k, norm in enumerate(norms)) / sum(norms)
    assert row["module"] == 0
    assert row["mean_length"] == pytest.approx(expected, rel=1e-5)


def test_a_share_that_cannot_be_is_refused():
    net = linear_network([torch.eye(4, dtype=torch.float64)])
    with pytest.raises(EvaluationError, match="above 0 and at most 1"):
        effective_depths(net, DATA, share=0)
