//! One layer of a decoder: an attention and a feed-forward part, added to the stream of hidden states.

use irene_tree::Level;

use super::{
    around::{BetweenNorms, Wrapped},
    attention::{DecoderAttention, Residual, Seen},
    beside::ExpertsBeside,
    compressed::CompressedAttention,
    feed_forward::{Dense, DenseModule},
    latent::LatentAttention,
    lent::BorrowingAttention,
    masks::Positions,
    mixture::MixtureOfExperts,
    per_layer::PerLayerBranch,
    recipe::{Around, Block, Dropouts, FeedForward, Keys, Latent, LayerRecipe, Names, NormKind, Parts, Recipe, States},
    sparse::SparseAttention,
    states::StateMixer,
    stream::Stream,
    streams::HyperConnection,
};
use crate::{Cx, Error, KeyValue, Label, LayerNorm, Module, Norm, Past, Result, RmsNorm, Tensor, Weights, labelled};

labelled!(DecoderLayer);

/// The keys and values that a layer gives the cache, and the places of the tokens that it chose to attend to.
pub(super) type Kept = (Option<KeyValue>, Option<Tensor>);

impl NormKind {
    /// Loads a norm of this kind.
    pub(super) fn load(self, weights: &Weights<'_>, class: &'static str, width: usize) -> Result<Norm> {
        Ok(match self {
            Self::Layer { eps } => Norm::Layer(LayerNorm::load(weights, width, eps)?),
            Self::LayerWithoutBias { eps } => Norm::Layer(LayerNorm::load_without_bias(weights, width, eps)?),
            Self::LayerAroundOne { eps } => Norm::Layer(LayerNorm::load_around_one(weights, class, width, eps)?),
            Self::PlainLayer { eps } => Norm::Layer(LayerNorm::plain(weights, class, eps)),
            Self::Rms { eps } => Norm::Rms(RmsNorm::load(weights, class, width, eps)?),
            Self::RmsAroundOne { eps } => Norm::Rms(RmsNorm::load_around_one(weights, class, width, eps)?),
        })
    }
}

pub(super) struct DecoderLayer {
    label: Label,
    attention: SelfAttention,
    /// The label of the module that holds the attention and the norms, if there is one.
    between_norms: Option<Label>,
    feed_forward: Option<FeedForwardPart>,
    beside: Option<Box<ExpertsBeside>>,
    per_layer: Option<PerLayerBranch>,
    block: Block<Norm>,
    /// Around attention and feed-forward part, where there are several streams.
    connections: Option<[HyperConnection; 2]>,
    residual_scale: Option<f64>,
    /// The factor of its result (1).
    scale: Option<Tensor>,
    dropouts: Dropouts,
    adds_inside: [bool; 2],
}

enum SelfAttention {
    Heads(Box<DecoderAttention>),
    Wrapped(Box<Wrapped<DecoderAttention>>),
    Borrowing(Box<BorrowingAttention>),
    Latent(Box<LatentAttention>),
    Compressed(Box<CompressedAttention>),
    Sparse(Box<SparseAttention>),
    States(Box<StateMixer>),
    Both(Box<StateMixer>, Box<DecoderAttention>),
    None,
}

enum FeedForwardPart {
    Module(DenseModule),
    /// The layer's own products, over all tokens in one list.
    Own(Dense),
    /// Experts, and a part for every token beside them.
    Mixture(Box<MixtureOfExperts>, Option<DenseModule>),
}

