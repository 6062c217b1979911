//! ELECTRA (Clark et al., 2020), the discriminator: BERT's layers behind embeddings of a width of their own; no pooler.

use irene_tree::Level;

use super::{
    bert::{BertEmbeddings, Classes, EncoderModel, Sizes},
    task_head::{FirstToken, HeadClasses, MaskedLm, Transform, Transforming, WithHead, decoder},
};
use crate::{Activation, Architecture, Config, LayerNorm, Linear, Model, Result, TaskHead, Weights};

/// The entry in the registry.
pub(super) struct Electra;

impl Architecture for Electra {
    fn model_type(&self) -> &'static str {
        "electra"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let width = config.size_or("embedding_size", sizes.hidden)?;
        let trunk = |weights: &Weights<'_>, level| {
            let classes = [CLASSES.embeddings, CLASSES.model];
            let embeddings = BertEmbeddings::load(&weights.child("embeddings"), &sizes, classes, width)?;
            EncoderModel::load(weights, level, &sizes, &CLASSES, embeddings, None)
        };
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            let hidden = sizes.hidden;
            if head == TaskHead::Classification {
                let (place, class) = (weights.child("classifier"), "ElectraClassificationHead");
                let dropout = sizes.classifier_dropout(config)?;
                return Ok(Box::new(FirstToken::load(config, &place, class, hidden, Activation::Gelu, dropout)?));
            }
            let predictions = weights.child("generator_predictions");
            let layers = Transforming {
                dense: Linear::load(&predictions.child("dense"), hidden, width)?,
                activation: Activation::Gelu,
                // PyTorch's default, whatever the config says.
                norm: LayerNorm::load(&predictions.child("LayerNorm"), width, 1e-5)?,
            };
            let (place, class) = (weights.child("generator_lm_head"), "ElectraGeneratorPredictions");
            let bias = Some(place.parameter("bias", [tokens.rows()])?);
            let transform = Transform::new(predictions.label(class, Level::Module), layers);
            Ok(Box::new(MaskedLm { transform, decoder: decoder(config, &place, tokens, bias)? }))
        })
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

const HEADS: HeadClasses =
    HeadClasses { trunk: "electra", lm: "ElectraForMaskedLM", classification: "ElectraForSequenceClassification" };
