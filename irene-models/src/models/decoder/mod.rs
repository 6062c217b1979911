//! Decoders that generate: one model whose parts each family's config chooses.
//!
//! A family reads its config into a [`Recipe`](recipe::Recipe), in `families`. The modules here follow the recipe, top to bottom in the
//! order data flows: the embeddings, the layers (attention, feed-forward part or mixture of experts), the last norm and the head.

#![allow(clippy::large_enum_variant)] // the parts of a model are built once and stay where they are

mod around;
mod attention;
mod attention_recipe;
mod beside;
mod cache;
mod compressed;
mod families;
mod feed_forward;
mod feed_forward_recipe;
mod latent;
mod layer;
mod lent;
mod masks;
mod mixture;
mod parallel;
mod per_layer;
mod recipe;
mod repeats;
pub(crate) mod rotary;
mod sparse;
mod states;
mod stream;
mod streams;

use irene_tree::{Format, Kernels, Level, Role};

pub(crate) use self::families::DECODERS;
use self::{
    around::Wrapped,
    layer::DecoderLayer,
    masks::Positions,
    per_layer::PerLayerInputs,
    recipe::{Classes, HeadRecipe, Keys, Recipe},
    repeats::{EqualLayers, Loaded, Repeats},
    rotary::RotaryEmbedding,
    stream::Stream,
    streams::HyperHead,
};
use super::task_head::{HeadLayers, Trunk, WithHead};
use crate::{
    Architecture, Batch, Cache, CacheShape, Config, Cx, Embedding, Error, KeyValue, Label, Linear, Model, ModelOutput,
    Module, Norm, Past, Result, TaskHead, Tensor, Weights, families::Family, labelled,
};

labelled!(DecoderModel, ScaledEmbedding);

/// A family in the registry.
pub(crate) struct Decoder {
    pub(crate) family: Family,
    /// The module that holds the model in checkpoints.
    pub(super) trunk: &'static str,
    pub(super) recipe: fn(&Config) -> Result<Recipe>,
}

impl Architecture for Decoder {
    fn model_type(&self) -> &'static str {
        self.family.model_type
    }

    fn checkpoint_prefix(&self) -> &'static str {
        self.trunk
    }

    fn cache(&self, config: &Config, kernels: Kernels) -> Result<Option<CacheShape>> {
        Ok((self.recipe)(config)?.cache(kernels))
    }

    fn longest_sequence(&self, config: &Config) -> Result<usize> {
        Ok((self.recipe)(config)?.positions)
    }

    fn is_shared_by_gpus(&self) -> bool {
        true
    }

    fn check_run(&self, config: &Config) -> Result<()> {
        (self.recipe)(config)?.check_run()
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let recipe = (self.recipe)(config)?;
        let vocabulary = recipe.vocabulary;
        let recipe = recipe.shared_by(config, weights.parallel())?;
        let (classes, of_head, width) = (recipe.head_classes(self.trunk), recipe.head, recipe.embedding);
        let layers = |tokens: &Embedding| -> Result<Box<dyn HeadLayers>> {
            Ok(if head == TaskHead::Classification {
                let sizes = [width, config.num_labels()?];
                Box::new(Linear::load_with(&weights.child("score"), sizes, None)?)
            } else {
                Box::new(LmHead::load(weights, of_head, tokens, vocabulary)?)
            })
        };
        if recipe.names.inner.is_some() {
            return WithHead::build(weights, head, &classes, |own, level| wrapped(own, recipe, level), layers);
        }
        let class = recipe.names.classes.model;
        let trunk = |own: &Weights<'_>, level| DecoderModel::load(own, recipe, class, level);
        WithHead::build(weights, head, &classes, trunk, layers)
    }
}

/// A model around the module that holds its layers (OPT).
fn wrapped(weights: &Weights<'_>, recipe: Recipe, level: Level) -> Result<Wrapped<DecoderModel>> {
    let Classes { model, inner, .. } = recipe.names.classes;
    let place = recipe.names.inner.map_or_else(|| weights.clone(), |inner| weights.child(inner));
    Ok(Wrapped::new(weights, model, level, DecoderModel::load(&place, recipe, inner, Level::Module)?))
}

