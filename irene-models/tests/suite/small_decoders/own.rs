//! The fields of each family's config beside the sizes that all share.

use serde_json::{Value, json};

use super::{Draw, POSITIONS};

/// Llamas with another norm, window, bias or width.
pub(super) fn llamas(family: &str, draw: &Draw) -> Option<Value> {
    let &Draw { layers, on, window, .. } = draw;
    let width = draw.width();
    Some(match family {
        "llama" => json!({"attention_bias": on[2], "mlp_bias": on[3], "head_dim": width}),
        "mistral" | "ministral" | "mixtral" | "starcoder2" | "phi3" => json!({"sliding_window": window}),
        "ministral3" => {
            json!({"head_dim": width, "sliding_window": window, "rope_parameters": {"rope_type": "yarn", "factor": 4.0,
            "rope_theta": 500.0, "original_max_position_embeddings": 5, "llama_4_scaling_beta": if on[2] { 0.5 } else { 0.0 }}})
        }
        "olmo2" => json!({}),
        "olmo3" | "exaone4" | "cohere2" => {
            let kinds = ["sliding_attention", "full_attention"];
            let types: Vec<&str> = kinds.into_iter().cycle().take(layers).collect();
            json!({"sliding_window": window.unwrap_or(4), "layer_types": types, "logit_scale": 0.5})
        }
        "ernie4_5" => json!({"head_dim": width, "use_bias": on[2]}),
        "seed_oss" => json!({"head_dim": width, "attention_bias": on[2], "attention_out_bias": on[3]}),
        "glm" | "glm4" => json!({"head_dim": width, "attention_bias": on[2]}),
        "smollm3" => {
            json!({"head_dim": width + 2, "no_rope_layer_interval": 2, "use_sliding_window": on[2], "sliding_window": window})
        }
        "qwen2" => json!({"sliding_window": window, "use_sliding_window": on[2], "max_window_layers": 1}),
        "qwen3" => {
            json!({"head_dim": width + 2, "sliding_window": window, "use_sliding_window": on[2], "max_window_layers": 0})
        }
        "gemma" => json!({"head_dim": width + 2}),
        "gemma2" | "vaultgemma" => {
            json!({"head_dim": width, "query_pre_attn_scalar": 7, "sliding_window": window.unwrap_or(5),
            "attn_logit_softcapping": if on[2] { json!(5.0) } else { Value::Null }, "final_logit_softcapping": 3.0})
        }
        "gemma3_text" => json!({"head_dim": width, "query_pre_attn_scalar": 7, "sliding_window": window.unwrap_or(4),
            "sliding_window_pattern": 2, "rope_local_base_freq": 100.0}),
        "apertus" => json!({"hidden_act": "xielu", "attention_bias": on[2]}),
        "arcee" => json!({"head_dim": width, "mlp_bias": on[2]}),
        "cwm" => json!({"head_dim": width, "sliding_window": window}),
        "helium" => json!({"head_dim": width, "attention_bias": on[2], "mlp_bias": on[3]}),
        "hunyuan_v1_dense" if on[2] => {
            let stretched = json!({"rope_type": "dynamic", "rope_theta": 500.0, "factor": 1.0, "alpha": 20.0});
            json!({"head_dim": width + 2, "rope_parameters": stretched})
        }
        "hunyuan_v1_dense" => json!({"attention_bias": on[3]}),
        _ => return None,
    })
}

