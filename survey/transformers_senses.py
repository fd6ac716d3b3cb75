"""Models of `transformers` for images, videos, sounds and time series, and those that read two kinds of input."""

from __future__ import annotations

from typing import Any

import torch

from survey.from_configuration import (
    IMAGES,
    SMALL,
    SPECIAL,
    TEXT,
    ids,
    images,
    images_and_texts,
    member,
    two_a_block,
    waves,
)
from survey.member import Member

VISION: list[tuple[str, str, str, dict[str, Any]]] = [
    ("vit", "ViTForImageClassification", "Dosovitskiy et al. 2021", IMAGES),
    ("deit", "DeiTForImageClassification", "Touvron et al. 2021", IMAGES),
    ("beit", "BeitForImageClassification", "Bao et al. 2022", IMAGES),
    ("data2vec", "Data2VecVisionForImageClassification", "Baevski et al. 2022", IMAGES),
    ("dinov2", "Dinov2ForImageClassification", "Oquab et al. 2023", {**IMAGES, "mlp_ratio": 2}),
    (
        "dinov2_with_registers",
        "Dinov2WithRegistersForImageClassification",
        "Darcet et al. 2024",
        {**IMAGES, "mlp_ratio": 2},
    ),
    ("dinov3_vit", "DINOv3ViTModel", "Siméoni et al. 2025", IMAGES),
    ("vit_msn", "ViTMSNForImageClassification", "Assran et al. 2022", IMAGES),
    ("ijepa", "IJepaForImageClassification", "Assran et al. 2023", IMAGES),
    (
        "yolos",
        "YolosForObjectDetection",
        "Fang et al. 2021",
        {**IMAGES, "image_size": [32, 32], "num_detection_tokens": 5},
    ),
]

STAGES = {
    "embed_dim": 8,
    "depths": [1, 2],
    "num_heads": [1, 2],
    "window_size": 2,
    "image_size": 32,
    "patch_size": 4,
}
PYRAMIDS = [
    member(
        "swin",
        "SwinForImageClassification",
        6,
        "Two a block, windowed attention and MLP; stages of 1 and 2 blocks (Liu et al. 2021).",
        STAGES,
        images,
    ),
    member(
        "swinv2",
        "Swinv2ForImageClassification",
        6,
        "Two a block, windowed attention and MLP; stages of 1 and 2 blocks (Liu et al. 2022).",
        STAGES,
        images,
    ),
    member(
        "convnext",
        "ConvNextForImageClassification",
        5,
        "One a block; stages of 1, 1, 2 and 1 blocks (Liu et al. 2022).",
        {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 2, 1]},
        lambda: images(64),
    ),
    member(
        "convnextv2",
        "ConvNextV2ForImageClassification",
        5,
        "One a block; stages of 1, 1, 2 and 1 blocks (Woo et al. 2023).",
        {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 2, 1]},
        lambda: images(64),
    ),
    member(
        "segformer",
        "SegformerForImageClassification",
        8,
        "Two a block, attention and mixing MLP; four stages of one block (Xie et al. 2021).",
        {
            **{"num_encoder_blocks": 4, "depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16]},
            **{"num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 16},
        },
        lambda: images(64),
    ),
    member(
        "pvt",
        "PvtForImageClassification",
        8,
        "Two a block, attention and MLP; four stages of one block (Wang et al. 2021).",
        {
            **{"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2]},
            "image_size": 64,
        },
        lambda: images(64),
    ),
    member(
        "cvt",
        "CvtForImageClassification",
        12,
        "Two a block, convolutional attention and MLP; stages of 1, 2 and 3 blocks (Wu et al. 2021).",
        {"embed_dim": [8, 16, 16], "num_heads": [1, 2, 2], "depth": [1, 2, 3]},
        lambda: images(64),
    ),
    member(
        "levit",
        "LevitForImageClassification",
        8,
        "Two a block, attention and MLP, in three stages of one block; an MLP behind each of two reductions "
        "(Graham et al. 2021).",
        {
            **{"image_size": 64, "hidden_sizes": [16, 32, 48], "num_attention_heads": [2, 2, 2]},
            **{"depths": [1, 1, 1], "key_dim": [8, 8, 8]},
        },
        lambda: images(64),
    ),
    member(
        "focalnet",
        "FocalNetForImageClassification",
        6,
        "Two a block, focal modulation and MLP; stages of 1 and 2 blocks (Yang et al. 2022).",
        {**{"image_size": 32, "patch_size": 4, "embed_dim": 8, "hidden_sizes": [8, 16]}, "depths": [1, 2]},
        images,
    ),
    member(
        "poolformer",
        "PoolFormerForImageClassification",
        8,
        "Two a block, pooling and MLP; four stages of one block (Yu et al. 2022).",
        {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16]},
        lambda: images(64),
    ),
    member(
        "resnet",
        "ResNetForImageClassification",
        3,
        "One a block; stages of 1 and 2 blocks (He et al. 2016).",
        {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2]},
        images,
    ),
    member(
        "regnet",
        "RegNetForImageClassification",
        3,
        "One a block; stages of 1 and 2 blocks (Radosavovic et al. 2020).",
        {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2], "groups_width": 8},
        images,
    ),
    member(
        "bit",
        "BitForImageClassification",
        3,
        "One a block; stages of 1 and 2 blocks (Kolesnikov et al. 2020).",
        {"embedding_size": 32, "hidden_sizes": [32, 64], "depths": [1, 2], "num_groups": 8},
        images,
    ),
    member(
        "mobilenet_v2",
        "MobileNetV2ForImageClassification",
        10,
        "17 blocks; 10 of them keep size and width, and only these have a skip (Sandler et al. 2018).",
        {"depth_multiplier": 0.35, "image_size": 64},
        lambda: images(64),
    ),
    member(
        "detr",
        "DetrForObjectDetection",
        2 + 2 + (3 + 1),
        "One a block of the ResNet (2), two a block of the encoder (1); the decoder has 2 blocks of three, but the "
        "first two skips start from learned queries and carry nothing of the image (Carion et al. 2020).",
        {
            **{"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "num_queries": 5},
            **{"encoder_attention_heads": 4, "decoder_attention_heads": 4},
            **{"encoder_ffn_dim": 64, "decoder_ffn_dim": 64},
            "backbone_config": (
                "ResNetConfig",
                {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 1], "out_features": ["stage2"]},
            ),
        },
        lambda: {**images(), "pixel_mask": torch.ones(2, 32, 32, dtype=torch.long)},
    ),
    member(
        "vit_mae",
        "ViTMAEForPreTraining",
        0,
        "It hides patches at random, in evaluation mode, too (He et al. 2022).",
        {
            **{**IMAGES, "decoder_hidden_size": 16, "decoder_num_hidden_layers": 1},
            **{"decoder_num_attention_heads": 2, "decoder_intermediate_size": 32},
        },
        images,
        refused="at random",
    ),
]

