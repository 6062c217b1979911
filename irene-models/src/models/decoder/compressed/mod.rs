//! One head of keys that are values too, and beside its window entries that stand for several tokens each (DeepSeek-V4, section 2.3), followed
//! by shape alone.

mod indexer;
mod pool;

use irene_tree::{Kernels, Level, OpKind, Operand, Operation, Role};

use self::{
    indexer::Indexer,
    pool::{Pass, Pool},
};
use super::{
    attention::Seen,
    masks::Positions,
    recipe::{Compression, LayerRecipe, Recipe, SharedKeys},
};
use crate::{
    Attention, Causal, Cx, KeyValue, Label, Linear, Module, Norm, Padding, Past, Result, Scaling, Tensor, Weights,
    labelled,
    layers::PlainRmsNorm,
    models::heads,
    trace::{HeadWeight, Part},
};

labelled!(CompressedAttention, Compressor);

pub(super) struct CompressedAttention {
    label: Label,
    q_a_proj: Linear,
    q_a_norm: Norm,
    q_b_proj: Linear,
    q_b_norm: PlainRmsNorm,
    kv_proj: Linear,
    kv_norm: Norm,
    compressor: Option<Compressor>,
    sinks: Tensor,
    o_a_proj: HeadWeight,
    o_b_proj: Linear,
    heads: usize,
    scale: f64,
    dropout: f64,
    layer: LayerRecipe,
}

impl CompressedAttention {
    pub(super) fn load(weights: &Weights<'_>, recipe: &Recipe, shared: SharedKeys, layer: LayerRecipe) -> Result<Self> {
        let Recipe { names, hidden, attention, norm, .. } = recipe;
        let (heads, width, hidden) = (attention.heads, attention.width, *hidden);
        let SharedKeys { query_rank, out_groups, out_rank } = shared;
        let linear = |name, sizes| Linear::load_with(&weights.child(name), sizes, None);
        let load_norm = |name, width| norm.load(&weights.child(name), names.classes.norm, width);
        let of_group = heads * width / out_groups;
        let o_a_proj = weights.child("o_a_proj").parameter("weight", [out_groups * out_rank, of_group])?;
        let compressor = layer.compression.map(|of| {
            let place = weights.child("compressor");
            Compressor::load(&place, of, layer.rotary, [hidden, width, query_rank])
        });
        Ok(Self {
            label: weights.label(names.classes.attention, Level::Module),
            q_a_proj: linear("q_a_proj", [hidden, query_rank])?,
            q_a_norm: load_norm("q_a_norm", query_rank)?,
            q_b_proj: linear("q_b_proj", [query_rank, heads * width])?,
            q_b_norm: PlainRmsNorm::new(&weights.named("q_b_norm"), "DeepseekV4UnweightedRMSNorm", norm.eps()),
            kv_proj: linear("kv_proj", [hidden, width])?,
            kv_norm: load_norm("kv_norm", width)?,
            compressor: compressor.transpose()?,
            sinks: weights.parameter("sinks", [heads])?.kept_in_f32()?,
            o_a_proj: HeadWeight(o_a_proj.reshape([out_groups, out_rank, of_group].into())?),
            o_b_proj: linear("o_b_proj", [out_groups * out_rank, hidden])?,
            heads,
            scale: attention.scale,
            dropout: attention.dropout,
            layer,
        })
    }

    /// The window's keys (batch, 1, keys, width) with those of earlier tokens, and the cache to keep, if one is kept: its values are no
    /// numbers, because the keys stand for them.
    fn remembered(&self, cx: &mut Cx<'_>, past: Past<'_>, keys: Tensor) -> Result<(Tensor, Option<KeyValue>)> {
        let nothing = Tensor::of_shape([keys.dim(0), 1, keys.dim(2), 0], keys.format());
        let kept = match (past, cx.kernels()) {
            (Past::NotKept, _) => None,
            (Past::Empty, Kernels::Eager) => Some(KeyValue::of_pass(keys.clone(), nothing)),
            (Past::Tokens(earlier), Kernels::Eager) => {
                let all = cx.join(&earlier.key, &keys, 2)?.with_role(Role::Cache);
                Some(KeyValue::of_pass(all, earlier.value.concat(&nothing, 2)?))
            }
            (_, Kernels::Fused) => cx.store(past, &keys, &nothing)?,
        };
        let seen = match (past, &kept) {
            (Past::Tokens(_), Some(kept)) => kept.key.clone(),
            _ => keys,
        };
        Ok((seen, kept.map(|kept| kept.within(self.layer.window)).transpose()?))
    }