/// Models with blocks, positions or names of their own.
pub(super) fn unlike_llama(family: &str, draw: &Draw) -> Option<Value> {
    let &Draw { layers, groups, inner, on, window, .. } = draw;
    let (hidden, heads, width) = (draw.hidden(), draw.heads(), draw.width());
    Some(match family {
        "cohere" => json!({"logit_scale": 2.0, "attention_bias": on[2]}),
        "gemma4_text" => {
            json!({"head_dim": width, "global_head_dim": width + 2, "sliding_window": window.unwrap_or(4),
            "layer_types": (0..layers).map(|place| if place % 2 == 0 { "sliding_attention" } else { "full_attention" }).collect::<Vec<_>>(),
            "attention_k_eq_v": on[2], "num_global_key_value_heads": 1, "final_logit_softcapping": 3.0, "rope_parameters": null,
            "hidden_size_per_layer_input": if on[1] { 4 } else { 0 }, "vocab_size_per_layer_input": 30,
            "num_kv_shared_layers": usize::from(layers > 2), "use_double_wide_mlp": on[0], "enable_moe_block": on[3], "num_experts": 5, "top_k_experts": 2,
            "moe_intermediate_size": 6})
        }
        "phi" => json!({"partial_rotary_factor": 0.5, "qk_layernorm": on[2], "num_attention_heads": heads}),
        "gpt_neox" => json!({"rotary_pct": 0.5, "use_parallel_residual": on[2], "attention_bias": on[3]}),
        "falcon" => {
            let groups = if on[3] && !on[2] { 1 } else { groups };
            json!({"num_kv_heads": groups, "new_decoder_architecture": on[2], "multi_query": on[3], "parallel_attn": on[1],
            "alibi": window.is_some(), "bias": on[0], "ffn_hidden_size": inner})
        }
        "olmo" => json!({"clip_qkv": on[2].then_some(1.0), "attention_bias": on[3]}),
        "stablelm" => {
            json!({"partial_rotary_factor": 0.5, "use_qkv_bias": on[2], "use_parallel_residual": on[3]})
        }
        "nemotron" => json!({"partial_rotary_factor": 0.5, "attention_bias": on[2], "mlp_bias": on[3]}),
        "gpt_bigcode" => {
            json!({"n_embd": hidden, "n_layer": layers, "n_head": heads, "n_positions": POSITIONS, "n_inner": inner,
            "multi_query": on[2]})
        }
        "mpt" => {
            json!({"d_model": hidden, "n_layers": layers, "n_heads": heads, "max_seq_len": POSITIONS,
            "attn_config": {"clip_qkv": on[2].then_some(1.0), "softmax_scale": on[3].then_some(0.3)}})
        }
        "dbrx" => {
            json!({"d_model": hidden, "n_layers": layers, "n_heads": heads, "max_seq_len": POSITIONS,
            "attn_config": {"kv_n_heads": groups, "clip_qkv": on[2].then_some(1.0)},
            "ffn_config": {"ffn_hidden_size": inner, "moe_num_experts": 5, "moe_top_k": 2,
            "moe_normalize_expert_weights": on[3].then_some(1.0)}})
        }
        "gpt_neo" => {
            let rounds = json!([[["local"], 1], [["global"], layers - 1]]);
            json!({"hidden_size": hidden, "num_layers": layers, "num_heads": heads, "max_position_embeddings": POSITIONS,
            "intermediate_size": inner, "window_size": window.unwrap_or(4), "attention_types": on[2].then_some(rounds),
            "tie_word_embeddings": on[3]})
        }
        "gptj" => {
            json!({"n_embd": hidden, "n_layer": layers, "n_head": heads, "n_positions": POSITIONS, "n_inner": inner,
            "rotary_dim": 2})
        }
        "opt" => json!({"ffn_dim": inner, "do_layer_norm_before": on[2], "enable_bias": on[3],
            "word_embed_proj_dim": if on[1] { hidden } else { hidden + 2 }}),
        "bloom" => json!({"n_layer": layers, "n_head": heads}),
        "phi3small" => {
            json!({"rope_embedding_base": 500.0, "hidden_act": "gegelu", "gegelu_limit": 2.0, "blocksparse_block_size": POSITIONS,
            "mup_attn_multiplier": 2.0})
        }
        _ => return None,
    })
}