impl DecoderLayer {
    pub(super) fn load(weights: &Weights<'_>, recipe: &Recipe, layer: LayerRecipe) -> Result<Self> {
        let load = || FeedForwardPart::load(weights, &recipe.names, &layer.feed_forward, recipe.hidden);
        let is_fed = !matches!(layer.parts, Parts::Attention | Parts::States);
        let beside =
            recipe.mixture_beside.as_ref().map(|beside| ExpertsBeside::load(weights, recipe, beside)).transpose()?;
        let around = recipe.names.around_attention.filter(|around| around.holds_norms);
        let of_norms = around.map_or_else(|| weights.clone(), |around| weights.child(around.name));
        Ok(Self {
            label: weights.label(recipe.names.classes.layer, Level::Module),
            attention: SelfAttention::load(&of_norms, recipe, layer)?,
            between_norms: around.map(|around| of_norms.label(around.class, Level::Module)),
            feed_forward: is_fed.then(load).transpose()?,
            beside: beside.map(Box::new),
            per_layer: recipe.per_layer.map(|part| PerLayerBranch::load(weights, recipe, part)).transpose()?,
            block: recipe.block.load(&of_norms, recipe)?,
            connections: recipe.streams.map(|of| HyperConnection::load_both(weights, of, recipe)).transpose()?,
            residual_scale: recipe.residual_scale,
            scale: recipe.layer_scale.map(|key| weights.buffer(key, [1])).transpose()?,
            dropouts: recipe.dropouts,
            adds_inside: recipe.adds_inside,
        })
    }

    pub(super) fn attend(&self, cx: &mut Cx<'_>, seen: Seen<'_>) -> Result<(Tensor, Kept)> {
        let mut chosen = None;
        let (attended, kept) = match &self.attention {
            SelfAttention::Heads(attention) => cx.call(attention.as_ref(), seen)?,
            SelfAttention::Wrapped(attention) => cx.call(attention.as_ref(), seen)?,
            SelfAttention::Borrowing(attention) => cx.call(attention.as_ref(), seen)?,
            SelfAttention::Latent(attention) => cx.call(attention.as_ref(), seen)?,
            SelfAttention::Compressed(attention) => cx.call(attention.as_ref(), seen)?,
            SelfAttention::Sparse(attention) => {
                let (attended, (kept, places)) = cx.call(attention.as_ref(), seen)?;
                chosen = places;
                (attended, kept)
            }
            SelfAttention::States(mixer) => {
                let ((hidden, _), (_, past)) = seen;
                (cx.call(mixer.as_ref(), (hidden, past))?, None)
            }
            SelfAttention::Both(mixer, attention) => {
                let ((hidden, _), (_, past)) = seen;
                // Each projection back sums its own.
                let given = cx.call(mixer.as_ref(), (hidden, past))?;
                let given = cx.all_reduce(&given)?;
                let (attended, kept) = cx.call(attention.as_ref(), seen)?;
                let attended = cx.all_reduce(&attended)?;
                (cx.add(&given, &attended)?, kept)
            }
            SelfAttention::None => return Ok((self.feed(cx, seen.0.0, None)?, (None, None))),
        };
        // Each GPU has a part of the heads.
        let is_whole = matches!(self.attention, SelfAttention::Both(..));
        let attended = if is_whole { attended } else { cx.all_reduce(&attended)? };
        let attended = self.scaled(cx, attended)?;
        let is_added = seen.0.1.is_some();
        let attended = if is_added { attended } else { cx.dropout(&attended, self.dropouts.attention)? };
        Ok((attended, (kept, chosen)))
    }