impl Trunk for Wrapped<DecoderModel> {
    fn tokens(&self) -> &Embedding {
        self.inner.tokens()
    }
}

struct DecoderModel {
    label: Label,
    format: Format,
    tokens: Tokens,
    learned_positions: Option<(usize, Embedding)>,
    /// There and back, where embeddings have a width of their own.
    projections: Option<[Linear; 2]>,
    embedding_norm: Option<Norm>,
    per_layer: Option<PerLayerInputs>,
    rotary: Vec<RotaryEmbedding>,
    layers: Vec<DecoderLayer>,
    equal: EqualLayers,
    streams: Option<HyperHead>,
    norm: Option<Norm>,
    /// The first layer of each stage of the pipeline after the first.
    stages: Vec<usize>,
    recipe: Recipe,
}

impl DecoderModel {
    fn load(weights: &Weights<'_>, recipe: Recipe, class: &'static str, level: Level) -> Result<Self> {
        let Recipe { names, hidden, embedding, norm, .. } = &recipe;
        let load_norm = |name| norm.load(&weights.child(name), names.classes.norm, *hidden);
        let project = |name, sizes| Linear::load_with(&weights.child(name), sizes, None);
        let there_and_back =
            || Ok([project("project_in", [*embedding, *hidden])?, project("project_out", [*hidden, *embedding])?]);
        let projections: Option<Result<_>> = (embedding != hidden).then(there_and_back);
        let of_positions =
            |(name, before, rows)| -> Result<_> { Ok((before, Embedding::load(&weights.child(name), rows, *hidden)?)) };
        let rotary = |rotary: &rotary::Rotary| {
            let label = weights.child("rotary_emb").label(names.classes.rotary, Level::Module);
            RotaryEmbedding::new(label, rotary.clone(), weights.activations())
        };
        let (label, tokens) = (weights.label(class, level), Tokens::load(&weights.child(names.tokens), &recipe)?);
        if !tokens.table().is_shape() {
            recipe.check_run()?;
        }
        let learned_positions = recipe.learned_positions.map(of_positions).transpose()?;
        let (projections, embedding_norm) =
            (projections.transpose()?, recipe.embedding_norm.map(load_norm).transpose()?);
        let per_layer = recipe.per_layer.map(|(width, _)| PerLayerInputs::load(weights, &recipe, width)).transpose()?;
        let (layers, loaded) = load_layers(weights, &recipe)?;
        Ok(Self {
            label,
            format: weights.activations(),
            tokens,
            learned_positions,
            projections,
            embedding_norm,
            per_layer,
            rotary: recipe.attention.rotary.iter().map(rotary).collect(),
            equal: EqualLayers::of(&recipe.layers, &loaded),
            layers,
            streams: recipe.streams.map(|streams| HyperHead::load(weights, streams, &recipe)).transpose()?,
            norm: recipe.final_norm.map(load_norm).transpose()?,
            stages: parallel::stages(recipe.layers.len(), weights.parallel().pipeline),
            recipe,
        })
    }

    /// Refuses to run sequences that are followed by shape alone.
    fn check_length_of_run(&self, batch: &Batch) -> Result<()> {
        let is_run = !batch.input_ids.is_shape();
        let Some(most) = self.recipe.runs_to.filter(|most| is_run && batch.size().keys() > *most) else {
            return Ok(());
        };
        let (model, tokens) = (self.label.instance_type.to_owned(), batch.size().keys());
        let reason = format!(
            "sequences of {tokens} tokens are followed by shape alone, as a sliding window stands for its attention; up to {most} tokens \
             can be run"
        );
        Err(Error::Input { model, reason })
    }

