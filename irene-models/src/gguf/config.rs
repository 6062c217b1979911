//! A file's metadata as the config that Hugging Face has for the same model.

use irene_tree::Format;
use serde_json::{Map, Value as Json, json};

use super::{Gguf, Names, parse::Value};
use crate::{Config, Result};

/// An architecture by llama.cpp's word, and how its metadata becomes fields.
struct Known {
    name: &'static str,
    fields: fn(&mut Fields<'_>) -> Result<()>,
}

const KNOWN: &[Known] = &[
    Known { name: "llama", fields: llama },
    Known { name: "qwen2", fields: |f| f.gated("qwen2", &[]) },
    Known { name: "qwen3", fields: |f| f.gated("qwen3", &[]) },
    Known { name: "qwen2moe", fields: |f| f.qwen_experts("qwen2_moe") },
    Known { name: "qwen3moe", fields: |f| f.qwen_experts("qwen3_moe") },
    Known { name: "gemma", fields: gemma },
    Known { name: "gemma2", fields: gemma2 },
    Known { name: "gemma3", fields: gemma3 },
    Known { name: "phi2", fields: phi },
    Known { name: "phi3", fields: phi3 },
    Known { name: "granite", fields: granite },
    Known { name: "olmo2", fields: |f| f.gated("olmo2", &[]) },
    Known { name: "starcoder2", fields: starcoder2 },
    Known { name: "falcon", fields: falcon },
    Known { name: "gptneox", fields: gpt_neox },
    Known { name: "gpt2", fields: gpt2 },
    Known { name: "bloom", fields: bloom },
];

const HIDDEN: &str = "embedding_length";
const LAYERS: &str = "block_count";
const HEADS: &str = "attention.head_count";
const GROUPS: &str = "attention.head_count_kv";
const HEAD_WIDTH: &str = "attention.key_length";
const INNER: &str = "feed_forward_length";
const POSITIONS: &str = "context_length";
const RMS_EPS: &str = "attention.layer_norm_rms_epsilon";
const NORM_EPS: &str = "attention.layer_norm_epsilon";
const THETA: &str = "rope.freq_base";
const ROTATED: &str = "rope.dimension_count";
const WINDOW: &str = "attention.sliding_window";
const EXPERTS: &str = "expert_count";
const USED: &str = "expert_used_count";

impl Gguf {
    /// The config of the file's model.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an unknown architecture, or metadata that is missing or is not followed.
    pub(crate) fn config(&self) -> Result<Config> {
        let known = self.known()?;
        let mut fields = Fields { file: self, name: known.name, fields: Map::new() };
        fields.common()?;
        (known.fields)(&mut fields)?;
        Ok(Config::of_fields(self.origin(), fields.fields))
    }

    /// How its tensors are named.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub(crate) fn names(&self) -> Result<Names> {
        let name = self.known()?.name;
        let fields = Fields { file: self, name, fields: Map::new() };
        let heads = fields.size(HEADS)?;
        Ok(Names::of(name, heads, fields.size_or(GROUPS, heads)?))
    }

    fn known(&self) -> Result<&'static Known> {
        const KEY: &str = "general.architecture";
        let word = self.word(KEY).ok_or_else(|| self.error(KEY, "is missing: the file holds no model"))?;
        let all = || KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
        KNOWN
            .iter()
            .find(|known| known.name == word)
            .ok_or_else(|| self.error(KEY, format!("`{word}` is not followed here; there are {}", all())))
    }

    /// The format that most numbers of the file are stored in.
    pub(crate) fn main_format(&self) -> Format {
        let mut counts = std::collections::BTreeMap::new();
        for stored in self.tensors() {
            *counts.entry(stored.format).or_insert(0) += stored.shape.elements();
        }
        counts.into_iter().max_by_key(|(_, numbers)| *numbers).map_or(Format::F32, |(format, _)| format)
    }
}

