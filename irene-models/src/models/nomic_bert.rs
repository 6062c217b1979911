//! NomicBERT (Nussbaum et al., 2024): BERT's post-norm layers with rotary positions, a gated feed-forward part, and no biases.
//!
//! Two kinds of configs and checkpoints describe it, transformers' own and those of the code on the hub, which came before: [`hub`].

mod hub;

use irene_tree::{Format, Level};

use self::hub::HubKeys;
use super::{
    bert::{BertPooler, MlmClasses, MlmSizes, OnlyMlmHead},
    decoder::rotary::{Gives, Rotary, RotaryDefaults, RotaryEmbedding},
    heads,
    task_head::{HeadClasses, OverPooled, WithHead, trunk},
};
use crate::{
    Activation, Angles, Architecture, Attention, Batch, Config, Cx, Embedding, Label, LayerNorm, Linear, Model,
    ModelOutput, Module, Padding, Pairing, Result, Scaling, TaskHead, Tensor, Tensors, Weights, labelled,
};

labelled!(NomicBertModel, NomicBertEmbeddings, NomicBertLayer, NomicBertAttention, NomicBertMlp);
trunk!(NomicBertModel: embeddings.word_embeddings);

/// The entry in the registry.
pub(super) struct NomicBert;

impl Architecture for NomicBert {
    fn model_type(&self) -> &'static str {
        "nomic_bert"
    }

    fn longest_sequence(&self, config: &Config) -> Result<usize> {
        hub::native(config)?.size("max_position_embeddings")
    }

    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>> {
        let sizes = Sizes::read(&hub::native(config)?)?;
        let hub = HubKeys::of(weights.source());
        let weights = if hub.are_used() { &weights.through(&hub) } else { weights };
        let trunk = |weights: &Weights<'_>, level| {
            NomicBertModel::load(weights, level, &sizes, head == TaskHead::Classification)
        };
        WithHead::build(weights, head, &HEADS, trunk, |tokens| {
            let &Sizes { hidden, activation, eps, dropout, .. } = &sizes;
            Ok(if head == TaskHead::Classification {
                let dropout = config.probability_or("classifier_dropout", dropout)?;
                Box::new(OverPooled::load(config, &weights.child("classifier"), hidden, dropout)?)
            } else {
                let mlm = MlmSizes { hidden, width: hidden, activation, eps };
                Box::new(OnlyMlmHead::load(config, &weights.child("cls"), &MLM_CLASSES, &mlm, tokens)?)
            })
        })
    }
}

const MODEL: &str = "NomicBertModel";

const HEADS: HeadClasses = HeadClasses {
    trunk: "nomic_bert",
    lm: "NomicBertForMaskedLM",
    classification: "NomicBertForSequenceClassification",
};

const MLM_CLASSES: MlmClasses = MlmClasses {
    head: "NomicBertOnlyMLMHead",
    predictions: "NomicBertLMPredictionHead",
    transform: "NomicBertPredictionHeadTransform",
    norm: "layer_norm",
};

struct Sizes {
    hidden: usize,
    heads: usize,
    head_width: usize,
    layers: usize,
    intermediate: usize,
    vocabulary: usize,
    positions: usize,
    segments: usize,
    activation: Activation,
    eps: f64,
    rotary: Rotary,
    has_attention_bias: bool,
    /// Whether the gate with what it weighs has a bias, and whether the way back has one.
    has_mlp_bias: [bool; 2],
    dropout: f64,
    attention_dropout: f64,
}

