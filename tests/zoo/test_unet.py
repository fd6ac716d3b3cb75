"""U-Nets against the paper, and against one that is written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import unravelnet as un
from unravelnet import studies, zoo
from unravelnet.errors import ModelError, UnknownNameError
from unravelnet.network import Add, Concatenate
from unravelnet.routes.route import Route

SMALL = {"widths": (3, 4, 5), "n_classes": 4}
# With and without padding: sizes that can be halved twice.
SHAPES = {True: (2, 8, 12), False: (2, 44, 48)}


def small(junction, padded):
    return zoo.unet(junction=junction, padded=padded, **SMALL, input_shape=SHAPES[padded], seed=0).eval()


def images(padded, n=2):
    return torch.randn(n, *SHAPES[padded], generator=torch.Generator().manual_seed(0))


class WrittenOut(nn.Module):
    """A U-Net as its figure in the paper shows it, with the weights of another one."""

    def __init__(self, net, *, junction, padded):
        super().__init__()
        self.state = net.state_dict()
        self.junction, self.padding = junction, int(padded)

    def convolutions(self, x, name):
        for number in (1, 2):
            weight, bias = (self.state[f"{name}.conv{number}.{kind}"] for kind in ("weight", "bias"))
            x = F.relu(F.conv2d(x, weight, bias, padding=self.padding))
        return x

    def forward(self, x, mode="both"):
        """`mode`: that of the outermost long skip."""
        skips = [self.convolutions(x, "stem")]
        outer, inner = "residual_modules.0.branch", "residual_modules.0.branch.residual_modules.0.branch"
        for place in (f"{outer}.stem", inner):
            skips.append(self.convolutions(F.max_pool2d(skips[-1], 2), f"{place}.encode"))
        x = skips.pop()
        for level in (1, 0):
            weight, bias = (
                self.state[f"{inner if level else f'{outer}.head'}.up.{kind}"] for kind in ("weight", "bias")
            )
            x, skip = F.conv_transpose2d(x, weight, bias, stride=2), skips.pop()
            top = (skip.shape[-2] - x.shape[-2]) // 2
            skip = skip[..., top : top + x.shape[-2], top : top + x.shape[-1]]
            if level == 0:
                skip, x = skip * (mode != "branch"), x * (mode != "skip")
            x = torch.cat([skip, x], dim=1) if self.junction == "concatenate" else skip + x
            x = self.convolutions(x, f"{outer}.head.decode" if level else "head.decode")
        return F.conv2d(x, self.state["head.classify.weight"], self.state["head.classify.bias"])


def n_parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameters_are_those_of_the_paper():
    with torch.device("meta"):
        concatenating, one_class = zoo.unet(), zoo.unet(n_classes=1)
        adding = zoo.unet(junction="add")
    widths = (64, 128, 256, 512, 1024)
    by_hand = 64 * 2 + 2
    for n_in, width in zip((1, *widths), widths, strict=False):
        by_hand += 9 * n_in * width + width + 9 * width * width + width
    for width in widths[:-1]:
        by_hand += 4 * 2 * width * width + width
        by_hand += 9 * 2 * width * width + width + 9 * width * width + width
    assert n_parameters(concatenating) == by_hand == 31_030_658
    # The U-Net for Keras of many courses ends in two more convolutions, and counts 31,031,685.
    assert n_parameters(one_class) == 31_031_685 - (9 * 64 * 2 + 2) - (2 + 1) + (64 + 1)
    assert n_parameters(concatenating) - n_parameters(adding) == sum(
        9 * width * width for width in widths[:-1]
    )


def test_the_network_of_the_paper_turns_572_pixels_into_388():
    with torch.device("meta"):
        net = zoo.unet(padded=False, input_shape=(1, 572, 572))
    assert tuple(net.outputs["output"].shape) == (1, 2, 388, 388)
    module, maps = net.residual_modules[0], []
    while True:
        maps.append((module.input_shape, module.output_shape))
        if not module.inner:
            break
        (module,) = module.inner
    # Fig. 1 of the paper.
    assert maps == [
        ((64, 568, 568), (128, 392, 392)),
        ((128, 280, 280), (256, 200, 200)),
        ((256, 136, 136), (512, 104, 104)),
        ((512, 64, 64), (1024, 56, 56)),
    ]


@pytest.mark.parametrize("junction", ["concatenate", "add"])
@pytest.mark.parametrize("padded", [True, False])
def test_it_is_what_is_written_out(junction, padded):
    net, x = small(junction, padded), images(padded)
    reference = WrittenOut(net, junction=junction, padded=padded)
    with torch.no_grad():
        for text, mode in (("0", "both"), ("0s", "skip"), ("0b", "branch")):
            assert torch.allclose(net(x, Route.parse(text)), reference(x, mode), atol=1e-6), text


@pytest.mark.parametrize("junction", ["concatenate", "add"])
@pytest.mark.parametrize("padded", [True, False])
def test_long_skips_are_nested(junction, padded):
    net = small(junction, padded)
    (outer,) = net.residual_modules
    (inner,) = outer.inner
    assert outer.branch.residual_modules[0] is inner
    assert inner.inner == ()
    assert [outer.name, inner.name] == ["long0", "long1"]
    assert {type(outer.junction), type(inner.junction)} == {Concatenate if junction == "concatenate" else Add}
    seen = []
    inner.register_forward_hook(lambda _, given, made: seen.append((given[0].shape[1:], made.shape[1:])))
    net(images(padded))
    assert seen == [(inner.input_shape, inner.output_shape)]
    assert net.module_table()["inner"].tolist() == [1]


@pytest.mark.parametrize("junction", ["concatenate", "add"])
def test_the_gradient_splits_into_the_skip_and_what_it_goes_around(junction):
    net, x = small(junction, True).double(), images(True).double()
    around, through = un.path_gradients(net, x)
    assert around["gradient_error"] < 1e-12
    assert (around["path_count"], through["path_count"]) == (1, 1)
    # By hand: the loss is half the squared norm, meant over pixels; only one of the ways is let through.
    for row, is_skip in ((around, True), (through, False)):
        state = net.stem(x).detach().requires_grad_()
        module = net.residual_modules[0]
        skip, branch = module.skip(state), module.branch(state)
        skip, branch = (skip, branch.detach()) if is_skip else (skip.detach(), branch)
        joined = torch.cat([skip, branch], dim=1) if junction == "concatenate" else skip + branch
        net.head(joined).square().sum(dim=1).mean(dim=(1, 2)).div(2).sum().backward()
        assert row["length_gradient_norm"] == pytest.approx(state.grad.flatten(1).norm(dim=1).mean().item())


def test_pixels_are_measured_one_by_one():
    net, x = small("concatenate", True), images(True)
    targets = torch.randint(0, 4, (2, 8, 12), generator=torch.Generator().manual_seed(1))
    reference = WrittenOut(net, junction="concatenate", padded=True)
    table = un.evaluate(net, studies.delete_each(net), (x, targets))
    for row, mode in zip(table, ("both", "skip"), strict=True):
        with torch.no_grad():
            wrong = (reference(x, mode).argmax(dim=1) != targets).double().mean().item()
        assert row["error_rate"] == pytest.approx(wrong)
        assert row["n_predictions"] == 2 * 8 * 12


def test_weights_have_the_variance_of_the_paper():
    net = zoo.unet(widths=(64, 128), input_shape=(1, 8, 8), seed=0)
    branch = net.residual_modules[0].branch
    assert branch.encode.conv2.weight.var().item() == pytest.approx(2 / (9 * 128), rel=0.03)
    assert branch.up.weight.var().item() == pytest.approx(2 / 128, rel=0.03)


def test_a_saved_one_is_the_same(tmp_path):
    net = small("add", True)
    zoo.save(net, tmp_path / "saved")
    assert torch.equal(zoo.load(tmp_path / "saved")(images(True)), net(images(True)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"input_shape": (1, 100, 64)},
            ModelError,
            "does not fit images of 100×64.*next size that fits is 112×64",
        ),
        (
            {"padded": False, "input_shape": (1, 512, 572)},
            ModelError,
            "without padding does not fit images of 512×572.*next size that fits is 524×572",
        ),
        ({"padded": False, "input_shape": (1, 12, 12)}, ModelError, "next size that fits is 188×188"),
        ({"widths": (4,)}, ModelError, "A U-Net needs two widths or more; got \\(4,\\)"),
        ({"junction": "gate"}, UnknownNameError, "no junction 'gate'.*Known: add, concatenate"),
    ],
)
def test_impossible_ones_are_explained(options, error, message):
    with pytest.raises(error, match=message):
        zoo.unet(**options)
