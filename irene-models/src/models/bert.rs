//! BERT (Devlin et al., 2019): post-norm encoder with learned positions, segment embeddings and a pooler.
//!
//! RoBERTa is BERT with other embeddings; the parts below take their class names from [`Classes`].

mod embeddings;
mod layer;
mod lm_head;

pub(super) use embeddings::BertEmbeddings;
use irene_tree::{Format, Level};
pub(super) use layer::{Attended, Layer, ResidualOutput};
pub(super) use lm_head::{MlmClasses, MlmSizes, OnlyMlmHead};

use super::{
    heads::{self, Chain, SelfAttention},
    task_head::{HeadClasses, OverPooled, WithHead, trunk},
};
use crate::{
    Activation, Architecture, Attention, Batch, Config, Cx, Label, Linear, Model, ModelOutput, Module, Padding, Result,
    Scaling, Tanh, TaskHead, Tensor, Weights, families, labelled,
};

labelled!(EncoderModel, BertSelfAttention, BertPooler);
trunk!(EncoderModel: embeddings.word_embeddings);

/// The entry in the registry.
pub(super) struct Bert;

impl Architecture for Bert {
    fn model_type(&self) -> &'static str {
        "bert"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let trunk = |weights: &Weights<'_>, level| {
            let classes = [CLASSES.embeddings, CLASSES.model];
            let embeddings = BertEmbeddings::load(&weights.child("embeddings"), &sizes, classes, sizes.hidden)?;
            // A masked language model has no pooler.
            let pooler = (head != TaskHead::Lm && pooler_runs(config, weights, head)).then_some("BertPooler");
            EncoderModel::load(weights, level, &sizes, &CLASSES, embeddings, pooler)
        };
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            Ok(if head == TaskHead::Lm {
                Box::new(OnlyMlmHead::load(
                    config,
                    &weights.child("cls"),
                    &MLM_CLASSES,
                    &sizes.mlm(sizes.hidden),
                    tokens,
                )?)
            } else {
                let dropout = sizes.classifier_dropout(config)?;
                Box::new(OverPooled::load(config, &weights.child("classifier"), sizes.hidden, dropout)?)
            })
        })
    }
}

/// Whether the pooler runs: checkpoints of some classes have none, and run without.
pub(super) fn pooler_runs(config: &Config, trunk: &Weights<'_>, head: TaskHead) -> bool {
    let is_there = || trunk.child("pooler").child("dense").has("weight");
    head != TaskHead::None || is_there() || !families::may_lack_pooler(config)
}

/// Class names in transformers v4.2.2, which copies BERT's code for RoBERTa.
pub(super) struct Classes {
    pub(super) model: &'static str,
    pub(super) embeddings: &'static str,
    pub(super) encoder: &'static str,
    pub(super) layer: &'static str,
    pub(super) attention: &'static str,
    pub(super) self_attention: &'static str,
    pub(super) self_output: &'static str,
    pub(super) intermediate: &'static str,
    pub(super) output: &'static str,
}

const CLASSES: Classes = Classes {
    model: "BertModel",
    embeddings: "BertEmbeddings",
    encoder: "BertEncoder",
    layer: "BertLayer",
    attention: "BertAttention",
    self_attention: "BertSelfAttention",
    self_output: "BertSelfOutput",
    intermediate: "BertIntermediate",
    output: "BertOutput",
};

const MLM_CLASSES: MlmClasses = MlmClasses {
    head: "BertOnlyMLMHead",
    predictions: "BertLMPredictionHead",
    transform: "BertPredictionHeadTransform",
    norm: "LayerNorm",
};

const HEADS: HeadClasses =
    HeadClasses { trunk: "bert", lm: "BertForMaskedLM", classification: "BertForSequenceClassification" };

/// The sizes in a BERT-like config.
pub(super) struct Sizes {
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) intermediate: usize,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) segments: usize,
    pub(super) activation: Activation,
    pub(super) eps: f64,
    /// Dropout of hidden states, and of the probabilities of attention.
    pub(super) dropout: f64,
    pub(super) attention_dropout: f64,
}

impl Sizes {
    pub(super) fn read(config: &Config) -> Result<Self> {
        Self::read_with_segments(config, config.size_or("type_vocab_size", 2)?)
    }

    /// The same for a model that may have no segments.
    pub(super) fn read_with_segments(config: &Config, segments: usize) -> Result<Self> {
        let (hidden, heads) = config.width_and_heads("hidden_size", "num_attention_heads")?;
        Ok(Self {
            hidden,
            heads,
            layers: config.layers("num_hidden_layers")?,
            intermediate: config.size("intermediate_size")?,
            vocabulary: config.size("vocab_size")?,
            positions: config.size("max_position_embeddings")?,
            segments,
            activation: Activation::from_config(config, "hidden_act", "gelu")?,
            eps: config.number_or("layer_norm_eps", 1e-12)?,
            dropout: config.probability_or("hidden_dropout_prob", 0.1)?,
            attention_dropout: config.probability_or("attention_probs_dropout_prob", 0.1)?,
        })
    }

