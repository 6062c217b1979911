//! OpenAI-GPT (Radford et al., 2018): post-norm decoder; its causal mask multiplies and adds instead of choosing.

use irene_tree::{DType, Level};

use super::{
    gpt2::{Masks, Mlp, Projections, Sizes},
    heads,
};
use crate::{
    Activation, Architecture, Batch, Config, Cx, Embedding, LayerNorm, Model, ModelOutput, Module, Node, Result,
    Tensor, Weights,
};

/// The entry in the registry.
pub(super) struct OpenAiGpt;

/// Its code has a table of its own, in which `gelu` means the tanh form.
const WORDS: [(&str, Activation); 3] =
    [("gelu", Activation::GeluNew), ("relu", Activation::Relu), ("swish", Activation::Silu)];

impl Architecture for OpenAiGpt {
    fn model_type(&self) -> &'static str {
        "openai-gpt"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "transformer"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>) -> Result<Box<dyn Model>> {
        let activation = Activation::from_words(&WORDS, config, "afn", "gelu")?;
        Ok(Box::new(OpenAiGptModel::load(weights, &Sizes::read(config, activation)?)?))
    }
}

const CLASS: &str = "OpenAIGPTModel";

/// What is added to a score that a query must not see.
const MASKED: f64 = -10_000.0;

struct OpenAiGptModel {
    node: Node,
    dtype: DType,
    tokens_embed: Embedding,
    positions_embed: Embedding,
    blocks: Vec<Block>,
    positions: usize,
}

impl OpenAiGptModel {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            node: weights.node(CLASS, Level::Model),
            dtype: weights.dtype(),
            tokens_embed: Embedding::load(&weights.child("tokens_embed"), sizes.vocabulary, sizes.hidden)?,
            positions_embed: Embedding::load(&weights.child("positions_embed"), sizes.positions, sizes.hidden)?,
            blocks: weights.list("h", sizes.layers, |block| Block::load(block, sizes))?,
            positions: sizes.positions,
        })
    }
}

impl Module for OpenAiGptModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        batch.check_positions(CLASS, self.positions)?;
        let padding =
            batch.attention_mask.as_ref().map(|mask| heads::additive_mask(cx, mask, self.dtype)).transpose()?;
        let tokens = cx.call(&self.tokens_embed, &batch.input_ids)?;
        let positions = cx.call(&self.positions_embed, &heads::positions(batch)?)?;
        let sum = cx.add(&tokens, &positions)?;
        // Without segments transformers adds the number 0 in their place.
        let mut hidden = cx.add_scalar(&sum, 0.0)?;
        let masks = Masks { causal: heads::causal_mask(batch, self.dtype)?, padding };
        for block in &self.blocks {
            hidden = cx.call(block, (&hidden, &masks))?;
        }
        Ok(ModelOutput { last_hidden_state: hidden, pooler_output: None })
    }
}

struct Block {
    node: Node,
    attn: Attention,
    ln_1: LayerNorm,
    mlp: Mlp,
    ln_2: LayerNorm,
}

impl Block {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let norm = |name| LayerNorm::load(&weights.child(name), sizes.hidden, sizes.eps);
        Ok(Self {
            node: weights.node("Block", Level::Module),
            attn: Attention::load(&weights.child("attn"), sizes)?,
            ln_1: norm("ln_1")?,
            mlp: Mlp::load(&weights.child("mlp"), sizes)?,
            ln_2: norm("ln_2")?,
        })
    }
}

impl Module for Block {
    type Input<'a> = (&'a Tensor, &'a Masks);
    type Output = Tensor;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, (hidden, masks): (&Tensor, &Masks)) -> Result<Tensor> {
        let attended = cx.call(&self.attn, (hidden, masks))?;
        let normed = cx.add_norm(&attended, hidden, &self.ln_1)?;
        let fed = cx.call(&self.mlp, &normed)?;
        cx.add_norm(&fed, &normed, &self.ln_2)
    }
}

struct Attention {
    node: Node,
    projections: Projections,
}

impl Attention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self { node: weights.node("Attention", Level::Module), projections: Projections::load(weights, sizes)? })
    }
}

impl Module for Attention {
    type Input<'a> = (&'a Tensor, &'a Masks);
    type Output = Tensor;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, (hidden, masks): (&Tensor, &Masks)) -> Result<Tensor> {
        let projected = self.projections.heads(cx, hidden)?;
        let root = heads::root_of_width(&projected);
        let context = cx.attention(&projected, masks.scores(root), |cx, [query, key, value]| {
            let keys = cx.transpose(&key, 2, 3)?;
            let scores = cx.matmul(&query, &keys)?;
            let scores = cx.div_scalar(&scores, root)?;
            let seen = cx.mul(&scores, &masks.causal)?;
            let unseen = cx.rsub_scalar(1.0, &masks.causal)?;
            let unseen = cx.mul_scalar(&unseen, MASKED)?;
            let mut scores = cx.add(&seen, &unseen)?;
            if let Some(padding) = &masks.padding {
                scores = cx.add(&scores, padding)?;
            }
            let probabilities = cx.softmax(&scores)?;
            cx.matmul(&probabilities, &value)
        })?;
        self.projections.merge(cx, &context)
    }
}
