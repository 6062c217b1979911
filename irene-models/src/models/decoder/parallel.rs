//! One GPU's share of a decoder that several GPUs run (Shoeybi et al., 2019): the recipe with its sizes divided.
//!
//! Tensor parallelism splits heads, the inner numbers of feed-forward parts and the rows of the table of tokens; norms, biases after a
//! sum over GPUs and routers are on every GPU. Expert parallelism splits the experts over the GPUs of a stage, pipeline parallelism the
//! layers over stages.

use irene_tree::Parallel;

use super::recipe::{FeedForward, HeadNorms, Keys, Mixture, Recipe, StateKind};
use crate::{Config, Error, Result};

/// Engines make the table of tokens a multiple of this many rows before they split it.
const ROWS: usize = 64;

/// The names that families have for a size, the first of which a config has is meant.
const GROUPS: &[&str] = &["num_key_value_heads", "num_kv_heads", "attn_config", "num_attention_heads"];
const INNER: &[&str] = &["intermediate_size", "ffn_hidden_size", "n_inner", "hidden_size"];
const INNER_OF_EXPERT: &[&str] = &["moe_intermediate_size", "intermediate_size", "ffn_config"];
const INNER_OF_SHARED: &[&str] = &[
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
    "n_shared_experts",
    "num_shared_experts",
    "moe_num_shared_experts",
    "intermediate_size",
];
const CHANNELS_OF_STATES: &[&str] = &["mamba_expand", "intermediate_size", "hidden_size"];
const HEADS_OF_STATES: &[&str] = &[
    "mamba_num_heads",
    "linear_num_value_heads",
    "mamba_n_heads",
    "num_heads",
    "linear_attn_config",
    "linear_num_heads",
];
const EXPERTS: &[&str] = &["num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "ffn_config"];

impl Recipe {
    /// The share of one GPU. Sizes that do not divide are refused, as engines refuse them.
    pub(super) fn shared_by(mut self, config: &Config, parallel: Parallel) -> Result<Self> {
        let split = Split { config, parallel };
        if parallel.pipeline > self.layers.len() {
            let reason = format!("{} layers are fewer than parallel.pipeline {}", self.layers.len(), parallel.pipeline);
            return Err(config.error("num_hidden_layers", reason));
        }
        if parallel.pipeline > 1
            && (self.per_layer.is_some() || self.layers.iter().any(|layer| layer.keys != Keys::Own))
        {
            let reason = "embeddings for each layer and shared keys and values are not followed with parallel.pipeline";
            return Err(config.error("num_hidden_layers", reason.to_owned()));
        }
        let is_mixture = |layer: &super::recipe::LayerRecipe| matches!(layer.feed_forward, FeedForward::Mixture(_));
        if parallel.expert > 1 && self.mixture_beside.is_none() && !self.layers.iter().any(is_mixture) {
            return Err(
                split.refuse(EXPERTS, "parallel.expert spreads a mixture of experts, and this model is none".into())
            );
        }
        let attention = &mut self.attention;
        if matches!(attention.head_norms, Some(HeadNorms::Joint(_))) && attention.groups < parallel.tensor {
            let reason = format!(
                "{} heads are fewer than parallel.tensor {}, and their norm is of all heads",
                attention.groups, parallel.tensor
            );
            return Err(split.refuse(GROUPS, reason));
        }
        // Where there are states and no attention, its heads are those of the states.
        if let Some(states) = &mut attention.states {
            let (names, what): (&[&str], _) = match states.kind {
                StateKind::Convolution => (&["hidden_size"], "channels of the convolution"),
                StateKind::Mamba { .. } => (CHANNELS_OF_STATES, "channels of states"),
                _ => (HEADS_OF_STATES, "heads of states"),
            };
            states.heads = split.by_tensor(names, what, states.heads)?;
            states.groups = states.groups.div_ceil(parallel.tensor);
        }
        attention.heads = split.by_tensor(&["num_attention_heads", "num_heads"], "heads", attention.heads)?;
        attention.groups = split.groups(attention.groups)?;
        if let Some(shared) = &mut attention.shared_keys {
            // The indexer and what it reads are on every GPU.
            shared.out_groups = split.by_tensor(&["o_groups"], "groups of the projection back", shared.out_groups)?;
        }
        for layer in &mut self.layers {
            split.feed_forward(&mut layer.feed_forward)?;
            if let Some(own) = &mut layer.heads {
                own.groups = split.groups(own.groups)?;
            }
        }
        if let Some((mixture, _)) = &mut self.mixture_beside {
            split.mixture(mixture)?;
        }
        if parallel.tensor > 1 {
            // A multiple of both.
            let unit = ROWS / greatest_common_divisor(ROWS, parallel.tensor);
            self.vocabulary = self.vocabulary.div_ceil(unit * parallel.tensor) * unit;
        }
        Ok(self)
    }
}

struct Split<'a> {
    config: &'a Config,
    parallel: Parallel,
}

