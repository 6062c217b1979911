//! DeepSeek sparse attention (DeepSeek-V3.2, section 2.1): latent attention of which each query sees the tokens alone that an indexer chooses
//! for it.

use irene_tree::{Kernels, Level, Role};

use super::{
    attention::Seen,
    latent::{LatentAttention, Projected},
    layer::Kept,
    masks::Positions,
    recipe::{AttentionRecipe, IndexerRecipe, Latent, LayerRecipe, Names},
};
use crate::{
    Attention, Causal, Cx, Error, KeyValue, Label, LayerNorm, Linear, Module, Past, Result, Scaling, Tensor, Weights,
    labelled, models::heads,
};

labelled!(SparseAttention, Indexer);

pub(super) struct SparseAttention {
    label: Label,
    latent: LatentAttention,
    /// None in a layer that takes over the choice of an earlier one.
    indexer: Option<Indexer>,
}

impl SparseAttention {
    pub(super) fn load(
        weights: &Weights<'_>,
        names: &Names,
        recipe: &AttentionRecipe,
        (latent, indexer): (&Latent, IndexerRecipe),
        hidden: usize,
        layer: LayerRecipe,
    ) -> Result<Self> {
        // No gradient comes to what chooses alone.
        let load =
            || Indexer::load(&weights.child("indexer").untrained(), names, recipe, (latent, indexer), hidden, layer);
        Ok(Self {
            label: weights.label(names.classes.attention, Level::Module),
            latent: LatentAttention::load(weights, names, recipe, latent, hidden, layer)?,
            indexer: (!layer.shares_choice).then(load).transpose()?,
        })
    }

    /// The latent vectors (batch, 1, tokens, rank) and rotated keys of all tokens so far, and what the cache keeps: behind the rotated part
    /// of a token's key its key for the indexer, if the layer has one.
    fn remembered(
        cx: &mut Cx<'_>,
        past: Past<'_>,
        [latent, rotary_key]: [&Tensor; 2],
        index_key: Option<&Tensor>,
    ) -> Result<([Tensor; 2], Option<KeyValue>)> {
        let latent = cx.reshape(latent, [latent.dim(0), 1, latent.dim(1), latent.dim(2)])?;
        if matches!(past, Past::NotKept) {
            return Ok(([latent, rotary_key.clone()], None));
        }
        // The cache has room for both, side by side, to which each is written.
        let keys = match index_key {
            Some(index_key) => cx.untraced(|cx| cx.join(rotary_key, index_key, 3))?,
            None => rotary_key.clone(),
        };
        let ([_, latent, keys], kept) = cx.remember(past, [latent.clone(), latent, keys], None)?;
        Ok(([latent, cx.narrow(&keys, 3, 0, rotary_key.dim(3))?], kept))
    }
}

impl Module for SparseAttention {
    type Input<'a> = Seen<'a>;
    type Output = (Tensor, Kept);

    fn forward(&self, cx: &mut Cx<'_>, ((hidden, _), (positions, past)): Seen<'_>) -> Result<Self::Output> {
        let Projected { queries, of_queries, latent, rotary_key } = self.latent.projected(cx, hidden, positions)?;
        let (chosen, index_key) = match (&self.indexer, &of_queries, &positions.chosen) {
            (Some(indexer), Some(of_queries), _) => {
                let (chosen, key) = cx.call(indexer, ((hidden, of_queries), (positions, past)))?;
                (chosen, Some(key))
            }
            (None, _, Some(chosen)) => (chosen.clone(), None),
            _ => return Err(refused("no layer before this one chose tokens")),
        };
        let ([latent, rotary_key], kept) = Self::remembered(cx, past, [&latent, &rotary_key], index_key.as_ref())?;
        let how = Attention { chosen: Some(&chosen), ..self.latent.how(positions) };
        // Engines attend over the latent vectors of a prompt too.
        let context = if cx.kernels() == Kernels::Fused && kept.is_some() {
            let cached = KeyValue::of_pass(latent, rotary_key);
            self.latent.over_latents(cx, &queries, &cached, how)?
        } else {
            let latent = cx.select(&latent, 1, 0)?;
            let heads = self.latent.heads(cx, &queries, [&latent, &rotary_key])?;
            cx.attention(&heads, how)?
        };
        Ok((self.latent.out(cx, &context)?, (kept, Some(chosen))))
    }
}

