//! GPT-2 (Radford et al., 2019) and DistilGPT-2: pre-norm decoder with a causal mask.
//!
//! OpenAI-GPT takes its attention and its feed-forward part from here.

use irene_tree::{Format, Kernels, Level};

use super::{
    causal::{self, CausalMasks, Seen},
    heads,
    task_head::{HeadClasses, WithHead, trunk},
};
use crate::{
    Activation, Architecture, Attention, Batch, CacheShape, Causal, Config, Conv1D, Cx, Embedding, KeyValue, Label,
    LayerNorm, Model, ModelOutput, Module, Result, Scaling, TaskHead, Tensor, Weights, labelled,
};

labelled!(Gpt2Model, Block, GptAttention, Mlp);
trunk!(Gpt2Model: wte);

/// The entry in the registry.
pub(super) struct Gpt2;

impl Architecture for Gpt2 {
    fn model_type(&self) -> &'static str {
        "gpt2"
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
        let activation = Activation::from_config(config, "activation_function", "gelu_new")?;
        let sizes = Sizes { scaled: config.flag_or("scale_attn_weights", true)?, ..Sizes::read(config, activation)? };
        let trunk = |weights: &Weights<'_>, level| Gpt2Model::load(weights, &sizes, level);
        WithHead::build(weights, head, &CLASSES, trunk, |tokens| causal::head(config, weights, head, tokens))
    }
}

const CLASS: &str = "GPT2Model";

const CLASSES: HeadClasses =
    HeadClasses { trunk: "transformer", lm: "GPT2LMHeadModel", classification: "GPT2ForSequenceClassification" };

/// The sizes in a GPT config.
pub(super) struct Sizes {
    pub(super) hidden: usize,
    heads: usize,
    pub(super) layers: usize,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) eps: f64,
    /// Dropout of the embeddings.
    pub(super) dropout: f64,
    inner: usize,
    scaled: bool,
    activation: Activation,
    attention_dropout: f64,
    /// Dropout of each branch that a layer adds to the stream.
    branch_dropout: f64,
}

impl Sizes {
    pub(super) fn read(config: &Config, activation: Activation) -> Result<Self> {
        let (hidden, heads) = config.width_and_heads("n_embd", "n_head")?;
        Ok(Self {
            hidden,
            heads,
            layers: config.layers("n_layer")?,
            vocabulary: config.size("vocab_size")?,
            positions: config.size("n_positions")?,
            eps: config.number_or("layer_norm_epsilon", 1e-5)?,
            inner: config.size_or("n_inner", 4 * hidden)?,
            dropout: config.probability_or("embd_pdrop", 0.1)?,
            scaled: true,
            activation,
            attention_dropout: config.probability_or("attn_pdrop", 0.1)?,
            branch_dropout: config.probability_or("resid_pdrop", 0.1)?,
        })
    }

    pub(super) fn cache(&self) -> CacheShape {
        CacheShape::uniform(self.layers, self.heads, self.hidden / self.heads)
    }
}

struct Gpt2Model {
    label: Label,
    activations: Format,
    wte: Embedding,
    wpe: Embedding,
    blocks: Vec<Block>,
    ln_f: LayerNorm,
    positions: usize,
    dropout: f64,
}

impl Gpt2Model {
    fn load(weights: &Weights<'_>, sizes: &Sizes, level: Level) -> Result<Self> {
        Ok(Self {
            label: weights.label(CLASS, level),
            activations: weights.activations(),
            wte: Embedding::load(&weights.child("wte"), sizes.vocabulary, sizes.hidden)?,
            wpe: Embedding::load(&weights.child("wpe"), sizes.positions, sizes.hidden)?,
            blocks: weights.list("h", sizes.layers, |block| Block::load(block, sizes))?,
            ln_f: LayerNorm::load(&weights.child("ln_f"), sizes.hidden, sizes.eps)?,
            positions: sizes.positions,
            dropout: sizes.dropout,
        })
    }
}

impl Module for Gpt2Model {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        batch.check_positions(CLASS, self.positions)?;
        // The end of the positions, which transformers computes on the host.
        cx.add_sizes(batch.new_tokens(), batch.past())?;
        let padding = heads::padding(cx, batch, self.activations)?;
        let tokens = cx.call(&self.wte, &batch.input_ids)?;
        let positions = cx.call(&self.wpe, &batch.positions()?)?;
        let hidden = cx.add(&tokens, &positions)?;
        let hidden = cx.dropout(&hidden, self.dropout)?;
        let masks = CausalMasks { causal: heads::causal_mask(batch, Format::U8)?, padding };
        let (hidden, cache) = causal::through(cx, &self.blocks, hidden, &masks, batch)?;
        let last_hidden_state = cx.call(&self.ln_f, &hidden)?;
        Ok(ModelOutput { cache, ..last_hidden_state.into() })
    }
}

