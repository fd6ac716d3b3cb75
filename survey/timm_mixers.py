"""Networks of timm with attention, or with another mixing of positions in its place."""

from __future__ import annotations

from torch import nn

from survey.member import Member
from survey.timm_member import library, member

_TWO_A_BLOCK = "an attention and an MLP"
_NARROW = {"depth": 2, "embed_dim": 64, "num_heads": 4}


def _mvit() -> nn.Module:
    room = library("timm.models.mvitv2")
    config = room.MultiScaleVitCfg(depths=(1, 1, 1, 1), embed_dim=(16, 32, 64, 128), num_heads=(1, 2, 4, 8))
    return room.MultiScaleVit(config, img_size=64)


def _focalnet() -> nn.Module:
    return library("timm.models.focalnet").FocalNet(depths=[1, 1, 2, 1], embed_dim=32)


def _gcvit() -> nn.Module:
    return library("timm.models.gcvit").GlobalContextVit(depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16))


def _mixer() -> nn.Module:
    return library("timm.models.mlp_mixer").MlpMixer(patch_size=32, num_blocks=2, embed_dim=64)


def _nest() -> nn.Module:
    return library("timm.models.nest").Nest(embed_dims=(24, 48, 96), num_heads=(3, 6, 12), depths=(1, 1, 2))


def _volo() -> nn.Module:
    sizes = {"embed_dims": (48, 96, 96, 96), "num_heads": (2, 4, 4, 4)}
    return library("timm.models.volo").VOLO(layers=(1, 1, 1, 1), **sizes)