/// Mixtures of experts, and what may be one.
pub(super) fn mixtures(family: &str, draw: &Draw) -> Value {
    let &Draw { layers, inner, on, window, .. } = draw;
    let width = draw.width();
    match family {
        "glm4_moe" => {
            json!({"use_qk_norm": on[2], "attention_bias": on[3], "n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 1,
            "moe_intermediate_size": 5, "n_group": 4, "topk_group": 2, "routed_scaling_factor": 1.5})
        }
        "phimoe" => {
            json!({"num_local_experts": 5, "attention_bias": on[2], "lm_head_bias": on[3], "router_jitter_noise": 0.2,
            "sliding_window": window})
        }
        "olmoe" | "flex_olmo" => json!({"num_experts": 5, "num_experts_per_tok": 2, "norm_topk_prob": on[2]}),
        "minimax_m2" => {
            json!({"head_dim": width, "rotary_dim": width / 2, "num_local_experts": 4, "num_experts_per_tok": 2})
        }
        "ernie4_5_moe" => {
            json!({"moe_num_experts": 5, "moe_k": 2, "moe_intermediate_size": 6, "moe_num_shared_experts": usize::from(on[2]),
            "moe_layer_interval": if on[3] { 1 } else { 2 }})
        }
        "hunyuan_v1_moe" => {
            json!({"num_experts": 5, "moe_topk": vec![2; layers], "num_shared_expert": vec![1; layers], "attention_bias": on[2]})
        }
        "dots1" => {
            json!({"attention_bias": on[2], "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 3,
            "moe_intermediate_size": 5, "norm_topk_prob": on[3], "sliding_window": window, "max_window_layers": 1})
        }
        "solar_open" => {
            json!({"head_dim": width, "attention_bias": on[2], "n_routed_experts": 8, "num_experts_per_tok": 3,
            "moe_intermediate_size": 5, "n_group": 4, "topk_group": 2, "norm_topk_prob": on[3]})
        }
        "exaone_moe" => {
            json!({"num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 5, "n_group": 4, "topk_group": 2,
            "sliding_window": window, "sliding_window_pattern": 2})
        }
        "hy_v3" => {
            json!({"head_dim": width, "attention_bias": on[2], "num_experts": 8, "num_experts_per_tok": 3, "num_shared_experts": 1,
            "moe_intermediate_size": 5, "first_k_dense_replace": usize::from(on[3])})
        }
        "mimo_v2_flash" => {
            json!({"head_dim": width + 2, "v_head_dim": 3, "swa_num_key_value_heads": draw.heads(), "partial_rotary_factor": 0.334,
            "rope_theta": 500.0, "swa_rope_theta": 100.0, "sliding_window_size": window.unwrap_or(3), "attention_bias": on[2],
            "hybrid_layer_pattern": (0..layers).map(|place| (place + 1) % 2).collect::<Vec<_>>(),
            "moe_layer_freq": (0..layers).map(|place| place.min(1)).collect::<Vec<_>>(), "attention_value_scale": on[3].then_some(0.5),
            "n_routed_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 5, "n_group": 4, "topk_group": 2})
        }
        "mistral4" => {
            json!({"q_lora_rank": if on[2] { json!(6) } else { Value::Null }, "kv_lora_rank": 5, "qk_nope_head_dim": 4,
            "qk_rope_head_dim": width, "v_head_dim": 3, "n_routed_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 5,
            "first_k_dense_replace": usize::from(on[3]), "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 500.0,
            "original_max_position_embeddings": 5, "llama_4_scaling_beta": 0.5, "partial_rotary_factor": 0.5}})
        }
        "granite" | "granitemoe" | "granitemoeshared" => {
            json!({"embedding_multiplier": 3.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2,
            "logits_scaling": 2.0, "attention_bias": on[2], "num_experts_per_tok": 2,
            "num_local_experts": (family != "granite").then_some(4),
            "shared_intermediate_size": (family == "granitemoeshared" && on[3]).then_some(5)})
        }
        "qwen2_moe" | "qwen3_moe" => {
            json!({"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 6, "qkv_bias": on[2],
            "shared_expert_intermediate_size": 4, "norm_topk_prob": on[3], "decoder_sparse_step": if on[2] { 1 } else { 2 }})
        }
        "gpt_oss" => {
            json!({"head_dim": width, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": window.unwrap_or(3)})
        }
        "llama4_text" => {
            json!({"head_dim": width, "num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": inner + 1,
            "interleave_moe_layer_step": if on[2] { 1 } else { 2 }, "no_rope_layer_interval": 2, "attention_chunk_size": POSITIONS,
            "use_qk_norm": on[3], "floor_scale": POSITIONS})
        }
        "deepseek_v32" | "glm_moe_dsa" => {
            json!({"q_lora_rank": 6, "kv_lora_rank": 5, "qk_nope_head_dim": 4, "qk_rope_head_dim": width, "v_head_dim": 3,
            "n_routed_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 5, "first_k_dense_replace": 1, "n_group": 4,
            "topk_group": 2, "attention_bias": on[3], "index_n_heads": 6, "index_head_dim": width + 2,
            "index_topk": window.unwrap_or(3), "index_topk_freq": if on[2] { 1 } else { 2 }})
        }
        _ => {
            json!({"q_lora_rank": if on[2] { json!(6) } else { Value::Null }, "kv_lora_rank": 5, "qk_nope_head_dim": 4,
            "qk_rope_head_dim": width, "v_head_dim": 3, "n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 1,
            "moe_intermediate_size": 5, "first_k_dense_replace": 1, "n_group": 4, "topk_group": 2, "routed_scaling_factor": 1.5,
            "topk_method": if on[3] { "group_limited_greedy" } else { "greedy" }})
        }
    }
}
