"""Residual blocks as people write them: two of each in a row, with the number of residual modules in the two.

A step gets a block, whose layers `f`, `g` and `h` keep the width, and the stream. Each is written out in full, since
how it is written is what is surveyed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 8


class Block(nn.Module):
    """Three layers that keep the width, a recurrent one, a number and a normalisation."""

    def __init__(self, step: Step, layer: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.step = step
        self.f, self.g, self.h = layer(), layer(), layer()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.step(self, x)


Step = Callable[[Any, Tensor], Tensor]


def linear() -> nn.Module:
    """Make a layer for vectors and sequences."""
    return nn.Linear(WIDTH, WIDTH)


def convolution() -> nn.Module:
    """Make a layer for images."""
    return nn.Conv2d(WIDTH, WIDTH, 3, padding=1)


def recurrent() -> nn.Module:
    """Make a layer with a memory."""
    return nn.LSTM(WIDTH, WIDTH, batch_first=True)


def vectors() -> Tensor:
    """Three vectors."""
    return torch.randn(3, WIDTH)


def tokens() -> Tensor:
    """Two sequences of vectors."""
    return torch.randn(2, 5, WIDTH)


def pictures() -> Tensor:
    """Two images."""
    return torch.randn(2, WIDTH, 8, 8)


def attention(part: Any, x: Tensor, memory: Tensor) -> Tensor:
    """Attend from x to a memory."""
    return (part.f(x) @ part.g(memory).transpose(1, 2)).softmax(-1) @ part.h(memory)


def _experts_gathered(part: Any, x: Tensor) -> Tensor:
    rows = x.flatten(0, 1)
    weights, chosen = part.h(rows)[:, :2].softmax(-1).max(-1)
    mixed = torch.zeros_like(rows)
    for number, expert in enumerate((part.f, part.g)):
        (where,) = torch.where(chosen == number)
        mixed = mixed.index_add(0, where, expert(rows[where]).relu() * weights[where, None])
    return x + mixed.view_as(x)


def _experts_by_their_weights(part: Any, x: Tensor) -> Tensor:
    chosen = part.h(x)[..., :2].argmax(-1)
    weights = torch.stack([part.f.weight, part.g.weight])[chosen]
    return x + (weights @ x[..., None])[..., 0].relu()


def _all_experts(part: Any, x: Tensor) -> Tensor:
    share = part.h(x)[..., :2].softmax(-1)
    return x + share[..., :1] * part.f(x).relu() + share[..., 1:] * part.g(x).relu()


def _added_to_a_view(part: Any, x: Tensor) -> Tensor:
    y = torch.cat([part.f(x).relu(), part.g(x).relu()], -1)[..., :WIDTH]
    y += x
    return y


def _written_into_a_slice(part: Any, x: Tensor) -> Tensor:
    x = x.clone()
    x[:, :4] += part.f(x)[:, :4].relu()
    return x


def _in_place(part: Any, x: Tensor) -> Tensor:
    y = functional.relu(part.f(x), inplace=True)
    return functional.relu_(y.add_(x))


def _class_token_only(part: Any, x: Tensor) -> Tensor:
    first = x[:, :1]
    return torch.cat([first + attention(part, first, x), x[:, 1:]], dim=1)


def _summed_in_a_loop(part: Any, x: Tensor) -> Tensor:
    total: Any = 0
    for value in (x, part.f(x).relu(), part.g(x).tanh()):
        total = total + value
    summed: Tensor = total
    return summed


def _sum_of_a_list(part: Any, x: Tensor) -> Tensor:
    values: Any = [x, part.f(x).relu()]
    summed: Tensor = sum(values)
    return summed


def _recurrent(part: Any, x: Tensor) -> Tensor:
    y: Tensor = part.f(x)[0]
    return x + y


def _spectral(part: Any, x: Tensor) -> Tensor:
    return x + torch.fft.irfft(torch.fft.rfft(part.f(x), dim=1) * 0.5, n=x.shape[1], dim=1)


def _split_and_joined(part: Any, x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    first = first + part.f(x)[..., :4].relu()
    second = second + part.g(x)[..., :4].relu()
    return torch.cat([first, second], dim=-1)


def _reversible(part: Any, x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    first = first + part.f(second.repeat(1, 2))[..., :4].relu()
    second = second + part.g(first.repeat(1, 2))[..., :4].relu()
    return torch.cat([first, second], dim=-1)


def _without_gradients(part: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = part.f(x).relu()
    return x + y


def _mixer(part: Any, x: Tensor) -> Tensor:
    y = x.transpose(1, 2)
    x = x + functional.linear(y, part.f.weight[:5, :5]).relu().transpose(1, 2)
    return x + part.g(x).relu()


@dataclass(frozen=True)
class Form:
    """How a block is written, and how many residual modules two of them have."""

    family: str
    step: Step
    modules: int
    truth: str
    example: Callable[[], Tensor] = vectors
    layer: Callable[[], nn.Module] = linear
    kinds: tuple[tuple[str, int], ...] = ()
    refused: str = ""


_ONE = "Each of two blocks adds a learned function of its input to the input"
FORMS = [
    Form("sum", lambda p, x: x + p.f(x).relu(), 2, f"{_ONE}."),
    Form("difference", lambda p, x: x - p.f(x).relu(), 2, "Each of two blocks subtracts a learned function."),
    Form("sum with a factor", lambda p, x: torch.add(x, p.f(x).relu(), alpha=0.5), 2, f"{_ONE}, times 0.5."),
    Form("both halved", lambda p, x: (x + p.f(x).relu()) / 2, 2, f"{_ONE}, and halves the sum."),
    Form("scaled branch", lambda p, x: x + p.scale * p.f(x).relu(), 2, f"{_ONE}, times a learned number."),
    Form("in place", _in_place, 2, f"{_ONE}, in place."),
    Form("loop", _summed_in_a_loop, 2, "Each of two blocks adds two learned functions in one loop."),
    Form("addmm", lambda p, x: torch.addmm(x, p.f(x).relu(), p.g.weight), 2, f"{_ONE}, as x + f(x) W."),
    Form("addcmul", lambda p, x: torch.addcmul(x, p.f(x), p.g(x).relu()), 2, f"{_ONE}, as x + f(x) g(x)."),
    Form("lerp", lambda p, x: torch.lerp(x, p.f(x).relu(), 0.3), 2, f"{_ONE}, as 0.7 x + 0.3 f(x)."),
    Form("stack", lambda p, x: torch.stack([x, p.f(x).relu()]).sum(0), 2, f"{_ONE}, as the sum of a stack."),
    Form("mean of a stack", lambda p, x: torch.stack([x, p.f(x).relu()]).mean(0), 2, f"{_ONE}, as a mean."),
    Form("product", lambda p, x: x * (1 + p.f(x).relu()), 2, f"{_ONE}, as x (1 + f(x)) = x + x f(x)."),
    Form("sum of a list", _sum_of_a_list, 2, f"{_ONE}, as the sum of a list."),
    Form(
        "highway",
        lambda p, x: (t := p.g(x).sigmoid()) * p.f(x).relu() + (1 - t) * x,
        2,
        "Two highway gates (Srivastava et al. 2015).",
        kinds=(("gate", 2),),
    ),
    Form(
        "gate by lerp",
        lambda p, x: torch.lerp(x, p.f(x).relu(), p.g(x).sigmoid()),
        2,
        "Two highway gates, written with lerp.",
        kinds=(("gate", 2),),
    ),
    Form(
        "written into a slice",
        _written_into_a_slice,
        2,
        "Each of two blocks adds a learned function to four of eight channels.",
        kinds=(("partial", 2),),
    ),
    Form("added to a view", _added_to_a_view, 2, f"{_ONE}, in place on a view of the function (GhostNet)."),
    Form(
        "experts gathered", _experts_gathered, 2, f"{_ONE}: each vector goes to one of two experts.", tokens
    ),
    Form("experts by weights", _experts_by_their_weights, 2, f"{_ONE}, whose weights are looked up.", tokens),
    Form("all experts", _all_experts, 2, f"{_ONE}, a weighted sum of two experts.", tokens),
    Form("attention", lambda p, x: x + attention(p, x, x), 2, f"{_ONE}, an attention.", tokens),
    Form(
        "attention beside an MLP",
        lambda p, x: x + attention(p, x, x) + p.f(x).relu(),
        2,
        "Each of two blocks adds attention and MLP side by side, which is one module.",
        tokens,
    ),
    Form(
        "attention and an MLP",
        lambda p, x: (y := x + attention(p, x, x)) + p.f(y).relu(),
        4,
        "Each of two blocks adds an attention and then an MLP.",
        tokens,
    ),
    Form(
        "class token only",
        _class_token_only,
        2,
        "Each of two blocks adds an attention to the first token only.",
        tokens,
        kinds=(("partial", 2),),
    ),
    Form("mixer", _mixer, 4, "Each of two blocks mixes positions and then channels (MLP-Mixer).", tokens),
    Form("recurrent branch", _recurrent, 2, f"{_ONE}, an LSTM (Wu et al. 2016).", tokens, recurrent),
    Form("spectral", _spectral, 2, f"{_ONE}, filtered in the frequency domain.", tokens),
    Form(
        "squeeze and excitation",
        lambda p, x: x + p.f(x) * p.g(x.mean((2, 3), keepdim=True)).sigmoid(),
        2,
        f"{_ONE}, weighted by channel (Hu et al. 2018).",
        pictures,
        convolution,
    ),
    Form(
        "shake-shake",
        lambda p, x: x + 0.3 * p.f(x).relu() + 0.7 * p.g(x).relu(),
        2,
        f"{_ONE}, a mean of two (Gastaldi 2017).",
        pictures,
        convolution,
    ),
    Form(
        "pooled skip",
        lambda p, x: functional.avg_pool2d(x, 2) + functional.avg_pool2d(p.f(x), 2).relu(),
        2,
        "Each of two blocks halves the size; its skip is a pooling (He et al. 2019).",
        pictures,
        convolution,
    ),
    Form(
        "cropped skip",
        lambda p, x: x[:, :, 1:-1, 1:-1] + p.f(x)[:, :, 1:-1, 1:-1].relu(),
        2,
        "Each of two blocks cuts the border off; its skip is a crop.",
        pictures,
        convolution,
    ),
    Form(
        "projected skip",
        lambda p, x: p.h(x) + p.f(x.relu()).relu(),
        2,
        "Each of two blocks has a projection for a skip (He et al. 2016).",
        pictures,
        convolution,
    ),
    Form(
        "split and joined",
        _split_and_joined,
        2,
        "Each of two blocks adds learned functions of all of its input to both halves of it.",
    ),
    Form("no gradients", _without_gradients, 2, f"{_ONE}, computed under torch.no_grad."),
    Form(
        "reversible",
        _reversible,
        4,
        "Each of two blocks adds to each half of the stream a function of the other half (Gomez et al. 2017).",
    ),
    Form(
        "product alone",
        lambda p, x: x * p.f(x).sigmoid(),
        0,
        "Each of two blocks multiplies its input, and has no skip without the function.",
        refused="multiplies a value",
    ),
    Form(
        "maximum",
        lambda p, x: torch.maximum(x, p.f(x)),
        0,
        "Each of two blocks takes a maximum, and adds nothing.",
        refused="joins a value",
    ),
    Form(
        "two branches",
        lambda p, x: p.f(x).relu() + p.g(x).tanh(),
        0,
        "Each of two blocks adds two non-linear functions, neither of which is a skip.",
        refused="neither of its values is a skip",
    ),
    Form(
        "branches side by side",
        lambda p, x: torch.cat([p.f(x)[:, :4].relu(), p.g(x)[:, :4].relu()], dim=1),
        0,
        "Each of two blocks puts two learned functions side by side (Szegedy et al. 2015).",
        refused="puts values side by side",
    ),
    Form(
        "fractal",
        lambda p, x: (p.f(x).relu() + p.h(p.g(x).relu()).relu()) / 2,
        0,
        "Each of two blocks takes the mean of a short and a long function (Larsson et al. 2017).",
        refused="neither of its values is a skip",
    ),
]
