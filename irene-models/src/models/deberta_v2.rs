//! DeBERTa-v2 and v3 (He et al., 2021): BERT's layers with scores of content by relative position and back, in
//! [`disentangled`]; a convolution beside the first layer in v2's large models.

mod convolution;
mod disentangled;
mod embeddings;
mod lm_head;
mod positions;

use irene_tree::Level;

use self::{
    convolution::ConvLayer,
    disentangled::DisentangledSelfAttention,
    embeddings::DebertaEmbeddings,
    positions::{Places, RelativePositions},
};
use super::{
    bert::{Attended, Layer, MlmClasses, OnlyMlmHead, Sizes},
    task_head::{HeadClasses, HeadLayers, WithHead, trunk},
};
use crate::{
    Activation, Architecture, Batch, Config, Cx, Label, LayerNorm, Linear, Model, ModelOutput, Module, Result,
    TaskHead, Tensor, Weights, labelled,
};

labelled!(DebertaModel, DebertaEncoder, ContextPooler);
trunk!(DebertaModel: embeddings.word_embeddings);

/// The entry in the registry.
pub(super) struct DebertaV2;

impl Architecture for DebertaV2 {
    fn model_type(&self) -> &'static str {
        "deberta-v2"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "deberta"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = DebertaSizes::read(config)?;
        let trunk = |weights: &Weights<'_>, level| DebertaModel::load(weights, level, &sizes);
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            Ok(match head {
                TaskHead::Classification => Box::new(Classifier::load(config, weights, &sizes.bert)?),
                _ if config.flag_or("legacy", true)? => {
                    let mlm = sizes.bert.mlm(sizes.embedding);
                    Box::new(OnlyMlmHead::load(config, &weights.child("cls"), &LEGACY, &mlm, tokens)?)
                }
                _ if sizes.embedding != sizes.bert.hidden => {
                    let reason = "false wants `embedding_size` to be `hidden_size`: the head is tied to the embeddings";
                    return Err(config.error("legacy", reason.into()));
                }
                _ => Box::new(lm_head::load(&weights.child("lm_predictions"), &sizes, tokens)?),
            })
        })
    }
}

const MODEL: &str = "DebertaV2Model";

const HEADS: HeadClasses =
    HeadClasses { trunk: "deberta", lm: "DebertaV2ForMaskedLM", classification: "DebertaV2ForSequenceClassification" };

const LEGACY: MlmClasses = MlmClasses {
    head: "LegacyDebertaV2OnlyMLMHead",
    predictions: "LegacyDebertaV2LMPredictionHead",
    transform: "LegacyDebertaV2PredictionHeadTransform",
    norm: "LayerNorm",
};

struct DebertaSizes {
    bert: Sizes,
    /// Numbers of a head, whose heads together may be wider than the model.
    head_width: usize,
    embedding: usize,
    /// Whether absolute positions are added to the words.
    has_positions: bool,
    relative: RelativePositions,
    convolution: Option<convolution::Shape>,
}

impl DebertaSizes {
    fn read(config: &Config) -> Result<Self> {
        let eps = config.number_or("layer_norm_eps", 1e-7)?;
        let bert = Sizes { eps, ..Sizes::read_with_segments(config, config.token_or("type_vocab_size", 0)?)? };
        Ok(Self {
            head_width: config.size_or("attention_head_size", bert.hidden / bert.heads)?,
            embedding: config.size_or("embedding_size", bert.hidden)?,
            has_positions: config.flag_or("position_biased_input", true)?,
            relative: RelativePositions::read(config)?,
            convolution: convolution::Shape::read(config)?,
            bert,
        })
    }
}

struct DebertaModel {
    label: Label,
    embeddings: DebertaEmbeddings,
    encoder: DebertaEncoder,
}

impl DebertaModel {
    fn load(weights: &Weights<'_>, level: Level, sizes: &DebertaSizes) -> Result<Self> {
        Ok(Self {
            label: weights.label(MODEL, level),
            embeddings: DebertaEmbeddings::load(&weights.child("embeddings"), sizes)?,
            encoder: DebertaEncoder::load(&weights.child("encoder"), sizes)?,
        })
    }
}

impl Module for DebertaModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mask = batch.mask_or_ones()?;
        let embedded = cx.call(&self.embeddings, (batch, &mask))?;
        let places = self.encoder.relative.places(batch)?;
        let last_hidden_state = cx.call(&self.encoder, (&embedded, (&mask, &places)))?;
        Ok(last_hidden_state.into())
    }
}

