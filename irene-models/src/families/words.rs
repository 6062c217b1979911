//! The words by which a field that no row names is told: whether it may change a model's structure; and the classes and code that are known.

/// Words in a field's name that tell of attention, positions, feed-forward parts, norms, experts or adapters. An unknown field with one
/// of them is refused, unless it is off.
pub(super) const STRUCTURAL: &[&str] = &[
    "adapter",
    "adapters",
    "alibi",
    "attention",
    "attn",
    "bias",
    "biased",
    "conv",
    "convolution",
    "cross",
    "embedding",
    "embeddings",
    "expert",
    "experts",
    "ffn",
    "gate",
    "gated",
    "geglu",
    "glu",
    "groups",
    "head",
    "heads",
    "kernel",
    "kv",
    "layernorm",
    "lora",
    "mlp",
    "moe",
    "mqa",
    "norm",
    "normalization",
    "normalize",
    "position",
    "positional",
    "positions",
    "prenorm",
    "qk",
    "qkv",
    "query",
    "recurrent",
    "relative",
    "residual",
    "rmsnorm",
    "rope",
    "rotary",
    "router",
    "sliding",
    "sparse",
    "sparsity",
    "swiglu",
    "window",
];

/// Words in a field's name that tell of training, of numbers alone, or of a task's own layers.
pub(super) const HARMLESS: &[&str] = &[
    "aux",
    "beam",
    "classifier",
    "drop",
    "dropout",
    "eps",
    "epsilon",
    "grad",
    "init",
    "initializer",
    "layerdrop",
    "pdrop",
    "pooler",
    "prob",
    "summary",
];

/// Whole names that have such words and change no structure: which kernels run, where, in what type.
pub(super) const HARMLESS_FIELDS: &[&str] = &[
    "attention_softmax_in_fp32",
    "attn_implementation",
    // Whether the text model of DeepSeek-VL2 has the head that every decoder has.
    "lm_head",
    // In Falcon-H1, whose code reads `intermediate_size`.
    "mlp_expansion_factor",
    // The Megatron checkpoints that BLOOM was made of.
    "offset_alibi",
    "scale_attention_softmax_in_fp32",
    "skip_bias_add",
    "tie_word_embeddings",
    "use_flash_attention",
    "use_flash_attention_2",
    "use_flash_attn",
    "use_memory_efficient_attention",
];

/// The ends of transformers' class names, after the family.
pub(super) const TASKS: &[&str] = &[
    "Model",
    "PreTrainedModel",
    "ForPreTraining",
    "ForMaskedLM",
    "ForCausalLM",
    "ForConditionalGeneration",
    "LMHeadModel",
    "DoubleHeadsModel",
    "ForNextSentencePrediction",
    "ForSequenceClassification",
    "ForMultipleChoice",
    "ForTokenClassification",
    "ForQuestionAnswering",
];

/// The classes whose code has no pooler, by family and task.
pub(super) const WITHOUT_POOLER: &[(&str, &[&str])] = &[
    ("Bert", &["ForMaskedLM", "LMHeadModel", "ForTokenClassification", "ForQuestionAnswering"]),
    ("Roberta", ROBERTA_WITHOUT_POOLER),
    ("XLMRoberta", ROBERTA_WITHOUT_POOLER),
    ("Camembert", ROBERTA_WITHOUT_POOLER),
    ("Albert", &["ForMaskedLM", "ForTokenClassification", "ForQuestionAnswering"]),
    ("MPNet", ROBERTA_WITHOUT_POOLER),
];
const ROBERTA_WITHOUT_POOLER: &[&str] =
    &["ForMaskedLM", "ForCausalLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"];

/// Code of the model's own that is followed, by what stands in its path.
pub(super) const KNOWN_CODE: &[(&str, &str)] = &[
    ("nomic_bert", "hf_nomic_bert.NomicBert"),
    ("qwen2", "modeling_qwen.Qwen2"),
    ("phi3", "_phi3.Phi3"),
    ("phi3small", "phi3_small.Phi3Small"),
    ("phimoe", "_phimoe.PhiMoE"),
    ("dbrx", "_dbrx.Dbrx"),
    ("falcon", "_falcon.Falcon"),
    ("mpt", "_mpt.MPT"),
    ("nemotron_h", "nemotron_h.NemotronH"),
    ("jamba", "_jamba.Jamba"),
    ("kimi_linear", "_kimi.KimiLinear"),
    ("deepseek_v2", "_deepseek.DeepseekV2"),
    ("deepseek_v3", "_deepseek.DeepseekV3"),
    ("kimi_k2", "_deepseek.DeepseekV3"),
    ("ernie4_5", "_ernie4_5.Ernie4_5"),
    ("ernie4_5_moe", "_ernie4_5_moe.Ernie4_5_"),
    ("hunyuan_v1_moe", "hunyuan.HunYuan"),
    ("minimax_m2", "_minimax_m2.MiniMaxM2"),
    ("mimo_v2_flash", "_mimo_v2_flash.MiMoV2Flash"),
];

/// The entries of `auto_map` that are no code of the model's.
pub(super) const NO_MODEL_CODE: &[&str] =
    &["AutoTokenizer", "AutoProcessor", "AutoFeatureExtractor", "AutoImageProcessor"];
