//! Models with a head: a trunk, and layers over its output.

use irene_tree::Level;

use crate::{
    Activation, Batch, Config, Cx, Embedding, Label, LayerNorm, Linear, Model, ModelOutput, Module, Result, TaskHead,
    Tensor, Weights, labelled,
};

labelled!(WithHead<T>, Transform, LmHead, FirstToken);

/// A model without its head.
pub(super) trait Trunk: for<'a> Module<Input<'a> = &'a Batch, Output = ModelOutput> + Send + Sync {
    /// The table of tokens, which a language model's head is tied to.
    fn tokens(&self) -> &Embedding;
}

/// Makes a model a [`Trunk`], by the place of its table of tokens.
macro_rules! trunk {
    ($model:ident: $($field:ident).+) => {
        impl $crate::models::task_head::Trunk for $model {
            fn tokens(&self) -> &$crate::Embedding {
                &self.$($field).+
            }
        }
    };
}
pub(super) use trunk;

/// Layers that compute logits from a trunk's output. One module over all hidden states is such layers by itself.
pub(super) trait HeadLayers: Send + Sync {
    /// Runs them on the trunk's output for a batch; each is a child of the whole model.
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, batch: &Batch) -> Result<Tensor>;
}

impl<M> HeadLayers for M
where
    M: for<'a> Module<Input<'a> = &'a Tensor, Output = Tensor> + Send + Sync,
{
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, _batch: &Batch) -> Result<Tensor> {
        cx.call(self, &output.last_hidden_state)
    }
}

/// The trunk's name below a head, and the class of the whole with each head.
pub(super) struct HeadClasses {
    pub(super) trunk: &'static str,
    pub(super) lm: &'static str,
    pub(super) classification: &'static str,
}

/// A trunk and a head over it.
pub(super) struct WithHead<T> {
    label: Label,
    trunk: T,
    head: Box<dyn HeadLayers>,
    /// Whether the head is a language model's.
    scores_tokens: bool,
}

/// The last token of each sequence, (batch, 1, hidden).
fn last_token(cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
    let last = cx.narrow(hidden, 1, hidden.dim(1).saturating_sub(1), 1)?;
    cx.contiguous(&last)
}

impl<T: Trunk + 'static> WithHead<T> {
    /// Builds the model that `trunk` loads, at the root or below the head that `layers` loads.
    pub(super) fn build(
        weights: &Weights<'_>,
        task: TaskHead,
        classes: &HeadClasses,
        trunk: impl FnOnce(&Weights<'_>, Level) -> Result<T>,
        layers: impl FnOnce(&Embedding) -> Result<Box<dyn HeadLayers>>,
    ) -> Result<Box<dyn Model>> {
        let class = match task {
            TaskHead::None => return Ok(Box::new(trunk(weights, Level::Model)?)),
            TaskHead::Lm => classes.lm,
            TaskHead::Classification => classes.classification,
        };
        let trunk = trunk(&weights.child(classes.trunk).trunk(), Level::Module)?;
        let head = layers(trunk.tokens())?;
        let scores_tokens = task == TaskHead::Lm;
        Ok(Box::new(Self { label: weights.label(class, Level::Model), trunk, head, scores_tokens }))
    }
}

impl<T: Trunk> Module for WithHead<T> {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let output = cx.call(&self.trunk, batch)?;
        let scored = match self.scores_tokens && batch.scores_last {
            true => ModelOutput { last_hidden_state: last_token(cx, &output.last_hidden_state)?, ..output.clone() },
            false => output.clone(),
        };
        let logits = Some(self.head.logits(cx, &scored, batch)?);
        Ok(ModelOutput { logits, ..output })
    }
}

/// The layer from hidden states to scores of tokens: tied to the table of tokens unless the config unties it.
pub(super) fn decoder(
    config: &Config,
    weights: &Weights<'_>,
    tokens: &Embedding,
    bias: Option<Tensor>,
) -> Result<Linear> {
    if config.flag_or("tie_word_embeddings", true)? {
        Linear::tied(weights, tokens, bias)
    } else {
        Linear::load_with(weights, [tokens.width(), tokens.rows()], bias)
    }
}

