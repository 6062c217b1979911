//! GPT-2 (Radford et al., 2019) and DistilGPT-2: pre-norm decoder with a causal mask.
//!
//! OpenAI-GPT takes its projections and its feed-forward part from here.

use irene_tree::{DType, Level};

use super::heads;
use crate::{
    Activation, Architecture, Batch, Config, Conv1D, Cx, Embedding, LayerNorm, Model, ModelOutput, Module, Node,
    Padding, Result, Scores, Tensor, Weights,
};

/// The entry in the registry.
pub(super) struct Gpt2;

impl Architecture for Gpt2 {
    fn model_type(&self) -> &'static str {
        "gpt2"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "transformer"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>) -> Result<Box<dyn Model>> {
        config.refuse_flags(&["add_cross_attention", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"])?;
        let activation = Activation::from_config(config, "activation_function", "gelu_new")?;
        let sizes = Sizes { scaled: config.flag_or("scale_attn_weights", true)?, ..Sizes::read(config, activation)? };
        Ok(Box::new(Gpt2Model::load(weights, &sizes)?))
    }
}

const CLASS: &str = "GPT2Model";

/// What replaces a score that a query must not see.
const MASKED: f64 = -10_000.0;

/// What a GPT's config decides.
pub(super) struct Sizes {
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) eps: f64,
    inner: usize,
    scaled: bool,
    activation: Activation,
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
            scaled: true,
            activation,
        })
    }
}

struct Gpt2Model {
    node: Node,
    dtype: DType,
    wte: Embedding,
    wpe: Embedding,
    blocks: Vec<Block>,
    ln_f: LayerNorm,
    positions: usize,
}

impl Gpt2Model {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            node: weights.node(CLASS, Level::Model),
            dtype: weights.dtype(),
            wte: Embedding::load(&weights.child("wte"), sizes.vocabulary, sizes.hidden)?,
            wpe: Embedding::load(&weights.child("wpe"), sizes.positions, sizes.hidden)?,
            blocks: weights.list("h", sizes.layers, |block| Block::load(block, sizes))?,
            ln_f: LayerNorm::load(&weights.child("ln_f"), sizes.hidden, sizes.eps)?,
            positions: sizes.positions,
        })
    }
}

impl Module for Gpt2Model {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let past = 0;
        cx.add_sizes(batch.seq_len(), past)?;
        batch.check_positions(CLASS, self.positions)?;
        let padding =
            batch.attention_mask.as_ref().map(|mask| heads::additive_mask(cx, mask, self.dtype)).transpose()?;
        let tokens = cx.call(&self.wte, &batch.input_ids)?;
        let positions = cx.call(&self.wpe, &heads::positions(batch)?)?;
        let mut hidden = cx.add(&tokens, &positions)?;
        let masks = Masks { causal: heads::causal_mask(batch, DType::U8)?, padding };
        for block in &self.blocks {
            hidden = cx.call(block, (&hidden, &masks))?;
        }
        let last_hidden_state = cx.call(&self.ln_f, &hidden)?;
        Ok(ModelOutput { last_hidden_state, pooler_output: None })
    }
}

/// What a query may see.
pub(super) struct Masks {
    /// 1 for keys up to the query, (1, 1, query, key).
    pub(super) causal: Tensor,
    /// Added to scores of padding, (batch, 1, 1, key), if any token is padding.
    pub(super) padding: Option<Tensor>,
}

impl Masks {
    /// What becomes of scores that are divided by `root`.
    pub(super) fn scores(&self, root: f64) -> Scores<'_> {
        let padding = self.padding.as_ref().map_or(Padding::None, Padding::Added);
        Scores { scale: 1.0 / root, later: Some(MASKED), padding }
    }
}

impl crate::Tensors for Masks {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.causal);
        self.padding.list(tensors);
    }
}

struct Block {
    node: Node,
    ln_1: LayerNorm,
    attn: Attention,
    ln_2: LayerNorm,
    mlp: Mlp,
}