impl Sizes {
    fn read(config: &Config) -> Result<Self> {
        let (hidden, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
        let head_width = match config.value("head_dim") {
            Some(_) => config.size("head_dim")?,
            None => config.width_and_heads("hidden_size", "num_attention_heads").map(|_| hidden / heads)?,
        };
        let (pairing, gives) = if config.flag_or("rotary_emb_interleaved", false)? {
            (Pairing::Neighbours, Gives::One)
        } else {
            (Pairing::Halves, Gives::Both)
        };
        let positions = config.size("max_position_embeddings")?;
        // Frequencies that grow with the sequence do so beyond the length of the training.
        let trained = config.size_or("max_trained_positions", positions)?;
        let defaults =
            RotaryDefaults { width: head_width, theta: 1000.0, share: 1.0, pairing, gives, positions: trained };
        Ok(Self {
            hidden,
            heads,
            head_width,
            layers: config.layers("num_hidden_layers")?,
            intermediate: config.size("intermediate_size")?,
            vocabulary: config.size("vocab_size")?,
            positions,
            segments: config.size_or("type_vocab_size", 2)?,
            activation: Activation::from_config(config, "hidden_act", "silu")?,
            eps: config.number_or("layer_norm_eps", 1e-12)?,
            rotary: Rotary::read(config, "full_attention", "rope_theta", defaults)?,
            has_attention_bias: config.flag_or("qkv_proj_bias", false)?,
            has_mlp_bias: [config.flag_or("mlp_fc1_bias", false)?, config.flag_or("mlp_fc2_bias", false)?],
            dropout: config.probability_or("hidden_dropout_prob", 0.0)?,
            attention_dropout: config.probability_or("attention_probs_dropout_prob", 0.0)?,
        })
    }
}

struct NomicBertModel {
    label: Label,
    embeddings: NomicBertEmbeddings,
    pooler: Option<BertPooler>,
    rotary_emb: RotaryEmbedding,
    layers: Vec<NomicBertLayer>,
    format: Format,
}

impl NomicBertModel {
    fn load(weights: &Weights<'_>, level: Level, sizes: &Sizes, is_pooled: bool) -> Result<Self> {
        let pooler = || BertPooler::load(&weights.child("pooler"), sizes.hidden, "NomicBertPooler");
        let rotary = weights.child("rotary_emb").label("NomicBertRotaryEmbedding", Level::Module);
        Ok(Self {
            label: weights.label(MODEL, level),
            embeddings: NomicBertEmbeddings::load(&weights.child("embeddings"), sizes)?,
            pooler: is_pooled.then(pooler).transpose()?,
            rotary_emb: RotaryEmbedding::new(rotary, sizes.rotary.clone(), weights.activations()),
            layers: weights.list("layers", sizes.layers, |layer| NomicBertLayer::load(layer, sizes))?,
            format: weights.activations(),
        })
    }
}

impl Module for NomicBertModel {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let mut hidden = cx.call(&self.embeddings, batch)?;
        let around = Around {
            added: batch.hidden_padding(batch.new_tokens(), self.format)?,
            angles: self.rotary_emb.angles(cx, batch)?,
            pairing: self.rotary_emb.pairing(),
        };
        for layer in &self.layers {
            hidden = cx.call(layer, (&hidden, &around))?;
        }
        let pooler_output = self.pooler.as_ref().map(|pooler| cx.call(pooler, &hidden)).transpose()?;
        Ok(ModelOutput { pooler_output, ..hidden.into() })
    }
}

/// The angles of the tokens' positions, and numbers that hide padding.
struct Around {
    angles: Angles,
    pairing: Pairing,
    added: Option<Tensor>,
}

impl Tensors for Around {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        self.angles.list(tensors);
        self.added.list(tensors);
    }
}

struct NomicBertEmbeddings {
    label: Label,
    word_embeddings: Embedding,
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
    dropout: f64,
    positions: usize,
}

impl NomicBertEmbeddings {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let table = |name, rows| Embedding::load(&weights.child(name), rows, sizes.hidden);
        Ok(Self {
            label: weights.label("NomicBertEmbeddings", Level::Module),
            word_embeddings: table("word_embeddings", sizes.vocabulary)?,
            token_type_embeddings: table("token_type_embeddings", sizes.segments)?,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), sizes.hidden, sizes.eps)?,
            dropout: sizes.dropout,
            positions: sizes.positions,
        })
    }
}

impl Module for NomicBertEmbeddings {
    type Input<'a> = &'a Batch;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<Tensor> {
        batch.check_whole(MODEL, self.positions)?;
        let words = cx.call(&self.word_embeddings, &batch.input_ids)?;
        let first_segment = batch.buffer(batch.input_ids.shape(), Format::I64, |_, _| 0)?;
        let segments = cx.call(&self.token_type_embeddings, &first_segment)?;
        let normed = cx.add_norm(&words, &segments, &self.layer_norm)?;
        cx.dropout(&normed, self.dropout)
    }
}

