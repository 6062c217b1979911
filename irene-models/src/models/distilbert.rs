//! DistilBERT (Sanh et al., 2019): BERT's layers by other names, without segments and pooler; queries are scaled, not
//! scores, and padding is masked by a fill.

use irene_tree::{Format, Level};

use super::{
    bert::Sizes,
    heads::{Chain, SelfAttention},
    task_head::{HeadClasses, HeadLayers, Transforming, WithHead, decoder, trunk},
};
use crate::{
    Activation, Architecture, Attention, Batch, Config, Cx, Embedding, Label, LayerNorm, Linear, Model, ModelOutput,
    Module, Padding, Result, Scaling, TaskHead, Tensor, Weights, labelled,
};

labelled!(DistilBertModel, Embeddings, TransformerBlock, MultiHeadSelfAttention, Ffn);
trunk!(DistilBertModel: embeddings.word_embeddings);

/// The entry in the registry.
pub(super) struct DistilBert;

impl Architecture for DistilBert {
    fn model_type(&self) -> &'static str {
        "distilbert"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = sizes(config)?;
        let trunk = |weights: &Weights<'_>, level| {
            let (transformer, list) = (weights.child("transformer"), ("layer", sizes.layers));
            let layer = |layer: &Weights<'_>| TransformerBlock::load(layer, &sizes);
            Ok(DistilBertModel {
                label: weights.label(CLASS, level),
                embeddings: Embeddings::load(&weights.child("embeddings"), &sizes)?,
                transformer: Chain::load(&transformer, "Transformer", list, layer)?,
            })
        };
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            Ok(if head == TaskHead::Lm {
                Box::new(VocabHead::load(config, weights, &sizes, tokens)?)
            } else {
                Box::new(Classifier::load(config, weights, sizes.hidden)?)
            })
        })
    }
}

const CLASS: &str = "DistilBertModel";

const HEADS: HeadClasses = HeadClasses {
    trunk: "distilbert",
    lm: "DistilBertForMaskedLM",
    classification: "DistilBertForSequenceClassification",
};

/// BERT's sizes, by names of its own.
fn sizes(config: &Config) -> Result<Sizes> {
    let (hidden, heads) = config.width_and_heads("dim", "n_heads")?;
    Ok(Sizes {
        hidden,
        heads,
        layers: config.layers("n_layers")?,
        intermediate: config.size("hidden_dim")?,
        vocabulary: config.size("vocab_size")?,
        positions: config.size("max_position_embeddings")?,
        segments: 0,
        activation: Activation::from_config(config, "activation", "gelu")?,
        // Fixed in transformers' code, not in the config.
        eps: 1e-12,
        dropout: config.probability_or("dropout", 0.1)?,
        attention_dropout: config.probability_or("attention_dropout", 0.1)?,
    })
}

struct DistilBertModel {
    label: Label,
    embeddings: Embeddings,
    /// Its layers take hidden states, and the mask (batch, key).
    transformer: Chain<TransformerBlock>,
}

impl Module for DistilBertModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mask = batch.mask_or_ones()?;
        let embedded = cx.call(&self.embeddings, batch)?;
        let last_hidden_state = cx.call(&self.transformer, (&embedded, &mask))?;
        Ok(last_hidden_state.into())
    }
}

struct Embeddings {
    label: Label,
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    layer_norm: LayerNorm,
    dropout: f64,
    positions: usize,
}

impl Embeddings {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let table = |name, rows| Embedding::load(&weights.child(name), rows, sizes.hidden);
        Ok(Self {
            label: weights.label("Embeddings", Level::Module),
            word_embeddings: table("word_embeddings", sizes.vocabulary)?,
            position_embeddings: table("position_embeddings", sizes.positions)?,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), sizes.hidden, sizes.eps)?,
            dropout: sizes.dropout,
            positions: sizes.positions,
        })
    }
}

impl Module for Embeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        batch.check_whole(CLASS, self.positions)?;
        let words = cx.call(&self.word_embeddings, &batch.input_ids)?;
        // Positions are looked up for every sequence of the batch, where BERT does it once.
        let ids = batch.buffer(batch.input_ids.shape(), Format::I64, |_, position| position as i64)?;
        let positions = cx.call(&self.position_embeddings, &ids)?;
        let sum = cx.add(&words, &positions)?;
        let normed = cx.call(&self.layer_norm, &sum)?;
        cx.dropout(&normed, self.dropout)
    }
}

struct TransformerBlock {
    label: Label,
    attention: MultiHeadSelfAttention,
    sa_layer_norm: LayerNorm,
    ffn: Ffn,
    output_layer_norm: LayerNorm,
}

