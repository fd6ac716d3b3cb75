"""Forms that people write by hand, each with the number of residual modules that its author would count."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from survey import by_hand_audio as audio
from survey import by_hand_networks as networks
from survey import by_hand_segmentation as maps
from survey.by_hand_steps import FORMS, WIDTH, Block, Form, tokens, vectors
from survey.member import Member


def _steps(form: Form) -> nn.Module:
    return nn.Sequential(Block(form.step, form.layer), Block(form.step, form.layer)).eval()


def _network(made: Callable[[], nn.Module]) -> nn.Module:
    return made().eval()


def _of_step(form: Form) -> Member:
    return Member(
        *("by hand", form.family, f"two blocks: {form.family}", partial(_steps, form), form.example),
        *(form.modules, form.truth),
        kinds=form.kinds,
        refused=form.refused,
    )


def _whole(
    family: str,
    made: Callable[[], nn.Module],
    example: Callable[[], Any],
    modules: int,
    truth: str,
    **more: Any,
) -> Member:
    name = getattr(made, "__name__", family)
    return Member("by hand", family, name, partial(_network, made), example, modules, truth, **more)


def _pictures() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8)


def _large_pictures() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32)


def _sounds() -> torch.Tensor:
    return torch.randn(2, 1, 16)


def _two_vectors() -> tuple[torch.Tensor, ...]:
    return vectors(), vectors()


def _two_sequences() -> tuple[torch.Tensor, ...]:
    return tokens(), tokens()


def _encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True)
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.TransformerEncoder(layer, 2), nn.Linear(WIDTH, 3))


NETWORKS = [
    _whole(
        "cross-attention",
        networks.EncoderDecoder,
        _two_sequences,
        2 + 2 * 2,
        "One a block of the encoder, two a block of the decoder, cross-attention and MLP; 2 blocks each.",
    ),
    _whole(
        "class attention",
        networks.ClassAttention,
        tokens,
        4,
        "Two a block on the class token, attention and MLP; 2 blocks (Touvron et al. 2021).",
    ),
    _whole(
        "learned queries",
        networks.Queries,
        tokens,
        3,
        "Two a block, attention and MLP, 2 blocks; the first skip carries learned queries and nothing of the input.",
    ),
    _whole(
        "two inputs",
        networks.Diffusion,
        lambda: (tokens(), torch.randn(2, WIDTH)),
        4,
        "Two a block, attention and MLP, 2 blocks; the time shifts, scales and gates them (Peebles and Xie 2023).",
    ),
    _whole("towers", networks.Towers, _two_vectors, 4, "Two blocks in each of two towers."),
    _whole(
        "graph",
        networks.Graph,
        lambda: (tokens(), torch.rand(2, 5, 5)),
        2,
        "Two blocks of graph convolution, each with a skip.",
    ),
    _whole("shared layer", networks.Euler, vectors, 4, "Four steps x + h f(x) with one layer."),
    _whole("sum of all", networks.SumOfAll, vectors, 3, "Three layers, each added to all values before it."),
    _whole(
        "long skip", networks.LongSkip, vectors, 1, "One skip around two blocks (Lim et al. 2017).", nested=2
    ),
    _whole("pair of heads", networks.PairOfHeads, vectors, 1, "One block; two heads are averaged behind it."),
    _whole("two poolings", networks.TwoPoolings, tokens, 1, "One block; two poolings are added behind it."),
    _whole("option A", networks.OptionA, _pictures, 2, "Two blocks, the second with zeros in its skip."),
    _whole(
        "aggregation",
        networks.Aggregation,
        _pictures,
        2,
        "Two blocks in a tree; the pooled skip of the first is read by the root, too (Yu et al. 2018).",
    ),
    _whole(
        "dense",
        networks.DenseBlock,
        _pictures,
        3,
        "Three layers put their output beside their input (Huang et al. 2017).",
        kinds=(("concatenate", 3),),
    ),
    _whole(
        "dual path",
        networks.DualPath,
        _pictures,
        2,
        "Two blocks add to four channels and put two beside the others (Chen et al. 2017).",
        kinds=(("partial", 2),),
    ),
    _whole(
        "U-Net",
        networks.UNet,
        _pictures,
        1,
        "Two long skips, one inside the other (Ronneberger et al. 2015).",
        nested=1,
        kinds=(("concatenate", 2),),
    ),
    _whole(
        "complex",
        networks.Waves,
        lambda: torch.randn(3, WIDTH // 2, dtype=torch.complex64),
        1,
        "One block behind complex inputs.",
    ),
    _whole(
        "bytes",
        networks.Bytes,
        lambda: torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8),
        1,
        "One block behind images of whole numbers.",
    ),
    _whole("bag", networks.Bag, lambda: torch.randint(0, 11, (3, 4)), 1, "One block behind an EmbeddingBag."),
    _whole("autocast", networks.Lowered, vectors, 2, "Two blocks, the first in lower precision."),
    _whole("cond", networks.Turning, vectors, 2, "Two blocks in front of torch.cond."),
    _whole(
        "encoder of torch",
        _encoder,
        tokens,
        4,
        "Two a layer, attention and MLP; 2 layers (Vaswani et al. 2017).",
    ),
    _whole(
        "transformer of torch",
        networks.OwnTransformer,
        tokens,
        2 + 2 * 3,
        "Two a layer of the encoder (1), three a layer of the decoder (2) (Vaswani et al. 2017).",
    ),
    _whole(
        "recurrent",
        networks.Recurrent,
        tokens,
        0,
        "Two recurrent layers without skips.",
        refused="it is recurrent",
    ),
    _whole(
        "data-dependent",
        networks.Deciding,
        vectors,
        0,
        "Whether the block runs depends on the values.",
        refused="data-dependent control flow",
    ),
]

MAPS = [
    _whole(
        "U-Net with attention gates",
        maps.AttentionUNet,
        _large_pictures,
        4,
        "At each of four levels all of the decoder's signal stands beside what a gate lets pass of a long skip. The "
        "gate reads the signal: the signal goes around the gate, and the long skip around nothing (Oktay et al. 2018).",
        kinds=(("concatenate", 4),),
    ),
    _whole(
        "U-Net with attention on a coarser grid",
        maps.GridAttentionUNet,
        _large_pictures,
        1,
        "The long skip of the flattest level, around all that is deeper. Of the three others nothing passes whole: "
        "they are multiplied by what a deeper level computes, and projected (Oktay et al. 2018).",
        kinds=(("concatenate", 1),),
    ),
    _whole(
        "UNet++",
        maps.NestedUNet,
        _large_pictures,
        1,
        "The first value of the flattest level stands beside all that is made of it; inside of that, the value of the "
        "last level but one stands beside the last one's. What is inside the eight other concatenations is read by "
        "several (Zhou et al. 2018).",
        nested=1,
        kinds=(("concatenate", 2),),
    ),
    _whole(
        "UNet++, deep supervision",
        maps.SupervisedNestedUNet,
        _large_pictures,
        1,
        "The first output is measured, and one concatenation is in front of it: the flattest level beside what is made "
        "of it (Zhou et al. 2018).",
        kinds=(("concatenate", 1),),
    ),
    _whole(
        "UNet++, mean of heads",
        maps.AveragedNestedUNet,
        _large_pictures,
        1,
        "The value of the last level but one stands beside the last one's. What is inside the nine other "
        "concatenations is read by several, or by a head (Zhou et al. 2018).",
        kinds=(("concatenate", 1),),
    ),
    _whole(
        "U-Net on a ResNet",
        maps.ResNetUNet,
        _large_pictures,
        8,
        "The encoder has 4 stages of 2 blocks; the long skips go around these sums and are left as they are.",
    ),
    _whole(
        "LinkNet",
        maps.LinkNet,
        _large_pictures,
        3,
        "2 blocks, and a long skip around 2 blocks and a long skip, which goes around 2 blocks and one more long skip, "
        "which goes around 2 blocks (Chaurasia and Culurciello 2017).",
        nested=2 + 1 + 2 + 1 + 2,
    ),
    _whole(
        "feature pyramid",
        maps.FeaturePyramid,
        _large_pictures,
        8,
        "The encoder has 4 stages of 2 blocks. Each level of the pyramid is read by a head of its own, so that no sum "
        "of it keeps its branch to itself (Lin et al. 2017).",
    ),
    _whole(
        "V-Net",
        maps.VNet,
        lambda: torch.randn(2, 1, 16, 16, 16),
        9,
        "A sum around the convolutions of the first level, of four on the way down and of four on the way up; the "
        "concatenations go around these sums (Milletari et al. 2016).",
    ),
]

SOUNDS = [
    _whole(
        "WaveNet",
        audio.WaveNet,
        _sounds,
        4,
        "Four blocks, each of which adds to the stream and to a sum beside it. The first one begins that sum, and the "
        "last one adds to nothing else (van den Oord et al. 2016).",
        kinds=(("partial", 1), ("add", 3)),
    ),
    _whole(
        "WaveNet, scaled",
        audio.ScaledWaveNet,
        _sounds,
        4,
        "Four blocks as in WaveNet; the stream is scaled behind each, and the sum beside it is made in the end.",
        kinds=(("partial", 1), ("add", 3)),
    ),
    _whole(
        "DiffWave",
        audio.DiffWave,
        lambda: (_sounds(), torch.randn(2, 2)),
        3,
        "Three blocks as in WaveNet, which split one value into what they add in two places (Kong et al. 2021).",
        kinds=(("partial", 1), ("add", 2)),
    ),
]

MEMBERS: list[Member] = [*map(_of_step, FORMS), *NETWORKS, *MAPS, *SOUNDS]
