"""A tiny model of each family that the field trains, made from the family's own config."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 280
_LAYERS = 4
_DEVIATION = 0.3
"""Standard deviation of the weights: far from uniform, so that a wrong token or place shows."""

_SIZES: Mapping[str, object] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": _DEVIATION,
    "bos_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 2,
}
_EXPERTS: Mapping[str, object] = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
    "decoder_sparse_step": 1,
}
_DELTA: Mapping[str, object] = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_LATENT: Mapping[str, object] = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_group": 2,
    "topk_group": 1,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}
_MAMBA: Mapping[str, object] = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_chunk_size": 16,
}
_BAMBA: Mapping[str, object] = {**_MAMBA, "attn_layer_indices": [1, 3]}
_GRANITE_HYBRID: Mapping[str, object] = {
    **_EXPERTS,
    **_MAMBA,
    "layer_types": ["mamba", "attention"] * 2,
    "shared_intermediate_size": 24,
}
_ZAMBA2: Mapping[str, object] = {
    **_MAMBA,
    "n_mamba_heads": 8,
    "mamba_headdim": 8,
    "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
    "num_mem_blocks": 1,
    "num_key_value_heads": 4,
    "attention_head_dim": 16,
    "attention_hidden_size": 64,
}
_NEMOTRON_H: Mapping[str, object] = {
    **_EXPERTS,
    "layers_block_type": ["mamba", "attention", "moe", "mamba"],
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "ssm_state_size": 8,
    "chunk_size": 16,
    "n_shared_experts": 1,
    "moe_shared_expert_intermediate_size": 24,
    "n_group": 1,
    "topk_group": 1,
}
_STRETCHED: Mapping[str, object] = {
    "rope_type": "yarn",
    "rope_theta": 1_000_000.0,
    "factor": 2.0,
    "original_max_position_embeddings": 64,
    "max_position_embeddings": 128,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.1,
}
_ALTERNATING = ["linear_attention", "full_attention"] * (_LAYERS // 2)


@dataclass(frozen=True)
class Kind:
    """A family: its model type, and what its config needs beside the common sizes."""

    model_type: str
    more: Mapping[str, object] = field(default_factory=dict)
    hybrid: bool = False
    """Whether layers keep a recurrent state, which rounds more."""


FAMILIES: Mapping[str, Kind] = {
    "qwen3": Kind("qwen3"),
    "qwen3-tied": Kind("qwen3", {"tie_word_embeddings": True}),
    "qwen3-moe": Kind("qwen3_moe", {**_EXPERTS, "mlp_only_layers": []}),
    "qwen3-next": Kind(
        "qwen3_next", {**_EXPERTS, **_DELTA, "layer_types": _ALTERNATING}, hybrid=True
    ),
    "qwen3.5": Kind("qwen3_5_text", {**_DELTA, "layer_types": _ALTERNATING}, hybrid=True),
    "qwen3.5-moe": Kind(
        "qwen3_5_moe_text", {**_EXPERTS, **_DELTA, "layer_types": _ALTERNATING}, hybrid=True
    ),
    "qwen2": Kind("qwen2"),
    "qwen2-windowed": Kind(
        "qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}
    ),
    "llama3": Kind("llama", {"rope_theta": 500000.0}),
    "llama-biased": Kind("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama4": Kind("llama4_text", {**_EXPERTS, "intermediate_size_mlp": 48}),
    "gemma": Kind("gemma"),
    "gemma2": Kind("gemma2", {"sliding_window": 8, "query_pre_attn_scalar": 8}),
    "gemma3": Kind("gemma3_text", {"sliding_window": 8, "query_pre_attn_scalar": 8}),
    "gemma4": Kind(
        "gemma4_text",
        {
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": VOCABULARY,
            "global_head_dim": 8,
        },
    ),
    "mistral": Kind("mistral", {"sliding_window": 8}),
    "ministral": Kind("ministral", {"sliding_window": 8}),
    "ministral3": Kind("ministral3", {"rope_parameters": _STRETCHED}),
    "mixtral": Kind("mixtral", _EXPERTS),
    "gpt-oss": Kind("gpt_oss", {**_EXPERTS, "sliding_window": 8}),
    "olmo2": Kind("olmo2"),
    "olmoe": Kind("olmoe", _EXPERTS),
    "olmo-hybrid": Kind("olmo_hybrid", {**_DELTA, "layer_types": _ALTERNATING}, hybrid=True),
    "deepseek-v3": Kind("deepseek_v3", {**_EXPERTS, **_LATENT, "num_key_value_heads": 4}),
    "glm4-moe": Kind("glm4_moe", {**_EXPERTS, **_LATENT}),
    "granite": Kind("granite", {"logits_scaling": 8.0}),
    "cohere2": Kind("cohere2", {"sliding_window": 8}),
    "phi3": Kind("phi3"),
    "smollm3": Kind("smollm3"),
    "gpt2": Kind("gpt2", {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 128}),
    "bloom": Kind("bloom", {"n_layer": 4, "n_head": 4}),
    "bamba": Kind("bamba", {**_BAMBA, "mamba_n_groups": 1}, hybrid=True),
    "bamba-2-groups": Kind("bamba", {**_BAMBA, "mamba_n_groups": 2}, hybrid=True),
    "granite-hybrid": Kind(
        "granitemoehybrid", {**_GRANITE_HYBRID, "mamba_n_groups": 1}, hybrid=True
    ),
    "granite-hybrid-2-groups": Kind(
        "granitemoehybrid", {**_GRANITE_HYBRID, "mamba_n_groups": 2}, hybrid=True
    ),
    "zamba2": Kind("zamba2", {**_ZAMBA2, "mamba_ngroups": 1}, hybrid=True),
    "zamba2-2-groups": Kind("zamba2", {**_ZAMBA2, "mamba_ngroups": 2}, hybrid=True),
    "falcon-h1": Kind("falcon_h1", {**_MAMBA, "mamba_n_groups": 1, "mamba_d_ssm": 64}, hybrid=True),
    "falcon-h1-normed": Kind(
        "falcon_h1",
        {**_MAMBA, "mamba_n_groups": 1, "mamba_d_ssm": 64, "mamba_rms_norm": True},
        hybrid=True,
    ),
    "nemotron-h": Kind("nemotron_h", {**_NEMOTRON_H, "n_groups": 1}, hybrid=True),
    "nemotron-h-2-groups": Kind("nemotron_h", {**_NEMOTRON_H, "n_groups": 2}, hybrid=True),
    "jamba": Kind(
        "jamba",
        {
            **_EXPERTS,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "use_mamba_kernels": False,
        },
        hybrid=True,
    ),
    "lfm2": Kind("lfm2", {"layer_types": ["conv", "full_attention"] * 2}, hybrid=True),
    "recurrent-gemma": Kind(
        "recurrent_gemma", {"lru_width": 32, "attention_window_size": 64}, hybrid=True
    ),
    "xlstm": Kind(
        "xlstm",
        {
            "hidden_size": 128,  # of which it makes heads of at least 64 in all
            "num_heads": 4,
            "num_blocks": _LAYERS,
            "chunk_size": 16,
            "autocast_kernel_dtype": "float32",
        },
        hybrid=True,
    ),
    "mamba": Kind("mamba", {"state_size": 8}, hybrid=True),
    "mamba2": Kind(
        "mamba2", {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1}, hybrid=True
    ),
    "falcon-mamba": Kind("falcon_mamba", {"state_size": 8}, hybrid=True),
    "rwkv": Kind("rwkv", {"attention_hidden_size": 32, "context_length": 128}, hybrid=True),
}

MUST_RUN = (
    *("qwen3", "qwen3-moe", "qwen3-next", "qwen3.5", "llama3", "gemma3", "mistral", "gpt-oss"),
    *("olmo2", "deepseek-v3", "nemotron-h"),
)
"""Families that run from SFT to the audit."""


def tiny(family: str, seed: int = 0, **changed: object) -> PreTrainedModel:
    """Return a model of about fifty thousand weights, in fp32, ready to be sampled from."""
    kind = FAMILIES[family]
    config = AutoConfig.for_model(kind.model_type, **{**_SIZES, **kind.more, **changed})
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