/// One layer over the pooler's output.
pub(super) struct OverPooled {
    dropout: f64,
    classifier: Linear,
}

impl OverPooled {
    /// Loads the layer to the config's classes.
    pub(super) fn load(config: &Config, weights: &Weights<'_>, hidden: usize, dropout: f64) -> Result<Self> {
        Ok(Self { dropout, classifier: Linear::load(weights, hidden, config.num_labels()?)? })
    }
}

impl HeadLayers for OverPooled {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, _batch: &Batch) -> Result<Tensor> {
        let pooled = output.pooler_output.as_ref().unwrap_or(&output.last_hidden_state);
        let pooled = cx.dropout(pooled, self.dropout)?;
        cx.call(&self.classifier, &pooled)
    }
}

/// A masked language model's head: a transform of all hidden states, then the decoder.
pub(super) struct MaskedLm {
    pub(super) transform: Transform,
    pub(super) decoder: Linear,
}

impl HeadLayers for MaskedLm {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput, _batch: &Batch) -> Result<Tensor> {
        let transformed = cx.call(&self.transform, &output.last_hidden_state)?;
        cx.call(&self.decoder, &transformed)
    }
}

/// The same layers as one module.
pub(super) struct LmHead {
    label: Label,
    layers: Transforming,
    decoder: Linear,
}

impl LmHead {
    /// The module at this place, with its `bias`, and `decoder` tied to the table of tokens unless the config unties it.
    pub(super) fn load(
        config: &Config,
        weights: &Weights<'_>,
        class: &'static str,
        layers: Transforming,
        tokens: &Embedding,
    ) -> Result<Self> {
        let bias = Some(weights.parameter("bias", [tokens.rows()])?);
        let decoder = decoder(config, &weights.child("decoder"), tokens, bias)?;
        Ok(Self { label: weights.label(class, Level::Module), layers, decoder })
    }
}

impl Module for LmHead {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let transformed = self.layers.run(cx, hidden)?;
        cx.call(&self.decoder, &transformed)
    }
}

/// A linear layer, an activation and a norm, as a module of their own.
pub(super) struct Transform {
    label: Label,
    layers: Transforming,
}

/// The same layers without a module of their own.
pub(super) struct Transforming {
    pub(super) dense: Linear,
    pub(super) activation: Activation,
    pub(super) norm: LayerNorm,
}

impl Transforming {
    pub(super) fn run(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let mapped = cx.call_then(&self.dense, hidden, self.activation)?;
        cx.call(&self.norm, &mapped)
    }
}

impl Transform {
    pub(super) fn new(label: Label, layers: Transforming) -> Self {
        Self { label, layers }
    }
}

impl Module for Transform {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        self.layers.run(cx, hidden)
    }
}

/// Two layers over the first token of each sequence, with an activation between them, as a module of their own.
pub(super) struct FirstToken {
    label: Label,
    dense: Linear,
    activation: Activation,
    out_proj: Linear,
    dropout: f64,
}

impl FirstToken {
    /// Loads `dense` and `out_proj`, to the config's classes.
    pub(super) fn load(
        config: &Config,
        weights: &Weights<'_>,
        class: &'static str,
        hidden: usize,
        activation: Activation,
        dropout: f64,
    ) -> Result<Self> {
        Ok(Self {
            label: weights.label(class, Level::Module),
            dense: Linear::load(&weights.child("dense"), hidden, hidden)?,
            activation,
            out_proj: Linear::load(&weights.child("out_proj"), hidden, config.num_labels()?)?,
            dropout,
        })
    }
}

impl Module for FirstToken {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let first_token = cx.select(hidden, 1, 0)?;
        let first_token = cx.dropout(&first_token, self.dropout)?;
        let mapped = cx.call_then(&self.dense, &first_token, self.activation)?;
        let mapped = cx.dropout(&mapped, self.dropout)?;
        cx.call(&self.out_proj, &mapped)
    }
}
