//! The architectures of GGUF files, and how the metadata of each becomes the fields of its config.

use serde_json::Value as Json;

use super::{
    config::{
        EXPERT_INNER, EXPERTS, Fields, GROUPS, HEAD_WIDTH, HEADS, HIDDEN, INNER, LAYERS, NORM_EPS, POSITIONS, RMS_EPS,
        ROTATED, SEGMENTS, SHARED_INNER, THETA, USED, USUAL, WINDOW,
    },
    hybrids,
};
use crate::Result;

/// An architecture by llama.cpp's word, and how its metadata becomes fields.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) fields: fn(&mut Fields<'_>) -> Result<()>,
    /// Whether a file's tensors are run too.
    #[cfg_attr(not(feature = "candle"), allow(dead_code))]
    pub(super) runs: bool,
}

/// One whose files are run.
const fn run(name: &'static str, fields: fn(&mut Fields<'_>) -> Result<()>) -> Known {
    Known { name, fields, runs: true }
}

/// One whose files are followed by shape alone.
const fn followed(name: &'static str, fields: fn(&mut Fields<'_>) -> Result<()>) -> Known {
    Known { name, fields, runs: false }
}

pub(super) const KNOWN: &[Known] = &[
    run("llama", llama),
    run("qwen2", |f| f.gated("qwen2", &[])),
    run("qwen2vl", |f| f.gated("qwen2", &[])),
    run("qwen3", qwen3),
    run("qwen3vl", qwen3),
    run("qwen2moe", |f| f.qwen_experts("qwen2_moe")),
    run("qwen3moe", qwen3_moe),
    run("qwen3vlmoe", qwen3_moe),
    run("mistral3", mistral3),
    run("gemma", gemma),
    run("gemma2", gemma2),
    run("gemma3", gemma3),
    run("phi2", phi),
    run("phi3", phi3),
    run("granite", granite),
    run("olmo2", olmo2),
    run("command-r", |f| cohere(f, "cohere")),
    run("cohere2", |f| cohere(f, "cohere2")),
    run("glm4", glm4),
    run("glm4moe", glm4_moe),
    run("olmoe", olmoe),
    run("minimax-m2", minimax_m2),
    run("exaone4", exaone4),
    run("ernie4_5", ernie4_5),
    run("seed_oss", seed_oss),
    run("starcoder2", starcoder2),
    run("falcon", falcon),
    run("gptneox", gpt_neox),
    run("gpt2", gpt2),
    run("bloom", bloom),
    run("smollm3", |f| f.gated("smollm3", &[])),
    run("bert", bert),
    run("modern-bert", modern_bert),
    followed("gpt-oss", gpt_oss),
    followed("deepseek2", deepseek2),
    followed("llama4", llama4),
    followed("qwen3next", |f| hybrids::qwen(f, "qwen3_next")),
    followed("qwen35", |f| hybrids::qwen(f, "qwen3_5_text")),
    followed("qwen35moe", |f| hybrids::qwen(f, "qwen3_5_moe_text")),
    followed("granitehybrid", hybrids::granite_hybrid),
    followed("nemotron_h", |f| hybrids::nemotron(f, "-")),
    followed("nemotron_h_moe", |f| hybrids::nemotron(f, "E")),
    followed("granitemoe", granite_moe),
    followed("nomic-bert", nomic_bert),
];

fn llama(fields: &mut Fields<'_>) -> Result<()> {
    let experts = fields.size_or(EXPERTS, 0)?;
    fields.gated(if experts > 0 { "mixtral" } else { "llama" }, &[])?;
    if experts > 0 {
        return fields.sizes(&[("num_local_experts", EXPERTS), ("num_experts_per_tok", USED)]);
    }
    fields.attention_bias();
    fields.set("mlp_bias", fields.has("blk.0.ffn_up.bias"));
    Ok(())
}

/// Ministral 3, or an older Mistral where queries do not grow.
fn mistral3(fields: &mut Fields<'_>) -> Result<()> {
    let growth = fields.number_if("attention.temperature_scale")?.filter(|growth| *growth != 0.0);
    fields.gated(if growth.is_some() { "ministral3" } else { "mistral" }, &[])?;
    fields.window_or_none()?;
    // Both of YaRN's factors of scores are one number there.
    let factor = fields.number_if("rope.scaling.yarn_log_multiplier")?;
    let further = [("llama_4_scaling_beta", growth), ("mscale", factor), ("mscale_all_dim", factor)];
    if let Some(Json::Object(scaling)) = fields.fields.get_mut("rope_scaling") {
        scaling.extend(further.into_iter().filter_map(|(field, number)| Some((field.to_owned(), number?.into()))));
    }
    Ok(())
}

