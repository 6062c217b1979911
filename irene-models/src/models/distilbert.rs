//! DistilBERT (Sanh et al., 2019): BERT's layers by other names, without segments and pooler; queries are scaled, not
//! scores, and padding is masked by a fill.

use irene_tree::Level;

use super::heads;
use crate::{
    Activation, Architecture, Batch, Config, Cx, Embedding, LayerNorm, Linear, Model, ModelOutput, Module, Node,
    Padding, Result, Scores, Tensor, Weights,
};

/// The entry in the registry.
pub(super) struct DistilBert;

impl Architecture for DistilBert {
    fn model_type(&self) -> &'static str {
        "distilbert"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "distilbert"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        Ok(Box::new(DistilBertModel {
            node: weights.node(CLASS, Level::Model),
            embeddings: Embeddings::load(&weights.child("embeddings"), &sizes)?,
            transformer: Transformer::load(&weights.child("transformer"), &sizes)?,
        }))
    }
}

const CLASS: &str = "DistilBertModel";

/// Fixed in transformers' code, not in the config.
const LAYER_NORM_EPS: f64 = 1e-12;

struct Sizes {
    hidden: usize,
    heads: usize,
    layers: usize,
    intermediate: usize,
    vocabulary: usize,
    positions: usize,
    activation: Activation,
}

impl Sizes {
    fn read(config: &Config) -> Result<Self> {
        config.refuse_chunking()?;
        let (hidden, heads) = config.width_and_heads("dim", "n_heads")?;
        Ok(Self {
            hidden,
            heads,
            layers: config.layers("n_layers")?,
            intermediate: config.size("hidden_dim")?,
            vocabulary: config.size("vocab_size")?,
            positions: config.size("max_position_embeddings")?,
            activation: Activation::from_config(config, "activation", "gelu")?,
        })
    }
}

struct DistilBertModel {
    node: Node,
    embeddings: Embeddings,
    transformer: Transformer,
}

impl Module for DistilBertModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mask = batch.mask_or_ones()?;
        let embedded = cx.call(&self.embeddings, batch)?;
        let last_hidden_state = cx.call(&self.transformer, (&embedded, &mask))?;
        Ok(ModelOutput { last_hidden_state, pooler_output: None })
    }
}

struct Embeddings {
    node: Node,
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    layer_norm: LayerNorm,
    positions: usize,
}

impl Embeddings {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let table = |name, rows| Embedding::load(&weights.child(name), rows, sizes.hidden);
        Ok(Self {
            node: weights.node("Embeddings", Level::Module),
            word_embeddings: table("word_embeddings", sizes.vocabulary)?,
            position_embeddings: table("position_embeddings", sizes.positions)?,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), sizes.hidden, LAYER_NORM_EPS)?,
            positions: sizes.positions,
        })
    }
}

impl Module for Embeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        batch.check_positions(CLASS, self.positions)?;
        let words = cx.call(&self.word_embeddings, &batch.input_ids)?;
        // Positions are looked up for every sequence of the batch, where BERT does it once.
        let ids = batch.buffer(batch.input_ids.shape(), batch.input_ids.dtype(), |_, position| position as i64)?;
        let positions = cx.call(&self.position_embeddings, &ids)?;
        let sum = cx.add(&words, &positions)?;
        cx.call(&self.layer_norm, &sum)
    }
}

struct Transformer {
    node: Node,
    layers: Vec<TransformerBlock>,
}

impl Transformer {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let layers = weights.list("layer", sizes.layers, |layer| TransformerBlock::load(layer, sizes))?;
        Ok(Self { node: weights.node("Transformer", Level::Module), layers })
    }
}

impl Module for Transformer {
    /// Hidden states, and the mask (batch, key).
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let mut hidden = hidden.clone();
        for layer in &self.layers {
            hidden = cx.call(layer, (&hidden, mask))?;
        }
        Ok(hidden)
    }
}

struct TransformerBlock {
    node: Node,
    attention: MultiHeadSelfAttention,
    sa_layer_norm: LayerNorm,
    ffn: Ffn,
    output_layer_norm: LayerNorm,
}

impl TransformerBlock {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let norm = |name| LayerNorm::load(&weights.child(name), sizes.hidden, LAYER_NORM_EPS);
        Ok(Self {
            node: weights.node("TransformerBlock", Level::Module),
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

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let attended = cx.call(&self.attention, (hidden, mask))?;
        let attended = cx.add_norm(&attended, hidden, &self.sa_layer_norm)?;
        let fed = cx.call(&self.ffn, &attended)?;
        cx.add_norm(&fed, &attended, &self.output_layer_norm)
    }
}

struct MultiHeadSelfAttention {
    node: Node,
    q_lin: Linear,
    k_lin: Linear,
    v_lin: Linear,
    out_lin: Linear,
    heads: usize,
}

impl MultiHeadSelfAttention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let linear = |name| Linear::load(&weights.child(name), sizes.hidden, sizes.hidden);
        Ok(Self {
            node: weights.node("MultiHeadSelfAttention", Level::Module),
            q_lin: linear("q_lin")?,
            k_lin: linear("k_lin")?,
            v_lin: linear("v_lin")?,
            out_lin: linear("out_lin")?,
            heads: sizes.heads,
        })
    }
}

impl Module for MultiHeadSelfAttention {
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, (hidden, mask): (&Tensor, &Tensor)) -> Result<Tensor> {
        let projected = heads::project(cx, [&self.q_lin, &self.k_lin, &self.v_lin], hidden, self.heads)?;
        let root = heads::root_of_width(&projected);
        let scores = Scores { scale: 1.0 / root, later: None, padding: Padding::Masked(mask) };
        let context = cx.attention(&projected, scores, |cx, [query, key, value]| {
            let query = cx.div_scalar(&query, root)?;
            let keys = cx.transpose(&key, 2, 3)?;
            let scores = cx.matmul(&query, &keys)?;
            let is_token = cx.not_equal(mask, 0)?;
            let is_token = cx.reshape(&is_token, [mask.dim(0), 1, 1, mask.dim(1)])?;
            // The lowest finite number: minus infinity would make a row of padding alone NaN.
            let scores = cx.where_mask(&is_token, &scores, f64::from(f32::MIN))?;
            let probabilities = cx.softmax(&scores)?;
            cx.matmul(&probabilities, &value)
        })?;
        let context = heads::merge(cx, &context)?;
        cx.call(&self.out_lin, &context)
    }
}

struct Ffn {
    node: Node,
    lin1: Linear,
    lin2: Linear,
    activation: Activation,
}

impl Ffn {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            node: weights.node("FFN", Level::Module),
            lin1: Linear::load(&weights.child("lin1"), sizes.hidden, sizes.intermediate)?,
            lin2: Linear::load(&weights.child("lin2"), sizes.intermediate, sizes.hidden)?,
            activation: sizes.activation,
        })
    }
}

impl Module for Ffn {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let activated = cx.call_then(&self.lin1, hidden, self.activation)?;
        cx.call(&self.lin2, &activated)
    }
}