    /// The keys and values before a layer's own: those of earlier tokens, or all that another layer lends.
    fn past_of_layer<'a>(&self, batch: &'a Batch, place: usize, lent: &'a [(usize, KeyValue)]) -> Past<'a> {
        match self.recipe.layers[place].keys {
            Keys::Own | Keys::Lent => batch.past_of_layer(place),
            Keys::Of(lender) => {
                let found = lent.iter().find(|(place, _)| *place == lender);
                found.map_or(Past::NotKept, |(_, keys)| Past::Tokens(keys))
            }
        }
    }

    /// The keys and values that the cache keeps of a layer; a lender gives all of them, for later layers.
    fn kept_of_layer(
        &self,
        place: usize,
        given: Option<KeyValue>,
        lent: &mut Vec<(usize, KeyValue)>,
    ) -> Result<Option<KeyValue>> {
        let layer = &self.recipe.layers[place];
        match given {
            Some(all) if layer.keys == Keys::Lent => {
                lent.push((place, all.clone()));
                Ok(Some(all.within(layer.window)?))
            }
            given => Ok(given),
        }
    }

    fn embeddings(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        let mut hidden = match &self.tokens {
            Tokens::Plain(table) => cx.call(table, &batch.input_ids)?,
            Tokens::Scaled(table) => cx.call(table, &batch.input_ids)?,
        };
        // Each GPU has a part of the rows, and zeros for the others.
        hidden = cx.all_reduce(&hidden)?;
        if let (Some(scale), Tokens::Plain(_)) = (self.recipe.embedding_scale, &self.tokens) {
            hidden = cx.mul_scalar(&hidden, scale)?;
        }
        if let Some([there, _]) = &self.projections {
            hidden = cx.call(there, &hidden)?;
        }
        if let Some((before, table)) = &self.learned_positions {
            let positions = batch.positions()?;
            let positions = if *before == 0 { positions } else { cx.add_scalar(&positions, *before as f64)? };
            let positions = cx.call(table, &positions)?;
            hidden = cx.add(&hidden, &positions)?;
        }
        if let Some(norm) = &self.embedding_norm {
            hidden = cx.call(norm, &hidden)?;
        }
        cx.dropout(&hidden, self.recipe.dropouts.embeddings)
    }
}

/// The layers, and what each one loaded.
fn load_layers(weights: &Weights<'_>, recipe: &Recipe) -> Result<(Vec<DecoderLayer>, Vec<Loaded>)> {
    weights.take_formats();
    let load = |(place, &layer)| {
        let before = weights.loaded();
        let layer = DecoderLayer::load(&weights.element(recipe.names.layers, place), recipe, layer)?;
        Ok((layer, (before, weights.take_formats())))
    };
    recipe.layers.iter().enumerate().map(load).collect()
}

impl Trunk for DecoderModel {
    fn tokens(&self) -> &Embedding {
        self.tokens.table()
    }
}

/// The table of tokens.
enum Tokens {
    Plain(Embedding),
    Scaled(ScaledEmbedding),
}

/// A table that scales its rows.
struct ScaledEmbedding {
    label: Label,
    table: Embedding,
    scale: f64,
}

impl Tokens {
    fn load(weights: &Weights<'_>, recipe: &Recipe) -> Result<Self> {
        let load = |weights: &Weights<'_>| Embedding::load(weights, recipe.vocabulary, recipe.embedding);
        Ok(match (recipe.scaling_table, recipe.embedding_scale) {
            (Some(class), Some(scale)) => {
                let (label, table) = (weights.label(class, Level::Module), load(&weights.named("table"))?);
                Self::Scaled(ScaledEmbedding { label, table, scale })
            }
            _ => Self::Plain(load(weights)?),
        })
    }

    fn table(&self) -> &Embedding {
        match self {
            Self::Plain(table) | Self::Scaled(ScaledEmbedding { table, .. }) => table,
        }
    }
}

impl Module for ScaledEmbedding {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, ids: &Tensor) -> Result<Tensor> {
        let rows = cx.call(&self.table, ids)?;
        cx.mul_scalar(&rows, self.scale)
    }
}