struct Block {
    label: Label,
    ln_1: LayerNorm,
    attn: GptAttention,
    ln_2: LayerNorm,
    mlp: Mlp,
}

impl Block {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let norm = |name| LayerNorm::load(&weights.child(name), sizes.hidden, sizes.eps);
        Ok(Self {
            label: weights.label("Block", Level::Module),
            ln_1: norm("ln_1")?,
            attn: GptAttention::load(&weights.child("attn"), sizes, false)?,
            ln_2: norm("ln_2")?,
            mlp: Mlp::load(&weights.child("mlp"), sizes)?,
        })
    }
}

impl Module for Block {
    type Input<'a> = Seen<'a>;
    type Output = (Tensor, Option<KeyValue>);

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): Seen<'_>) -> Result<Self::Output> {
        let normed = cx.call(&self.ln_1, hidden)?;
        let (attended, kept) = cx.call(&self.attn, (&normed, around))?;
        let hidden = cx.add(&attended, hidden)?;
        let normed = cx.call(&self.ln_2, &hidden)?;
        let fed = cx.call(&self.mlp, &normed)?;
        Ok((cx.add(&hidden, &fed)?, kept))
    }
}

/// Queries, keys and values in one projection, and the projection back.
pub(super) struct GptAttention {
    label: Label,
    c_attn: Conv1D,
    c_proj: Conv1D,
    heads: usize,
    scaled: bool,
    /// Whether the causal mask multiplies scores and adds to them, rather than choose (OpenAI-GPT).
    is_blended: bool,
    dropout: f64,
    branch_dropout: f64,
}

impl GptAttention {
    pub(super) fn load(weights: &Weights<'_>, sizes: &Sizes, is_blended: bool) -> Result<Self> {
        Ok(Self {
            label: weights.label("Attention", Level::Module),
            c_attn: Conv1D::load(&weights.child("c_attn"), sizes.hidden, 3 * sizes.hidden)?,
            c_proj: Conv1D::load(&weights.child("c_proj"), sizes.hidden, sizes.hidden)?,
            heads: sizes.heads,
            scaled: sizes.scaled,
            is_blended,
            dropout: sizes.attention_dropout,
            branch_dropout: sizes.branch_dropout,
        })
    }

    /// (batch, heads, sequence, width) to (batch, sequence, hidden), projected.
    fn merge(&self, cx: &mut Cx<'_>, context: &Tensor) -> Result<Tensor> {
        let context = heads::from_heads(cx, context)?;
        let hidden = cx.mul_sizes(context.dim(2), context.dim(3))?;
        let merged = cx.reshape(&context, [context.dim(0), context.dim(1), hidden])?;
        let projected = cx.call(&self.c_proj, &merged)?;
        cx.dropout(&projected, self.branch_dropout)
    }
}

impl Module for GptAttention {
    type Input<'a> = Seen<'a>;
    type Output = (Tensor, Option<KeyValue>);

    fn forward(&self, cx: &mut Cx<'_>, (hidden, (masks, past)): Seen<'_>) -> Result<Self::Output> {
        let joint = cx.call(&self.c_attn, hidden)?;
        let heads = heads::split_joint(cx, &joint, self.heads)?;
        let (heads, kept) = cx.remember(past, heads, None)?;
        let (mask, otherwise) = (&masks.causal, heads::MASKED);
        let how = Attention {
            scaling: if self.scaled { Scaling::Scores(heads::root_of_width(&heads)) } else { Scaling::None },
            causal: if self.is_blended {
                Causal::Blended { mask, otherwise }
            } else {
                Causal::Chosen { mask, otherwise }
            },
            padding: masks.padding(),
            dropout: self.dropout,
            ..Attention::PLAIN
        };
        let context = cx.attention(&heads, how)?;
        Ok((self.merge(cx, &context)?, kept))
    }
}

/// The feed-forward part.
pub(super) struct Mlp {
    label: Label,
    c_fc: Conv1D,
    c_proj: Conv1D,
    activation: Activation,
    dropout: f64,
}

impl Mlp {
    /// Loads it from its place.
    pub(super) fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            label: weights.label("MLP", Level::Module),
            c_fc: Conv1D::load(&weights.child("c_fc"), sizes.hidden, sizes.inner)?,
            c_proj: Conv1D::load(&weights.child("c_proj"), sizes.inner, sizes.hidden)?,
            activation: sizes.activation,
            dropout: sizes.branch_dropout,
        })
    }
}

impl Module for Mlp {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let activated = cx.call_then(&self.c_fc, hidden, self.activation)?;
        let fed = cx.call(&self.c_proj, &activated)?;
        cx.dropout(&fed, self.dropout)
    }
}