fn qwen3(fields: &mut Fields<'_>) -> Result<()> {
    fields.attention_bias();
    fields.gated("qwen3", &[])
}

fn qwen3_moe(fields: &mut Fields<'_>) -> Result<()> {
    fields.attention_bias();
    fields.qwen_experts("qwen3_moe")
}

fn gemma(fields: &mut Fields<'_>) -> Result<()> {
    fields.gated("gemma", &[])?;
    fields.set("hidden_act", "gelu_pytorch_tanh");
    fields.set("hidden_activation", "gelu_pytorch_tanh");
    Ok(())
}

/// The width that scores are divided by the root of; the file does not say, and llama.cpp goes by the number of layers.
fn query_scale(fields: &Fields<'_>, layers_of_27b: usize) -> Result<usize> {
    if fields.size(LAYERS)? == layers_of_27b {
        Ok(fields.size(HIDDEN)? / fields.size(HEADS)?.max(1))
    } else {
        fields.head_width()
    }
}

fn gemma2(fields: &mut Fields<'_>) -> Result<()> {
    gemma(fields)?;
    fields.set("model_type", "gemma2");
    fields.set("query_pre_attn_scalar", query_scale(fields, 46)?);
    fields.window()?;
    fields.set("attn_logit_softcapping", fields.number_if("attn_logit_softcapping")?.unwrap_or(50.0));
    fields.set("final_logit_softcapping", fields.number_if("final_logit_softcapping")?.unwrap_or(30.0));
    Ok(())
}

fn gemma3(fields: &mut Fields<'_>) -> Result<()> {
    gemma(fields)?;
    fields.set("model_type", "gemma3_text");
    fields.set("query_pre_attn_scalar", query_scale(fields, 62)?);
    fields.set("rope_theta", fields.number_if(THETA)?.unwrap_or(1e6));
    fields.set("rope_local_base_freq", 1e4);
    fields.set("sliding_window_pattern", 6);
    fields.numbers(&[("final_logit_softcapping", "final_logit_softcapping")])?;
    fields.window_or_none()
}

fn phi(fields: &mut Fields<'_>) -> Result<()> {
    fields.decoder("phi")?;
    fields.set("hidden_act", "gelu_new");
    fields.numbers(&[("layer_norm_eps", NORM_EPS)])?;
    fields.rotated("partial_rotary_factor")
}

fn phi3(fields: &mut Fields<'_>) -> Result<()> {
    fields.gated_in_part("phi3", &[])?;
    fields.rotated("partial_rotary_factor")?;
    fields.window()?;
    if !fields.fields.contains_key("original_max_position_embeddings") {
        fields.set("original_max_position_embeddings", fields.size(POSITIONS)?);
    }
    Ok(())
}

pub(super) fn granite(fields: &mut Fields<'_>) -> Result<()> {
    fields.attention_bias();
    fields.set("mlp_bias", fields.has("blk.0.ffn_up.bias"));
    fields.gated(
        "granite",
        &[
            ("embedding_multiplier", "embedding_scale"),
            ("residual_multiplier", "residual_scale"),
            ("attention_multiplier", "attention.scale"),
            ("logits_scaling", "logit_scale"),
        ],
    )
}

/// OLMo 2, and OLMo 3 where there are windows.
fn olmo2(fields: &mut Fields<'_>) -> Result<()> {
    fields.attention_bias();
    if fields.size_or(WINDOW, 0)? == 0 {
        return fields.gated("olmo2", &[]);
    }
    fields.gated("olmo3", &[])?;
    fields.sliding_layers("sliding_window_pattern")?;
    fields.window()
}

fn cohere(fields: &mut Fields<'_>, model_type: &str) -> Result<()> {
    fields.attention_bias();
    fields.gated(model_type, &[("layer_norm_eps", NORM_EPS), ("logit_scale", "logit_scale")])?;
    fields.set("use_qk_norm", fields.has("blk.0.attn_q_norm.weight"));
    fields.sliding_layers("sliding_window_pattern")?;
    fields.window()
}

fn glm4(fields: &mut Fields<'_>) -> Result<()> {
    const SECTIONS: &str = "rope.dimension_sections";
    let sections = fields.key(SECTIONS);
    if fields.file.array(&sections).is_some() {
        let reason =
            "is of a model that sees, whose rows of queries and keys are in an order that is not followed here";
        return Err(fields.file.error(&sections, reason));
    }
    fields.attention_bias();
    fields.gated_in_part("glm4", &[])?;
    fields.rotated("partial_rotary_factor")
}