impl Module for DecoderModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        batch.check_positions(self.label.instance_type, self.recipe.positions)?;
        self.check_length_of_run(batch)?;
        let hidden = self.embeddings(cx, batch)?;
        let of_layers = self.per_layer.as_ref().map(|inputs| inputs.run(cx, &batch.input_ids, &hidden)).transpose()?;
        let mut positions = Positions::of(cx, &self.recipe, &self.rotary, self.format, batch)?;
        let hidden = self.streams.as_ref().map_or(Ok(hidden.clone()), |streams| streams.spread(cx, &hidden))?;
        let (mut stream, mut repeats) = (Stream::new(hidden), Repeats::new(&self.equal));
        let mut kept = Vec::new();
        let mut lent: Vec<(usize, KeyValue)> = Vec::new();
        for (place, layer) in self.layers.iter().enumerate() {
            if self.stages.contains(&place) {
                stream = stream.sent(cx)?;
                if self.recipe.layers[place].shares_choice {
                    let sent = positions.chosen.take().map(|places| cx.send_recv(&places)).transpose()?;
                    positions.chosen = sent.map(|places| places.with_role(Role::Ids));
                }
            }
            let (next, (of_layer, chosen)) = match repeats.repeated(cx, &self.layers, place, &stream) {
                Some(output) => output,
                None => {
                    let given = of_layers.as_ref().map(|all| cx.select(all, 2, place)).transpose()?;
                    let around = (&positions, self.past_of_layer(batch, place, &lent));
                    let begun = cx.place();
                    let output = cx.call(layer, (&stream, (around, given.as_ref())))?;
                    repeats.remember(begun, place, &stream, &output);
                    output
                }
            };
            (stream, positions.chosen) = (next, chosen);
            kept.extend(self.kept_of_layer(place, of_layer, &mut lent)?);
        }
        if let Some(streams) = &self.streams {
            let all = stream.sum(cx)?;
            stream = Stream::new(cx.call(streams, &all)?);
        }
        let mut hidden = match &self.norm {
            Some(norm) => stream.normed(cx, norm)?.0,
            None => stream.sum(cx)?,
        };
        if let Some([_, back]) = &self.projections {
            hidden = cx.call(back, &hidden)?;
        }
        let past = batch.size().keys();
        let limits = self.rotary.iter().filter_map(RotaryEmbedding::changes_after);
        let holds_to = limits.filter(|limit| past <= *limit).min();
        let cache = batch.cache.as_ref().map(|_| Cache { layers: kept, past, holds_to });
        Ok(ModelOutput { cache, ..hidden.into() })
    }
}

/// From hidden states to logits.
struct LmHead {
    linear: Linear,
    vocabulary: usize,
    recipe: HeadRecipe,
}

impl LmHead {
    fn load(weights: &Weights<'_>, recipe: HeadRecipe, tokens: &Embedding, vocabulary: usize) -> Result<Self> {
        let place = weights.child_also(recipe.name, recipe.key, "weight");
        let bias = recipe.biased.then(|| place.parameter("bias", [tokens.rows()])).transpose()?;
        let linear = if recipe.is_tied {
            Linear::tied(&place, tokens, bias)?
        } else {
            Linear::load_with(&place, [tokens.width(), tokens.rows()], bias)?
        };
        Ok(Self { linear, vocabulary, recipe })
    }
}

impl HeadLayers for LmHead {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, _batch: &Batch) -> Result<Tensor> {
        let logits = cx.call(&self.linear, &output.last_hidden_state)?;
        let last = logits.shape().rank() - 1;
        let mut logits = cx.all_gather(&logits, last, self.vocabulary)?;
        if let Some(divisor) = self.recipe.divisor {
            logits = cx.div_scalar(&logits, divisor)?;
        }
        if let Some(cap) = self.recipe.soft_cap {
            let divided = cx.div_scalar(&logits, cap)?;
            let capped = cx.tanh(&divided)?;
            logits = cx.mul_scalar(&capped, cap)?;
        }
        Ok(logits)
    }
}
