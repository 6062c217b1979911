//! MPNet (Song et al., 2020): BERT's layers with scores by relative position, no segments, and RoBERTa's positions.

use irene_tree::{Format, Kernels, Level};

use super::{
    bert::{BertEmbeddings, BertPooler, Layer, Sizes, pooler_runs},
    heads::{self, SelfAttention},
    roberta,
    task_head::{FirstToken, HeadClasses, WithHead, trunk},
};
use crate::{
    Activation, Architecture, Attention, Batch, Config, Cx, Embedding, Label, LayerNorm, Linear, Model, ModelOutput,
    Module, Padding, Result, Scaling, TaskHead, Tensor, Weights, labelled,
};

labelled!(MpNetModel, MpNetEncoder, MpNetAttention, MpNetSelfAttention);
trunk!(MpNetModel: embeddings.word_embeddings);

/// The entry in the registry.
pub(super) struct MpNet;

impl Architecture for MpNet {
    fn model_type(&self) -> &'static str {
        "mpnet"
    }

    fn longest_sequence(&self, config: &Config) -> Result<usize> {
        roberta::longest_after(config, PAD)
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = MpNetSizes {
            bert: Sizes::read_with_segments(config, 0)?,
            buckets: buckets(config)?,
            longest: self.longest_sequence(config)?,
        };
        let trunk = |weights: &Weights<'_>, level| {
            // Both heads read the hidden states themselves.
            let is_pooled = head == TaskHead::None && pooler_runs(config, weights, head);
            MpNetModel::load(weights, level, &sizes, is_pooled)
        };
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            Ok(if head == TaskHead::Lm {
                Box::new(roberta::lm_head(config, &weights.child("lm_head"), "MPNetLMHead", &sizes.bert, tokens)?)
            } else {
                let (place, class) = (weights.child("classifier"), "MPNetClassificationHead");
                let Sizes { hidden, dropout, .. } = sizes.bert;
                Box::new(FirstToken::load(config, &place, class, hidden, Activation::Tanh, dropout)?)
            })
        })
    }
}

const MODEL: &str = "MPNetModel";

const HEADS: HeadClasses =
    HeadClasses { trunk: "mpnet", lm: "MPNetForMaskedLM", classification: "MPNetForSequenceClassification" };

/// The padding token's position, whatever `pad_token_id` says: fixed in transformers' code.
const PAD: usize = 1;

/// Buckets of relative positions that transformers' code computes with, whatever the size of their table.
const BUCKETS: usize = 32;

/// Distances from here on share the last bucket.
const FARTHEST: f32 = 128.0;

fn buckets(config: &Config) -> Result<usize> {
    const FIELD: &str = "relative_attention_num_buckets";
    match config.size_or(FIELD, BUCKETS)? {
        buckets if buckets < BUCKETS => {
            Err(config.error(FIELD, format!("{buckets} is less than the {BUCKETS} buckets that the model looks up")))
        }
        buckets => Ok(buckets),
    }
}

/// The bucket of a key seen from a query: one for each small distance and, beyond, one for each range of them by logarithm; the second
/// half is of keys after the query.
fn bucket(query: usize, key: usize) -> i64 {
    const SIDE: usize = BUCKETS / 2;
    const EXACT: usize = SIDE / 2;
    let distance = query.abs_diff(key);
    let place = if distance < EXACT {
        distance
    } else {
        // In 32 bits, as PyTorch computes it: the ranges' ends depend on the rounding.
        let exact = EXACT as f32;
        let ratio = (distance as f32 / exact).ln() / (FARTHEST / exact).ln();
        (EXACT + (ratio * (SIDE - EXACT) as f32) as usize).min(SIDE - 1)
    };
    (if key > query { SIDE + place } else { place }) as i64
}

struct MpNetSizes {
    bert: Sizes,
    /// Rows of the table of scores by relative position.
    buckets: usize,
    longest: usize,
}

struct MpNetModel {
    label: Label,
    activations: Format,
    embeddings: BertEmbeddings,
    encoder: MpNetEncoder,
    pooler: Option<BertPooler>,
}

impl MpNetModel {
    fn load(weights: &Weights<'_>, level: Level, sizes: &MpNetSizes, is_pooled: bool) -> Result<Self> {
        let (place, hidden) = (weights.child("embeddings"), sizes.bert.hidden);
        let embeddings = BertEmbeddings::load(&place, &sizes.bert, ["MPNetEmbeddings", MODEL], hidden)?;
        let pooler = || BertPooler::load(&weights.child("pooler"), hidden, "MPNetPooler");
        Ok(Self {
            label: weights.label(MODEL, level),
            activations: weights.activations(),
            embeddings: embeddings.after(PAD, sizes.longest),
            encoder: MpNetEncoder::load(&weights.child("encoder"), sizes)?,
            pooler: is_pooled.then(pooler).transpose()?,
        })
    }
}