fn glm4_moe(fields: &mut Fields<'_>) -> Result<()> {
    fields.attention_bias();
    fields.gated_in_part("glm4_moe", &[])?;
    fields.rotated("partial_rotary_factor")?;
    fields.set("use_qk_norm", fields.has("blk.0.attn_q_norm.weight"));
    fields.deepseek_experts(true)
}

fn olmoe(fields: &mut Fields<'_>) -> Result<()> {
    fields.gated("olmoe", &[])?;
    // Its configs have no such field: heads share the hidden size.
    fields.fields.remove("head_dim");
    fields.sizes(&[("num_experts", EXPERTS), ("num_experts_per_tok", USED)])
}

fn minimax_m2(fields: &mut Fields<'_>) -> Result<()> {
    fields.gated_in_part("minimax_m2", &[])?;
    fields.sizes(&[("rotary_dim", ROTATED), ("num_local_experts", EXPERTS), ("num_experts_per_tok", USED)])
}

fn exaone4(fields: &mut Fields<'_>) -> Result<()> {
    fields.gated("exaone4", &[])?;
    fields.sliding_layers("sliding_window_pattern")?;
    fields.window_or_none()
}

fn ernie4_5(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("use_bias", fields.has("blk.0.attn_q.bias"));
    fields.gated("ernie4_5", &[])
}

fn seed_oss(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("attention_bias", fields.has("blk.0.attn_q.bias"));
    fields.set("attention_out_bias", fields.has("blk.0.attn_output.bias"));
    fields.gated("seed_oss", &[])
}

fn starcoder2(fields: &mut Fields<'_>) -> Result<()> {
    fields.decoder("starcoder2")?;
    fields.set("use_bias", fields.has("blk.0.ffn_up.bias"));
    fields.set("hidden_act", "gelu_pytorch_tanh");
    fields.numbers(&[("norm_epsilon", NORM_EPS)])?;
    fields.window()
}

fn falcon(fields: &mut Fields<'_>) -> Result<()> {
    let has_two_norms = fields.has("blk.0.attn_norm_2.weight");
    let groups = fields.size_or(GROUPS, 1)?;
    fields.decoder("falcon")?;
    fields.set("num_kv_heads", groups);
    fields.set("new_decoder_architecture", has_two_norms || groups > 1);
    fields.set("num_ln_in_parallel_attn", 1 + usize::from(has_two_norms));
    fields.set("multi_query", groups == 1);
    fields.set("parallel_attn", true);
    fields.set("bias", fields.has("blk.0.attn_qkv.bias"));
    fields.set("alibi", false);
    fields.set("ffn_hidden_size", fields.dims("blk.0.ffn_up.weight").first().copied());
    for field in ["num_key_value_heads", "intermediate_size"] {
        fields.fields.remove(field);
    }
    fields.numbers(&[("layer_norm_epsilon", NORM_EPS)])
}

fn gpt_neox(fields: &mut Fields<'_>) -> Result<()> {
    fields.decoder("gpt_neox")?;
    for (from, to) in [("rope_theta", "rotary_emb_base"), ("num_key_value_heads", "")] {
        if let (Some(value), false) = (fields.fields.remove(from), to.is_empty()) {
            fields.set(to, value);
        }
    }
    fields.set("hidden_act", "gelu");
    let parallel = fields.file.flag(&fields.key("use_parallel_residual"));
    fields.set("use_parallel_residual", parallel.unwrap_or(true));
    fields.numbers(&[("layer_norm_eps", NORM_EPS)])?;
    fields.rotated("rotary_pct")
}

fn gpt2(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("model_type", "gpt2");
    fields.set("activation_function", "gelu_new");
    fields.sizes(&[
        ("n_embd", HIDDEN),
        ("n_layer", LAYERS),
        ("n_head", HEADS),
        ("n_inner", INNER),
        ("n_positions", POSITIONS),
    ])?;
    fields.numbers(&[("layer_norm_epsilon", NORM_EPS)])
}

fn bloom(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("model_type", "bloom");
    fields.sizes(&[("hidden_size", HIDDEN), ("n_layer", LAYERS), ("n_head", HEADS), ("seq_length", POSITIONS)])?;
    fields.numbers(&[("layer_norm_epsilon", NORM_EPS)])
}

fn gpt_oss(fields: &mut Fields<'_>) -> Result<()> {
    fields.gated("gpt_oss", &[])?;
    fields.attention_bias();
    fields.sizes(&[
        ("num_local_experts", EXPERTS),
        ("num_experts_per_tok", USED),
        ("intermediate_size", EXPERT_INNER),
    ])?;
    fields.window()
}

