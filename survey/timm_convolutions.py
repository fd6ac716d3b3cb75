"""Networks of timm that are made of convolutions."""

from __future__ import annotations

from torch import nn

from survey.member import Member
from survey.timm_member import NO_SKIP, library, member

_SIDE_BY_SIDE = "The branches of a block are concatenated, and none of them is its input"


def _dual_path() -> nn.Module:
    return library("timm.models.dpn").DPN(
        k_sec=(1, 2, 1, 1), small=True, num_init_features=8, k_r=16, groups=4
    )


def _convmixer() -> nn.Module:
    return library("timm.models.convmixer").ConvMixer(dim=64, depth=3, kernel_size=7, patch_size=7)


def _rexnet() -> nn.Module:
    return library("timm.models.rexnet").RexNet(depth_mult=0.5)


MEMBERS: tuple[Member, ...] = (
    member(
        "byobnet", "test_byobnet", 4, "4 stages of 1 block, which goes around by a pooling and a convolution.",
    ),
    member(
        "byobnet", "repvgg_a0", 17,
        "Stages of 2, 4, 14 and 1 blocks; all but the first of a stage have an identity, which is normalised, around "
        "two convolutions (Ding et al. 2021).",
    ),
    member("convmixer", "convmixer_768_32", 3, "3 layers; each adds one convolution to its input, and the other "
           "not (Trockman and Kolter 2022).", make=_convmixer),
    member("convnext", "test_convnext", 9, "Stages of 1, 2, 4 and 2 blocks (Liu et al. 2022)."),
    member("cspnet", "cspresnet50", 13,
           "Stages of 3, 3, 5 and 2 blocks; what goes around a stage is the other half of the channels (Wang et al. "
           "2019)."),
    member("cspnext", "cspnext_tiny", 3,
           "4 stages of 1 block; the last stage adds nothing (Lyu et al. 2022)."),
    member("densenet", "densenet121", 6,
           "Blocks of 1, 2, 2 and 1 layers, each concatenated with all before it (Huang et al. 2016).",
           options={"block_config": (1, 2, 2, 1), "growth_rate": 8}, kinds=(("concatenate", 6),)),
    member("dla", "dla46_c", 12,
           "Levels 2 to 5 are trees of 1, 2, 2 and 1 levels with two blocks a leaf: 2 + 4 + 4 + 2 (Yu et al. 2017)."),
    member("dpn", "DPN", 5, "Stages of 1, 2, 1 and 1 blocks, the projections included (Chen et al. 2017).",
           make=_dual_path, kinds=(("partial", 5),)),
    member("efficientnet", "efficientnet_b0", 9,
           "7 groups of 1, 2, 2, 3, 3, 4 and 1 blocks; all but the first of a group add their input (Tan and Le "
           "2019)."),
    member("efficientnet", "efficientnet_lite0", 9,
           "7 groups of 1, 2, 2, 3, 3, 4 and 1 blocks; all but the first of a group add their input (Tan and Le "
           "2019, without gates)."),
    member("efficientnet", "mobilenetv2_100", 10,
           "7 groups of 1, 2, 3, 4, 3, 3 and 1 blocks; all but the first of a group add their input (Sandler et al. "
           "2018)."),
    member("fasternet", "fasternet_t0", 5, "Stages of 1, 2, 1 and 1 blocks (Chen et al. 2023).",
           options={"depths": (1, 2, 1, 1)}),
    member("ghostnet", "ghostnet_050", 16,
           "16 bottlenecks; in each are two ghost modules, which concatenate a value with a cheap function of it (Han "
           "et al. 2020).",
           nested=32, kinds=(("add", 16), ("concatenate", 32))),
    member("hardcorenas", "hardcorenas_a", 5,
           "6 groups; the second block of each but the first adds its input (Nayman et al. 2021)."),
    member("hgnet", "hgnetv2_b0", 5,
           "Stages of 1, 1, 2 and 1 blocks, each of which concatenates its input with the values of its layers; the "
           "second block of a stage also adds its input, around that concatenation (PaddleClas, PP-HGNetV2).",
           nested=1, kinds=(("add", 1), ("concatenate", 5))),
    member("hrnet", "hrnet_w18_small", 23,
           "1 bottleneck, 2 blocks in each of 2, 3 and 4 branches, and 4 bottlenecks in the head (Wang et al. 2019)."),
    member("inception_next", "inception_next_atto", 5, "Stages of 1, 1, 2 and 1 blocks (Yu et al. 2023).",
           options={"depths": (1, 1, 2, 1)}),
    member("inception_resnet_v2", "inception_resnet_v2", 40,
           "10, 20 and 10 blocks of the three kinds (Szegedy et al. 2016).", size=96),
    member("inception_v3", "inception_v3", 0, f"{_SIDE_BY_SIDE} (Szegedy et al. 2015).", size=96, refused=NO_SKIP),
    member("inception_v4", "inception_v4", 0, f"{_SIDE_BY_SIDE} (Szegedy et al. 2016).", size=96, refused=NO_SKIP),
    member("lcnetv2", "lcnetv2_small", 1,
           "Only the last stage may add its input, and does in the second of its two blocks (PaddleClas, PP-LCNetV2)."),
    member("mobilenetv3", "mobilenetv3_small_100", 6,
           "11 blocks, of which 6 keep channels and size: 1 of 24, 2 of 40, 1 of 48 and 2 of 96 channels (Howard et "
           "al. 2019)."),
    member("mobilenetv5", "mobilenetv5_base", 35,
           "Stages of 3, 5, 16 and 15 blocks; all but the first of a stage add their input (Gemma 3n).",
           size=128, options={"channel_multiplier": 0.25}),
    member("nasnet", "nasnetalarge", 18,
           "18 normal cells; in each one sum adds a function of the right input to that input, and the other sums join "
           "two functions or two inputs (Zoph et al. 2017).",
           size=96),
    member("nfnet", "test_nfnet", 4, "4 stages of 1 block (Brock et al. 2021)."),
    member("pnasnet", "pnasnet5large", 28,
           "14 cells; in each, two sums add a function of an input to its maxima over positions; a third one adds a "
           "function of a sum that the cell gives, too (Liu et al. 2017).",
           size=96),
    member("rdnet", "rdnet_tiny", 14,
           "7 stages of 2 layers, each concatenated with all before it (Kim et al. 2024).",
           options={"num_blocks_list": [2] * 7}, kinds=(("concatenate", 14),)),
    member("regnet", "regnetx_002", 13, "Stages of 1, 1, 4 and 7 blocks (Radosavovic et al. 2020)."),
    member("repghost", "repghostnet_050", 16,
           "16 bottlenecks; in each are two ghost modules with an identity, which is normalised, around a convolution "
           "(Chen et al. 2022).",
           nested=32),
    member("res2net", "res2net50_26w_4s", 5,
           "Stages of 1, 2, 1 and 1 blocks; sums inside a block join different groups of channels (Gao et al. 2019).",
           options={"layers": [1, 2, 1, 1]}),
    member("resnest", "resnest14d", 4, "4 stages of 1 block (Zhang et al. 2020)."),
    member("resnet", "resnet18", 8, "4 stages of 2 blocks (He et al. 2015)."),
    member("resnetv2", "resnetv2_50", 5, "Stages of 1, 2, 1 and 1 blocks (He et al. 2016).",
           options={"layers": (1, 2, 1, 1)}),
    member("rexnet", "RexNet", 5,
           "Groups of 1, 1, 1, 2, 2 and 3 blocks; those that keep the size of the map add their input to its first "
           "channels: 1 of the fourth, 2 of the fifth and 2 of the last group (Han et al. 2020).",
           make=_rexnet, kinds=(("partial", 5),)),
    member("selecsls", "selecsls42", 6,
           "3 pairs of blocks; the first of a pair concatenates its first value with what follows from it, the second "
           "also the output of the first (Mehta et al. 2020).",
           kinds=(("concatenate", 6),)),
    member("senet", "legacy_seresnet18", 8, "4 stages of 2 blocks (Hu et al. 2017)."),
    member("sknet", "skresnet18", 8, "4 stages of 2 blocks (Li et al. 2019)."),
    member("starnet", "starnet_s050", 6, "Stages of 1, 1, 3 and 1 blocks (Ma et al. 2024)."),
    member("tresnet", "tresnet_m", 4, "4 stages of 1 block (Ridnik et al. 2020).",
           options={"layers": [1, 1, 1, 1]}),
    member("vgg", "vgg11", 10,
           "A row of 8 convolutions and 3 linear layers, the last of which is the head (Simonyan and Zisserman 2014).",
           kinds=(("plain", 10),)),
    member("vovnet", "ese_vovnet39b", 6,
           "Stages of 1, 1, 2 and 2 blocks, each of which concatenates its input with the values of its layers; the "
           "second block of a stage also adds its input, around that concatenation (Lee and Park 2020).",
           nested=2, kinds=(("add", 2), ("concatenate", 6))),
    member("xception", "legacy_xception", 12, "12 blocks with a skip (Chollet 2016).", size=96),
    member("xception_aligned", "xception41", 12,
           "3 blocks of the entry flow, 8 of the middle flow and the first of the exit flow; the last has no skip "
           "(Chen et al. 2018).", size=96),
)  # fmt: skip
