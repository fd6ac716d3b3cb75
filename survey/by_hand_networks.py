"""Networks as people write them whose form shows in the whole only: several streams, several inputs, long skips."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from survey.by_hand_steps import WIDTH, attention, linear


class Layers(nn.Module):
    """Eight layers for vectors, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(linear() for _ in range(8))
        self.head = nn.Linear(WIDTH, 3)


class Attentions(nn.Module):
    """Attentions, MLPs and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(
            nn.ModuleDict({name: linear() for name in ("f", "g", "h")}) for _ in range(4)
        )
        self.mlps = nn.ModuleList(linear() for _ in range(4))
        self.start, self.head = linear(), nn.Linear(WIDTH, 3)

    def attend(self, number: int, x: Tensor, memory: Tensor) -> Tensor:
        """Attend from x to a memory."""
        part: Any = self.attentions[number]
        return attention(_Named(part), x, memory)


class _Named:
    """Reads the parts of a dictionary of modules as attributes."""

    def __init__(self, parts: nn.ModuleDict) -> None:
        self.f, self.g, self.h = parts["f"], parts["g"], parts["h"]


class EncoderDecoder(Attentions):
    """An encoder of two MLPs, and a decoder of cross-attention and MLP, twice, on a second input."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Read x, and decode y."""
        for mlp in self.mlps[:2]:
            x = x + mlp(x).relu()
        for number, mlp in enumerate(self.mlps[2:]):
            y = y + self.attend(number, y, x)
            y = y + mlp(y).relu()
        return self.head(y)


class ClassAttention(Attentions):
    """Two blocks on a class token that attends to itself and to an image (Touvron et al. 2021, CaiT)."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Classify tokens."""
        token = self.token.expand(x.shape[0], -1, -1)
        for number, mlp in enumerate(self.mlps[:2]):
            token = token + self.attend(number, token, torch.cat([token, x], dim=1))
            token = token + mlp(token).relu()
        return self.head(token[:, 0])


class Queries(Attentions):
    """Learned queries that attend to an image: the first skip carries nothing of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 3, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Read tokens into queries."""
        y = self.queries.expand(x.shape[0], -1, -1)
        for number, mlp in enumerate(self.mlps[:2]):
            y = y + self.attend(number, y, x)
            y = y + mlp(y).relu()
        return self.head(y)


class Diffusion(Attentions):
    """A diffusion transformer of (x, t): attention and MLP, shifted, scaled and gated by the time."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Denoise x at the time t."""
        t = self.start(t)[:, None]
        for number, mlp in enumerate(self.mlps[:2]):
            shift, scale, gate = self.mlps[2](t), self.mlps[3](t), mlp(t)
            y = functional.layer_norm(x, (WIDTH,)) * (1 + scale) + shift
            x = x + gate * self.attend(number, y, y)
            y = functional.layer_norm(x, (WIDTH,)) * (1 + scale) + shift
            x = x + gate * mlp(y).relu()
        return self.head(x)


class Towers(Layers):
    """Two inputs, a tower of two blocks for each, and their products."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Compare x and y."""
        for f, g in zip(self.layers[:2], self.layers[2:4], strict=True):
            x, y = x + f(x).relu(), y + g(y).relu()
        return functional.normalize(x, dim=-1) @ functional.normalize(y, dim=-1).T


class Graph(Layers):
    """Two blocks that mix the nodes of a graph along a second input, its adjacency."""

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Read nodes and edges."""
        for layer in self.layers[:2]:
            x = x + (adjacency @ layer(x)).relu()
        return self.head(x.mean(1))


class Euler(Layers):
    """Four steps of one equation."""

    def forward(self, x: Tensor) -> Tensor:
        """Integrate from x."""
        for _ in range(4):
            x = x + 0.25 * self.layers[0](x).tanh()
        return self.head(x)


class SumOfAll(Layers):
    """Every layer reads the sum of all values before it."""

    def forward(self, x: Tensor) -> Tensor:
        """Read x."""
        values = [x]
        for layer in self.layers[:3]:
            values.append(layer(torch.stack(values).sum(0)).relu())
        return self.head(torch.stack(values).sum(0))


class LongSkip(Layers):
    """A skip around two blocks, as in super-resolution (Lim et al. 2017)."""

    def forward(self, x: Tensor) -> Tensor:
        """Refine x."""
        y = self.layers[0](x)
        z = y
        for layer in self.layers[1:3]:
            z = z + layer(z).relu()
        return self.head(y + self.layers[3](z))


class PairOfHeads(Layers):
    """One block, then two classifiers whose outputs are averaged."""

    def forward(self, x: Tensor) -> Tensor:
        """Classify x twice."""
        x = x + self.layers[0](x).relu()
        return (self.head(x) + functional.linear(x, self.layers[1].weight[:3])) / 2  # type: ignore[index]


class TwoPoolings(Layers):
    """One block, then the sum of two poolings of one value: nothing is learned there."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool sequences."""
        x = x + self.layers[0](x).relu()
        return self.head(functional.avg_pool1d(x, 3, 1, 1) + functional.max_pool1d(x, 3, 1, 1))


