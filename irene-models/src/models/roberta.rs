//! RoBERTa (Liu et al., 2019): BERT's encoder; positions start after the padding token's id and skip padding.

use irene_tree::{Format, Level};

use super::{
    bert::{Classes, EncoderModel, Sizes, Tables},
    task_head::{FirstToken, HeadClasses, HeadLayers, Transforming, WithHead, decoder},
};
use crate::{
    Activation, Architecture, Batch, Config, Cx, Embedding, Label, LayerNorm, Linear, Model, ModelOutput, Module,
    Result, TaskHead, Tensor, Weights, labelled,
};

labelled!(RobertaEmbeddings, RobertaLmHead);

/// The entry in the registry.
pub(super) struct Roberta;

impl Architecture for Roberta {
    fn model_type(&self) -> &'static str {
        "roberta"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "roberta"
    }

    fn heads(&self) -> &'static [TaskHead] {
        &TaskHead::ALL
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let pad = config.token_or("pad_token_id", 1)?;
        if pad + 1 >= sizes.positions {
            let reason = format!("{pad} leaves no position of `max_position_embeddings`, which is {}", sizes.positions);
            return Err(config.error("pad_token_id", reason));
        }
        let trunk = |weights: &Weights<'_>, level| {
            let embeddings = RobertaEmbeddings::load(&weights.child("embeddings"), &sizes, pad)?;
            // Both heads read the hidden states themselves.
            let pooler = (head == TaskHead::None).then_some("RobertaPooler");
            EncoderModel::load(weights, level, &sizes, &CLASSES, embeddings, pooler)
        };
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            Ok(if head == TaskHead::Lm {
                Box::new(RobertaLmHead::load(config, &weights.child("lm_head"), &sizes, tokens)?)
            } else {
                let place = weights.child("classifier");
                let (hidden, labels) = (sizes.hidden, config.num_labels()?);
                Box::new(FirstToken::load(&place, "RobertaClassificationHead", hidden, Activation::Tanh, labels)?)
            })
        })
    }
}

const CLASSES: Classes = Classes {
    model: "RobertaModel",
    embeddings: "RobertaEmbeddings",
    encoder: "RobertaEncoder",
    layer: "RobertaLayer",
    attention: "RobertaAttention",
    self_attention: "RobertaSelfAttention",
    self_output: "RobertaSelfOutput",
    intermediate: "RobertaIntermediate",
    output: "RobertaOutput",
};

const HEADS: HeadClasses =
    HeadClasses { trunk: "roberta", lm: "RobertaForMaskedLM", classification: "RobertaForSequenceClassification" };

struct RobertaEmbeddings {
    label: Label,
    tables: Tables,
    /// The padding token's id, which is also its position.
    pad: usize,
    /// Positions that tokens can have.
    positions: usize,
}

impl RobertaEmbeddings {
    fn load(weights: &Weights<'_>, sizes: &Sizes, pad: usize) -> Result<Self> {
        Ok(Self {
            label: weights.label(CLASSES.embeddings, Level::Module),
            tables: Tables::load(weights, sizes, sizes.hidden)?,
            pad,
            positions: sizes.positions - pad - 1,
        })
    }

    /// Tokens count from pad + 1; padding stays at pad.
    fn position_ids(&self, cx: &mut Cx<'_>, input_ids: &Tensor) -> Result<Tensor> {
        let is_token = cx.not_equal(input_ids, self.pad as i64)?;
        let is_token = cx.cast(&is_token, Format::I32)?;
        let count = cx.cumsum(&is_token)?;
        let count = cx.mul(&count, &is_token)?;
        let count = cx.cast(&count, Format::I64)?;
        cx.add_scalar(&count, self.pad as f64)
    }
}

impl AsRef<Tables> for RobertaEmbeddings {
    fn as_ref(&self) -> &Tables {
        &self.tables
    }
}

impl Module for RobertaEmbeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        batch.check_whole(CLASSES.model, self.positions)?;
        let position_ids = self.position_ids(cx, &batch.input_ids)?;
        self.tables.embed(cx, batch, &position_ids)
    }
}

/// The masked language model's head: one module, with its norm before the decoder.
struct RobertaLmHead {
    label: Label,
    layers: Transforming,
    decoder: Linear,
}

impl RobertaLmHead {
    fn load(config: &Config, weights: &Weights<'_>, sizes: &Sizes, tokens: &Embedding) -> Result<Self> {
        let bias = Some(weights.parameter("bias", [tokens.rows()])?);
        Ok(Self {
            label: weights.label("RobertaLMHead", Level::Module),
            layers: Transforming {
                dense: Linear::load(&weights.child("dense"), sizes.hidden, sizes.hidden)?,
                // Fixed in transformers' code, not in the config.
                activation: Activation::Gelu,
                norm: LayerNorm::load(&weights.child("layer_norm"), sizes.hidden, sizes.eps)?,
            },
            decoder: decoder(config, &weights.child("decoder"), tokens, bias)?,
        })
    }
}

impl Module for RobertaLmHead {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let transformed = self.layers.run(cx, hidden)?;
        cx.call(&self.decoder, &transformed)
    }
}

impl HeadLayers for RobertaLmHead {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput) -> Result<Tensor> {
        cx.call(self, &output.last_hidden_state)
    }
}