impl TransformerBlock {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let norm = |name| LayerNorm::load(&weights.child(name), sizes.hidden, sizes.eps);
        Ok(Self {
            label: weights.label("TransformerBlock", Level::Module),
            attention: MultiHeadSelfAttention::load(&weights.child("attention"), sizes)?,
            sa_layer_norm: norm("sa_layer_norm")?,
            ffn: Ffn::load(&weights.child("ffn"), sizes)?,
            output_layer_norm: norm("output_layer_norm")?,
        })
    }
}

impl Module for TransformerBlock {
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let attended = cx.call(&self.attention, (hidden, mask))?;
        let attended = cx.add_norm(&attended, hidden, &self.sa_layer_norm)?;
        let fed = cx.call(&self.ffn, &attended)?;
        cx.add_norm(&fed, &attended, &self.output_layer_norm)
    }
}

struct MultiHeadSelfAttention {
    label: Label,
    heads: SelfAttention,
    out_lin: Linear,
}

impl MultiHeadSelfAttention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let &Sizes { hidden, heads, attention_dropout, .. } = sizes;
        Ok(Self {
            label: weights.label("MultiHeadSelfAttention", Level::Module),
            heads: SelfAttention::load(weights, ["q_lin", "k_lin", "v_lin"], hidden, heads, attention_dropout)?,
            out_lin: Linear::load(&weights.child("out_lin"), hidden, hidden)?,
        })
    }
}

impl Module for MultiHeadSelfAttention {
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let how = Attention { padding: Padding::Masked(mask), ..Attention::PLAIN };
        let context = self.heads.run(cx, hidden, Scaling::Query, how)?;
        cx.call(&self.out_lin, &context)
    }
}

struct Ffn {
    label: Label,
    lin1: Linear,
    lin2: Linear,
    activation: Activation,
    dropout: f64,
}

impl Ffn {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            label: weights.label("FFN", Level::Module),
            lin1: Linear::load(&weights.child("lin1"), sizes.hidden, sizes.intermediate)?,
            lin2: Linear::load(&weights.child("lin2"), sizes.intermediate, sizes.hidden)?,
            activation: sizes.activation,
            dropout: sizes.dropout,
        })
    }
}

impl Module for Ffn {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let activated = cx.call_then(&self.lin1, hidden, self.activation)?;
        let fed = cx.call(&self.lin2, &activated)?;
        cx.dropout(&fed, self.dropout)
    }
}

/// The masked language model's head, whose layers stand beside the trunk.
struct VocabHead {
    layers: Transforming,
    vocab_projector: Linear,
}

impl VocabHead {
    fn load(config: &Config, weights: &Weights<'_>, sizes: &Sizes, tokens: &Embedding) -> Result<Self> {
        let projector = weights.child("vocab_projector");
        let bias = Some(projector.parameter("bias", [tokens.rows()])?);
        Ok(Self {
            layers: Transforming {
                dense: Linear::load(&weights.child("vocab_transform"), sizes.hidden, sizes.hidden)?,
                // Fixed in transformers' code, not in the config.
                activation: Activation::Gelu,
                norm: LayerNorm::load(&weights.child("vocab_layer_norm"), sizes.hidden, sizes.eps)?,
            },
            vocab_projector: decoder(config, &projector, tokens, bias)?,
        })
    }
}

impl HeadLayers for VocabHead {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, _batch: &Batch) -> Result<Tensor> {
        let transformed = self.layers.run(cx, &output.last_hidden_state)?;
        cx.call(&self.vocab_projector, &transformed)
    }
}

/// Two layers over the first token of each sequence, beside the trunk.
struct Classifier {
    pre_classifier: Linear,
    dropout: f64,
    classifier: Linear,
}

impl Classifier {
    fn load(config: &Config, weights: &Weights<'_>, hidden: usize) -> Result<Self> {
        Ok(Self {
            pre_classifier: Linear::load(&weights.child("pre_classifier"), hidden, hidden)?,
            dropout: config.probability_or("seq_classif_dropout", 0.2)?,
            classifier: Linear::load(&weights.child("classifier"), hidden, config.num_labels()?)?,
        })
    }
}

impl HeadLayers for Classifier {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, _batch: &Batch) -> Result<Tensor> {
        let first_token = cx.select(&output.last_hidden_state, 1, 0)?;
        let mapped = cx.call_then(&self.pre_classifier, &first_token, Activation::Relu)?;
        let mapped = cx.dropout(&mapped, self.dropout)?;
        cx.call(&self.classifier, &mapped)
    }
}