/// The fields so far.
struct Fields<'a> {
    file: &'a Gguf,
    name: &'static str,
    fields: Map<String, Json>,
}

impl Fields<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    fn set(&mut self, field: &str, value: impl Into<Json>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    /// A whole number of the metadata.
    fn size_if(&self, key: &str) -> Result<Option<usize>> {
        let key = self.key(key);
        match self.file.0.metadata.get(&key) {
            None => Ok(None),
            Some(Value::Whole(number)) => match usize::try_from(*number) {
                Ok(size) => Ok(Some(size)),
                Err(_) => Err(self.file.error(&key, format!("{number} is no size"))),
            },
            Some(Value::Array(array)) => {
                let numbers = array.numbers(self.file.first()).unwrap_or_default();
                match numbers.first() {
                    Some(&first) if numbers.iter().all(|&number| number == first) => Ok(Some(first as usize)),
                    _ => Err(self.file.error(&key, "differs from layer to layer, which is not followed here")),
                }
            }
            Some(_) => Err(self.file.error(&key, "is no whole number")),
        }
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.size_if(key)?.ok_or_else(|| self.file.error(&self.key(key), "is missing"))
    }

    fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.size_if(key)?.unwrap_or(default))
    }

    fn number_if(&self, key: &str) -> Result<Option<f64>> {
        let key = self.key(key);
        match self.file.0.metadata.get(&key) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_finite() => Ok(Some(shortest(*number))),
            Some(Value::Whole(number)) => Ok(Some(*number as f64)),
            Some(_) => Err(self.file.error(&key, "is no finite number")),
        }
    }

    /// Sets fields where the metadata has their sizes.
    fn sizes(&mut self, pairs: &[(&str, &str)]) -> Result<()> {
        for (field, key) in pairs {
            if let Some(size) = self.size_if(key)? {
                self.set(field, size);
            }
        }
        Ok(())
    }

    /// Sets fields where the metadata has their numbers.
    fn numbers(&mut self, pairs: &[(&str, &str)]) -> Result<()> {
        for (field, key) in pairs {
            if let Some(number) = self.number_if(key)? {
                self.set(field, number);
            }
        }
        Ok(())
    }

    /// The dimensions of a tensor; none if the file does not have it.
    fn dims(&self, tensor: &str) -> &[usize] {
        self.file.tensor(tensor).map_or(&[], |stored| stored.shape.dims())
    }

    fn has(&self, tensor: &str) -> bool {
        self.file.has(tensor)
    }

    fn head_width(&self) -> Result<usize> {
        self.size_or(HEAD_WIDTH, self.size(HIDDEN)? / self.size(HEADS)?.max(1))
    }

    /// The fields that every config has.
    fn common(&mut self) -> Result<()> {
        let Some(&vocabulary) = self.dims("token_embd.weight").first() else {
            return Err(self
                .file
                .error("token_embd.weight", "is missing among the tensors: the file holds no whole model"));
        };
        self.set("vocab_size", vocabulary);
        self.set("tie_word_embeddings", !self.has("output.weight"));
        for (field, key) in [("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")] {
            if let Some(Value::Whole(id)) = self.file.0.metadata.get(&format!("tokenizer.ggml.{key}_token_id")) {
                self.set(field, u64::try_from(*id).ok());
            }
        }
        let format = self.file.main_format();
        if format.holds_activations() {
            self.set("torch_dtype", format.name());
        } else {
            // llama.cpp keeps the cache in 16 bits.
            self.set("torch_dtype", Format::F16.name());
            self.set("quantization_config", json!({"quant_method": "gguf", "format": format.name()}));
        }
        Ok(())
    }

    /// The sizes by the names that most families have.
    fn decoder(&mut self, model_type: &str) -> Result<()> {
        self.set("model_type", model_type);
        self.set("num_key_value_heads", self.size_or(GROUPS, self.size(HEADS)?)?);
        self.sizes(&[
            ("hidden_size", HIDDEN),
            ("num_hidden_layers", LAYERS),
            ("num_attention_heads", HEADS),
            ("intermediate_size", INNER),
            ("max_position_embeddings", POSITIONS),
        ])?;
        self.numbers(&[("rope_theta", THETA)])
    }

    /// A decoder with RMS norms and a gated feed-forward part.
    fn gated(&mut self, model_type: &str, more: &[(&str, &str)]) -> Result<()> {
        self.decoder(model_type)?;
        self.set("head_dim", self.head_width()?);
        self.set("hidden_act", "silu");
        self.numbers(&[("rms_norm_eps", RMS_EPS)])?;
        self.numbers(more)?;
        self.rope_scaling()
    }

    /// The widths of Qwen's experts, which older files leave to their tensors.
    fn qwen_experts(&mut self, model_type: &str) -> Result<()> {
        self.gated(model_type, &[])?;
        self.sizes(&[("num_experts", EXPERTS), ("num_experts_per_tok", USED)])?;
        let of = |dims: &[usize], place: usize| dims.get(place).copied().unwrap_or(0);
        let inner = self.size_or("expert_feed_forward_length", of(self.dims("blk.0.ffn_up_exps.weight"), 1))?;
        self.set("moe_intermediate_size", inner);
        let is_qwen3 = model_type == "qwen3_moe";
        self.set("norm_topk_prob", is_qwen3);
        if !is_qwen3 {
            let shared = of(self.dims("blk.0.ffn_up_shexp.weight"), 0);
            self.set("shared_expert_intermediate_size", self.size_or("expert_shared_feed_forward_length", shared)?);
        }
        Ok(())
    }

    /// The sliding window; null, which is none whatever the family's own, where its size is 0.
    fn window(&mut self) -> Result<()> {
        if let Some(size) = self.size_if(WINDOW)? {
            self.set("sliding_window", Some(size).filter(|size| *size > 0));
        }
        Ok(())
    }

    /// The share of a head that is rotated, where it is not all.
    fn rotated(&mut self, field: &str) -> Result<()> {
        let width = self.head_width()?;
        let rotated = self.size_or(ROTATED, width)?;
        self.set(field, rotated as f64 / width.max(1) as f64);
        Ok(())
    }

    fn rope_scaling(&mut self) -> Result<()> {
        let key = "rope.scaling.type";
        let kind = self.file.word(&self.key(key)).unwrap_or("none").to_owned();
        let factor = self.number_if("rope.scaling.factor")?;
        let original = self.size_if("rope.scaling.original_context_length")?;
        let scaling = match kind.as_str() {
            // From a header alone, the frequencies stay as they are: they cost the same.
            _ if self.file.holds("rope_freqs.weight") => self.llama3_scaling()?,
            _ if self.file.holds("rope_factors_long.weight") => return self.long_scaling(original),
            "none" => return Ok(()),
            "linear" => json!({"rope_type": "linear", "factor": factor.unwrap_or(1.0)}),
            "yarn" => {
                let mut yarn = json!({"rope_type": "yarn", "factor": factor.unwrap_or(1.0)});
                if let Some(original) = original {
                    yarn["original_max_position_embeddings"] = original.into();
                }
                yarn
            }
            other => return Err(self.file.error(&self.key(key), format!("`{other}` is not followed here"))),
        };
        self.set("rope_scaling", scaling);
        Ok(())
    }

    /// Llama 3's scaling. The file has what became of it, a divisor for each frequency.
    fn llama3_scaling(&self) -> Result<Json> {
        /// The value of every public model.
        const LOW: f64 = 1.0;
        const HIGH: f64 = 4.0;
        const ORIGINAL: f64 = 8192.0;
        let divisors = self.file.floats("rope_freqs.weight").unwrap_or_default();
        let factor = divisors.iter().copied().fold(1.0, f64::max);
        let (theta, count) = (self.number_if(THETA)?.unwrap_or(10_000.0), divisors.len() as f64);
        let expected = |place: usize| {
            let turns = ORIGINAL / (std::f64::consts::TAU * theta.powf(place as f64 / count));
            let smooth = ((turns - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
            1.0 / ((1.0 - smooth) / factor + smooth)
        };
        let is_llama3 = divisors.iter().enumerate().all(|(i, &found)| (found - expected(i)).abs() <= 1e-3 * found);
        if divisors.is_empty() || !is_llama3 {
            let reason =
                "is not Llama 3's scaling of its rotary frequencies, and no other is followed from a GGUF file";
            return Err(self.file.error("rope_freqs.weight", reason));
        }
        Ok(json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": LOW, "high_freq_factor": HIGH,
            "original_max_position_embeddings": ORIGINAL as u64,
        }))
    }

    fn long_scaling(&mut self, original: Option<usize>) -> Result<()> {
        let factors = |name: &str| {
            let found = self.file.floats(name).filter(|factors| factors.iter().all(|factor| factor.is_finite()));
            found.ok_or_else(|| self.file.error(name, "is no tensor of finite 32-bit floats"))
        };
        let (long, short) = (factors("rope_factors_long.weight")?, factors("rope_factors_short.weight")?);
        if let Some(original) = original {
            self.set("original_max_position_embeddings", original);
        }
        self.set("rope_scaling", json!({"rope_type": "longrope", "long_factor": long, "short_factor": short}));
        Ok(())
    }
}

