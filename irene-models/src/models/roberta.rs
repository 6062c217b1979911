//! RoBERTa (Liu et al., 2019): BERT's encoder; positions count from after the padding token's id and skip padding.

use irene_tree::{Format, Level};

use super::bert::{Classes, EncoderModel, Sizes, Tables};
use crate::{Architecture, Batch, Config, Cx, Label, Model, Module, Result, TaskHead, Tensor, Weights, labelled};

labelled!(RobertaEmbeddings);

/// The entry in the registry.
pub(super) struct Roberta;

impl Architecture for Roberta {
    fn model_type(&self) -> &'static str {
        "roberta"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "roberta"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, _head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let pad = config.token_or("pad_token_id", 1)?;
        if pad + 1 >= sizes.positions {
            let reason = format!("{pad} leaves no position of `max_position_embeddings`, which is {}", sizes.positions);
            return Err(config.error("pad_token_id", reason));
        }
        let embeddings = RobertaEmbeddings::load(&weights.child("embeddings"), &sizes, pad)?;
        Ok(Box::new(EncoderModel::load(weights, &sizes, &CLASSES, embeddings, "RobertaPooler")?))
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

impl Module for RobertaEmbeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        batch.check_whole(CLASSES.model, self.positions)?;
        let position_ids = self.position_ids(cx, &batch.input_ids)?;
        self.tables.embed(cx, batch, &position_ids)
    }
}
