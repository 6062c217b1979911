use irene_tree::{Format, Level};

use super::Sizes;
use crate::{Batch, Cx, Embedding, Label, LayerNorm, Module, Result, Tensor, Weights, labelled};

labelled!(BertEmbeddings);

/// Words, positions counted from 0, and segments.
pub(in crate::models) struct BertEmbeddings {
    label: Label,
    tables: Tables,
    model: &'static str,
    positions: usize,
}

impl BertEmbeddings {
    /// Loads tables of rows that are `width` wide, as this class in a model of another.
    pub(in crate::models) fn load(
        weights: &Weights<'_>,
        sizes: &Sizes,
        [class, model]: [&'static str; 2],
        width: usize,
    ) -> Result<Self> {
        Ok(Self {
            label: weights.label(class, Level::Module),
            tables: Tables::load(weights, sizes, width)?,
            model,
            positions: sizes.positions,
        })
    }
}

impl AsRef<Tables> for BertEmbeddings {
    fn as_ref(&self) -> &Tables {
        &self.tables
    }
}

impl Module for BertEmbeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        batch.check_whole(self.model, self.positions)?;
        self.tables.embed(cx, batch, &batch.positions()?)
    }
}

/// The tables of a BERT-like embedding and the norm of their sum, at the embedding's own place.
pub(in crate::models) struct Tables {
    pub(in crate::models) word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
    dropout: f64,
}

impl Tables {
    /// Loads tables of rows that are `width` wide.
    pub(in crate::models) fn load(embeddings: &Weights<'_>, sizes: &Sizes, width: usize) -> Result<Self> {
        let table = |name, rows| Embedding::load(&embeddings.child(name), rows, width);
        Ok(Self {
            word_embeddings: table("word_embeddings", sizes.vocabulary)?,
            position_embeddings: table("position_embeddings", sizes.positions)?,
            token_type_embeddings: table("token_type_embeddings", sizes.segments)?,
            layer_norm: LayerNorm::load(&embeddings.child("LayerNorm"), width, sizes.eps)?,
            dropout: sizes.dropout,
        })
    }

    /// The normalised sum of words, positions and the first segment.
    pub(in crate::models) fn embed(&self, cx: &mut Cx<'_>, batch: &Batch, position_ids: &Tensor) -> Result<Tensor> {
        let words = cx.call(&self.word_embeddings, &batch.input_ids)?;
        let positions = cx.call(&self.position_embeddings, position_ids)?;
        let first_segment = batch.buffer(batch.input_ids.shape(), Format::I64, |_, _| 0)?;
        let segments = cx.call(&self.token_type_embeddings, &first_segment)?;
        let sum = cx.add(&words, &positions)?;
        let normed = cx.add_norm(&sum, &segments, &self.layer_norm)?;
        cx.dropout(&normed, self.dropout)
    }
}