fn refused(reason: &str) -> Error {
    Error::Shape { operation: "sparse attention", reason: reason.into() }
}

/// Scores the tokens before each query by heads of its own, and chooses those of the highest scores.
struct Indexer {
    label: Label,
    wq_b: Linear,
    wk: Linear,
    k_norm: LayerNorm,
    weights_proj: Linear,
    recipe: IndexerRecipe,
    /// Numbers of a token's key that the cache has before the indexer's.
    rotary_width: usize,
    sees_later: bool,
    layer: LayerRecipe,
}

impl Indexer {
    fn load(
        weights: &Weights<'_>,
        names: &Names,
        attention: &AttentionRecipe,
        (latent, recipe): (&Latent, IndexerRecipe),
        hidden: usize,
        layer: LayerRecipe,
    ) -> Result<Self> {
        let IndexerRecipe { heads, width, .. } = recipe;
        let rank = latent.query_rank.ok_or_else(|| refused("its indexer needs latent vectors of queries"))?;
        let linear = |name, sizes| Linear::load_with(&weights.child(name), sizes, None);
        Ok(Self {
            label: weights.label(names.classes.indexer, Level::Module),
            wq_b: linear("wq_b", [rank, heads * width])?,
            wk: linear("wk", [hidden, width])?,
            k_norm: LayerNorm::load(&weights.child("k_norm"), width, 1e-6)?,
            weights_proj: linear("weights_proj", [hidden, heads])?,
            recipe,
            rotary_width: latent.rotary_width,
            sees_later: attention.sees_later,
            layer,
        })
    }

    /// The keys of all tokens so far (batch, 1, tokens, width), which the attention is yet to put into the cache.
    fn keys(&self, cx: &mut Cx<'_>, past: Past<'_>, new: &Tensor) -> Result<Tensor> {
        let Past::Tokens(KeyValue { value, .. }) = past else { return Ok(new.clone()) };
        let earlier = cx.narrow(value, 3, self.rotary_width, self.recipe.width)?;
        Ok(cx.untraced(|cx| cx.join(&earlier, new, 2))?.with_role(Role::Cache))
    }
}

impl Module for Indexer {
    /// Hidden states and the latent vectors of their queries, the positions and masks, and the cache.
    type Input<'a> = ((&'a Tensor, &'a Tensor), (&'a Positions, Past<'a>));
    /// The places of each query's tokens (batch x queries, count), and the keys of the new tokens.
    type Output = (Tensor, Tensor);

    fn forward(
        &self,
        cx: &mut Cx<'_>,
        ((hidden, of_queries), (positions, past)): Self::Input<'_>,
    ) -> Result<Self::Output> {
        let IndexerRecipe { heads, width, most, pairing } = self.recipe;
        let query = cx.call(&self.wq_b, of_queries)?;
        let query = heads::split(cx, &query, heads)?;
        let key = cx.call(&self.wk, hidden)?;
        let key = cx.call(&self.k_norm, &key)?;
        let key = cx.reshape(&key, [key.dim(0), 1, key.dim(1), width])?;
        let [query, key] = match positions.angles(self.layer.rotary) {
            Some((angles, _)) => cx.rotary([&query, &key], angles, pairing)?,
            None => [query, key],
        };
        let weights = cx.call(&self.weights_proj, hidden)?;
        let how = Attention {
            scaling: Scaling::Factor(1.0 / (width as f64).sqrt()),
            causal: if self.sees_later { Causal::No } else { Causal::Hidden },
            padding: positions.mask(self.layer.window).padding(),
            ..Attention::PLAIN
        };
        let keys = self.keys(cx, past, &key)?;
        let scores = cx.index_scores([&query, &keys, &weights], how)?;
        let scores = cx.reshape(&scores, [scores.dim(0) * scores.dim(2), scores.dim(3)])?;
        let (_, places) = cx.top_k(&scores, most.min(scores.dim(1)))?;
        Ok((places, key))
    }
}