struct DebertaEncoder {
    label: Label,
    layers: Vec<Layer<Attended<DisentangledSelfAttention>>>,
    /// A row for each bucket of relative positions.
    rel_embeddings: Option<Tensor>,
    /// The norm of those rows.
    layer_norm: Option<LayerNorm>,
    conv: Option<ConvLayer>,
    relative: RelativePositions,
}

impl DebertaEncoder {
    fn load(weights: &Weights<'_>, sizes: &DebertaSizes) -> Result<Self> {
        let Sizes { hidden, layers, eps, dropout, .. } = sizes.bert;
        let relative = sizes.relative;
        // Where scores have no part of relative positions, nothing reads the rows.
        let of_positions = |name| match relative.content_to_position || relative.position_to_content {
            true => weights.child(name),
            false => weights.child(name).untrained(),
        };
        let rows = |span: usize| of_positions("rel_embeddings").table("weight", [2 * span, hidden]);
        let norm = || LayerNorm::load(&of_positions("LayerNorm"), hidden, eps);
        let conv = |shape: &convolution::Shape| ConvLayer::load(&weights.child("conv"), &sizes.bert, shape);
        let layer = |layer: &Weights<'_>| {
            let (place, classes) = (layer.child("attention"), ["DebertaV2Attention", "DebertaV2SelfOutput"]);
            let attention = DisentangledSelfAttention::load(&place.child("self"), sizes)?;
            let attention = Attended::load(&place, classes, attention, (hidden, hidden), [eps, dropout])?;
            let classes = ["DebertaV2Layer", "DebertaV2Intermediate", "DebertaV2Output"];
            Layer::load(layer, &sizes.bert, classes, attention)
        };
        Ok(Self {
            label: weights.label("DebertaV2Encoder", Level::Module),
            layers: weights.list("layer", layers, layer)?,
            rel_embeddings: relative.span().map(rows).transpose()?,
            layer_norm: (relative.span().is_some() && relative.is_normalised).then(norm).transpose()?,
            conv: sizes.convolution.as_ref().map(conv).transpose()?,
            relative,
        })
    }

    /// The rows of relative positions, the same for every layer.
    fn rows(&self, cx: &mut Cx<'_>) -> Result<Option<Tensor>> {
        match (&self.rel_embeddings, &self.layer_norm) {
            (Some(rows), Some(norm)) => cx.call(norm, rows).map(Some),
            (rows, _) => Ok(rows.clone()),
        }
    }
}

/// Hidden states, the mask (batch, key), and the places of relative positions with the rows for them.
type Seen<'a> = (&'a Tensor, (&'a Tensor, (&'a Places, Option<&'a Tensor>)));

impl Module for DebertaEncoder {
    type Input<'a> = (&'a Tensor, (&'a Tensor, &'a Places));
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (embedded, (mask, places)): Self::Input<'_>) -> Result<Tensor> {
        let rows = self.rows(cx)?;
        let mut hidden = embedded.clone();
        for (number, layer) in self.layers.iter().enumerate() {
            hidden = cx.call(layer, (&hidden, (mask, (places, rows.as_ref()))))?;
            if let (0, Some(conv)) = (number, &self.conv) {
                hidden = cx.call(conv, (embedded, (&hidden, mask)))?;
            }
        }
        Ok(hidden)
    }
}

/// A layer over the first token, as a module beside the trunk, and one to the classes.
struct Classifier {
    pooler: ContextPooler,
    dropout: f64,
    classifier: Linear,
}

impl Classifier {
    fn load(config: &Config, weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let (place, hidden) = (weights.child("pooler"), sizes.hidden);
        let pooler = ContextPooler {
            label: place.label("ContextPooler", Level::Module),
            dropout: config.probability_or("pooler_dropout", 0.0)?,
            dense: Linear::load(&place.child("dense"), hidden, hidden)?,
            activation: Activation::from_config(config, "pooler_hidden_act", "gelu")?,
        };
        let classifier = Linear::load(&weights.child("classifier"), hidden, config.num_labels()?)?;
        Ok(Self { pooler, dropout: config.probability_or("cls_dropout", sizes.dropout)?, classifier })
    }
}

impl HeadLayers for Classifier {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, _batch: &Batch) -> Result<Tensor> {
        let pooled = cx.call(&self.pooler, &output.last_hidden_state)?;
        let pooled = cx.dropout(&pooled, self.dropout)?;
        cx.call(&self.classifier, &pooled)
    }
}

struct ContextPooler {
    label: Label,
    dropout: f64,
    dense: Linear,
    activation: Activation,
}

impl Module for ContextPooler {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let first_token = cx.select(hidden, 1, 0)?;
        let first_token = cx.dropout(&first_token, self.dropout)?;
        cx.call_then(&self.dense, &first_token, self.activation)
    }
}
