//! RoBERTa (Liu et al., 2019): BERT's encoder; positions start after the padding token's id and skip padding. XLM-RoBERTa (Conneau et
//! al., 2020) and CamemBERT (Martin et al., 2020) are the same code under names of their own.

use irene_tree::Format;

use super::{
    bert::{BertEmbeddings, Classes, EncoderModel, Sizes, pooler_runs},
    task_head::{FirstToken, HeadClasses, LmHead, Transforming, WithHead},
};
use crate::{
    Activation, Architecture, Config, Cx, Embedding, LayerNorm, Linear, Model, Result, TaskHead, Tensor, Weights,
};

/// An entry in the registry.
pub(super) struct Roberta {
    model_type: &'static str,
    classes: Classes,
    heads: HeadClasses,
}

pub(super) const ROBERTA: Roberta = Roberta {
    model_type: "roberta",
    classes: CLASSES,
    heads: HeadClasses { trunk: TRUNK, lm: "RobertaForMaskedLM", classification: "RobertaForSequenceClassification" },
};

pub(super) const XLM_ROBERTA: Roberta = Roberta {
    model_type: "xlm-roberta",
    classes: Classes { model: "XLMRobertaModel", ..CLASSES },
    heads: HeadClasses {
        trunk: TRUNK,
        lm: "XLMRobertaForMaskedLM",
        classification: "XLMRobertaForSequenceClassification",
    },
};

pub(super) const CAMEMBERT: Roberta = Roberta {
    model_type: "camembert",
    classes: Classes { model: "CamembertModel", ..CLASSES },
    heads: HeadClasses {
        trunk: TRUNK,
        lm: "CamembertForMaskedLM",
        classification: "CamembertForSequenceClassification",
    },
};

const TRUNK: &str = "roberta";

impl Architecture for Roberta {
    fn model_type(&self) -> &'static str {
        self.model_type
    }

    fn checkpoint_prefix(&self) -> &'static str {
        TRUNK
    }

    fn longest_sequence(&self, config: &Config) -> Result<usize> {
        longest_after(config, pad(config)?)
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(config)?;
        let (pad, longest) = (pad(config)?, self.longest_sequence(config)?);
        let trunk = |weights: &Weights<'_>, level| {
            let classes = [self.classes.embeddings, self.classes.model];
            let embeddings = BertEmbeddings::load(&weights.child("embeddings"), &sizes, classes, sizes.hidden)?;
            // Both heads read the hidden states themselves.
            let pooler = (head == TaskHead::None && pooler_runs(config, weights, head)).then_some("RobertaPooler");
            EncoderModel::load(weights, level, &sizes, &self.classes, embeddings.after(pad, longest), pooler)
        };
        WithHead::build(weights, head, &self.heads, trunk, |tokens| {
            Ok(if head == TaskHead::Lm {
                Box::new(lm_head(config, &weights.child("lm_head"), "RobertaLMHead", &sizes, tokens)?)
            } else {
                let (place, class) = (weights.child("classifier"), "RobertaClassificationHead");
                let (hidden, dropout) = (sizes.hidden, sizes.classifier_dropout(config)?);
                Box::new(FirstToken::load(config, &place, class, hidden, Activation::Tanh, dropout)?)
            })
        })
    }
}

/// The masked language model's head, with its norm before the decoder.
pub(super) fn lm_head(
    config: &Config,
    weights: &Weights<'_>,
    class: &'static str,
    sizes: &Sizes,
    tokens: &Embedding,
) -> Result<LmHead> {
    let layers = Transforming {
        dense: Linear::load(&weights.child("dense"), sizes.hidden, sizes.hidden)?,
        // Fixed in transformers' code, not in the config.
        activation: Activation::Gelu,
        norm: LayerNorm::load(&weights.child("layer_norm"), sizes.hidden, sizes.eps)?,
    };
    LmHead::load(config, weights, class, layers, tokens)
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

/// The padding token's id, which is also its position.
fn pad(config: &Config) -> Result<usize> {
    config.token_or("pad_token_id", 1)
}

/// The longest sequence where the padding token's position and those before it are no token's.
pub(super) fn longest_after(config: &Config, pad: usize) -> Result<usize> {
    let positions = config.size("max_position_embeddings")?;
    positions.checked_sub(pad + 1).filter(|longest| *longest > 0).ok_or_else(|| {
        let reason = format!("{pad} leaves no position of `max_position_embeddings`, which is {positions}");
        config.error("pad_token_id", reason)
    })
}

/// Positions that count tokens from pad + 1; padding stays at pad.
pub(super) fn position_ids(cx: &mut Cx<'_>, input_ids: &Tensor, pad: usize) -> Result<Tensor> {
    let is_token = cx.not_equal(input_ids, pad as i64)?;
    let is_token = cx.cast(&is_token, Format::I32)?;
    let count = cx.cumsum(&is_token)?;
    let count = cx.mul(&count, &is_token)?;
    let count = cx.cast(&count, Format::I64)?;
    cx.add_scalar(&count, pad as f64)
}
