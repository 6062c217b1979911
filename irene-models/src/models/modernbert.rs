//! ModernBERT (Warner et al., 2024): pre-norm layers with rotary positions, a gated feed-forward part, and attention within a window
//! in most of them.

mod sizes;

use irene_tree::{Format, Kernels, Level};

use self::sizes::{Sight, Sizes};
use super::{
    decoder::rotary::RotaryEmbedding,
    heads,
    task_head::{HeadClasses, HeadLayers, MaskedLm, Transform, Transforming, WithHead, decoder, trunk},
};
use crate::{
    Activation, Angles, Architecture, Attention, Batch, Config, Cx, Embedding, Label, LayerNorm, Linear, Model,
    ModelOutput, Module, Norm, Padding, Pairing, Result, Scaling, TaskHead, Tensor, Tensors, Weights, labelled,
    sentence,
};

labelled!(ModernBertModel, ModernBertEmbeddings, ModernBertEncoderLayer, ModernBertAttention, ModernBertMlp);
trunk!(ModernBertModel: embeddings.tok_embeddings);

/// The entry in the registry.
pub(super) struct ModernBert;

impl Architecture for ModernBert {
    fn model_type(&self) -> &'static str {
        "modernbert"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "model"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let trunk = |weights: &Weights<'_>, level| ModernBertModel::load(config, weights, level, &sizes);
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            let place = weights.child("head");
            let transform = Transform::new(
                place.label("ModernBertPredictionHead", Level::Module),
                Transforming {
                    dense: Linear::load_maybe_biased(
                        &place.child("dense"),
                        [sizes.hidden; 2],
                        config.flag_or("classifier_bias", false)?,
                    )?,
                    activation: Activation::from_config(config, "classifier_activation", "gelu")?,
                    norm: sizes.norm(&place.child("norm"))?,
                },
            );
            if head == TaskHead::Classification {
                return Ok(Box::new(Classifier::load(config, weights, sizes.hidden, transform)?));
            }
            let place = weights.child("decoder");
            let bias = || place.parameter("bias", [tokens.rows()]);
            let bias = config.flag_or("decoder_bias", true)?.then(bias).transpose()?;
            Ok(Box::new(MaskedLm { transform, decoder: decoder(config, &place, tokens, bias)? }))
        })
    }
}

const MODEL: &str = "ModernBertModel";

const HEADS: HeadClasses =
    HeadClasses { trunk: "model", lm: "ModernBertForMaskedLM", classification: "ModernBertForSequenceClassification" };

struct ModernBertModel {
    label: Label,
    embeddings: ModernBertEmbeddings,
    layers: Vec<(Sight, ModernBertEncoderLayer)>,
    final_norm: LayerNorm,
    /// For each sight that some layer has.
    rotary: Vec<(Sight, RotaryEmbedding)>,
    window: usize,
}

impl ModernBertModel {
    fn load(config: &Config, weights: &Weights<'_>, level: Level, sizes: &Sizes) -> Result<Self> {
        let has = |sight: &Sight| sizes.sights.contains(sight);
        let rotary = [Sight::Full, Sight::Sliding].into_iter().filter(has);
        let layer = |(index, sight): (usize, &Sight)| {
            Ok((*sight, ModernBertEncoderLayer::load(&weights.element("layers", index), sizes, index > 0)?))
        };
        Ok(Self {
            label: weights.label(MODEL, level),
            embeddings: ModernBertEmbeddings::load(&weights.child("embeddings"), sizes)?,
            layers: sizes.sights.iter().enumerate().map(layer).collect::<Result<_>>()?,
            final_norm: sizes.norm(&weights.child("final_norm"))?,
            rotary: rotary.map(|sight| Ok((sight, sizes.rotary(config, weights, sight)?))).collect::<Result<_>>()?,
            window: sizes.window,
        })
    }

