//! ELECTRA (Clark et al., 2020), the discriminator: BERT's layers behind embeddings of a width of their own; no pooler.

use irene_tree::{Format, Level};

use super::{
    bert::{BertEmbeddings, BertEncoder, Classes, Sizes},
    heads,
};
use crate::{
    Architecture, Batch, Config, Cx, Label, Linear, Model, ModelOutput, Module, Result, TaskHead, Weights, labelled,
};

labelled!(ElectraModel);

/// The entry in the registry.
pub(super) struct Electra;

impl Architecture for Electra {
    fn model_type(&self) -> &'static str {
        "electra"
    }

    fn checkpoint_prefix(&self) -> &'static str {
        "electra"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, _head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let width = config.size_or("embedding_size", sizes.hidden)?;
        // Between equal widths there is nothing to map.
        let project = (width != sizes.hidden)
            .then(|| Linear::load(&weights.child("embeddings_project"), width, sizes.hidden))
            .transpose()?;
        Ok(Box::new(ElectraModel {
            label: weights.label(CLASSES.model, Level::Model),
            activations: weights.activations(),
            embeddings: BertEmbeddings::load(&weights.child("embeddings"), &sizes, &CLASSES, width)?,
            project,
            encoder: BertEncoder::load(&weights.child("encoder"), &sizes, &CLASSES)?,
        }))
    }
}

const CLASSES: Classes = Classes {
    model: "ElectraModel",
    embeddings: "ElectraEmbeddings",
    encoder: "ElectraEncoder",
    layer: "ElectraLayer",
    attention: "ElectraAttention",
    self_attention: "ElectraSelfAttention",
    self_output: "ElectraSelfOutput",
    intermediate: "ElectraIntermediate",
    output: "ElectraOutput",
};

struct ElectraModel {
    label: Label,
    activations: Format,
    embeddings: BertEmbeddings,
    project: Option<Linear>,
    encoder: BertEncoder,
}

impl Module for ElectraModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mask = heads::additive_mask(cx, &batch.mask_or_ones()?, self.activations)?;
        let mut hidden = cx.call(&self.embeddings, batch)?;
        if let Some(project) = &self.project {
            hidden = cx.call(project, &hidden)?;
        }
        let last_hidden_state = cx.call(&self.encoder, (&hidden, &mask))?;
        Ok(last_hidden_state.into())
    }
}
