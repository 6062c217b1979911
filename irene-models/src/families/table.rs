//! Which fields each family's code reads, which must have the plain value, and which sound as if they asked for another design.
//!
//! A new architecture adds one row to [`FAMILIES`].

/// The configs with one `model_type`.
pub(crate) struct Family {
    pub(crate) model_type: &'static str,
    /// The beginnings of the names of its classes in transformers, its own before those of the same code; none where any class may
    /// stand in `architectures`.
    pub(crate) classes: &'static [&'static str],
    /// The sizes that every config of it gives.
    pub(crate) sizes: &'static [&'static str],
    /// The other fields that its code reads here, in lists that families share.
    pub(crate) reads: &'static [&'static [&'static str]],
    /// Other names of its fields, as the `attribute_map` of its config class has them.
    pub(crate) also: &'static [(&'static str, &'static str)],
    /// Fields that have to have their plain value, before those of [`PLAIN`].
    pub(crate) plain: &'static [(&'static str, Plain)],
    /// The sizes that its config class has where a config has none of that name.
    pub(crate) defaults: &'static [(&'static str, u64)],
}

impl Family {
    /// The sizes of most families and nothing else: each one changes what differs.
    pub(crate) const USUAL: Self = Self {
        model_type: "",
        classes: &[],
        sizes: &["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"],
        reads: &[],
        also: &[],
        plain: &[],
        defaults: &[],
    };
}

