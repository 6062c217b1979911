//! Equal layers, followed once: by shape alone they differ in their names and in which parameters are theirs.

use super::{
    layer::{DecoderLayer, Kept},
    recipe::LayerRecipe,
    stream::Stream,
};
use crate::Cx;

/// Which layers of a model are equal.
pub(super) struct EqualLayers {
    /// For each layer the first that equals it.
    first: Vec<usize>,
    /// Parameters of the model before each layer's.
    parameters: Vec<u32>,
}

/// A loaded layer: the number of parameters loaded before it, and the formats of its own.
pub(super) type Loaded = (u32, u64);

impl EqualLayers {
    pub(super) fn of(layers: &[LayerRecipe], loaded: &[Loaded]) -> Self {
        let formats = || loaded.iter().map(|(_, formats)| formats);
        let first = |of: (&LayerRecipe, &u64)| layers.iter().zip(formats()).position(|other| other == of);
        let first = layers.iter().zip(formats()).map(|of| first(of).unwrap_or_default()).collect();
        Self { first, parameters: loaded.iter().map(|(before, _)| *before).collect() }
    }
}

/// A layer that was followed, and what came of it.
struct Followed {
    layer: usize,
    has_branch: bool,
    place: usize,
    output: (Stream, Kept),
}

/// The layers that one pass has followed.
pub(super) struct Repeats<'m> {
    equal: &'m EqualLayers,
    followed: Vec<Followed>,
}

impl<'m> Repeats<'m> {
    pub(super) fn new(equal: &'m EqualLayers) -> Self {
        Self { equal, followed: Vec::new() }
    }

    /// The output of a layer that equals one that was followed: the visitor is told of it, and it is not followed itself.
    pub(super) fn repeated(
        &self,
        cx: &mut Cx<'_>,
        layers: &[DecoderLayer],
        layer: usize,
        stream: &Stream,
    ) -> Option<(Stream, Kept)> {
        let EqualLayers { first, parameters } = self.equal;
        let is_equal =
            |other: &&Followed| first[other.layer] == first[layer] && other.has_branch == stream.has_branch();
        let known = self.followed.iter().find(is_equal)?;
        let later = parameters[layer] - parameters[known.layer];
        cx.repeat(known.place, &layers[layer], later, layers.len() - layer);
        Some(known.output.clone())
    }

    /// Remembers a layer that was followed by shape, from this place of the visitor's on.
    pub(super) fn remember(&mut self, place: Option<usize>, layer: usize, input: &Stream, output: &(Stream, Kept)) {
        let Some(place) = place.filter(|_| input.is_shape()) else { return };
        self.followed.push(Followed { layer, has_branch: input.has_branch(), place, output: output.clone() });
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Kernels, Parallel, Size};

    use crate::{Config, Done, Label, ModelSpec, Result, Run, TaskHead, Tensor, TreeVisitor, Visitor};

    /// Sees every node, because it can repeat none.
    struct EachAlone(TreeVisitor);

    impl Visitor for EachAlone {
        fn enter(&mut self, label: &Label, inputs: &[&Tensor]) -> Result<()> {
            self.0.enter(label, inputs)
        }

        fn exit(&mut self, label: &Label, done: Done<'_>) -> Result<()> {
            self.0.exit(label, done)
        }
    }

    #[test]
    fn repeated_layers_are_those_that_are_followed_one_by_one() {
        // Every other layer slides; the first layers are dense.
        let gemma = r#"{"model_type":"gemma2","hidden_size":16,"num_hidden_layers":6,"num_attention_heads":4,"num_key_value_heads":2,
            "head_dim":4,"intermediate_size":8,"vocab_size":64,"sliding_window":4,"max_position_embeddings":64}"#;
        let deepseek = r#"{"model_type":"deepseek_v3","hidden_size":16,"num_hidden_layers":6,"num_attention_heads":4,
            "num_key_value_heads":4,"intermediate_size":8,"vocab_size":64,"max_position_embeddings":64,"q_lora_rank":6,"kv_lora_rank":6,
            "qk_nope_head_dim":4,"qk_rope_head_dim":4,"v_head_dim":4,"moe_intermediate_size":8,"n_routed_experts":8,"n_shared_experts":1,
            "num_experts_per_tok":2,"n_group":2,"topk_group":1,"first_k_dense_replace":2}"#;
        // Every other layer takes over the choice of the one before.
        let glm = deepseek.replace("deepseek_v3", "glm_moe_dsa").replace(
            r#""q_lora_rank""#,
            r#""index_topk":2,"index_n_heads":2,"index_head_dim":6,"index_topk_freq":2,"q_lora_rank""#,
        );
        for json in [gemma, deepseek, glm.as_str()] {
            let spec = ModelSpec::from_config("m", Config::from_json("m", json.as_bytes()).unwrap()).unwrap();
            for (kernels, past, pipeline) in [(Kernels::Eager, 0, 1), (Kernels::Fused, 0, 2), (Kernels::Fused, 7, 1)] {
                let parallel = Parallel { tensor: 2, pipeline, ..Parallel::default() };
                let run = Run { kernels, parallel, head: TaskHead::Lm, ..Size::new(2, 3).after(past).into() };
                let mut alone = EachAlone(spec.visitor(run));
                spec.follow(spec.model_of(run).unwrap().model.as_ref(), run, &mut alone).unwrap();
                assert_eq!(spec.trace(run).unwrap(), alone.0.finish().unwrap());
            }
        }
    }
}
