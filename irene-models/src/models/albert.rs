//! ALBERT (Lan et al., 2020): BERT with embeddings of a width of their own and layers that share their parameters.
//!
//! Layers are in groups, and a group runs for several layers in turn: its nodes then have one scope, and its parameters count once.

use irene_tree::{Format, Level};

use super::{
    bert::{BertEmbeddings, ResidualOutput, Sizes},
    heads::{self, Chain, SelfAttention},
    task_head::{HeadClasses, LmHead, OverPooled, Transforming, WithHead, trunk},
};
use crate::{
    Activation, Architecture, Attention, Batch, Config, Cx, Label, LayerNorm, Linear, Model, ModelOutput, Module,
    Padding, Result, Scaling, Tanh, TaskHead, Tensor, Weights, families, labelled,
};

labelled!(AlbertModel, AlbertTransformer, AlbertLayer, AlbertAttention);
trunk!(AlbertModel: embeddings.word_embeddings);

/// The entry in the registry.
pub(super) struct Albert;

impl Architecture for Albert {
    fn model_type(&self) -> &'static str {
        "albert"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = AlbertSizes::read(config)?;
        let trunk = |weights: &Weights<'_>, level| {
            let is_pooled = match head {
                TaskHead::Lm => false,
                TaskHead::Classification => true,
                TaskHead::None => weights.child("pooler").has("weight") || !families::may_lack_pooler(config),
            };
            AlbertModel::load(weights, level, &sizes, is_pooled)
        };
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            let bert = &sizes.bert;
            if head == TaskHead::Classification {
                let dropout = config.probability_or("classifier_dropout_prob", 0.1)?;
                let classifier = weights.child("classifier");
                return Ok(Box::new(OverPooled::load(config, &classifier, bert.hidden, dropout)?));
            }
            let place = weights.child("predictions");
            let layers = Transforming {
                dense: Linear::load(&place.child("dense"), bert.hidden, sizes.embedding)?,
                activation: bert.activation,
                norm: LayerNorm::load(&place.child("LayerNorm"), sizes.embedding, bert.eps)?,
            };
            Ok(Box::new(LmHead::load(config, &place, "AlbertMLMHead", layers, tokens)?))
        })
    }
}

const MODEL: &str = "AlbertModel";

const HEADS: HeadClasses =
    HeadClasses { trunk: "albert", lm: "AlbertForMaskedLM", classification: "AlbertForSequenceClassification" };

struct AlbertSizes {
    bert: Sizes,
    embedding: usize,
    groups: usize,
    /// Layers of a group, one after another.
    inner: usize,
}

impl AlbertSizes {
    fn read(config: &Config) -> Result<Self> {
        let activation = Activation::from_config(config, "hidden_act", "gelu_new")?;
        let bert = Sizes {
            activation,
            dropout: config.probability_or("hidden_dropout_prob", 0.0)?,
            attention_dropout: config.probability_or("attention_probs_dropout_prob", 0.0)?,
            ..Sizes::read(config)?
        };
        let (groups, inner) = (config.size_or("num_hidden_groups", 1)?, config.size_or("inner_group_num", 1)?);
        let layers = bert.layers;
        if groups > layers {
            return Err(config.error("num_hidden_groups", format!("{groups} groups are more than the {layers} layers")));
        }
        if inner > MOST_INNER {
            return Err(config.error("inner_group_num", format!("expected at most {MOST_INNER}, found {inner}")));
        }
        Ok(Self { bert, embedding: config.size_or("embedding_size", 128)?, groups, inner })
    }

    /// The group that runs as this layer.
    fn group_of(&self, layer: usize) -> usize {
        (layer as f64 / (self.bert.layers as f64 / self.groups as f64)) as usize
    }
}

/// Far more than any model's.
const MOST_INNER: usize = 64;

struct AlbertModel {
    label: Label,
    activations: Format,
    embeddings: BertEmbeddings,
    encoder: AlbertTransformer,
    pooler: Option<(Linear, Tanh)>,
}

