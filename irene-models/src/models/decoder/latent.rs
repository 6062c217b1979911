//! Multi-head latent attention (DeepSeek-V2, section 2.1): queries, keys and values come from vectors of a low rank.

use irene_tree::{Kernels, Level};

use super::{
    attention::Seen,
    masks::Positions,
    recipe::{AttentionRecipe, Latent, LayerRecipe, Names, NormKind},
};
use crate::{
    Attention, Causal, Cx, KeyValue, Label, Linear, Module, Norm, Past, Result, Scaling, Tensor, Weights, labelled,
    models::heads,
    trace::{HeadWeight, Part},
};

labelled!(LatentAttention);

pub(super) struct LatentAttention {
    label: Label,
    query: Query,
    kv_a_proj_with_mqa: Linear,
    kv_a_layernorm: Norm,
    kv_b_proj: Linear,
    /// The same weight by heads, for the products that fused kernels run in place of the module.
    by_head: HeadWeight,
    o_proj: Linear,
    heads: usize,
    latent: Latent,
    sees_later: bool,
    scale: f64,
    dropout: f64,
    layer: LayerRecipe,
}

enum Query {
    Plain(Linear),
    Latent { down: Linear, norm: Norm, up: Linear },
}

/// Queries and latent vectors that the projections make of hidden states.
pub(super) struct Projected {
    /// The queries' parts without and with positions, (batch, heads, tokens, width).
    pub(super) queries: [Tensor; 2],
    /// The latent vectors of the queries (batch, tokens, rank), if they come from such.
    pub(super) of_queries: Option<Tensor>,
    /// The latent vectors of keys and values (batch, tokens, rank).
    pub(super) latent: Tensor,
    /// The part of the keys with positions (batch, 1, tokens, width).
    pub(super) rotary_key: Tensor,
}

impl LatentAttention {
    pub(super) fn load(
        weights: &Weights<'_>,
        names: &Names,
        recipe: &AttentionRecipe,
        latent: &Latent,
        hidden: usize,
        layer: LayerRecipe,
    ) -> Result<Self> {
        let AttentionRecipe { heads, scale, dropout, .. } = *recipe;
        let &Latent { key_value_rank, plain_width, rotary_width, value_width, biased, .. } = latent;
        let linear = |name, sizes, biased| Linear::load_maybe_biased(&weights.child(name), sizes, biased);
        // Those of the latent vectors have their class's epsilon, whatever the config's.
        let norm = NormKind::Rms { eps: 1e-6 };
        let norm = |name, width| norm.load(&weights.child(name), names.classes.norm, width);
        let queries = heads * (plain_width + rotary_width);
        let query = match latent.query_rank {
            None => Query::Plain(linear("q_proj", [hidden, queries], false)?),
            Some(rank) => Query::Latent {
                down: linear("q_a_proj", [hidden, rank], biased)?,
                norm: norm("q_a_layernorm", rank)?,
                up: linear("q_b_proj", [rank, queries], false)?,
            },
        };
        let (kv_b_proj, by_head) = Linear::load_with_matrix(
            &weights.child("kv_b_proj"),
            [key_value_rank, heads * (plain_width + value_width)],
        )?;
        Ok(Self {
            label: weights.label(names.classes.attention, Level::Module),
            query,
            kv_a_proj_with_mqa: linear("kv_a_proj_with_mqa", [hidden, key_value_rank + rotary_width], biased)?,
            kv_a_layernorm: norm("kv_a_layernorm", key_value_rank)?,
            kv_b_proj,
            by_head: HeadWeight(by_head.reshape([heads, plain_width + value_width, key_value_rank].into())?),
            o_proj: linear("o_proj", [heads * value_width, hidden], biased)?,
            heads,
            latent: *latent,
            sees_later: recipe.sees_later,
            scale,
            dropout,
            layer,
        })
    }

    /// Queries, and latent vectors of keys and values, with those parts rotated that have positions.
    pub(super) fn projected(&self, cx: &mut Cx<'_>, hidden: &Tensor, positions: &Positions) -> Result<Projected> {
        let Latent { plain_width, rotary_width, .. } = self.latent;
        let (query, of_queries) = self.queries(cx, hidden, positions.temperature.as_ref())?;
        let [latent, rotary_key] = self.latents(cx, hidden)?;
        let plain_query = cx.narrow(&query, 3, 0, plain_width)?;
        let rotary_query = cx.narrow(&query, 3, plain_width, rotary_width)?;
        let [rotary_query, rotary_key] = match positions.angles(self.layer.rotary) {
            Some((angles, pairing)) => cx.rotary([&rotary_query, &rotary_key], angles, *pairing)?,
            None => [rotary_query, rotary_key],
        };
        Ok(Projected { queries: [plain_query, rotary_query], of_queries, latent, rotary_key })
    }