/// The value of a field that the plain code has.
pub(crate) enum Plain {
    /// Off, in any way of saying so: null, false, 0, nothing, `none`.
    Off,
    /// True.
    On,
    /// This number.
    Number(f64),
    /// This word.
    Word(&'static str),
    /// The same as another field.
    Same(&'static str),
    /// True in encoders and the first GPTs, whose projections all have biases; off in a decoder that does not read the field.
    Bias,
}

const BERT_READS: &[&str] =
    &["max_position_embeddings", "type_vocab_size", "hidden_act", "layer_norm_eps", "pad_token_id", "embedding_size"];
const BERT_PLAIN: &[(&str, Plain)] = &[
    ("is_decoder", Plain::Off),
    ("embedding_size", Plain::Same("hidden_size")),
    ("num_key_value_heads", Plain::Same("num_attention_heads")),
];
/// ELECTRA's embeddings may be of another width.
const ELECTRA_PLAIN: &[(&str, Plain)] =
    &[("is_decoder", Plain::Off), ("num_key_value_heads", Plain::Same("num_attention_heads"))];

const ALBERT_READS: &[&str] = &[
    "num_hidden_groups",
    "inner_group_num",
    // Fields of the original code that transformers does not read.
    "gap_size",
    "net_structure_type",
    "num_memory_blocks",
    "down_scale_factor",
];
const DEBERTA_READS: &[&str] = &[
    "attention_head_size",
    "position_biased_input",
    "relative_attention",
    "max_relative_positions",
    "position_buckets",
    "pos_att_type",
    "share_att_key",
    "norm_rel_ebd",
    "conv_kernel_size",
    "conv_groups",
    "conv_act",
    "legacy",
    "pooler_hidden_act",
];
const MODERNBERT_READS: &[&str] = &[
    "max_position_embeddings",
    "hidden_activation",
    "norm_eps",
    "norm_bias",
    "attention_bias",
    "mlp_bias",
    "decoder_bias",
    "local_attention",
    "global_attn_every_n_layers",
    "layer_types",
    "rope_parameters",
    "rope_scaling",
    "global_rope_theta",
    "local_rope_theta",
    "pad_token_id",
    // Which kernel runs, and a loss that leaves tokens out.
    "deterministic_flash_attn",
    "sparse_prediction",
    "sparse_pred_ignore_index",
];
const NOMIC_BERT_READS: &[&str] = &[
    "max_position_embeddings",
    "max_trained_positions",
    "type_vocab_size",
    "hidden_act",
    "activation_function",
    "layer_norm_eps",
    "pad_token_id",
    "head_dim",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "partial_rotary_factor",
    "rotary_emb_interleaved",
    "rotary_scaling_factor",
    "qkv_proj_bias",
    "mlp_fc1_bias",
    "mlp_fc2_bias",
    "pad_vocab_size_multiple",
    // Which kernels run.
    "fused_bias_fc",
    "fused_dropout_add_ln",
];
/// The names of the code on the hub, which transformers' code has others for.
const NOMIC_BERT_ALSO: &[(&str, &str)] = &[
    ("n_embd", "hidden_size"),
    ("n_head", "num_attention_heads"),
    ("n_layer", "num_hidden_layers"),
    ("n_inner", "intermediate_size"),
    ("n_positions", "max_position_embeddings"),
    ("layer_norm_epsilon", "layer_norm_eps"),
    ("rotary_emb_base", "rope_theta"),
    ("rotary_emb_fraction", "partial_rotary_factor"),
];
const NOMIC_BERT_PLAIN: &[(&str, Plain)] = &[
    ("prenorm", Plain::Off),
    ("causal", Plain::Off),
    ("use_rms_norm", Plain::Off),
    ("parallel_block", Plain::Off),
    ("parallel_block_tied_norm", Plain::Off),
    ("rotary_emb_scale_base", Plain::Off),
    ("scale_attn_weights", Plain::On),
    ("scale_attn_by_inverse_layer_idx", Plain::Off),
    ("reorder_and_upcast_attn", Plain::Off),
    ("num_key_value_heads", Plain::Same("num_attention_heads")),
];

const GPT_READS: &[&str] = &[
    "n_inner",
    "layer_norm_epsilon",
    "activation_function",
    "afn",
    "scale_attn_weights",
    // The length of a buffer.
    "n_ctx",
];
const GPT_ALSO: &[(&str, &str)] = &[
    ("hidden_size", "n_embd"),
    ("num_hidden_layers", "n_layer"),
    ("num_attention_heads", "n_head"),
    ("max_position_embeddings", "n_positions"),
];

const BERT: Family =
    Family { model_type: "bert", classes: &["Bert"], reads: &[BERT_READS], plain: BERT_PLAIN, ..Family::USUAL };
const GPT2: Family = Family {
    model_type: "gpt2",
    classes: &["GPT2"],
    sizes: &["n_embd", "n_layer", "n_head", "n_positions", "vocab_size"],
    reads: &[GPT_READS],
    also: GPT_ALSO,
    plain: &[
        ("scale_attn_by_inverse_layer_idx", Plain::Off),
        ("reorder_and_upcast_attn", Plain::Off),
        ("num_key_value_heads", Plain::Same("n_head")),
    ],
    defaults: &[],
};

/// Every family that is followed.
pub(super) const FAMILIES: &[Family] = &[
    BERT,
    Family { model_type: "electra", classes: &["Electra"], plain: ELECTRA_PLAIN, ..BERT },
    Family { model_type: "roberta", classes: &["Roberta", "XLMRoberta", "Camembert"], ..BERT },
    Family { model_type: "xlm-roberta", classes: &["XLMRoberta", "Roberta", "Camembert"], ..BERT },
    Family { model_type: "camembert", classes: &["Camembert", "Roberta", "XLMRoberta"], ..BERT },
    Family {
        model_type: "distilbert",
        classes: &["DistilBert"],
        sizes: &["dim", "n_layers", "n_heads", "hidden_dim", "vocab_size"],
        reads: &[&[
            "max_position_embeddings",
            "activation",
            "pad_token_id",
            // It decides how the table of positions is initialised.
            "sinusoidal_pos_embds",
        ]],
        also: &[("hidden_size", "dim"), ("num_hidden_layers", "n_layers"), ("num_attention_heads", "n_heads")],
        plain: &[("num_key_value_heads", Plain::Same("n_heads"))],
        defaults: &[],
    },
    Family {
        model_type: "albert",
        classes: &["Albert"],
        reads: &[BERT_READS, ALBERT_READS],
        plain: ELECTRA_PLAIN,
        ..Family::USUAL
    },
    Family {
        model_type: "mpnet",
        classes: &["MPNet"],
        reads: &[&[
            "max_position_embeddings",
            "hidden_act",
            "layer_norm_eps",
            "pad_token_id",
            "relative_attention_num_buckets",
        ]],
        ..BERT
    },
    Family {
        model_type: "deberta-v2",
        classes: &["DebertaV2"],
        reads: &[BERT_READS, DEBERTA_READS],
        plain: &[
            ("is_decoder", Plain::Off),
            ("num_key_value_heads", Plain::Same("num_attention_heads")),
            ("pooler_hidden_size", Plain::Same("hidden_size")),
        ],
        ..Family::USUAL
    },
    Family {
        model_type: "modernbert",
        classes: &["ModernBert"],
        reads: &[MODERNBERT_READS],
        plain: ELECTRA_PLAIN,
        ..Family::USUAL
    },
    Family {
        model_type: "nomic_bert",
        classes: &["NomicBert"],
        reads: &[NOMIC_BERT_READS],
        also: NOMIC_BERT_ALSO,
        plain: NOMIC_BERT_PLAIN,
        ..Family::USUAL
    },
    GPT2,
    Family {
        model_type: "openai-gpt",
        classes: &["OpenAIGPT"],
        plain: &[("num_key_value_heads", Plain::Same("n_head"))],
        ..GPT2
    },
    Family {
        model_type: "flexibert",
        sizes: &["model_dict"],
        reads: &[&[
            "max_position_embeddings",
            "type_vocab_size",
            "hidden_act",
            "layer_norm_eps",
            // The published configs have those of BERT beside the design.
            "num_attention_heads",
        ]],
        plain: &[("is_decoder", Plain::Off), ("position_embedding_type", Plain::Word("relative_key"))],
        ..Family::USUAL
    },
];

/// Fields that have to have their plain value in every family that does not say otherwise.
pub(super) const PLAIN: &[(&str, Plain)] = &[
    ("is_encoder_decoder", Plain::Off),
    ("add_cross_attention", Plain::Off),
    ("chunk_size_feed_forward", Plain::Off),
    ("pruned_heads", Plain::Off),
    ("position_embedding_type", Plain::Word("absolute")),
    ("attention_bias", Plain::Bias),
    ("mlp_bias", Plain::Bias),
    ("use_bias", Plain::Bias),
];