    /// The dropout before the classes: that of hidden states, unless the config has another.
    pub(super) fn classifier_dropout(&self, config: &Config) -> Result<f64> {
        config.probability_or("classifier_dropout", self.dropout)
    }

    /// Queries, keys and values by BERT's names.
    pub(super) fn self_attention(&self, weights: &Weights<'_>) -> Result<SelfAttention> {
        let names = ["query", "key", "value"];
        SelfAttention::load(weights, names, self.hidden, self.heads, self.attention_dropout)
    }

    /// The sizes of a masked language model's head over tables of this width.
    pub(super) fn mlm(&self, width: usize) -> MlmSizes {
        MlmSizes { hidden: self.hidden, width, activation: self.activation, eps: self.eps }
    }
}

/// Embeddings, encoder, pooler; between widths of embeddings and layers that differ, a map (ELECTRA).
pub(super) struct EncoderModel {
    label: Label,
    activations: Format,
    embeddings: BertEmbeddings,
    embeddings_project: Option<Linear>,
    encoder: BertEncoder,
    pooler: Option<BertPooler>,
}

impl EncoderModel {
    pub(super) fn load(
        weights: &Weights<'_>,
        level: Level,
        sizes: &Sizes,
        classes: &Classes,
        embeddings: BertEmbeddings,
        pooler: Option<&'static str>,
    ) -> Result<Self> {
        let (width, hidden) = (embeddings.word_embeddings.width(), sizes.hidden);
        let pooler = pooler.map(|class| BertPooler::load(&weights.child("pooler"), hidden, class));
        let project = || Linear::load(&weights.child("embeddings_project"), width, hidden);
        Ok(Self {
            label: weights.label(classes.model, level),
            activations: weights.activations(),
            embeddings,
            embeddings_project: (width != hidden).then(project).transpose()?,
            encoder: encoder(&weights.child("encoder"), sizes, classes)?,
            pooler: pooler.transpose()?,
        })
    }
}

impl Module for EncoderModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mask = heads::additive_mask(cx, &batch.mask_or_ones()?, self.activations)?;
        let mut hidden = cx.call(&self.embeddings, batch)?;
        if let Some(project) = &self.embeddings_project {
            hidden = cx.call(project, &hidden)?;
        }
        let last_hidden_state = cx.call(&self.encoder, (&hidden, &mask))?;
        let pooler_output = self.pooler.as_ref().map(|pooler| cx.call(pooler, &last_hidden_state)).transpose()?;
        Ok(ModelOutput { pooler_output, ..last_hidden_state.into() })
    }
}

/// The layers, each of which takes hidden states and the additive mask.
type BertEncoder = Chain<Layer<Attended<BertSelfAttention>>>;

/// Loads the layers, by the family's class names.
fn encoder(weights: &Weights<'_>, sizes: &Sizes, classes: &Classes) -> Result<BertEncoder> {
    let (widths, rates) = ((sizes.hidden, sizes.hidden), [sizes.eps, sizes.dropout]);
    Chain::load(weights, classes.encoder, ("layer", sizes.layers), |layer| {
        let place = layer.child("attention");
        let attention = BertSelfAttention::load(&place.child("self"), sizes, classes.self_attention)?;
        let attention = Attended::load(&place, [classes.attention, classes.self_output], attention, widths, rates)?;
        Layer::load(layer, sizes, [classes.layer, classes.intermediate, classes.output], attention)
    })
}

/// An attention without its last product.
struct BertSelfAttention {
    label: Label,
    heads: SelfAttention,
}

impl BertSelfAttention {
    fn load(weights: &Weights<'_>, sizes: &Sizes, class: &'static str) -> Result<Self> {
        Ok(Self { label: weights.label(class, Level::Module), heads: sizes.self_attention(weights)? })
    }
}

impl Module for BertSelfAttention {
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let how = Attention { padding: Padding::Added(mask), ..Attention::PLAIN };
        self.heads.run(cx, hidden, Scaling::Scores, how)
    }
}

pub(super) struct BertPooler {
    label: Label,
    dense: Linear,
    activation: Tanh,
}

impl BertPooler {
    pub(super) fn load(weights: &Weights<'_>, hidden: usize, class: &'static str) -> Result<Self> {
        Ok(Self {
            label: weights.label(class, Level::Module),
            dense: Linear::load(&weights.child("dense"), hidden, hidden)?,
            activation: Tanh::load(&weights.child("activation")),
        })
    }
}

impl Module for BertPooler {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let first_token = cx.select(hidden, 1, 0)?;
        let mapped = cx.call(&self.dense, &first_token)?;
        cx.call(&self.activation, &mapped)
    }
}
