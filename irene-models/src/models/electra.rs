//! ELECTRA (Clark et al., 2020), the discriminator: BERT's layers behind embeddings of a width of their own; no pooler.

use irene_tree::{Format, Level};

use super::{
    bert::{self, BertEmbeddings, BertEncoder, Classes, Sizes},
    heads,
    task_head::{FirstToken, HeadClasses, MaskedLm, Transform, Transforming, WithHead, decoder, trunk},
};
use crate::{
    Activation, Architecture, Batch, Config, Cx, Label, LayerNorm, Linear, Model, ModelOutput, Module, Result,
    TaskHead, Weights, labelled,
};

labelled!(ElectraModel);
trunk!(ElectraModel: embeddings.word_embeddings);

/// The entry in the registry.
pub(super) struct Electra;

impl Architecture for Electra {
    fn model_type(&self) -> &'static str {
        "electra"
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let width = config.size_or("embedding_size", sizes.hidden)?;
        let trunk = |weights: &Weights<'_>, level| ElectraModel::load(weights, level, &sizes, width);
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

struct ElectraModel {
    label: Label,
    activations: Format,
    embeddings: BertEmbeddings,
    project: Option<Linear>,
    encoder: BertEncoder,
}

impl ElectraModel {
    fn load(weights: &Weights<'_>, level: Level, sizes: &Sizes, width: usize) -> Result<Self> {
        // Between equal widths there is nothing to map.
        let project = (width != sizes.hidden)
            .then(|| Linear::load(&weights.child("embeddings_project"), width, sizes.hidden))
            .transpose()?;
        let classes = [CLASSES.embeddings, CLASSES.model];
        Ok(Self {
            label: weights.label(CLASSES.model, level),
            activations: weights.activations(),
            embeddings: BertEmbeddings::load(&weights.child("embeddings"), sizes, classes, width)?,
            project,
            encoder: bert::encoder(&weights.child("encoder"), sizes, &CLASSES)?,
        })
    }
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