struct NomicBertLayer {
    label: Label,
    post_attention_layernorm: LayerNorm,
    mlp: NomicBertMlp,
    self_attn: NomicBertAttention,
    post_mlp_layernorm: LayerNorm,
    dropout: f64,
}

impl NomicBertLayer {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let norm = |name| LayerNorm::load(&weights.child(name), sizes.hidden, sizes.eps);
        Ok(Self {
            label: weights.label("NomicBertLayer", Level::Module),
            post_attention_layernorm: norm("post_attention_layernorm")?,
            mlp: NomicBertMlp::load(&weights.child("mlp"), sizes)?,
            self_attn: NomicBertAttention::load(&weights.child("self_attn"), sizes)?,
            post_mlp_layernorm: norm("post_mlp_layernorm")?,
            dropout: sizes.dropout,
        })
    }
}

impl Module for NomicBertLayer {
    type Input<'a> = (&'a Tensor, &'a Around);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): (&Tensor, &Around)) -> Result<Tensor> {
        let attended = cx.call(&self.self_attn, (hidden, around))?;
        let attended = cx.dropout(&attended, self.dropout)?;
        let attended = cx.add_norm(hidden, &attended, &self.post_attention_layernorm)?;
        let fed = cx.call(&self.mlp, &attended)?;
        let fed = cx.dropout(&fed, self.dropout)?;
        cx.add_norm(&attended, &fed, &self.post_mlp_layernorm)
    }
}

struct NomicBertAttention {
    label: Label,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    heads: usize,
    dropout: f64,
}

impl NomicBertAttention {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let (hidden, width) = (sizes.hidden, sizes.heads * sizes.head_width);
        let linear = |name, shape| Linear::load_maybe_biased(&weights.child(name), shape, sizes.has_attention_bias);
        Ok(Self {
            label: weights.label("NomicBertAttention", Level::Module),
            q_proj: linear("q_proj", [hidden, width])?,
            k_proj: linear("k_proj", [hidden, width])?,
            v_proj: linear("v_proj", [hidden, width])?,
            o_proj: linear("o_proj", [width, hidden])?,
            heads: sizes.heads,
            dropout: sizes.attention_dropout,
        })
    }
}

impl Module for NomicBertAttention {
    type Input<'a> = (&'a Tensor, &'a Around);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): (&Tensor, &Around)) -> Result<Tensor> {
        let layers = [&self.q_proj, &self.k_proj, &self.v_proj];
        let [query, key, value] = cx.call_joint("qkv_proj", layers, hidden)?;
        let [query, key, value] = [
            heads::split(cx, &query, self.heads)?,
            heads::split(cx, &key, self.heads)?,
            heads::split(cx, &value, self.heads)?,
        ];
        let [query, key] = cx.rotary([&query, &key], &around.angles, around.pairing)?;
        let how = Attention {
            scaling: Scaling::Factor((query.dim(3) as f64).powf(-0.5)),
            padding: around.added.as_ref().map_or(Padding::None, Padding::Added),
            dropout: self.dropout,
            ..Attention::PLAIN
        };
        let context = cx.attention(&[query, key, value], how)?;
        let context = heads::merge(cx, &context)?;
        cx.call(&self.o_proj, &context)
    }
}

struct NomicBertMlp {
    label: Label,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    activation: Activation,
}

impl NomicBertMlp {
    fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let &Sizes { hidden, intermediate, activation, has_mlp_bias: [of_both, of_down], .. } = sizes;
        let linear = |name, shape, is_biased| Linear::load_maybe_biased(&weights.child(name), shape, is_biased);
        Ok(Self {
            label: weights.label("NomicBertMLP", Level::Module),
            gate_proj: linear("gate_proj", [hidden, intermediate], of_both)?,
            up_proj: linear("up_proj", [hidden, intermediate], of_both)?,
            down_proj: linear("down_proj", [intermediate, hidden], of_down)?,
            activation,
        })
    }
}

impl Module for NomicBertMlp {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let [gate, up] = cx.call_joint("gate_up_proj", [&self.gate_proj, &self.up_proj], hidden)?;
        let weighed = cx.gated(&gate, &up, self.activation)?;
        cx.call(&self.down_proj, &weighed)
    }
}
