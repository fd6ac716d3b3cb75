"""Language models of `transformers` that predict the next token: decoders, mixtures of experts, state spaces."""

from __future__ import annotations

from typing import Any

from survey.from_configuration import (
    SHARED_KEYS,
    SPECIAL,
    TEXT,
    experts,
    ids,
    member,
    one_a_block,
    text,
    two_a_block,
)
from survey.member import Member

OF_GPT2 = {**SPECIAL, "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99}
HEADS: dict[str, Any] = {**SHARED_KEYS, "head_dim": 8}
FOUR_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
FOUR_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
LATENT = {
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8},
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    **{"moe_intermediate_size": 16, "first_k_dense_replace": 1},
}

DENSE: list[tuple[str, str, str, dict[str, Any]]] = [
    ("llama", "LlamaForCausalLM", "Touvron et al. 2023", SHARED_KEYS),
    ("mistral", "MistralForCausalLM", "Jiang et al. 2023", SHARED_KEYS),
    ("ministral", "MinistralForCausalLM", "Mistral AI 2024", HEADS),
    ("qwen2", "Qwen2ForCausalLM", "Yang et al. 2024", SHARED_KEYS),
    ("qwen3", "Qwen3ForCausalLM", "Yang et al. 2025", HEADS),
    ("gemma", "GemmaForCausalLM", "Gemma Team 2024", HEADS),
    ("gemma2", "Gemma2ForCausalLM", "Gemma Team 2024", HEADS),
    ("gemma3", "Gemma3ForCausalLM", "Gemma Team 2025", HEADS),
    ("phi3", "Phi3ForCausalLM", "Abdin et al. 2024", SHARED_KEYS),
    ("gpt2", "GPT2LMHeadModel", "Radford et al. 2019", OF_GPT2),
    ("gpt_bigcode", "GPTBigCodeForCausalLM", "Ben Allal et al. 2023", OF_GPT2),
    (
        "gpt_neo",
        "GPTNeoForCausalLM",
        "Black et al. 2021",
        {
            **{"hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 4, "vocab_size": 99},
            **{**SPECIAL, "attention_types": [[["global", "local"], 1]]},
        },
    ),
    ("openai", "OpenAIGPTLMHeadModel", "Radford et al. 2018", OF_GPT2),
    ("ctrl", "CTRLLMHeadModel", "Keskar et al. 2019", {**OF_GPT2, "dff": 64}),
    ("opt", "OPTForCausalLM", "Zhang et al. 2022", {**TEXT, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    (
        "bloom",
        "BloomForCausalLM",
        "BigScience 2022",
        {**SPECIAL, "hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99},
    ),
    (
        "mpt",
        "MptForCausalLM",
        "MosaicML 2023",
        {**SPECIAL, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 32, "vocab_size": 99},
    ),
    ("stablelm", "StableLmForCausalLM", "Bellagente et al. 2024", SHARED_KEYS),
    ("persimmon", "PersimmonForCausalLM", "Adept 2023", TEXT),
    ("olmo", "OlmoForCausalLM", "Groeneveld et al. 2024", SHARED_KEYS),
    ("olmo2", "Olmo2ForCausalLM", "OLMo Team 2025", SHARED_KEYS),
    ("granite", "GraniteForCausalLM", "IBM 2024", SHARED_KEYS),
    ("smollm3", "SmolLM3ForCausalLM", "Hugging Face 2025", SHARED_KEYS),
    ("starcoder2", "Starcoder2ForCausalLM", "Lozhkov et al. 2024", SHARED_KEYS),
    ("nemotron", "NemotronForCausalLM", "Parmar et al. 2024", SHARED_KEYS),
    ("glm", "GlmForCausalLM", "GLM Team 2024", HEADS),
    ("glm4", "Glm4ForCausalLM", "GLM Team 2025", HEADS),
    ("helium", "HeliumForCausalLM", "Kyutai 2025", HEADS),
    ("biogpt", "BioGptForCausalLM", "Luo et al. 2022", TEXT),
    (
        "xglm",
        "XGLMForCausalLM",
        "Lin et al. 2022",
        {
            **{**SPECIAL, "d_model": 32, "num_layers": 2, "attention_heads": 4},
            **{"ffn_dim": 64, "vocab_size": 99},
        },
    ),
    (
        "xlnet",
        "XLNetLMHeadModel",
        "Yang et al. 2019",
        {**SPECIAL, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64, "vocab_size": 99},
    ),
]

PARALLEL: list[tuple[str, str, str, dict[str, Any]]] = [
    ("gpt_neox", "GPTNeoXForCausalLM", "Black et al. 2022", TEXT),
    ("gptj", "GPTJForCausalLM", "Wang and Komatsuzaki 2021", {**OF_GPT2, "rotary_dim": 4}),
    ("codegen", "CodeGenForCausalLM", "Nijkamp et al. 2022", {**OF_GPT2, "rotary_dim": 4}),
    ("phi", "PhiForCausalLM", "Gunasekar et al. 2023", TEXT),
    ("falcon", "FalconForCausalLM", "Almazrouei et al. 2023", TEXT),
    ("cohere", "CohereForCausalLM", "Cohere 2024", SHARED_KEYS),
    ("cohere2", "Cohere2ForCausalLM", "Cohere 2024", SHARED_KEYS),
]

MIXTURES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("mixtral", "MixtralForCausalLM", "Jiang et al. 2024", {**SHARED_KEYS, **FOUR_LOCAL_EXPERTS}),
    (
        "qwen2_moe",
        "Qwen2MoeForCausalLM",
        "Yang et al. 2024",
        {**SHARED_KEYS, **FOUR_EXPERTS, "shared_expert_intermediate_size": 32},
    ),
    ("qwen3_moe", "Qwen3MoeForCausalLM", "Yang et al. 2025", {**HEADS, **FOUR_EXPERTS}),
    ("gpt_oss", "GptOssForCausalLM", "OpenAI 2025", {**HEADS, **FOUR_LOCAL_EXPERTS}),
    ("olmoe", "OlmoeForCausalLM", "Muennighoff et al. 2024", {**SHARED_KEYS, **FOUR_EXPERTS}),
    ("phimoe", "PhimoeForCausalLM", "Abdin et al. 2024", {**SHARED_KEYS, **FOUR_LOCAL_EXPERTS}),
    ("granitemoe", "GraniteMoeForCausalLM", "IBM 2024", {**SHARED_KEYS, **FOUR_LOCAL_EXPERTS}),
    ("deepseek_v2", "DeepseekV2ForCausalLM", "DeepSeek-AI 2024", {**TEXT, **LATENT}),
    ("deepseek_v3", "DeepseekV3ForCausalLM", "DeepSeek-AI 2024", {**TEXT, **LATENT}),
    (
        "minimax",
        "MiniMaxForCausalLM",
        "MiniMax 2025",
        {
            **{**HEADS, **FOUR_LOCAL_EXPERTS, "block_size": 4},
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
]

STATE_SPACE = {
    **{**SPECIAL, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    **{"time_step_rank": 4, "vocab_size": 99},
}
HYBRIDS: list[tuple[str, str, int, str, dict[str, Any]]] = [
    (
        "mamba",
        "MambaForCausalLM",
        2,
        "One a block, the selective state space; 2 blocks; inside each D x goes around the scan (Gu and Dao 2023).",
        STATE_SPACE,
    ),
    (
        "mamba2",
        "Mamba2ForCausalLM",
        2,
        "One a block, the state space with scalar decay; 2 blocks (Dao and Gu 2024).",
        {
            **{**SPECIAL, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "vocab_size": 99},
            **{"num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 4},
        },
    ),
    (
        "falcon_mamba",
        "FalconMambaForCausalLM",
        2,
        "One a block, the selective state space; 2 blocks; inside each D x goes around the scan (Zuo et al. 2024).",
        STATE_SPACE,
    ),
    (
        "rwkv",
        "RwkvForCausalLM",
        4,
        "Two a block, time mixing and channel mixing; 2 blocks (Peng et al. 2023).",
        {
            **{**SPECIAL, "hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2},
            **{"context_length": 32, "vocab_size": 99},
        },
    ),
    (
        "recurrent_gemma",
        "RecurrentGemmaForCausalLM",
        4,
        "Two a block, a linear recurrence or attention, and the MLP; 2 blocks (Botev et al. 2024).",
        {**HEADS, "lru_width": 32, "attention_window_size": 8, "block_types": ["recurrent", "attention"]},
    ),
    (
        "jamba",
        "JambaForCausalLM",
        4,
        "Two a block, a state space or attention, and MLP or experts; 2 blocks; inside the state space D x goes "
        "around the scan (Lieber et al. 2024).",
        {
            **{**SHARED_KEYS, "num_experts": 4, "attn_layer_period": 2, "attn_layer_offset": 1},
            **{
                "expert_layer_period": 2,
                "expert_layer_offset": 1,
                "mamba_d_state": 4,
                "use_mamba_kernels": False,
            },
        },
    ),
    (
        "bamba",
        "BambaForCausalLM",
        4,
        "Two a block, a state space or attention, and the MLP; 2 blocks (IBM 2024).",
        {
            **{**SHARED_KEYS, "attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8},
            **{"mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 4},
        },
    ),
    (
        "lfm2",
        "Lfm2ForCausalLM",
        4,
        "Two a block, a short convolution or attention, and the MLP; 2 blocks (Liquid AI 2025).",
        {**SHARED_KEYS, "layer_types": ["conv", "full_attention"]},
    ),
    (
        "qwen3_next",
        "Qwen3NextForCausalLM",
        4,
        "Two a block, gated linear attention or attention, and the experts; 2 blocks (Qwen Team 2025).",
        {
            **{**HEADS, **FOUR_EXPERTS, "shared_expert_intermediate_size": 16},
            **{"linear_key_head_dim": 8, "linear_value_head_dim": 8},
            **{"linear_num_key_heads": 2, "linear_num_value_heads": 4},
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    (
        "xlstm",
        "xLSTMForCausalLM",
        4,
        "Two a block, the matrix memory and the MLP; 2 blocks (Beck et al. 2024).",
        # The cache has heads for multiples of 64 channels, whatever the layers have.
        {**SPECIAL, "hidden_size": 128, "num_hidden_layers": 2, "num_heads": 4, "vocab_size": 99},
    ),
]

AROUND_SCANS = {"mamba": 2, "falcon_mamba": 2, "jamba": 1}
"""Inside a Mamba layer y = scan(x) + D x. In Mamba-2 what drives the scan is no function of its input x."""

DBRX = {
    **{**SPECIAL, "d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 32, "vocab_size": 99},
    "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
    "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2},
}
DECODERS: list[Member] = [
    *(member(name, model, 4, two_a_block(paper), options, text) for name, model, paper, options in DENSE),
    *(member(name, model, 2, one_a_block(paper), options, text) for name, model, paper, options in PARALLEL),
    *(member(name, model, 4, experts(paper), options, text) for name, model, paper, options in MIXTURES),
    *(
        member(name, model, modules, truth, options, ids, nested=AROUND_SCANS.get(name, 0))
        for name, model, modules, truth, options in HYBRIDS
    ),
    member(
        "dbrx",
        "DbrxForCausalLM",
        0,
        "Which experts run is decided by the values: only those that some token chose (Databricks 2024).",
        DBRX,
        text,
        refused="data-dependent",
    ),
]
