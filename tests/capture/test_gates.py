"""Highway networks, as others write them: their gates, and lesions edited in by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import unravelnet as un
from unravelnet.network import Gate
from unravelnet.routes.route import Route

Spelling = Callable[[Tensor, Tensor, Tensor], Tensor]
SPELLINGS: dict[str, Spelling] = {
    "paper": lambda x, h, t: h * t + x * (1 - t),
    "gate first": lambda x, h, t: t * h + (1.0 - t) * x,
    "moved": lambda x, h, t: x + t * (h - x),
    "moved back": lambda x, h, t: x - t * (x - h),
    "from the other side": lambda x, h, t: h + (1 - t) * (x - h),
    "lerp": lambda x, h, t: torch.lerp(x, h, t),
    "addcmul": lambda x, h, t: torch.addcmul(x, t, h - x),
    "negative": lambda x, h, t: (-t + 1) * x + t * h,
    "ones": lambda x, h, t: (torch.ones_like(t) - t) * x + t * h,
    # The gate of the skip is the one that is computed.
    "carry gate": lambda x, h, t: (1 - (c := 1 - t)) * h + c * x,
}


class Highway(nn.Module):
    """Two layers of T(x) H(x) + (1 - T(x)) x (Srivastava et al. 2015), on small maps."""

    def __init__(self, spelling: Spelling, n_gates: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.spelling = spelling
        self.enter, self.classify = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        self.h = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.t = nn.ModuleList(nn.Conv2d(4, n_gates, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, edits: tuple[str, str] = ("both", "both")) -> Tensor:
        """`edits`: what each layer lets through, its input ("skip"), its value ("branch"), or both."""
        x = self.enter(x)
        for h, t, edit in zip(self.h, self.t, edits, strict=True):
            value, gate = h(x).relu(), t(x).sigmoid()
            if edit != "skip":
                x = value if edit == "branch" else self.spelling(x, value, gate)
        return self.classify(x.mean((2, 3)))


X = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
ROUTES = {
    "0,1": ("both", "both"),
    "0s,1": ("skip", "both"),
    "0b,1": ("branch", "both"),
    "0s,1b": ("skip", "branch"),
}


# One gate for all channels, and one for each.
@pytest.mark.parametrize(("name", "n_gates"), [("paper", 1), *((name, 4) for name in SPELLINGS)])
def test_every_spelling_of_a_highway_layer_is_a_gate(name: str, n_gates: int) -> None:
    model = Highway(SPELLINGS[name], n_gates).eval()
    net = un.unravel(model, X)
    assert [(module.junction, module.kind) for module in net.residual_modules] == [(Gate(), "identity")] * 2
    assert (net.unexplained, [module.inner for module in net.residual_modules]) == ((), [(), ()])
    for text, edits in ROUTES.items():
        torch.testing.assert_close(net(X, Route.parse(text)), model(X, edits))


def test_gradients_by_length_add_up_to_autograds() -> None:
    model, x = Highway(SPELLINGS["paper"]).eval(), X.clone().requires_grad_()
    targets = torch.tensor([0, 1, 2])
    rows = un.path_gradients(un.unravel(model, X), (X, targets), at="input").to_pandas()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), targets, reduction="sum"), x)
    assert rows["gradient_norm"].iloc[0] == pytest.approx(
        gradient.flatten(1).norm(dim=1).mean().item(), rel=1e-5
    )
    assert rows["gradient_error"].max() < 1e-5
    # Along no branch: the gates are held, and each lets 1 - t through.
    held = model.enter(x)
    for h, t in zip(model.h, model.t, strict=True):
        value, gate = h(held).relu().detach(), t(held).sigmoid().detach()
        held = gate * value + (1 - gate) * held
    loss = F.cross_entropy(model.classify(held.mean((2, 3))), targets, reduction="sum")
    (around,) = torch.autograd.grad(loss, x)
    expected = around.flatten(1).norm(dim=1).mean().item()
    assert rows["length_gradient_norm"].iloc[0] == pytest.approx(expected, rel=1e-5)


WEIGHTED: dict[str, Spelling] = {
    "two weights": lambda x, h, t: t * h + t * x,
    "a number": lambda x, h, t: torch.lerp(x, h, 0.5),
    "two": lambda x, h, t: t * h + (2 - t) * x,
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_that_do_not_add_up_to_one_are_no_gate(name: str) -> None:
    net = un.unravel(Highway(WEIGHTED[name]).eval(), X)
    assert [module.junction.kind for module in net.residual_modules] == ["add", "add"]