    /// How queries attend to keys.
    pub(super) fn how<'a>(&self, positions: &'a Positions) -> Attention<'a> {
        Attention {
            scaling: Scaling::Factor(self.scale),
            causal: if self.sees_later { Causal::No } else { Causal::Hidden },
            padding: positions.mask(self.layer.window).padding(),
            window: self.layer.window,
            wide_softmax: true,
            dropout: self.dropout,
            ..Attention::PLAIN
        }
    }

    /// Queries, keys and values (batch, heads, tokens, width) of every head.
    pub(super) fn heads(
        &self,
        cx: &mut Cx<'_>,
        [plain_query, rotary_query]: &[Tensor; 2],
        [latent, rotary_key]: [&Tensor; 2],
    ) -> Result<[Tensor; 3]> {
        let [plain_key, value] = self.keys_and_values(cx, latent)?;
        let query = cx.join(plain_query, rotary_query, 3)?;
        let rotary_key = cx.repeat_heads(rotary_key, self.heads)?;
        Ok([query, cx.join(&plain_key, &rotary_key, 3)?, value])
    }

    /// The result of a context (batch, heads, tokens, width) of all heads.
    pub(super) fn out(&self, cx: &mut Cx<'_>, context: &Tensor) -> Result<Tensor> {
        let merged = heads::merge(cx, context)?;
        cx.call(&self.o_proj, &merged)
    }

    /// The latent vectors (batch, tokens, rank), and the part of the keys with positions (batch, 1, tokens, rotated), not rotated yet.
    fn latents(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<[Tensor; 2]> {
        let &Latent { key_value_rank, rotary_width, .. } = &self.latent;
        let compressed = cx.call(&self.kv_a_proj_with_mqa, hidden)?;
        let latent = cx.narrow(&compressed, 2, 0, key_value_rank)?;
        let rotated = cx.narrow(&compressed, 2, key_value_rank, rotary_width)?;
        let latent = cx.call(&self.kv_a_layernorm, &latent)?;
        let rotated = cx.contiguous(&rotated)?;
        Ok([latent, cx.reshape(&rotated, [hidden.dim(0), 1, hidden.dim(1), rotary_width])?])
    }

    /// Keys without positions and values (batch, heads, tokens, width) of latent vectors.
    fn keys_and_values(&self, cx: &mut Cx<'_>, latent: &Tensor) -> Result<[Tensor; 2]> {
        let &Latent { plain_width, value_width, .. } = &self.latent;
        let both = cx.call(&self.kv_b_proj, latent)?;
        let both = cx.reshape(&both, [latent.dim(0), latent.dim(1), self.heads, plain_width + value_width])?;
        let both = cx.transpose(&both, 1, 2)?;
        Ok([cx.narrow(&both, 3, 0, plain_width)?, cx.narrow(&both, 3, plain_width, value_width)?])
    }

    /// Attention over the latent vectors of earlier tokens and these: keys and values of no head are made; the queries and the results
    /// are taken to the latent vectors and back (DeepSeek-V2, section 2.1.2).
    pub(super) fn over_latents(
        &self,
        cx: &mut Cx<'_>,
        [plain_query, rotary_query]: &[Tensor; 2],
        cached: &KeyValue,
        how: Attention<'_>,
    ) -> Result<Tensor> {
        let Latent { plain_width, value_width, .. } = self.latent;
        let query =
            cx.product_by_head("k_up", plain_query, &self.by_head, Part::Back { start: 0, len: plain_width })?;
        let query = cx.join(&query, rotary_query, 3)?;
        let context = cx.latent_attention(&query, cached, how)?;
        cx.product_by_head("v_up", &context, &self.by_head, Part::Forth { start: plain_width, len: value_width })
    }

    /// The queries (batch, heads, tokens, width), not rotated yet, and the latent vectors that they come from, if there are such. Rotation is
    /// linear: growth may come before it, for both parts at once.
    fn queries(
        &self,
        cx: &mut Cx<'_>,
        hidden: &Tensor,
        temperature: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let (query, latent) = match &self.query {
            Query::Plain(plain) => (cx.call(plain, hidden)?, None),
            Query::Latent { down, norm, up } => {
                let latent = cx.call(down, hidden)?;
                let latent = cx.call(norm, &latent)?;
                (cx.call(up, &latent)?, Some(latent))
            }
        };
        let width = self.latent.plain_width + self.latent.rotary_width;
        let query = cx.reshape(&query, [hidden.dim(0), hidden.dim(1), self.heads, width])?;
        let query = cx.transpose(&query, 1, 2)?;
        let query = match temperature {
            Some(temperature) => cx.mul(&query, temperature)?,
            None => query,
        };
        Ok((query, latent))
    }
}

impl Module for LatentAttention {
    type Input<'a> = Seen<'a>;
    type Output = (Tensor, Option<KeyValue>);

    fn forward(&self, cx: &mut Cx<'_>, ((hidden, _), (positions, past)): Seen<'_>) -> Result<Self::Output> {
        let Projected { queries, latent, rotary_key, .. } = self.projected(cx, hidden, positions)?;
        let how = self.how(positions);
        let (cached, past) = match (cx.kernels(), past) {
            (Kernels::Fused, Past::Empty | Past::Tokens(_)) => {
                let latent = cx.reshape(&latent, [latent.dim(0), 1, latent.dim(1), latent.dim(2)])?;
                (cx.store(past, &latent, &rotary_key)?, Past::NotKept)
            }
            _ => (None, past),
        };
        let (context, kept) = match &cached {
            Some(cached) if cached.key.dim(2) > hidden.dim(1) => (self.over_latents(cx, &queries, cached, how)?, None),
            _ => {
                let heads = self.heads(cx, &queries, [&latent, &rotary_key])?;
                let (heads, kept) = cx.remember(past, heads, self.layer.window)?;
                (cx.attention(&heads, how)?, kept)
            }
        };
        Ok((self.out(cx, &context)?, cached.or(kept)))
    }
}
