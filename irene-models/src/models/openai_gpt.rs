//! OpenAI-GPT (Radford et al., 2018): post-norm decoder; its causal mask multiplies and adds instead of choosing.

use irene_tree::{Format, Kernels, Level};

use super::{
    causal::{self, CausalMasks, Seen},
    gpt2::{GptAttention, Mlp, Sizes},
    heads,
    task_head::{HeadClasses, WithHead, trunk},
};
use crate::{
    Activation, Architecture, Batch, CacheShape, Config, Cx, Embedding, KeyValue, Label, LayerNorm, Model, ModelOutput,
    Module, Result, TaskHead, Tensor, Weights, labelled,
};

labelled!(OpenAiGptModel, Block);
trunk!(OpenAiGptModel: tokens_embed);

/// The entry in the registry.
pub(super) struct OpenAiGpt;

/// Its code has a table of its own, in which `gelu` means the tanh form.
const WORDS: [(&str, Activation); 4] = [
    ("gelu", Activation::GeluNew),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
];

impl Architecture for OpenAiGpt {
    fn model_type(&self) -> &'static str {
        "openai-gpt"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "transformer"
    }

    fn cache(&self, config: &Config, _kernels: Kernels) -> Result<Option<CacheShape>> {
        Ok(Some(Sizes::read(config, Activation::GeluNew)?.cache()))
    }

    fn longest_sequence(&self, config: &Config) -> Result<usize> {
        config.size("n_positions")
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config, Activation::from_words(&WORDS, config, "afn", "gelu")?)?;
        let trunk = |weights: &Weights<'_>, level| OpenAiGptModel::load(weights, &sizes, level);
        WithHead::build(weights, head, &CLASSES, trunk, |tokens| causal::head(config, weights, head, tokens))
    }
}

const CLASS: &str = "OpenAIGPTModel";

const CLASSES: HeadClasses = HeadClasses {
    trunk: "transformer",
    lm: "OpenAIGPTLMHeadModel",
    classification: "OpenAIGPTForSequenceClassification",
};

struct OpenAiGptModel {
    label: Label,
    activations: Format,
    tokens_embed: Embedding,
    positions_embed: Embedding,
    blocks: Vec<Block>,
    positions: usize,
    dropout: f64,
}

impl OpenAiGptModel {
    fn load(weights: &Weights<'_>, sizes: &Sizes, level: Level) -> Result<Self> {
        Ok(Self {
            label: weights.label(CLASS, level),
            activations: weights.activations(),
            tokens_embed: Embedding::load(&weights.child("tokens_embed"), sizes.vocabulary, sizes.hidden)?,
            positions_embed: Embedding::load(&weights.child("positions_embed"), sizes.positions, sizes.hidden)?,
            blocks: weights.list("h", sizes.layers, |block| Block::load(block, sizes))?,
            positions: sizes.positions,
            dropout: sizes.dropout,
        })
    }
}

impl Module for OpenAiGptModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        batch.check_positions(CLASS, self.positions)?;
        let padding = heads::padding(cx, batch, self.activations)?;
        let tokens = cx.call(&self.tokens_embed, &batch.input_ids)?;
        let positions = cx.call(&self.positions_embed, &batch.positions()?)?;
        let sum = cx.add(&tokens, &positions)?;
        // Without segments transformers adds the number 0 in their place.
        let hidden = cx.add_scalar(&sum, 0.0)?;
        let hidden = cx.dropout(&hidden, self.dropout)?;
        let masks = CausalMasks { causal: heads::causal_mask(batch, self.activations)?, padding };
        let (hidden, cache) = causal::through(cx, &self.blocks, hidden, &masks, batch)?;
        Ok(ModelOutput { cache, ..hidden.into() })
    }
}

struct Block {
    label: Label,
    attn: GptAttention,
    ln_1: LayerNorm,
    mlp: Mlp,
    ln_2: LayerNorm,
}

impl Block {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let norm = |name| LayerNorm::load(&weights.child(name), sizes.hidden, sizes.eps);
        Ok(Self {
            label: weights.label("Block", Level::Module),
            attn: GptAttention::load(&weights.child("attn"), sizes, true)?,
            ln_1: norm("ln_1")?,
            mlp: Mlp::load(&weights.child("mlp"), sizes)?,
            ln_2: norm("ln_2")?,
        })
    }
}

impl Module for Block {
    type Input<'a> = Seen<'a>;
    type Output = (Tensor, Option<KeyValue>);

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): Seen<'_>) -> Result<Self::Output> {
        let (attended, kept) = cx.call(&self.attn, (hidden, around))?;
        let normed = cx.add_norm(&attended, hidden, &self.ln_1)?;
        let fed = cx.call(&self.mlp, &normed)?;
        Ok((cx.add_norm(&fed, &normed, &self.ln_2)?, kept))
    }
}
