"""Language models of `transformers` that read a text as a whole, and those of an encoder and a decoder."""

from __future__ import annotations

from typing import Any

from survey.from_configuration import SPECIAL, TEXT, ids, member, text, two_a_block, two_and_three, two_texts
from survey.member import Member

PLAIN: list[tuple[str, str, str, dict[str, Any]]] = [
    ("bert", "BertForSequenceClassification", "Devlin et al. 2019", TEXT),
    ("roberta", "RobertaForSequenceClassification", "Liu et al. 2019", TEXT),
    ("xlm_roberta", "XLMRobertaForSequenceClassification", "Conneau et al. 2020", TEXT),
    ("xlm_roberta_xl", "XLMRobertaXLForSequenceClassification", "Goyal et al. 2021", TEXT),
    (
        "distilbert",
        "DistilBertForSequenceClassification",
        "Sanh et al. 2019",
        {**SPECIAL, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4, "vocab_size": 99},
    ),
    ("electra", "ElectraForSequenceClassification", "Clark et al. 2020", {**TEXT, "embedding_size": 32}),
    ("deberta", "DebertaForSequenceClassification", "He et al. 2021", TEXT),
    (
        "deberta_v2",
        "DebertaV2ForSequenceClassification",
        "He et al. 2021",
        {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
    ("modernbert", "ModernBertForSequenceClassification", "Warner et al. 2024", TEXT),
    ("mpnet", "MPNetForSequenceClassification", "Song et al. 2020", TEXT),
    ("megatron_bert", "MegatronBertForSequenceClassification", "Shoeybi et al. 2019", TEXT),
    ("ernie", "ErnieForSequenceClassification", "Sun et al. 2020", TEXT),
    (
        "rembert",
        "RemBertForSequenceClassification",
        "Chung et al. 2021",
        {**TEXT, "input_embedding_size": 16},
    ),
    ("roformer", "RoFormerForSequenceClassification", "Su et al. 2021", {**TEXT, "embedding_size": 32}),
    ("esm", "EsmForSequenceClassification", "Lin et al. 2023", {**TEXT, "mask_token_id": 3}),
    ("layoutlm", "LayoutLMForSequenceClassification", "Xu et al. 2020", TEXT),
    ("visual_bert", "VisualBertModel", "Li et al. 2019", {**TEXT, "visual_embedding_dim": 16}),
    (
        "big_bird",
        "BigBirdForSequenceClassification",
        "Zaheer et al. 2020",
        {**TEXT, "attention_type": "original_full"},
    ),
    (
        "xlm",
        "XLMForSequenceClassification",
        "Lample and Conneau 2019",
        {**SPECIAL, "emb_dim": 32, "n_layers": 2, "n_heads": 4, "vocab_size": 99},
    ),
]

SPECIAL_ENCODERS: list[Member] = [
    member(
        "albert",
        "AlbertForSequenceClassification",
        4,
        "Two a block, attention and MLP; one block that is run twice (Lan et al. 2020).",
        {**TEXT, "embedding_size": 16, "num_hidden_groups": 1},
        text,
    ),
    member(
        "mobilebert",
        "MobileBertForSequenceClassification",
        2,
        "One a block around its bottleneck, 2 blocks; inside each attention and four MLPs (Sun et al. 2020).",
        {**TEXT, "embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
        text,
        nested=2 * (1 + 4),
    ),
    member(
        "fnet",
        "FNetForSequenceClassification",
        4,
        "Two a block, Fourier transform and MLP; 2 blocks (Lee-Thorp et al. 2022).",
        TEXT,
        ids,
    ),
    member(
        "funnel",
        "FunnelForSequenceClassification",
        4,
        "Two a block, attention and MLP; two stages of one block (Dai et al. 2020).",
        {
            **{**SPECIAL, "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64, "vocab_size": 99},
            "block_sizes": [1, 1],
        },
        lambda: ids(8),
    ),
    member(
        "convbert",
        "ConvBertForSequenceClassification",
        4,
        "Two a block, mixed attention and MLP; 2 blocks (Jiang et al. 2020).",
        {**TEXT, "embedding_size": 32},
        text,
    ),
    member(
        "squeezebert",
        "SqueezeBertForSequenceClassification",
        4,
        "Two a block, attention and MLP; 2 blocks (Iandola et al. 2020).",
        {**TEXT, "embedding_size": 32},
        text,
    ),
    member(
        "longformer",
        "LongformerForSequenceClassification",
        0,
        "It looks at the values of the mask to choose which attention runs (Beltagy et al. 2020).",
        {**TEXT, "attention_window": [4, 4]},
        lambda: ids(8),
        refused="data-dependent",
    ),
    member(
        "reformer",
        "ReformerForSequenceClassification",
        4,
        "Two a block, attention and MLP, 2 blocks; they are reversible: each half of the stream is added to a function "
        "of the other half (Kitaev et al. 2020).",
        {
            **{**SPECIAL, "hidden_size": 32, "feed_forward_size": 64, "num_attention_heads": 4},
            **{"attention_head_size": 8, "attn_layers": ["local", "local"], "local_attn_chunk_length": 4},
            **{"axial_pos_embds": False, "max_position_embeddings": 8, "vocab_size": 99, "is_decoder": False},
        },
        lambda: ids(8),
    ),
]

OF_T5 = {
    **{"d_model": 32, "d_kv": 8, "d_ff": 64, "num_heads": 4, "num_layers": 2, "num_decoder_layers": 2},
    **{"vocab_size": 99, "pad_token_id": 0, "decoder_start_token_id": 0},
}
OF_BART = {
    **{**SPECIAL, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": 99},
    **{"encoder_attention_heads": 4, "decoder_attention_heads": 4},
    **{"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "decoder_start_token_id": 2},
}
PAIRS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("t5", "T5ForConditionalGeneration", "Raffel et al. 2020", OF_T5),
    ("mt5", "MT5ForConditionalGeneration", "Xue et al. 2021", OF_T5),
    ("umt5", "UMT5ForConditionalGeneration", "Chung et al. 2023", OF_T5),
    ("bart", "BartForConditionalGeneration", "Lewis et al. 2020", OF_BART),
    ("mbart", "MBartForConditionalGeneration", "Liu et al. 2020", OF_BART),
    ("plbart", "PLBartForConditionalGeneration", "Ahmad et al. 2021", OF_BART),
    ("pegasus", "PegasusForConditionalGeneration", "Zhang et al. 2020", OF_BART),
    ("marian", "MarianMTModel", "Junczys-Dowmunt et al. 2018", OF_BART),
    ("m2m_100", "M2M100ForConditionalGeneration", "Fan et al. 2021", OF_BART),
    ("blenderbot", "BlenderbotForConditionalGeneration", "Roller et al. 2021", OF_BART),
    (
        "prophetnet",
        "ProphetNetForConditionalGeneration",
        "Qi et al. 2020",
        {
            **{**SPECIAL, "hidden_size": 32, "num_encoder_layers": 2, "num_decoder_layers": 2},
            **{"num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4, "vocab_size": 99},
            **{"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "decoder_start_token_id": 2},
        },
    ),
]

BEYOND_CAPTURE: list[Member] = [
    member(
        "switch_transformers",
        "SwitchTransformersForConditionalGeneration",
        0,
        "Its router gives its own weights another type inside its forward method (Fedus et al. 2022).",
        {**OF_T5, "num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
        two_texts,
        refused="self.classifier.to(self.dtype)",
    ),
    member(
        "fsmt",
        "FSMTForConditionalGeneration",
        0,
        "Whether it has a mask is decided by the values of the token ids (Ng et al. 2019).",
        {**OF_BART, "src_vocab_size": 99, "tgt_vocab_size": 99, "langs": ["en", "de"]},
        two_texts,
        refused="data-dependent",
    ),
]

ENCODERS: list[Member] = [
    *(member(name, model, 4, two_a_block(paper), options, text) for name, model, paper, options in PLAIN),
    *SPECIAL_ENCODERS,
    *(
        member(name, model, 2 * 2 + 2 * 3, two_and_three(paper), options, two_texts)
        for name, model, paper, options in PAIRS
    ),
    *BEYOND_CAPTURE,
]