    /// The stream with the attention's branch, what the feed-forward part reads, and what is kept.
    pub(super) fn attended(
        &self,
        cx: &mut Cx<'_>,
        stream: &Stream,
        around: (&Positions, Past<'_>),
        [before, behind]: [&Norm; 2],
    ) -> Result<(Stream, (Tensor, Kept))> {
        let (normed, stream) = stream.clone().normed(cx, before)?;
        let inside = stream.added_inside(cx, self.adds_inside[0].then_some(self.dropouts.attention));
        let (attended, kept) = self.attend(cx, ((&normed, inside), around))?;
        let stream = if inside.is_some() { Stream::new(attended) } else { stream.with(cx, attended)? };
        let (normed, stream) = stream.normed(cx, behind)?;
        Ok((stream, (normed, kept)))
    }

    pub(super) fn feed(&self, cx: &mut Cx<'_>, hidden: &Tensor, residual: Option<Residual<'_>>) -> Result<Tensor> {
        let Some(feed_forward) = &self.feed_forward else { return Ok(hidden.clone()) };
        let fed = match feed_forward {
            FeedForwardPart::Module(module) => cx.call(module, (hidden, residual))?,
            FeedForwardPart::Mixture(mixture, None) => cx.call(mixture.as_ref(), hidden)?,
            FeedForwardPart::Mixture(mixture, Some(beside)) => {
                let routed = cx.call(mixture.as_ref(), hidden)?;
                let fed = cx.call(beside, (hidden, None))?;
                // Where tokens are exchanged, the experts' sum is whole already.
                let fed = if cx.parallel().exchanges_tokens() { cx.all_reduce(&fed)? } else { fed };
                cx.add(&routed, &fed)?
            }
            FeedForwardPart::Own(layers) => {
                let shape = hidden.shape();
                let tokens = cx.reshape(hidden, [hidden.dim(0) * hidden.dim(1), hidden.dim(2)])?;
                let fed = layers.run(cx, &tokens)?;
                cx.reshape(&fed, shape)?
            }
        };
        let is_whole = matches!(feed_forward, FeedForwardPart::Mixture(..)) && cx.parallel().exchanges_tokens();
        let fed = if is_whole { fed } else { cx.all_reduce(&fed)? };
        let fed = self.scaled(cx, fed)?;
        if residual.is_some() { Ok(fed) } else { cx.dropout(&fed, self.dropouts.feed_forward) }
    }

    fn scaled(&self, cx: &mut Cx<'_>, branch: Tensor) -> Result<Tensor> {
        self.residual_scale.map_or(Ok(branch.clone()), |scale| cx.mul_scalar(&branch, scale))
    }

    /// The stream with what the layer makes of its own embeddings, scaled by its own factor.
    fn finished(&self, cx: &mut Cx<'_>, mut stream: Stream, of_layer: Option<&Tensor>) -> Result<Stream> {
        if let (Some(part), Some(of_layer)) = (&self.per_layer, of_layer) {
            let hidden = stream.sum(cx)?;
            let given = part.run(cx, &hidden, of_layer)?;
            stream = Stream::new(hidden).with(cx, given)?;
        }
        let Some(scale) = &self.scale else { return Ok(stream) };
        let hidden = stream.sum(cx)?;
        Ok(Stream::new(cx.mul(&hidden, scale)?))
    }
}

impl Module for DecoderLayer {
    /// The stream, the positions, earlier keys and values, and perhaps embeddings of the layer's own.
    type Input<'a> = (&'a Stream, ((&'a Positions, Past<'a>), Option<&'a Tensor>));
    type Output = (Stream, Kept);

    fn forward(&self, cx: &mut Cx<'_>, (stream, (around, of_layer)): Self::Input<'_>) -> Result<Self::Output> {
        if let (Some(connections), Block::PreNorm { attention, feed_forward }) = (&self.connections, &self.block) {
            let (hidden, kept) = self.connected(cx, &stream.hidden, connections, [attention, feed_forward], around)?;
            return Ok((Stream::new(hidden), kept));
        }
        let stream = stream.clone();
        match &self.block {
            Block::PreNorm { attention, feed_forward } => {
                let norms = [attention, feed_forward];
                let (stream, (normed, kept)) = match &self.between_norms {
                    Some(label) => cx.call(&BetweenNorms { label, layer: self, norms }, (&stream, around))?,
                    None => self.attended(cx, &stream, around, norms)?,
                };
                let inside = stream.added_inside(cx, self.adds_inside[1].then_some(self.dropouts.feed_forward));
                let fed = self.feed(cx, &normed, inside)?;
                Ok((if inside.is_some() { Stream::new(fed) } else { stream.with(cx, fed)? }, kept))
            }
            Block::OutputNorm { attention, feed_forward } => {
                let hidden = stream.sum(cx)?;
                let (attended, kept) = self.attend(cx, ((&hidden, None), around))?;
                let attended = cx.call(attention, &attended)?;
                let hidden = cx.add(&hidden, &attended)?;
                let fed = self.feed(cx, &hidden, None)?;
                let fed = cx.call(feed_forward, &fed)?;
                Ok((Stream::new(cx.add(&hidden, &fed)?), kept))
            }
            Block::Sandwich { attention, feed_forward } => {
                let (normed, stream) = stream.normed(cx, &attention[0])?;
                let (attended, kept) = self.attend(cx, ((&normed, None), around))?;
                let attended = cx.call(&attention[1], &attended)?;
                let (normed, stream) = stream.with(cx, attended)?.normed(cx, &feed_forward[0])?;
                let mut fed = self.feed(cx, &normed, None)?;
                if let Some(beside) = &self.beside {
                    fed = beside.added(cx, &fed, &stream.hidden)?;
                }
                let fed = cx.call(&feed_forward[1], &fed)?;
                let stream = stream.with(cx, fed)?;
                Ok((self.finished(cx, stream, of_layer)?, kept))
            }
            Block::Parallel { attention, feed_forward } => {
                let (normed, stream) = stream.normed(cx, attention)?;
                let (attended, kept) = self.attend(cx, ((&normed, None), around))?;
                let fed = match feed_forward {
                    Some(norm) => {
                        let normed = cx.call(norm, &stream.hidden)?;
                        self.feed(cx, &normed, None)?
                    }
                    None => self.feed(cx, &normed, None)?,
                };
                let branches = cx.add(&fed, &attended)?;
                let branches = cx.dropout(&branches, self.dropouts.both)?;
                Ok((stream.with(cx, branches)?, kept))
            }
            Block::Single { norm } => {
                let (normed, stream) = stream.normed(cx, norm)?;
                let (branch, kept) = self.attend(cx, ((&normed, None), around))?;
                Ok((stream.with(cx, branch)?, kept))
            }
            Block::PostNorm { attention, feed_forward } => {
                let hidden = stream.sum(cx)?;
                let (attended, kept) = self.attend(cx, ((&hidden, None), around))?;
                let (hidden, _) = cx.norm_of_sum(&attended, &hidden, attention)?;
                let fed = self.feed(cx, &hidden, None)?;
                let (hidden, _) = cx.norm_of_sum(&fed, &hidden, feed_forward)?;
                Ok((Stream::new(hidden), kept))
            }
        }
    }
}

impl SelfAttention {
    fn load(weights: &Weights<'_>, recipe: &Recipe, layer: LayerRecipe) -> Result<Self> {
        let Recipe { names, hidden, attention, norm, .. } = recipe;
        let (in_layer, weights) = (weights, &weights.child(names.attention));
        if let Some(shared) = attention.shared_keys {
            return Ok(Self::Compressed(Box::new(CompressedAttention::load(weights, recipe, shared, layer)?)));
        }
        let mixer = |states: &States| -> Result<_> {
            Ok(Box::new(StateMixer::load(&in_layer.child(states.name), names, *states, *hidden)?))
        };
        Ok(match (layer.parts, &attention.states, &attention.latent) {
            (Parts::FeedForward, ..) | (Parts::States | Parts::StatesAndFeedForward, None, _) => Self::None,
            (Parts::States | Parts::StatesAndFeedForward, Some(states), _) => Self::States(mixer(states)?),
            (Parts::StatesBesideAttention, Some(states), _) => {
                let heads = DecoderAttention::load(weights, names, attention, *norm, *hidden, layer)?;
                Self::Both(mixer(states)?, Box::new(heads))
            }
            (_, _, Some(latent @ Latent { indexer: Some(indexer), .. })) => {
                let latent = (latent, *indexer);
                Self::Sparse(Box::new(SparseAttention::load(weights, names, attention, latent, *hidden, layer)?))
            }
            (_, _, Some(latent)) => {
                Self::Latent(Box::new(LatentAttention::load(weights, names, attention, latent, *hidden, layer)?))
            }
            (_, _, None) if matches!(layer.keys, Keys::Of(_)) => {
                Self::Borrowing(Box::new(BorrowingAttention::load(weights, names, attention, *norm, *hidden, layer)?))
            }
            (_, _, None) => match names.around_attention.filter(|around| !around.holds_norms) {
                Some(Around { name, class, .. }) => {
                    let place = in_layer.child(name);
                    let weights = &place.child(names.attention);
                    let heads = DecoderAttention::load(weights, names, attention, *norm, *hidden, layer)?;
                    Self::Wrapped(Box::new(Wrapped::new(&place, class, Level::Module, heads)))
                }
                None => {
                    Self::Heads(Box::new(DecoderAttention::load(weights, names, attention, *norm, *hidden, layer)?))
                }
            },
        })
    }
}

impl FeedForwardPart {
    fn load(weights: &Weights<'_>, names: &Names, recipe: &FeedForward, hidden: usize) -> Result<Self> {
        if let FeedForward::Mixture(mixture) = recipe {
            let place = weights.child_also(
                mixture.name,
                mixture.key,
                &format!("{}.{}", mixture.router.key, mixture.router.weight),
            );
            let beside = mixture.beside.map(|inner| {
                let recipe = FeedForward::for_every_token(inner, mixture.activation);
                dense_module(&weights.child(names.feed_forward), names, &recipe, hidden)
            });
            let mixture = MixtureOfExperts::load(&place, &names.classes, mixture, hidden)?;
            return Ok(Self::Mixture(Box::new(mixture), beside.transpose()?));
        }
        Ok(if names.feed_forward.is_empty() {
            Self::Own(dense(weights, recipe, hidden)?)
        } else {
            Self::Module(dense_module(&weights.child(names.feed_forward), names, recipe, hidden)?)
        })
    }
}

fn dense(weights: &Weights<'_>, recipe: &FeedForward, hidden: usize) -> Result<Dense> {
    let layers = Dense::load(weights, recipe, hidden)?;
    layers.ok_or_else(|| Error::Shape { operation: "feed_forward", reason: "a mixture is no dense layer".into() })
}

fn dense_module(weights: &Weights<'_>, names: &Names, recipe: &FeedForward, hidden: usize) -> Result<DenseModule> {
    Ok(DenseModule::new(weights, names.classes.feed_forward, dense(weights, recipe, hidden)?))
}

impl Block {
    /// The norms of these names.
    fn load(self, weights: &Weights<'_>, recipe: &Recipe) -> Result<Block<Norm>> {
        let load = |name| recipe.norm.load(&weights.child(name), recipe.names.classes.norm, recipe.hidden);
        let both = |[first, second]: [_; 2]| Ok::<_, Error>([load(first)?, load(second)?]);
        Ok(match self {
            Self::PreNorm { attention, feed_forward } => {
                Block::PreNorm { attention: load(attention)?, feed_forward: load(feed_forward)? }
            }
            Self::PostNorm { attention, feed_forward } => {
                Block::PostNorm { attention: load(attention)?, feed_forward: load(feed_forward)? }
            }
            Self::OutputNorm { attention, feed_forward } => {
                Block::OutputNorm { attention: load(attention)?, feed_forward: load(feed_forward)? }
            }
            Self::Sandwich { attention, feed_forward } => {
                Block::Sandwich { attention: both(attention)?, feed_forward: both(feed_forward)? }
            }
            Self::Parallel { attention, feed_forward } => {
                Block::Parallel { attention: load(attention)?, feed_forward: feed_forward.map(load).transpose()? }
            }
            Self::Single { norm } => Block::Single { norm: load(norm)? },
        })
    }
}