class Images(nn.Module):
    """Convolutions by their widths, and a head."""

    def __init__(self, *widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(enter, leave, 3, stride, padding=1) for enter, leave, stride in widths
        )


class OptionA(Images):
    """Half of the channels of a skip are zeros (He et al. 2016, option A)."""

    def __init__(self) -> None:
        super().__init__((3, 4, 1), (4, 4, 1), (4, 8, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Read images."""
        x = self.convs[0](x)
        x = x + self.convs[1](x).relu()
        kept = x[:, :, ::2, ::2]
        return torch.cat([kept, torch.zeros_like(kept)], dim=1) + self.convs[2](x).relu()


class Aggregation(Images):
    """A tree of deep layer aggregation: its root reads the pooled input once more (Yu et al. 2018)."""

    def __init__(self) -> None:
        super().__init__((3, 4, 1), (4, 4, 2), (4, 4, 1), (4, 4, 1), (12, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Read images."""
        x = self.convs[0](x)
        pooled = functional.max_pool2d(x, 2)
        y = self.convs[1](x).relu() + self.convs[2](pooled)
        z = y + self.convs[3](y).relu()
        return self.convs[4](torch.cat([z, y, pooled], dim=1))


class DenseBlock(Images):
    """Three layers, each of which reads all values before it side by side (Huang et al. 2017)."""

    def __init__(self) -> None:
        super().__init__((3, 4, 1), (4, 4, 1), (8, 4, 1), (12, 4, 1), (16, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Read images."""
        values = [self.convs[0](x)]
        for conv in self.convs[1:4]:
            values.append(conv(torch.cat(values, dim=1)).relu())
        return self.convs[4](torch.cat(values, dim=1))


class DualPath(Images):
    """Two blocks that add to some channels and put others beside them (Chen et al. 2017)."""

    def __init__(self) -> None:
        super().__init__((3, 6, 1), (6, 6, 1), (8, 6, 1), (10, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Read images."""
        x = self.convs[0](x)
        for conv in self.convs[1:3]:
            y = conv(x).relu()
            x = torch.cat([x[:, :4] + y[:, :4], x[:, 4:], y[:, 4:]], dim=1)
        return self.convs[3](x)


class UNet(Images):
    """Two long skips that are put beside what is deeper, one inside the other (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        super().__init__((3, 4, 1), (4, 4, 2), (4, 4, 2), (8, 4, 1), (8, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Segment images."""
        first = self.convs[0](x).relu()
        second = self.convs[1](first).relu()
        third = self.convs[2](second).relu()
        up = functional.interpolate(third, scale_factor=2)
        up = self.convs[3](torch.cat([second, up], dim=1)).relu()
        up = functional.interpolate(up, scale_factor=2)
        return self.convs[4](torch.cat([first, up], dim=1))


class Waves(Layers):
    """One block behind complex numbers."""

    def forward(self, x: Tensor) -> Tensor:
        """Read complex vectors."""
        y = torch.view_as_real(x).flatten(1)
        return self.head(y + self.layers[0](y).relu())


class Bytes(Images):
    """One block behind images of whole numbers."""

    def __init__(self) -> None:
        super().__init__((3, 4, 1), (4, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Read images of bytes."""
        x = self.convs[0](x.float() / 255)
        return x + self.convs[1](x).relu()


class Bag(Layers):
    """One block behind the mean of what is looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(11, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        """Read token ids."""
        x = self.embedding(ids)
        return self.head(x + self.layers[0](x).relu())


class Lowered(Layers):
    """Two blocks, the first under torch.autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """Read vectors."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = x + self.layers[0](x).relu()
        return self.head(x + self.layers[1](x).relu())


class Turning(Layers):
    """Two blocks, and a decision by torch.cond behind them."""

    def forward(self, x: Tensor) -> Tensor:
        """Read vectors."""
        for layer in self.layers[:2]:
            x = x + layer(x).relu()
        return self.head(torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)))


class Recurrent(nn.Module):
    """Two recurrent layers without skips."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = nn.GRU(WIDTH, WIDTH, 2, batch_first=True), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Read sequences."""
        return self.head(self.layers(x)[0])


class Deciding(Layers):
    """A block that runs for some values only."""

    def forward(self, x: Tensor) -> Tensor:
        """Read vectors."""
        return self.head(x + self.layers[0](x) if x.sum() > 0 else x)


class OwnTransformer(nn.Module):
    """The transformer of torch: an encoder of one layer and a decoder of two, on two sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.head = linear(), nn.Linear(WIDTH, 3)
        self.transformer = nn.Transformer(WIDTH, 2, 1, 2, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Read sequences forwards, and write them backwards."""
        x = self.start(x)
        return self.head(self.transformer(x, x.flip(1)))
