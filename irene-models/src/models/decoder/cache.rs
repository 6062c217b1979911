//! The shape of a decoder's cache.

use irene_tree::Kernels;

use super::recipe::{AttentionRecipe, Compression, Keys, LayerRecipe, OwnHeads, Parts, Recipe, States};
use crate::{CacheShape, LayerCache};

/// No keys and no values.
const NOTHING: LayerCache = LayerCache {
    heads: 0,
    key_width: 0,
    value_width: 0,
    window: Some(1),
    state_heads: 0,
    state: 0,
    before_state: 0,
    tokens_of_entry: 0,
    entry_width: 0,
};

impl States {
    /// A state for all of the past, and the last tokens that the convolution joins, beside the keys and values of an attention, if there
    /// are any.
    fn cached_with(&self, keys: LayerCache) -> LayerCache {
        let before_state = (self.channels() * (self.kernel - 1)).div_ceil(self.heads);
        LayerCache { state_heads: self.heads, state: self.width * self.size, before_state, ..keys }
    }
}

impl LayerRecipe {
    /// Keys of the window that are values too, entries with the indexer's keys beside them, and the tokens that wait for their entry: values
    /// and gates. Where entries overlap, both are there for this entry and the next, and for this one of the entry's tokens before.
    fn cached_with_entries(&self, width: usize) -> LayerCache {
        let keys = LayerCache { heads: 1, key_width: width, window: self.window, ..LayerCache::default() };
        let Some(Compression { rate, indexer }) = self.compression else { return keys };
        let entry_width = width + indexer.map_or(0, |indexer| indexer.width);
        let waiting = if indexer.is_some() { 6 } else { 2 } * rate * entry_width;
        LayerCache { tokens_of_entry: rate, entry_width, state_heads: 1, before_state: waiting, ..keys }
    }
}

impl Recipe {
    /// The cache of these kernels, if the model goes on from earlier tokens: fused ones keep the latent vectors, and beside them the rotated
    /// part of the keys. A sparse attention does so by all kernels, and keeps its indexer's keys there too.
    pub(super) fn cache(&self, kernels: Kernels) -> Option<CacheShape> {
        let AttentionRecipe { heads, width, latent, shared_keys, states, sees_later, .. } = &self.attention;
        if *sees_later {
            return None;
        }
        let attended = |layer: &LayerRecipe| {
            if shared_keys.is_some() {
                return layer.cached_with_entries(*width);
            }
            let (heads, key_width, value_width) = match latent {
                Some(latent) if kernels == Kernels::Fused || latent.indexer.is_some() => {
                    let indexer = latent.indexer.filter(|_| !layer.shares_choice);
                    let index_width = indexer.map_or(0, |indexer| indexer.width);
                    (1, latent.key_value_rank, latent.rotary_width + index_width)
                }
                Some(latent) => (*heads, latent.plain_width + latent.rotary_width, latent.value_width),
                None => {
                    let OwnHeads { groups, width, value_width, .. } = self.attention.heads_of(layer);
                    (groups, width, value_width)
                }
            };
            LayerCache { heads, key_width, value_width, window: layer.window, ..LayerCache::default() }
        };
        let of_layer = |layer: &LayerRecipe| match (layer.parts, states) {
            (Parts::AttentionAndFeedForward | Parts::Attention, _) => attended(layer),
            (Parts::StatesBesideAttention, Some(states)) => states.cached_with(attended(layer)),
            (Parts::States | Parts::StatesAndFeedForward, Some(states)) => states.cached_with(NOTHING),
            (_, None) | (Parts::FeedForward, _) => NOTHING,
        };
        let keeping = self.layers.iter().filter(|layer| !matches!(layer.keys, Keys::Of(_)));
        Some(CacheShape(keeping.map(of_layer).collect()))
    }
}
