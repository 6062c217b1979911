//! FlexiBERT (Tuli et al., 2022, arXiv 2205.11656): BERT's encoder with heterogeneous layers, each head its own operation.
//!
//! The order of operations is that of the published PyTorch code. It projects query, key and value, scores positions, takes the
//! softmax and weights values for all heads of a layer at once; a head's own part (its product of queries and keys, its transform,
//! its convolution) it runs head by head. The published code is one flat module; here a head's own part is a node, so that the tree
//! shows its cost. In the checkpoint the parameters have the published keys.
//!
//! Positions are relative keys alone: the table of absolute positions is loaded but not looked up. Heads that transform (FNet, arXiv
//! 2105.03824) or convolve (ConvBERT, arXiv 2008.02496) do not mask padding; the softmax is masked. The published code overwrites the
//! results of its dot-product heads with zeros; here they are used.
//!
//! Its masked language model's head is BERT's, from the width of the last layer to that of the table of tokens, which is the first layer's
//! and which the scores are tied to.

mod attention;
mod convolution;
mod design;
mod embeddings;
mod heads;
mod layer;
mod surroundings;

pub use design::{Design, Head, LayerDesign};
use irene_tree::{Format, Level};
use serde_json::{Map, Value};

use self::{embeddings::FlexiBertEmbeddings, layer::FlexiBertEncoder, surroundings::Surroundings};
use super::{
    bert::{BertPooler, MlmClasses, MlmSizes, OnlyMlmHead, pooler_runs},
    heads::additive_mask,
    task_head::{HeadClasses, OverPooled, Trunk, WithHead},
};
use crate::{
    Activation, Architecture, Batch, Config, Cx, Embedding, Error, Label, Model, ModelOutput, ModelSpec, Module,
    Result, TaskHead, Weights, labelled,
};

labelled!(FlexiBertModel);

/// The entry in the registry.
pub(super) struct FlexiBert;

impl Architecture for FlexiBert {
    fn model_type(&self) -> &'static str {
        MODEL_TYPE
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "bert"
    }

    fn vocab_size(&self, config: &Config) -> Result<usize> {
        config.size_or("vocab_size", 50_265)
    }

    fn longest_sequence(&self, config: &Config) -> Result<usize> {
        config.size_or("max_position_embeddings", 514)
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let has_pooler = head != TaskHead::Lm && pooler_runs(config, weights, head);
        let trunk = |weights: &Weights<'_>, level| FlexiBertModel::load(weights, &sizes, has_pooler, level);
        let [first, last] = sizes.widths();
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            if head == TaskHead::Classification {
                return Ok(Box::new(OverPooled::load(config, &weights.child("classifier"), last, sizes.dropout)?));
            }
            let mlm = MlmSizes { hidden: last, width: first, activation: sizes.activation, eps: sizes.eps };
            Ok(Box::new(OnlyMlmHead::load(config, &weights.child("cls"), &MLM_CLASSES, &mlm, tokens)?))
        })
    }
}

const HEADS: HeadClasses =
    HeadClasses { trunk: "bert", lm: "FlexiBertForMaskedLM", classification: "FlexiBertForSequenceClassification" };

const MLM_CLASSES: MlmClasses = MlmClasses {
    head: "FlexiBertOnlyMLMHead",
    predictions: "FlexiBertLMPredictionHead",
    transform: "FlexiBertPredictionHeadTransform",
    norm: "LayerNorm",
};

const MODEL_TYPE: &str = "flexibert";

/// The field of a config that holds the [`Design`].
const DESIGN: &str = "model_dict";

