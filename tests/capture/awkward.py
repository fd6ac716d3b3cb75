"""Small awkward networks; each class says in `answer` what must be found in it: (kinds of the modules)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 8


class Identity(nn.Module):
    """Two textbook modules."""

    answer = ("identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.second = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.first(x)
        return x + self.second(x)


class InPlace(nn.Module):
    """The sum and the non-linearity overwrite their operands, as in most ResNets."""

    answer = ("identity", "projection")

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1))
        self.second = nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1, stride=2), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 1)
        )
        self.down = nn.Conv2d(4, 6, 1, stride=2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.first(x)
        out += x
        out = self.relu(out)
        branch = self.second(out)
        branch += self.down(out)
        return self.relu(branch)


class ZeroPadded(nn.Module):
    """A parameter-free projection: every second position, and zeros for the new channels."""

    answer = ("projection",)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        skip = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return (skip + self.conv(x).relu()).relu()


class Highway(nn.Module):
    """A gate shares the stream between branch and skip (Srivastava et al. 2015)."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.h = nn.Linear(WIDTH, WIDTH)
        self.t = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        t = self.t(x).sigmoid()
        return self.h(x).relu() * t + x * (1 - t)


class Concatenative(nn.Module):
    """What came in stays beside what every layer makes of it."""

    answer = ("identity", "identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, 4) for width in (8, 12, 16))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x).relu()], dim=-1)
        return x


class ParallelAttention(nn.Module):
    """Attention and MLP side by side are one module with two sums, in either order of summation."""

    answer = ("identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.m = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        x = x + self.a(y, y, y, need_weights=False)[0] + self.m(y)
        y = self.norm(x)
        return (self.m(y) + self.a(y, y, y, need_weights=False)[0]) + x


class FalseFriends(nn.Module):
    """Sums that are no junctions: a position embedding, a rotation, an activation polynomial, a bias."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(4, WIDTH))
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.bias = nn.Parameter(torch.randn(4, 4))
        self.angle = nn.Buffer(torch.randn(4, WIDTH))

    def rotated(self, x: Tensor) -> Tensor:
        half = torch.cat([-x[..., WIDTH // 2 :], x[..., : WIDTH // 2]], dim=-1)
        return x * self.angle.cos() + half * self.angle.sin()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position
        q, k = self.rotated(self.q(x)), self.rotated(self.k(x))
        weights = (q @ k.transpose(1, 2) + self.bias).softmax(-1)
        v = self.v(x)
        v = v + 0.044715 * v**3
        return x + weights @ v


class InnerSums(nn.Module):
    """A Res2Net block: its inner sums are not modules, the block is one."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.enter(x).relu().chunk(4, dim=1)
        out = [self.convs[0](parts[0])]
        for conv, part in zip(self.convs[1:], parts[1:], strict=False):
            out.append(conv(out[-1] + part))
        return x + self.leave(torch.cat([*out, parts[3]], dim=1))


class Tapped(nn.Module):
    """A feature pyramid reads the stream between modules."""

    answer = ("identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = x + self.first(x).relu()
        z = y + self.second(y).relu()
        return {"logits": self.head(torch.cat([x[..., :4], y[..., :2], z[..., :2]], -1)), "middle": y}


class TwoStreams(nn.Module):
    """Two parallel streams, interleaved, which meet in the head."""

    answer = ("identity", "identity", "identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.split = nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.split(x).relu().chunk(2, dim=-1)
        a = a + self.layers[0](a).relu()
        b = b + self.layers[1](b).relu()
        a = a + self.layers[2](a).relu()
        b = b + self.layers[3](b).relu()
        return (a * b).sigmoid(), b


class TwoTowers(nn.Module):
    """Two inputs with residual modules behind each."""

    answer = ("identity", "identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a = a + self.layers[0](a).relu()
        a = a + self.layers[1](a).relu()
        b = b + self.layers[2](b).relu()
        return a * b


class Nested(nn.Module):
    """A long skip around two short ones."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.inside = Identity()
        self.last = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.inside(x))


class Shared(nn.Module):
    """One layer used by two modules."""

    answer = ("identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer(x).relu()
        return x + self.layer(x).relu()


class Masked(nn.Module):
    """Keyword inputs: token ids, and a mask that every module reads off the stream."""

    answer = ("identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, WIDTH)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.embedding(ids)
        weight = mask.float() / mask.float().sum(1, keepdim=True)
        for layer in self.layers:
            mean = (layer(x) * weight[:, :, None]).sum(1, keepdim=True)
            x = x + (mean + layer(x)).relu()
        return x[:, 0]


class PostNorm(nn.Module):
    """A normalisation follows each junction and belongs to its module; one more at the end does not."""

    answer = ("identity", "identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=False):
            x = norm(x + layer(x).relu())
        return self.norms[3](x).tanh()


class SharedPreactivation(nn.Module):
    """He's dimension-changing unit: branch and projection both read the activated stream."""

    answer = ("identity", "identity", "projection", "identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(c, d, 3, padding=1) for c, d in ((4, 4), (4, 4), (4, 6), (6, 6), (6, 6))
        )
        self.down = nn.Conv2d(4, 6, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs[:2]:
            x = x + conv(x.relu())
        y = self.norm(x).relu()
        x = self.down(y) + self.convs[2](y).relu()
        for conv in self.convs[3:]:
            x = x + conv(x.relu())
        return x


class Plain(nn.Module):
    """No skip at all: learned layers in a row; the last is the head."""

    answer = ("plain", "plain")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 4, 5)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Subtracted(nn.Module):
    """Branches are subtracted and scaled, and the head views its input as vectors."""

    answer = ("identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.head = nn.Linear(4 * 8 * 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.first(x).relu()
        x = torch.add(x, self.second(x).relu(), alpha=0.5)
        return self.head(x.view(x.size(0), -1))


class ChangesItsInput(nn.Module):
    """The input is normalised in place."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone() if self.training else x.sub_(0.5).div_(2.0)
        return x + self.layer(x).relu()


class OwnStatistics(nn.Module):
    """Normalisations that use the statistics of the batch, whatever the mode."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.InstanceNorm2d(4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.batch_norm(self.conv(x), None, None, self.scale, None, training=True)
        return x + self.norm(y).relu()


class Conditioned(nn.Module):
    """A denoiser of (t, x): most layers lie behind the time t, and the residual modules behind x."""

    answer = ("identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(6)))
        self.scales = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        t = self.time(t)
        for layer, scale in zip(self.layers, self.scales, strict=True):
            x = x + layer(x * (1 + scale(t))).relu()
        return x


class Bytes(nn.Module):
    """Images of whole numbers, which are no ids."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.layer = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x.float() / 255)
        return x + self.layer(x).relu()


class Bag(nn.Module):
    """The stream begins with the mean of what is looked up."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.layer = nn.EmbeddingBag(11, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        return x + self.layer(x).relu()


class Waves(nn.Module):
    """Complex inputs."""

    answer = ("identity",)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.view_as_real(x).flatten(1)
        return y + self.layer(y).relu()


class Lowered(nn.Module):
    """Two blocks, one of them under torch.autocast, which is in a graph of its own."""

    answer = ("identity", "identity")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = x + self.layers[0](x).relu()
        return x + self.layers[1](x).relu()


IMAGES_4, IMAGES_8, IMAGES_3 = (torch.randn(3, c, 8, 8) for c in (4, 8, 3))
VECTORS, TOKENS = torch.randn(3, WIDTH), torch.randn(3, 4, WIDTH)

CASES: list[tuple[type[nn.Module], object]] = [
    (Identity, VECTORS),
    (InPlace, IMAGES_4),
    (ZeroPadded, IMAGES_4),
    (Highway, VECTORS),
    (Concatenative, VECTORS),
    (ParallelAttention, TOKENS),
    (FalseFriends, TOKENS),
    (InnerSums, IMAGES_8),
    (Tapped, VECTORS),
    (TwoStreams, VECTORS),
    (TwoTowers, {"a": VECTORS, "b": VECTORS + 1}),
    (Nested, VECTORS),
    (Shared, VECTORS),
    (Masked, {"ids": torch.arange(12).view(3, 4) % 11, "mask": torch.ones(3, 4, dtype=torch.long)}),
    (PostNorm, VECTORS),
    (SharedPreactivation, IMAGES_4),
    (Plain, IMAGES_3),
    (Subtracted, IMAGES_4),
    (ChangesItsInput, VECTORS),
    (Conditioned, {"t": VECTORS.flip(0), "x": VECTORS}),
    (Bytes, torch.arange(3 * 3 * 4 * 4, dtype=torch.uint8).view(3, 3, 4, 4)),
    (Bag, torch.arange(12).view(3, 4) % 11),
    (Lowered, VECTORS),
    (Waves, torch.randn(3, WIDTH // 2, dtype=torch.complex64)),
]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


class RecurrentWithHead(Recurrent):
    """Most of its layers are in a row, and none of them can be removed."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(super().forward(x))


class ReadsLength(nn.Module):
    """Reads the size of its batch as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.start = nn.Linear(WIDTH, WIDTH), nn.Parameter(torch.zeros(1, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return self.start.expand(len(x), WIDTH) + x + self.layer(x)


class Branches(nn.Module):
    """Two layers side by side, several times."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH // 2) for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.layers[::2], self.layers[1::2], strict=True):
            x = torch.cat([first(x).relu(), second(x).relu()], dim=-1)
        return x


class DataDependent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x + self.layer(x)
        return x


class Single(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Counting(nn.Module):
    """Keeps state of its own: a buffer that counts, an attribute that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)
        self.count = nn.Buffer(torch.zeros(()))
        self.calls = 0
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if not torch.compiler.is_exporting():
            self.count.add_(1)
            self.last = x
        return x + self.layer(x).relu()


class Lengthwise(nn.Module):
    """Does something else for long inputs, and for large batches, and by a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, WIDTH)
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, ids: Tensor, double: bool = False) -> Tensor:
        x = self.embedding(ids)
        x = x + self.layer(x).relu()
        if ids.shape[1] > 6:
            x = x * 2
        if ids.shape[0] > 16:
            x = x * 3
        return x * 2 if double else x


class Chosen(nn.Module):
    """A block, and two under torch.cond, whose operators the graph hides."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layers[0](x).relu()
        first, second = (lambda x, layer=layer: x + layer(x).relu() for layer in self.layers[1:])
        return torch.cond(x.sum() > 0, first, second, (x,))


class SideBySide(nn.Module):
    """A residual module, and a pair of classifiers whose outputs are added."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.first, self.second = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer(x).relu()
        return self.first(x) + self.second(x)


class FixedBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.layer(x)).view(2, WIDTH)