impl Split<'_> {
    fn refuse(&self, names: &[&'static str], reason: String) -> Error {
        let known = names.iter().find(|name| self.config.value(name).is_some());
        self.config.error(known.or(names.first()).unwrap_or(&""), reason)
    }

    fn by_tensor(&self, names: &[&'static str], what: &str, size: usize) -> Result<usize> {
        self.divided(names, what, size, "parallel.tensor", self.parallel.tensor)
    }

    fn divided(&self, names: &[&'static str], what: &str, size: usize, field: &str, degree: usize) -> Result<usize> {
        if size.is_multiple_of(degree) {
            return Ok(size / degree);
        }
        Err(self.refuse(names, format!("{size} {what} cannot be split evenly by {field} {degree}")))
    }

    /// Heads of keys and values: where there are fewer than GPUs, several GPUs have the same one.
    fn groups(&self, groups: usize) -> Result<usize> {
        let tensor = self.parallel.tensor;
        if groups < tensor && tensor.is_multiple_of(groups) {
            return Ok(1);
        }
        self.by_tensor(GROUPS, "heads of keys and values", groups)
    }

    fn feed_forward(&self, layers: &mut FeedForward) -> Result<()> {
        match layers {
            FeedForward::Gated { inner, .. }
            | FeedForward::GatedJointly { inner, .. }
            | FeedForward::Plain { inner, .. }
            | FeedForward::Xielu { inner, .. } => *inner = self.by_tensor(INNER, "inner numbers", *inner)?,
            FeedForward::Mixture(mixture) => self.mixture(mixture)?,
        }
        Ok(())
    }

    fn mixture(&self, mixture: &mut Mixture) -> Result<()> {
        let Parallel { tensor, expert, .. } = self.parallel;
        self.divided(EXPERTS, "experts", mixture.experts, "parallel.expert", expert)?;
        let of_expert = self.parallel.gpus_of_expert();
        let (what, field) = ("inner numbers of an expert", "parallel.tensor");
        if !mixture.inner.is_multiple_of(of_expert) {
            return Err(self.refuse(
                INNER_OF_EXPERT,
                format!(
                    "{} {what} cannot be split evenly by {field} {tensor} over parallel.expert {expert}",
                    mixture.inner
                ),
            ));
        }
        mixture.inner /= of_expert;
        // Where tokens are exchanged, each GPU runs the shared expert whole, on tokens of its own.
        if let (Some(shared), false) = (&mut mixture.shared, self.parallel.exchanges_tokens()) {
            shared.inner = self.by_tensor(INNER_OF_SHARED, "inner numbers of the shared expert", shared.inner)?;
        }
        if let Some(inner) = &mut mixture.beside {
            *inner = self.by_tensor(INNER_OF_SHARED, "inner numbers of the shared expert", *inner)?;
        }
        Ok(())
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The first layer of every stage but the first. Layers left over go to the stages before the last, which has the head.
pub(super) fn stages(layers: usize, pipeline: usize) -> Vec<usize> {
    let (each, more) = (layers / pipeline.max(1), layers % pipeline.max(1));
    let of_stage = |stage: usize| each + usize::from(stage + 1 < pipeline && stage + 1 + more >= pipeline);
    let sizes = (0..pipeline.saturating_sub(1)).map(of_stage);
    sizes
        .scan(0, |first, size| {
            *first += size;
            Some(*first)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::stages;

    #[test]
    fn layers_that_do_not_divide_go_to_the_stages_before_the_last() {
        assert_eq!(stages(32, 1), [] as [usize; 0]);
        assert_eq!(stages(32, 4), [8, 16, 24]);
        assert_eq!(stages(61, 4), [15, 30, 46]);
        assert_eq!(stages(126, 4), [31, 63, 95]);
        assert_eq!(stages(3, 3), [1, 2]);
    }
}
