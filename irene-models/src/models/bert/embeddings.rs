use irene_tree::{Format, Level};

use super::Sizes;
use crate::{
    Batch, Cx, Embedding, Label, LayerNorm, Module, Result, Tensor, Weights, labelled, models::roberta::position_ids,
};

labelled!(BertEmbeddings);

/// The normalised sum of words, positions and, in a model of segments, the first of them.
pub(in crate::models) struct BertEmbeddings {
    label: Label,
    pub(in crate::models) word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Option<Embedding>,
    layer_norm: LayerNorm,
    dropout: f64,
    model: &'static str,
    longest: usize,
    /// The padding token's position, where the others come after it; they count from 0 where there is none.
    pad: Option<usize>,
}

impl BertEmbeddings {
    /// Loads tables of rows that are `width` wide, as this class in a model of another.
    pub(in crate::models) fn load(
        weights: &Weights<'_>,
        sizes: &Sizes,
        [class, model]: [&'static str; 2],
        width: usize,
    ) -> Result<Self> {
        let table = |name, rows| Embedding::load(&weights.child(name), rows, width);
        let segments = || table("token_type_embeddings", sizes.segments);
        Ok(Self {
            label: weights.label(class, Level::Module),
            word_embeddings: table("word_embeddings", sizes.vocabulary)?,
            position_embeddings: table("position_embeddings", sizes.positions)?,
            token_type_embeddings: (sizes.segments > 0).then(segments).transpose()?,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), width, sizes.eps)?,
            dropout: sizes.dropout,
            model,
            longest: sizes.positions,
            pad: None,
        })
    }

    /// The same with positions that start after the padding token's and skip padding.
    pub(in crate::models) fn after(self, pad: usize, longest: usize) -> Self {
        Self { pad: Some(pad), longest, ..self }
    }
}

impl Module for BertEmbeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        batch.check_whole(self.model, self.longest)?;
        let position_ids = match self.pad {
            Some(pad) => position_ids(cx, &batch.input_ids, pad)?,
            None => batch.positions()?,
        };
        let words = cx.call(&self.word_embeddings, &batch.input_ids)?;
        let positions = cx.call(&self.position_embeddings, &position_ids)?;
        let normed = match &self.token_type_embeddings {
            Some(table) => {
                let first_segment = batch.buffer(batch.input_ids.shape(), Format::I64, |_, _| 0)?;
                let segments = cx.call(table, &first_segment)?;
                let sum = cx.add(&words, &positions)?;
                cx.add_norm(&sum, &segments, &self.layer_norm)?
            }
            None => cx.add_norm(&words, &positions, &self.layer_norm)?,
        };
        cx.dropout(&normed, self.dropout)
    }
}