    /// The attention over the window and the entries: one kernel that reads each key once, for it is the value too, or the operations of
    /// an attention over both in one list.
    fn attended(&self, cx: &mut Cx<'_>, [query, keys, entries]: [&Tensor; 3], positions: &Positions) -> Result<Tensor> {
        if cx.kernels() == Kernels::Eager {
            let all = if entries.dim(2) == 0 { keys.clone() } else { cx.join(keys, entries, 2)? };
            let mask = Tensor::of_shape([query.dim(0), 1, query.dim(2), all.dim(2)], query.format());
            let how = Attention {
                scaling: Scaling::Factor(self.scale),
                causal: Causal::Hidden,
                padding: Padding::Added(&mask),
                sinks: Some(&self.sinks),
                dropout: self.dropout,
                ..Attention::PLAIN
            };
            return cx.attention(&[query.clone(), all.clone(), all], how);
        }
        let of_window = Attention { causal: Causal::Hidden, window: self.layer.window, ..Attention::PLAIN };
        let of_entries = self.layer.compression.map_or(0, |of| pool::entries_seen(positions.size, of));
        let pairs = of_window.pairs(query.dim(2) as u64, keys.dim(2) as u64).saturating_add(of_entries);
        let inputs = [query, keys, entries, &self.sinks].map(Tensor::operand);
        let output = Operand::activation(query.shape(), query.format());
        let attention = Operation { pairs, ..Operation::new(OpKind::Attention, &inputs, output) };
        cx.follow(attention, &[query, keys, entries])
    }

    /// (batch, heads, tokens, width) back to (batch, tokens, hidden): each group of heads by its own matrix, then all by one.
    fn projected_back(&self, cx: &mut Cx<'_>, context: &Tensor) -> Result<Tensor> {
        let merged = heads::merge(cx, context)?;
        let [groups, rank, of_group] = [0, 1, 2].map(|dim| self.o_a_proj.0.dim(dim));
        let by_group = cx.reshape(&merged, [merged.dim(0), merged.dim(1), groups, of_group])?;
        let by_group = cx.transpose(&by_group, 1, 2)?;
        let part = Part::Forth { start: 0, len: rank };
        let given = cx.product_by_head("o_a_proj", &by_group, &self.o_a_proj, part)?;
        let given = heads::merge(cx, &given)?;
        cx.call(&self.o_b_proj, &given)
    }
}

impl Module for CompressedAttention {
    type Input<'a> = Seen<'a>;
    type Output = (Tensor, Option<KeyValue>);

    fn forward(&self, cx: &mut Cx<'_>, ((hidden, _), (positions, past)): Seen<'_>) -> Result<Self::Output> {
        let [latent, keys] = cx.call_joint("qkv_a_proj", [&self.q_a_proj, &self.kv_proj], hidden)?;
        let latent = cx.call(&self.q_a_norm, &latent)?;
        let query = cx.call(&self.q_b_proj, &latent)?;
        let query = heads::split(cx, &query, self.heads)?;
        let query = cx.call(&self.q_b_norm, &query)?;
        let keys = cx.call(&self.kv_norm, &keys)?;
        let keys = heads::split(cx, &keys, 1)?;
        let angles = positions.angles(self.layer.rotary);
        let [query, keys] = match angles {
            Some((angles, pairing)) => cx.rotary([&query, &keys], angles, *pairing)?,
            None => [query, keys],
        };
        let (keys, kept) = self.remembered(cx, past, keys)?;
        let entries = match &self.compressor {
            Some(compressor) => cx.call(compressor, ((hidden, &latent), (positions, past)))?,
            None => Tensor::of_shape([keys.dim(0), 1, 0, keys.dim(3)], keys.format()),
        };
        let context = self.attended(cx, [&query, &keys, &entries], positions)?;
        // The values were rotated with the keys: the results are rotated back.
        let context = match angles {
            Some((angles, pairing)) => cx.rotary_of_queries(&context, angles, *pairing)?,
            None => context,
        };
        Ok((self.projected_back(cx, &context)?, kept))
    }
}

/// Makes the entries of a layer, and chooses those that the attention reads.
struct Compressor {
    label: Label,
    pool: Pool,
    indexer: Option<Indexer>,
}

impl Compressor {
    fn load(
        weights: &Weights<'_>,
        of: Compression,
        rotary: Option<usize>,
        [hidden, width, query_rank]: [usize; 3],
    ) -> Result<Self> {
        let class = if of.indexer.is_some() { "DeepseekV4CSACompressor" } else { "DeepseekV4HCACompressor" };
        let indexer = of.indexer.map(|how| {
            let place = weights.child("indexer");
            Indexer::load(&place, how, of, rotary, [hidden, query_rank])
        });
        Ok(Self {
            label: weights.label(class, Level::Module),
            pool: Pool::load(weights, of, hidden, width)?,
            indexer: indexer.transpose()?,
        })
    }
}

impl Module for Compressor {
    /// Hidden states and the latent vectors of the queries, the positions, and the cache.
    type Input<'a> = ((&'a Tensor, &'a Tensor), (&'a Positions, Past<'a>));
    /// Entries (batch, 1, entries, width): with eager kernels all of them, else as many as the queries can have chosen.
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, ((hidden, latent), (positions, past)): Self::Input<'_>) -> Result<Tensor> {
        let pass = Pass::of(cx, positions.size, past, hidden.format());
        let entries = self.pool.run(cx, hidden, pass)?;
        let Some(indexer) = &self.indexer else { return Ok(entries) };
        let places = cx.call(indexer, ((hidden, latent), (positions, past)))?;
        if cx.kernels() == Kernels::Eager {
            if entries.dim(2) > 0 {
                cx.marks(&places, entries.dim(2))?;
            }
            return Ok(entries);
        }
        // Each entry is read once, however many queries have chosen it.
        let read = places.dim(1).saturating_mul(hidden.dim(1)).min(entries.dim(2));
        cx.narrow(&entries, 2, 0, read)
    }
}