    /// The places of the tokens, as layers of this sight need them.
    fn around(&self, cx: &mut Cx<'_>, batch: &Batch, (sight, rotary): &(Sight, RotaryEmbedding)) -> Result<Around> {
        let (keys, format) = (batch.new_tokens(), self.embeddings.format);
        let window = (*sight == Sight::Sliding).then_some(self.window);
        // Fused kernels know the window; otherwise the numbers that hide padding hide what is outside too.
        let added = match window {
            Some(window) if cx.kernels() == Kernels::Eager => {
                Some(batch.hidden_keys(keys, format, |query, key| query.abs_diff(key) < window)?)
            }
            _ => batch.hidden_padding(keys, format)?,
        };
        Ok(Around { angles: rotary.angles(cx, batch)?, added, window })
    }
}

impl Module for ModernBertModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mut hidden = cx.call(&self.embeddings, batch)?;
        let mut arounds = Vec::with_capacity(self.rotary.len());
        for rotary in &self.rotary {
            arounds.push((rotary.0, self.around(cx, batch, rotary)?));
        }
        for (sight, layer) in &self.layers {
            // Every sight of a layer has its rotary embedding.
            let Some((_, around)) = arounds.iter().find(|(known, _)| known == sight) else { continue };
            hidden = cx.call(layer, (&hidden, around))?;
        }
        Ok(cx.call(&self.final_norm, &hidden)?.into())
    }
}

/// The angles of the tokens' positions, and which keys are hidden.
struct Around {
    angles: Angles,
    added: Option<Tensor>,
    window: Option<usize>,
}

impl Tensors for Around {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        self.angles.list(tensors);
        self.added.list(tensors);
    }
}

struct ModernBertEmbeddings {
    label: Label,
    tok_embeddings: Embedding,
    norm: LayerNorm,
    dropout: f64,
    positions: usize,
    format: Format,
}

impl ModernBertEmbeddings {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            label: weights.label("ModernBertEmbeddings", Level::Module),
            tok_embeddings: Embedding::load(&weights.child("tok_embeddings"), sizes.vocabulary, sizes.hidden)?,
            norm: sizes.norm(&weights.child("norm"))?,
            dropout: sizes.embedding_dropout,
            positions: sizes.positions,
            format: weights.activations(),
        })
    }
}

impl Module for ModernBertEmbeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        batch.check_whole(MODEL, self.positions)?;
        let words = cx.call(&self.tok_embeddings, &batch.input_ids)?;
        let normed = cx.call(&self.norm, &words)?;
        cx.dropout(&normed, self.dropout)
    }
}

struct ModernBertEncoderLayer {
    label: Label,
    /// The first layer has none: the embeddings are normalised.
    attn_norm: Option<LayerNorm>,
    attn: ModernBertAttention,
    mlp_norm: Norm,
    mlp: ModernBertMlp,
}

impl ModernBertEncoderLayer {
    fn load(weights: &Weights<'_>, sizes: &Sizes, has_norm: bool) -> Result<Self> {
        Ok(Self {
            label: weights.label("ModernBertEncoderLayer", Level::Module),
            attn_norm: has_norm.then(|| sizes.norm(&weights.child("attn_norm"))).transpose()?,
            attn: ModernBertAttention::load(&weights.child("attn"), sizes)?,
            mlp_norm: Norm::Layer(sizes.norm(&weights.child("mlp_norm"))?),
            mlp: ModernBertMlp::load(&weights.child("mlp"), sizes)?,
        })
    }
}

impl Module for ModernBertEncoderLayer {
    type Input<'a> = (&'a Tensor, &'a Around);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): (&Tensor, &Around)) -> Result<Tensor> {
        let normed = self.attn_norm.as_ref().map(|norm| cx.call(norm, hidden)).transpose()?;
        let attended = cx.call(&self.attn, (normed.as_ref().unwrap_or(hidden), around))?;
        let (normed, sum) = cx.norm_of_sum(hidden, &attended, &self.mlp_norm)?;
        let fed = cx.call(&self.mlp, &normed)?;
        cx.add(&sum, &fed)
    }
}