OF_WAVES = {
    **{**SMALL, **SPECIAL, "vocab_size": 32, "conv_dim": (16, 16), "conv_stride": (5, 2)},
    **{"conv_kernel": (10, 3), "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2},
    "num_feat_extract_layers": 2,
}


def _of_waves(paper: str) -> str:
    return (
        "Two a block, attention and MLP, 2 blocks; in front of them the convolution that embeds positions is added "
        f"to its input ({paper})."
    )


TIME: list[Member] = [
    member(
        "videomae",
        "VideoMAEForVideoClassification",
        4,
        two_a_block("Tong et al. 2022"),
        {**IMAGES, "num_frames": 4, "tubelet_size": 2},
        lambda: {"pixel_values": torch.randn(2, 4, 3, 32, 32)},
    ),
    member(
        "vivit",
        "VivitForVideoClassification",
        4,
        two_a_block("Arnab et al. 2021"),
        {**IMAGES, "num_frames": 4, "tubelet_size": [2, 8, 8]},
        lambda: {"pixel_values": torch.randn(2, 4, 3, 32, 32)},
    ),
    member(
        *("timesformer", "TimesformerForVideoClassification", 6),
        "Attention over time (without the class token) and over space, and MLP; 2 blocks (Bertasius et al. 2021).",
        {**IMAGES, "num_frames": 2},
        lambda: {"pixel_values": torch.randn(2, 2, 3, 32, 32)},
        kinds=(("add", 4), ("partial", 2)),
    ),
    *(
        member(family, model, 5, _of_waves(paper), OF_WAVES, waves)
        for family, model, paper in (
            ("wav2vec2", "Wav2Vec2ForCTC", "Baevski et al. 2020"),
            ("hubert", "HubertForCTC", "Hsu et al. 2021"),
            ("wavlm", "WavLMForCTC", "Chen et al. 2022"),
            ("unispeech", "UniSpeechForCTC", "Wang et al. 2021"),
        )
    ),
    member(
        "sew",
        "SEWForCTC",
        5,
        _of_waves("Wu et al. 2022; it pools its input there"),
        {**OF_WAVES, "squeeze_factor": 2},
        waves,
    ),
    member(
        "wav2vec2_conformer",
        "Wav2Vec2ConformerForCTC",
        8,
        "Four a block, half an MLP, attention, a convolution and half an MLP; 2 blocks (Gulati et al. 2020).",
        OF_WAVES,
        waves,
    ),
    member(
        "audio_spectrogram_transformer",
        "ASTForAudioClassification",
        4,
        two_a_block("Gong et al. 2021"),
        {
            **SMALL,
            "patch_size": 8,
            "frequency_stride": 8,
            "time_stride": 8,
            "max_length": 32,
            "num_mel_bins": 16,
        },
        lambda: {"input_values": torch.randn(2, 32, 16)},
    ),
    member(
        "whisper",
        "WhisperForConditionalGeneration",
        10,
        "Two a block of the encoder, attention and MLP; three of the decoder, with cross-attention; 2 blocks each "
        "(Radford et al. 2023).",
        {
            **{**SPECIAL, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": 99},
            **{"encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_mel_bins": 16},
            **{"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_source_positions": 10},
            "decoder_start_token_id": 1,
        },
        lambda: {"input_features": torch.randn(2, 16, 20), "decoder_input_ids": torch.randint(3, 99, (2, 4))},
    ),
    member(
        "speech_to_text",
        "Speech2TextForConditionalGeneration",
        10,
        "Two a block of the encoder, attention and MLP; three of the decoder, with cross-attention; 2 blocks each "
        "(Wang et al. 2020).",
        {
            **{**SPECIAL, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": 99},
            **{"encoder_attention_heads": 4, "decoder_attention_heads": 4, "conv_channels": 16},
            **{"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "input_feat_per_channel": 8},
            "decoder_start_token_id": 1,
        },
        lambda: {"input_features": torch.randn(2, 20, 8), "decoder_input_ids": torch.randint(3, 99, (2, 4))},
    ),
    member(
        "patchtst",
        "PatchTSTForClassification",
        4,
        two_a_block("Nie et al. 2023"),
        {
            **{"num_input_channels": 2, "context_length": 16, "patch_length": 4, "patch_stride": 4},
            **{"d_model": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64},
        },
        lambda: {"past_values": torch.randn(2, 16, 2)},
    ),
]

OF_TOWERS = {
    "text_config": {**TEXT, "max_position_embeddings": 8, "projection_dim": 16},
    "vision_config": {**IMAGES, "projection_dim": 16},
    "projection_dim": 16,
}
TWO_KINDS: list[Member] = [
    *(
        member(
            family,
            model,
            8,
            f"Two a block, attention and MLP; 2 blocks in each of the two towers ({paper}).",
            OF_TOWERS,
            images_and_texts,
        )
        for family, model, paper in (
            ("clip", "CLIPModel", "Radford et al. 2021"),
            ("chinese_clip", "ChineseCLIPModel", "Yang et al. 2022"),
            ("altclip", "AltCLIPModel", "Chen et al. 2022"),
            ("blip", "BlipModel", "Li et al. 2022"),
        )
    ),
    member(
        "siglip",
        "SiglipModel",
        9,
        "Two a block, attention and MLP, 2 blocks in each of the two towers; an MLP with a skip behind the pooling of "
        "the images (Zhai et al. 2023).",
        OF_TOWERS,
        images_and_texts,
    ),
    member(
        "vilt",
        "ViltModel",
        0,
        "How it resizes the positions of an image is decided by the values of a mask of pixels (Kim et al. 2021).",
        {**IMAGES, **TEXT},
        images_and_texts,
        refused="data-dependent",
    ),
    member(
        "lxmert",
        "LxmertModel",
        2 + 2 + 6,
        "Two a block, one block for texts and one for objects; then one block that has cross-attention, "
        "self-attention and MLP for each (Tan and Bansal 2019).",
        dict(TEXT, l_layers=1, r_layers=1, x_layers=1, visual_feat_dim=16, visual_pos_dim=4),
        lambda: {**ids(), "visual_feats": torch.randn(2, 3, 16), "visual_pos": torch.rand(2, 3, 4)},
    ),
    member(
        "perceiver",
        "PerceiverModel",
        5,
        "Two a block, attention and MLP, 2 blocks; the cross-attention in front starts from learned latents, so that "
        "only its MLP has a skip (Jaegle et al. 2021).",
        {
            **{"num_latents": 8, "d_latents": 32, "d_model": 32, "num_blocks": 1},
            **{
                "num_self_attends_per_block": 2,
                "num_self_attention_heads": 4,
                "num_cross_attention_heads": 4,
            },
        },
        lambda: {"inputs": torch.randn(2, 6, 32)},
    ),
]

SENSES: list[Member] = [
    *(member(name, model, 4, two_a_block(paper), options, images) for name, model, paper, options in VISION),
    *PYRAMIDS,
    *TIME,
    *TWO_KINDS,
]