impl AlbertModel {
    fn load(weights: &Weights<'_>, level: Level, sizes: &AlbertSizes, is_pooled: bool) -> Result<Self> {
        let embeddings = weights.child("embeddings");
        let hidden = sizes.bert.hidden;
        let pooler = || -> Result<_> {
            let dense = Linear::load(&weights.child("pooler"), hidden, hidden)?;
            Ok((dense, Tanh::load(&weights.child("pooler_activation"))))
        };
        Ok(Self {
            label: weights.label(MODEL, level),
            activations: weights.activations(),
            embeddings: BertEmbeddings::load(&embeddings, &sizes.bert, ["AlbertEmbeddings", MODEL], sizes.embedding)?,
            encoder: AlbertTransformer::load(&weights.child("encoder"), sizes)?,
            pooler: is_pooled.then(pooler).transpose()?,
        })
    }
}

impl Module for AlbertModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mask = heads::additive_mask(cx, &batch.mask_or_ones()?, self.activations)?;
        let embedded = cx.call(&self.embeddings, batch)?;
        let last_hidden_state = cx.call(&self.encoder, (&embedded, &mask))?;
        let Some((pooler, activation)) = &self.pooler else { return Ok(last_hidden_state.into()) };
        let first_token = cx.select(&last_hidden_state, 1, 0)?;
        let mapped = cx.call(pooler, &first_token)?;
        let pooler_output = Some(cx.call(activation, &mapped)?);
        Ok(ModelOutput { pooler_output, ..last_hidden_state.into() })
    }
}

struct AlbertTransformer {
    label: Label,
    embedding_hidden_mapping_in: Linear,
    groups: Vec<Chain<AlbertLayer>>,
    /// The group of each layer.
    order: Vec<usize>,
}

impl AlbertTransformer {
    fn load(weights: &Weights<'_>, sizes: &AlbertSizes) -> Result<Self> {
        let mapping = weights.child("embedding_hidden_mapping_in");
        let layer = |layer: &Weights<'_>| AlbertLayer::load(layer, &sizes.bert);
        let list = ("albert_layers", sizes.inner);
        let group = |group: &Weights<'_>| Chain::load(group, "AlbertLayerGroup", list, layer);
        Ok(Self {
            label: weights.label("AlbertTransformer", Level::Module),
            embedding_hidden_mapping_in: Linear::load(&mapping, sizes.embedding, sizes.bert.hidden)?,
            groups: weights.list("albert_layer_groups", sizes.groups, group)?,
            order: (0..sizes.bert.layers).map(|layer| sizes.group_of(layer)).collect(),
        })
    }
}

impl Module for AlbertTransformer {
    /// Hidden states and additive mask.
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let mut hidden = cx.call(&self.embedding_hidden_mapping_in, hidden)?;
        for &group in &self.order {
            hidden = cx.call(&self.groups[group], (&hidden, mask))?;
        }
        Ok(hidden)
    }
}

struct AlbertLayer {
    label: Label,
    full_layer_layer_norm: LayerNorm,
    attention: AlbertAttention,
    ffn: Linear,
    ffn_output: Linear,
    activation: Activation,
}

impl AlbertLayer {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let Sizes { hidden, intermediate, activation, eps, .. } = *sizes;
        Ok(Self {
            label: weights.label("AlbertLayer", Level::Module),
            full_layer_layer_norm: LayerNorm::load(&weights.child("full_layer_layer_norm"), hidden, eps)?,
            attention: AlbertAttention::load(&weights.child("attention"), sizes)?,
            ffn: Linear::load(&weights.child("ffn"), hidden, intermediate)?,
            ffn_output: Linear::load(&weights.child("ffn_output"), intermediate, hidden)?,
            activation,
        })
    }
}

impl Module for AlbertLayer {
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let attended = cx.call(&self.attention, (hidden, mask))?;
        let activated = cx.call_then(&self.ffn, &attended, self.activation)?;
        let fed = cx.call(&self.ffn_output, &activated)?;
        cx.add_norm(&fed, &attended, &self.full_layer_layer_norm)
    }
}

/// BERT's, without modules of their own for its two parts.
struct AlbertAttention {
    label: Label,
    heads: SelfAttention,
    output: ResidualOutput,
}

impl AlbertAttention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let (class, widths) = ("AlbertAttention", (sizes.hidden, sizes.hidden));
        Ok(Self {
            label: weights.label(class, Level::Module),
            heads: sizes.self_attention(weights)?,
            output: ResidualOutput::load(weights, class, widths, [sizes.eps, sizes.dropout])?,
        })
    }
}

impl Module for AlbertAttention {
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let how = Attention { padding: Padding::Added(mask), ..Attention::PLAIN };
        let context = self.heads.run(cx, hidden, Scaling::Scores, how)?;
        self.output.forward(cx, (&context, hidden))
    }
}
