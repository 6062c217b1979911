use irene_tree::{Format, Level};

use super::Sizes;
use crate::{Batch, Cx, Embedding, Label, LayerNorm, Module, Result, Tensor, Weights, labelled};

labelled!(FlexiBertEmbeddings);

/// Words and the first segment. The table of absolute positions is among the parameters and not looked up.
pub(super) struct FlexiBertEmbeddings {
    label: Label,
    word_embeddings: Embedding,
    position_embeddings: Tensor,
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
    dropout: f64,
}

impl FlexiBertEmbeddings {
    pub(super) fn load(weights: &Weights<'_>, sizes: &Sizes, width: usize) -> Result<Self> {
        let table = |name, rows| Embedding::load(&weights.child(name), rows, width);
        let positions = weights.child(POSITIONS).untrained();
        Ok(Self {
            label: weights.label("FlexiBertEmbeddings", Level::Module),
            word_embeddings: table("word_embeddings", sizes.vocabulary)?,
            position_embeddings: positions.table("weight", [sizes.positions, width])?,
            token_type_embeddings: table("token_type_embeddings", sizes.segments)?,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), width, sizes.eps)?,
            dropout: sizes.dropout,
        })
    }
}

impl FlexiBertEmbeddings {
    /// The table of tokens.
    pub(super) fn words(&self) -> &Embedding {
        &self.word_embeddings
    }
}

const POSITIONS: &str = "position_embeddings";

impl Module for FlexiBertEmbeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        let words = cx.call(&self.word_embeddings, &batch.input_ids)?;
        cx.unused_table(POSITIONS, &self.position_embeddings)?;
        let first_segment = batch.buffer(batch.input_ids.shape(), Format::I64, |_, _| 0)?;
        let segments = cx.call(&self.token_type_embeddings, &first_segment)?;
        let normed = cx.add_norm(&words, &segments, &self.layer_norm)?;
        cx.dropout(&normed, self.dropout)
    }
}
