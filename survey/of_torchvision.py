"""torchvision: a member of every file that builds models, from the packages' own constructors.

Weights are random. Images are small: the structure does not depend on their size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from survey.member import Member
from unravelnet._extras import require

_IMAGES = 2


def _models() -> Any:
    return require("torchvision.models", "The survey")


def _named(name: str, **options: Any) -> Callable[[], nn.Module]:
    # Detectors and segmenters load the weights of their backbone unless told not to.
    backbone = {"weights_backbone": None} if _has_backbone(name) else {}
    return lambda: _models().get_model(name, weights=None, **backbone, **options)


def _has_backbone(name: str) -> bool:
    return any(part in name for part in ("fcn_", "deeplab", "lraspp", "rcnn", "retina", "fcos", "ssd"))


def _images(size: int = 64) -> Callable[[], Tensor]:
    return lambda: torch.randn(_IMAGES, 3, size, size)


def _clips(frames: int, size: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(_IMAGES, 3, frames, size, size)


def _densenet() -> nn.Module:
    return _models().DenseNet(block_config=(2, 3, 2, 2))


def _maxvit() -> nn.Module:
    sizes = {"stem_channels": 16, "block_channels": [16, 32], "head_dim": 16, "partition_size": 7}
    return _models().MaxVit(input_size=(112, 112), block_layers=[1, 2], stochastic_depth_prob=0.2, **sizes)


def _mvit() -> nn.Module:
    mvit = require("torchvision.models.video.mvit", "The survey")
    # Channels grow in the MLP of the first block, positions shrink in the attention of the second.
    blocks = [
        mvit.MSBlockConfig(1, 16, 32, [], [3, 3, 3], [], [1, 2, 2]),
        mvit.MSBlockConfig(2, 32, 32, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 1, 1]),
        mvit.MSBlockConfig(2, 32, 32, [], [3, 3, 3], [], [1, 1, 1]),
    ]
    return mvit.MViT(
        spatial_size=(32, 32),
        temporal_size=4,
        block_setting=blocks,
        residual_pool=False,
        residual_with_cls_embed=False,
        rel_pos_embed=False,
        proj_after_attn=False,
    )


def _member(
    family: str,
    model: str,
    modules: int,
    truth: str,
    *,
    make: Callable[[], nn.Module] | None = None,
    example: Callable[[], Any] | None = None,
    **others: Any,
) -> Member:
    return Member(
        "torchvision", family, model, make or _named(model), example or _images(), modules, truth, **others
    )


_NO_SKIP = "has no residual module that could be removed"
_SIDE_BY_SIDE = "The branches of a block are concatenated, and none of them is its input"
_DETECTS = "How many boxes a detector returns depends on the values in the images"


def _detector(family: str, model: str, paper: str) -> Member:
    return _member(
        family,
        model,
        0,
        f"{_DETECTS} ({paper}).",
        refused="cannot be captured",
    )


MEMBERS: tuple[Member, ...] = (
    _member(
        "alexnet", "alexnet", 7,
        "A row of 5 convolutions and 3 linear layers, the last of which is the head (Krizhevsky et al. 2012).",
        kinds=(("plain", 7),),
    ),
    _member(
        "vgg", "vgg11", 10,
        "A row of 8 convolutions and 3 linear layers, the last of which is the head (Simonyan and Zisserman 2014).",
        kinds=(("plain", 10),),
    ),
    _member("resnet", "resnet18", 8, "4 stages of 2 blocks (He et al. 2015)."),
    _member("resnet", "resnet152", 50, "Stages of 3, 8, 36 and 3 blocks (He et al. 2015).", example=_images(224)),
    _member("resnet", "resnext50_32x4d", 16, "Stages of 3, 4, 6 and 3 blocks (Xie et al. 2016)."),
    _member("resnet", "wide_resnet50_2", 16, "Stages of 3, 4, 6 and 3 blocks (Zagoruyko and Komodakis 2016)."),
    _member(
        "squeezenet", "squeezenet1_0", 0, f"{_SIDE_BY_SIDE} (Iandola et al. 2016, without bypass).", refused=_NO_SKIP
    ),
    _member(
        "densenet", "DenseNet", 9,
        "Blocks of 2, 3, 2 and 2 layers, each concatenated with all before it (Huang et al. 2016).",
        make=_densenet, kinds=(("concatenate", 9),),
    ),
    _member(
        "inception", "inception_v3", 0, f"{_SIDE_BY_SIDE} (Szegedy et al. 2015).",
        make=_named("inception_v3", init_weights=False), example=_images(96), refused=_NO_SKIP,
    ),
    _member(
        "googlenet", "googlenet", 0, f"{_SIDE_BY_SIDE} (Szegedy et al. 2014).",
        make=_named("googlenet", init_weights=False), refused=_NO_SKIP,
    ),
    _member(
        "shufflenetv2", "shufflenet_v2_x0_5", 0,
        "A unit concatenates half of its channels with a function of the other half, so that no branch reads what "
        "goes around it (Ma et al. 2018).",
        refused=_NO_SKIP,
    ),
    _member(
        "mobilenetv2", "mobilenet_v2", 10,
        "7 groups of 1, 2, 3, 4, 3, 3 and 1 blocks; all but the first of a group add their input (Sandler et al. "
        "2018).",
    ),
    _member(
        "mobilenetv3", "mobilenet_v3_small", 6,
        "11 blocks, of which 6 keep channels and size: 1 of 24, 2 of 40, 1 of 48 and 2 of 96 channels (Howard et al. "
        "2019).",
    ),
    _member(
        "mobilenetv3", "mobilenet_v3_large", 10,
        "15 blocks, of which 10 keep channels and size: 1 of 16, 1 of 24, 2 of 40, 3 of 80, 1 of 112 and 2 of 160 "
        "channels (Howard et al. 2019).",
    ),
    _member(
        "mnasnet", "mnasnet0_5", 10,
        "6 groups of 3, 3, 3, 2, 4 and 1 blocks; all but the first of a group add their input (Tan et al. 2018).",
    ),
    _member("regnet", "regnet_y_400mf", 16, "Stages of 1, 3, 6 and 6 blocks (Radosavovic et al. 2020)."),
    _member(
        "efficientnet", "efficientnet_b0", 9,
        "7 groups of 1, 2, 2, 3, 3, 4 and 1 blocks; all but the first of a group add their input (Tan and Le 2019).",
    ),
    _member(
        "efficientnet", "efficientnet_v2_s", 35,
        "6 groups of 2, 4, 4, 6, 9 and 15 blocks; all but the first of a group add their input, and the first group, "
        "which keeps 24 channels, adds twice (Tan and Le 2021).",
    ),
    _member("convnext", "convnext_tiny", 18, "Stages of 3, 3, 9 and 3 blocks (Liu et al. 2022)."),
    _member(
        "vision_transformer", "vit_b_16", 24, "12 blocks of an attention and an MLP (Dosovitskiy et al. 2020).",
        example=_images(224),
    ),
    _member(
        "swin_transformer", "swin_t", 24, "12 blocks of an attention and an MLP, 2, 2, 6 and 2 (Liu et al. 2021)."
    ),
    _member(
        "swin_transformer", "swin_v2_t", 24, "12 blocks of an attention and an MLP, 2, 2, 6 and 2 (Liu et al. 2022)."
    ),
    _member(
        "maxvit", "MaxVit", 15,
        "3 layers of an inverted bottleneck and two attentions, each with its MLP (Tu et al. 2022).",
        make=_maxvit, example=_images(112),
    ),
    _member("segmentation.fcn", "fcn_resnet50", 16, "A ResNet of 3, 4, 6 and 3 blocks (Long et al. 2015)."),
    _member(
        "segmentation.deeplabv3", "deeplabv3_resnet50", 16,
        "A ResNet of 3, 4, 6 and 3 blocks; the pyramid concatenates branches side by side (Chen et al. 2017).",
    ),
    _member(
        "segmentation.lraspp", "lraspp_mobilenet_v3_large", 3,
        "Of the 10 modules of MobileNetV3 the first 2 are in front of the value of 40 channels that the head adds to "
        "what is made of the last one; that sum goes around the other 8 (Howard et al. 2019).",
        nested=8,
    ),
    _member("video.resnet", "r3d_18", 8, "4 stages of 2 blocks (Tran et al. 2018).", example=_clips(4, 32)),
    _member("video.resnet", "mc3_18", 8, "4 stages of 2 blocks (Tran et al. 2018).", example=_clips(4, 32)),
    _member("video.resnet", "r2plus1d_18", 8, "4 stages of 2 blocks (Tran et al. 2018).", example=_clips(4, 32)),
    _member(
        "video.s3d", "s3d", 0, f"{_SIDE_BY_SIDE} (Xie et al. 2017).", example=_clips(16, 224), refused=_NO_SKIP
    ),
    _member(
        "video.mvit", "MViT", 6, "3 blocks of an attention and an MLP (Fan et al. 2021).",
        make=_mvit, example=_clips(4, 32),
    ),
    _member(
        "video.swin_transformer", "swin3d_t", 24,
        "12 blocks of an attention and an MLP, 2, 2, 6 and 2 (Liu et al. 2021).", example=_clips(4, 32),
    ),
    _member(
        "optical_flow.raft", "raft_small", 36,
        "6 blocks in each of two encoders; 12 updates, each of which mixes the hidden state with a new one by a gate, "
        "and adds to the flow (Teed and Deng 2020).",
        example=lambda: (torch.randn(_IMAGES, 3, 128, 128), torch.randn(_IMAGES, 3, 128, 128)),
        kinds=(("add", 24), ("gate", 12)),
    ),
    _detector("detection.faster_rcnn", "fasterrcnn_mobilenet_v3_large_320_fpn", "Ren et al. 2015"),
    _detector("detection.fcos", "fcos_resnet50_fpn", "Tian et al. 2019"),
    _detector("detection.keypoint_rcnn", "keypointrcnn_resnet50_fpn", "He et al. 2017"),
    _detector("detection.mask_rcnn", "maskrcnn_resnet50_fpn", "He et al. 2017"),
    _detector("detection.retinanet", "retinanet_resnet50_fpn", "Lin et al. 2017"),
    _detector("detection.ssd", "ssd300_vgg16", "Liu et al. 2015"),
    _detector("detection.ssdlite", "ssdlite320_mobilenet_v3_large", "Sandler et al. 2018"),
)  # fmt: skip