impl Block {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let norm = |name| LayerNorm::load(&weights.child(name), sizes.hidden, sizes.eps);
        Ok(Self {
            node: weights.node("Block", Level::Module),
            ln_1: norm("ln_1")?,
            attn: Attention::load(&weights.child("attn"), sizes)?,
            ln_2: norm("ln_2")?,
            mlp: Mlp::load(&weights.child("mlp"), sizes)?,
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
        let normed = cx.call(&self.ln_1, hidden)?;
        let attended = cx.call(&self.attn, (&normed, masks))?;
        let hidden = cx.add(&attended, hidden)?;
        let normed = cx.call(&self.ln_2, &hidden)?;
        let fed = cx.call(&self.mlp, &normed)?;
        cx.add(&hidden, &fed)
    }
}

struct Attention {
    node: Node,
    projections: Projections,
    scaled: bool,
}

impl Attention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            node: weights.node("Attention", Level::Module),
            projections: Projections::load(weights, sizes)?,
            scaled: sizes.scaled,
        })
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
        let root = if self.scaled { heads::root_of_width(&projected) } else { 1.0 };
        let context = cx.attention(&projected, masks.scores(root), |cx, [query, key, value]| {
            let keys = cx.transpose(&key, 2, 3)?;
            let mut scores = cx.matmul(&query, &keys)?;
            if self.scaled {
                scores = cx.div_scalar(&scores, root)?;
            }
            // The causal mask's rows start where the keys of earlier calls end; there are none here.
            cx.sub_sizes(scores.dim(3), scores.dim(2))?;
            scores = cx.where_mask(&masks.causal, &scores, MASKED)?;
            if let Some(padding) = &masks.padding {
                scores = cx.add(&scores, padding)?;
            }
            let probabilities = cx.softmax(&scores)?;
            cx.matmul(&probabilities, &value)
        })?;
        self.projections.merge(cx, &context)
    }
}

/// Queries, keys and values in one projection, and the projection back.
pub(super) struct Projections {
    c_attn: Conv1D,
    c_proj: Conv1D,
    heads: usize,
}

impl Projections {
    /// Loads both from the attention's own place.
    pub(super) fn load(attention: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            c_attn: Conv1D::load(&attention.child("c_attn"), sizes.hidden, 3 * sizes.hidden)?,
            c_proj: Conv1D::load(&attention.child("c_proj"), sizes.hidden, sizes.hidden)?,
            heads: sizes.heads,
        })
    }

    /// Query, key and value, each a view (batch, heads, sequence, width).
    pub(super) fn heads(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<[Tensor; 3]> {
        let all = cx.call(&self.c_attn, hidden)?;
        let (batch, seq_len, width) = (hidden.dim(0), hidden.dim(1), hidden.dim(2) / self.heads);
        let all = cx.reshape(&all, [batch, seq_len, 3, self.heads, width])?;
        let mut third = |index| {
            let part = cx.select(&all, 2, index)?;
            cx.transpose(&part, 1, 2)
        };
        Ok([third(0)?, third(1)?, third(2)?])
    }

    /// (batch, heads, sequence, width) to (batch, sequence, hidden), projected.
    pub(super) fn merge(&self, cx: &mut Cx<'_>, context: &Tensor) -> Result<Tensor> {
        let context = heads::from_heads(cx, context)?;
        let hidden = cx.mul_sizes(context.dim(2), context.dim(3))?;
        let merged = cx.reshape(&context, [context.dim(0), context.dim(1), hidden])?;
        cx.call(&self.c_proj, &merged)
    }
}

/// The feed-forward part.
pub(super) struct Mlp {
    node: Node,
    c_fc: Conv1D,
    c_proj: Conv1D,
    activation: Activation,
}

impl Mlp {
    /// Loads it from its place.
    pub(super) fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            node: weights.node("MLP", Level::Module),
            c_fc: Conv1D::load(&weights.child("c_fc"), sizes.hidden, sizes.inner)?,
            c_proj: Conv1D::load(&weights.child("c_proj"), sizes.inner, sizes.hidden)?,
            activation: sizes.activation,
        })
    }
}

impl Module for Mlp {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn node(&self) -> &Node {
        &self.node
    }

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let activated = cx.call_then(&self.c_fc, hidden, self.activation)?;
        cx.call(&self.c_proj, &activated)
    }
}