fn deepseek2(fields: &mut Fields<'_>) -> Result<()> {
    /// The gate that is a sigmoid, as in DeepSeek-V3.
    const SIGMOID: usize = 2;
    let is_v3 = fields.size_if("expert_gating_func")? == Some(SIGMOID);
    fields.decoder(if is_v3 { "deepseek_v3" } else { "deepseek_v2" })?;
    fields.set("hidden_act", "silu");
    // Newer files count the latent vectors as the one head of keys, and have the widths of heads beside that.
    fields.set("num_key_value_heads", fields.size(HEADS)?);
    let rotated = fields.size(ROTATED)?;
    let key = fields.size_or("attention.key_length_mla", fields.size_or(HEAD_WIDTH, 0)?)?;
    let value = fields.size_or("attention.value_length_mla", fields.size_or("attention.value_length", 0)?)?;
    fields.set("qk_rope_head_dim", rotated);
    fields.set("qk_nope_head_dim", key.saturating_sub(rotated));
    fields.set("v_head_dim", value);
    fields.sizes(&[("q_lora_rank", "attention.q_lora_rank"), ("kv_lora_rank", "attention.kv_lora_rank")])?;
    if fields.size_or("expert_group_count", 1)? > 1 {
        fields.set("topk_method", "group_limited_greedy");
    }
    fields.deepseek_experts(is_v3)?;
    fields.numbers(&[("rms_norm_eps", RMS_EPS)])?;
    fields.rope_scaling()
}

fn llama4(fields: &mut Fields<'_>) -> Result<()> {
    /// Experts of Maverick, which alone has no norms of queries and keys; llama.cpp tells it by its size too.
    const MAVERICK: usize = 128;
    fields.gated("llama4_text", &[])?;
    fields.set("use_qk_norm", fields.size_or(EXPERTS, 0)? != MAVERICK);
    fields.sizes(&[
        ("num_local_experts", EXPERTS),
        ("intermediate_size_mlp", INNER),
        ("intermediate_size", EXPERT_INNER),
        ("interleave_moe_layer_step", "interleave_moe_layer_step"),
    ])
}

fn granite_moe(fields: &mut Fields<'_>) -> Result<()> {
    granite(fields)?;
    let shared = fields.size_or(SHARED_INNER, 0)?;
    fields.set("model_type", if shared > 0 { "granitemoeshared" } else { "granitemoe" });
    if shared > 0 {
        fields.set("shared_intermediate_size", shared);
    }
    fields.sizes(&[("num_local_experts", EXPERTS), ("num_experts_per_tok", USED)])
}

fn bert(fields: &mut Fields<'_>) -> Result<()> {
    if !fields.has(SEGMENTS) {
        return distil_bert(fields);
    }
    fields.encoder("bert", "gelu")?;
    // RoBERTa's files have its table without the rows before the first position.
    if let &[rows, _] = fields.dims("position_embd.weight") {
        fields.set("max_position_embeddings", rows);
    }
    Ok(())
}

fn distil_bert(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("model_type", "distilbert");
    fields.set("activation", "gelu");
    fields.sizes(&[
        ("dim", HIDDEN),
        ("n_layers", LAYERS),
        ("n_heads", HEADS),
        ("hidden_dim", INNER),
        ("max_position_embeddings", POSITIONS),
    ])?;
    fields.pooling()
}

fn modern_bert(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("model_type", "modernbert");
    // As llama.cpp does before a classifier.
    fields.set("classifier_pooling", "mean");
    fields.set("hidden_activation", fields.file.word(&fields.key("hidden_activation")).unwrap_or("gelu"));
    fields.sizes(USUAL)?;
    fields.sizes(&[("local_attention", WINDOW)])?;
    fields.sliding_layers("global_attn_every_n_layers")?;
    fields.numbers(&[
        ("norm_eps", RMS_EPS),
        ("norm_eps", NORM_EPS),
        ("global_rope_theta", THETA),
        ("local_rope_theta", "rope.freq_base_swa"),
    ])?;
    fields.pooling()
}

fn nomic_bert(fields: &mut Fields<'_>) -> Result<()> {
    fields.encoder("nomic_bert", "silu")?;
    for (field, tensor) in [
        ("qkv_proj_bias", "blk.0.attn_qkv.bias"),
        ("mlp_fc1_bias", "blk.0.ffn_up.bias"),
        ("mlp_fc2_bias", "blk.0.ffn_down.bias"),
    ] {
        fields.set(field, fields.has(tensor));
    }
    fields.numbers(&[("rope_theta", THETA)])
}