fn llama(fields: &mut Fields<'_>) -> Result<()> {
    let experts = fields.size_or(EXPERTS, 0)?;
    fields.gated(if experts > 0 { "mixtral" } else { "llama" }, &[])?;
    if experts > 0 {
        return fields.sizes(&[("num_local_experts", EXPERTS), ("num_experts_per_tok", USED)]);
    }
    fields.set("attention_bias", fields.has("blk.0.attn_q.bias"));
    fields.set("mlp_bias", fields.has("blk.0.ffn_up.bias"));
    Ok(())
}

fn gemma(fields: &mut Fields<'_>) -> Result<()> {
    fields.gated("gemma", &[])?;
    fields.set("hidden_act", "gelu_pytorch_tanh");
    fields.set("hidden_activation", "gelu_pytorch_tanh");
    Ok(())
}

/// The width that scores are divided by the root of; the file does not say, and llama.cpp goes by the number of layers.
fn query_scale(fields: &Fields<'_>, layers_of_27b: usize) -> Result<usize> {
    if fields.size(LAYERS)? == layers_of_27b {
        Ok(fields.size(HIDDEN)? / fields.size(HEADS)?.max(1))
    } else {
        fields.head_width()
    }
}

fn gemma2(fields: &mut Fields<'_>) -> Result<()> {
    gemma(fields)?;
    fields.set("model_type", "gemma2");
    fields.set("query_pre_attn_scalar", query_scale(fields, 46)?);
    fields.window()?;
    fields.set("attn_logit_softcapping", fields.number_if("attn_logit_softcapping")?.unwrap_or(50.0));
    fields.set("final_logit_softcapping", fields.number_if("final_logit_softcapping")?.unwrap_or(30.0));
    Ok(())
}

