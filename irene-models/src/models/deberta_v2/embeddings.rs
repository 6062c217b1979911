use irene_tree::{Format, Level};

use super::{DebertaSizes, MODEL};
use crate::{Batch, Cx, Embedding, Label, LayerNorm, Linear, Module, Result, Tensor, Weights, labelled};

labelled!(DebertaEmbeddings);

/// Words, with positions and segments where the config asks for them; padding becomes zeros.
pub(super) struct DebertaEmbeddings {
    label: Label,
    pub(super) word_embeddings: Embedding,
    position_embeddings: Option<Embedding>,
    token_type_embeddings: Option<Embedding>,
    embed_proj: Option<Linear>,
    layer_norm: LayerNorm,
    dropout: f64,
    positions: usize,
    format: Format,
}

impl DebertaEmbeddings {
    pub(super) fn load(weights: &Weights<'_>, sizes: &DebertaSizes) -> Result<Self> {
        let (bert, width) = (&sizes.bert, sizes.embedding);
        let table = |name, rows| Embedding::load(&weights.child(name), rows, width);
        let positions = || table("position_embeddings", bert.positions);
        let segments = || table("token_type_embeddings", bert.segments);
        let projection = || Linear::load_maybe_biased(&weights.child("embed_proj"), [width, bert.hidden], false);
        Ok(Self {
            label: weights.label("DebertaV2Embeddings", Level::Module),
            word_embeddings: table("word_embeddings", bert.vocabulary)?,
            position_embeddings: sizes.has_positions.then(positions).transpose()?,
            token_type_embeddings: (bert.segments > 0).then(segments).transpose()?,
            embed_proj: (width != bert.hidden).then(projection).transpose()?,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), bert.hidden, bert.eps)?,
            dropout: bert.dropout,
            positions: bert.positions,
            format: weights.activations(),
        })
    }
}

impl Module for DebertaEmbeddings {
    /// The batch, and its mask (batch, sequence).
    type Input<'a> = (&'a Batch, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (batch, mask): (&Batch, &Tensor)) -> Result<Tensor> {
        batch.check_whole(MODEL, self.positions)?;
        let mut embedded = cx.call(&self.word_embeddings, &batch.input_ids)?;
        if let Some(table) = &self.position_embeddings {
            let positions = cx.call(table, &batch.positions()?)?;
            embedded = cx.add(&embedded, &positions)?;
        }
        if let Some(table) = &self.token_type_embeddings {
            let first_segment = batch.buffer(batch.input_ids.shape(), Format::I64, |_, _| 0)?;
            let segments = cx.call(table, &first_segment)?;
            embedded = cx.add(&embedded, &segments)?;
        }
        if let Some(projection) = &self.embed_proj {
            embedded = cx.call(projection, &embedded)?;
        }
        let normed = cx.call(&self.layer_norm, &embedded)?;
        let mask = cx.reshape(mask, [mask.dim(0), mask.dim(1), 1])?;
        let mask = cx.cast(&mask, self.format)?;
        let masked = cx.mul(&normed, &mask)?;
        cx.dropout(&masked, self.dropout)
    }
}
