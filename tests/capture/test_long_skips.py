"""Networks for segmentation, as others write them: what goes around what, and lesions edited in by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import unravelnet as un
from survey import by_hand_segmentation as maps
from unravelnet.capture.verify import relative_difference
from unravelnet.routes.route import Route

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
VOLUMES = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
Edit = Callable[[nn.Module], None]


class Nothing(nn.Module):
    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        return torch.zeros_like(skip)


def cut(level: int) -> Edit:
    """Let nothing of a long skip pass."""

    def edit(model: nn.Module) -> None:
        model.get_submodule("gates")[level] = Nothing()

    return edit


def blind(place: str, start: int, stop: int | None = None) -> Edit:
    """Give zeros to some of the channels that a part reads."""

    def zeros(part: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = given
        x = x.clone()
        x[:, start:stop] = 0
        return (x,)

    def edit(model: nn.Module) -> None:
        model.get_submodule(place).register_forward_pre_hook(zeros)

    return edit


def silent(place: str) -> Edit:
    """Let a normalisation, in front of a ReLU or a sum, give zeros."""

    def edit(model: nn.Module) -> None:
        norm = model.get_submodule(place)
        nn.init.zeros_(norm.weight)
        nn.init.zeros_(norm.bias)

    return edit


LESIONS: list[tuple[type[nn.Module], str, Edit]] = [
    (maps.AttentionUNet, "0s,1-3", cut(3)),
    (maps.AttentionUNet, "0-2,3s", cut(0)),
    # The signal still says what the gate lets pass.
    (maps.AttentionUNet, "0,1b,2,3", blind("up.2", 6)),
    (maps.GridAttentionUNet, "0s", blind("up.0", 4)),
    (maps.GridAttentionUNet, "0b", blind("up.0", 0, 4)),
    (maps.NestedUNet, "0s", blind("nodes.0-4", 3)),
    (maps.NestedUNet, "0[0s]", blind("nodes.3-1", 6)),
    (maps.NestedUNet, "0[0b]", blind("nodes.3-1", 0, 6)),
    (maps.AveragedNestedUNet, "0s", blind("nodes.3-1", 6)),
    (maps.ResNetUNet, "0-4,5s,6-7", silent("encoder.stages.2.1.norms.1")),
    (maps.LinkNet, "0-1,2s", silent("up.1.7")),
    (maps.LinkNet, "0-1,2[0s,1-2]", silent("encoder.stages.1.0.norms.1")),
    (maps.LinkNet, "0-1,2[0-1,2[0-1,2s]]", silent("up.3.7")),
    (maps.LinkNet, "0-1,2[0-1,2[0-1,2[0,1s]]]", silent("encoder.stages.3.1.norms.1")),
    (maps.FeaturePyramid, "0-6,7s", silent("encoder.stages.3.1.norms.1")),
    (maps.VNet, "0s,1-8", silent("enter.1")),
    (maps.VNet, "0-4,5s,6-8", silent("up.3.7")),
]


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _, _ in LESIONS))
def test_lesions_are_those_of_the_model(kind: type[nn.Module]) -> None:
    x = VOLUMES if kind is maps.VNet else IMAGES
    torch.manual_seed(0)
    model = kind().eval()
    # Fresh weights hand on next to nothing of the deepest levels.
    for parameter in model.parameters():
        parameter.data *= 2 if parameter.dim() > 1 else 1
    weights, net = model.state_dict(), un.unravel(model, x)
    intact = model(x)
    assert torch.equal(net(x), intact)
    for text, edit in ((text, edit) for other, text, edit in LESIONS if other is kind):
        by_hand = kind().eval()
        by_hand.load_state_dict(weights)
        edit(by_hand)
        assert relative_difference(net(x, Route.parse(text)), by_hand(x)) < 1e-5, text
        assert relative_difference(intact, by_hand(x)) > 1e-4, text


def test_concatenations_whose_branch_is_read_elsewhere_are_told() -> None:
    net = un.unravel(maps.NestedUNet((3, 4, 5)).eval(), IMAGES)
    (line,) = net.unexplained
    # Of X10, X20, X01, X11, X02: X01 reads X10, and so does X11.
    assert line.startswith("cat in the model's own forward (7×32×32, ")
    assert "a value inside its branch is read elsewhere too (relu_3 in nodes.1-0.5 is read by " in line