impl ModelSpec {
    /// The FlexiBERT encoder of this design, with the published vocabulary and positions: no file is needed.
    ///
    /// ```
    /// use irene_models::{ModelSpec, flexibert::{Design, Head, LayerDesign}};
    /// use irene_tree::Size;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let heads = vec![Head::ScaledDotProduct, Head::Weighted, Head::Dft, Head::Convolution(9)];
    /// let design = Design::new(vec![LayerDesign { hidden: 256, heads, feed_forward: vec![1024] }; 2])?;
    /// let tree = ModelSpec::from_design("two layers", &design)?.trace(Size::new(1, 128))?;
    /// assert!(tree.find("root.encoder.1.attention.self.head_2.dft").is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] if the design cannot be written as a config, which is not known to happen.
    pub fn from_design(name: impl Into<String>, design: &Design) -> Result<Self> {
        let name = name.into();
        let refuse = |error: serde_json::Error| Error::Config {
            origin: name.clone(),
            field: DESIGN.to_owned(),
            reason: error.to_string(),
        };
        let design = serde_json::to_value(design).map_err(refuse)?;
        let fields = [("model_type", Value::from(MODEL_TYPE)), (DESIGN, design)];
        let fields: Map<String, Value> = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        let config = Config::of_fields(&name, fields);
        Self::from_config(name, config)
    }
}

/// The sizes in a FlexiBERT config.
struct Sizes {
    design: Design,
    vocabulary: usize,
    positions: usize,
    segments: usize,
    activation: Activation,
    eps: f64,
    dropout: f64,
    attention_dropout: f64,
}

impl Sizes {
    fn read(config: &Config) -> Result<Self> {
        Ok(Self {
            design: config.field(DESIGN)?,
            vocabulary: FlexiBert.vocab_size(config)?,
            positions: FlexiBert.longest_sequence(config)?,
            segments: config.size_or("type_vocab_size", 1)?,
            activation: Activation::from_config(config, "hidden_act", "gelu")?,
            eps: config.number_or("layer_norm_eps", 1e-12)?,
            dropout: config.probability_or("hidden_dropout_prob", 0.1)?,
            attention_dropout: config.probability_or("attention_probs_dropout_prob", 0.1)?,
        })
    }
}

impl Sizes {
    /// The widths of the first layer and of the last.
    fn widths(&self) -> [usize; 2] {
        let layers = self.design.layers();
        // A design has at least one layer.
        [layers.first(), layers.last()].map(|layer| layer.map_or(0, |layer| layer.hidden))
    }
}

struct FlexiBertModel {
    label: Label,
    activations: Format,
    embeddings: FlexiBertEmbeddings,
    encoder: FlexiBertEncoder,
    pooler: Option<BertPooler>,
    positions: usize,
}

impl FlexiBertModel {
    fn load(weights: &Weights<'_>, sizes: &Sizes, has_pooler: bool, level: Level) -> Result<Self> {
        let [first, last] = sizes.widths();
        Ok(Self {
            label: weights.label("FlexiBertModel", level),
            activations: weights.activations(),
            embeddings: FlexiBertEmbeddings::load(&weights.child("embeddings"), sizes, first)?,
            encoder: FlexiBertEncoder::load(&weights.child("encoder"), sizes)?,
            pooler: has_pooler
                .then(|| BertPooler::load(&weights.child("pooler"), last, "FlexiBertPooler"))
                .transpose()?,
            positions: sizes.positions,
        })
    }
}

impl Trunk for FlexiBertModel {
    fn tokens(&self) -> &Embedding {
        self.embeddings.words()
    }
}

impl Module for FlexiBertModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        batch.check_whole(self.label.instance_type, self.positions)?;
        let mask = additive_mask(cx, &batch.mask_or_ones()?, self.activations)?;
        let embedded = cx.call(&self.embeddings, batch)?;
        let around = Surroundings::of(batch, mask)?;
        let last_hidden_state = cx.call(&self.encoder, (&embedded, &around))?;
        let pooler_output = self.pooler.as_ref().map(|pooler| cx.call(pooler, &last_hidden_state)).transpose()?;
        Ok(ModelOutput { pooler_output, ..last_hidden_state.into() })
    }
}