MEMBERS: tuple[Member, ...] = (
    member("beit", "beit_base_patch16_224", 4, f"2 blocks of {_TWO_A_BLOCK} (Bao et al. 2021).",
           size=224, options=_NARROW),
    member("byoanet", "botnet26t_256", 8, "4 stages of 2 blocks (Srinivas et al. 2021).",
           options={"img_size": 64}),
    member("cait", "cait_xxs24_224", 8,
           f"2 blocks of {_TWO_A_BLOCK}, and 2 such for the class token (Touvron et al. 2021).",
           size=224, options={"depth": 2}),
    member("coat", "coat_lite_tiny", 12,
           f"4 blocks of a convolution that encodes positions, {_TWO_A_BLOCK} (Xu et al. 2021).",
           options={"serial_depths": (1, 1, 1, 1), "img_size": 64}),
    member("coat", "coat_tiny", 21,
           f"4 serial blocks of a convolution that encodes positions, {_TWO_A_BLOCK}, and one parallel block of the "
           "same three at each of 3 scales (Xu et al. 2021).",
           options={"serial_depths": (1, 1, 1, 1), "parallel_depth": 1, "img_size": 64}),
    member("convit", "convit_tiny", 4, f"2 blocks of {_TWO_A_BLOCK} (d'Ascoli et al. 2021).",
           size=224, options={"depth": 2, "local_up_to_layer": 1}),
    member("cpubone", "cpubone_nano", 9,
           "Stages 1 and 2 are one block that halves the map; stages 3 and 4 have 1 and 2 blocks of an attention, an "
           "MLP and a convolution (CPUBone)."),
    member("crossvit", "crossvit_tiny_240", 12,
           f"2 stages; in each, both streams have 1 block of {_TWO_A_BLOCK}, and each then attends to the other "
           "(Chen et al. 2021).",
           size=240, options={"depth": ((1, 1, 0), (1, 1, 0))}),
    member("csatv2", "csatv2", 8,
           f"4 convolutional blocks and 2 of {_TWO_A_BLOCK}. In each convolutional block a map of weights is made by "
           "a small transformer with a convolution that encodes positions: 3 modules inside; each attention has such "
           "a convolution: 1 inside (CSATv2).",
           nested=14, size=256, options={"depths": (1, 1, 2, 2), "transformer_depths": (0, 0, 1, 1)}),
    member("davit", "davit_tiny", 32,
           "4 stages of a spatial and a channel block; each is a convolution that encodes positions, an attention, a "
           "second such convolution and an MLP (Ding et al. 2022).",
           options={"depths": (1, 1, 1, 1)}),
    member("deepseek_vit", "deepseek_vit_412m", 4, f"2 blocks of {_TWO_A_BLOCK} (DeepSeek).",
           size=224, options=_NARROW),
    member("deit", "deit_tiny_distilled_patch16_224", 4,
           f"2 blocks of {_TWO_A_BLOCK}; the mean of two heads is no module (Touvron et al. 2020).",
           size=224, options={"depth": 2}),
    member("edgenext", "edgenext_xx_small", 5,
           "Stages of 1, 1, 2 and 1 blocks; the last of stages 2 to 4 has an attention inside its branch, with a skip "
           "of its own (Maaz et al. 2022).",
           nested=3, options={"depths": (1, 1, 2, 1)}),
    member("efficientformer", "efficientformer_l1", 10,
           "5 blocks of a mixing of positions and an MLP, the last with attention (Li et al. 2022).",
           size=224, options={"depths": (1, 1, 1, 2), "embed_dims": (16, 24, 32, 48)}),
    member("efficientformer_v2", "efficientformerv2_s0", 9,
           "Stages of 1, 1, 2 and 2 blocks; each is an MLP, the last of stages 3 and 4 an attention too, and stage 4 "
           "begins with an attention around which a convolution goes. In each of the 3 attentions a convolution of "
           "the values goes around, and the queries of the last add one to what they pool (Li et al. 2022).",
           nested=4, size=224, options={"depths": (1, 1, 2, 2), "num_vit": 1}),
    member("efficientvim", "efficientvim_m1", 16,
           "3 stages of 1 block with 4 modules, x + a (f(x) - x) with a learned number a, and two patch mergings with "
           "2 each (Lee et al. 2024).",
           options={"depths": (1, 1, 1)}),
    member("efficientvit_mit", "efficientvit_b0", 11,
           "1 block in the stem, 1 and 1 in stages 1 and 2, and 2 blocks of an attention and a convolution in stages 3 "
           "and 4 each; the attention concatenates its queries, keys and values with convolutions of them (Cai et al. "
           "2022).",
           nested=4, kinds=(("add", 11), ("concatenate", 4))),
    member("efficientvit_msra", "efficientvit_m0", 23,
           "3 blocks of two convolutions, two MLPs and an attention, and 4 modules before stages 2 and 3 each; an "
           "attention concatenates its first head with others that read it, one after the other (Liu et al. 2023).",
           nested=3, kinds=(("add", 23), ("concatenate", 3)), size=224, options={"depth": [1, 1, 1]}),
    member("eva", "eva02_tiny_patch14_224", 4, f"2 blocks of {_TWO_A_BLOCK} (Fang et al. 2023).",
           size=224, options={"depth": 2}),
    member("fastvit", "fastvit_t8", 12,
           "4 blocks of a mixing of positions and an MLP; the mixing takes a normalised value off a layer with a "
           "normalised identity, 2 modules inside; 4 layers of stem and transitions have such an identity (Vasu et "
           "al. 2023).",
           nested=8, options={"layers": (1, 1, 1, 1)}),
    member("fastvit", "fastvit_sa12", 13,
           "3 blocks of a mixing of positions and an MLP; the mixing takes a normalised value off a layer with a "
           "normalised identity, 2 modules inside; 4 layers of stem and transitions have such an identity; a "
           f"convolution that encodes positions, and a block of {_TWO_A_BLOCK} (Vasu et al. 2023).",
           nested=6, options={"layers": (1, 1, 1, 1)}),
    member("focalnet", "focalnet_tiny_srf", 10, "5 blocks of a focal modulation and an MLP (Yang et al. 2022).",
           make=_focalnet),
    member("gcvit", "gcvit_xxtiny", 27,
           f"8 blocks of {_TWO_A_BLOCK}; 1 convolutional block in the stem and before each of 3 stages; 3, 2, 1 and 1 "
           "where the queries of a stage are made (Hatamizadeh et al. 2022).",
           size=224, make=_gcvit),
    member("gemma4_vit", "gemma4_vit_167m", 4, f"2 blocks of {_TWO_A_BLOCK} (Gemma 4).",
           size=96, options=_NARROW | {"head_dim": 16, "intermediate_size": 128}),
    member("hiera", "hiera_tiny_224", 8, f"4 blocks of {_TWO_A_BLOCK} (Ryali et al. 2023).",
           size=224, options={"stages": (1, 1, 1, 1), "embed_dim": 32}),
    member("hieradet_sam2", "hieradet_small", 8, f"4 blocks of {_TWO_A_BLOCK} (Ravi et al. 2024).",
           size=224, options={"stages": (1, 1, 1, 1), "global_att_blocks": (), "embed_dim": 32}),
    member("iformer", "iformer_t", 9,
           "3 convolutional blocks, and 2 groups of a convolution that encodes positions, an attention and an MLP "
           "(Zheng 2025).",
           options={"depths": (1, 1, 4, 3), "attn_groups": (0, 0, 1, 1)}),
    member("levit", "levit_128s", 20,
           f"9 blocks of {_TWO_A_BLOCK}, and an MLP behind each of 2 attentions that shrink the map (Graham et al. "
           "2021).",
           size=224),
    member("lowformer", "lowformer_b0", 6,
           "Stages 1 and 2 are one block that halves the map; stages 3 and 4 have 1 block of an attention, an MLP and "
           "a convolution (Nottebaum et al. 2024).",
           options={"depth_list": [0, 1, 1, 1, 1]}),
    member("mambaout", "test_mambaout", 6, "Stages of 1, 1, 3 and 1 blocks (Yu and Wang 2024)."),
    member("maxxvit", "test_maxvit", 20,
           "4 blocks of an inverted bottleneck and two attentions, each with its MLP (Tu et al. 2022).", size=160),
    member("maxxvit", "test_coatnet", 8,
           f"2 stages of 1 convolutional block, and 3 blocks of {_TWO_A_BLOCK} (Dai et al. 2021).", size=160),
    member("metaformer", "poolformer_s12", 24, "12 blocks of a pooling and an MLP (Yu et al. 2021)."),
    member("mlp_mixer", "mixer_s32_224", 4,
           "2 blocks of an MLP of tokens and one of channels (Tolstikhin et al. 2021).",
           size=224, make=_mixer),
    member("mobilevit", "mobilevit_xxs", 21,
           f"1 and 2 inverted bottlenecks that keep their size, and 2, 4 and 3 blocks of {_TWO_A_BLOCK} in the last "
           "stages, around which a value goes that is concatenated (Mehta and Rastegari 2021)."),
    member("mvitv2", "MultiScaleVit", 8,
           f"4 blocks of {_TWO_A_BLOCK}; inside each attention the pooled queries go around (Li et al. 2021).",
           make=_mvit, nested=4),
    member("naflexvit", "naflexvit_base_patch16_gap", 4, f"2 blocks of {_TWO_A_BLOCK} (Dehghani et al. 2023).",
           options=_NARROW),
    member("nest", "nest_tiny", 8, f"4 blocks of {_TWO_A_BLOCK} (Zhang et al. 2021).",
           size=224, make=_nest),
    member("nextvit", "nextvit_small", 23,
           "7 convolutional blocks of an attention of convolutions and an MLP; 3 blocks of an attention, such an "
           "attention of convolutions and an MLP (Li et al. 2022).",
           options={"depths": (1, 2, 5, 2)}),
    member("pit", "pit_ti_224", 6, f"3 blocks of {_TWO_A_BLOCK} (Heo et al. 2021).",
           size=224, options={"depth": [1, 1, 1]}),
    member("pvt_v2", "pvt_v2_b0", 8, f"4 blocks of {_TWO_A_BLOCK} (Wang et al. 2021).",
           options={"depths": (1, 1, 1, 1)}),
    member("qwen3_vit", "qwen3_vit_88m", 4, f"2 blocks of {_TWO_A_BLOCK} (Qwen3-VL).", options=_NARROW),
    member("repvit", "repvit_m0_9", 17,
           "4 blocks of a mixing of positions and one of channels; each of 3 transitions is such a block and one more "
           "MLP (Wang et al. 2023).",
           options={"depth": (1, 1, 1, 1)}),
    member("sequencer", "sequencer2d_s", 8, "4 blocks of two LSTMs side by side and an MLP (Tatsunami and Taki 2022).",
           size=224, options={"layers": [1, 1, 1, 1]}),
    member("shvit", "shvit_s1", 16,
           "1 block of a convolution and an MLP, 2 with an attention too, and 4 modules before stages 2 and 3 each "
           "(Yun and Ro 2024).",
           options={"depth": (1, 1, 1)}),
    member("swiftformer", "swiftformer_xs", 13,
           "1 convolutional block, and 4 blocks of a convolution, an attention and an MLP; inside each attention the "
           "queries go around (Shaker et al. 2023).",
           nested=4, options={"layers": [2, 1, 1, 1]}),
    member("swin_transformer", "swin_tiny_patch4_window7_224", 10, f"5 blocks of {_TWO_A_BLOCK} (Liu et al. 2021).",
           options={"depths": (1, 1, 2, 1), "img_size": 64}),
    member("swin_transformer_v2", "swinv2_tiny_window8_256", 10, f"5 blocks of {_TWO_A_BLOCK} (Liu et al. 2022).",
           options={"depths": (1, 1, 2, 1), "img_size": 64}),
    member("swin_transformer_v2_cr", "swinv2_cr_tiny_224", 10, f"5 blocks of {_TWO_A_BLOCK} (Liu et al. 2022).",
           options={"depths": (1, 1, 2, 1), "img_size": 64}),
    member("tiny_vit", "tiny_vit_5m_224", 9,
           f"1 inverted bottleneck, and 4 blocks of {_TWO_A_BLOCK}; the convolution between them has no skip (Wu et "
           "al. 2022).",
           options={"depths": [1, 1, 2, 1]}),
    member("tnt", "tnt_s_patch16_224", 8,
           f"2 blocks of {_TWO_A_BLOCK} for pixels and the same for patches; what pixels add to patches is no function "
           "of the patches (Han et al. 2021).",
           size=224, options={"depth": 2}),
    member("twins", "twins_svt_small", 12,
           f"4 blocks of {_TWO_A_BLOCK}, and in each stage a convolution that encodes positions (Chu et al. 2021).",
           size=224, options={"depths": [1, 1, 1, 1]}),
    member("visformer", "visformer_tiny", 5,
           f"1 block of an MLP, and 2 of {_TWO_A_BLOCK} (Chen et al. 2021).",
           size=224, options={"depth": (1, 1, 1)}),
    member("vision_transformer", "vit_tiny_patch16_224", 4,
           f"2 blocks of {_TWO_A_BLOCK} (Dosovitskiy et al. 2020).", size=224, options={"depth": 2}),
    member("vision_transformer_hybrid", "vit_small_r26_s32_224", 12,
           f"A ResNet of 4 stages of 2 blocks, and 2 blocks of {_TWO_A_BLOCK} (Dosovitskiy et al. 2020).",
           size=224, options=_NARROW),
    member("vision_transformer_relpos", "vit_relpos_small_patch16_224", 4,
           f"2 blocks of {_TWO_A_BLOCK} (Dosovitskiy et al. 2020).", size=224, options=_NARROW),
    member("vision_transformer_sam", "samvit_base_patch16_224", 4,
           f"2 blocks of {_TWO_A_BLOCK} (Kirillov et al. 2023).",
           size=224, options=_NARROW | {"global_attn_indexes": [1]}),
    member("vitamin", "vitamin_small_224", 10,
           f"Stages of 2 and 4 convolutional blocks, and 2 blocks of {_TWO_A_BLOCK} (Chen et al. 2024).",
           size=224, options={"depth": 2}),
    member("volo", "volo_d1_224", 12,
           f"4 blocks of {_TWO_A_BLOCK}, and 2 such for the class token (Yuan et al. 2021).",
           size=224, make=_volo),
    member("xcit", "xcit_nano_12_p16_224", 10,
           "2 blocks of an attention, a convolution and an MLP, and 2 of an attention and an MLP for the class token "
           "(El-Nouby et al. 2021).",
           size=224, options={"depth": 2}),
)  # fmt: skip