fn gemma3(fields: &mut Fields<'_>) -> Result<()> {
    gemma(fields)?;
    fields.set("model_type", "gemma3_text");
    fields.set("query_pre_attn_scalar", query_scale(fields, 62)?);
    fields.set("rope_theta", fields.number_if(THETA)?.unwrap_or(1e6));
    fields.set("rope_local_base_freq", 1e4);
    fields.set("sliding_window_pattern", 6);
    fields.window()
}

fn phi(fields: &mut Fields<'_>) -> Result<()> {
    fields.decoder("phi")?;
    fields.set("hidden_act", "gelu_new");
    fields.numbers(&[("layer_norm_eps", NORM_EPS)])?;
    fields.rotated("partial_rotary_factor")
}

fn phi3(fields: &mut Fields<'_>) -> Result<()> {
    fields.gated("phi3", &[])?;
    fields.rotated("partial_rotary_factor")?;
    fields.window()?;
    if !fields.fields.contains_key("original_max_position_embeddings") {
        fields.set("original_max_position_embeddings", fields.size(POSITIONS)?);
    }
    Ok(())
}

fn granite(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("attention_bias", fields.has("blk.0.attn_q.bias"));
    fields.set("mlp_bias", fields.has("blk.0.ffn_up.bias"));
    fields.gated(
        "granite",
        &[
            ("embedding_multiplier", "embedding_scale"),
            ("residual_multiplier", "residual_scale"),
            ("attention_multiplier", "attention.scale"),
            ("logits_scaling", "logit_scale"),
        ],
    )
}

