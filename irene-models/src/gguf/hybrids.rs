//! The architectures whose layers are of several kinds: states in place of keys and values in most of them.

use super::{
    architectures::granite,
    config::{EXPERT_INNER, EXPERTS, Fields, GROUPS, HIDDEN, INNER, LAYERS, RMS_EPS, SHARED_INNER, USED},
};
use crate::Result;

const SSM_INNER: &str = "ssm.inner_size";
const SSM_HEADS: &str = "ssm.time_step_rank";
const SSM_GROUPS: &str = "ssm.group_count";
const SSM_SIZE: &str = "ssm.state_size";
const SSM_KERNEL: &str = "ssm.conv_kernel";

/// Numbers in a head of states.
fn state_width(fields: &Fields<'_>) -> Result<usize> {
    Ok(fields.size(SSM_INNER)? / fields.size(SSM_HEADS)?.max(1))
}

/// Whether each layer has something of which the file has the size in each.
fn has_in_layers(fields: &Fields<'_>, key: &str) -> Vec<bool> {
    fields.file.numbers(&fields.key(key)).unwrap_or_default().into_iter().map(|size| size > 0.0).collect()
}

/// Qwen3-Next, and the text models of Qwen3.5 and 3.6.
pub(super) fn qwen(fields: &mut Fields<'_>, model_type: &str) -> Result<()> {
    fields.gated_in_part(model_type, &[])?;
    fields.rotated("partial_rotary_factor")?;
    fields.set("linear_value_head_dim", state_width(fields)?);
    fields.sizes(&[
        ("full_attention_interval", "full_attention_interval"),
        ("linear_conv_kernel_dim", SSM_KERNEL),
        ("linear_key_head_dim", SSM_SIZE),
        ("linear_num_key_heads", SSM_GROUPS),
        ("linear_num_value_heads", SSM_HEADS),
        ("num_experts", EXPERTS),
        ("num_experts_per_tok", USED),
        ("moe_intermediate_size", EXPERT_INNER),
        ("shared_expert_intermediate_size", SHARED_INNER),
    ])
}

/// Granite 4.
pub(super) fn granite_hybrid(fields: &mut Fields<'_>) -> Result<()> {
    granite(fields)?;
    fields.set("model_type", "granitemoehybrid");
    // Its configs have no such field.
    fields.fields.remove("mlp_bias");
    let has_rotary = fields.file.flag(&fields.key("rope.scaling.finetuned")) == Some(true);
    fields.set("position_embedding_type", if has_rotary { "rope" } else { "nope" });
    let word = |has_attention| if has_attention { "attention" } else { "mamba" };
    fields.set("layer_types", has_in_layers(fields, GROUPS).into_iter().map(word).collect::<Vec<_>>());
    fields.set("mamba_d_head", state_width(fields)?);
    fields.set("mamba_expand", fields.size(SSM_INNER)? / fields.size(HIDDEN)?.max(1));
    fields.set("num_local_experts", fields.size_or(EXPERTS, 0)?);
    fields.set("shared_intermediate_size", fields.size_or(SHARED_INNER, fields.size(INNER)?)?);
    fields.sizes(&[
        ("num_experts_per_tok", USED),
        ("mamba_n_heads", SSM_HEADS),
        ("mamba_n_groups", SSM_GROUPS),
        ("mamba_d_state", SSM_SIZE),
        ("mamba_d_conv", SSM_KERNEL),
    ])
}

/// Nemotron-H and Nemotron 3: a layer is of states, an attention, or a feed-forward part, perhaps of experts.
pub(super) fn nemotron(fields: &mut Fields<'_>, feed_forward: &str) -> Result<()> {
    fields.decoder("nemotron_h")?;
    fields.set("head_dim", fields.head_width()?);
    let (attends, feeds) = (has_in_layers(fields, GROUPS), has_in_layers(fields, INNER));
    let word = |(attends, feeds): (bool, bool)| match (attends, feeds) {
        (true, _) => "*",
        (_, true) => feed_forward,
        _ => "M",
    };
    let layers = fields.size(LAYERS)?.saturating_sub(fields.size_or("nextn_predict_layers", 0)?);
    let pattern: String = attends.into_iter().zip(feeds).take(layers).map(word).collect();
    fields.set("hybrid_override_pattern", pattern);
    fields.set("mamba_head_dim", state_width(fields)?);
    fields.sizes(&[
        ("mamba_num_heads", SSM_HEADS),
        ("n_groups", SSM_GROUPS),
        ("ssm_state_size", SSM_SIZE),
        ("conv_kernel", SSM_KERNEL),
        ("moe_latent_size", "moe_latent_size"),
        ("moe_shared_expert_intermediate_size", SHARED_INNER),
    ])?;
    fields.numbers(&[("rms_norm_eps", RMS_EPS)])?;
    if feed_forward == "E" { fields.deepseek_experts(true) } else { Ok(()) }
}