struct ModernBertAttention {
    label: Label,
    wqkv: Linear,
    wo: Linear,
    heads: usize,
    dropout: f64,
}

impl ModernBertAttention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let (hidden, is_biased) = (sizes.hidden, sizes.has_attention_bias);
        Ok(Self {
            label: weights.label("ModernBertAttention", Level::Module),
            wqkv: Linear::load_maybe_biased(&weights.child("Wqkv"), [hidden, 3 * hidden], is_biased)?,
            wo: Linear::load_maybe_biased(&weights.child("Wo"), [hidden, hidden], is_biased)?,
            heads: sizes.heads,
            dropout: sizes.attention_dropout,
        })
    }
}

impl Module for ModernBertAttention {
    type Input<'a> = (&'a Tensor, &'a Around);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): (&Tensor, &Around)) -> Result<Tensor> {
        let joint = cx.call(&self.wqkv, hidden)?;
        let [query, key, value] = heads::split_joint(cx, &joint, self.heads)?;
        let [query, key] = cx.rotary([&query, &key], &around.angles, Pairing::Halves)?;
        let how = Attention {
            scaling: Scaling::Factor((query.dim(3) as f64).powf(-0.5)),
            padding: around.added.as_ref().map_or(Padding::None, Padding::Added),
            window: around.window,
            wide_softmax: true,
            dropout: self.dropout,
            ..Attention::PLAIN
        };
        let context = cx.attention(&[query, key, value], how)?;
        let context = heads::merge(cx, &context)?;
        let out = cx.call(&self.wo, &context)?;
        cx.dropout(&out, self.dropout)
    }
}

/// A product whose first half, activated, weighs its second, and one back.
struct ModernBertMlp {
    label: Label,
    wi: Linear,
    wo: Linear,
    activation: Activation,
    dropout: f64,
}

impl ModernBertMlp {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let &Sizes { hidden, intermediate, has_mlp_bias, activation, mlp_dropout: dropout, .. } = sizes;
        Ok(Self {
            label: weights.label("ModernBertMLP", Level::Module),
            wi: Linear::load_maybe_biased(&weights.child("Wi"), [hidden, 2 * intermediate], has_mlp_bias)?,
            wo: Linear::load_maybe_biased(&weights.child("Wo"), [intermediate, hidden], has_mlp_bias)?,
            activation,
            dropout,
        })
    }
}

impl Module for ModernBertMlp {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let both = cx.call(&self.wi, hidden)?;
        let weighed = cx.gated_jointly(&both, self.activation, None)?;
        let weighed = cx.dropout(&weighed, self.dropout)?;
        cx.call(&self.wo, &weighed)
    }
}

/// Layers over one vector a sequence: its first token's, or the mean of its tokens.
struct Classifier {
    transform: Transform,
    dropout: f64,
    classifier: Linear,
    is_mean: bool,
}

impl Classifier {
    fn load(config: &Config, weights: &Weights<'_>, hidden: usize, transform: Transform) -> Result<Self> {
        const FIELD: &str = "classifier_pooling";
        let is_mean = match config.word_or(FIELD, "cls")? {
            "cls" => false,
            "mean" => true,
            other => {
                return Err(config.error(FIELD, format!("`{other}` is not supported here; there are cls, mean")));
            }
        };
        let classifier = Linear::load(&weights.child("classifier"), hidden, config.num_labels()?)?;
        let dropout = config.probability_or("classifier_dropout", 0.0)?;
        Ok(Self { transform, dropout, classifier, is_mean })
    }
}

impl HeadLayers for Classifier {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, batch: &Batch) -> Result<Tensor> {
        let hidden = &output.last_hidden_state;
        let pooled = if self.is_mean { sentence::mean(cx, hidden, batch)? } else { cx.select(hidden, 1, 0)? };
        let transformed = cx.call(&self.transform, &pooled)?;
        let transformed = cx.dropout(&transformed, self.dropout)?;
        cx.call(&self.classifier, &transformed)
    }
}