fn starcoder2(fields: &mut Fields<'_>) -> Result<()> {
    fields.decoder("starcoder2")?;
    fields.set("use_bias", fields.has("blk.0.ffn_up.bias"));
    fields.set("hidden_act", "gelu_pytorch_tanh");
    fields.numbers(&[("norm_epsilon", NORM_EPS)])?;
    fields.window()
}

fn falcon(fields: &mut Fields<'_>) -> Result<()> {
    let has_two_norms = fields.has("blk.0.attn_norm_2.weight");
    let groups = fields.size_or(GROUPS, 1)?;
    fields.decoder("falcon")?;
    fields.set("num_kv_heads", groups);
    fields.set("new_decoder_architecture", has_two_norms || groups > 1);
    fields.set("num_ln_in_parallel_attn", 1 + usize::from(has_two_norms));
    fields.set("multi_query", groups == 1);
    fields.set("parallel_attn", true);
    fields.set("bias", fields.has("blk.0.attn_qkv.bias"));
    fields.set("alibi", false);
    fields.set("ffn_hidden_size", fields.dims("blk.0.ffn_up.weight").first().copied());
    for field in ["num_key_value_heads", "intermediate_size"] {
        fields.fields.remove(field);
    }
    fields.numbers(&[("layer_norm_epsilon", NORM_EPS)])
}

fn gpt_neox(fields: &mut Fields<'_>) -> Result<()> {
    fields.decoder("gpt_neox")?;
    for (from, to) in [("rope_theta", "rotary_emb_base"), ("num_key_value_heads", "")] {
        if let (Some(value), false) = (fields.fields.remove(from), to.is_empty()) {
            fields.set(to, value);
        }
    }
    fields.set("hidden_act", "gelu");
    let parallel = fields.file.flag(&fields.key("use_parallel_residual"));
    fields.set("use_parallel_residual", parallel.unwrap_or(true));
    fields.numbers(&[("layer_norm_eps", NORM_EPS)])?;
    fields.rotated("rotary_pct")
}

fn gpt2(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("model_type", "gpt2");
    fields.set("activation_function", "gelu_new");
    fields.sizes(&[
        ("n_embd", HIDDEN),
        ("n_layer", LAYERS),
        ("n_head", HEADS),
        ("n_inner", INNER),
        ("n_positions", POSITIONS),
    ])?;
    fields.numbers(&[("layer_norm_epsilon", NORM_EPS)])
}

fn bloom(fields: &mut Fields<'_>) -> Result<()> {
    fields.set("model_type", "bloom");
    fields.sizes(&[("hidden_size", HIDDEN), ("n_layer", LAYERS), ("n_head", HEADS), ("seq_length", POSITIONS)])?;
    fields.numbers(&[("layer_norm_epsilon", NORM_EPS)])
}

/// The number as a config has it, from the 32-bit float of the file: 1e-5 and not 9.999999747378752e-6.
fn shortest(number: f64) -> f64 {
    let single = number as f32;
    if f64::from(single) == number { single.to_string().parse().unwrap_or(number) } else { number }
}