impl Module for MpNetModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mask = heads::additive_mask(cx, &batch.mask_or_ones()?, self.activations)?;
        let embedded = cx.call(&self.embeddings, batch)?;
        let ids = batch.buffer([batch.new_tokens(), batch.new_tokens()], Format::I64, bucket)?;
        let last_hidden_state = cx.call(&self.encoder, (&embedded, (&mask, &ids)))?;
        let pooler_output = self.pooler.as_ref().map(|pooler| cx.call(pooler, &last_hidden_state)).transpose()?;
        Ok(ModelOutput { pooler_output, ..last_hidden_state.into() })
    }
}

struct MpNetEncoder {
    label: Label,
    layers: Vec<Layer<MpNetAttention>>,
    relative_attention_bias: Embedding,
}

impl MpNetEncoder {
    fn load(weights: &Weights<'_>, sizes: &MpNetSizes) -> Result<Self> {
        let (table, bert) = (weights.child("relative_attention_bias"), &sizes.bert);
        let layer = |layer: &Weights<'_>| {
            let attention = MpNetAttention::load(&layer.child("attention"), bert)?;
            Layer::load(layer, bert, ["MPNetLayer", "MPNetIntermediate", "MPNetOutput"], attention)
        };
        Ok(Self {
            label: weights.label("MPNetEncoder", Level::Module),
            layers: weights.list("layer", bert.layers, layer)?,
            relative_attention_bias: Embedding::load(&table, sizes.buckets, bert.heads)?,
        })
    }

    /// Each head's score by the bucket of query and key (query, key): (1, heads, query, key). Eager kernels copy it for every sequence.
    fn position_bias(&self, cx: &mut Cx<'_>, ids: &Tensor, sequences: usize) -> Result<Tensor> {
        let bias = cx.call(&self.relative_attention_bias, ids)?;
        let bias = cx.transpose(&bias, 1, 2)?;
        let bias = cx.transpose(&bias, 0, 1)?;
        if cx.kernels() == Kernels::Fused {
            let bias = cx.contiguous(&bias)?;
            return cx.reshape(&bias, [1, bias.dim(0), bias.dim(1), bias.dim(2)]);
        }
        let bias = cx.unsqueeze(&bias)?;
        let bias = cx.expand(&bias, [sequences, bias.dim(1), bias.dim(2), bias.dim(3)])?;
        cx.contiguous(&bias)
    }
}

/// Hidden states, additive mask, and the scores by position (or the ids of their buckets).
type Seen<'a> = (&'a Tensor, (&'a Tensor, &'a Tensor));

impl Module for MpNetEncoder {
    type Input<'a> = Seen<'a>;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, (mask, ids)): Seen<'_>) -> Result<Tensor> {
        let bias = self.position_bias(cx, ids, hidden.dim(0))?;
        let mut hidden = hidden.clone();
        for layer in &self.layers {
            hidden = cx.call(layer, (&hidden, (mask, &bias)))?;
        }
        Ok(hidden)
    }
}

struct MpNetAttention {
    label: Label,
    attn: MpNetSelfAttention,
    dropout: f64,
    layer_norm: LayerNorm,
}

impl MpNetAttention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        Ok(Self {
            label: weights.label("MPNetAttention", Level::Module),
            attn: MpNetSelfAttention::load(&weights.child("attn"), sizes)?,
            dropout: sizes.dropout,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), sizes.hidden, sizes.eps)?,
        })
    }
}

impl Module for MpNetAttention {
    type Input<'a> = Seen<'a>;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, seen: Seen<'_>) -> Result<Tensor> {
        let attended = cx.call(&self.attn, seen)?;
        let attended = cx.dropout(&attended, self.dropout)?;
        cx.add_norm(&attended, seen.0, &self.layer_norm)
    }
}

struct MpNetSelfAttention {
    label: Label,
    heads: SelfAttention,
    o: Linear,
}

impl MpNetSelfAttention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let &Sizes { hidden, heads, attention_dropout, .. } = sizes;
        Ok(Self {
            label: weights.label("MPNetSelfAttention", Level::Module),
            heads: SelfAttention::load(weights, ["q", "k", "v"], hidden, heads, attention_dropout)?,
            o: Linear::load(&weights.child("o"), hidden, hidden)?,
        })
    }
}

impl Module for MpNetSelfAttention {
    type Input<'a> = Seen<'a>;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, (mask, bias)): Seen<'_>) -> Result<Tensor> {
        let how = Attention { bias: Some(bias), padding: Padding::Added(mask), ..Attention::PLAIN };
        let context = self.heads.run(cx, hidden, Scaling::Scores, how)?;
        cx.call(&self.o, &context)
    }
}

#[cfg(test)]
mod tests {
    use super::bucket;

    /// Where transformers' buckets begin (5.24, torch 2.15 in 32 bits, which decides 16, 32 and 64).
    #[test]
    fn buckets_begin_where_pytorchs_do() {
        let begins = |place: fn(usize) -> i64| -> Vec<usize> {
            (1..600).filter(|&distance| place(distance) != place(distance - 1)).collect()
        };
        let before = begins(|distance| bucket(distance, 0));
        assert_eq!(before, [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]);
        assert_eq!(begins(|distance| bucket(0, distance)), before);
        assert_eq!((bucket(599, 0), bucket(0, 599), bucket(0, 1), bucket(1, 0)), (15, 31, 17, 1));
    }
}
